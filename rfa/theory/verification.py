"""All statements on one run."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from rfa import _seeds, _validate, setting
from rfa.theory.amplification import LEMMA_4_10
from rfa.theory.conditions import CONDITION_4_7, CONDITION_4_8
from rfa.theory.evaluation import check_of
from rfa.theory.evidence import Evidence, Uses, evidence
from rfa.theory.features import PROPOSITION_3_2
from rfa.theory.generalization import PROPOSITION_B_1, THEOREM_3_1
from rfa.theory.growth import LEMMA_A_1
from rfa.theory.hypotheses import HYPOTHESES, SHARED, audit_of, unmet
from rfa.theory.initialization import DEFINITION_4_5, LEMMA_4_1, LEMMA_4_2, LEMMA_4_4
from rfa.theory.margin import EQUATION_16, LEMMA_4_6, LEMMA_4_9
from rfa.theory.own import in_order, own_checks
from rfa.theory.persistence import LEMMA_4_11
from rfa.theory.report import Report
from rfa.theory.samples import LEMMA_4_3
from rfa.theory.statement import KNOWN, PaperStatement, Statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run

# In the order of the paper's argument.
ALL: tuple[PaperStatement, ...] = (
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


# A report shows main results first, then what makes a good run, then how it goes on.
SHOWN: tuple[str, ...] = tuple(
    dict.fromkeys(
        statement.id
        for statement in (
            *THEOREM_3_1,
            *PROPOSITION_3_2,
            *DEFINITION_4_5,
            *LEMMA_4_1,
            *LEMMA_4_2,
            *LEMMA_4_3,
            *LEMMA_4_4,
            *CONDITION_4_7,
            *CONDITION_4_8,
            *LEMMA_4_10,
            *LEMMA_4_11,
            *LEMMA_4_6,
            *LEMMA_4_9,
            *ALL,
        )
    )
)

# The most statements that one call checks.
MOST_STATEMENTS = 10_000

# These statements about T are also shown for the last step of a longer run, of which they claim
# nothing. (16) is about every step.
LATER = replace(KNOWN["lemma_4_9_norm"], uses=lambda e, k: Uses(clusters=False), needs=SHARED)
BEYOND: tuple[PaperStatement, ...] = (
    *(
        replace(statement, probability="none")
        for statement in (*THEOREM_3_1, LATER, KNOWN["proposition_3_2"])
    ),
    KNOWN["equation_16"],
)


def check(
    run: Run,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
    *,
    statements: Iterable[str | Statement] | None = None,
) -> Report:
    """Check statements of the paper, and a user's own ones, on a run.

    Parameters
    ----------
    run : Run
        The result of :func:`rfa.train`, or a file's of :func:`rfa.load`.
    delta : float, default 0.1
        Failure probability, in (0, 1).
    C0 : float, default 5.0
        The constant of Lemma 4.2, above 1.
    rng : int, SeedSequence, Generator or None
        Where fresh points and signs come from (stream ``check``); None: the run's seed, or fresh
        entropy, kept in the report's settings, if the run has none.
    statements : iterable of str or Statement, optional
        What to check: ids of :data:`rfa.theory.STATEMENTS` and Statements of one's own, in this
        order. None: all of the paper's. ``[*rfa.theory.STATEMENTS, mine]`` adds one. A value does
        not depend on which others are checked.

    Returns
    -------
    Report
        A check for each statement.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type, or if a statement is unknown or listed
        twice. If the ``evaluate`` of a user's statement raises, its check says so.

    Warns
    -----
    UserWarning
        If 1/(4 alpha) is not an integer: T is then rounded down.

    Notes
    -----
    Statements speak of T = 1 + 1/(4 alpha), whatever the length of the run. The last step of a
    longer run is shown too, marked "beyond the theorem". If 1/(4 alpha) is rounded down to K,
    constants that rest on alpha K = 1/4 are scaled with r = 4 alpha K. No experiment can reach the
    paper's constants, so that bounds have others: C0 as given; C1 = min((sigma sqrt d)^(-1/2),
    1/(sigma sqrt d), (n/log(1/delta))^(1/4)), the largest for which the second inequalities of
    Lemma 4.3 hold; C2 = 12 C0 sqrt(2 pi e), from (12). Each check has the paper's constant and the
    one that this run would need. Costs a few evaluations of the network, O(n m d).

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("assumptions").run(rng=0)
    >>> report = check(run)
    >>> report.failed
    ()
    >>> report["lemma_4_2"].bound, report["theorem_3_1_1"].value
    (32.00000000000001, 0.0)
    >>> check(run, statements=["theorem_3_1_1"]).ids
    ('theorem_3_1_1',)
    """
    e, k = evidence(run, delta, C0, rng)
    chosen = selected(statements)
    if e.rounded:
        warnings.warn(setting.Horizon.of(run.alpha).warning(run.alpha), stacklevel=2)
    given = _seeds.root(k.rng)
    drawn = isinstance(given, np.random.Generator)
    origin = _seeds.apart(given) if isinstance(given, np.random.Generator) else given
    k = replace(k, rng=origin)
    own = own_checks([s for s in chosen if isinstance(s, Statement)], e, k)
    checks = tuple(own[s.id] if isinstance(s, Statement) else check_of(s, e, k) for s in chosen)
    audit, good = audit_of(e, k), check_of(KNOWN["definition_4_5"], e, k)
    needs = [] if audit is None else [n for n in audit.needs if not n.literal]
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
        "seed": "a Generator" if drawn else _seeds.describe(origin),
        "parameters": audit.parameters if audit is not None else None,
        "rate_points": e.rate.points,
        "feasible_C": [audit.lo, audit.hi] if audit is not None else None,
        "clash": "" if audit is None or audit.holds else audit.ends(),
        "assumptions_met": audit is not None and audit.hypotheses_met,
        "needs_met": sum(need.holds for need in needs),
        "needs": len(needs),
        "width_needed": next((n.bound for n in needs if n.id == "lemma_4_2" and not n.holds), None),
        "good_run": good.holds if good.applicable else None,
        "unmet": [str(hypothesis) for hypothesis in unmet(SHARED, e, k)],
    }
    beyond = _beyond(e, k.at(e.steps)) if statements is None and run.t > e.T else ()
    return Report(checks, settings, beyond, SHOWN if statements is None else ())


def selected(
    statements: Iterable[str | Statement] | None, argument: str = "statements"
) -> Sequence[PaperStatement | Statement]:
    """The statements of a selection; ValueError or TypeError if it cannot be checked."""
    if statements is None:
        return ALL
    if isinstance(statements, str):
        raise TypeError(f"{argument} must be a list, such as [{statements!r}], got a str")
    entries = _validate.entries(statements, argument, MOST_STATEMENTS)
    if not entries:
        raise ValueError(f"{argument} must name at least one statement, got none")
    chosen: list[PaperStatement | Statement] = []
    for entry in entries:
        if isinstance(entry, Statement):
            chosen.append(entry)
        elif isinstance(entry, str):
            if entry not in KNOWN:
                shown = _validate.shown(entry)
                raise ValueError(f"{argument} has {shown}, {_near(entry, KNOWN)}")
            chosen.append(KNOWN[entry])
        else:
            raise TypeError(
                f"{argument} must be ids or rfa.theory.Statement objects, got "
                f"{_validate.shown(entry)}"
            )
    ids = [s.id for s in chosen]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise ValueError(f"{argument} must have no id twice, got {', '.join(twice)} twice")
    own = {s.id: s for s in chosen if isinstance(s, Statement)}
    known = {*HYPOTHESES, *KNOWN, *own}
    for statement in own.values():
        for need in statement.needs:
            if need not in known:
                raise ValueError(
                    f"needs of statement {statement.id!r} has {_validate.shown(need)}, "
                    f"{_near(need, known)}"
                )
    in_order(own)
    return chosen


def _near(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown id."""
    spelt = re.sub(r"\W+", "_", name.lower()).strip("_")
    near = [id for id in known if spelt and f"_{spelt}_" in f"_{id.lower()}_"][:3]
    near = near or difflib.get_close_matches(name, list(known), 3, 0.5)
    return "which is unknown" + (f"; near ones are {', '.join(near)}" if near else "")


def _beyond(e: Evidence, k: Terms) -> tuple[Check, ...]:
    """The checks of a later step."""
    return tuple(check_of(statement, e, k) for statement in BEYOND)
