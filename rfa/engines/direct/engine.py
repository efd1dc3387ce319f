"""The direct engine: any shape, O(n m d) a step, no n-by-m array of floats."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from rfa import _kernels
from rfa.engines.direct import loop
from rfa.engines.direct.signs import Signs, coordinates, directions, lane_order
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


class DirectEngine:
    """Certified signs for the activations, table look-ups for outputs and gradient.

    Samples are sorted by group, and within a group as Signs needs them. They are stored twice: in
    lanes for the signs, in chunks of columns for the sums. Memory: W three times, two copies of X,
    3/8 n m bytes of masks, n m / 8 of plans, and that of Signs. The state that the loop changes is
    in ``state``.
    """

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        dtype = problem.X.dtype
        self.n, d = problem.X.shape
        self.m = len(W)
        neurons = -(-self.m // TILE) * TILE
        words, test_words = -(-self.n // WORD), -(-len(problem.test_X) // WORD)
        width, partial, scratch = _kernels.layout(np.empty(1, dtype), words, test_words, neurons)
        chunks = -(-d // width)
        self.horizon, self.alpha = problem.horizon, problem.alpha
        self.loss, self.slope, self.shrink = problem.loss_number, problem.slope, problem.shrink
        self.means = problem.means
        self.n_groups, self.n_test_groups = problem.n_groups, problem.n_test_groups
        pieces = max(words, test_words, chunks) * -(-neurons // BLOCK)
        self.n_threads = threads_for(self.n * self.m * d, pieces, n_threads)

        basis = directions(problem)
        along = coordinates(problem.X, basis, self.n_threads)
        self.order = order = lane_order(problem, along)
        self.lanes = aligned_zeros((words * PER_WORD, d, LANE), dtype)
        layouts.fill_lanes(problem.X, order, self.lanes, self.n_threads)
        self.rows_of_X = aligned_zeros((chunks, words * WORD, width), dtype)
        layouts.fill_rows(problem.X, order, self.rows_of_X, self.n_threads)
        self.y, self.group = padded(problem.y[order], problem.groups[order])
        self.weighted = padded(problem.weighted_y[order], problem.groups[order])[0]
        segments = layouts.mask_segments(self.group[: self.n])
        self.segments = np.array(segments, dtype=np.int64).reshape(-1, 3)

        test_order = np.arange(len(problem.test_X))
        self.test_lanes = aligned_zeros((test_words * PER_WORD, d, LANE), dtype)
        if test_words:
            layouts.fill_lanes(problem.test_X, test_order, self.test_lanes, self.n_threads)
        self.test_y, self.test_group = padded(problem.test_y, problem.test_groups)

        self.W = aligned_zeros((2, neurons, chunks * width), dtype)
        self.W[0, : self.m, :d] = W
        self.a = a
        self.padded_a = aligned_zeros(neurons, dtype)
        self.padded_a[: self.m] = a
        self.masks = aligned_zeros((2, words, neurons), np.uint64)
        self.f = aligned_zeros(words * WORD, dtype)
        self.test_f = aligned_zeros(max(1, test_words) * WORD, dtype)
        self.c = aligned_zeros(words * WORD, dtype)
        self.linear = aligned_zeros((TILE, chunks * width), dtype)
        self.linear_H = aligned_zeros((words * WORD // width, TILE * width), dtype)
        self.partial = aligned_zeros(partial, dtype)
        self.scratch = aligned_zeros(self.n_threads * scratch, dtype)
        blocks = -(-neurons // BLOCK)
        self.lists, self.counts = room_for_plans(words * blocks)
        neuron_words = -(-self.m // WORD)
        self.output_lists, self.output_counts = room_for_plans(self.n_threads * neuron_words)
        self.signs = Signs(problem, basis, along, order, self.m, chunks * width, self.n_threads)
        self.ordered_W = aligned_zeros((chunks, neuron_words * WORD, width), dtype)
        self.ordered_a = aligned_zeros(neuron_words * WORD, dtype)
        # a switch for tests: every activation is compared with one from a full evaluation
        checked = words if os.environ.get("RFA_CHECK_SIGNS") == "1" else 0
        self.checked = np.zeros((checked, neurons), np.uint64)
        self.extremes = np.empty((self.n_threads, neurons, problem.n_groups, 2))
        self.state = loop.State(self)

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Nothing: the engine takes every problem."""
        return ""

    @property
    def t(self) -> int:
        """Steps taken."""
        return self.state.t

    @property
    def diverged(self) -> bool:
        """Whether the last advance stopped because <w_j, x_i>, f or the next W is not finite."""
        return self.state.diverged

    @property
    def rows(self) -> int:
        """Rows of the observations that are filled."""
        return self.state.row

    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int:
        """Step to t = until, observing at the steps in at; see :mod:`rfa.engines`."""
        return loop.advance(self.state, until, at, out, row)

    def weights(self) -> tuple[FloatArray, FloatArray]:
        """Copies of W_t and a."""
        d = self.lanes.shape[1]
        return self.W[self.state.side, : self.m, :d].copy(), self.a.copy()

    @property
    def stats(self) -> dict[str, int]:
        """Sums and signs that had to be computed; see :class:`rfa.Run`."""
        steps, looked_up, added, evaluated = self.state.counted
        sums = stats_of(steps, looked_up, added, self.masks.shape[1] * self.m)
        return sums | {"evaluated": LANE * evaluated}

    def get_state(self) -> dict[str, Any]:
        """t, W_t and A_{t-1} (which flips needs)."""
        return {
            "t": self.t,
            "W": self.weights()[0],
            "previous": self.masks[self.state.masks_side].copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what get_state returned."""
        self.state.restart(state["t"])
        self.W[0] = 0  # a step that diverged may have left NaN in the padding
        self.W[0, : self.m, : self.lanes.shape[1]] = state["W"]
        self.masks[0] = state["previous"]
