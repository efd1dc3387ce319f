"""The checks of arguments: this module alone converts and rejects what users pass.

Every function takes a value and the argument's name, and returns the value in a type that rfa
computes with. For a wrong value it raises ValueError or TypeError, with one sentence that begins
with the name and says what is right and what was given.
"""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np
import numpy.ma  # here, since NumPy imports np.ma only with its first use
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]

# mu counts as orthonormal if no entry of mu mu^T - I is larger than this.
ORTHONORMAL_TOLERANCE = 1e-8

# The largest number of a group. Every neuron has a count for every group.
MAX_GROUP = 2**16 - 1

# The largest size of an array in bytes.
MAX_BYTES = np.iinfo(np.intp).max


def shown(value: Any) -> str:
    """The text of a value in a message: one line of at most 80 characters."""
    if isinstance(value, int) and abs(value) > 10**60:
        return f"about {'-' if value < 0 else ''}2^{value.bit_length()}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # the caller's own __repr__ fails, or Python refuses to write a huge int
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def integer(value: Any, name: str, minimum: int) -> int:
    """A Python or NumPy integer of at least ``minimum``."""
    try:
        if isinstance(value, (bool, np.bool_, np.ma.MaskedArray)):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {shown(value)}") from None
    if result < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {shown(result)}")
    return result


def positive_int(value: Any, name: str) -> int:
    """An integer of at least 1."""
    return integer(value, name, 1)


def nonnegative_int(value: Any, name: str) -> int:
    """An integer of at least 0."""
    return integer(value, name, 0)


def real(value: Any, name: str) -> float:
    """A finite real number."""
    wrong: bool = isinstance(value, (bool, str, bytes, bytearray, complex, np.ma.MaskedArray))
    if isinstance(value, (np.ndarray, np.generic)):
        wrong |= value.dtype.kind not in "fiu" or value.ndim > 0
    if wrong:
        raise TypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        with np.errstate(over="ignore"):  # a longdouble may overflow: isfinite finds it below
            result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {shown(value)}") from None
    except OverflowError:
        raise ValueError(f"{name} must be finite, got a number beyond float64") from None
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {result}")
    return result


def positive_float(value: Any, name: str) -> float:
    """A finite number above 0."""
    result = real(value, name)
    if result <= 0:
        raise ValueError(f"{name} must be positive, got {result!r}")
    return result


def nonnegative_float(value: Any, name: str) -> float:
    """A finite number of at least 0."""
    result = real(value, name)
    if result < 0:
        raise ValueError(f"{name} must be at least 0, got {result!r}")
    return result


def fraction(value: Any, name: str) -> float:
    """A number in [0, 1]."""
    result = real(value, name)
    if not 0 <= result <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {result!r}")
    return result


def open_fraction(value: Any, name: str) -> float:
    """A number in (0, 1)."""
    result = real(value, name)
    if not 0 < result < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {result!r}")
    return result


def choice(value: Any, name: str, *choices: str) -> str:
    """One of the given words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {shown(value)}")
    return value


def flag(value: Any, name: str) -> bool | None:
    """True, False or None."""
    if not (value is None or isinstance(value, (bool, np.bool_))):
        raise TypeError(f"{name} must be True, False or None, got {shown(value)}")
    return None if value is None else bool(value)


def entries(values: Any, name: str, most: int) -> tuple[Any, ...]:
    """The entries of an iterable other than text, at most ``most``; it need not end by itself."""
    if isinstance(values, (str, bytes, bytearray)):
        raise TypeError(f"{name} must be several values, got {shown(values)}")
    try:
        iterator = iter(values)
    except TypeError:  # also for an array without dimensions, although it has __iter__
        raise TypeError(f"{name} must be several values, got {shown(values)}") from None
    result = tuple(itertools.islice(iterator, most + 1))
    if len(result) > most:
        raise ValueError(f"{name} must be at most {most} values, got more")
    return result


def instance(value: Any, name: str, kind: type, label: str) -> None:
    """An instance of ``kind``; ``label`` names the class in the message."""
    # by name: a class that looks like a Protocol's, or the class itself, is no instance
    if kind not in type(value).__mro__:
        raise TypeError(f"{name} must be {label}, got {type(value).__name__}")


def sizes(**named: int) -> None:
    """Sizes of an array of 8-byte entries that a machine word can address."""
    if math.prod(named.values()) * 8 > MAX_BYTES:
        listed = ", ".join(f"{name}={shown(size)}" for name, size in named.items())
        raise ValueError(f"{' and '.join(named)} make an array too large to address: {listed}")


def dtype(value: Any) -> np.dtype[Any]:
    """float32 or float64."""
    try:
        result = np.dtype(value)
    except Exception:  # NumPy raises many types here, and the caller's __repr__ may raise any
        result = np.dtype(object)
    if result not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {shown(value)}")
    return result


def _asarray(value: ArrayLike, name: str) -> NDArray[Any]:
    """np.asarray, with errors that name the argument."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array without a mask: fill or drop masked entries")
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise ValueError(f"{name} must be an array, with rows of one length") from None
        raise ValueError(f"{name} must be an array: {error}") from None


