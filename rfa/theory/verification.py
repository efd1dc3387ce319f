"""All statements on one run."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from rfa import _seeds, setting
from rfa.theory.amplification import LEMMA_4_10
from rfa.theory.conditions import CONDITION_4_7, CONDITION_4_8
from rfa.theory.evaluation import check_of
from rfa.theory.evidence import Evidence, Needs, evidence
from rfa.theory.features import PROPOSITION_3_2
from rfa.theory.generalization import PROPOSITION_B_1, THEOREM_3_1
from rfa.theory.growth import LEMMA_A_1
from rfa.theory.hypotheses import SHARED, unmet
from rfa.theory.initialization import DEFINITION_4_5, LEMMA_4_1, LEMMA_4_2, LEMMA_4_4
from rfa.theory.margin import EQUATION_16, LEMMA_4_6, LEMMA_4_9
from rfa.theory.persistence import LEMMA_4_11
from rfa.theory.report import Check, Report
from rfa.theory.samples import LEMMA_4_3
from rfa.theory.statement import KNOWN, Statement
from rfa.theory.terms import Terms
from rfa.training.run import Run

# In the order of the paper's argument.
ALL: tuple[Statement, ...] = (
    *LEMMA_4_1,
    *LEMMA_4_2,
    *LEMMA_4_3,
    *LEMMA_4_4,
    *DEFINITION_4_5,
    *LEMMA_A_1,
    *EQUATION_16,
    *LEMMA_4_6,
    *CONDITION_4_7,
    *CONDITION_4_8,
    *LEMMA_4_9,
    *LEMMA_4_10,
    *LEMMA_4_11,
    *THEOREM_3_1,
    *PROPOSITION_3_2,
    *PROPOSITION_B_1,
)

# The ids of all statements.
STATEMENTS: tuple[str, ...] = tuple(statement.id for statement in ALL)


# These statements about T are also shown for the last step of a longer run, of which they claim
# nothing.
BEYOND: tuple[Statement, ...] = (
    *THEOREM_3_1,
    # the proof of this one is about T alone: what it needs and assumes there says nothing later
    replace(KNOWN["lemma_4_9_norm"], needs=lambda e, k: Needs(clusters=False), hypotheses=SHARED),
    KNOWN["equation_16"],
    KNOWN["proposition_3_2"],
)


def check(
    run: Run,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> Report:
    """Every statement of the paper on a run.

    Parameters
    ----------
    run : Run
        The result of :func:`rfa.train`, or a file's of :func:`rfa.load`.
    delta : float, default 0.1
        Failure probability, in (0, 1); from 1/4 on every statement is vacuous.
    C0 : float, default 5.0
        The constant of Lemma 4.2, above 1.
    rng : int, SeedSequence, Generator or None
        Where fresh points and signs come from (stream ``check``); None: the run's seed, or fresh
        entropy, kept in the report's settings, if the run has none.

    Returns
    -------
    Report
        A check for every id of :data:`rfa.theory.STATEMENTS`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Warns
    -----
    UserWarning
        If 1/(4 alpha) is not an integer: T is then rounded down.

    Notes
    -----
    Statements speak of T = 1 + 1/(4 alpha), whatever the length of the run. The last step of a
    longer run is shown too, marked "beyond the theorem". No experiment can reach the paper's
    constants, so that bounds have others: C0 as given; C1 = min((sigma sqrt d)^(-1/2),
    1/(sigma sqrt d), (n/log(1/delta))^(1/4)), the largest for which the second inequalities of
    Lemma 4.3 hold; C2 = 12 C0 sqrt(2 pi e), from (12). Each check has the paper's constant and the
    one that this run would need. Costs a few evaluations of the network, O(n m d).

    Examples
    --------
    >>> import rfa
    >>> report = check(rfa.preset("assumptions").run(rng=0))
    >>> report.failed
    ()
    >>> report["lemma_4_2"].bound, report["theorem_3_1_1"].value
    (32.00000000000001, 0.0)
    """
    e, k = evidence(run, delta, C0, rng)
    if e.rounded:
        warnings.warn(
            f"1/(4 alpha) = {1 / (4 * run.alpha):.6g} is not an integer: T is rounded down to "
            f"{e.T}",
            stacklevel=2,
        )
    origin = _seeds.root(k.rng)
    k = replace(k, rng=origin)
    checks = tuple(check_of(statement, e, k) for statement in ALL)
    audit, good = e.audit(k.delta, k.C0), check_of(KNOWN["definition_4_5"], e, k)
    settings = {
        "delta": k.delta,
        "C0": k.C0,
        "C1": k.C1,
        "C2": k.C2,
        "literal_C0": k.literal_C0,
        "literal_C2": k.literal_C2,
        "T": e.T,
        "rounded": e.rounded,
        "steps": run.t,
        "seed": "a Generator"
        if isinstance(origin, np.random.Generator)
        else _seeds.describe(origin),
        "parameters": audit.parameters if audit is not None else None,
        "feasible_C": [audit.lo, audit.hi] if audit is not None else None,
        "assumptions_met": audit is not None and audit.hypotheses_met,
        "good_run": good.holds if good.applicable else None,
        "unmet": [str(hypothesis) for hypothesis in unmet(SHARED, e, k)],
    }
    return Report(checks, settings, _beyond(e, k.at(e.steps)) if run.t > e.T else ())


def _beyond(e: Evidence, k: Terms) -> tuple[Check, ...]:
    """The checks of a later step."""
    return tuple(check_of(statement, e, k) for statement in BEYOND)
