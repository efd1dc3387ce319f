"""Chooses the steps of a run that are recorded, and those whose W is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.engines.observations import Extent
from rfa.engines.problem import IntArray, Problem
from rfa.training.history import nbytes

# The largest number of steps. Up to here float64, too, holds every step exactly.
MAX_STEPS = 2**53

# Unless record is None, all steps up to this one are recorded, or up to the horizon if it is
# smaller: the theory's statements are about every step.
EARLY_STEPS = 1000

# The largest size of a history in bytes, and also that of all snapshots together.
MAX_HISTORY = 2**34


def most_rows(problem: Problem, m: int) -> int:
    """The largest number of rows of a history, apart from the steps up to the horizon."""
    one = Extent.of(problem, m, np.array([problem.horizon + 1]))
    return MAX_HISTORY // nbytes(one)


def refuse_huge(problem: Problem, m: int, at: IntArray) -> None:
    """Refuse a history above MAX_HISTORY before it is allocated."""
    size = nbytes(Extent.of(problem, m, at))
    if size > MAX_HISTORY:
        raise ValueError(
            f"record must choose fewer steps: {len(at)} rows of m={m} neurons take "
            f"{size / 2**30:.3g} GiB, but at most {MAX_HISTORY // 2**30} GiB are recorded"
        )


def recorded_steps(
    record: str | int | Iterable[int] | None, steps: int, T: int, most: int
) -> IntArray:
    """The steps to record, ascending.

    With record="all" or an integer, more than ``most`` steps are refused before they are listed.
    """
    if record is None:
        return np.array([steps], np.int64)
    early = np.arange(min(T, EARLY_STEPS, steps) + 1)
    chosen: NDArray[Any]
    if isinstance(record, str):
        if record == "all":
            return _every(1, steps, most)
        if record != "log":
            raise ValueError(
                "record must be 'log', 'all', None, a positive int or a list of steps, "
                f"got {record!r}"
            )
        decades = np.log10(max(steps, 1))
        chosen = np.round(10 ** (np.arange(int(40 * decades) + 1) / 40))
    elif _holds_several(record):
        chosen = np.array(_steps(record, "record", steps), np.int64)
        return _ascending([early, chosen, [T - 1, T]], steps)
    else:
        chosen = _every(_validate.positive_int(record, "record"), steps, most)
    return _ascending([early, chosen, [T - 1, T, steps]], steps)


def _every(k: int, steps: int, most: int) -> IntArray:
    """The steps 0, k, 2k, ... if there are at most ``most`` of them."""
    if steps // k > most:
        raise ValueError(
            f"record must choose fewer steps: it asks for {steps // k} rows, but at most {most} of "
            f"this size, {MAX_HISTORY // 2**30} GiB, are recorded"
        )
    return np.arange(0, steps + 1, min(k, steps + 1), dtype=np.int64)


def _ascending(parts: list[Any], steps: int) -> IntArray:
    """The steps of all parts up to the last step of the run, each once, ascending.

    A part that contains T is a list, since T may exceed every integer type of NumPy.
    """
    reached = [
        [t for t in part if t <= steps] if isinstance(part, list) else part for part in parts
    ]
    merged = np.unique(np.concatenate(reached)).astype(np.int64)
    return merged[merged <= steps]


def kept_steps(snapshots: Any, steps: int, T: int, nbytes: int) -> set[int]:
    """The steps whose W, of size ``nbytes``, is kept: 1, T and ``snapshots``; none for None."""
    if snapshots is None:
        return set()
    if not _holds_several(snapshots):
        raise TypeError(f"snapshots must be a list of steps, got {_validate.shown(snapshots)}")
    asked = _steps(snapshots, "snapshots", steps)
    keep = {t for t in (1, T, *asked) if t <= steps}
    if asked and len(keep) * nbytes > MAX_HISTORY:
        raise ValueError(
            f"snapshots must be fewer: {len(keep)} W take {len(keep) * nbytes / 2**30:.3g} GiB, "
            f"but at most {MAX_HISTORY // 2**30} GiB are kept"
        )
    return keep


def _holds_several(value: Any) -> TypeGuard[Iterable[Any]]:
    """Whether a value is iterable, but not text, and not an array without dimensions."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray))


def _steps(values: Iterable[Any], name: str, steps: int) -> list[int]:
    """Steps as a list. The first one beyond the run raises, so that endless iterables end."""
    found = []
    for value in values:
        t = _validate.nonnegative_int(value, name)
        if t > steps:
            raise ValueError(f"{name} has step {_validate.shown(t)}, but the run ends at {steps}")
        found.append(t)
    return found
