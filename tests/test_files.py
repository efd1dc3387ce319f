"""Files: replaced whole or not at all, and read or refused in one sentence."""

from __future__ import annotations

import json
import os
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


@pytest.mark.parametrize("function", ["fsync", "replace", "chmod"])
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
