"""Which steps of a run are recorded, and at which of them W is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.engines.observations import Extent
from rfa.engines.problem import IntArray, Problem
from rfa.training.history import nbytes

# No run takes this many; up to here steps are exact in every type they go through.
MAX_STEPS = 2**53

# Steps up to this one, or to the horizon if that comes first, are recorded by every setting but
# None, so that the theory's statements, which speak of every step, can be checked.
EARLY_STEPS = 1000

# Bytes that what is recorded may take, and as many that the snapshots may.
MAX_HISTORY = 2**34


def most_rows(problem: Problem, m: int) -> int:
    """Rows that a history can have at the most, steps up to the horizon apart."""
    one = Extent.of(problem, m, np.array([problem.horizon + 1]))
    return MAX_HISTORY // nbytes(one)


def refuse_huge(problem: Problem, m: int, at: IntArray) -> None:
    """Refuse rows of a history that no memory holds, before they are allocated."""
    size = nbytes(Extent.of(problem, m, at))
    if size > MAX_HISTORY:
        raise ValueError(
            f"record asks for {len(at)} rows of m={m} neurons, {size / 2**30:.3g} GiB: at most "
            f"{MAX_HISTORY // 2**30} GiB are recorded, so record fewer steps"
        )


def recorded_steps(
    record: str | int | Iterable[int] | None, steps: int, T: int, most: int
) -> IntArray:
    """The steps to record, ascending; refused before there is a list of them if far above most."""
    if record is None:
        return np.array([steps], np.int64)
    early = np.arange(min(T, EARLY_STEPS, steps) + 1)
    chosen: NDArray[Any]
    if isinstance(record, str):
        if record == "all":
            return _every(1, steps, most)
        if record != "log":
            raise ValueError(
                f"record must be 'log', 'all', None, a positive int or steps, got {record!r}"
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
    """The steps 0, k, 2k, ...; more of them than a history can hold are refused."""
    if steps // k > most:
        raise ValueError(
            f"record asks for {steps // k} rows: at most {most}, {MAX_HISTORY // 2**30} GiB, are "
            "recorded of these sizes, so record fewer steps"
        )
    return np.arange(0, steps + 1, min(k, steps + 1), dtype=np.int64)


def _ascending(parts: list[Any], steps: int) -> IntArray:
    """The steps of all parts that the run has, each once; T may be far beyond any integer type."""
    reached = [
        [t for t in part if t <= steps] if isinstance(part, list) else part for part in parts
    ]
    merged = np.unique(np.concatenate(reached)).astype(np.int64)
    return merged[merged <= steps]


def kept_steps(snapshots: Any, steps: int, T: int, nbytes: int) -> set[int]:
    """The steps whose W is kept: 1, T and those asked for; none if snapshots is None.

    nbytes is the size of one W.
    """
    if snapshots is None:
        return set()
    if not _holds_several(snapshots):
        raise TypeError(f"snapshots must be steps, got {_validate.shown(snapshots)}")
    asked = _steps(snapshots, "snapshots", steps)
    keep = {t for t in (1, T, *asked) if t <= steps}
    if asked and len(keep) * nbytes > MAX_HISTORY:
        raise ValueError(
            f"snapshots asks for {len(keep)} W, {len(keep) * nbytes / 2**30:.3g} GiB: at most "
            f"{MAX_HISTORY // 2**30} GiB are kept, so keep fewer of them"
        )
    return keep


def _holds_several(value: Any) -> TypeGuard[Iterable[Any]]:
    """Whether it can be gone through; an array of no dimension cannot, though it has iter."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray))


def _steps(values: Iterable[Any], name: str, steps: int) -> list[int]:
    """Steps that the run has; what goes on for ever ends at the first beyond it."""
    found = []
    for value in values:
        t = _validate.nonnegative_int(value, name)
        if t > steps:
            raise ValueError(f"{name} has step {_validate.shown(t)}, the run ends at {steps}")
        found.append(t)
    return found
