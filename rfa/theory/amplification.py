"""Lemma 4.10 (Section 4.3): one step amplifies random features; with its proof's inner steps."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rfa import _seeds, setting
from rfa.setting import CLUSTER_LABELS, OPPOSITE
from rfa.theory.comparison import Comparison, Constant, at_least, at_most, by_neuron, inverse
from rfa.theory.conditions import NO_NEURONS
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import Evidence, Floats, Uses
from rfa.theory.hypotheses import GOOD_RUN
from rfa.theory.statement import statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

# Neurons are taken in pieces, whose rows of W have about this many reals. Ten arrays of that size
# are held at once.
PIECE_REALS = 2**18

# (33) uses Lemma A.1 at step 1, which is beyond 1/(4 alpha) if alpha is above 1/4.
ASSUMED = (*GOOD_RUN, "need_lemma_a_1", "need_lemma_4_9")
VOTES = (*ASSUMED, "neurons_of_each_cluster", "need_eq_31_noise", "need_eq_31_eta")
GROWTH = (*VOTES, "need_eq_32")
AMPLIFICATION = (*GROWTH, "need_eq_34")


def _first_step_kept(e: Evidence, k: Terms) -> Uses:
    return Uses(width=True, omega=True, last=1, steps=[0, 1], weights=[1])


# ------------------------------------------------------------------ the first step


class FirstStep(NamedTuple):
    """What (24), (26) and (28) say of the first step, a number for each neuron.

    Attributes
    ----------
    zeta1, zeta2 : ndarray of shape (m,)
        Lengths of these parts of the step, without the factor alpha a_j.
    difference : ndarray of shape (m,)
        Largest difference, over the entries, between the step that was taken and the sum of its
        parts, in units of what rounding explains there.
    rounding : ndarray of shape (m,)
        Largest difference of an entry that rounding explains.
    """

    zeta1: Floats
    zeta2: Floats
    difference: Floats
    rounding: Floats


@once
def first_step(e: Evidence, k: Terms) -> FirstStep:
    """The decomposition (28) of W_1 - W_0, evaluated densely at t = 0. O(n m d).

    With A_ij = 1[<w_j^0, x_i> > 0] and g_i = 1/(1 + exp(y_i f(x_i; W_0))) the parts are

    - signal = (1/2n) sum_i y_i A_ij mu_{c_i},
    - zeta1 = (1/n) sum_i g_i y_i A_ij (x_i - mu_{c_i}),
    - zeta2 = (1/n) sum_i (g_i - 1/2) y_i A_ij mu_{c_i}.

    Neurons are taken in pieces, so that no array is as large as W.
    """
    u = float(np.finfo(e.run.data.X.dtype).eps) / 2
    # sums of n products whose weights g carry the rounding of f (Lipschitz 1/4) and their own
    f_error = (e.d + e.m + 8) * u * float(np.linalg.norm(e.W(0))) * float(e.norm_x.max())
    relative = (e.n + 16) * u + f_error
    size = max(1, PIECE_REALS // e.d)
    pieces = [_of_neurons(e, slice(j, j + size), u, relative) for j in range(0, e.m, size)]
    return FirstStep(*(np.concatenate(part) for part in zip(*pieces, strict=True)))


def _of_neurons(e: Evidence, some: slice, u: float, relative: float) -> FirstStep:
    """The first step of some neurons. ``relative`` bounds the rounding of a sum of n products."""
    data, W, a = e.run.data, e.W(0, some), e.a[some, None]
    m = len(W)
    signal, zeta2 = np.zeros((m, 4)), np.zeros((m, 4))
    zeta1, doubtful, size = np.zeros((m, e.d)), np.zeros((m, e.d)), np.zeros((m, e.d))
    norm_w = np.linalg.norm(W, axis=1)
    f = e.output(0)
    for block in e.blocks(max(e.m, e.d)):
        X, y, c = data.X[block].astype(np.float64, copy=False), data.y[block], e.cluster[block]
        with np.errstate(over="ignore"):
            g = 1 / (1 + np.exp(y * f[block]))
        H = X @ W.T
        A = (H > 0).astype(np.float64)
        member = (c[:, None] == np.arange(4)).astype(np.float64)
        signal += A.T @ (0.5 * y[:, None] * member)
        zeta2 += A.T @ (((g - 0.5) * y)[:, None] * member)
        zeta1 += A.T @ ((g * y)[:, None] * (X - e.M[c]))
        # a sign within the rounding of the inner product may have been decided either way
        error = (e.d + 1) * 2 * u * e.norm_x[block][:, None] * norm_w
        unsure = (np.abs(H) <= error) & (error > 0)
        doubtful += unsure.T @ np.abs(X)
        size += A.T @ np.abs(X)
    scale = e.alpha * np.abs(a) / e.n
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(scale > 0, np.abs(W) * 4 * u / (scale * e.n), 0.0)
        taken = (e.W(1, some) - W) / (e.alpha * a)  # NaN if a_j is 0
    rounding = (relative * size + doubtful) / e.n + own + 4 * u
    zeta1, zeta2 = zeta1 / e.n, zeta2 @ e.M / e.n
    difference = np.abs(taken - (signal @ e.M / e.n + zeta1 + zeta2))
    return FirstStep(
        np.linalg.norm(zeta1, axis=1),
        np.linalg.norm(zeta2, axis=1),
        (difference / rounding).max(axis=1),
        rounding.max(axis=1),
    )


# ------------------------------------------------------------------ alignment and correlation


@statement(
    "lemma_4_10_alignment",
    "Lemma 4.10",
    "12",
    "share of J that is aligned at t = 1",
    uses=_first_step_kept,
    needs=AMPLIFICATION,
)
def _lemma_4_10_alignment(e: Evidence, k: Terms) -> Comparison:
    aligned = e.aligned([1], k.C0)
    share = aligned.mean(axis=1) if aligned.size else np.empty(0)
    return at_least(share, 1.0, empty=NO_NEURONS)


def _C2(k: Terms, smallest: float) -> Constant:
    """C2, with 1/smallest as its empirical value: the bound is smallest >= 1/C2."""
    return Constant("C2", k.C2, inverse(smallest), k.literal_C2)


@statement(
    "lemma_4_10_correlation",
    "Lemma 4.10",
    "12",
    "<w_j^1, mu>/|w_j^1| >= 1/(16 C2), j in J_mu",
    uses=_first_step_kept,
    needs=GROWTH,
)
def _lemma_4_10_correlation(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    before, after = (row[j, c] for row in e.cosine([0, 1]))
    return at_least(
        after,
        1 / (16 * k.C2),
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        details={"amplification": float(np.median(after / before)) if len(j) else math.nan},
        constant=_C2(k, 16 * float(after.min(initial=math.inf))),
    )


# ------------------------------------------------------------------ inner steps of the proof


@statement(
    "equation_23",
    "(23)",
    "(23)",
    "|f(x_i; W^0)| <= 3 omega sqrt(md)",
    uses=_first_step_kept,
    needs=ASSUMED,
    inner=True,
)
def _equation_23(e: Evidence, k: Terms) -> Comparison:
    return at_most(np.abs(e.output(0)), 3 * e.start, axes={"sample": np.arange(e.n)})


@statement(
    "equation_24",
    "(24)",
    "(24)",
    "|zeta1_j| <= C1 alpha |a_j| sigma sqrt d",
    unit="alpha |a_j|",
    uses=_first_step_kept,
    needs=ASSUMED,
    inner=True,
)
def _equation_24(e: Evidence, k: Terms) -> Comparison:
    step, moving = first_step(e, k), np.flatnonzero(e.a)
    rounding, size = float(step.rounding.max()), step.zeta1[moving]
    return at_most(
        size,
        k.C1 * e.spread,
        axes={"neuron": moving},
        tolerance=rounding,
        constant=Constant("C1", k.C1, _ratio(size, e.spread, rounding)),
    )


def _ratio(values: Floats, unit: float, rounding: float) -> float:
    """The largest value / unit. For unit = 0: 0 if rounding explains the values, else inf."""
    largest = float(values.max(initial=0.0))
    return largest / unit if unit > 0 else (math.inf if largest > rounding else 0.0)


@statement(
    "equation_26",
    "(26)",
    "(26)",
    "|zeta2_j| <= alpha |a_j| omega sqrt(md)",
    unit="alpha |a_j|",
    uses=_first_step_kept,
    needs=ASSUMED,
    inner=True,
)
def _equation_26(e: Evidence, k: Terms) -> Comparison:
    step, moving = first_step(e, k), np.flatnonzero(e.a)
    return at_most(
        step.zeta2[moving],
        e.start,
        axes={"neuron": moving},
        tolerance=float(step.rounding.max()),
    )


@statement(
    "equation_28",
    "(28)",
    "(28)",
    "w_j^1 - w_j^0 is the signal + zeta1_j + zeta2_j",
    unit="the rounding that is allowed",
    uses=_first_step_kept,
    needs=ASSUMED,
    inner=True,
)
def _equation_28(e: Evidence, k: Terms) -> Comparison:
    moving = np.flatnonzero(e.a)
    return at_most(first_step(e, k).difference[moving], 1.0, axes={"neuron": moving})


@statement(
    "equation_31",
    "(31)",
    "(31)",
    "sgn(a_j) (N_mu(j) - N_-mu(j)) >= n/(2 C2)",
    unit="n",
    uses=_first_step_kept,
    needs=VOTES,
    inner=True,
)
def _equation_31(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    active = e.rows("active", [0])[0]
    votes = (active[:, 0::2] - active[:, 1::2]) * CLUSTER_LABELS  # N_mu(j) of (27)
    edge = np.sign(e.a[j]) * (votes[j, c] - votes[j, OPPOSITE[c]]) / e.n
    return at_least(
        edge,
        1 / (2 * k.C2),
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=_C2(k, 2 * float(edge.min(initial=math.inf))),
    )


@statement(
    "equation_32",
    "(32)",
    "(32)",
    "<w_j^1 - w_j^0, mu> >= alpha |a_j|/(8 C2)",
    unit="alpha |a_j|",
    uses=_first_step_kept,
    needs=GROWTH,
    inner=True,
)
def _equation_32(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    growth = np.diff(e.projection([0, 1])[:, j, c], axis=0)[0] / (e.alpha * np.abs(e.a[j]))
    return at_least(
        growth,
        1 / (8 * k.C2),
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=_C2(k, 8 * float(growth.min(initial=math.inf))),
    )


@statement(
    "equation_34_own",
    "(34)",
    "(34)",
    "<w_j^1, x_i>/|w_j^1| >= 1/(32 C2), i in I_mu",
    uses=_first_step_kept,
    needs=AMPLIFICATION,
    inner=True,
)
def _equation_34_own(e: Evidence, k: Terms) -> Comparison:
    own, _ = e.reach(1, k.C0)
    return at_least(
        own,
        1 / (32 * k.C2),
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=_C2(k, 32 * float(own.min(initial=math.inf))),
    )


@statement(
    "equation_34_opposite",
    "(34)",
    "(34)",
    "<w_j^1, x_i>/|w_j^1| <= -1/(32 C2), i in I_-mu",
    uses=_first_step_kept,
    needs=AMPLIFICATION,
    inner=True,
)
def _equation_34_opposite(e: Evidence, k: Terms) -> Comparison:
    _, against = e.reach(1, k.C0)
    return at_most(
        against,
        -1 / (32 * k.C2),
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=_C2(k, 32 * float(-against.max(initial=-math.inf))),
    )


LEMMA_4_10 = (
    _lemma_4_10_alignment,
    _lemma_4_10_correlation,
    _equation_23,
    _equation_24,
    _equation_26,
    _equation_28,
    _equation_31,
    _equation_32,
    _equation_34_own,
    _equation_34_opposite,
)


def lemma_4_10(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Lemma 4.10: after one step all neurons of J are aligned; and the proof's inner steps.

    Parameters
    ----------
    run : Run
        A run of at least one step on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_10_alignment``, ``lemma_4_10_correlation``, ``equation_23``, ``equation_24``,
        ``equation_26``, ``equation_28``, ``equation_31``, ``equation_32``, ``equation_34_own``,
        ``equation_34_opposite``. The details of the correlation have the median amplification
        cos_1/cos_0.

    Notes
    -----
    The values of (24), (26) and (32) are in units of alpha abs(a_j), that of (31) of n. (28) is an
    identity: its value is the largest difference of both sides in units of the rounding that it
    allows. zeta2 is taken with the signs of mu2 that make (28) true, which the paper's definition
    has swapped. O(n m d).

    Examples
    --------
    >>> import rfa
    >>> checks = lemma_4_10(rfa.preset("assumptions").run(rng=0))
    >>> [check.id for check in checks if not check.holds]
    []
    """
    return checks_of(LEMMA_4_10, run, delta, C0, rng)
