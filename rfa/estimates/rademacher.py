"""Proposition B.1: the empirical Rademacher complexity of networks with a bounded first layer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _seeds, _validate

Array = NDArray[np.float64]

# Up to this many samples the mean is taken over all sign vectors, not over random ones.
ENUMERATED = 12
# Entries of an array of sign vectors by samples that is worked on at once: it stays in the cache.
BLOCK_REALS = 2**17
# Steps of an ascent. More of them gain little.
ASCENT_STEPS = 20


class Complexity(NamedTuple):
    """Empirical Rademacher complexity of a class of networks on given samples.

    Attributes
    ----------
    value : float
        The complexity. It is an estimate if sign vectors were drawn, and a lower estimate if the
        maximum is not exact.
    standard_error : float
        Standard error of ``value`` from the draws; 0 if all sign vectors were used.
    draws : int
        Number of sign vectors. Each is used together with its negative.
    exact_maximum : bool
        Whether the supremum over the class is exact for each sign vector, up to rounding. If not,
        it was replaced by the value that an ascent reached, which is at most the supremum.
    bound : float
        The bound of Proposition B.1 on ``value``, 2 R norm(a) sqrt(mean norm(x_i)^2) / sqrt(n).
    """

    value: float
    standard_error: float
    draws: int
    exact_maximum: bool
    bound: float


def rademacher_complexity(
    X: ArrayLike,
    a: ArrayLike,
    R: float = 1.0,
    rng: _seeds.Seed = None,
    draws: int = 100,
    starts: int = 4,
) -> Complexity:
    """Complexity of the networks with second layer a and norm_F(W) <= R on the samples X.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    a : array-like of shape (m,)
        Second layer, held fixed; the paper's is +1/sqrt(m) and -1/sqrt(m).
    R : float, default 1.0
        Bound of the first layer's Frobenius norm, above 0.
    rng : int, SeedSequence, Generator or None
        Seed, whose stream ``check`` is used, or a Generator to draw from.
    draws : int, default 100
        Sign vectors to draw, at least 2. If at most 12 samples are not 0, all sign vectors are used
        instead.
    starts : int, default 4
        Starting points of the ascent for each sign vector, at least 1. No ascent is needed for
        d <= 2 or if at most two samples are not 0: then the maximum is exact.

    Returns
    -------
    Complexity
        A named tuple (value, standard_error, draws, exact_maximum, bound).

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Notes
    -----
    The complexity is E_eps sup_W (1/n) sum_i eps_i f(x_i; W) (Appendix B). Let
    F(w) = sum_i eps_i relu(<w, x_i>), and let G+ and G- be the maxima of F and -F over the unit
    ball. A neuron j of length r_j contributes at most r_j abs(a_j) G+ if a_j > 0, and at most
    r_j abs(a_j) G- if a_j < 0. Let A+ and A- be the sums of a_j^2 over the neurons with a_j > 0
    and a_j < 0. By Cauchy-Schwarz over the neurons the supremum is R/n sqrt(A+ G+^2 + A- G-^2). It
    depends on m only through A+ and A-. For the paper's second layer and even m both are 1/2.

    Proposition B.1 bounds the complexity by ``bound`` (with norm(a) = 1 there). Half of ``bound``
    is a bound, too: by contraction E G+^2 <= E norm(sum_i eps_i x_i)^2, so the factor 2 of the
    Proposition is not needed.

    -eps exchanges G+ and G-, so eps and -eps are evaluated together. Half of all sign vectors are
    therefore enough to enumerate, and each draw is a pair.

    For d <= 2 a sweep over all directions finds the maximum. It costs O(n log n) once and O(n) per
    draw. For d > 2 the maximum is estimated from below by the best of several ascents; more starts
    never lower the estimate. An ascent costs at most 84 n min(n, d) flops for each sign of a draw.

    Examples
    --------
    >>> result = rademacher_complexity([[3.0, 4.0]], a=[1.0, -1.0])
    >>> result.value, result.bound, result.exact_maximum
    (5.0, 14.142135623730951, True)
    """
    X = _validate.samples(X)
    a = _validate.array(a, "a", 1)
    R = _validate.positive_float(R, "R")
    draws = _validate.integer(draws, "draws", 2)
    starts = _validate.positive_int(starts, "starts")
    _validate.sizes(draws=draws, starts=starts)
    generator = _seeds.generator(_seeds.root(rng), "check")
    points, unit = _scaled(X)
    second, unit_of_a = _scaled(a)
    R *= unit * unit_of_a
    n = len(X)
    mean_square = float(np.vdot(points, points)) / n
    bound = 2 * R * float(np.linalg.norm(second)) * math.sqrt(mean_square / n)
    if not math.isfinite(bound):
        raise ValueError("R, a and X must be smaller: the complexity would be beyond float64")
    points = _in_their_span(points[points.any(axis=1)])
    exact = points.shape[1] <= 2
    enumerated = len(points) <= ENUMERATED
    if enumerated:
        draws = 2 ** max(len(points) - 1, 0)
    # the starts are picked by a second generator, so that the signs that the first one draws do not
    # depend on the number of starts
    picks = np.random.Generator(np.random.PCG64(generator.integers(2**63)))
    picked = picks.integers(max(len(points), 1), size=starts - 1)
    plus = float(np.linalg.norm(second[second > 0]))
    minus = float(np.linalg.norm(second[second < 0]))
    suprema = np.empty(draws)
    block = max(1, BLOCK_REALS // (len(points) + 1))
    for begin in range(0, draws, block):
        part = slice(begin, min(begin + block, draws))
        if enumerated:
            eps = _enumerated_signs(np.arange(draws)[part], len(points))
        else:
            eps = np.where(generator.random((part.stop - begin, len(points))) < 0.5, -1.0, 1.0)
        up, down = _sweep(points, eps) if exact else _ascents(points, eps, picked)
        suprema[part] = np.hypot(plus * up, minus * down) / 2
        suprema[part] += np.hypot(plus * down, minus * up) / 2
    error = 0.0 if enumerated else float(suprema.std(ddof=1)) / math.sqrt(draws)
    return Complexity(R / n * float(suprema.mean()), R / n * error, draws, exact, bound)


def expected_bound(R: float, sigma: float, d: int, n: int) -> float:
    """The bound of Proposition B.1 on the expected complexity for n samples of the clusters.

    Parameters
    ----------
    R : float
        Bound of the first layer's Frobenius norm, above 0.
    sigma : float
        Standard deviation of the clusters, at least 0.
    d : int
        Dimension, at least 1.
    n : int
        Number of samples, at least 1.

    Returns
    -------
    float
        2 R sqrt(1 + sigma^2 d) / sqrt(n).

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Notes
    -----
    The means have length 1, so E norm(x)^2 = 1 + sigma^2 d (Section 2.1). The second layer is the
    paper's, +1/sqrt(m) and -1/sqrt(m).

    Examples
    --------
    >>> expected_bound(R=1, sigma=0.0, d=2, n=400)
    0.1
    """
    R = _validate.positive_float(R, "R")
    sigma = _validate.nonnegative_float(sigma, "sigma")
    d, n = _validate.positive_int(d, "d"), _validate.positive_int(n, "n")
    return 2 * R * math.hypot(1, sigma * math.sqrt(d)) / math.sqrt(n)


def _scaled(values: _validate.FloatArray) -> tuple[Array, float]:
    """Values divided by a power of two, in float64 and below 2, and that power."""
    _, exponent = np.frexp(np.abs(values).max())
    unit = math.ldexp(1.0, int(exponent) - 1)
    return values.astype(np.float64) / unit, unit


def _in_their_span(points: Array) -> Array:
    """Points with the same inner products and no more coordinates than there are points."""
    n, d = points.shape
    return points if d <= max(n, 2) else np.asarray(np.linalg.qr(points.T, mode="r")).T


def _enumerated_signs(numbers: NDArray[np.int64], n: int) -> Array:
    """The sign vector of length n for each number: entry i is -1 where bit i is set."""
    return np.where(numbers[:, None] >> np.arange(n) & 1, -1.0, 1.0)


def _sweep(points: Array, eps: Array) -> tuple[Array, Array]:
    """Maxima of F and of -F over the unit ball for each row of eps, for points of one or two reals.

    Let w turn by half a circle, from (1, 0) on. Each sample then becomes active or inactive exactly
    once, at its edge: the w that is orthogonal to it. Between two edges F(w) = <w, v>, where v is
    the sum of eps_i x_i over the active samples, and F(-w) = <w, v - s>, where s is the sum over
    all samples. So F has each extreme either at an edge or where w is parallel to v. In the second
    case its value is norm(v).
    """
    z = points @ np.array([1.0, 1j])[: points.shape[1]]
    # one more sample, with eps 0: its edge splits the half circle, so neighbouring edges are at
    # most a right angle apart
    z = np.append(z, 1.0)
    eps = np.hstack([eps, np.zeros((len(eps), 1))])
    right = z.real > 0
    z = np.where(right, z, -z)
    angles = np.angle(z)
    order = np.argsort(angles)
    z, right, eps = z[order], right[order], eps[:, order]
    edges = np.concatenate([[1.0], 1j * np.exp(1j * angles[order]), [-1.0]])
    # samples to the right are active at first; at its edge each becomes inactive, and v loses
    # eps z. A sample to the left, whose z was negated, becomes active, and v gains -eps z
    v = np.empty((len(eps), len(z) + 1), dtype=np.complex128)
    v[:, 0] = eps @ np.where(right, z, 0)
    np.cumsum(eps * -z, axis=1, out=v[:, 1:])
    v[:, 1:] += v[:, :1]
    up, down = np.zeros((2, len(eps)))
    for u in (v, v - (eps @ np.where(right, z, -z))[:, None]):
        # real part: <edge, u>, F at the edge; imaginary part: its derivative along the circle
        begin, end = edges[:-1].conj() * u, edges[1:].conj() * u
        parallel = np.copysign(np.abs(u), begin.real + end.real)
        # where the extreme replaces the value at an edge, both have one sign, and it is no smaller
        values = np.where(begin.imag * end.imag <= 0, parallel, begin.real)
        up = np.maximum(up, values.max(axis=1))
        down = np.maximum(down, -values.min(axis=1))
    return up, down


def _ascents(points: Array, eps: Array, picked: NDArray[np.int64]) -> tuple[Array, Array]:
    """Large values of F and of -F over the unit ball for each row of eps, from several starts.

    The first start maximizes the linear function sum_i eps_i <w, x_i>. Each other start lies
    halfway between the first one and a picked sample, so that a rotation of the samples rotates
    the starts, too.
    """
    both = np.vstack([eps, -eps])
    linear = _unit(both @ points)
    best = _ascent(points, both, linear)
    for x in _unit(points[picked]):
        best = np.maximum(best, _ascent(points, both, _unit(linear + x)))
    best = np.maximum(best, 0)
    return best[: len(eps)], best[len(eps) :]


def _ascent(points: Array, eps: Array, W: Array) -> Array:
    """Value of F, for each row of eps, after an ascent from the same row of W.

    Each step goes towards the direction of the gradient, where F would be largest if it were
    linear. A step that does not raise F is not taken, and the next one is half as long, since the
    active samples have changed too much.
    """

    def evaluate(W: Array) -> tuple[Array, Array]:
        H = W @ points.T
        active = eps * (H > 0)
        return active, np.einsum("ki,ki->k", active, H)

    active, best = evaluate(W)
    gradient = active @ points
    step = np.ones(len(eps))
    for _ in range(ASCENT_STEPS):
        moved = _unit((1 - step)[:, None] * W + step[:, None] * _unit(gradient))
        active, value = evaluate(moved)
        better = value > best
        W = np.where(better[:, None], moved, W)
        best = np.where(better, value, best)
        gradient[better] = active[better] @ points
        step = np.where(better, np.minimum(1, 1.5 * step), step / 2)
    return best


def _unit(vectors: Array) -> Array:
    """Each row divided by its length; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
