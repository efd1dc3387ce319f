"""The gram engine: n up to several d; pre-activations are stepped by the Gram matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rfa import _kernels
from rfa.engines.gram import loop
from rfa.engines.observations import Observations
from rfa.engines.packing import (
    BLOCK,
    LANE,
    PER_WORD,
    TILE,
    WORD,
    aligned_zeros,
    padded,
    room_for_plans,
    stats_of,
    threads_for,
)
from rfa.engines.problem import FloatArray, IntArray, Problem
from rfa.kernels import layouts

# Every ANCHOR_PERIOD steps there is an anchor: H and the norms are computed from W again, so that
# the rounding errors of a million steps do not add up.
ANCHOR_PERIOD = 1024

# Steps whose masks are kept until they are all added to C at once.
KEPT_STEPS = 16

# With weight decay W, H and C are kept divided by shrink^(steps since the anchor), which must not
# become smaller than this.
SMALLEST_FACTOR = 2.0**-16


def products_out_of_range(X: FloatArray, test_X: FloatArray) -> bool:
    """Whether K could be not finite, or lose more by underflow of products than by rounding.

    It does not lose more if the square of every norm other than 0 is at least d times the smallest
    normal number: each of d products loses at most half of the last bit of that number.
    """
    limits, d = np.finfo(X.dtype), X.shape[1]
    points = [P for P in (X, test_X) if len(P)]
    squares = [np.einsum("ij,ij->i", P, P) for P in points]
    norms = [math.sqrt(square.max()) for square in squares]
    # half: sums of products are rounded
    if not norms[0] * max(norms) < float(limits.max) / 2:
        return True
    for P, square in zip(points, squares, strict=True):
        small = square < d * limits.tiny
        if small.any() and P[small].any():
            return True
    return False


class GramEngine:
    """H is changed by masked sums of rows of K = X X^T; W is recovered when it is asked for.

    The engine holds the arrays. ``state``, a State of loop.pyx, says where the run is.

    <w_j, p> for a mean or test point p is put together when it is observed. Samples are sorted by
    group. Memory in reals: n^2 for K, 4 n m for H three times and the coefficients, three copies of
    X, two of W, and d + n + 2 m for each test point; and 9/4 n m bytes for the masks of the last
    steps.
    """

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        self.sizes = self._sizes(problem, W, n_threads)
        dtype = problem.X.dtype
        self.n, self.d = problem.X.shape
        self.m = len(W)
        neurons = -(-self.m // TILE) * TILE
        k, tests = len(problem.means), len(problem.test_X)
        words, test_words = (-(-size // WORD) for size in (self.n, tests))
        width, partial, scratch = _kernels.layout(np.empty(1, dtype), words, test_words, neurons)
        columns = -(-self.d // WORD)
        blocks = -(-neurons // BLOCK)
        chunks = -(-self.n // width)
        self.n_threads = threads_for(self.n * self.m * self.n, chunks * blocks, n_threads)
        # H can be stepped in place
        self.in_place = _kernels.sums_at_once(words, neurons, chunks)

        self.lanes = aligned_zeros((words * PER_WORD, self.d, LANE), dtype)
        self.test_lanes = aligned_zeros((test_words * PER_WORD, self.d, LANE), dtype)
        self.X = aligned_zeros((-(-self.n // TILE) * TILE, columns * WORD), dtype)
        self.X_columns = aligned_zeros((columns * PER_WORD, self.n, LANE), dtype)
        self.rows_of_K = aligned_zeros((chunks, words * WORD, width), dtype)
        self.mean_K = np.zeros((k, words * WORD))
        self.test_K = aligned_zeros((test_words * PER_WORD, self.n, LANE), dtype)
        per_word = WORD // width  # chunks
        self.product = aligned_zeros((self.n_threads, per_word, len(self.X) * width), dtype)
        self.padded_a = aligned_zeros(neurons, dtype)
        self.anchor = aligned_zeros((2, neurons, columns * WORD), dtype)
        # a row for each neuron, then a tile whose first row all of them have in common
        self.C = aligned_zeros((neurons + TILE, words * WORD), dtype)
        self.recovered = aligned_zeros((self.n_threads, per_word, (neurons + TILE) * width), dtype)
        self.H = aligned_zeros((2, words * per_word, neurons, width), dtype)
        self.anchor_H = aligned_zeros((words * per_word, neurons, width), dtype)
        self.anchor_test_H = aligned_zeros((test_words * per_word, neurons, width), dtype)
        self.test_H = aligned_zeros((test_words * per_word, neurons, width), dtype)
        self.common_H = aligned_zeros((test_words * per_word, TILE * width), dtype)
        # squared norms and inner products with the means: anchor_dots of the anchor's rows, dots of
        # the rows of C or, one per thread, of a sample
        self.anchor_dots = np.zeros((neurons, 1 + k))
        self.dots = np.zeros((max(len(self.C), self.n_threads), 1 + k))
        self.masks = aligned_zeros((KEPT_STEPS + 2, words, neurons), np.uint64)
        self.f = aligned_zeros(words * WORD, dtype)
        self.test_f = aligned_zeros(max(1, test_words) * WORD, dtype)
        self.c = aligned_zeros((KEPT_STEPS, words * WORD), dtype)
        self.partial = aligned_zeros(partial, dtype)
        self.test_partial = aligned_zeros(partial, dtype)
        self.scratch = aligned_zeros(self.n_threads * scratch, dtype)
        self.lists, self.counts = room_for_plans(words * blocks)
        self.extremes = np.empty((self.n_threads, neurons, problem.n_groups, 2))
        self.state = loop.State(self)
        arrays = (value for value in vars(self).values() if isinstance(value, np.ndarray))
        self.nbytes = sum(array.nbytes for array in arrays)
        self.load(problem, W, a)

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Why the engine cannot take the problem; empty if it can."""
        if products_out_of_range(problem.X, problem.test_X):
            return (
                'engine must not be "gram" for points whose inner products overflow or underflow '
                f'{problem.X.dtype}; use engine="direct" or scale the data'
            )
        return ""

    @staticmethod
    def _sizes(problem: Problem, W: FloatArray, n_threads: int) -> tuple[Any, ...]:
        """All that the sizes of the arrays depend on."""
        (n, d), m = problem.X.shape, len(W)
        k, tests, groups = len(problem.means), len(problem.test_X), problem.n_groups
        threads = threads_for(n * m * n, n_threads, n_threads)
        return n, d, m, k, tests, groups, problem.X.dtype, threads

    def fits(self, problem: Problem, W: FloatArray, n_threads: int) -> bool:
        """Whether the arrays are those that a new engine for the problem would have."""
        return self.sizes == self._sizes(problem, W, n_threads)

    def load(self, problem: Problem, W: FloatArray, a: FloatArray) -> None:
        """Begin at t = 0 with a problem that the engine fits, whatever it has computed before.

        Padding was zero from the beginning and stays so. Everything else that is read is written
        here or by a step.
        """
        self.horizon, self.alpha, self.period = problem.horizon, problem.alpha, ANCHOR_PERIOD
        self.loss, self.slope, self.shrink = problem.loss_number, problem.slope, problem.shrink
        if self.shrink < 1:
            longest = math.log(SMALLEST_FACTOR) / math.log(self.shrink)
            self.period = max(1, min(ANCHOR_PERIOD, int(longest)))
        self.order = order = np.argsort(problem.groups, kind="stable")
        self.means = np.ascontiguousarray(problem.means)
        self.y, self.group = padded(problem.y[order], problem.groups[order])
        self.weighted = self.y
        if problem.weights is not None:
            self.weighted = padded(problem.weighted_y[order], problem.groups[order])[0]
        segments = layouts.mask_segments(self.group[: self.n])
        self.segments = np.array(segments, dtype=np.int64).reshape(-1, 3)
        self.test_y, self.test_group = padded(problem.test_y, problem.test_groups)
        self.n_groups, self.n_test_groups = problem.n_groups, problem.n_test_groups
        self.a = a
        self.padded_a[: self.m] = a
        self.state.describe(self)
        loop.load(self.state, problem.X, order, problem.test_X)
        self._start(W, 0)

    def _start(self, W: FloatArray, t: int) -> None:
        """Begin at step t, from W."""
        self.state.restart(t, anchored=t)
        loop.start(self.state, W.astype(self.X.dtype, copy=False))

    @property
    def t(self) -> int:
        """Steps taken."""
        return self.state.t

    @property
    def diverged(self) -> bool:
        """Whether the last advance stopped because f or the next W is not finite."""
        return self.state.diverged

    @property
    def rows(self) -> int:
        """Rows of the observations that are filled."""
        return self.state.row

    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int:
        """Step to t = until, observing at the steps in at; see :mod:`rfa.engines`."""
        return loop.advance(self.state, until, at, out, row)

    def weights(self) -> tuple[FloatArray, FloatArray]:
        """W_t, recovered, and a copy of a."""
        loop.catch_up(self.state)
        W = np.empty((self.m, self.d), self.anchor.dtype)
        loop.weights(self.state, W)
        return W, self.a.copy()

    @property
    def stats(self) -> dict[str, int]:
        """Sums that had to be computed; see :class:`rfa.Run`."""
        return stats_of(*self.state.counted, self.masks.shape[1] * self.m)

    def get_state(self) -> dict[str, Any]:
        """t, A_{t-1} (which flips needs), and what stands for W_t."""
        loop.catch_up(self.state)
        anchor = self.anchor[self.state.anchor_side]
        return {
            "t": self.t,
            "W": anchor[: self.m, : self.d].copy(),
            "previous": self.masks[0].copy(),
            "C": self.C.copy(),
            "H": self.H[self.state.side].copy(),
            "anchored": self.state.anchored,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what get_state returned, or from t, W and A_{t-1} alone."""
        self._start(state["W"], state["t"])
        self.masks[0] = state["previous"]
        if "H" in state:
            self.C[:], self.H[0] = state["C"], state["H"]
            self.state.restart(state["t"], state["anchored"])
