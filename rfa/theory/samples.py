"""Section 4.1, Lemma 4.3: samples are close to their means, few are noisy, clusters balanced."""

from __future__ import annotations

import math

import numpy as np

from rfa import _seeds, setting
from rfa.theory.comparison import Comparison, Constant, at_least, at_most, by_cluster, by_sample
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import Evidence, Uses
from rfa.theory.hypotheses import SHARED
from rfa.theory.statement import one_minus, statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run

# The second is for (a) and (b), which rest on the norms of the deviations from the means.
NEEDS_4_3 = ("need_lemma_4_3", "need_lemma_4_3_b")
NEAR = (*SHARED, *NEEDS_4_3)
ASSUMED = (*SHARED, "need_lemma_4_3")


def _known_clusters(e: Evidence, k: Terms) -> Uses:
    return Uses(width=True, rate=True)


def _rounding(e: Evidence) -> float:
    """The relative rounding error of X, in its type, and of sums of d products."""
    return (e.d + 8) * float(np.finfo(e.run.data.X.dtype).eps)


def _C1(e: Evidence, k: Terms, excess: float, unit: float) -> Constant:
    nothing = math.inf if excess > _rounding(e) else 0.0
    return Constant("C1", k.C1, excess / unit if unit > 0 else nothing)


def _tail(e: Evidence, k: Terms) -> float:
    """sqrt(log(1/delta)/n)."""
    return math.sqrt(math.log(1 / k.delta) / e.n)


@statement(
    "lemma_4_3_a_own",
    "Lemma 4.3(a)",
    "5",
    "<x_i, mu> >= 1 - C1 sigma sqrt d",
    uses=_known_clusters,
    needs=NEAR,
    probability=one_minus(1),
)
def _lemma_4_3_a_own(e: Evidence, k: Terms) -> Comparison:
    own, _, _, _ = e.own_and_other
    return at_least(
        own,
        1 - k.C1 * e.spread,
        axes=by_sample(e),
        tolerance=_rounding(e),
        constant=_C1(e, k, float((1 - own).max()), e.spread),
    )


@statement(
    "lemma_4_3_a_other",
    "Lemma 4.3(a)",
    "5",
    "|<x_i, mu'>| <= C1 sigma sqrt d",
    uses=_known_clusters,
    needs=NEAR,
    probability=one_minus(1),
)
def _lemma_4_3_a_other(e: Evidence, k: Terms) -> Comparison:
    _, other, _, _ = e.own_and_other
    return at_most(
        other,
        k.C1 * e.spread,
        axes=by_sample(e),
        tolerance=_rounding(e),
        constant=_C1(e, k, float(other.max()), e.spread),
    )


@statement(
    "lemma_4_3_a_orthogonal",
    "Lemma 4.3(a)",
    "5",
    "|<x_i, v>| <= C1 sigma sqrt d for every unit v orthogonal to mu",
    uses=_known_clusters,
    needs=NEAR,
    probability=one_minus(1),
)
def _lemma_4_3_a_orthogonal(e: Evidence, k: Terms) -> Comparison:
    _, _, rest, _ = e.own_and_other
    return at_most(
        rest,
        k.C1 * e.spread,
        axes=by_sample(e),
        tolerance=_rounding(e),
        constant=_C1(e, k, float(rest.max()), e.spread),
    )


@statement(
    "lemma_4_3_b",
    "Lemma 4.3(b)",
    "5",
    "|x_i - mu|^2 <= C1 sigma^2 d",
    uses=_known_clusters,
    needs=NEAR,
    probability=one_minus(1),
)
def _lemma_4_3_b(e: Evidence, k: Terms) -> Comparison:
    _, _, _, square = e.own_and_other
    return at_most(
        square,
        k.C1 * e.spread * e.spread,
        axes=by_sample(e),
        tolerance=_rounding(e) * _rounding(e),
        constant=_C1(e, k, float(square.max()), e.spread * e.spread),
    )


@statement(
    "lemma_4_3_c",
    "Lemma 4.3(c)",
    "5",
    "|N|/n <= eta + C1 sqrt(log(1/delta)/n)",
    uses=_known_clusters,
    needs=ASSUMED,
    probability=one_minus(1),
)
def _lemma_4_3_c(e: Evidence, k: Terms) -> Comparison:
    assert e.eta is not None
    share, tail = e.n_noisy / e.n, _tail(e, k)
    return at_most(share, e.eta + k.C1 * tail, constant=_C1(e, k, max(0.0, share - e.eta), tail))


@statement(
    "lemma_4_3_d",
    "Lemma 4.3(d)",
    "5",
    "| |I_mu|/n - 1/4 | <= C1 sqrt(log(1/delta)/n)",
    uses=_known_clusters,
    needs=ASSUMED,
    probability=one_minus(1),
)
def _lemma_4_3_d(e: Evidence, k: Terms) -> Comparison:
    apart = np.abs(np.bincount(e.cluster, minlength=4) / e.n - 0.25)
    tail = _tail(e, k)
    return at_most(
        apart, k.C1 * tail, axes=by_cluster(), constant=_C1(e, k, float(apart.max()), tail)
    )


LEMMA_4_3 = (
    _lemma_4_3_a_own,
    _lemma_4_3_a_other,
    _lemma_4_3_a_orthogonal,
    _lemma_4_3_b,
    _lemma_4_3_c,
    _lemma_4_3_d,
)


def lemma_4_3(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Lemma 4.3: samples are close to their means, few are noisy, and clusters are balanced.

    Parameters
    ----------
    run : Run
        A run on XOR clusters of known width.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_3_a_own``, ``_a_other``, ``_a_orthogonal``, ``lemma_4_3_b``, ``_c``, ``_d``. Their
        empirical constants are C1.

    Notes
    -----
    With u_i = <x_i, mu_c>: (a) u_i >= 1 - C1 sigma sqrt d, abs<x_i, mu_other> and, for every unit
    vector orthogonal to mu_c, norm(x_i - u_i mu_c) <= C1 sigma sqrt d. (b) norm(x_i - mu_c)^2 <=
    C1 sigma^2 d. (c) size(N)/n <= eta + C1 sqrt(log(1/delta)/n). (d) cluster fractions are within
    the same of 1/4. C1 is chosen so that each right side is at most 1/C1 beyond its centre, which
    the lemma also says. O(n d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_3(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True, True, True]
    """
    return checks_of(LEMMA_4_3, run, delta, C0, rng)
