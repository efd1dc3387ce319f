"""A user's own statements: how one becomes a Check, and what its evaluate may return."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from rfa import _seeds, _validate
from rfa._tables import jsonable
from rfa.theory.evaluation import check_of
from rfa.theory.evidence import Evidence
from rfa.theory.hypotheses import HYPOTHESES, Unmet, unmet
from rfa.theory.statement import KNOWN, Statement
from rfa.theory.terms import Terms
from rfa.theory.verdict import COMPARISONS, INSTEAD, TRUE, Check

# What the dict of evaluate must have.
REQUIRED = {"value", "bound", "relation"}


def own_checks(statements: Iterable[Statement], e: Evidence, k: Terms) -> dict[str, Check]:
    """The checks of a user's statements by id; each comes after those that it needs."""
    listed = {statement.id: statement for statement in statements}
    found: dict[str, Check] = {}
    for id in in_order(listed):
        found[id] = _check(listed[id], e, k, found)
    return found


def in_order(listed: Mapping[str, Statement]) -> list[str]:
    """The ids, each after those that it needs; ValueError if statements need each other."""
    needs = {id: [need for need in own.needs if need in listed] for id, own in listed.items()}
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ValueError(f"statements must not need each other, got {circle}") from None


def _check(statement: Statement, e: Evidence, k: Terms, found: Mapping[str, Check]) -> Check:
    """The check of a statement; ``found`` has those of a user that it needs."""
    rest: dict[str, Any] = {
        "id": statement.id,
        "text": statement.text,
        "numbers": statement.numbers,
        "claims": statement.probability != "none",
    }
    generator = _seeds.of_name(_seeds.sequence(k.rng), statement.id)
    try:
        result = statement.evaluate(e.run, delta=k.delta, C0=k.C0, rng=generator)
        if isinstance(result, str) and result.strip():
            return Check(applicable=False, why=" ".join(result.split()), **rest)
        values = _read(result)
    except (Exception, SystemExit) as error:
        return Check(applicable=False, failed_to_run=_told(error), **rest)
    lines = tuple(line for id in statement.needs for line in _unmet(id, e, k, found))
    return Check(**rest, **values, unmet=lines)


def _told(error: BaseException) -> str:
    """Type and message of an exception, on one line."""
    try:
        reason = " ".join(str(error).split())
    except Exception:  # the text of the caller's own exception fails
        reason = ""
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _unmet(id: str, e: Evidence, k: Terms, found: Mapping[str, Check]) -> tuple[Unmet, ...]:
    """The sentence on a hypothesis or statement that a statement needs, if it is unmet."""
    if id in HYPOTHESES:
        return unmet((id,), e, k)
    verdict = (check_of(KNOWN[id], e, k) if id in KNOWN else found[id]).verdict
    return () if verdict in TRUE else (Unmet(id, f"of {id} the verdict is {verdict!r}"),)


# ------------------------------------------------------------------ what evaluate returns


def _number(value: Any, name: str) -> float:
    """A real number, which may be infinite or NaN."""
    number = value[()] if isinstance(value, np.ndarray) else value
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {_validate.shown(value)}")
    return float(number)


def _number_or_none(value: Any, name: str) -> float | None:
    return None if value is None else _number(value, name)


def _text(value: Any, name: str) -> str:
    _validate.instance(value, name, str, "a text")
    return " ".join(value.split())


def _text_or_none(value: Any, name: str) -> str | None:
    return None if value is None else _text(value, name)


def _as_json(value: Any, name: str) -> dict[str, Any]:
    """A dict that JSON can express."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict, got {_validate.shown(value)}")
    try:
        json.dumps(jsonable(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} must have values that JSON can express: {error}") from None
    return dict(value)


def _place(value: Any, name: str) -> dict[str, Any]:
    """Where the extreme is: a dict of indices and names."""
    place = _as_json(value, name)
    for axis, label in place.items():
        if not isinstance(axis, str) or not isinstance(label, (int, str, np.integer)):
            raise TypeError(
                f"{name} must map names to an int or a str, got {_validate.shown(value)}"
            )
    return place


# What the dict may have besides, and the functions that check it.
OPTIONAL: dict[str, Callable[[Any, str], Any]] = {
    "tolerance": _validate.nonnegative_float,
    "where": _place,
    "constant": _text_or_none,
    "constant_used": _number_or_none,
    "literal_constant": _number_or_none,
    "empirical_constant": _number_or_none,
    "details": _as_json,
    "why": _text,
    "verdict": lambda value, name: _validate.choice(value, name, "", *INSTEAD),
}


def _read(found: Any) -> dict[str, Any]:
    """The fields of a Check from what evaluate has returned."""
    if not isinstance(found, Mapping):
        raise TypeError(f"evaluate must return a dict or a reason, got {_validate.shown(found)}")
    keys = set(found)
    if not REQUIRED <= keys <= REQUIRED | set(OPTIONAL):
        wrong = [f"lacks {name!r}" for name in sorted(REQUIRED - keys)]
        wrong += [f"has {name!r}" for name in sorted(map(str, keys - REQUIRED - set(OPTIONAL)))]
        raise ValueError(
            f"evaluate must return {', '.join(sorted(REQUIRED))} and may return "
            f"{', '.join(sorted(OPTIONAL))}; its dict {' and '.join(wrong)}"
        )
    values: dict[str, Any] = {
        name: read(found[name], name) for name, read in OPTIONAL.items() if name in keys
    }
    values["relation"] = _validate.choice(found["relation"], "relation", *COMPARISONS)
    value, bound = (_number_or_none(found[name], name) for name in ("value", "bound"))
    if bound is not None and math.isnan(bound):
        raise ValueError("bound must be a number, or None where there is none, got nan")
    if value is not None and math.isnan(value):
        values["why"] = "; ".join(filter(None, [values.get("why"), "the value is not a number"]))
    instead = values.pop("verdict", "")
    if value is None or bound is None:
        # there is nothing to compare, or nothing to compare it with
        instead = instead or ("no case" if value is None else "no claim")
    values["value"] = math.nan if value is None else value
    values["bound"] = math.nan if bound is None else bound
    if instead == "trivial" and not Check(id="", **values).holds:
        raise ValueError("verdict must not be 'trivial', since the comparison is false")
    return values | {"instead": instead}
