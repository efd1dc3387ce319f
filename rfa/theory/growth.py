"""Lemma A.1: weights grow at most linearly; with its proof's inner steps."""

from __future__ import annotations

import math

import numpy as np

from rfa import _seeds, setting
from rfa.theory.comparison import Absent, Comparison, Constant, at_most, by_step
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import Evidence, Uses
from rfa.theory.hypotheses import GOOD_RUN
from rfa.theory.statement import statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run

ASSUMED = (*GOOD_RUN, "need_lemma_a_1")

NO_STEP = Absent("no step from 1 to T was recorded")
NO_WEIGHTS = Absent("W of no step from 1 to T was kept in a snapshot")


def _a_step(e: Evidence, k: Terms) -> Uses:
    return Uses(clusters=False, last=1)


def _steps(e: Evidence) -> list[int]:
    """The recorded steps 1, ..., T."""
    return [t for t in e.recorded if 1 <= t <= e.T]


@statement(
    "lemma_A_1_neurons",
    "Lemma A.1(1)",
    "14",
    "|w_j^t| <= 2 |a_j| alpha t",
    unit="2 |a_j| alpha t",
    uses=_a_step,
    needs=ASSUMED,
)
def _lemma_A_1_neurons(e: Evidence, k: Terms) -> Comparison | Absent:
    steps = _steps(e)
    if not steps:
        return NO_STEP
    moving = np.flatnonzero(e.a)
    allowed = 2 * np.abs(e.a[moving]) * e.alpha * np.array(steps)[:, None]
    return at_most(
        e.norms(steps)[:, moving] / allowed,
        1.0,
        axes=by_step(steps, neuron=moving),
        empty="every a_j is 0",
    )


@statement(
    "lemma_A_1_norm",
    "Lemma A.1(2)",
    "14",
    "|W^t|_F <= 2 alpha t",
    unit="2 alpha t",
    uses=_a_step,
    needs=ASSUMED,
)
def _lemma_A_1_norm(e: Evidence, k: Terms) -> Comparison | Absent:
    steps = _steps(e)
    if not steps:
        return NO_STEP
    times = np.array(steps)
    whole = np.linalg.norm(e.norms(steps), axis=1) / (2 * e.alpha * times)
    return at_most(whole, 1.0, axes={"step": times})


# ------------------------------------------------------------------ inner steps of the proof


@statement(
    "equation_14",
    "(14)",
    "(14)",
    "|x_i| <= sqrt 2",
    uses=lambda e, k: Uses(),
    needs=GOOD_RUN,
    inner=True,
)
def _equation_14(e: Evidence, k: Terms) -> Comparison:
    return at_most(e.norm_x, math.sqrt(2), axes={"sample": np.arange(e.n)})


@statement(
    "equation_15",
    "(15)",
    "(15)",
    "|w_j^t - w_j^0| <= sqrt 2 |a_j| alpha t, t = 1..T with W kept",
    unit="|a_j| alpha t",
    uses=_a_step,
    needs=GOOD_RUN,
    inner=True,
)
def _equation_15(e: Evidence, k: Terms) -> Comparison | Absent:
    steps = sorted(t for t in e.kept if 1 <= t <= e.T)
    if not steps:
        return NO_WEIGHTS
    moving = np.flatnonzero(e.a)
    unit = np.abs(e.a[moving]) * e.alpha * np.array(steps)[:, None]
    moved = np.array([e.moved(t)[moving] for t in steps]) / unit
    return at_most(
        moved,
        math.sqrt(2),
        axes=by_step(steps, neuron=moving),
        empty="every a_j is 0",
        details={"steps": steps},
        constant=Constant("sqrt 2", math.sqrt(2), float(moved.max(initial=0.0)), math.sqrt(2)),
    )


LEMMA_A_1 = (_lemma_A_1_neurons, _lemma_A_1_norm, _equation_14, _equation_15)


def lemma_A_1(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Lemma A.1: weights grow at most linearly; and the proof's inner steps.

    Parameters
    ----------
    run : Run
        A run of at least one step.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_A_1_neurons`` and ``lemma_A_1_norm``, over the recorded steps 1, ..., T;
        ``equation_14``, over the samples; ``equation_15``, over those of the steps 1, ..., T whose
        W was kept: 1 and T unless told otherwise. Its details list them.

    Notes
    -----
    norm(w_j^t) <= 2 abs(a_j) alpha t and norm_F(W_t) <= 2 alpha t; the values are the ratios of
    both sides. Needs omega sqrt(md) <= alpha/3.

    Steps of the proof:

    - (14): norm(x_i) <= sqrt 2.
    - (15): norm(w_j^t - w_j^0) <= sqrt 2 abs(a_j) alpha t, for any omega. The value is in units of
      abs(a_j) alpha t.

    Neurons with a_j = 0 do not move, and are left out. O(n d + m d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_A_1(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True]
    """
    return checks_of(LEMMA_A_1, run, delta, C0, rng)
