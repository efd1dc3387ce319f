"""Reads and writes rfa's files.

A file is a NumPy ``.npz`` archive: plain arrays, no pickles, and a JSON record. A new file takes
the place of an old one in a single move, once it is complete.
"""

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

# The name of a temporary file: a number for its writer's host, and a random number of its own.
HOST = f"{zlib.crc32(os.uname().nodename.encode()):08x}"
TEMPORARY = re.compile(r"\.rfa-(?:([0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")

# After this many seconds without a write, a temporary file of any host counts as abandoned.
SILENCE = 24 * 3600

# The errors of a file system that has no fsync for folders.
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)


def _text(path: str | os.PathLike[str]) -> str:
    """A path as text."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path must be a str or path-like, got {type(path).__name__}") from None
    if "\0" in name:
        raise ValueError("path must not contain a null character")
    return name


def destination(path: str | os.PathLike[str]) -> tuple[str, os.stat_result | None]:
    """The file that writing to path would write to, links followed, and its status if it exists.

    Raises the error that writing would meet: a long computation calls this at its beginning, so
    that it does not fail at its end.
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
    """Let ``write`` fill a temporary file beside path, then move that file to path.

    If path is a link, the link stays and the file that it points to is replaced. The new file has
    the mode of the old one. A device or a pipe is not replaced but written into. Temporary files
    that killed writers left in the folder are removed.
    """
    path = _text(path)
    file, status = destination(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        # in memory first: a failing write must leave nothing here either, and a pipe cannot seek
        content = io.BytesIO()
        write(content)
        with _named(path, path), open(path, "wb") as device:
            device.write(content.getbuffer())
        return
    folder = os.path.dirname(file)
    _remove_abandoned(folder)  # before writing, since the disk may be full of them
    # for a new file the kernel clears the umask's bits of this mode
    mode = 0o666 if status is None else stat.S_IMODE(status.st_mode) & 0o777
    with _named(path, folder), _temporary(folder, mode) as (opened, temporary):
        write(opened)
        opened.flush()
        if status is not None:
            os.fchmod(opened.fileno(), mode)
        os.fsync(opened.fileno())
        # while the file is open: it is locked, so no other writer removes it as abandoned
        os.replace(temporary, file)
    with _named(path, folder):
        _sync(folder)


@contextlib.contextmanager
def _temporary(folder: str, mode: int) -> Iterator[tuple[BinaryIO, str]]:
    """A new file and its path. The file is locked while it is open, and removed if anything raises.

    A killed process cannot remove its file, but the system releases its locks. So a temporary file
    without a lock is abandoned, and the next writer in the folder removes it. Process numbers would
    not do: the system gives them out again. Neither would an unnamed file (Linux's O_TMPFILE): it
    vanishes with its writer, but it needs a name before it can replace an existing file, and some
    file systems have none.
    """
    path = os.path.join(folder, f".rfa-{HOST}-{os.urandom(8).hex()}.tmp")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as opened:
            # without locks _remove_abandoned removes nothing, since it needs a lock itself
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                yield opened, path
                return
    except BaseException:
        # the first error is the one to report, not that of the removal
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    # another writer removed the file before it was locked
    with _temporary(folder, mode) as another:
        yield another


def _remove_abandoned(folder: str) -> None:
    """Remove the temporary files in folder whose writers are gone.

    A file of another host must also be without a write for SILENCE seconds, because some mounts of
    network file systems show a lock only on its own host. A file that cannot be opened, locked or
    removed stays.
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
    """Open a file without following links and without waiting: the name may belong to a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _sync(folder: str) -> None:
    """Write the names of a folder's files to the disk, so that they survive a power cut."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # the folder may be written but not read
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
    """Make system errors name the path that the user gave.

    This applies to errors that name no file, the place, or a temporary file in the place.
    """
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
    """Write arrays and a JSON record; the record's ``kind`` says what they describe."""
    record = np.array(json.dumps({"schema": SCHEMA, **meta}))
    replace(path, lambda file: np.savez(file, meta=record, **arrays))  # type: ignore[arg-type]


class Stored:
    """The content of a file of write_npz: its record, and its arrays, each read on request.

    Every method raises ValueError for wrong content. The caller puts the file's name before the
    message, so "it" in a message is the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _understood("it is not an .npz archive"):
            self._archive = zipfile.ZipFile(file)
        self._members = {info.filename: info for info in self._archive.infolist()}
        if len(self._members) < len(self._archive.infolist()):
            raise ValueError("it has two arrays with the same name")
        # if the length of a comment is damaged, the comment can hide the arrays behind it
        if any(info.comment for info in self._archive.infolist()):
            raise ValueError("it has a comment on an array; rfa writes none")
        self._read: set[str] = set()
        # arrays may share bytes of the file, but their sizes together must not exceed it
        self._left = os.fstat(file.fileno()).st_size
        self.record = self._record()

    def _record(self) -> dict[str, Any]:
        text = self.array("meta")
        if text.ndim:
            raise ValueError(f"meta must be a single text, but has shape {text.shape}")
        with _understood("meta is not JSON"):
            record = json.loads(str(text))
        return fields(record, "meta", ["schema", "kind"], further=True)

    def names(self) -> list[str]:
        """The names of the arrays. The arrays themselves may be unreadable."""
        return [name.removesuffix(".npy") for name in self._members if name.endswith(".npy")]

    def finish(self, prefixes: tuple[str, ...], owner: str) -> None:
        """Refuse unread arrays whose names begin with one of ``prefixes``, those of the owner.

        Unread arrays with other names are left alone, except for one check. An archive has every
        name twice, and both must agree: otherwise an optional array with a damaged name would
        count as absent.
        """
        for file in self._members.keys() - self._read:
            if file.startswith(prefixes):
                name = _validate.shown(file.removesuffix(".npy"))
                raise ValueError(f"it has {name}, which {owner} does not have")
            with _understood("a name in the archive is damaged"):
                self._archive.open(self._members[file]).close()

    def array(self, name: str, types: str = "U") -> np.ndarray[Any, Any]:
        """An array of one of these types, read-only, and no larger in memory than in the file."""
        info = self._members.get(f"{name}.npy")
        if info is None:
            raise ValueError(f"it lacks {name!r}")
        self._read.add(info.filename)
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; rfa writes plain arrays")
        if info.compress_type != zipfile.ZIP_STORED:
            # a small compressed file could take any amount of memory
            raise ValueError(f"{name} is compressed; rfa writes plain arrays")
        self._left -= info.file_size
        if self._left < 0:
            raise ValueError(f"{name} is larger than the file")
        with _understood(f"{name} is damaged: its bytes or their place are wrong", MemoryError):
            content = self._archive.read(info)
        stream = io.BytesIO(content)
        with _understood(f"{name} is not in NumPy's format for arrays"):
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
        # the file may come from a machine with another byte order
        array = np.require(array, dtype.newbyteorder("="), ["C", "A"])
        array.flags.writeable = False
        return array


@contextlib.contextmanager
def _understood(complaint: str, *but: type[Exception]) -> Iterator[None]:
    """Turn any exception of a library about wrong content into a ValueError with this complaint.

    Libraries do not promise which exceptions they raise for wrong content. Errors of the disk, and
    the exceptions in ``but``, stay as they are.
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
    """A JSON object that has all of ``names``.

    Its other names must be among ``optional``, unless ``further`` allows any.
    """
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
    """Turn errors about a file's content into ValueErrors that name the file."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a file of rfa, or is damaged: {error}"
        ) from error


@contextlib.contextmanager
def read_npz(path: str | os.PathLike[str]) -> Iterator[Stored]:
    """The content of a file of write_npz; a ValueError about the content names the file."""
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
                raise ValueError(
                    f"schema must be an integer of at least 1, got {_validate.shown(schema)}"
                )
        if schema > SCHEMA:
            raise ValueError(
                f"{path!r} has schema {_validate.shown(schema)}, written by a later rfa; "
                f"this one reads up to {SCHEMA}"
            )
        with _damage(path):
            yield stored
