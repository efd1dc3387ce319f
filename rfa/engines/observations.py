"""What engines observe: a table of quantities, from which all arrays and their sizes follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa.engines.problem import IntArray, Problem


class Quantity(NamedTuple):
    """A quantity that has a row for each recorded step.

    Attributes
    ----------
    name : str
        Its name.
    dtype : type
        Its type; whole numbers are counts, which an engine adds to.
    axes : str
        Shape of a row, a letter an axis: m neurons, k means, G training groups, K groups of
        training and test together.
    early : bool
        Whether only the steps up to the horizon have a row.
    """

    name: str
    dtype: type[np.generic]
    axes: str = ""
    early: bool = False


# What an engine observes: Observations, their allocation and the bytes they take follow from this.
OBSERVED = (
    Quantity("right", np.int64, "K"),
    Quantity("loss", np.float64, "K"),
    Quantity("flips", np.int64),
    Quantity("norm", np.float64, "m"),
    Quantity("projection", np.float64, "mk"),
    Quantity("active", np.int32, "mG"),
    Quantity("margin_low", np.float64, "K"),
    Quantity("margin_high", np.float64, "K"),
    Quantity("h_low", np.float64, "mG", early=True),
    Quantity("h_high", np.float64, "mG", early=True),
)


class Extent(NamedTuple):
    """How much is recorded: R rows, r of them up to the horizon, and the length of each axis."""

    R: int
    r: int
    m: int
    k: int
    G: int
    K: int

    @classmethod
    def of(cls, problem: Problem, m: int, at: IntArray) -> Extent:
        """That of m neurons and the steps in ``at`` (ascending)."""
        return cls(
            R=len(at),
            r=int(np.searchsorted(at, problem.horizon, side="right")),
            m=m,
            k=len(problem.means),
            G=problem.n_groups,
            K=problem.n_groups + problem.n_test_groups,
        )

    def shape(self, quantity: Quantity) -> tuple[int, ...]:
        """Shape of a quantity's array."""
        rows = self.r if quantity.early else self.R
        return (rows, *(getattr(self, axis) for axis in quantity.axes))

    def nbytes(self, quantities: Iterable[Quantity]) -> int:
        """Bytes that the arrays of quantities take together."""
        return sum(math.prod(self.shape(q)) * np.dtype(q.dtype).itemsize for q in quantities)


@dataclass(frozen=True, eq=False)
class Observations:
    """Rows that an engine fills, one for each recorded step.

    Training groups come first, then test groups (K of both together). Empty groups keep
    margin_low = inf, margin_high = -inf.

    Attributes
    ----------
    right : ndarray of int64, shape (R, K)
        Samples with y f > 0.
    loss : ndarray of float64, shape (R, K)
        Sum of the loss of y f, times the weights of training samples.
    flips : ndarray of int64, shape (R,)
        Entries of the activation matrix A that the step t-1 -> t changed; 0 at t = 0.
    norm : ndarray of float64, shape (R, m)
        Euclidean norm of each neuron.
    projection : ndarray of float64, shape (R, m, k)
        <w_j, mu> on each mean.
    active : ndarray of int32, shape (R, m, n_groups)
        Samples on which a neuron is active.
    margin_low, margin_high : ndarray of float64, shape (R, K)
        Smallest and largest y f.
    h_low, h_high : ndarray of float64, shape (r, m, n_groups)
        Smallest and largest <w_j, x_i> per group, for the r first rows: those at t <= horizon.
    """

    right: IntArray
    loss: NDArray[np.float64]
    flips: IntArray
    norm: NDArray[np.float64]
    projection: NDArray[np.float64]
    active: NDArray[np.int32]
    margin_low: NDArray[np.float64]
    margin_high: NDArray[np.float64]
    h_low: NDArray[np.float64]
    h_high: NDArray[np.float64]

    @classmethod
    def allocate(cls, problem: Problem, m: int, at: IntArray) -> Observations:
        """Rows for the steps in ``at`` (ascending)."""
        extent = Extent.of(problem, m, at)
        arrays: dict[str, NDArray[Any]] = {}
        for quantity in OBSERVED:
            make = np.zeros if np.issubdtype(quantity.dtype, np.integer) else np.empty
            arrays[quantity.name] = make(extent.shape(quantity), quantity.dtype)
        return cls(**arrays)
