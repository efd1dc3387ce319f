"""How a statement on a run becomes a Check: what it lacks, what it assumes, the extreme value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rfa import _seeds
from rfa.theory.comparison import Absent, Comparison
from rfa.theory.evidence import Evidence, evidence
from rfa.theory.hypotheses import Unmet, unmet
from rfa.theory.statement import PaperStatement
from rfa.theory.terms import Terms
from rfa.theory.verdict import Check
from rfa.training.run import Run


def checks_of(
    statements: Iterable[PaperStatement], run: Run, delta: float, C0: float, rng: _seeds.Seed
) -> tuple[Check, ...]:
    """The checks of some statements on a run; ValueError and TypeError as of rfa.theory.check."""
    e, k = evidence(run, delta, C0, rng)
    return tuple(check_of(statement, e, k) for statement in statements)


def check_of(statement: PaperStatement, e: Evidence, k: Terms) -> Check:
    """The check of a statement, which a call evaluates once: others may have it as a hypothesis."""
    if statement not in k.known:
        k.known[statement] = _evaluated(statement, e, k)
    found: Check = k.known[statement]
    return found


def _evaluated(statement: PaperStatement, e: Evidence, k: Terms) -> Check:
    why = e.lacks(**statement.uses(e, k))
    found = Absent(why) if why else statement.compare(e, k)
    if isinstance(found, Absent):
        return Check(id=statement.id, applicable=False, why=found.why, details=found.details)
    return settled(statement, found, unmet(statement.needs, e, k), unmet(statement.premises, e, k))


def settled(
    statement: PaperStatement,
    comparison: Comparison,
    needs: tuple[Unmet, ...] = (),
    premises: tuple[Unmet, ...] = (),
) -> Check:
    """The check that shows the value with the least slack."""
    array = np.asarray(comparison.values, dtype=np.float64)
    limit = np.broadcast_to(np.asarray(comparison.bound, dtype=np.float64), array.shape)
    constant = comparison.constant
    rest: dict[str, Any] = {
        "id": statement.id,
        "relation": comparison.relation,
        "tolerance": comparison.tolerance,
        "claims": statement.probability != "none",
        "unmet": (*needs, *premises),
        "details": comparison.details,
        "constant": constant and constant.name,
        "constant_used": constant and constant.used,
        "literal_constant": constant and constant.literal,
        "empirical_constant": constant and constant.empirical,
    }
    if array.size == 0:
        return Check(instead="no case", why=comparison.empty, **rest)
    slack = array - limit if comparison.relation == ">=" else limit - array
    # a NaN is worse than any number
    worst = np.unravel_index(int(np.argmin(np.where(np.isnan(slack), -np.inf, slack))), array.shape)
    extreme, right = float(array[worst]), float(limit[worst])
    instead, why = comparison.instead, comparison.why
    if not instead and premises:
        instead = "no claim"
    elif not instead and comparison.relation == ">=" and right <= 0:
        instead, why = "trivial", "the right side is not positive"
    elif not instead and comparison.trivial:
        instead, why = "trivial", "any value satisfies the bound"
    where = {}
    for axis, labels in comparison.axes.items():
        label = labels[worst]
        where[axis] = str(label) if isinstance(label, np.str_) else int(label)
    return Check(value=extreme, bound=right, instead=instead, where=where, why=why, **rest)
