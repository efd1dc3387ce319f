"""Files are replaced as a whole or not at all; wrong files are refused in one sentence."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import random
import re
import stat
import struct
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa import _files

QUICK = settings(deadline=None, max_examples=50)


@pytest.fixture
def net():
    return rfa.Network.random(m=3, d=2, rng=9)


@pytest.fixture
def old(tmp_path, net):
    """An older file, its bytes, and its folder, in which no other file may remain."""
    path = tmp_path / "run.npz"
    net.save(path)
    return path


class Disk:
    """A file that fails after some bytes, as if the disk were full."""

    def __init__(self, file, room, error):
        self.file, self.room, self.error = file, room, error

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            self.file.write(b"half of it")
            raise self.error
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


# --------------------------------------------------------------------------- writing


@pytest.mark.parametrize("room", [0, 60, 300, 700])
@pytest.mark.parametrize("error", [OSError("no space"), MemoryError(), KeyboardInterrupt()])
def test_a_full_disk_leaves_the_old_file(old, monkeypatch, room, error):
    before, savez = old.read_bytes(), np.savez
    monkeypatch.setattr(np, "savez", lambda file, **kw: savez(Disk(file, room, error), **kw))
    with pytest.raises(type(error)):
        rfa.Network.random(m=7, d=2).save(old)
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


@pytest.mark.parametrize("function", ["fsync", "replace", "fchmod"])
def test_the_last_steps_may_fail_too(old, monkeypatch, function):
    def fail(*args, **kw):
        raise OSError("the disk is gone")

    before = old.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(_files.os, function, fail)
        with pytest.raises(OSError, match="the disk is gone"):
            rfa.Network.random(m=7, d=2).save(old)
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


def test_the_old_file_is_there_until_the_new_one_is_whole(old, net):
    seen = []

    def write(file):
        file.write(b"new")
        file.flush()
        seen.append(rfa.load(old) == net)

    _files.replace(old, write)
    assert seen == [True]
    assert old.read_bytes() == b"new"


def test_what_is_not_json_is_not_written(old):
    before = old.read_bytes()
    with pytest.raises(TypeError):
        _files.write_npz(old, {}, {"kind": "network", "seed": object()})
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


@pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_has_the_rights_of_any_other(tmp_path, net, umask):
    previous = os.umask(umask)
    try:
        net.save(tmp_path / "net.npz")
        (tmp_path / "other").write_text("")
        assert os.umask(umask) == umask
    finally:
        os.umask(previous)
    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o777])
def test_a_replaced_file_keeps_its_mode(old, net, mode):
    os.chmod(old, mode)
    seen = []

    def write(file):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~mode)
        file.write(b"new")

    previous = os.umask(0o027)
    try:
        _files.replace(old, write)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(old.stat().st_mode) == mode
    assert seen == [0]  # others had no access to the temporary file either
    assert old.read_bytes() == b"new"


def test_the_umask_of_the_process_is_left_alone(old, net, monkeypatch):
    """The umask belongs to all threads, and other threads make files."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
    net.save(old)
    net.save(old.with_name("new.npz"))


def test_a_link_stays_and_its_file_is_written(tmp_path, net):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    file = tmp_path / "far" / "run.npz"
    link, second = tmp_path / "near" / "link.npz", tmp_path / "near" / "second.npz"
    link.symlink_to(os.path.join("..", "far", "run.npz"))
    second.symlink_to("link.npz")
    for path in (link, second, link):  # at the first one there is no file yet
        net.save(path)
        assert link.is_symlink() and second.is_symlink() and not file.is_symlink()
        assert rfa.load(file) == net
        file.write_bytes(b"old")
    assert sorted(os.listdir(file.parent)) == ["run.npz"]
    assert sorted(os.listdir(link.parent)) == ["link.npz", "second.npz"]


