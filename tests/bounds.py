"""How far rounding can take an engine's step from the true one: derived, not tuned.

Notation. u is the unit roundoff of the engine's type (2^-24, 2^-53), v = 2^-53 that of float64 and
u_o that of the type in which the oracle is evaluated. gamma(k, u) = k u / (1 - k u) bounds the
relative error of a product of k factors 1 + delta with abs(delta) <= u (Higham, Accuracy and
Stability of Numerical Algorithms, Lemma 3.1). A sum of k products, in whatever order and with or
without fused operations, is off by at most gamma(k, u) times the sum of their absolute values:
a term is multiplied once and takes part in at most k - 1 additions that round. Adding a zero never
rounds, so inactive neurons, padding and empty places do not count. Nothing here underflows.

The step is w_j' = w_j + a_j (alpha/n) S_j, S_j = sum_i A_ij y_i g_i x_i, g = 1/(1 + exp(y f)).

Forward pass, by inner products (gram, and the oracle):

    h_ij = <w_j, x_i>             abs error <= e_ij = gamma(d, u) sum_k abs(w_jk) abs(x_ik)
    A_ij = 1[h_ij > 0]            can be wrong only where 0 < e_ij and abs(h_ij) <= e_ij
    f_i = sum_j a_j relu(h_ij)    abs error <= sum_j abs(a_j) e_ij
                                               + gamma(m, u) sum_j abs(a_j) (relu(h_ij) + e_ij)

since relu moves by no more than its argument, whether or not A_ij is right.

Forward pass, by masked sums (direct): A as above, and f_i = <x_i, S_i>, S_i = sum_j A_ij a_j w_j, a
sum of m products in whatever order, so with V = sum_j abs(a_j) abs(w_j)

    abs error of f_i <= sum_j abs(a_j) e_ij + gamma(m + d, u) <abs(x_i), V>

since a wrong activation is one of a neuron with abs(h_ij) <= e_ij.

Forward pass, by running sums (planar, always in float64): A is exact, being decided by the exact
sign of h. f_i = <x_i, S_i>, where S_i is a sum of at most 3 terms +-fl(a_j w_j) for each neuron
(where its arc begins, where it ends, and if it goes around the end of the ring), of which those
that do not belong to i cancel exactly in exact arithmetic. So, with the same V,

    abs error of S_i <= v V + gamma(3m, v) 3 (1 + v) V <= 3 gamma(3m + 1, v) V
    abs error of f_i <= 3 gamma(3m + 3, v) <abs(x_i), V>        two more for the inner product.

Loss weights, in float64 by all engines: 1/(1 + exp(s)) has Lipschitz constant 1/4 and is computed
with a relative error of at most 4 v (tested by itself), so

    g_i                           abs error <= q_i = (abs error of f_i)/4 + 4 v.

Sum over samples. From g_i to the summand that is added to w_j there are at most 6 roundings beside
those of the sum (alpha/n, its product with g_i, the rounding of c_i to the type, a_j times the sum,
and what the oracle does in another order), so with gamma = gamma(n + 6, u), r_i = g_i + q_i and
D_j the samples on which A_ij can be wrong

    S_j   abs error <= sum_i A_ij q_i abs(x_i) + sum_{i in D_j} r_i abs(x_i)
                       + gamma (sum_i A_ij r_i abs(x_i) + sum_{i in D_j} r_i abs(x_i))

for the look-ups of direct and for the oracle. Planar takes up to three running sums over samples
that need not belong to the arc, hence for it (D_j is empty)

    S_j   abs error <= sum_i A_ij q_i abs(x_i) + 3 gamma(n + 6, v) sum_{all i} r_i abs(x_i).

Last, w_j' is rounded once when it is added up, in planar once more to its type: gamma(2, u) times
abs(w_j) plus the size of the step.

Gram takes the same step: its sums of c_i A_ij x_i are made when W is asked for, from C_ij = c_i
A_ij, and are sums of n products like direct's. Between two looks at W it steps H instead (drift).

Variants. Sample weights v_i multiply g_i and q_i. A leaky slope s gives f = (1 - s) times the above
plus s <sum_j a_j w_j, x_i>, sums of m and d products, with 4 roundings more, so

    abs error of f_i <= (1 - s) above + s gamma(m + d, u) P_i + gamma(4, u) P_i,
                                                       P_i = sum_j abs(a_j) <abs(w_j), abs(x_i)>

in planar a fourth term a_j w_j in S_i, each term multiplied once more: 3 gamma(4m + 6, v). In S_j
the place of A_ij has s + (1 - s) A_ij, and a wrong activation matters 1 - s times. Splitting c_i,
adding the two parts and multiplying by shrink, in gram dividing by it first, are at most 6 more
roundings (EXTRA) in S_j, and as many in the last ones. For g see weight_error.

The difference to the oracle is at most the engine's bound plus the oracle's own, u = u_o. Where A
is compared, abs(h_ij) is known up to the oracle's error, which is added to e_ij.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rfa import reference
from rfa.losses import LOSSES

FLOAT64 = 2.0**-53
EXTRA = 6
ORACLE = float(np.finfo(np.longdouble).eps) / 2


def unit_roundoff(dtype):
    return float(np.finfo(dtype).eps) / 2


def gamma(k, u):
    return k * u / (1 - k * u)


class Variant(NamedTuple):
    """Parts of a Problem that the paper's problem does not have."""

    weights: np.ndarray | None = None
    loss: str = "logistic"
    slope: float = 0.0
    shrink: float = 1.0

    @property
    def extra(self):
        """Roundings in addition to those of the plain step."""
        return 0 if self.weights is None and self[1:] == PLAIN[1:] else EXTRA


