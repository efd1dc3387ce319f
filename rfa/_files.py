"""rfa's files: NumPy .npz without pickles, with a JSON record, replaced at once when complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import math
import os
import re
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from rfa import _validate

SCHEMA = 1

# A temporary file: the host of its writer, and a number of its own.
HOST = f"{zlib.crc32(os.uname().nodename.encode()):08x}"
TEMPORARY = re.compile(r"\.rfa-(?:([0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")

# Seconds without a write after which the writer of a temporary file is gone, wherever it ran.
SILENCE = 24 * 3600

# What the system says where a folder has no fsync.
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


def _text(path: str | os.PathLike[str]) -> str:
    """A path as text."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path must be a path, got {type(path).__name__}") from None
    if "\0" in name:
        raise ValueError("path must not have a null character in it")
    return name


def destination(path: str | os.PathLike[str]) -> tuple[str, os.stat_result | None]:
    """Where writing to path would write, links followed, and what is there; or why it cannot.

    What the system says of the place is asked before anything is written, so that a long
    computation does not find out at its end.
    """
    path = _text(path)
    folder, name = os.path.split(path)
    if name in ("", os.curdir, os.pardir):
        raise ValueError(f"path must name a file, got {path!r}")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"path must name a file, but {path!r} is a folder")
    if status is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"there is no permission to write {path!r}")
    if status is not None and not stat.S_ISREG(status.st_mode):
        return path, status
    file = os.path.realpath(path)
    for place in (folder or os.curdir, os.path.dirname(file)):
        if not os.path.isdir(place):
            raise FileNotFoundError(f"there is no folder {place!r} to write {path!r} in")
    if not os.access(os.path.dirname(file), os.W_OK | os.X_OK):
        raise PermissionError(f"there is no permission to make files in the folder of {path!r}")
    return file, status


