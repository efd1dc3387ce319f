"""Lemma A.1: weights grow at most linearly."""

from __future__ import annotations

import numpy as np

from rfa import _seeds, setting
from rfa.theory.comparison import Absent, Comparison, at_most, by_step
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import Evidence, Uses
from rfa.theory.hypotheses import GOOD_RUN
from rfa.theory.statement import statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run

ASSUMED = (*GOOD_RUN, "need_lemma_a_1")

NO_STEP = Absent("no step from 1 to T was recorded")


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


LEMMA_A_1 = (_lemma_A_1_neurons, _lemma_A_1_norm)


def lemma_A_1(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Lemma A.1: weights grow at most linearly.

    Parameters
    ----------
    run : Run
        A run of at least one step.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_A_1_neurons`` and ``lemma_A_1_norm``, over the recorded steps 1, ..., T.

    Notes
    -----
    norm(w_j^t) <= 2 abs(a_j) alpha t and norm_F(W_t) <= 2 alpha t; the values are the ratios of
    both sides. Needs omega sqrt(md) <= alpha/3.

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_A_1(rfa.preset("theorem").run(rng=0))]
    [True, True]
    """
    return checks_of(LEMMA_A_1, run, delta, C0, rng)