def array(value: ArrayLike, name: str, ndim: int) -> FloatArray:
    """A non-empty, finite, real array with ``ndim`` dimensions.

    float32 stays float32; any other type becomes float64. The result is read-only, in native byte
    order, and aligned. It is a view of the caller's array unless something must be converted, and
    the caller's array itself is never changed. (A field of a packed structure and a memory map at
    an odd offset are not aligned; they are copied.)
    """
    given = _asarray(value, name)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {given.dtype}")
    if given.ndim != ndim:
        raise ValueError(
            f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {given.shape}"
        )
    if given.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {given.shape}")
    kind = np.float32 if given.dtype.newbyteorder("=") == np.float32 else np.float64
    with np.errstate(over="ignore"):  # a longdouble may overflow: isfinite finds it below
        result = np.require(given.astype(kind, copy=False), requirements="A").view(np.ndarray)
    # a broadcast array repeats entries by strides of 0: each stored entry is checked once
    distinct = result[tuple(slice(0, 1) if step == 0 else slice(None) for step in result.strides)]
    # if the sum is finite, so are all entries: one pass, and no temporary array of the same size
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not math.isfinite(float(distinct.sum(dtype=np.float64)))
    if suspect:
        finite = np.isfinite(distinct)
        if not finite.all():
            index = np.unravel_index(int(np.argmin(finite)), distinct.shape)
            place = ", ".join(str(i) for i in index)
            raise ValueError(f"{name} must be finite, but {name}[{place}] is {distinct[index]}")
    result.flags.writeable = False
    return result


def in_range(
    array: FloatArray,
    dtype: np.dtype[Any],
    name: str,
    whose: str = "the type of the training data's X",
) -> FloatArray:
    """A finite array in the given type, which may have a smaller range; no copy if it has it."""
    with np.errstate(over="ignore"):
        result = array.astype(dtype, copy=False)
    if array.dtype != dtype and not np.isfinite(result).all():
        raise ValueError(
            f"{name} must be within the range of {dtype}, {whose}, "
            f"but has {float(np.abs(array).max()):.3g}"
        )
    return result


def samples(X: ArrayLike, name: str = "X", n_features: int | None = None) -> FloatArray:
    """A matrix (n, d) with one sample per row."""
    result = array(X, name, 2)
    if n_features is not None and result.shape[1] != n_features:
        raise ValueError(f"{name} must have {n_features} columns, got {result.shape[1]}")
    return result


def weights(W: ArrayLike, name: str = "W", n_features: int | None = None) -> FloatArray:
    """A first layer (m, d)."""
    return samples(W, name, n_features)


def vector(a: ArrayLike, size: int, name: str) -> NDArray[np.float64]:
    """A float64 vector of a given length."""
    result = array(a, name, 1).astype(np.float64, copy=False)
    if len(result) != size:
        raise ValueError(f"{name} must have {size} entries, got {len(result)}")
    result.flags.writeable = False
    return result


def rates(values: ArrayLike, size: int, name: str) -> NDArray[np.float64]:
    """A float64 vector of a given length with entries in [0, 1]."""
    result = vector(values, size, name)
    wrong = (result < 0) | (result > 1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(f"{name} must be in [0, 1], but {name}[{first}] is {result[first]}")
    return result


def labels(y: ArrayLike, size: int, name: str = "y") -> NDArray[np.int64]:
    """Labels in {-1, +1}."""
    given = _asarray(y, name)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of labels -1 and +1, got dtype {given.dtype}")
    if given.shape != (size,):
        raise ValueError(
            f"{name} must have one label for each of the {size} samples, got shape {given.shape}"
        )
    wrong = np.abs(given.astype(np.float64)) != 1
    if given.dtype.kind == "b" or wrong.any():
        hint = ""
        if np.isin(given, (0, 1)).all():
            numbers = f"{name}.astype(int)" if given.dtype.kind in "bu" else name
            hint = f"; for labels 0 and 1 use 2 * {numbers} - 1"
        first = int(np.argmax(wrong))
        raise ValueError(f"{name} must be -1 or +1, but {name}[{first}] is {given[first]}{hint}")
    result = given.astype(np.int64)
    result.flags.writeable = False
    return result


def groups(values: ArrayLike, size: int, name: str = "groups") -> NDArray[np.int64]:
    """Group numbers 0, ..., G-1."""
    given = _asarray(values, name)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers 0..G-1, got dtype {given.dtype}")
    if given.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {given.shape}")
    result = given.astype(np.int64)
    if result.min() < 0:
        first = int(np.argmax(result < 0))
        raise ValueError(f"{name} must be 0..G-1, but {name}[{first}] is {given[first]}")
    if result.max() > MAX_GROUP:
        raise ValueError(f"{name} must be at most {MAX_GROUP}, got {result.max()}")
    result.flags.writeable = False
    return result


def indices(J: ArrayLike, size: int, name: str) -> NDArray[np.int64]:
    """Different indices below ``size``, given as such or as a mask with ``size`` entries."""
    given = _asarray(J, name)
    if given.dtype.kind == "b":
        if given.shape != (size,):
            raise ValueError(f"{name} must have shape ({size},) as a mask, got {given.shape}")
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise TypeError(f"{name} must be a list of indices or a mask, got {shown(J)}")
    result = given.astype(np.int64)
    outside = (result < 0) | (result >= size)
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(f"{name} must be in 0..{size - 1}, but {name}[{first}] is {given[first]}")
    if len(np.unique(result)) < len(result):
        raise ValueError(f"{name} must have no index twice, got {shown(J)}")
    return result


def orthonormal_pair(mu: ArrayLike, d: int) -> NDArray[np.float64]:
    """Two orthonormal vectors, the rows of an array (2, d)."""
    result = array(mu, "mu", 2).astype(np.float64)
    if result.shape != (2, d):
        raise ValueError(f"mu must have shape (2, {d}), got {result.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        defect = float(np.abs(result @ result.T - np.eye(2)).max())
    if not defect <= ORTHONORMAL_TOLERANCE:  # true for NaN, too
        raise ValueError(
            f"mu must be orthonormal, but mu mu^T differs from the identity by {defect:.3g}"
        )
    result.flags.writeable = False
    return result
