"""Lemma 4.11 (Section 4.3): alignment and almost-orthogonality persist until T-1."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, setting
from rfa.setting import CLUSTER_NAMES, OPPOSITE, OTHER
from rfa.theory.amplification import AMPLIFICATION
from rfa.theory.comparison import (
    Comparison,
    Constant,
    at_least,
    at_most,
    below,
    by_neuron,
    by_step,
    inverse,
    of_lower_bound,
    value_alone,
)
from rfa.theory.conditions import NO_NEURONS, orthogonality, share_aligned
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import E2, Bools, Evidence, Floats, Uses
from rfa.theory.margin import NORM, least_slopes
from rfa.theory.statement import statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

PERSISTENCE = (
    *AMPLIFICATION,
    "need_eq_37_noise",
    "need_eq_37_sigma",
    "need_after_38",
    "need_after_40",
)


def _followed(e: Evidence, k: Terms) -> Uses:
    return Uses(horizon=True, last=e.T, steps=range(e.T + 1))


@statement(
    "lemma_4_11_alignment",
    "Lemma 4.11",
    "13",
    "share of J that is aligned, smallest of t = 1..T-1",
    uses=_followed,
    needs=PERSISTENCE,
)
def _lemma_4_11_alignment(e: Evidence, k: Terms) -> Comparison:
    return at_least(
        share_aligned(e, k, range(1, e.T)),
        1.0,
        axes={"step": np.arange(1, e.T)},
        empty=NO_NEURONS,
    )


@statement(
    "lemma_4_11_orthogonality",
    "Lemma 4.11",
    "13",
    "|<w_j^t, mu'>| <= 3 alpha |a_j|, t = 0..T-1",
    unit="alpha |a_j|",
    uses=_followed,
    needs=PERSISTENCE,
)
def _lemma_4_11_orthogonality(e: Evidence, k: Terms) -> Comparison:
    return orthogonality(e, k, range(e.T))


@statement(
    "equation_35",
    "(35)",
    "(35)",
    "g_i^t >= e^-2/2, t = 1..T-1",
    uses=_followed,
    needs=NORM,
    inner=True,
)
def _equation_35(e: Evidence, k: Terms) -> Comparison:
    steps = range(1, e.T)
    g = least_slopes(e, steps)
    return at_least(
        g,
        E2 / 2,
        axes=by_step(steps, cluster=np.repeat(np.array(CLUSTER_NAMES), 2)),
        constant=of_lower_bound("e^-2/2", E2 / 2, g),
    )


@statement(
    "equation_38",
    "(38)",
    "(38)",
    "<w_j^t, mu>/|w_j^t| >= e^-2/256, t = 2..T",
    uses=_followed,
    needs=PERSISTENCE,
    inner=True,
)
def _equation_38(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    steps = range(2, e.T + 1)
    cosine = e.cosine(steps)[:, j, c]
    return at_least(
        cosine,
        E2 / 256,
        axes=by_step(steps, **by_neuron(e, k)),
        empty=NO_NEURONS,
        constant=of_lower_bound("e^-2/256", E2 / 256, cosine),
    )


def growing_norms(e: Evidence, k: Terms) -> Bools:
    """Whether norm(w_j^(t+1)) > norm(w_j^t) (T-1, neurons of J), t = 1, ..., T-1.

    The introduction says that the norm of a neuron that is highly correlated with a mean after the
    first step increases throughout training. Steps 1 to T must have been recorded.
    """
    j, _ = e.pairs(k.C0)
    return np.diff(e.norms(range(1, e.T + 1))[:, j], axis=0) > 0


@statement(
    "growing_norms",
    "Section 1",
    "Section 1",
    "share of (j in J, t) with |w_j^(t+1)| > |w_j^t|, t = 1..T-1",
    uses=_followed,
    probability="none",
    inner=True,
)
def _growing_norms(e: Evidence, k: Terms) -> Comparison:
    grows = growing_norms(e, k)
    if not grows.size:
        return at_least(np.empty(0), math.nan, empty=NO_NEURONS)
    return value_alone(float(grows.mean()), {"of": grows.size})


class Drift(NamedTuple):
    """The neurons of J and steps t = 1, ..., T-1 of which (40) to (42) speak, an entry for each.

    With o_t = <w_j^t, mu_other>/(alpha abs(a_j)), these are the ones with abs(o_t) >= 1. The mean
    on the side of which the neuron is, is +mu_other if o_t > 0 and -mu_other if o_t < 0.

    Attributes
    ----------
    neuron, cluster, step : ndarray
        The neuron, the mean of its J_mu, and t.
    near : ndarray
        The mean on the side of which the neuron is.
    outward : ndarray
        o_(t+1) - o_t, away from 0.
    of : int
        Number of neurons of J, times T-1.
    """

    neuron: NDArray[np.int64]
    cluster: NDArray[np.int64]
    step: NDArray[np.int64]
    near: NDArray[np.int64]
    outward: Floats
    of: int

    def comparison(self) -> dict[str, object]:
        """The arguments that the comparisons have in common."""
        return {
            "axes": {
                "neuron": self.neuron,
                "cluster": np.array(CLUSTER_NAMES)[self.cluster],
                "step": self.step,
            },
            "details": {"triggers": len(self.step), "of": self.of},
            "empty": "no neuron of J has abs<w_j, mu_other> >= alpha abs(a_j)",
        }


@once
def _drift(e: Evidence, k: Terms) -> Drift:
    j, c = e.pairs(k.C0)
    o = e.sideways(range(e.T + 1), k.C0)
    side = np.sign(o[1:-1]) * (np.abs(o[1:-1]) >= 1)
    row, pair = np.nonzero(side)
    side_of = side[row, pair]
    return Drift(
        neuron=j[pair],
        cluster=c[pair],
        step=row + 1,
        near=np.where(side_of > 0, OTHER[c[pair]], OPPOSITE[OTHER[c[pair]]]),
        outward=side_of * np.diff(o, axis=0)[1:][row, pair],
        of=side.size,
    )


@statement(
    "equation_40",
    "(40)",
    "(40)",
    "where |<w_j^t, mu'>| >= alpha |a_j|: |<w_j^t, mu'>|/|w_j^t| >= 1/(2 sqrt C)",
    uses=_followed,
    needs=(*NORM, "neurons_of_each_cluster"),
    inner=True,
)
def _equation_40(e: Evidence, k: Terms) -> Comparison:
    drift = _drift(e, k)
    cosine = e.cosine(range(1, e.T))[drift.step - 1, drift.neuron, drift.near]
    least = float(cosine.min(initial=math.inf))
    return at_least(
        cosine,
        e.alpha,  # 1/(2 sqrt C) for the least C that (A7) allows, 1/(4 alpha^2)
        constant=Constant("C", 1 / (4 * e.alpha * e.alpha), inverse(4 * least * least)),
        **drift.comparison(),
    )


@statement(
    "equation_41",
    "(41)",
    "(41)",
    "where |<w_j^t, mu'>| >= alpha |a_j|: the clean of +-mu' on, of -+mu' off",
    uses=_followed,
    needs=PERSISTENCE,
    inner=True,
)
def _equation_41(e: Evidence, k: Terms) -> Comparison:
    drift = _drift(e, k)
    row, j, near = drift.step - 1, drift.neuron, drift.near
    active = e.rows("active", range(1, e.T))
    on = active[row, j, 2 * near] == e.sizes[2 * near]
    off = active[row, j, 2 * OPPOSITE[near]] == 0
    return at_least((on & off).astype(float), 1.0, **drift.comparison())


@statement(
    "equation_42",
    "(42)",
    "(42)",
    "where |<w_j^t, mu'>| >= alpha |a_j|: it moves towards 0",
    unit="alpha |a_j|",
    uses=_followed,
    needs=PERSISTENCE,
    inner=True,
)
def _equation_42(e: Evidence, k: Terms) -> Comparison:
    drift = _drift(e, k)
    return below(drift.outward, 0.0, **drift.comparison())


@statement(
    "equation_43",
    "(43)",
    "(43)",
    "|<w_j^(t+1) - w_j^t, mu'>| <= 2 alpha |a_j|",
    unit="alpha |a_j|",
    uses=_followed,
    needs=PERSISTENCE,
    inner=True,
)
def _equation_43(e: Evidence, k: Terms) -> Comparison:
    change = np.diff(e.sideways(range(e.T + 1), k.C0), axis=0)
    return at_most(
        np.abs(change), 2.0, axes=by_step(range(e.T), **by_neuron(e, k)), empty=NO_NEURONS
    )


LEMMA_4_11 = (
    _lemma_4_11_alignment,
    _lemma_4_11_orthogonality,
    _equation_35,
    _equation_38,
    _equation_40,
    _equation_41,
    _equation_42,
    _equation_43,
    _growing_norms,
)


def lemma_4_11(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Lemma 4.11: alignment and almost-orthogonality persist until T-1; and its inner steps.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_11_alignment``, ``lemma_4_11_orthogonality``, ``equation_35``, ``equation_38``,
        ``equation_40``, ``equation_41``, ``equation_42``, ``equation_43``. (40) to (42) speak of
        the neurons and steps with abs(o_t) >= alpha abs(a_j), whose number is in their details;
        without any they have no case. ``growing_norms`` is a value alone: the share of the neurons
        of J and steps 1, ..., T-1 at which norm(w_j) grows.

    Notes
    -----
    Steps of the proof, with o_t = <w_j^t, mu_other>:

    - (35): g_i >= e^-2/2 for t = 1, ..., T-1.
    - (38): cos_t >= e^-2/256 for t = 2, ..., T.
    - (40): where abs(o_t) >= alpha abs(a_j), t = 1, ..., T-1, abs(o_t)/norm(w_j^t) >=
      1/(2 sqrt C). The bound is alpha, that for C = 1/(4 alpha^2), the least C that (A7) allows.
    - (41): where o_t >= alpha abs(a_j), the neuron is active on all clean samples of +mu_other and
      on none of -mu_other, and the other way round where o_t <= -alpha abs(a_j).
    - (42): there o moves towards 0.
    - (43): abs(o_(t+1) - o_t) <= 2 alpha abs(a_j).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_11(rfa.preset("theorem").run(rng=2))[:-1]]
    [True, True, True, True, True, True, True, True]
    """
    return checks_of(LEMMA_4_11, run, delta, C0, rng)
