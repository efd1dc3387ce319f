"""Measures: functions of a run whose results a study keeps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from math import isnan
from typing import Any

from rfa import _validate
from rfa.setting import C0, DELTA
from rfa.studies.trials import Record
from rfa.theory.hypotheses import EVENTS, Unmet
from rfa.theory.statement import PaperStatement, Statement, claimed
from rfa.theory.verdict import Check
from rfa.theory.verification import check, selected
from rfa.training.run import Run

Measure = Callable[[Run], Mapping[str, Any]]

# The target of a claim that rests on Definition 4.5.
ON_GOOD_RUNS = "never false on a good run"


def measure_of(measure: str | Measure | Iterable[str | Statement]) -> Measure:
    """The function of a measure: it is given as a function, by its name, or as statements."""
    if callable(measure):
        return measure
    known: dict[str, Measure] = {"final": final, "check": checks}
    if isinstance(measure, str):
        if measure in known:
            return known[measure]
    elif isinstance(measure, Iterable) and not isinstance(measure, (bytes, bytearray, Mapping)):
        chosen = selected(measure, "measure")
        ids = tuple(s if isinstance(s, Statement) else s.id for s in chosen)
        return functools.partial(checks, statements=ids)
    raise ValueError(
        "measure must be 'final', 'check', a list of statements or a function, got "
        f"{_validate.shown(measure)}"
    )


def check_measure(measure: Measure, grid: Collection[str]) -> None:
    """Refuse statements that a study with such a grid cannot keep, before anything is run."""
    if not (isinstance(measure, functools.partial) and measure.func is checks):
        return
    for statement in selected(measure.keywords.get("statements")):
        if statement.id in grid:
            raise ValueError(
                f"statement {statement.id!r} has the name of a parameter of the grid: give it "
                "another id"
            )
        claimed(statement, measure.keywords.get("delta", DELTA))


def final(run: Run) -> Record:
    """The end of a run: status, t, and the numbers in the last row of its history.

    Parameters
    ----------
    run : Run
        A run.

    Returns
    -------
    dict
    """
    _validate.instance(run, "run", Run, "a rfa.Run")
    values: Record = {"status": run.status, "t": run.t}
    if len(run.history) and run.history.t[-1] == run.t:
        for name in ("loss", "clean_wrong", "noisy_fitted", "test_error"):
            if name in run.history:
                values[name] = run.history[name][-1].item()
    return values


def checks(
    run: Run,
    delta: float = DELTA,
    C0: float = C0,
    *,
    statements: Iterable[str | Statement] | None = None,
) -> Record:
    """The checks of statements on a run, as one flat dict.

    Parameters
    ----------
    run : Run
        A run.
    delta : float, default 0.1
        See :func:`rfa.theory.check`. For another value than the default, pass
        ``functools.partial(checks, delta=0.05)`` as the measure.
    C0 : float, default 5.0
        See :func:`rfa.theory.check`.
    statements : iterable of str or Statement, optional
        See :func:`rfa.theory.check`.

    Returns
    -------
    dict
        ``status`` of the run, ``delta``, ``assumptions_met`` (whether (A1)-(A7) hold for some C and
        labels and clusters are drawn as in the paper) and ``good_run``. For the id ID of every
        statement:

        - ``ID``: whether the inequality holds; None if it is not applicable or has no bound.
        - ``ID:value`` and ``ID:verdict``.
        - ``ID:hypotheses_met``.
        - ``ID:target``: the probability that it claims; "never false", "never false on a good run",
          or "none" if it claims nothing.
        - ``ID:bears``: whether trials bear on the claim: all hypotheses that depend on the
          parameters hold, and the claim is not about a C that is "large enough".
        - ``ID:case``: whether the claim speaks of this trial. One "on a good run" speaks of good
          runs, and a user's statement of trials in which all that it needs is met.

    Raises
    ------
    TypeError, ValueError
        As of :func:`rfa.theory.check`; also if the ``probability`` of a user's statement is no
        number of at most 1 at this delta.
    """
    chosen = {s.id: s for s in selected(statements)}
    listed = [s if isinstance(s, Statement) else s.id for s in chosen.values()]
    report = check(run, delta, C0, statements=listed)
    values: Record = {
        "status": run.status,
        "delta": delta,
        "assumptions_met": report.settings["assumptions_met"],
        "good_run": report.settings["good_run"],
    }
    for name, statement in chosen.items():
        entry = report[name]
        compared = entry.applicable and not (entry.instead == "no claim" and isnan(entry.bound))
        values[name] = entry.holds if compared else None
        values[f"{name}:value"] = entry.value
        values[f"{name}:verdict"] = entry.verdict
        values[f"{name}:hypotheses_met"] = entry.hypotheses_met
        values[f"{name}:target"] = target = _target(statement, delta)
        values[f"{name}:bears"] = _bears(statement, entry)
        values[f"{name}:case"] = _speaks(statement, entry, target, report.settings["good_run"])
    return values


def _target(statement: PaperStatement | Statement, delta: float) -> float | str:
    probability = claimed(statement, delta)
    if probability is not None:
        return probability
    return ON_GOOD_RUNS if "good_run" in statement.needs else "never false"


def _bears(statement: PaperStatement | Statement, entry: Check) -> bool:
    """Whether trials bear on the claim of a check, as far as the parameters decide it."""
    if not (entry.claims and entry.applicable):
        return False
    if isinstance(statement, Statement):
        return True  # the trials in which its needs are unmet are no cases
    drawn = all(isinstance(line, Unmet) and line.id in EVENTS for line in entry.unmet)
    return statement.refutable and drawn


def _speaks(
    statement: PaperStatement | Statement, entry: Check, target: float | str, good_run: bool | None
) -> bool:
    """Whether the claim speaks of a trial; of the paper's, as far as what was drawn decides it."""
    if not entry.applicable or entry.verdict == "no claim":
        return False
    if isinstance(statement, Statement):
        return entry.hypotheses_met
    return target != ON_GOOD_RUNS or good_run is True
