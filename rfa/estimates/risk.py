"""The error on fresh points, streamed, with the label noise integrated out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _runtime, _seeds, _validate
from rfa.data.clusters import StoredCallable
from rfa.data.dataset import Distribution
from rfa.estimates.intervals import MAX_TRIALS, clopper_pearson, empirical_bernstein
from rfa.network import Network

Floats = NDArray[np.floating]

# Reals of X held at once: bounds the memory whatever the number of points.
BATCH_REALS = 2**22

# Points at the first look of a sequence of estimates; every further look has twice as many.
FIRST_LOOK = 2000


class ErrorEstimate(NamedTuple):
    """Estimate of the error of a network on fresh points.

    Attributes
    ----------
    error : float or None
        Mean of (1 - eta(x)) 1[y~ f <= 0] + eta(x) 1[y~ f >= 0]: the probability, over the observed
        label too, that sgn(f) is not the label. The label's noise is integrated out, not drawn.
        None where labels are not flipped with a probability eta(x) but by another noise rule.
    low, high : float or None
        Confidence interval of ``error``.
    clean_error : float
        Mean of 1[y~ f <= 0].
    clean_low, clean_high : float
        Clopper-Pearson interval of ``clean_error``.
    excess : float or None
        Mean of (1 - 2 eta(x)) 1[y~ f < 0] + (1 - eta(x)) 1[f = 0]: ``error`` minus the noise,
        without cancellation.
    n : int
        Number of points.
    confidence : float
        That of the intervals.
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
    """Error of a network on fresh points of the distribution, the label noise integrated out.

    Parameters
    ----------
    network : Network
        The classifier sgn(f).
    distribution : XORClusters
        Where the points are drawn from.
    n : int, default 200000
        Number of points, or, with width, the most to draw, at most 2^40; they are drawn in batches
        and not kept.
    rng : int, SeedSequence, Generator or None
        Seed (stream ``check``), or where to draw from.
    n_threads : int, optional
        Threads of the forward pass.
    width : float, optional
        Draw until the interval of the error (of the clean error, if the noise is not drawn with a
        probability) is at most this wide, looking after 2000, 4000, 8000, ... points.
    confidence : float, default 0.95
        Probability, at least, that the interval has the true value, in (0, 1). With width it holds
        for all looks together.

    Returns
    -------
    ErrorEstimate
        A named tuple (error, low, high, clean_error, clean_low, clean_high, excess, n, confidence).

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type, network and distribution differ in
        dimension, or the distribution has a callable of which only the name was stored.

    Notes
    -----
    Theorem 3.1, part 2 bounds ``error`` by eta + C sqrt(log(1/delta)/n). For a constant eta the
    interval is made of Clopper-Pearson intervals of P(y~ f < 0) and P(f = 0), else it is the
    empirical Bernstein interval. Look k has the level (1 - confidence)/(k (k+1)). Costs 2 n m d
    flops.

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
) -> Iterator[ErrorEstimate]:
    """Estimates from 2000, 4000, 8000, ..., and at last ``most`` points, the same points growing.

    Whenever one stops, the interval has the true value with the confidence.

    Parameters
    ----------
    network, distribution, rng, n_threads, confidence
        See :func:`test_error`.
    most : int
        Points of the last estimate.

    Yields
    ------
    ErrorEstimate
    """
    sizes = [FIRST_LOOK]
    while 2 * sizes[-1] < most:
        sizes.append(2 * sizes[-1])
    sizes = [size for size in sizes if size < most] + [most]
    return _looks(network, distribution, sizes, rng, n_threads, confidence)


def _looks(
    network: Network,
    distribution: Distribution,
    sizes: list[int],
    rng: _seeds.Seed,
    n_threads: int | None,
    confidence: float,
) -> Iterator[ErrorEstimate]:
    """The estimates at these numbers of points; the arguments are checked at once."""
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
    return _growing(network, distribution, sizes, generator, n_threads, confidence)


def _growing(
    network: Network,
    distribution: Distribution,
    sizes: list[int],
    generator: np.random.Generator,
    n_threads: int | None,
    confidence: float,
) -> Iterator[ErrorEstimate]:
    batch = max(1, BATCH_REALS // distribution.d)
    tally = _Tally(distribution)
    for look, size in enumerate(sizes, 1):
        while tally.n < size:
            X, y_clean = distribution.points(min(batch, size - tally.n), generator)
            margin = y_clean * network.decision_function(X, n_threads=n_threads)
            if not np.isfinite(margin).all():
                raise ValueError("network must not be so large that f overflows on fresh points")
            tally.add(margin, distribution.noise_rate(X))
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
        """What the counts come to, with intervals that are wrong with at most this probability."""
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
        # error = eta + (1 - 2 eta) P(y~ f < 0) + (1 - eta) P(f = 0), half the level for either
        wrong = clopper_pearson(self.wrong, self.n, 1 - level / 2)
        tie = clopper_pearson(self.ties, self.n, 1 - level / 2)
        part = sorted((1 - 2 * self.eta) * end for end in wrong)
        ends = [self.eta + x + (1 - self.eta) * y for x, y in zip(part, tie, strict=True)]
        return max(0.0, ends[0]), min(1.0, ends[1])


def noise_is_drawn(distribution: Distribution) -> bool:
    """Whether labels are flipped with a probability eta(x), not in exact numbers or by a budget."""
    return distribution.noise == "independent"


def stored_by_name(distribution: Distribution) -> str:
    """The name of a callable that drawing points would call but that was stored by name only."""
    for value in (distribution.law, distribution.eta):
        if isinstance(value, StoredCallable):
            return value.name
    return ""


def reference_lines(distribution: Distribution) -> dict[str, float]:
    """What no or hardly any classifier can beat.

    Parameters
    ----------
    distribution : XORClusters
        With a constant noise rate, or nothing is known.

    Returns
    -------
    dict
        For Gaussian clusters, equally likely, and eta < 1/2, the clean error 2p(1-p), p =
        Phi(1/(sqrt2 sigma)), of the ideal classifier sgn(abs<mu1,x> - abs<mu2,x>) as
        ``ideal_clean_error``, and ``bayes_error`` = eta + (1 - 2 eta) 2p(1-p), which is its error;
        otherwise ``bayes_lower_bound`` = min(eta, 1 - eta).

    Examples
    --------
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
