"""Proposition 3.2: the feature map of every sample changes much."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rfa import _seeds, setting
from rfa.theory.comparison import (
    Comparison,
    Constant,
    at_least,
    at_most,
    by_neuron,
)
from rfa.theory.conditions import NO_NEURONS
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import E2, Evidence, Floats, Uses
from rfa.theory.generalization import MARGIN
from rfa.theory.hypotheses import GOOD_RUN, SHARED
from rfa.theory.statement import one_minus, statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

# The C of Proposition 3.2, at the end of its proof.
C_FEATURES = 16 * 1024 / E2

INNER = (*MARGIN, "need_eq_49")


def _weights(e: Evidence, k: Terms) -> Uses:
    return Uses(omega=True, horizon=True, last=k.t, steps=[0, k.t], weights=[k.t])


class FeatureMap(NamedTuple):
    """The feature map relu(W x_i) and how it changes from t = 0 on.

    Attributes
    ----------
    start, change : ndarray of shape (n,)
        For every sample, the lengths of the feature map at t = 0 and of its change.
    rise : ndarray of shape (m, 4)
        For every neuron and mean, the smallest <w_j^t - w_j^0, x_i> over i in I_mu; inf if the
        cluster has no sample.
    """

    start: Floats
    change: Floats
    rise: Floats


@once
def _feature_map(e: Evidence, k: Terms) -> FeatureMap:
    start, change = [], []
    rise = np.full((e.m, 4), np.inf)
    W_0, W_t = e.W(0), e.W(k.t)
    for block in e.blocks(e.m):
        X, c = e.run.data.X[block], e.cluster[block]
        before, after = X @ W_0.T, X @ W_t.T
        for cluster in range(4):
            risen = (after - before)[c == cluster].min(axis=0, initial=np.inf)
            rise[:, cluster] = np.minimum(rise[:, cluster], risen)
        features = np.maximum(before, 0)
        start.append(np.linalg.norm(features, axis=1))
        change.append(np.linalg.norm(np.maximum(after, 0) - features, axis=1))
    return FeatureMap(np.concatenate(start), np.concatenate(change), rise)


@statement(
    "proposition_3_2",
    "Proposition 3.2",
    "2",
    "relative change of the feature map >= 1/(C omega sqrt(md))",
    uses=_weights,
    needs=SHARED,
    probability=one_minus(4),
    refutable=False,
)
def _proposition_3_2(e: Evidence, k: Terms) -> Comparison:
    start, change, _ = _feature_map(e, k)
    moved = (start > 0) | (change > 0)
    rho = np.divide(change, start, out=np.full(e.n, np.inf), where=start > 0)[moved]
    least = float(rho.min(initial=math.inf))
    empirical = math.inf
    if least > 0:
        empirical = 0.0 if e.start == 0 or least == math.inf else 1 / e.start / least
    return at_least(
        rho,
        e.r / (C_FEATURES * e.start) if e.start > 0 else math.inf,
        axes={"sample": np.flatnonzero(moved)},
        empty="no feature is ever active",
        details={"left_out": int((~moved).sum())},
        constant=Constant("C of 3.2", C_FEATURES / e.r, empirical, C_FEATURES),
    )


@statement(
    "equation_48",
    "(48)",
    "(48)",
    "<w_j^T - w_j^0, mu> >= |a_j| e^-2/256",
    unit="|a_j|",
    uses=_weights,
    needs=(*INNER, "need_eq_52"),
    refutable=False,
    inner=True,
)
def _equation_48(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    growth = np.diff(e.projection([0, k.t])[:, j, c], axis=0)[0] / np.abs(e.a[j])
    return at_least(
        growth,
        e.r * E2 / 256,
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=Constant(
            "e^-2/256", e.r * E2 / 256, float(growth.min(initial=math.inf)), E2 / 256
        ),
    )


@statement(
    "equation_49",
    "(49)",
    "(49)",
    "|w_j^T - w_j^0| <= 8/sqrt m, j in J",
    unit="|a_j|",
    uses=_weights,
    needs=(*GOOD_RUN, "need_eq_49"),
    inner=True,
)
def _equation_49(e: Evidence, k: Terms) -> Comparison:
    j, _ = e.pairs(k.C0)
    return at_most(
        e.moved(k.t)[j] / np.abs(e.a[j]),
        8.0,
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        details={"from_15": math.sqrt(2) * e.alpha * k.t},
    )


@statement(
    "equation_50",
    "(50)",
    "(50)",
    "<w_j^T - w_j^0, x_i> >= |a_j| e^-2/512, i in I_mu",
    unit="|a_j|",
    uses=_weights,
    needs=(*INNER, "need_eq_52", "need_eq_50"),
    refutable=False,
    inner=True,
)
def _equation_50(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    rise = _feature_map(e, k).rise[j, c] / np.abs(e.a[j])
    return at_least(
        rise,
        e.r * E2 / 512,
        axes=by_neuron(e, k),
        empty=NO_NEURONS,
        constant=Constant("e^-2/512", e.r * E2 / 512, float(rise.min(initial=math.inf)), E2 / 512),
    )


@statement(
    "equation_53",
    "(53)",
    "(53)",
    "|relu(W^T x_i) - relu(W^0 x_i)|^2 >= e^-4/(8 1024^2)",
    uses=_weights,
    needs=(*INNER, "need_eq_50", "need_eq_52"),
    refutable=False,
    inner=True,
)
def _equation_53(e: Evidence, k: Terms) -> Comparison:
    change = _feature_map(e, k).change
    return at_least(change**2, (e.r * E2) ** 2 / (8 * 1024**2), axes={"sample": np.arange(e.n)})


@statement(
    "proposition_3_2_denominator",
    "Proposition 3.2",
    "2",
    "|relu(W^0 x_i)| <= 3 omega sqrt(md)",
    uses=_weights,
    needs=GOOD_RUN,
    refutable=False,
    inner=True,
)
def _proposition_3_2_denominator(e: Evidence, k: Terms) -> Comparison:
    return at_most(_feature_map(e, k).start, 3 * e.start, axes={"sample": np.arange(e.n)})


PROPOSITION_3_2 = (
    _proposition_3_2,
    _equation_48,
    _equation_49,
    _equation_50,
    _equation_53,
    _proposition_3_2_denominator,
)


def proposition_3_2(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Proposition 3.2: the feature map of every sample changes much; and its inner steps.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``proposition_3_2``, ``equation_48``, ``equation_49``, ``equation_50``, ``equation_53``,
        ``proposition_3_2_denominator``. The details of (49) have sqrt 2 alpha T, the bound that
        (15) gives.

    Notes
    -----
    With C = 16 * 1024 e^2 the statement is

    rho_i = norm(relu(W_T x_i) - relu(W_0 x_i))/norm(relu(W_0 x_i)) >= 1/(C omega sqrt(md)).

    If the denominator alone is 0, rho_i is infinite. Samples with 0/0 are left out and counted.

    Steps of the proof:

    - (48): <w_j^T - w_j^0, mu> >= abs(a_j) e^-2/256 for j in J_mu.
    - (49): norm(w_j^T - w_j^0) <= 8/sqrt m for j in J; the value is in units of abs(a_j).
    - (50): <w_j^T - w_j^0, x_i> >= abs(a_j) e^-2/512 for j in J_mu and i in ``I_mu``.
    - (53): the square of the numerator is at least e^-4/(8 * 1024^2).
    - The denominator is at most 3 omega sqrt(md).

    If K = T-1 was rounded down, C becomes C/r, the right sides of (48) and (50) are
    multiplied by r = 4 alpha K, and that of (53) by r^2.

    O(n m d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in proposition_3_2(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True, True, True]
    """
    return checks_of(PROPOSITION_3_2, run, delta, C0, rng)
