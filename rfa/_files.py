"""rfa's files: NumPy .npz without pickles, with a JSON record, replaced at once when complete."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

SCHEMA = 1


def replace(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Let write fill a temporary file beside path, then put it in path's place."""
    path = os.fspath(path)
    folder, name = os.path.split(path)
    if not name:
        raise ValueError(f"path must name a file, got {path!r}")
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's files are private; give the rights that open() would have given
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
    path = os.fspath(path)
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
    if schema > SCHEMA:
        raise ValueError(
            f"{path!r} has schema {schema}, written by a later rfa; this one reads up to {SCHEMA}"
        )
    for array in arrays.values():
        array.flags.writeable = False
    return arrays, meta