def replace(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Let write fill a temporary file beside path, then put it in path's place.

    A link stays and the file it points to is replaced; a file keeps its mode. What is not a file
    (a device, a pipe) is written into. Temporary files of writers that were killed are removed.
    """
    path = _text(path)
    file, status = destination(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        # whole or not at all here too, and a pipe has no places to go back to
        content = io.BytesIO()
        write(content)
        with _named(path, path), open(path, "wb") as device:
            device.write(content.getbuffer())
        return
    folder = os.path.dirname(file)
    _remove_abandoned(folder)  # first, since they may be what the disk is full of
    # the kernel takes the umask from the mode of a new file
    mode = 0o666 if status is None else stat.S_IMODE(status.st_mode) & 0o777
    with _named(path, folder), _temporary(folder, mode) as (opened, temporary):
        write(opened)
        opened.flush()
        if status is not None:
            os.fchmod(opened.fileno(), mode)
        os.fsync(opened.fileno())
        # while it is open, and so locked
        os.replace(temporary, file)
    with _named(path, folder):
        _sync(folder)


@contextlib.contextmanager
def _temporary(folder: str, mode: int) -> Iterator[tuple[BinaryIO, str]]:
    """A new file and its path, locked as long as it is open; removed if anything is raised.

    A process that is killed removes nothing, but the system takes its locks away. So a temporary
    file that nobody locks is abandoned, and the next writer in the folder removes it. This needs
    no numbers of processes, which are given again, and no system but one with locks. An unnamed
    file (Linux's O_TMPFILE) would vanish with its writer, but it cannot take the place of a file
    that is there without having a name first, and not every file system has them.
    """
    path = os.path.join(folder, f".rfa-{HOST}-{os.urandom(8).hex()}.tmp")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as opened:
            # a file system without locks has none for _remove_abandoned either, which needs one
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                yield opened, path
                return
    except BaseException:
        # what went wrong first is what to tell, also where there is no temporary file yet
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    # removed by another writer before it was locked
    with _temporary(folder, mode) as another:
        yield another


def _remove_abandoned(folder: str) -> None:
    """Remove the temporary files in folder whose writers are gone.

    Those of another host only after a time of silence: a network's file system may be mounted so
    that locks are seen on one host alone. What cannot be opened, locked or removed is left.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [match for entry in entries if (match := TEMPORARY.fullmatch(entry.name))]
        for match in found:
            with contextlib.suppress(OSError):
                path = os.path.join(folder, match[0])
                with open(path, "r+b", opener=_without_following) as opened:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    silence = time.time() - os.fstat(opened.fileno()).st_mtime
                    if match[1] == HOST or silence > SILENCE:
                        os.unlink(path)


def _without_following(path: str, flags: int) -> int:
    """Open a file itself, and wait for nobody: what looks like a temporary file may be a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _sync(folder: str) -> None:
    """Have the names of a folder's files written to the disk, so that a power cut changes none."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder in which one may make files but not list them
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def _named(path: str, place: str) -> Iterator[None]:
    """Let the system's errors about no file, place or a temporary file in it name the path."""
    try:
        yield
    except OSError as error:
        name = error.filename
        ours = name in (None, place) or (
            isinstance(name, str)
            and os.path.dirname(name) == place
            and TEMPORARY.fullmatch(os.path.basename(name))
        )
        if error.errno is None or not ours:
            raise
        raise OSError(error.errno, error.strerror, path) from None


def write_npz(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray[Any, Any]], meta: dict[str, Any]
) -> None:
    """Write arrays and a JSON record with the kind of thing they are."""
    record = np.array(json.dumps({"schema": SCHEMA, **meta}))
    replace(path, lambda file: np.savez(file, meta=record, **arrays))  # type: ignore[arg-type]


class Stored:
    """The content of a file of write_npz: its record, and arrays, each read when it is asked for.

    Every method raises ValueError for what is wrong, in words that follow the file's name.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _understood("it is no .npz archive"):
            self._archive = zipfile.ZipFile(file)
        self._members = {info.filename: info for info in self._archive.infolist()}
        if len(self._members) < len(self._archive.infolist()):
            raise ValueError("it has two arrays of one name")
        # a damaged length of a comment would hide the arrays that follow
        if any(info.comment for info in self._archive.infolist()):
            raise ValueError("it has a comment on an array; rfa writes none")
        self._read: set[str] = set()
        # members may claim the same bytes, but not more of them than there are
        self._left = os.fstat(file.fileno()).st_size
        self.record = self._record()

    def _record(self) -> dict[str, Any]:
        text = self.array("meta")
        if text.ndim:
            raise ValueError(f"meta has shape {text.shape}, not one text")
        with _understood("meta is not JSON"):
            record = json.loads(str(text))
        return fields(record, "meta", ["schema", "kind"], further=True)

    def names(self) -> list[str]:
        """The names of the arrays, whether or not they can be read."""
        return [name.removesuffix(".npy") for name in self._members if name.endswith(".npy")]

    def finish(self, prefixes: tuple[str, ...], owner: str) -> None:
        """Refuse arrays that nobody has asked for if their names begin as those of the owner do.

        Others are not read. But a name is in the archive twice, and must be the same in both
        places, or a damaged name would let an array that may be absent go unmissed.
        """
        for file in self._members.keys() - self._read:
            if file.startswith(prefixes):
                name = _validate.shown(file.removesuffix(".npy"))
                raise ValueError(f"it has {name}, which {owner} does not have")
            with _understood("a name in the archive is damaged"):
                self._archive.open(self._members[file]).close()

    def array(self, name: str, types: str = "U") -> np.ndarray[Any, Any]:
        """An array of one of these types, read-only. Its size in memory is that in the file."""
        info = self._members.get(f"{name}.npy")
        if info is None:
            raise ValueError(f"it lacks {name!r}")
        self._read.add(info.filename)
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; rfa writes plain arrays")
        if info.compress_type != zipfile.ZIP_STORED:
            # a small file is to take little memory
            raise ValueError(f"{name} is compressed; rfa writes plain arrays")
        self._left -= info.file_size
        if self._left < 0:
            raise ValueError(f"{name} is larger than the file")
        with _understood(f"{name} is damaged: wrong bytes, or in a wrong place", MemoryError):
            content = self._archive.read(info)
        stream = io.BytesIO(content)
        with _understood(f"{name} is not as NumPy writes arrays"):
            version = np.lib.format.read_magic(stream)
            shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream)
        begin = stream.tell()
        known = [dtype.kind, f"{dtype.kind}{dtype.itemsize}"]
        if version != (1, 0) or not set(known) & set(types.split()):
            right = " or ".join(np.dtype(kind).name for kind in types.split())
            raise ValueError(f"{name} has dtype {dtype}, not {right}")
        if dtype.itemsize * math.prod(shape) != len(content) - begin or len(shape) > 8:
            raise ValueError(
                f"{name} has {len(content) - begin} bytes, not those of shape "
                f"{_validate.shown(shape)} and dtype {dtype}"
            )
        array: np.ndarray[Any, Any] = np.ndarray(
            shape, dtype, content, begin, order="F" if in_columns else "C"
        )
        # the type and the layout of this machine, should the file be of another's
        array = np.require(array, dtype.newbyteorder("="), ["C", "A"])
        array.flags.writeable = False
        return array


@contextlib.contextmanager
def _understood(complaint: str, *but: type[Exception]) -> Iterator[None]:
    """Let whatever a library raises about content that it does not understand be a ValueError.

    Libraries promise no kinds of exceptions for that. What the disk says stays as it is.
    """
    try:
        yield
    except Exception as error:
        of_the_disk = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
        if of_the_disk or isinstance(error, but):
            raise
        raise ValueError(complaint) from error


def fields(
    record: Any,
    place: str,
    names: Iterable[str],
    optional: Iterable[str] = (),
    *,
    further: bool = False,
) -> dict[str, Any]:
    """A JSON object that has these names and, but for optional and further ones, no others."""
    if not isinstance(record, dict):
        raise ValueError(f"{place} is {_validate.shown(record)}, not an object")
    for name in names:
        if name not in record:
            raise ValueError(f"{place} lacks {name!r}")
    unknown = [] if further else [name for name in record if name not in {*names, *optional}]
    if unknown:
        raise ValueError(f"{place} has {_validate.shown(unknown[0])}, which rfa does not write")
    return record


@contextlib.contextmanager
def _damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let what is raised about a file's content name the file, as a ValueError."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a file of rfa, or is damaged: {error}"
        ) from error


@contextlib.contextmanager
def read_npz(path: str | os.PathLike[str]) -> Iterator[Stored]:
    """The content of a file of write_npz; a ValueError raised about it names the file."""
    path = _text(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path!r}") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{path!r} is a folder, not a file of rfa")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path!r} is a device or a pipe, not a file of rfa")
    with open(path, "rb") as opened:
        with _damage(path):
            stored = Stored(opened)
            schema = stored.record["schema"]
            if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
                raise ValueError(f"schema {_validate.shown(schema)} is no integer of at least 1")
        if schema > SCHEMA:
            raise ValueError(
                f"{path!r} has schema {_validate.shown(schema)}, written by a later rfa; "
                f"this one reads up to {SCHEMA}"
            )
        with _damage(path):
            yield stored
