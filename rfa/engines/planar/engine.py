"""The planar engine: d = 2; O(n + m) a step, and what ends of arcs pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa.engines.observations import Observations
from rfa.engines.packing import STRANDS, WORD, aligned_zeros
from rfa.engines.planar import loop
from rfa.engines.problem import FloatArray, IntArray, Problem

# Neurons from which a second thread pays for itself. Bits do not depend on it.
PARALLEL_NEURONS = 2**14


class Ring:
    """Samples in order of angle; behind them those at the origin, on which no neuron is active.

    ``x`` is in this order. ``x_strands``, ``y``, ``group``, ``changes`` and ``f`` have it cut into
    STRANDS strands, which are stored side by side: sample i is at ``place[i]``. Padding has label 0
    and group -1. ``seam`` is the first sample, going around, if all lie in an open half-plane; else
    it is -1.
    """

    def __init__(self, X: FloatArray, y: IntArray, groups: IntArray) -> None:
        # + 0.0 turns -0.0 into 0.0, since arctan2 takes them for different numbers
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
        self.rows = -(-n // STRANDS)
        places = max(1, self.rows) * STRANDS
        self.place = np.arange(places)
        if self.rows:
            self.place = self.place % self.rows * STRANDS + self.place // self.rows
        self.x = np.zeros((2, max(1, n)))
        self.x[:, :n] = points[:, self.order]
        self.seam = loop.find_seam(self.x, self.n_nonzero)
        self.x_strands = aligned_zeros((2, places), np.float64)
        self.x_strands[:, self.place[:n]] = points[:, self.order]
        self.y = aligned_zeros(places, np.float64)
        self.y[self.place[:n]] = y[self.order]
        self.group = np.full(places, -1, np.int32)
        self.group[self.place[:n]] = groups[self.order]
        self.changes = aligned_zeros((2, places), np.float64)
        self.f = aligned_zeros(places, np.float64)

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

    f comes from the running sum of a_j w_j over the active neurons, going around the ring, and the
    gradient of a neuron from a difference of running sums of g_i y_i x_i. The ends of an arc are
    searched from those of the step before. Float64 throughout; W is rounded to the type of X after
    every step. Threads share out neurons, if there are many, and never samples. Rounding errors are
    relative to the sums over all samples: one sample that is larger than all others by many orders
    of magnitude spoils the last digits. The state that the loop changes is in ``state``.
    """

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        self.n, self.m = len(problem.X), len(W)
        self.n_threads = n_threads if self.m >= PARALLEL_NEURONS else 1
        self.dtype = problem.X.dtype
        self.single = self.dtype == np.float32
        self.horizon, self.alpha, self.means = problem.horizon, problem.alpha, problem.means
        self.loss, self.slope, self.shrink = problem.loss_number, problem.slope, problem.shrink
        self.n_groups, self.n_test_groups = problem.n_groups, problem.n_test_groups
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
        # points at the ends of the arcs, and a bit for each neuron whose next arc has to be
        # searched
        self.ends = np.zeros((8, self.m))
        self.searched = np.zeros(-(-self.m // WORD), np.uint64)
        self.test_arcs = self.test_ring.arcs(self.W[0])
        self.sums = aligned_zeros((2, len(self.ring.y)), np.float64)
        self.offsets = np.zeros(2 * STRANDS + 2)
        largest = max(self.ring.n_nonzero, self.test_ring.n_nonzero)
        self.reached = np.zeros(largest + 1, np.int32)
        self.W_rows = np.zeros((self.m, 2))

        # for observations alone: samples counted along the ring, and sorted by group
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
        self.state = loop.State(self)

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Why the engine cannot take the problem; empty if it can."""
        d = problem.X.shape[1]
        return "" if d == 2 else f"engine 'planar' needs d=2, the data have d={d}: use 'direct'"

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
        """Copies of W_t and a."""
        return self.W[self.state.side].T.astype(self.dtype, order="C"), self.a_given.copy()

    @property
    def stats(self) -> dict[str, int]:
        """Samples that ends of arcs passed; see :class:`rfa.Run`."""
        return {"passed": self.state.passed}

    def get_state(self) -> dict[str, Any]:
        """t, W_t and A_{t-1} (which flips needs), as arcs."""
        return {
            "t": self.t,
            "W": self.weights()[0],
            "previous": self.arcs[1 - self.state.side].copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what get_state returned."""
        self.state.restart(state["t"])
        self.W[0] = state["W"].T
        self.arcs[0] = self.ring.arcs(self.W[0])
        self.arcs[1] = state["previous"]
