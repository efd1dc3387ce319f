"""How a statement becomes a Check: the extreme of an array against a bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa.theory.evidence import Constants
from rfa.theory.report import Check

# From here on the theorem's probability 1 - 4 delta says nothing.
VACUOUS_DELTA = 0.25


def absent(ids: Iterable[str], why: str) -> tuple[Check, ...]:
    """Checks that are not applicable."""
    return tuple(Check(id=name, applicable=False, why=why) for name in ids)


def at_least(
    name: str, values: ArrayLike, bound: ArrayLike, constants: Constants, **rest: Any
) -> Check:
    """Value >= bound for every value; the check shows the one with the least slack."""
    return _compare(name, ">=", values, bound, constants, **rest)


def at_most(
    name: str, values: ArrayLike, bound: ArrayLike, constants: Constants, **rest: Any
) -> Check:
    """Value <= bound for every value; the check shows the one with the least slack."""
    return _compare(name, "<=", values, bound, constants, **rest)


def below(
    name: str, values: ArrayLike, bound: ArrayLike, constants: Constants, **rest: Any
) -> Check:
    """Value < bound for every value; the check shows the one with the least slack."""
    return _compare(name, "<", values, bound, constants, **rest)


def _compare(
    name: str,
    relation: str,
    values: ArrayLike,
    bound: ArrayLike,
    constants: Constants,
    *,
    axes: dict[str, NDArray[Any]] | None = None,
    unmet: Sequence[str] = (),
    empty: str = "nothing to compare",
    trivial: bool = False,
    **rest: Any,
) -> Check:
    """axes: what each entry of a flat values belongs to; trivial: any value satisfies the bound."""
    array = np.asarray(values, dtype=np.float64)
    limit = np.broadcast_to(np.asarray(bound, dtype=np.float64), array.shape)
    reasons = []
    if constants.delta >= VACUOUS_DELTA:
        reasons.append(f"delta = {constants.delta:g} makes 1 - 4 delta at most 0")
    if array.size == 0:
        return Check(
            id=name,
            relation=relation,
            vacuous=True,
            empty=True,
            unmet=tuple(unmet),
            why="; ".join([*reasons, empty]),
            **rest,
        )
    slack = array - limit if relation == ">=" else limit - array
    # a NaN is worse than any number
    worst = np.unravel_index(int(np.argmin(np.where(np.isnan(slack), -np.inf, slack))), array.shape)
    extreme, right = float(array[worst]), float(limit[worst])
    if relation == ">=" and right <= 0:
        reasons.append("the right side is not positive")
    if trivial:
        reasons.append("any value satisfies the bound")
    where = {}
    for axis, labels in (axes or {}).items():
        label = labels[worst]
        where[axis] = str(label) if isinstance(label, np.str_) else int(label)
    return Check(
        id=name,
        value=extreme,
        relation=relation,
        bound=right,
        vacuous=bool(reasons),
        unmet=tuple(unmet),
        where=where,
        why="; ".join(reasons),
        **rest,
    )


def grid(steps: Iterable[int], **columns: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Axes of an array (steps, entries): the step of each row, and columns for the entries."""
    times = np.array(list(steps))
    size = len(next(iter(columns.values())))
    axes = {name: np.broadcast_to(column, (len(times), size)) for name, column in columns.items()}
    return {**axes, "step": np.broadcast_to(times[:, None], (len(times), size))}
