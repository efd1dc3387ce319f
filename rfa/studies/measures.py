"""What is kept of a run in a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rfa import _validate
from rfa.studies.trials import Record
from rfa.theory.verification import STATEMENTS, check
from rfa.training.run import Run

Measure = Callable[[Run], Mapping[str, Any]]


def measure_of(measure: str | Measure) -> Measure:
    """The function that a measure is, or is the name of."""
    if callable(measure):
        return measure
    known: dict[str, Measure] = {"final": final, "check": checks}
    if not isinstance(measure, str) or measure not in known:
        raise ValueError(
            f"measure must be 'final', 'check' or callable, got {_validate.shown(measure)}"
        )
    return known[measure]


def final(run: Run) -> Record:
    """What a run came to: status, t, and the numbers of the history's last row.

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


def checks(run: Run, delta: float = 0.1, C0: float = 5.0) -> Record:
    """Whether each statement holds on a run, flat.

    Parameters
    ----------
    run : Run
        A run.
    delta, C0 : float
        See :func:`rfa.theory.check`. For other values than the default pass
        ``functools.partial(checks, delta=0.05)`` as the measure.

    Returns
    -------
    dict
        ``delta``, ``assumptions_met`` (whether (A1)-(A7) hold for some C and flips and clusters are
        drawn as the paper says) and, for every id, ``ID`` (None if not applicable), ``ID:value``,
        ``ID:vacuous``, ``ID:hypotheses_met``.
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
