"""Files: replaced whole or not at all, and read or refused in one sentence."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys

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
    """An older file, its bytes, and the folder that must hold it alone."""
    path = tmp_path / "run.npz"
    net.save(path)
    return path


class Disk:
    """A file that is full after some bytes."""

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
    assert seen == [0]  # nor was the temporary file open to others
    assert old.read_bytes() == b"new"


def test_the_umask_of_the_process_is_left_alone(old, net, monkeypatch):
    """Other threads make files too."""
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
    for path in (link, second, link):  # the first finds no file there yet
        net.save(path)
        assert link.is_symlink() and second.is_symlink() and not file.is_symlink()
        assert rfa.load(file) == net
        file.write_bytes(b"old")
    assert sorted(os.listdir(file.parent)) == ["run.npz"]
    assert sorted(os.listdir(link.parent)) == ["link.npz", "second.npz"]


def test_a_pipe_is_written_into(tmp_path, net):
    """As /dev/null is, which root must not lose."""
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
    """As the shell's >(command) is."""
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
    """Before anything is written, by destination, and by what writes."""
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
    """Root has all rights, so what access answers is made up."""
    folder, before = os.path.realpath(old.parent), old.read_bytes()
    for forbidden in (os.fspath(old), folder):
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda path, mode, no=forbidden: os.fspath(path) != no)
            for act in (_files.destination, net.save):
                with pytest.raises(PermissionError, match=re.escape(repr(os.fspath(old)))):
                    act(old)
            if forbidden == folder:  # as /dev is to users, who yet may write to /dev/null
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
    """Not the temporary file, of which the caller knows nothing."""
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
    """Some bytes of a zip archive, such as times, say nothing about its content."""
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
