"""rfa's files: NumPy .npz without pickles, with a JSON record, replaced at once when complete."""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

SCHEMA = 1


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
    (a device, a pipe) is written into.
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
    temporary = os.path.join(os.path.dirname(file), f".rfa-{os.urandom(8).hex()}.tmp")
    # the kernel takes the umask from the mode of a new file
    mode = 0o666 if status is None else stat.S_IMODE(status.st_mode) & 0o777
    try:
        with _named(path, temporary):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "wb") as opened:
                write(opened)
                opened.flush()
                if status is not None:
                    os.fchmod(handle, mode)
                os.fsync(handle)
            os.replace(temporary, file)
    except BaseException:
        # what went wrong first is what to tell, also where there is no temporary file yet
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _named(path: str, opened: str) -> Iterator[None]:
    """Let the system's errors about the opened file, or about none, name the caller's path."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, opened):
            raise
        raise OSError(error.errno, error.strerror, path) from None


def write_npz(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray[Any, Any]], meta: dict[str, Any]
) -> None:
    """Write arrays and a JSON record with the kind of thing they are."""
    record = np.array(json.dumps({"schema": SCHEMA, **meta}))
    replace(path, lambda file: np.savez(file, meta=record, **arrays))  # type: ignore[arg-type]


@contextlib.contextmanager
def damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a damaged file raises while it is read into one ValueError."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{os.fspath(path)!r} is not a file of rfa: it lacks {error}") from error
    except (
        ValueError,
        TypeError,
        EOFError,
        AttributeError,
        OSError,  # a place before the beginning of the file
        RuntimeError,  # encrypted, or compressed in an unknown way
        MemoryError,  # a header that promises more than there can be
        SyntaxError,  # a header that is not Python
        tokenize.TokenError,
        lzma.LZMAError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a file of rfa, or is damaged: {error}"
        ) from error


def read_npz(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """The arrays, read-only, and the record of a file of write_npz."""
    path = _text(path)
    try:
        # opened here, since np.load leaves the file open where it does not understand it
        opened = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path!r}") from None
    with opened, damage(path):
        with np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        schema = int(meta["schema"])
    if schema < 1:
        raise ValueError(f"{path!r} is not a file of rfa, or is damaged: schema {schema}")
    if schema > SCHEMA:
        raise ValueError(
            f"{path!r} has schema {schema}, written by a later rfa; this one reads up to {SCHEMA}"
        )
    for array in arrays.values():
        array.flags.writeable = False
    return arrays, meta
