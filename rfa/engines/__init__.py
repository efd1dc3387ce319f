"""How a step of gradient descent is computed.

Every engine has the same interface, and each takes the step of :mod:`rfa.reference` to rounding::

    engine = Engine(problem, W, a, n_threads)   # sorts, packs and allocates once
    engine.t                                    # steps taken
    engine.advance(until, at, out, row)         # many steps in one call -> rows of out written
    engine.diverged                             # the last advance stopped at a number out of range
    engine.weights()                            # (W, a), in the caller's order and type
    engine.get_state(), engine.set_state(s)     # bit-exact

``advance`` steps to t = ``until`` and fills the rows ``row``, ``row + 1``, ... of ``out`` at the
steps in ``at`` (ascending, those still to be recorded). It returns early when f, the next W (in
gram the next <w_j, x_i>, with weight decay over a power of ``shrink``) or, in direct, a <w_j, x_i>
is not finite; a signal handled by Python (Ctrl-C) is raised from it. Either way a step is taken
whole or not at all, no row is half filled (``engine.rows`` tells how many are), and going on gives
the bits of an undisturbed run.

- ``direct``: any shape. Activations are bits, evaluated where they can have changed; outputs and
  gradient add up rows of W and X by table look-up. O(n m d) a step, but for most pairs of a sample
  and a neuron only a few additions.
- ``gram``: n up to several d. The pre-activations of all samples are stepped by the Gram matrix,
  by the same look-ups; W is recovered when asked for. O(n^2 m) a step, n^2 + 4 n m reals beside
  copies of X and W; test points take n + 2 m each, and O(n m) when they are observed.
- ``planar``: d = 2. Samples are sorted by angle, a neuron is active on one arc of them. O(n + m) a
  step, and the samples that ends of arcs pass; in float64 whatever the type of W. Observing takes
  4 bytes a sample and group.
- ``reference``: the oracle in NumPy, slow.

After a step that was not taken because its numbers are not finite, t and W are those of the step
before; where gram would go on from, h, is then lost, and to advance again finds the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rfa._forks import cached_property
from rfa.reference import LOSSES

# What 1 - alpha * lambda can be at least, if it is not 0.
SMALLEST_SHRINK = 2.0**-53

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is minimised and what is observed on the way; validated by its maker.

    Attributes
    ----------
    X, y : ndarray of shapes (n, d) and (n,)
        Training samples, float32 or float64, and their observed labels (int64, in {-1, +1}).
    groups : ndarray of int64, shape (n,)
        Group of each sample, 0, ..., n_groups-1.
    n_groups : int
        Number of groups, empty ones included.
    means : ndarray of float64, shape (k, d)
        Directions on which the neurons are projected.
    test_X, test_y, test_groups, n_test_groups
        The same for points that are only observed; arrays of length 0 if there are none.
    alpha : float
        Step size.
    horizon : int
        Up to this step the range of the pre-activations is observed too.
    weights : ndarray of float64, shape (n,), optional
        Weight of each sample in the risk, at least 0; None is 1 for all.
    loss : str
        One of ``rfa.reference.LOSSES``.
    slope : float
        Of the leaky ReLU max(h, slope h), in [0, 1).
    shrink : float
        W is multiplied by this before the gradient is taken off, in [2^-53, 1]: 1 - alpha * lambda
        for a weight decay of lambda.
    """

    X: FloatArray
    y: IntArray
    groups: IntArray
    n_groups: int
    means: NDArray[np.float64]
    test_X: FloatArray
    test_y: IntArray
    test_groups: IntArray
    n_test_groups: int
    alpha: float
    horizon: int
    weights: NDArray[np.float64] | None = None
    loss: str = "logistic"
    slope: float = 0.0
    shrink: float = 1.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {list(LOSSES)}, got {self.loss!r}")
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope must be in [0, 1), got {self.slope}")
        if not SMALLEST_SHRINK <= self.shrink <= 1:
            raise ValueError(f"shrink must be in [2^-53, 1], got {self.shrink}")

    @property
    def loss_number(self) -> int:
        """The loss as the compiled engines call it."""
        return list(LOSSES).index(self.loss)

    @cached_property
    def weighted_y(self) -> NDArray[np.float64]:
        """Labels times sample weights, shape (n,)."""
        return self.y * (np.ones(len(self.y)) if self.weights is None else self.weights)

    @cached_property
    def group_sizes(self) -> IntArray:
        """Number of samples in each group, shape (n_groups,)."""
        return np.bincount(self.groups, minlength=self.n_groups)


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


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros whose first entry is at a multiple of 64 bytes, so that no vector straddles a line."""
    itemsize = np.dtype(dtype).itemsize
    size = shape if isinstance(shape, int) else math.prod(shape)
    buffer = np.zeros(size + 64 // itemsize, dtype)
    offset = -buffer.__array_interface__["data"][0] % 64 // itemsize
    return buffer[offset : offset + size].reshape(shape)
