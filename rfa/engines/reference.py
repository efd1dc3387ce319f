"""The reference engine: rfa.reference behind the engines' interface, for comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa import reference
from rfa.engines.observations import Observations
from rfa.engines.problem import FloatArray, IntArray, Problem
from rfa.losses import LOSSES

State = tuple[int, FloatArray, NDArray[np.bool_]]


class ReferenceEngine:
    """Gradient descent in plain NumPy; everything observed is computed afresh from W_t."""

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        self.problem = problem
        self.a = a
        # in the type of X, so that all is computed in it
        self.y = problem.y.astype(W.dtype)
        self.weights_of_samples = None
        if problem.weights is not None:
            self.weights_of_samples = problem.weights.astype(W.dtype)
        self.alpha, self.slope = float(problem.alpha), float(problem.slope)
        # t, W_t and A_{t-1}, assigned at once: an interrupted step leaves all three as they were
        self.state: State = (0, W.copy(), np.zeros((len(problem.X), len(W)), dtype=bool))
        self.rows = 0
        self.diverged = False
        self.stats: dict[str, int] = {}

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Nothing: the engine takes every problem."""
        return ""

    @property
    def t(self) -> int:
        """Steps taken."""
        return self.state[0]

    @property
    def W(self) -> FloatArray:
        """W_t."""
        return self.state[1]

    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int:
        """Step to t = until, observing at the steps in at; see :mod:`rfa.engines`."""
        problem, due = self.problem, set(at.tolist())
        self.rows, self.diverged = row, False
        while self.t in due or self.t < until:
            # numbers out of range are found below and are no reason to warn
            with np.errstate(over="ignore", invalid="ignore"):
                H = reference.preactivations(problem.X, self.W)
                f = reference.forward(problem.X, self.W, self.a, self.slope)
                W = reference.step(
                    problem.X,
                    self.y,
                    self.W,
                    self.a,
                    self.alpha,
                    weights=self.weights_of_samples,
                    loss=problem.loss,
                    slope=self.slope,
                    shrink=float(problem.shrink),
                )
            if not np.isfinite(f).all():
                self.diverged = True
                break
            if self.t in due:
                observe(problem, self.W, self.a, self.state[2], out, self.rows, self.t)
                self.rows += 1
                due.discard(self.t)
            if self.t >= until:
                break
            if not np.isfinite(W).all():
                self.diverged = True
                break
            self.state = (self.t + 1, W, H > 0)
        return self.rows - row

    def weights(self) -> tuple[FloatArray, FloatArray]:
        """Copies of W_t and a."""
        return self.W.copy(), self.a.copy()

    def get_state(self) -> dict[str, Any]:
        """t, W_t and A_{t-1} (which flips needs)."""
        return {"t": self.t, "W": self.W.copy(), "previous": self.state[2].copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what get_state returned."""
        self.state = (state["t"], state["W"].copy(), state["previous"].copy())


def observe(
    problem: Problem,
    W: FloatArray,
    a: FloatArray,
    previous: NDArray[np.bool_],
    out: Observations,
    row: int,
    t: int,
) -> None:
    """Fill a row of the observations from W_t alone, for an engine in NumPy.

    ``previous`` (n, m) are the activations of step t - 1. Costs O(n m d).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        H = reference.preactivations(problem.X, W)
        f = reference.forward(problem.X, W, a, float(problem.slope))
    test_f = reference.forward(problem.test_X, W, a, float(problem.slope))
    margin, test_margin = problem.y * f, problem.test_y * test_f
    G = problem.n_groups
    margins = [margin[problem.groups == g] for g in range(G)]
    margins += [test_margin[problem.test_groups == g] for g in range(problem.n_test_groups)]
    weight = problem.y * problem.weighted_y
    weights = [weight[problem.groups == g] for g in range(G)]
    for group, s in enumerate(margins):
        out.right[row, group] = np.count_nonzero(s > 0)
        out.margin_low[row, group] = s.min(initial=np.inf)
        out.margin_high[row, group] = s.max(initial=-np.inf)
        losses = LOSSES[problem.loss].value(s)
        out.loss[row, group] = (losses * weights[group] if group < G else losses).sum()
    long_W = W.astype(np.float64)
    out.norm[row] = np.linalg.norm(long_W, axis=1)
    out.projection[row] = long_W @ problem.means.T
    out.flips[row] = np.count_nonzero((H > 0) != previous) if t else 0
    for group in range(G):
        members = H[problem.groups == group]
        out.active[row, :, group] = (members > 0).sum(axis=0)
        if row < len(out.h_low):
            out.h_low[row, :, group] = members.min(axis=0, initial=np.inf)
            out.h_high[row, :, group] = members.max(axis=0, initial=-np.inf)
