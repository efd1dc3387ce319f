"""What a statement compares: values with a bound, and what belongs to them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa.setting import CLUSTER_NAMES
from rfa.theory.evidence import Evidence
from rfa.theory.terms import Terms


class Constant(NamedTuple):
    """A constant of the paper in a bound.

    Attributes
    ----------
    name : str
        Its name.
    used : float
        Its value in the bound.
    empirical : float or None
        The value at which the inequality would be an equality on this run; None if such a value
        says nothing.
    literal : float or None
        Its value in the paper; None if the paper leaves it open.
    """

    name: str
    used: float
    empirical: float | None
    literal: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Values, each of which is compared with its bound.

    Attributes
    ----------
    relation : {">=", "<=", "<"}
        How a value is to compare with its bound.
    values, bound : array_like
        The left sides, and the right side or one for each.
    axes : dict of str to ndarray
        What each value belongs to: neuron, sample, cluster, step.
    tolerance : float
        What rounding can have added to a value.
    empty : str
        What to say if there are no values.
    trivial : bool
        Whether any value satisfies the bound.
    instead : str
        "no claim" or "undecided" if the comparison is not to decide; otherwise empty.
    why : str
        The reason for ``instead``, or a remark on the bound.
    constant : Constant or None
        The paper's constant in the bound.
    details : dict
        Further numbers.
    """

    relation: str
    values: ArrayLike
    bound: ArrayLike
    axes: dict[str, NDArray[Any]] = field(default_factory=dict)
    tolerance: float = 0.0
    empty: str = "nothing to compare"
    trivial: bool = False
    instead: str = ""
    why: str = ""
    constant: Constant | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Absent(NamedTuple):
    """Why a statement is not applicable, and details that are known nevertheless."""

    why: str
    details: dict[str, Any] = {}  # noqa: RUF012 - nothing changes it


def at_least(values: ArrayLike, bound: ArrayLike, **rest: Any) -> Comparison:
    """Value >= bound for every value."""
    return Comparison(relation=">=", values=values, bound=bound, **rest)


def at_most(values: ArrayLike, bound: ArrayLike, **rest: Any) -> Comparison:
    """Value <= bound for every value."""
    return Comparison(relation="<=", values=values, bound=bound, **rest)


def below(values: ArrayLike, bound: ArrayLike, **rest: Any) -> Comparison:
    """Value < bound for every value."""
    return Comparison(relation="<", values=values, bound=bound, **rest)


def of_lower_bound(name: str, bound: float, values: NDArray[np.float64]) -> Constant:
    """The constant of value >= constant, which the paper states as a number."""
    return Constant(name, bound, float(values.min(initial=math.inf)), bound)


def inverse(smallest: float) -> float:
    """1/smallest, infinite if smallest is not positive."""
    return 1 / smallest if smallest > 0 else math.inf


def value_alone(value: float, details: dict[str, Any]) -> Comparison:
    """A value without a bound, of which the paper says nothing exact."""
    return Comparison(
        relation=">=", values=value, bound=math.nan, instead="no claim", details=details
    )


# ------------------------------------------------------------------ axes


def by_neuron(e: Evidence, k: Terms) -> dict[str, NDArray[Any]]:
    """Axes of values by neuron of J and its mean."""
    j, c = e.pairs(k.C0)
    return {"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]}


def by_sample(e: Evidence) -> dict[str, NDArray[Any]]:
    """Axes of values by sample."""
    return {"sample": np.arange(e.n), "cluster": np.array(CLUSTER_NAMES)[e.cluster]}


def by_cluster() -> dict[str, NDArray[Any]]:
    """Axes of values by cluster."""
    return {"cluster": np.array(CLUSTER_NAMES)}


def by_step(steps: Iterable[int], **columns: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Axes of an array (steps, entries): the step of each row, and columns for the entries."""
    times = np.array(list(steps))
    size = len(next(iter(columns.values())))
    axes = {name: np.broadcast_to(column, (len(times), size)) for name, column in columns.items()}
    return {**axes, "step": np.broadcast_to(times[:, None], (len(times), size))}
