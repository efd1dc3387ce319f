"""Measures: functions of a run whose results a study keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rfa import _validate
from rfa.setting import C0, DELTA
from rfa.studies.trials import Record
from rfa.theory.verification import STATEMENTS, check
from rfa.training.run import Run

Measure = Callable[[Run], Mapping[str, Any]]


def measure_of(measure: str | Measure) -> Measure:
    """The function of a measure that is given as a function or by its name."""
    if callable(measure):
        return measure
    known: dict[str, Measure] = {"final": final, "check": checks}
    if not isinstance(measure, str) or measure not in known:
        raise ValueError(
            f"measure must be 'final', 'check' or a function, got {_validate.shown(measure)}"
        )
    return known[measure]


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


def checks(run: Run, delta: float = DELTA, C0: float = C0) -> Record:
    """The checks of all statements on a run, as one flat dict.

    Parameters
    ----------
    run : Run
        A run.
    delta : float, default 0.1
        See :func:`rfa.theory.check`. For another value than the default, pass
        ``functools.partial(checks, delta=0.05)`` as the measure.
    C0 : float, default 5.0
        See :func:`rfa.theory.check`.

    Returns
    -------
    dict
        ``status`` of the run, ``delta``, and ``assumptions_met``: whether (A1)-(A7) hold for some C
        and labels and clusters are drawn as in the paper. For the id ID of every statement: ``ID``
        (whether it holds; None if it is not applicable), ``ID:value``, ``ID:vacuous`` and
        ``ID:hypotheses_met``.
    """
    report = check(run, delta, C0)
    values: Record = {
        "status": run.status,
        "delta": delta,
        "assumptions_met": report.settings["assumptions_met"],
    }
    for name in STATEMENTS:
        entry = report[name]
        values[name] = entry.holds if entry.applicable else None
        values[f"{name}:value"] = entry.value
        values[f"{name}:vacuous"] = entry.vacuous
        values[f"{name}:hypotheses_met"] = entry.hypotheses_met
    return values
