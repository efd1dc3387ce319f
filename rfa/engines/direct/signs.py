"""Room for the certified signs of the direct engine; see certify.pyx."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfa.engines.direct import certify
from rfa.engines.packing import LANE, WORD, aligned_zeros
from rfa.engines.problem import FloatArray, IntArray, Problem

# Bounds take 8 bytes for each lane and neuron. If they took more than this many bytes, there are
# none, and all signs are evaluated in every step.
BOUND_BYTES = 2**26

# The number of directions is at most this.
MAX_DIRECTIONS = 8

# Lengths of samples for which the bounds hold. Longer samples could change a sign by a movement
# whose square underflows; shorter ones lose too much of their own squares to underflow.
LARGEST, SHORTEST = 1e100, 1e-140

SMALLEST = float(np.finfo(np.float64).tiny)

# Samples that are copied to float64 at a time.
PORTION = 4096


class Signs:
    """Bounds on the pre-activations of every lane and neuron, and the transposed masks.

    ``directions`` (k, stride) are orthonormal rows, along which features are expected to move.
    ``factors`` (lanes, 2 k + 2) describe the samples of a lane: centre and radius along each
    direction, largest length outside of the directions, largest length.
    """

    def __init__(
        self,
        problem: Problem,
        basis: NDArray[np.float64],
        along: NDArray[np.float64],
        order: IntArray,
        m: int,
        stride: int,
        n_threads: int,
    ) -> None:
        X = problem.X
        n, d = X.shape
        self.n_lanes = -(-n // LANE)
        words, neuron_words = -(-n // WORD), -(-m // WORD)
        neurons = neuron_words * WORD
        self.factors = np.zeros((1, 2 * len(basis) + 2))
        self.directions = np.zeros((len(basis), stride))
        self.directions[:, :d] = basis
        self.certified = 8 * self.n_lanes * neurons <= BOUND_BYTES
        if self.certified:
            with np.errstate(over="ignore", invalid="ignore"):
                self.factors = lane_factors(X, order, along)
            # false for what is not a number
            self.certified = bool(self.factors[:, -1].max() <= LARGEST)
        # shorter weights have no inner product, in part or whole, beyond half of the range
        longest = max(float(self.factors[:, -1].max()), SMALLEST)
        self.reach = float(np.finfo(X.dtype).max) / 2 / longest if self.certified else np.inf
        lanes, k = self.n_lanes if self.certified else 1, len(self.directions)
        self.low = aligned_zeros((lanes, neurons), np.float32)
        self.high = aligned_zeros((lanes, neurons), np.float32)
        self.path = aligned_zeros((2 * k + 2, neurons), np.float64)
        self.found = np.zeros((m, k + 1))
        self.transposed = aligned_zeros((neuron_words, words * WORD), np.uint64)
        self.order = np.full(neurons, -1, np.intp)
        self.place = np.zeros(m, np.intp)
        self.doubles = aligned_zeros((n_threads, 2, neurons), np.float64)
        self.open = np.zeros((n_threads, neuron_words), np.uint64)
        self.list = np.zeros((n_threads, neurons), np.intp)
        self.bits = np.zeros((n_threads, neurons), np.uint16)
        self.reals = aligned_zeros(n_threads * 2 * neurons * X.itemsize, np.uint8)


def lane_order(problem: Problem, along: NDArray[np.float64]) -> IntArray:
    """The samples sorted by group, and within a group so that a lane has similar coordinates.

    ``along`` (n, k) are the coordinates. The first one sorts a group into strips, the second one
    sorts each strip.
    """
    groups, sizes = problem.groups, problem.group_sizes
    if along.shape[1] < 2:
        return np.argsort(groups, kind="stable")
    every = np.arange(len(groups))
    first, second = along[:, :2].T
    order = np.lexsort([first, groups])
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = np.repeat(sizes, sizes)
    strips = np.round(np.sqrt(size / LANE)).astype(np.int64)
    strip = (every - begin) * strips // size
    return order[np.lexsort([second[order], strip, groups[order]])]


def coordinates(X: FloatArray, basis: NDArray[np.float64], n_threads: int) -> NDArray[np.float64]:
    """<x_i, basis_c>, (n, k).

    Not by a matrix product: its bits would depend on the layout of X, and the threads of a BLAS
    stay busy for some time after a call, on the CPUs that the engine needs.
    """
    out = np.empty((len(X), len(basis)))
    certify.coordinates(X, np.ascontiguousarray(basis), out, n_threads)
    return out


def directions(problem: Problem) -> NDArray[np.float64]:
    """Orthonormal rows (k, d), along which features are expected to move.

    They span the means, or without means the mean of the samples.
    """
    means = problem.means
    if not len(means):
        # only its direction matters; copies of one layout, so that no bit depends on that of X
        means = np.zeros((1, problem.X.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            for begin in range(0, len(problem.X), PORTION):
                portion = problem.X[begin : begin + PORTION]
                means[0] += portion.astype(np.float64, order="C").sum(axis=0)
    rows = np.zeros((0, means.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for mean in means:
            rest = mean / max(float(np.abs(mean).max()), SMALLEST)
            size = np.linalg.norm(rest)
            for _ in range(2):  # the second time for what rounding has left
                rest = rest - rest @ rows.T @ rows
            if np.linalg.norm(rest) > 1e-8 * size and len(rows) < MAX_DIRECTIONS:
                rows = np.concatenate([rows, [rest / np.linalg.norm(rest)]])
    return rows


def lane_factors(X: FloatArray, order: IntArray, along: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factors of each lane, rounded up; see Signs.

    ``along`` (n, k) are the coordinates of the samples. Lengths are infinite if a sample is shorter
    than SHORTEST, but not zero.
    """
    k = along.shape[1]
    factors = np.empty((-(-len(X) // LANE), 2 * k + 2))
    for begin in range(0, len(X), PORTION):
        chosen = order[begin : begin + PORTION]
        samples = X[chosen].astype(np.float64)
        starts = np.arange(0, len(samples), LANE)
        places = along[chosen]
        first, last = np.minimum.reduceat(places, starts), np.maximum.reduceat(places, starts)
        centre = first / 2 + last / 2
        radius = np.maximum(last - centre, centre - first)
        squared = np.einsum("ij,ij->i", samples, samples)
        size = np.abs(samples).max(axis=1)
        squared[(size > 0) & (size < SHORTEST)] = np.inf
        # a difference of squares has lost half of the digits
        outside = np.sqrt(np.maximum(squared - (places**2).sum(axis=1), 0))
        longest = np.sqrt(np.maximum.reduceat(squared, starts)) * (1 + 1e-9)
        found = factors[begin // LANE : begin // LANE + len(starts)]
        found[:, :k] = centre
        found[:, k:-2] = radius * (1 + 1e-9) + 1e-12 * longest[:, None]
        found[:, -2] = np.maximum.reduceat(outside, starts) * (1 + 1e-9) + 1e-6 * longest
        found[:, -1] = longest
    return factors
