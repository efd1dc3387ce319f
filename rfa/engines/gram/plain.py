"""The gram engine's algorithm in plain NumPy, to be read beside loop.pyx.

With K = X X^T the pre-activations H = X W^T take a step of gradient descent by themselves. With
g_ij = 1 where h_ij > 0 and g_ij = slope elsewhere,

    w_j'  = shrink w_j + a_j sum_k c_k g_kj x_k,    c_k = (alpha / n) y_k (-l'(y_k f_k)),
    h_ij' = shrink h_ij + a_j sum_k K_ik c_k g_kj,

so a step costs n^2 m whatever d is, and W does not occur in it. W is put together when it is asked
for. If C adds up the c_k g_kj of t steps, shrinking as W does, then

    w_j(t) = shrink^t w_j(0) + a_j sum_k C_kj x_k.

Rounding errors of H add up from step to step. Every ``period`` steps there is an anchor: W is put
together, H is computed from it, and C begins at 0 again. The default period is ``ANCHOR_PERIOD`` of
engine.py.

The compiled loop differs in how it goes about this: it stores the signs of H as bits, takes the
sums over k from tables of the sums of all subsets of five or six rows of K, adds up C for 16 steps
at once, and keeps H, C and W over shrink^t, so that a step multiplies none of them by shrink.
"""

from __future__ import annotations

import numpy as np

from rfa.engines.problem import FloatArray, IntArray
from rfa.losses import LOSSES


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
    period: int = 1024,
) -> FloatArray:
    """W (m, d) after the steps; arguments as in :func:`rfa.reference.train`."""
    K = X @ X.T
    anchor, factor = W, 1.0
    H, C = X @ W.T, np.zeros((len(X), len(W)))
    for t in range(steps):
        if t and t % period == 0:
            anchor, factor = factor * anchor + a[:, None] * (C.T @ X), 1.0
            H, C = X @ anchor.T, np.zeros_like(C)
        G = np.where(H > 0, 1.0, slope)
        f = (G * H) @ a
        c = alpha / len(X) * y * LOSSES[loss].weight(y * f)
        H = shrink * H + a * (K @ (c[:, None] * G))
        C = shrink * C + c[:, None] * G
        factor *= shrink
    return factor * anchor + a[:, None] * (C.T @ X)
