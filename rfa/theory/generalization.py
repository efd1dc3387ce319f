"""Theorem 3.1, part 2: the error on fresh points."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rfa import _seeds, _validate
from rfa.data import XORClusters
from rfa.network import Network

# Reals of X held at once: bounds the memory whatever the number of points.
BATCH_REALS = 2**22


class ErrorEstimate(NamedTuple):
    """Estimate of the error of a network on fresh points.

    Attributes
    ----------
    error : float
        Mean of (1 - eta(x)) 1[y~ f <= 0] + eta(x) 1[y~ f >= 0]: the probability, over the observed
        label too, that sgn(f) is not the label. The label's noise is integrated out, not drawn.
    clean_error : float
        Mean of 1[y~ f <= 0].
    standard_error : float
        Of ``error``.
    n : int
        Number of points.
    """

    error: float
    clean_error: float
    standard_error: float
    n: int


def test_error(
    network: Network,
    distribution: XORClusters,
    n: int = 200_000,
    rng: _seeds.Seed = None,
    n_threads: int | None = None,
) -> ErrorEstimate:
    """Error of a network on fresh points of the distribution, the label noise integrated out.

    Parameters
    ----------
    network : Network
        The classifier sgn(f).
    distribution : XORClusters
        Where the points are drawn from. Its noise rate at x counts, whatever its noise rule.
    n : int, default 200000
        Number of points; they are drawn in batches and not kept.
    rng : int, SeedSequence, Generator or None
        Seed (stream ``check``), or where to draw from.
    n_threads : int, optional
        Threads of the forward pass.

    Returns
    -------
    ErrorEstimate
        A named tuple (error, clean_error, standard_error, n).

    Raises
    ------
    ValueError
        If an argument is out of range, or network and distribution differ in dimension.

    Notes
    -----
    Theorem 3.1, part 2 bounds ``error`` by eta + C sqrt(log(1/delta) / n). Costs 2 n m d flops.

    Examples
    --------
    >>> import numpy as np
    >>> from rfa import Network, XORClusters
    >>> ideal = Network(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), [0.5, 0.5, -0.5, -0.5])
    >>> round(test_error(ideal, XORClusters(eta=0.1), n=1000, rng=0).error, 3)
    0.1
    """
    n = _validate.positive_int(n, "n")
    if network.d != distribution.d:
        raise ValueError(
            f"network takes samples of dimension {network.d}, distribution has d={distribution.d}"
        )
    generator = _seeds.generator(_seeds.root(rng), "check")
    batch = max(1, BATCH_REALS // distribution.d)
    total = squares = clean = 0.0
    for begin in range(0, n, batch):
        X, y_clean = distribution.points(min(batch, n - begin), generator)
        margin = y_clean * network.decision_function(X, n_threads=n_threads)
        eta = distribution.noise_rate(X)
        errors = np.where(margin <= 0, 1 - eta, 0) + np.where(margin >= 0, eta, 0)
        total += float(errors.sum())
        squares += float((errors**2).sum())
        clean += float(np.count_nonzero(margin <= 0))
    mean = total / n
    variance = max(0.0, squares / n - mean**2)
    return ErrorEstimate(mean, clean / n, math.sqrt(variance / n), n)


test_error.__test__ = False  # type: ignore[attr-defined]
