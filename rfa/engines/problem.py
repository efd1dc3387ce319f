"""What an engine minimises, and the points and directions that it observes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa._forks import cached_property
from rfa.data.dataset import Dataset
from rfa.kernels import levels
from rfa.losses import LOSSES
from rfa.setting import groups_of

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

# The smallest positive 1 - alpha * lambda: in float64 the difference is 0 or at least 2^-53.
SMALLEST_SHRINK = 2.0**-53


@dataclass(frozen=True, eq=False)
class Problem:
    """The risk that is minimised, and what is observed at a recorded step.

    X, y, groups and alpha are checked before a Problem is made.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Training samples, float32 or float64.
    y : ndarray of int64, shape (n,)
        Their observed labels, in {-1, +1}.
    groups : ndarray of int64, shape (n,)
        Group of each sample, 0, ..., n_groups-1.
    n_groups : int
        Number of groups, empty ones included.
    means : ndarray of float64, shape (k, d)
        Directions on which the neurons are projected.
    test_X, test_y, test_groups, n_test_groups
        The same for the test points, which do not enter the risk; arrays of length 0 if there are
        no test points.
    alpha : float
        Step size.
    horizon : int
        Up to this step the range of the pre-activations is observed.
    weights : ndarray of float64, shape (n,), optional
        Weight of each sample in the risk, at least 0. None: 1 for all.
    loss : str
        A key of ``rfa.losses.LOSSES``.
    slope : float
        Slope of the leaky ReLU max(h, slope h), in [0, 1); 0 is the ReLU.
    shrink : float
        In [2^-53, 1]. A step multiplies W by it and then subtracts alpha times the gradient: it is
        1 - alpha * lambda for a weight decay of lambda.

    Raises
    ------
    ValueError
        If loss, slope or shrink is out of range.
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
        """The number of the loss in the compiled engines."""
        return levels.LOSSES.index(self.loss)

    @cached_property
    def weighted_y(self) -> NDArray[np.float64]:
        """Labels times sample weights, shape (n,)."""
        return self.y * (np.ones(len(self.y)) if self.weights is None else self.weights)

    @cached_property
    def group_sizes(self) -> IntArray:
        """Number of samples in each group, shape (n_groups,)."""
        return np.bincount(self.groups, minlength=self.n_groups)

    @classmethod
    def of(cls, data: Dataset, test: Dataset | None, alpha: float, horizon: int) -> Problem:
        """The problem of training data and, if given, test data of the same dimension.

        ValueError if a test point is out of the range of the type of data.X.
        """
        groups, n_groups = _groups(data)
        test_groups, n_test_groups = _groups(test) if test is not None else (groups[:0], 0)
        return cls(
            X=data.X,
            y=data.y,
            groups=groups,
            n_groups=n_groups,
            means=data.means if data.means is not None else np.empty((0, data.d)),
            test_X=data.X[:0]
            if test is None
            else _validate.in_range(test.X, data.X.dtype, "test.X"),
            test_y=data.y[:0] if test is None else test.y,
            test_groups=test_groups,
            n_test_groups=n_test_groups,
            alpha=alpha,
            horizon=horizon,
        )


def _groups(data: Dataset) -> tuple[IntArray, int]:
    """The group of each sample, and the number of groups: two for each cluster, else one in all."""
    if data.cluster is None or data.y_clean is None or data.means is None:
        return np.zeros(data.n, np.int64), 1
    return groups_of(data.cluster, data.noisy), 2 * len(data.means)
