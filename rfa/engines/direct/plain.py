"""The direct engine's algorithm in plain NumPy, to be read beside loop.pyx and certify.pyx.

A step of gradient descent needs of the pre-activations h_ij = <w_j, x_i> only their signs. With
g_ij = 1 where h_ij > 0 and g_ij = slope elsewhere,

    f_i  = <x_i, sum_j g_ij a_j w_j>,
    w_j' = shrink w_j + a_j sum_i g_ij c_i x_i,    c_i = (alpha / n) y_i (-l'(y_i f_i)),

are masked sums: sums of rows of W and of X over the pairs that are active.

A sign is not computed where it cannot have changed. Let the rows of Q be orthonormal, split a
sample into s_i = Q x_i and the rest r_i = x_i - Q^T s_i, and let p_j(t) be the length of the path
that the part of w_j outside of the rows of Q has gone until step t. If h_ij was computed last in
step e, then

    abs(h_ij(t) - h_ij(e) - <Q w_j(t) - Q w_j(e), s_i>) <= norm(r_i) (p_j(t) - p_j(e)).

So h_ij(t) lies within the right side of h_ij(e) + <Q w_j(t) - Q w_j(e), s_i>, a number that takes
k products instead of d. If this number is farther from 0 than the right side (and rounding), it has
the sign of h_ij(t). Features move along the means of the clusters. So with these as Q the paths
stay short, and most signs are settled.

The compiled loop differs in how it goes about this: it keeps one pair of bounds for 16 samples and
a neuron, stores the signs as bits, and takes the masked sums from tables of the sums of all subsets
of five or six rows.
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
    directions: FloatArray | None = None,
) -> FloatArray:
    """W (m, d) after the steps; arguments as in :func:`rfa.reference.train`.

    ``directions`` (k, d) are the rows of Q. None: k = 0, and all of the movement is in the paths.
    """
    n, d = X.shape
    Q = np.empty((0, d)) if directions is None else directions
    S = X @ Q.T
    size, outside = np.linalg.norm(X, axis=1), np.linalg.norm(X - S @ Q, axis=1)
    rounding = 4 * (d + 8) * np.finfo(W.dtype).eps * size[:, None]
    path = np.zeros(len(W))
    # of each pair, in the step in which its sign was computed last: h - <Q w, s>, and the path
    kept, path_then = X @ W.T - S @ (W @ Q.T).T, np.zeros((n, len(W)))
    for _ in range(steps):
        U = W @ Q.T
        H = kept + S @ U.T
        bound = outside[:, None] * (path - path_then) + rounding * np.linalg.norm(W, axis=1)
        # pairs whose sign the bound leaves open
        i, j = np.nonzero(np.abs(H) <= bound)
        H[i, j] = np.einsum("pk,pk->p", X[i], W[j])
        kept[i, j] = H[i, j] - np.einsum("pk,pk->p", S[i], U[j])
        path_then[i, j] = path[j]

        # from here on of H the signs alone are used
        G = np.where(H > 0, 1.0, slope)
        f = np.einsum("ik,ik->i", X, G @ (a[:, None] * W))
        c = alpha / n * y * LOSSES[loss].weight(y * f)
        after = shrink * W + a[:, None] * (G.T @ (c[:, None] * X))
        moved = after - W
        path += np.linalg.norm(moved - moved @ Q.T @ Q, axis=1)
        W = after
    return W
