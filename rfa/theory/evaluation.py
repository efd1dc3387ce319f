"""How a statement on a run becomes a Check: what it lacks, what it assumes, the extreme value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rfa import _seeds
from rfa.theory.comparison import Absent, Comparison
from rfa.theory.evidence import Evidence, evidence
from rfa.theory.hypotheses import HYPOTHESES, Unmet, unmet
from rfa.theory.statement import KNOWN, PaperStatement, Statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import COMPARISONS, INSTEAD, Check
from rfa.training.run import Run

# What the dict of a user's evaluate must have, and what else it may have.
REQUIRED = {"value", "bound", "relation"}
OPTIONAL = {
    "tolerance",
    "where",
    "constant",
    "constant_used",
    "literal_constant",
    "empirical_constant",
    "details",
    "why",
    "verdict",
}


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


# ------------------------------------------------------------------ a user's own statements


def own_check(
    statement: Statement, e: Evidence, k: Terms, beside: Mapping[str, Statement]
) -> Check:
    """The check of a user's statement; ``beside`` has the others of the call by their ids."""
    if statement not in k.known:
        k.known[statement] = _own(statement, e, k, beside)
    found: Check = k.known[statement]
    return found


def _own(statement: Statement, e: Evidence, k: Terms, beside: Mapping[str, Statement]) -> Check:
    rest: dict[str, Any] = {
        "id": statement.id,
        "text": statement.text,
        "numbers": statement.numbers,
        "claims": statement.probability != "none",
    }
    try:
        generator = _seeds.of_name(_seeds.sequence(k.rng), statement.id)
        found = statement.evaluate(e.run, delta=k.delta, C0=k.C0, rng=generator)
        if isinstance(found, str):
            return Check(applicable=False, why=found, **rest)
        values = _read(found)
    except Exception as error:
        reason = " ".join(str(error).split())
        return Check(applicable=False, failed_to_run=f"{type(error).__name__}: {reason}", **rest)
    lines = tuple(line for id in statement.needs for line in _unmet(id, e, k, beside))
    return Check(**rest, **values, unmet=lines)


def _unmet(id: str, e: Evidence, k: Terms, beside: Mapping[str, Statement]) -> tuple[Unmet, ...]:
    """The sentence on a hypothesis or statement that a user's statement needs, if it is unmet."""
    if id in HYPOTHESES:
        return unmet((id,), e, k)
    other = check_of(KNOWN[id], e, k) if id in KNOWN else own_check(beside[id], e, k, beside)
    if other.holds:
        return ()
    return (Unmet(id, f"{id} does not hold" if other.applicable else f"{id} is not applicable"),)


def _read(found: Any) -> dict[str, Any]:
    """The fields of a Check from what a user's evaluate has returned."""
    if not isinstance(found, Mapping):
        raise TypeError(f"evaluate must return a dict or a str, got {type(found).__name__}")
    keys = set(found)
    if not REQUIRED <= keys <= REQUIRED | OPTIONAL:
        wrong = [f"lacks {name!r}" for name in sorted(REQUIRED - keys)]
        wrong += [f"has {name!r}" for name in sorted(map(str, keys - REQUIRED - OPTIONAL))]
        raise ValueError(
            f"evaluate must return {', '.join(sorted(REQUIRED))} and may return "
            f"{', '.join(sorted(OPTIONAL))}; its dict {' and '.join(wrong)}"
        )
    values = {name: found[name] for name in keys - {"verdict", "value", "bound"}}
    if values["relation"] not in COMPARISONS:
        raise ValueError(f"relation must be '>=', '<=' or '<', got {values['relation']!r}")
    verdict = found.get("verdict", "")
    if verdict not in ("", *INSTEAD):
        raise ValueError(f"verdict must be one of {', '.join(INSTEAD)}, got {verdict!r}")
    value, bound = found["value"], found["bound"]
    if value is None or bound is None:
        verdict = verdict or "no case"
    values["value"] = math.nan if value is None else float(value)
    values["bound"] = math.nan if bound is None else float(bound)
    return values | {"instead": verdict}