def test_a_pipe_is_written_into(tmp_path, net):
    """A device such as /dev/null must not be replaced, even by root."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        net.save(fifo)
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        (tmp_path / "copy").write_bytes(os.read(reader, 1 << 16))
        assert rfa.load(tmp_path / "copy") == net

        def half(file):
            file.write(b"half")
            raise MemoryError

        with pytest.raises(MemoryError):
            _files.replace(fifo, half)
        assert os.read(reader, 1 << 16) == b""
    finally:
        os.close(reader)
    assert sorted(os.listdir(tmp_path)) == ["copy", "fifo"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are named in /proc")
def test_an_open_pipe_is_written_into(net, tmp_path):
    """A pipe, such as the shell's >(command)."""
    reader, writer = os.pipe()
    try:
        net.save(f"/proc/self/fd/{writer}")
        (tmp_path / "copy").write_bytes(os.read(reader, 1 << 16))
    finally:
        os.close(reader)
    assert rfa.load(tmp_path / "copy") == net
    with pytest.raises(BrokenPipeError, match=f"/proc/self/fd/{writer}"):
        net.save(f"/proc/self/fd/{writer}")
    os.close(writer)


def test_a_terminal_is_written_into():
    terminal, slave = os.openpty()
    path = os.ttyname(slave)
    try:
        _files.replace(path, lambda file: file.write(b"a line\n"))
        assert stat.S_ISCHR(os.stat(path).st_mode)
        assert os.read(terminal, 100) == b"a line\r\n"
    finally:
        os.close(terminal)
        os.close(slave)


def test_places_that_cannot_be_written_are_named(old, net):
    """destination raises the error before anything is written, and so do the writing functions."""
    folder = old.parent
    (folder / "dangling").symlink_to(folder / "missing" / "run.npz")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    before = sorted(os.listdir(folder))
    for name, kind, words in (
        ("missing/run.npz", FileNotFoundError, "there is no folder"),
        ("missing/../run.npz", FileNotFoundError, "there is no folder"),
        ("dangling", FileNotFoundError, "there is no folder"),
        ("folder", IsADirectoryError, "is a folder"),
        ("missing/..", ValueError, "path must name a file"),
        ("folder/.", ValueError, "path must name a file"),
    ):
        path = f"{folder}/{name}"
        for act in (_files.destination, net.save):
            with pytest.raises(kind, match=words) as refusal:
                act(path)
            assert path in str(refusal.value)
            assert "\n" not in str(refusal.value)
    assert sorted(os.listdir(folder)) == before
    assert rfa.load(old) == net


def test_a_missing_right_is_found_before_anything_is_written(old, net, monkeypatch):
    """Root has all rights, so os.access is replaced."""
    folder, before = os.path.realpath(old.parent), old.read_bytes()
    for forbidden in (os.fspath(old), folder):
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda path, mode, no=forbidden: os.fspath(path) != no)
            for act in (_files.destination, net.save):
                with pytest.raises(PermissionError, match=re.escape(repr(os.fspath(old)))):
                    act(old)
            if forbidden == folder:  # as for users in /dev, where /dev/null is writable
                os.mkfifo(old.parent / "fifo")
                _files.destination(old.parent / "fifo")
                os.unlink(old.parent / "fifo")
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


@pytest.mark.parametrize(
    ("function", "code"),
    [("open", errno.EACCES), ("fsync", errno.EIO), ("replace", errno.EXDEV)],
)
def test_errors_of_the_system_name_the_path_given(old, monkeypatch, function, code):
    """The error names the path, not the temporary file, which the caller does not know."""
    before = old.read_bytes()

    def fail(first, *rest):
        name = () if function == "fsync" else (first,)
        raise OSError(code, os.strerror(code), *name)

    with monkeypatch.context() as patch:
        patch.setattr(_files.os, function, fail)
        with pytest.raises(OSError) as failure:
            rfa.Network.random(m=7, d=2).save(old)
    assert failure.value.errno == code
    assert str(failure.value) == f"[Errno {code}] {os.strerror(code)}: {os.fspath(old)!r}"
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


