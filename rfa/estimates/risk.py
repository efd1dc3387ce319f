"""The error of a network on fresh points, which are drawn in batches and not kept.

The expectation over the label noise is computed, not sampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _runtime, _seeds, _validate
from rfa.data.clusters import StoredCallable
from rfa.data.dataset import Distribution
from rfa.estimates.intervals import MAX_TRIALS, clopper_pearson, empirical_bernstein
from rfa.network import Network

Floats = NDArray[np.floating]

# Reals of X held at once, so that the memory does not grow with the number of points.
BATCH_REALS = 2**22

# Is told of every batch of fresh points: X and f.
Listener = Callable[[Floats, Floats], None]

# Points of the first estimate in a sequence; each further estimate has twice as many.
FIRST_LOOK = 2000


class ErrorEstimate(NamedTuple):
    """Estimate of the error of a network on fresh points.

    Attributes
    ----------
    error : float or None
        Mean of (1 - eta(x)) 1[y~ f <= 0] + eta(x) 1[y~ f >= 0]. It estimates the probability that
        sgn(f) is not the observed label, over x and the label's noise; this noise is integrated
        out, not drawn. None for noise rules that do not flip labels with a probability eta(x).
    low, high : float or None
        Confidence interval of ``error``.
    clean_error : float
        Mean of 1[y~ f <= 0].
    clean_low, clean_high : float
        Clopper-Pearson interval of ``clean_error``.
    excess : float or None
        Mean of (1 - 2 eta(x)) 1[y~ f < 0] + (1 - eta(x)) 1[f = 0]: ``error`` minus the mean of
        eta(x), computed without cancellation.
    n : int
        Number of points.
    confidence : float
        Confidence of the intervals.
    """

    error: float | None
    low: float | None
    high: float | None
    clean_error: float
    clean_low: float
    clean_high: float
    excess: float | None
    n: int
    confidence: float


def test_error(
    network: Network,
    distribution: Distribution,
    n: int = 200_000,
    rng: _seeds.Seed = None,
    n_threads: int | None = None,
    *,
    width: float | None = None,
    confidence: float = 0.95,
) -> ErrorEstimate:
    """Error of a network on fresh points of the distribution, with the label noise integrated out.

    Parameters
    ----------
    network : Network
        The classifier sgn(f).
    distribution : XORClusters
        The distribution of the points.
    n : int, default 200000
        Number of points, at most 2^40. With ``width``, the largest number. Points are drawn in
        batches and not kept.
    rng : int, SeedSequence, Generator or None
        Seed, whose stream ``check`` is used, or a Generator to draw from.
    n_threads : int, optional
        Threads of the forward pass.
    width : float, optional
        Draw points until the interval is at most this wide, with estimates after 2000, 4000, 8000,
        ... points. The interval is that of the error or, if ``error`` is None, of the clean error.
    confidence : float, default 0.95
        The interval contains the true value with at least this probability, in (0, 1). With
        ``width`` this is the probability that the intervals of all estimates contain it.

    Returns
    -------
    ErrorEstimate
        A named tuple (error, low, high, clean_error, clean_low, clean_high, excess, n, confidence).

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type, if network and distribution differ in
        dimension, or if the distribution was loaded from a file and its law or eta is a function,
        of which the file has only the name.

    Notes
    -----
    Theorem 3.1, part 2 bounds ``error`` by eta + C sqrt(log(1/delta)/n). For a constant eta the
    interval is made of Clopper-Pearson intervals of P(y~ f < 0) and P(f = 0). Otherwise it is the
    empirical Bernstein interval. With ``width``, estimate k has the level
    (1 - confidence)/(k (k+1)). Costs 2 n m d flops.

    Examples
    --------
    >>> import numpy as np
    >>> from rfa import Network, XORClusters
    >>> ideal = Network(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), [0.5, 0.5, -0.5, -0.5])
    >>> round(test_error(ideal, XORClusters(eta=0.1), n=1000, rng=0).error, 3)
    0.1
    >>> test_error(ideal, XORClusters(eta=0.1), rng=0, width=0.01).n
    2000
    """
    n = _validate.positive_int(n, "n")
    if n > MAX_TRIALS:
        raise ValueError(f"n must be at most 2^40, got {_validate.shown(n)}")
    if width is None:
        return next(_looks(network, distribution, [n], rng, n_threads, confidence))
    width = _validate.positive_float(width, "width")
    for estimate in estimates(network, distribution, n, rng, n_threads, confidence):
        low, high = estimate.low, estimate.high
        if low is None or high is None:
            low, high = estimate.clean_low, estimate.clean_high
        if high - low <= width:
            break
    return estimate


test_error.__test__ = False  # type: ignore[attr-defined]


def estimates(
    network: Network,
    distribution: Distribution,
    most: int,
    rng: _seeds.Seed = None,
    n_threads: int | None = None,
    confidence: float = 0.999,
    *,
    listener: Listener | None = None,
) -> Iterator[ErrorEstimate]:
    """Estimates from 2000, 4000, 8000, ... and finally ``most`` points.

    Each estimate uses the points of the one before and further ones. With probability
    ``confidence`` the intervals of all estimates contain the true value, so the caller may stop at
    any of them.

    Parameters
    ----------
    network, distribution, rng, n_threads, confidence
        See :func:`test_error`.
    most : int
        Points of the last estimate.
    listener : callable, optional
        Called with X and f of each batch of points, before the estimate that they complete.

    Yields
    ------
    ErrorEstimate
    """
    sizes = [FIRST_LOOK]
    while 2 * sizes[-1] < most:
        sizes.append(2 * sizes[-1])
    sizes = [size for size in sizes if size < most] + [most]
    return _looks(network, distribution, sizes, rng, n_threads, confidence, listener)


def _looks(
    network: Network,
    distribution: Distribution,
    sizes: list[int],
    rng: _seeds.Seed,
    n_threads: int | None,
    confidence: float,
    listener: Listener | None = None,
) -> Iterator[ErrorEstimate]:
    """The estimates at these numbers of points. The arguments are checked before the first one."""
    _validate.instance(network, "network", Network, "a rfa.Network")
    _validate.instance(distribution, "distribution", Distribution, "a rfa.XORClusters")
    n_threads = _runtime.threads(n_threads)
    if network.d != distribution.d:
        raise ValueError(
            f"network takes samples of dimension {network.d}, distribution has d={distribution.d}"
        )
    name = stored_by_name(distribution)
    if name:
        raise ValueError(f"not applicable: the callable {name!r} was stored by its name only")
    confidence = _validate.open_fraction(confidence, "confidence")
    generator = _seeds.generator(_seeds.root(rng), "check")
    return _growing(network, distribution, sizes, generator, n_threads, confidence, listener)


def _growing(
    network: Network,
    distribution: Distribution,
    sizes: list[int],
    generator: np.random.Generator,
    n_threads: int | None,
    confidence: float,
    listener: Listener | None,
) -> Iterator[ErrorEstimate]:
    batch = max(1, BATCH_REALS // distribution.d)
    tally = _Tally(distribution)
    for look, size in enumerate(sizes, 1):
        while tally.n < size:
            X, y_clean = distribution.points(min(batch, size - tally.n), generator)
            f = network.decision_function(X, n_threads=n_threads)
            margin = y_clean * f
            if not np.isfinite(margin).all():
                raise ValueError("network must be smaller: f overflows on fresh points")
            tally.add(margin, distribution.noise_rate(X))
            if listener is not None:
                listener(X, f)
        level = (1 - confidence) / (look * (look + 1) if len(sizes) > 1 else 1)
        yield tally.estimate(level, confidence)


class _Tally:
    """Counts and sums over the points so far."""

    def __init__(self, distribution: Distribution) -> None:
        self.eta = None if callable(distribution.eta) else float(distribution.eta)
        self.drawn = noise_is_drawn(distribution)
        self.n = self.wrong = self.ties = 0
        self.total = self.squares = self.excess = 0.0

    def add(self, margin: Floats, eta: Floats) -> None:
        """Count points with margins y~ f and noise rates eta."""
        wrong, tie = margin < 0, margin == 0
        errors = np.where(margin <= 0, 1 - eta, 0) + np.where(margin >= 0, eta, 0)
        self.n += len(margin)
        self.wrong += int(wrong.sum())
        self.ties += int(tie.sum())
        self.total += float(errors.sum())
        self.squares += float((errors**2).sum())
        self.excess += float((1 - 2 * eta)[wrong].sum() + (1 - eta)[tie].sum())

    def estimate(self, level: float, confidence: float) -> ErrorEstimate:
        """The estimate; each interval misses its true value with probability at most ``level``."""
        clean = self.wrong + self.ties
        clean_low, clean_high = clopper_pearson(clean, self.n, 1 - level)
        error = low = high = excess = None
        if self.drawn:
            error, excess = self.total / self.n, self.excess / self.n
            low, high = self._interval(level)
        return ErrorEstimate(
            error, low, high, clean / self.n, clean_low, clean_high, excess, self.n, confidence
        )

    def _interval(self, level: float) -> tuple[float, float]:
        if self.eta is None:
            mean = self.total / self.n
            variance = max(0.0, self.squares - self.n * mean**2) / max(1, self.n - 1)
            return empirical_bernstein(mean, variance, max(2, self.n), 1 - level)
        # error = eta + (1 - 2 eta) P(y~ f < 0) + (1 - eta) P(f = 0); each P gets half the level
        wrong = clopper_pearson(self.wrong, self.n, 1 - level / 2)
        tie = clopper_pearson(self.ties, self.n, 1 - level / 2)
        part = sorted((1 - 2 * self.eta) * end for end in wrong)
        ends = [self.eta + x + (1 - self.eta) * y for x, y in zip(part, tie, strict=True)]
        return max(0.0, ends[0]), min(1.0, ends[1])


def noise_is_drawn(distribution: Distribution) -> bool:
    """Whether each label is flipped with probability eta(x), not a fixed number of labels."""
    return distribution.noise == "independent"


def stored_by_name(distribution: Distribution) -> str:
    """The name of the law or of eta, if a file has kept only the name of this function; else ""."""
    for value in (distribution.law, distribution.eta):
        if isinstance(value, StoredCallable):
            return value.name
    return ""


def reference_lines(distribution: Distribution) -> dict[str, float]:
    """Errors to compare an estimate with: those of the ideal classifier, or a bound for all.

    Parameters
    ----------
    distribution : XORClusters
        The distribution.

    Returns
    -------
    dict
        - If eta < 1/2 is constant and the clusters are Gaussian and equally likely:
          ``ideal_clean_error`` is the clean error 2p(1-p), p = Phi(1/(sqrt2 sigma)), of the ideal
          classifier sgn(abs<mu1,x> - abs<mu2,x>), and ``bayes_error`` is its error
          eta + (1 - 2 eta) 2p(1-p).
        - Else, if eta is constant: ``bayes_lower_bound`` is min(eta, 1 - eta), which no classifier
          beats.
        - If eta is a function: nothing.

    Examples
    --------
    >>> from rfa import XORClusters
    >>> f"{reference_lines(XORClusters())['ideal_clean_error']:.2g}"
    '5.7e-07'
    """
    if callable(distribution.eta):
        return {}
    eta = float(distribution.eta)
    uniform = distribution.balance in (None, "exact", (0.25,) * 4)
    if distribution.law != "gaussian" or not uniform or eta >= 0.5:
        return {"bayes_lower_bound": min(eta, 1 - eta)}
    assert distribution.sigma is not None, "None is resolved at construction"
    tail = 0.5 * math.erfc(0.5 / distribution.sigma) if distribution.sigma > 0 else 0.0
    ideal = 2 * tail * (1 - tail)
    return {"ideal_clean_error": ideal, "bayes_error": eta + (1 - 2 * eta) * ideal}
