"""Linear classifiers sgn(<w, x> + b), with b = 0 or any b, in the plane of the cluster means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, _validate
from rfa.baselines.result import Baseline, Floats, evaluated, number_of_points, source
from rfa.data.clusters import XORClusters
from rfa.data.dataset import Dataset
from rfa.estimates.risk import BATCH_REALS

# Points that a classifier is fitted to, at most: the fit keeps their two coordinates in the plane.
MOST_FITTED = 2**16

# Directions of the fit with an intercept, one for each degree of a half-circle.
DIRECTIONS = 180

# A shorter arc between two directions, in radians, comes from the rounding of one.
ARC = 1e-12

# A search for a minimum: points of a grid in each variable, and how often it is narrowed by half.
GRID, NARROWED = 121, 40


class LinearOptimum(NamedTuple):
    """The linear classifier with the least clean error on a distribution.

    Attributes
    ----------
    error : float
        Its clean error.
    w : ndarray of shape (d,)
        Its direction, a unit vector in the plane of the means.
    b : float
        Its intercept; 0 without one.
    """

    error: float
    w: Floats
    b: float


def linear_optimum(distribution: XORClusters, *, intercept: bool = False) -> LinearOptimum:
    """The least clean error of all linear classifiers on Gaussian clusters, by its closed form.

    Parameters
    ----------
    distribution : XORClusters
        A distribution with the law "gaussian".
    intercept : bool, default False
        Whether the classifier is sgn(<w, x> + b) or sgn(<w, x>).

    Returns
    -------
    LinearOptimum
        A named tuple (error, w, b).

    Raises
    ------
    ValueError, TypeError
        If the law is another one, or an argument is of the wrong type.

    Notes
    -----
    With a unit vector w the clean error is sum_c p_c Phi(-y~_c (<w, mu_c> + b)/sigma), where p_c is
    the probability of cluster c. It is minimised over the angle of w in the plane of the means, and
    over b. A part of w outside of the plane only adds noise to <w, x>, which acts as a random
    intercept, and no random intercept is better than the best one.

    Without an intercept and with clusters of equal probability the error is 1/2 for every w, since
    the errors on mu and -mu add up to 1. This is what the paper says of linear classifiers. With an
    intercept it is 1/4 for narrow clusters: three of the four are classified.

    Examples
    --------
    >>> import rfa
    >>> rfa.baselines.linear_optimum(rfa.XORClusters()).error
    0.5
    >>> round(rfa.baselines.linear_optimum(rfa.XORClusters(), intercept=True).error, 4)
    0.2501
    """
    _validate.instance(distribution, "distribution", XORClusters, "a rfa.XORClusters")
    _intercept(intercept)
    if distribution.law != "gaussian":
        raise ValueError(
            f"distribution must have the law 'gaussian', got {_validate.shown(distribution.law)}"
        )
    sigma = distribution.sigma
    assert sigma is not None, "None is resolved at construction"
    weights = distribution.balance
    shares = np.full(4, 0.25) if weights in (None, "exact") else np.array(weights, dtype=float)

    def error(angle: Floats, b: Floats) -> Floats:
        along = [np.cos(angle), -np.cos(angle), np.sin(angle), -np.sin(angle)]
        margins = [y * (u + b) for y, u in zip(distribution.labels, along, strict=True)]
        return sum(p * _below_zero(s, sigma) for p, s in zip(shares, margins, strict=True))

    # beyond this intercept all points are on one side
    reach = (1 + 8 * sigma) * intercept
    angle, b, least = _minimum(error, reach)
    if not intercept and shares[0] == shares[1] and shares[2] == shares[3]:
        least = 0.5  # exactly: the errors on mu and -mu add up to 1
    w = math.cos(angle) * distribution.mu[0] + math.sin(angle) * distribution.mu[1]
    return LinearOptimum(least, w, b)


def _below_zero(margin: Floats, sigma: float) -> Floats:
    """P(margin + sigma Z <= 0)."""
    from scipy.special import ndtr

    if sigma == 0:
        return (margin <= 0).astype(np.float64)
    return ndtr(-margin / sigma)


def _minimum(error: Callable[[Floats, Floats], Floats], reach: float) -> tuple[float, float, float]:
    """The angle and the intercept, at most reach, with the least error, by a grid that narrows."""
    angle, b, half = math.pi, 0.0, math.pi
    for _ in range(NARROWED):
        angles = np.linspace(angle - half, angle + half, GRID)[:, None]
        offsets = np.linspace(-1, 1, GRID if reach else 1) * reach * half / math.pi + b
        values = error(angles, offsets)
        i, j = np.unravel_index(int(np.argmin(values)), values.shape)
        angle, b, least = float(angles[i, 0]), float(offsets[j]), float(values[i, j])
        half /= 2
    return angle, b, least


def best_linear(
    data: Dataset,
    *,
    intercept: bool = False,
    points: int | None = None,
    rng: _seeds.Seed = None,
    confidence: float = 0.95,
) -> Baseline:
    """The best linear classifier on the distribution of data, found on fresh points of it.

    Parameters
    ----------
    data : Dataset
        Data with a distribution. Nothing is fitted to the samples; they are only counted.
    intercept : bool, default False
        Whether the classifier is sgn(<w, x> + b) or sgn(<w, x>).
    points : int, optional
        Number of fresh points for the error, at most 2^40; None: 2e7/d, between 2000 and 100000.
        The classifier is fitted to as many others, but at most 65536.
    rng : int, SeedSequence, Generator or None
        Seed, whose stream ``check`` is used, or a Generator to draw from.
    confidence : float, default 0.95
        Confidence of the interval, in (0, 1).

    Returns
    -------
    Baseline
        Its ``least`` is the error of :func:`linear_optimum` for Gaussian clusters, otherwise None.

    Raises
    ------
    ValueError, TypeError
        If data have no distribution, or an argument is out of range or of the wrong type.

    Notes
    -----
    The classifier has the least number of errors against the clean labels of its fresh points, with
    w in the plane of the means. Without an intercept this is exact, by a sweep over all directions.
    With one it is the least over 180 directions, with all thresholds for each. So ``clean_error``
    estimates the error of one linear classifier, and no lower bound. For laws that are not Gaussian
    a w outside of the plane could be better if d > 2. Costs O(points d + 180 k log k) for k fitted
    points.

    The paper says that no linear classifier does better than guessing (Section 1). This is true
    without an intercept, for laws that are symmetric about the means.

    Examples
    --------
    >>> import rfa
    >>> data = rfa.XORClusters().sample(n=500, rng=0)
    >>> found = rfa.baselines.best_linear(data, intercept=True, rng=0)
    >>> found.clean_low < 0.25 < found.clean_high, found.points
    (True, 100000)
    """
    _validate.instance(data, "data", Dataset, "a rfa.Dataset")
    _intercept(intercept)
    distribution, points = source(data), number_of_points(points, data.d)
    confidence = _validate.open_fraction(confidence, "confidence")
    generator = _seeds.generator(_seeds.root(rng), "check")
    plane, y = _in_the_plane(distribution, min(points, MOST_FITTED), generator)
    u, b = _affine(plane, y) if intercept else (_direction(plane, y), 0.0)
    w = u @ distribution.mu
    known = distribution.law == "gaussian"
    least = linear_optimum(distribution, intercept=intercept).error if known else None
    name = "affine classifier" if intercept else "linear classifier"
    return evaluated(name, lambda X: X @ w + b, data, points, generator, confidence, least)


def _intercept(value: bool) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"intercept must be True or False, got {_validate.shown(value)}")


def _in_the_plane(
    distribution: XORClusters, n: int, generator: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """The coordinates (n, 2) of fresh points in the plane of the means, and their clean labels."""
    batch, found = max(1, BATCH_REALS // distribution.d), []
    for begin in range(0, n, batch):
        X, y = distribution.points(min(batch, n - begin), generator)
        found.append((X @ distribution.mu.T, y))
    planes, labels = zip(*found, strict=True)
    return np.concatenate(planes), np.concatenate(labels)


def _direction(plane: Floats, y: NDArray[np.int64]) -> Floats:
    """The unit vector u (2,) with the most points on which y <u, x> > 0.

    x is right for the half-circle of directions around y x. A sweep counts the half-circles at the
    angles between all of their ends.
    """
    turn = 2 * math.pi
    turned = plane * y[:, None]
    turned = turned[(turned != 0).any(axis=1)]
    begin = (np.arctan2(turned[:, 1], turned[:, 0]) - math.pi / 2) % turn
    ends = np.concatenate([begin, (begin + math.pi) % turn])
    change = np.repeat([1, -1], len(begin))
    order = np.argsort(ends, kind="stable")
    ends, change = ends[order], change[order]
    if not len(ends):
        return np.array([1.0, 0.0])
    gaps = np.diff(ends, append=ends[0] + turn)
    count = np.where(gaps > ARC, (begin >= math.pi).sum() + np.cumsum(change), -1)
    best = int(np.argmax(count))
    angle = ends[best] + gaps[best] / 2
    return np.array([math.cos(angle), math.sin(angle)])


def _affine(plane: Floats, y: NDArray[np.int64]) -> tuple[Floats, float]:
    """The unit vector (2,) and the intercept with the least errors, of 180 directions."""
    n, least, found = len(y), len(y) + 1, (np.array([1.0, 0.0]), 0.0)
    for angle in np.arange(DIRECTIONS) * math.pi / DIRECTIONS:
        u = np.array([math.cos(angle), math.sin(angle)])
        along = plane @ u
        order = np.argsort(along)
        along, positive = along[order], y[order] > 0
        # errors of the label +1 beyond the first k points, k = 0, ..., n
        errors = np.concatenate([[0], np.cumsum(np.where(positive, 1, -1))]) + (~positive).sum()
        padded = np.concatenate([[along[0] - 1], along, [along[-1] + 1]])
        apart = padded[:-1] < padded[1:]
        for sign, wrong in ((1.0, errors), (-1.0, n - errors)):
            k = int(np.argmin(np.where(apart, wrong, n + 1)))
            if wrong[k] < least:
                threshold = float(padded[k] + padded[k + 1]) / 2
                least, found = int(wrong[k]), (sign * u, -sign * threshold)
    return found
