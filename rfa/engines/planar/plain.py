"""The planar engine's algorithm (d = 2) in plain NumPy, to be read beside loop.pyx.

In the plane a neuron is active on an open half-plane. Of the samples in order of their angle, a
ring of N, it is active on one arc: first_j, ..., end_j - 1, counted modulo N.

The outputs are f_i = <x_i, S_i>, where S_i is the sum of a_j w_j over the neurons whose arc has
sample i. Add a_j w_j where arc j begins and take it away where it ends: S is the running sum of
that around the ring. The gradient of neuron j needs the sum of c_i x_i over its arc,

    w_j' = shrink w_j + a_j sum_i g_ij c_i x_i,    c_i = (alpha / n) y_i (-l'(y_i f_i)),

which is the difference of two running sums P, P[end_j] - P[first_j]. (g_ij = 1 on the arc and slope
elsewhere; so slope times the sum over all samples is added to 1 - slope times that over the arc,
and likewise for f.) All of this costs O(n + m).

When W has changed, the ends of the arcs move. An end looks at the samples beside it and moves on
while the sign of <w_j, x_i> says so; most ends do not move in a step.

The compiled loop differs in how it goes about this: it decides by the exact sign of <w_j, x_i>,
knows from the last step which ends cannot move, and goes over the ring in stretches that stay in
cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfa.engines.problem import FloatArray, IntArray
from rfa.losses import LOSSES


def move_ends(
    x: FloatArray, w: FloatArray, first: IntArray, end: IntArray
) -> tuple[IntArray, IntArray]:
    """The arcs (m,), (m,) of w (2, m) on the ring x (2, N), found from those of another w.

    0 <= first < N and first <= end <= first + N.
    """
    N = x.shape[1]

    def active(i: IntArray) -> NDArray[np.bool_]:
        return (w * x[:, i % N]).sum(axis=0) > 0

    # first goes back, or forth, to where the arc begins; N moves: all samples are active, or none
    for _ in range(N):
        if not (moves := active(first - 1)).any():
            break
        first = first - moves
    for _ in range(N):
        if not (moves := ~active(first)).any():
            break
        first = first + moves
    # then end, from its old place on the round that begins with first
    first, end = first % N, first % N + (end - first) % N
    while (moves := (end > first) & ~active(end - 1)).any():
        end = end - moves
    while (moves := (end < first + N) & active(end)).any():
        end = end + moves
    return first, end


def train(
    X: FloatArray,
    y: IntArray,
    W: FloatArray,
    a: FloatArray,
    alpha: float,
    steps: int,
    *,
    loss: str = "logistic",
    slope: float = 0.0,
    shrink: float = 1.0,
) -> FloatArray:
    """W (m, 2) after the steps; arguments as in :func:`rfa.reference.train`.

    Samples at the origin are never active and add nothing to a gradient; one must be elsewhere.
    """
    n, nonzero = len(X), X.any(axis=1)
    X, y = X[nonzero], y[nonzero]
    order = np.argsort(np.arctan2(X[:, 1], X[:, 0]))
    x, y, w = X[order].T, y[order], W.T
    N = len(y)
    first = end = np.zeros(len(a), np.int64)
    for _ in range(steps):
        first, end = move_ends(x, w, first, end)
        f = slope * (w @ a) @ x
        for k in range(2):
            v = a * w[k]
            # an arc may go on after the last sample: places are counted over two rounds
            changes = np.bincount(first, v, 2 * N + 1) - np.bincount(end, v, 2 * N + 1)
            S = np.cumsum(changes[:-1]).reshape(2, N).sum(axis=0)
            f += (1 - slope) * S * x[k]
        c = alpha / n * y * LOSSES[loss].weight(y * f)
        P = np.cumsum(np.concatenate([np.zeros((2, 1)), c * x, c * x], axis=1), axis=1)
        on_arc, on_all = P[:, end] - P[:, first], P[:, [N]]
        w = shrink * w + a * ((1 - slope) * on_arc + slope * on_all)
    return w.T.copy()