PLAIN = Variant()


class Step(NamedTuple):
    """The oracle's step from W, evaluated in NumPy's longest type."""

    H: np.ndarray
    s: np.ndarray
    g: np.ndarray
    W: np.ndarray
    variant: Variant


def oracle_step(X, y, W, a, alpha, variant=PLAIN):
    X, W, a = (array.astype(np.longdouble) for array in (X, W, a))
    s = y * reference.forward(X, W, a, variant.slope)
    return Step(
        H=reference.preactivations(X, W).astype(np.float64),
        s=s.astype(np.float64),
        g=LOSSES[variant.loss].weight(s).astype(np.float64),
        W=reference.step(X, y, W, a, alpha, **variant._asdict()),
        variant=variant,
    )


def weight_error(loss, s, g, e, v):
    """Bound on the error of g = -l'(s) (n,) where s is off by up to e.

    The leaf computes g to a relative error of 4 v, which is tested by itself.
    """
    spread = LOSSES[loss].spread(s, e)
    return spread + 4 * v * (np.abs(g) + spread)


def loss_error(loss, s, e):
    """Bound on the change of l(s) where s is off by up to e: e times the largest slope there."""
    return e * (np.abs(LOSSES[loss].weight(s)) + LOSSES[loss].spread(s, e))


def preactivation_error(X, W, u):
    """e_ij, including the error of the oracle."""
    X, W = np.abs(X.astype(np.float64)), np.abs(W.astype(np.float64))
    return (gamma(X.shape[1], u) + gamma(X.shape[1], ORACLE)) * (X @ W.T)


def output_error(X, W, a, H, engine, u, slope=0.0):
    """Bound on the error of f_i (n,)."""
    X, W, a = (np.abs(array.astype(np.float64)) for array in (X, W, a))
    m, d = W.shape
    size = X @ (a @ W)
    if engine == "planar":
        return 3 * gamma(4 * m + 6 if slope else 3 * m + 3, FLOAT64) * size
    e = preactivation_error(X, W, u)
    if engine == "direct":
        relu = e @ a + gamma(m + d, u) * size
    else:
        relu = e @ a + gamma(m, u) * ((np.maximum(H, 0) + e) @ a)
    if not slope:
        return relu
    return (1 - slope) * relu + (slope * gamma(m + d, u) + gamma(4, u)) * size


def drift(points, X, a, alpha, t, H, u, extra=0):
    """How far gram's <w_j, p> can be from that of the W it recovers, t steps after W was given.

    A step adds a_j sum_i c_i A_ij K_pi with abs(c_i) <= alpha/n: K is off by gamma(d), the sum and
    its weights by gamma(n + 8), adding it by 2 u of the result. W is recovered from t steps' sums
    of c_i, in n products: gamma(n + t + 2). points (p, d); H (p, m) is the largest seen so far.
    Variants: alpha times the largest v_i abs(g_i) seen so far, and their extra roundings.
    """
    n, d = X.shape
    size = np.abs(points.astype(np.float64)) @ np.abs(X.astype(np.float64)).sum(axis=0)
    relative = gamma(n + 8 + extra, u) + gamma(d + 2, u) + gamma(n + t + 2 + extra, u)
    step = size[:, None] * np.abs(a.astype(np.float64)) * alpha / n
    return t * (relative * step + (2 + extra) * u * (H + t * step))


class StepError(NamedTuple):
    """Bound on abs(W_engine - W_exact) (m, d), the part of it that does not come from activations
    that can be wrong, and which those are (n, m)."""

    bound: np.ndarray
    smooth: np.ndarray
    uncertain: np.ndarray


def step_error(X, W, a, alpha, exact, engine, u):
    """The bound for one computation of the step; u is the unit roundoff of its type."""
    variant = exact.variant
    slope, extra = variant.slope, variant.extra
    v = 1.0 if variant.weights is None else variant.weights
    e_f = output_error(X, W, a, exact.H, engine, u, slope)
    q = v * weight_error(variant.loss, exact.s, exact.g, e_f, min(u, FLOAT64))
    X, W, a = (np.abs(array.astype(np.float64)) for array in (X, W, a))
    n = len(X)
    A, r = np.where(exact.H > 0, 1, slope), v * np.abs(exact.g) + q
    active = (A * r[:, None]).T @ X
    if engine == "planar":
        uncertain = np.zeros(A.shape, bool)
        rounding = 3 * gamma(n + 6 + extra, FLOAT64) * (r @ X)
    else:
        e = preactivation_error(X, W, u)
        uncertain = (np.abs(exact.H) <= e) & (e > 0)
        rounding = gamma(n + 6 + extra, u) * active
    wrong = (1 - slope) * (uncertain * r[:, None]).T @ X
    scale = a[:, None] * alpha / n
    smooth = scale * ((A * q[:, None]).T @ X + rounding)
    smooth += gamma(2 + extra, u) * (variant.shrink * W + scale * active)
    bound = smooth + scale * wrong * (1 + gamma(n + 6 + extra, u) + gamma(2 + extra, u))
    return StepError(bound, smooth, uncertain)


def difference_bound(X, W, a, alpha, exact, engine, u):
    """The bound on the difference between an engine and the oracle."""
    own = step_error(X, W, a, alpha, exact, engine, u)
    oracle = step_error(X, W, a, alpha, exact, "oracle", ORACLE)
    return StepError(
        own.bound + oracle.bound, own.smooth + oracle.smooth, own.uncertain | oracle.uncertain
    )
