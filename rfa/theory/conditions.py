"""Conditions 4.7 and 4.8: neurons of J are aligned with their mean, almost orthogonal to others."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rfa import _seeds, setting
from rfa.theory.comparison import Comparison, at_least, at_most, by_neuron, by_step
from rfa.theory.evaluation import check_of, checks_of
from rfa.theory.evidence import Evidence, Floats, Uses
from rfa.theory.hypotheses import SHARED, hypothesis
from rfa.theory.statement import statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run

NO_NEURONS = "J is empty"


@statement(
    "condition_4_7",
    "Condition 4.7",
    "9",
    "share of J that is aligned, smallest of t = 1..T-1",
    uses=lambda e, k: Uses(horizon=True, last=e.T - 1, steps=itertools.chain([0], range(1, e.T))),
    needs=(*SHARED, "neurons_of_each_cluster"),
    probability="none",
)
def _condition_4_7(e: Evidence, k: Terms) -> Comparison:
    steps = range(1, e.T)
    share = share_aligned(e, k, steps)
    details: dict[str, Any] = {}
    if share.size:
        whole = np.flatnonzero(share == 1)
        margins = [e.reach(t, k.C0) for t in steps]
        details = {
            "share": share.tolist(),
            "first": int(steps[whole[0]]) if whole.size else None,
            "margin_own": [float(own.min()) for own, _ in margins],
            "margin_opposite": [float(-against.max()) for _, against in margins],
        }
    return at_least(share, 1.0, axes={"step": np.array(steps)}, empty=NO_NEURONS, details=details)


@hypothesis("condition_4_7")
def _alignment(e: Evidence, k: Terms) -> list[str]:
    holds = check_of(_condition_4_7, e, k).holds
    return [] if holds else ["Condition 4.7 does not hold at 1..T-1"]


def share_aligned(e: Evidence, k: Terms, steps: range) -> Floats:
    """The share of the neurons of J for which Condition 4.7 holds (steps,); empty if J is empty."""
    aligned = e.aligned(steps, k.C0)
    return aligned.mean(axis=1) if aligned.size else np.empty(0)


@statement(
    "condition_4_8",
    "Condition 4.8",
    "10",
    "|<w_j^t, mu'>| <= 3 alpha |a_j|, t = 0..T",
    unit="alpha |a_j|",
    uses=lambda e, k: Uses(horizon=True, last=e.T, steps=range(e.T + 1)),
    needs=(*SHARED, "neurons_of_each_cluster"),
    probability="none",
)
def _condition_4_8(e: Evidence, k: Terms) -> Comparison:
    return orthogonality(e, k, range(e.T + 1))


@hypothesis("condition_4_8")
def _orthogonal_enough(e: Evidence, k: Terms) -> list[str]:
    holds = check_of(_condition_4_8, e, k).holds
    return [] if holds else ["Condition 4.8 does not hold up to T"]


def orthogonality(e: Evidence, k: Terms, steps: range) -> Comparison:
    """Condition 4.8 at some steps."""
    sideways = np.abs(e.sideways(steps, k.C0))
    return at_most(
        sideways,
        3.0,
        details={"from_step_1": float(sideways[1:].max(initial=0.0))},
        axes=by_step(steps, **by_neuron(e, k)),
        empty=NO_NEURONS,
    )


CONDITION_4_7 = (_condition_4_7,)
CONDITION_4_8 = (_condition_4_8,)


def condition_4_7(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Condition 4.7, neuron alignment, at t = 1, ..., T-1.

    Parameters
    ----------
    run : Run
        A run of T-1 steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``condition_4_7``; the value is the smallest share of aligned neurons of J. The details have
        the shares, the first time at which all are aligned, and the margins: the smallest
        <w_j, x>/norm(w_j) on ``I_mu`` and -<w_j, x>/norm(w_j) on ``I_-mu``.

    Notes
    -----
    For j in J_mu: all samples of ``I_mu``, clean and noisy, active, and none of ``I_-mu``.

    Examples
    --------
    >>> import rfa
    >>> condition_4_7(rfa.preset("assumptions").run(rng=0))[0].details["first"]
    1
    """
    return checks_of(CONDITION_4_7, run, delta, C0, rng)


def condition_4_8(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Condition 4.8, almost-orthogonality, up to T.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``condition_4_8``; the value is the largest abs<w_j^t, mu_other>/(alpha abs(a_j)).

    Notes
    -----
    At most 3, for j in J and t = 0, ..., T.

    Examples
    --------
    >>> import rfa
    >>> condition_4_8(rfa.preset("theorem").run(rng=0))[0].holds
    True
    """
    return checks_of(CONDITION_4_8, run, delta, C0, rng)