def test_errors_about_other_files_keep_their_names(old):
    def write(file):
        os.stat("/nonexistent/font")

    with pytest.raises(FileNotFoundError, match="/nonexistent/font"):
        _files.replace(old, write)
    assert os.listdir(old.parent) == [old.name]


def test_the_longest_names_are_written(tmp_path, net):
    for path in (tmp_path / ("n" * 255), os.fsencode(tmp_path / "bytes")):
        net.save(path)
        assert rfa.load(path) == net
    assert len(os.listdir(tmp_path)) == 2


def test_names_of_files(tmp_path, net, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("plain", "with.two.dots", tmp_path / "of pathlib.npz", str(tmp_path / "ünicode")):
        net.save(path)
        assert rfa.load(path) == net
    assert sorted(os.listdir()) == ["of pathlib.npz", "plain", "with.two.dots", "ünicode"]
    for path in ("", "folder/"):
        with pytest.raises(ValueError, match=r"^path must name a file, got '"):
            net.save(path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("kept")
    with pytest.raises(OSError):
        net.save("folder")
    assert os.listdir("folder") == ["kept"]
    assert len(os.listdir()) == 5


def test_files_have_no_pickles_and_say_their_schema(old, net):
    with np.load(old, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    record = json.loads(str(arrays.pop("meta")))
    assert record["schema"] == 1 and record["kind"] == "network"
    assert arrays["W"].tobytes() == net.W.tobytes() and arrays["a"].tobytes() == net.a.tobytes()
    assert set(arrays) == {"W", "a"}


# ------------------------------------------------------------------ writers that are killed

WRITER = """
import sys
from rfa import _files
def write(file):
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    assert sys.stdin.readline() == "on\\n"
    file.write(b"whole")
_files.replace(sys.argv[1], write)
"""


def start_writer(path):
    """A process that has written half of a file and waits."""
    command = [sys.executable, "-P", "-c", WRITER, os.fspath(path)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "half\n"
    return writer


def hidden(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith(".rfa-"))


def test_what_a_killed_writer_leaves_goes_with_the_next_file(old, net):
    """The files of living writers, for the same path or another one, are not removed."""
    before = old.read_bytes()
    with start_writer(old) as killed, start_writer(old) as living:
        assert len(hidden(old.parent)) == 2
        killed.kill()
        killed.wait()
        assert old.read_bytes() == before and len(hidden(old.parent)) == 2
        net.save(old.with_name("other"))
        (left,) = hidden(old.parent)
        assert (old.parent / left).read_bytes() == b"half"
        living.communicate("on\n")
        assert living.returncode == 0
    assert old.read_bytes() == b"halfwhole"
    assert sorted(os.listdir(old.parent)) == ["other", "run.npz"]


def test_what_is_not_surely_abandoned_is_left(tmp_path, net):
    """Files that stay: of another host and recent, locked, or not temporary."""
    other = ".rfa-00000000-" if _files.HOST != "00000000" else ".rfa-11111111-"
    mine = f".rfa-{_files.HOST}-"
    (tmp_path / f"{other}{'0' * 16}.tmp").write_text("lately, elsewhere")
    (tmp_path / f"{mine}{'1' * 16}.tmp").write_text("by a thread of this process")
    (tmp_path / f"{mine}{'2' * 16}.tmp.npz").write_text("another's")
    (tmp_path / f"{mine}{'3' * 16}.tmp").mkdir()
    (tmp_path / f"{mine}{'4' * 16}.tmp").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").write_text("kept")
    left = set(os.listdir(tmp_path))
    long_ago = time.time() - _files.SILENCE - 99
    for name in (f"{other}{'5' * 16}.tmp", f".rfa-{'6' * 16}.tmp", f"{mine}{'7' * 16}.tmp"):
        (tmp_path / name).write_text("abandoned")
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / f"{mine}{'8' * 16}.tmp").write_text("abandoned just now")
    with open(tmp_path / f"{mine}{'1' * 16}.tmp", "r+b") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        net.save(tmp_path / "net")
    assert set(os.listdir(tmp_path)) == left | {"net"}
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_temporary_file_taken_for_an_abandoned_one_is_made_again(old, net, monkeypatch):
    """Another writer may remove the temporary file before it is locked."""
    flock, taken = fcntl.flock, []

    def lock_late(handle, operation):
        if not taken:
            taken.extend(hidden(old.parent))
            _files._remove_abandoned(os.fspath(old.parent))
        flock(handle, operation)

    monkeypatch.setattr(_files.fcntl, "flock", lock_late)
    rfa.Network(net.W, net.a).save(old)
    assert len(taken) == 1
    assert rfa.load(old) == rfa.Network(net.W, net.a)
    assert os.listdir(old.parent) == [old.name]


def test_a_file_system_without_locks(old, net, monkeypatch):
    def unknown(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_files.fcntl, "flock", unknown)
    left = f".rfa-{_files.HOST}-{'0' * 16}.tmp"
    (old.parent / left).write_text("whose?")
    _files.replace(old, lambda file: file.write(b"new"))
    assert old.read_bytes() == b"new"
    assert sorted(os.listdir(old.parent)) == [left, old.name]


def test_content_then_name_then_folder_go_to_the_disk(old, net, monkeypatch):
    done = []

    def note(function):
        original = getattr(os, function)

        def noted(first, *rest):
            place = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else first
            done.append((function, os.path.basename(place)))
            return original(first, *rest)

        return noted

    with monkeypatch.context() as patch:
        for function in ("fsync", "replace"):
            patch.setattr(_files.os, function, note(function))
        net.save(old)
    temporary = done[0][1]
    assert done == [("fsync", temporary), ("replace", temporary), ("fsync", old.parent.name)]
    assert temporary.startswith(f".rfa-{_files.HOST}-")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synchronised(old, net, monkeypatch, code):
    """A folder without fsync is no error. A bad disk is one, and the error names the file."""
    fsync, new = os.fsync, rfa.Network(net.W, net.a)

    def of_files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(_files.os, "fsync", of_files_only)
    if code == errno.EIO:
        with pytest.raises(OSError, match=re.escape(repr(os.fspath(old)))):
            new.save(old)
    else:
        new.save(old)
    assert rfa.load(old) == new and os.listdir(old.parent) == [old.name]


def test_a_limit_on_the_size_of_files_leaves_the_old_one(old):
    """A disk that is really full; in another process, which must not end."""
    program = """if True:
        import resource, sys, rfa
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        for save in (
            rfa.Network.random(m=400, d=9).save,
            rfa.Experiment(n=300, d=3, m=9, steps=2).run().save,
        ):
            try:
                save(sys.argv[1])
            except OSError as error:
                print(error)
    """
    before = old.read_bytes()
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, os.fspath(old)], capture_output=True, text=True
    )
    too_large = f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: {os.fspath(old)!r}\n"
    assert (done.stdout, done.stderr) == (too_large * 2, "")
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is full")
def test_a_full_device_is_named(net):
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        net.save("/dev/full")


# --------------------------------------------------------------------------- reading


@QUICK
@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from(["f4", "f8"]),
    st.none() | st.floats(0, 1e300),
    st.none() | st.integers(0, 2**130),
)
def test_networks_are_read_as_they_were(tmp_path_factory, m, d, dtype, omega_init, entropy):
    seed = None if entropy is None else np.random.SeedSequence(entropy, spawn_key=(3,))
    W = np.random.default_rng(m * d).standard_normal((m, d)).astype(dtype)
    net = rfa.Network(W, np.arange(m) / 3, omega_init=omega_init, seed=seed)
    path = tmp_path_factory.mktemp("net") / "net.npz"
    net.save(path)
    again = rfa.load(path)
    assert again.W.tobytes() == W.tobytes() and again.W.dtype == W.dtype
    assert again.a.tobytes() == net.a.tobytes() and again.omega_init == omega_init
    assert not again.W.flags.writeable and not again.a.flags.writeable
    state = [None if s is None else s.generate_state(3).tolist() for s in (seed, again.seed)]
    assert state[0] == state[1]


