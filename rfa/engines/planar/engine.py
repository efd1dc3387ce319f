"""The planar engine: d = 2, O(n + m) a step, and what moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa.engines import observing
from rfa.engines.observations import Observations
from rfa.engines.packing import LANES, WORD, aligned_zeros
from rfa.engines.planar import loop
from rfa.engines.problem import FloatArray, IntArray, Problem

# Neurons from which a second thread pays for itself. Bits do not depend on it.
PARALLEL_NEURONS = 2**14


class Ring:
    """Samples in order of angle, those at the origin (active nowhere) behind them.

    ``x`` is in this order; ``x_lanes``, ``y``, ``group``, ``changes`` and ``f`` have it cut in
    LANES segments side by side: sample i stands at ``place[i]``. Padding has label 0, group -1.
    ``seam`` is the first sample, going around, if all lie in an open half-plane; else -1.
    """

    def __init__(self, X: FloatArray, y: IntArray, groups: IntArray) -> None:
        # + 0.0 turns -0.0 into 0.0, which arctan2 would tell apart
        points = X.T.astype(np.float64) + 0.0
        half = (points[1] < 0) | ((points[1] == 0) & (points[0] < 0))
        folded = np.where(half, -points, points) + 0.0
        angle = np.arctan2(folded[1], folded[0]) + np.pi * half
        at_origin = ~points.any(axis=0)
        order = np.lexsort((angle, half, at_origin))
        self.n_nonzero = len(order) - int(at_origin.sum())
        nonzero = np.ascontiguousarray(order[: self.n_nonzero])
        loop.sort_exactly(np.ascontiguousarray(points), half.view(np.int8), nonzero)
        self.order = np.concatenate([nonzero, order[self.n_nonzero :]])
        self.angle = angle[nonzero]

        n = len(X)
        rows = -(-n // LANES)
        self.place = np.arange(max(1, rows) * LANES)
        if rows:
            self.place = self.place % rows * LANES + self.place // rows
        self.x = np.zeros((2, max(1, n)))
        self.x[:, :n] = points[:, self.order]
        self.seam = loop.find_seam(self.x, self.n_nonzero)
        self.x_lanes = aligned_zeros((2, rows * LANES), np.float64)
        self.x_lanes[:, self.place[:n]] = points[:, self.order]
        self.y = aligned_zeros(max(1, rows) * LANES, np.float64)
        self.y[self.place[:n]] = y[self.order]
        self.group = np.full(max(1, rows) * LANES, -1, np.int32)
        self.group[self.place[:n]] = groups[self.order]
        self.changes = aligned_zeros((2, max(1, rows) * LANES), np.float64)
        self.f = aligned_zeros(max(1, rows) * LANES, np.float64)

    def arcs(self, W: NDArray[np.float64]) -> IntArray:
        """Start and length (2, m) of the arc on which each neuron of W (2, m) is active."""
        direction = np.arctan2(W[1], W[0])
        ends = np.searchsorted(self.angle, (direction + [[-np.pi / 2], [np.pi / 2]]) % (2 * np.pi))
        n = max(1, self.n_nonzero)
        arcs = np.stack([ends[0] % n, (ends[1] - ends[0]) % n]).astype(np.int64)
        loop.find_arcs(self.x, self.n_nonzero, self.seam, W, arcs)
        return arcs


class PlanarEngine:
    """Samples on a ring, neurons active on arcs of it.

    f comes from the running sum, around the ring, of a_j w_j over the neurons that are active, the
    gradient of a neuron from a difference of running sums of g_i y_i x_i. The ends of an arc are
    found from those of the step before. Float64 throughout; W is rounded to the type of X after
    every step. Several threads share out many neurons, never samples. Rounding errors are relative
    to the sums over all samples, so one sample that is larger than all others by many orders of
    magnitude spoils the last digits.
    """

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        self.n, self.m = len(problem.X), len(W)
        self.n_threads = n_threads if self.m >= PARALLEL_NEURONS else 1
        self.dtype = problem.X.dtype
        self.single = self.dtype == np.float32
        self.horizon, self.alpha, self.means = problem.horizon, problem.alpha, problem.means
        self.loss, self.slope, self.shrink = problem.loss_number, problem.slope, problem.shrink
        self.ring = Ring(problem.X, problem.y, problem.groups)
        self.weighted = np.zeros_like(self.ring.y)
        self.weighted[self.ring.place[: self.n]] = problem.weighted_y[self.ring.order]
        self.test_ring = Ring(problem.test_X, problem.test_y, problem.test_groups)
        self.a_given = a
        self.a = a.astype(np.float64)
        self.W = np.zeros((2, 2, self.m))
        self.W[0] = W.T
        self.arcs = np.zeros((3, 2, self.m), np.int64)
        self.arcs[0] = self.ring.arcs(self.W[0])
        # of the arcs, see set_ends, and a bit for each neuron whose next arc they do not settle
        self.ends = np.zeros((8, self.m))
        self.searched = np.zeros(-(-self.m // WORD), np.uint64)
        self.test_arcs = self.test_ring.arcs(self.W[0])
        self.sums = aligned_zeros((2, len(self.ring.y)), np.float64)
        self.offsets = np.zeros(2 * LANES + 2)
        largest = max(self.ring.n_nonzero, self.test_ring.n_nonzero)
        self.reached = np.zeros(largest + 1, np.int32)
        self.W_rows = np.zeros((self.m, 2))

        # what only observations need: samples counted along the ring, and listed by group
        N = self.ring.n_nonzero
        on_ring = problem.groups[self.ring.order[:N]]
        self.counted = np.zeros((N + 1, problem.n_groups), np.int32)
        self.counted[np.arange(1, N + 1), on_ring] = 1
        np.cumsum(self.counted, axis=0, out=self.counted)
        by_group = np.argsort(problem.groups, kind="stable")
        self.grouped = problem.X[by_group].T.astype(np.float64, order="C")
        self.group_start = np.searchsorted(
            problem.groups[by_group], np.arange(problem.n_groups + 1)
        ).astype(np.int64)
        self.tally = np.zeros(1, np.int64)
        self.clock = np.zeros(observing.CLOCK_SIZE, np.int64)

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Why the engine cannot take the problem; empty if it can."""
        d = problem.X.shape[1]
        return "" if d == 2 else f"engine 'planar' needs d=2, the data have d={d}: use 'direct'"

    @property
    def t(self) -> int:
        """Steps taken."""
        return int(self.clock[observing.STEP])

    @property
    def diverged(self) -> bool:
        """Whether the last advance stopped because f or the next W is not finite."""
        return bool(self.clock[observing.DIVERGED])

    @property
    def rows(self) -> int:
        """Rows of the observations that are filled."""
        return int(self.clock[observing.ROW])

    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int:
        """Step to t = until, observing at the steps in at; see :mod:`rfa.engines`."""
        return int(loop.advance(self.W, self, until, at, out, row))

    def weights(self) -> tuple[FloatArray, FloatArray]:
        """Copies of W_t and a."""
        return self.W[self.clock[observing.SIDE]].T.astype(
            self.dtype, order="C"
        ), self.a_given.copy()

    @property
    def stats(self) -> dict[str, int]:
        """How far the ends of arcs moved; see :class:`rfa.Run`."""
        return {"passed": int(self.tally[0])}

    def get_state(self) -> dict[str, Any]:
        """t, W_t and A_{t-1} (which flips needs), as arcs."""
        return {
            "t": self.t,
            "W": self.weights()[0],
            "previous": self.arcs[1 - self.clock[observing.SIDE]].copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what get_state returned."""
        self.clock[:] = 0
        self.clock[observing.STEP] = state["t"]
        self.W[0] = state["W"].T
        self.arcs[0] = self.ring.arcs(self.W[0])
        self.arcs[1] = state["previous"]
