"""The result of a baseline: its errors on fresh points, and its counts on the training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _validate
from rfa.data.clusters import XORClusters
from rfa.data.dataset import Dataset
from rfa.estimates.intervals import MAX_TRIALS, clopper_pearson
from rfa.estimates.risk import BATCH_REALS, stored_by_name

Floats = NDArray[np.float64]
Decide = Callable[[NDArray[np.floating]], NDArray[np.floating]]

# The number of fresh points if none is given: about POINT_REALS / d, between these two.
POINT_REALS, POINTS = 2 * 10**7, (2_000, 100_000)


@dataclass(frozen=True, eq=False)
class Baseline:
    """A classifier sgn(f), its error on fresh points and its counts on the training data.

    Attributes
    ----------
    name : str
        What the classifier is.
    clean_error : float
        Share of fresh points with y~ f <= 0, where y~ is the clean label.
    clean_low, clean_high : float
        Clopper-Pearson interval of ``clean_error``.
    points : int
        Number of fresh points.
    confidence : float
        Confidence of the interval.
    clean_wrong : int
        Clean training samples with y f <= 0.
    noisy_fitted : int
        Noisy training samples with y f > 0.
    least : float or None
        The least clean error of any classifier of this kind on the distribution, where it is known
        in closed form.
    """

    name: str
    clean_error: float
    clean_low: float
    clean_high: float
    points: int
    confidence: float
    clean_wrong: int
    noisy_fitted: int
    least: float | None
    _decide: Decide = field(repr=False)
    _d: int = field(repr=False)

    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """The values f of samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError, TypeError
            If X are no samples in dimension d, or if a value overflows.

        Examples
        --------
        >>> import rfa
        >>> data = rfa.XORClusters().sample(n=40, rng=0)
        >>> found = rfa.baselines.best_linear(data, rng=0, points=2000)
        >>> found.decision_function([[0.0, 0.0], [1.0, 0.0]]).shape
        (2,)
        """
        return _values(self._decide, _validate.samples(X, n_features=self._d), self.name)

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as values that JSON can express.

        Returns
        -------
        dict

        Examples
        --------
        >>> import rfa
        >>> data = rfa.XORClusters().sample(n=40, rng=0)
        >>> rfa.baselines.best_linear(data, rng=0, points=2000).to_dict()["least"]
        0.5
        """
        shown = [entry.name for entry in fields(self) if entry.repr]
        return {name: getattr(self, name) for name in shown}


def source(data: Dataset) -> XORClusters:
    """The clusters that data were drawn from, and points can be; ValueError if there are none."""
    if not isinstance(data.distribution, XORClusters) or data.y_clean is None:
        raise ValueError("data must have XORClusters as distribution, to draw fresh points from")
    name = stored_by_name(data.distribution)
    if name:
        raise ValueError(f"data must have a distribution, but a file has only the name of {name!r}")
    return data.distribution


def number_of_points(points: int | None, d: int) -> int:
    """The number of fresh points in dimension d."""
    if points is None:
        return int(np.clip(POINT_REALS // d, *POINTS))
    points = _validate.positive_int(points, "points")
    if points > MAX_TRIALS:
        raise ValueError(f"points must be at most 2^40, got {_validate.shown(points)}")
    return points


def evaluated(
    name: str,
    decide: Decide,
    data: Dataset,
    points: int,
    generator: np.random.Generator,
    confidence: float,
    least: float | None = None,
) -> Baseline:
    """The result of a classifier: fresh points are drawn in batches and not kept."""
    distribution = source(data)
    batch, wrong, left = max(1, BATCH_REALS // data.d), 0, points
    while left:
        X, y_clean = distribution.points(min(batch, left), generator)
        wrong += int((y_clean * _values(decide, X, name) <= 0).sum())
        left -= len(X)
    low, high = clopper_pearson(wrong, points, confidence)
    right = data.y * _values(decide, data.X, name) > 0
    return Baseline(
        name=name,
        clean_error=wrong / points,
        clean_low=low,
        clean_high=high,
        points=points,
        confidence=confidence,
        clean_wrong=int((data.clean & ~right).sum()),
        noisy_fitted=int((data.noisy & right).sum()),
        least=least,
        _decide=decide,
        _d=data.d,
    )


def _values(decide: Decide, X: NDArray[np.floating], name: str) -> NDArray[np.floating]:
    with np.errstate(over="ignore", invalid="ignore"):
        f = decide(X)
    if not np.isfinite(f).all():
        raise ValueError(f"X must be smaller: the {name} overflows")
    return f