def assert_refused(path):
    with pytest.raises(ValueError) as error:
        rfa.load(path)
    assert type(error.value) is ValueError
    assert os.fspath(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_half_a_file_is_refused(old):
    whole = old.read_bytes()
    for size in {*range(0, len(whole), 37), len(whole) - 1}:
        old.write_bytes(whole[:size])
        assert_refused(old)


def test_a_damaged_file_is_refused_or_read_as_it_was(old, net):
    """Damage is refused or harmless: some bytes of a zip archive, such as times, do not matter."""
    whole = old.read_bytes()
    # the last 300 bytes are the archive's directory, where most kinds of damage can be done
    places = [*range(0, len(whole) - 300, 11), *range(len(whole) - 300, len(whole))]
    for place, flip in zip(places, [0x01, 0x40, 0xFF] * len(places), strict=False):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        old.write_bytes(damaged)
        try:
            again = rfa.load(old)
        except ValueError:
            assert_refused(old)
        else:
            assert again == net


META = {"schema": 1, "kind": "network", "omega_init": None, "seed": None}
ARRAYS = {"W": np.ones((2, 1)), "a": np.ones(2)}


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


@pytest.mark.parametrize(
    ("meta", "arrays"),
    [
        ("[]", ARRAYS),
        ("{", ARRAYS),
        ("1", ARRAYS),
        ("null", ARRAYS),
        (json.dumps(META | {"schema": None}), ARRAYS),
        (json.dumps(META | {"schema": "one"}), ARRAYS),
        (json.dumps(META | {"schema": 2}), ARRAYS),
        (json.dumps(META | {"kind": "soup"}), ARRAYS),
        *[(json.dumps(without(META, name)), ARRAYS) for name in META],
        *[(json.dumps(META), without(ARRAYS, name)) for name in ARRAYS],
        (json.dumps(META | {"kind": "run"}), ARRAYS),
        (json.dumps(META), ARRAYS | {"a": np.array([None, 1])}),
        (json.dumps(META), ARRAYS | {"W": np.array([[1.0], [np.nan]])}),
        (np.array([META], dtype=object), ARRAYS),
    ],
)
def test_files_that_are_not_quite_ours(tmp_path, meta, arrays):
    np.savez(tmp_path / "f.npz", meta=np.array(meta), **arrays)
    assert_refused(tmp_path / "f.npz")


def test_a_later_schema_is_told_from_damage(tmp_path):
    np.savez(tmp_path / "f.npz", meta=np.array(json.dumps(META | {"schema": 2})), **ARRAYS)
    with pytest.raises(ValueError, match=r"has schema 2, written by a later rfa.* up to 1$"):
        rfa.load(tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", meta=np.array(json.dumps(META)), **ARRAYS)
    assert rfa.load(tmp_path / "f.npz") == rfa.Network(**ARRAYS)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.npz", str(tmp_path / "no folder" / "f.npz")):
        with pytest.raises(FileNotFoundError, match="^there is no file '"):
            rfa.load(path)
    with pytest.raises(OSError):
        rfa.load(tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")
def test_a_refused_file_is_closed(old):
    content = old.read_bytes()
    before = len(os.listdir("/proc/self/fd"))
    for damaged in (b"", b"no", content[:300], content[:-9], b"PK\x03\x04" + content[90:]):
        old.write_bytes(damaged)
        assert_refused(old)
    assert len(os.listdir("/proc/self/fd")) == before


# ------------------------------------------------------------------ archives that are made wrong


def members(content):
    """Names and contents of an archive's members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, contents, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in contents:
            archive.writestr(name, content)
    return path


ONES = np.ones((3, 2)).tobytes()


def with_header(header, version=b"\x01\x00", data=ONES):
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def header_of(descr="'<f8'", order="False", shape="(3, 2)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


HEADERS = [
    header_of(shape=f"({'9' * 60},)"),
    header_of(shape=f"(0, {'9' * 60})"),
    header_of(shape=f"(0, {2**63})"),
    header_of(shape=f"({2**32}, {2**32})"),
    header_of(shape=f"({'1, ' * 100})"),
    header_of(shape="(-3, -2)"),
    header_of(shape="(True,)"),
    header_of(shape="(2.5,)"),
    header_of(shape="None"),
    header_of(shape="(3L, 2L)"),
    header_of(shape="(3, 3)"),
    header_of(descr="'|O'"),
    header_of(descr="'<U99999999999999'"),
    header_of(descr="'<f3'"),
    header_of(descr="'<i8'"),
    header_of(descr="'<c16'", shape="(3,)"),
    header_of(descr="[('a', '<f8', (9999999999,))]"),
    header_of(descr="7"),
    header_of(order="7"),
    b"(" * 9000,
    b"-" * 9000 + b"1",
    b"9" * 20_000,
    b"[]",
    b"{}",
    b"",
    b"\xff\xfe\n",
]


@pytest.mark.parametrize("header", HEADERS)
def test_headers_that_numpy_does_not_write(old, header):
    contents = members(old.read_bytes())
    packed(old, (contents | {"W.npy": with_header(header)}).items())
    assert_refused(old)


def test_headers_that_numpy_writes_elsewhere(old, net):
    """Arrays in Fortran order, in the other byte order, and at an odd offset."""
    contents, W = members(old.read_bytes()), net.W
    for header, data in (
        (header_of(), W.tobytes()),
        (header_of() + b"  \n", W.tobytes()),
        (header_of(order="True"), W.tobytes("F")),
        (header_of(descr="'>f8'"), W.astype(">f8").tobytes()),
    ):
        packed(old, (contents | {"W.npy": with_header(header, data=data)}).items())
        again = rfa.load(old)
        assert again == net
        assert again.W.flags.c_contiguous and again.W.flags.aligned and again.W.dtype.isnative
    for version in (b"\x02\x00", b"\x03\x00", b"\x09\x09"):
        packed(old, (contents | {"W.npy": with_header(header_of(), version)}).items())
        assert_refused(old)
    for content in (b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", contents["W.npy"][:-1]):
        packed(old, (contents | {"W.npy": content}).items())
        assert_refused(old)
    packed(old, (contents | {"W.npy": contents["W.npy"] + b"more"}).items())
    assert_refused(old)


def test_archives_of_other_tools(old, net):
    contents = members(old.read_bytes())
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed(old, contents.items(), kind)
        with pytest.raises(ValueError, match=r"meta is compressed; rfa writes plain arrays$"):
            rfa.load(old)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns, too
        packed(old, [*contents.items(), ("W.npy", contents["W.npy"])])
    with pytest.raises(ValueError, match="it has two arrays with the same name$"):
        rfa.load(old)
    packed(old, [("notes.txt", b"hello"), *contents.items(), ("more.npy", b"no array")])
    assert rfa.load(old) == net
    encrypted = bytearray(old.read_bytes())
    for place in (m.start() for m in re.finditer(b"PK\x01\x02", bytes(encrypted))):
        encrypted[place + 8] |= 1
    old.write_bytes(encrypted)
    with pytest.raises(ValueError, match="meta is encrypted; rfa writes plain arrays$"):
        rfa.load(old)


def test_what_an_archive_says_of_its_members_is_not_believed(tmp_path, old, net):
    whole = bytearray(old.read_bytes())
    # the directory's entry of the first member, meta: its sizes, and its name
    place = whole.index(b"PK\x01\x02")
    for begin, changed, words in (
        (place + 20, struct.pack("<II", 2**31, 2**31), "meta is larger than the file"),
        (
            place + 20,
            struct.pack("<II", 9, 9),
            "meta is damaged: its bytes or their place are wrong",
        ),
        (
            place + 42,
            struct.pack("<I", 2**31),
            "meta is damaged: its bytes or their place are wrong",
        ),
    ):
        damaged = whole.copy()
        damaged[begin : begin + len(changed)] = changed
        old.write_bytes(damaged)
        with pytest.raises(ValueError, match=words):
            rfa.load(old)
    # an array that a run can lack would not be missed under another name, or behind a comment
    run = tmp_path / "run"
    rfa.Experiment(n=9, d=2, m=3, steps=2).run().save(run)
    whole = run.read_bytes()
    place = whole.rindex(b"snapshot_1.npy")
    run.write_bytes(whole[:place] + b"S" + whole[place + 1 :])
    with pytest.raises(ValueError, match="a name in the archive is damaged"):
        rfa.load(run)
    place, last = (m.start() for m in [*re.finditer(b"PK\x01\x02", whole)][-2:])
    hidden = struct.pack("<H", whole.index(b"PK\x05\x06") - last)
    run.write_bytes(whole[: place + 32] + hidden + whole[place + 34 :])
    with pytest.raises(ValueError, match="it has a comment on an array; rfa writes none"):
        rfa.load(run)


def test_arrays_that_nobody_asked_for_are_not_read(old, net, monkeypatch):
    """Two gigabytes of zeros are two megabytes when compressed."""
    contents = members(old.read_bytes())
    with zipfile.ZipFile(old, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(10**6))
    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", forbidden(zipfile.ZipExtFile._read1, 10**5))
    assert rfa.load(old) == net
    for name in ("W.npy", "meta.npy"):
        packed(old, (contents | {name: bytes(10**6)}).items(), zipfile.ZIP_DEFLATED)
        assert_refused(old)


def forbidden(read, most):
    def checked(self, n):
        assert self._left < most
        return read(self, n)

    return checked


def test_what_is_no_file_of_arrays(tmp_path):
    (tmp_path / "text").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (tmp_path / "empty").write_bytes(b"")
    np.save(tmp_path / "array.npy", np.ones(3))
    os.mkfifo(tmp_path / "pipe")
    packed(tmp_path / "folders", [("a/", b""), ("a/meta.npy", b"")])
    packed(tmp_path / "nothing", [])
    for name, words in (
        ("text", "it is not an .npz archive"),
        ("empty", "it is not an .npz archive"),
        ("array.npy", "it is not an .npz archive"),
        ("pipe", "is a device or a pipe, not a file of rfa"),
        ("folders", "it lacks 'meta'"),
        ("nothing", "it lacks 'meta'"),
    ):
        assert_refused(tmp_path / name)
        with pytest.raises(ValueError, match=re.escape(words)):
            rfa.load(tmp_path / name)
    with pytest.raises(IsADirectoryError, match="is a folder, not a file of rfa"):
        rfa.load(tmp_path)


def test_a_disk_that_fails_is_not_a_damaged_file(old, monkeypatch):
    def fail(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        rfa.load(old)


@pytest.mark.parametrize("seed", range(2))
def test_a_run_damaged_at_random_is_refused_or_read_as_it_was(tmp_path, seed):
    rng, path = random.Random(seed), tmp_path / "run.npz"
    run = rfa.Experiment(n=12, d=2, m=3, steps=4, n_test=5).run(rng=seed, snapshots=[0, 2, 3])
    run.save(path)
    whole = path.read_bytes()
    loaded = 0
    for _ in range(150):
        damaged = bytearray(whole)
        # half of the damage goes to the archive's directory, at the end, and into its headers
        begin = rng.choice([0, len(whole) - 2500])
        for _ in range(rng.choice([1, 1, 2, 9])):
            damaged[rng.randrange(begin, len(whole))] = rng.choice([0, 255, rng.randrange(256)])
        cut = rng.choice([len(whole)] * 9 + [rng.randrange(len(whole))])
        path.write_bytes(damaged[:cut])
        try:
            again = rfa.load(path)
        except ValueError:
            assert_refused(path)
        else:
            again.save(path)
            assert path.read_bytes() == whole
            loaded += 1
    assert 5 < loaded < 100
