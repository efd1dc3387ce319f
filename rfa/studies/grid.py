"""Many runs: trials of an experiment, on a grid of parameters, one run per thread."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rfa import _seeds, _validate
from rfa.experiment import Experiment
from rfa.studies.executors import in_threads
from rfa.studies.measures import Measure, measure_of
from rfa.studies.trials import Record, Study, TrialError, plain
from rfa.training.loop import Interrupted

# A study keeps the parameters of every cell and a record of every run.
MAX_CELLS, MAX_RUNS = 2**20, 2**30


def study(
    exp: Experiment,
    grid: Mapping[str, Iterable[Any]] | None = None,
    trials: int = 100,
    rng: _seeds.Seed = 0,
    measure: str | Measure = "final",
    progress: bool | None = None,
) -> Study:
    """Run trials of an experiment, for every combination of a grid's values.

    Parameters
    ----------
    exp : Experiment
        What to run.
    grid : dict of str to iterable, optional
        Names of parameters of the experiment and the values they take, at most 2^20 combinations.
    trials : int, default 100
        Trials in every cell; at most 2^30 runs altogether.
    rng : int, SeedSequence or None, default 0
        Seed. Trial k uses its key (k,), in every cell: cells are paired, a larger grid or more
        trials change no trial, and ``exp.run(SeedSequence(seed, spawn_key=(k,)))`` is trial k.
    measure : {"final", "check"} or callable
        What is kept of a run. "final": status, t, and the history's entries at the last step that
        are numbers. "check": :func:`rfa.theory.check`, for every statement whether it holds (None
        if not applicable), and as ``ID:value``, ``ID:vacuous`` and ``ID:hypotheses_met`` the rest;
        :func:`rfa.studies.checks` does so with another delta and C0. Or a function of the run that
        returns a dict with str keys, other than ``trial`` and the grid's names, called in several
        threads at once.
    progress : bool, optional
        Whether to show a progress bar; None: as :func:`rfa.train`.

    Returns
    -------
    Study

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type, before anything is run.
    TrialError
        If a run or measure fails, be it by ``sys.exit``, or returns what is no record: a
        RuntimeError that names cell and trial and carries the trials that were finished as
        ``study``. Runs that have begun end at their next step.
    Interrupted
        After Ctrl-C, carrying the trials that were finished as ``study``.
    BaseException
        What the handler of another signal raises meanwhile, as it is, with the trials that were
        finished as ``study``.

    Notes
    -----
    One run per thread, as many threads as :func:`rfa.train` would use; results do not depend on
    their number. Records come in order of cell and trial, not of completion. glibc is made to keep
    freed memory, some 32 MiB a thread, for the process.

    Examples
    --------
    >>> import rfa
    >>> found = study(rfa.Experiment(n=40, d=3, m=8), trials=4, rng=0)
    >>> [record["clean_wrong"] for record in found.records]
    [11, 19, 16, 20]
    """
    _validate.instance(exp, "exp", Experiment, "a rfa.Experiment")
    varied, experiments = _cells(exp, {} if grid is None else grid)
    cells = list(zip(_combined(varied), experiments, strict=True))
    trials = _validate.positive_int(trials, "trials")
    if trials * len(cells) > MAX_RUNS:
        raise ValueError(
            f"trials must be at most {MAX_RUNS // len(cells)} in {len(cells)} cells, "
            f"got {_validate.shown(trials)}: every record is kept"
        )
    origin = _seeds.sequence(rng)
    taken = measure_of(measure)
    progress = _validate.flag(progress, "progress")
    options: dict[str, Any] = {"record": None, "snapshots": None} if measure == "final" else {}
    begin = time.perf_counter()
    found: dict[tuple[int, int], Record] = {}
    failed: dict[tuple[int, int], BaseException] = {}

    def result() -> Study:
        ordered = (found[key] for key in sorted(found))
        seconds = time.perf_counter() - begin
        return Study(exp, varied, trials, _seeds.describe(origin) or {}, ordered, seconds)

    def trial(cell: int, k: int) -> Record:
        parameters, experiment = cells[cell]
        try:
            run = experiment.run(_seeds.child(origin, k), n_threads=1, progress=False, **options)
            return _record({**parameters, "trial": k}, taken(run))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failed[cell, k] = error
            raise

    try:
        # not a product, which would make lists of the ranges
        keys = ((cell, k) for cell in range(len(cells)) for k in range(trials))
        in_threads(trial, keys, len(cells) * trials, found, progress)
        return result()
    except KeyboardInterrupt:
        raise Interrupted(study=result()) from None
    except BaseException as error:
        if not any(error is each for each in failed.values()):
            _attach(result(), error)
            raise
        cell, k = first = min(failed)
        cause = failed[first]
        reason = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
        raise TrialError(result(), cells[cell][0], k, reason) from cause


def _attach(study: Study, error: BaseException) -> None:
    """Let what ends a study, and is no trial's, carry the study so far."""
    # some refuse attributes
    with contextlib.suppress(AttributeError, TypeError):
        error.study = study  # type: ignore[attr-defined]
        error.add_note(f"the study's finished trials, {len(study)}, are this exception's .study")


def _record(own: Record, measured: Any) -> Record:
    """What a trial is and what was measured, if that is a record."""
    if not isinstance(measured, Mapping):
        raise TypeError(f"measure must return a dict, got {_validate.shown(measured)}")
    for name in measured:
        if not isinstance(name, str):
            raise TypeError(
                f"measure must return a dict with str keys, got {_validate.shown(name)}"
            )
        if name in own and (name == "trial" or plain(measured[name]) != own[name]):
            raise ValueError(
                f"measure must not return {name!r}, which is {_validate.shown(own[name])} here, "
                f"got {_validate.shown(measured[name])}"
            )
    return {**own, **measured}


def _cells(
    exp: Experiment, grid: Mapping[str, Iterable[Any]]
) -> tuple[dict[str, tuple[Any, ...]], list[Experiment]]:
    """A valid grid in plain values, and the experiment of every combination."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must be a dict of values, got {_validate.shown(grid)}")
    names = [field.name for field in dataclasses.fields(Experiment)]
    given: dict[str, tuple[Any, ...]] = {}
    for name, values in grid.items():
        if name not in names:
            listed = ", ".join(names)
            raise ValueError(f"grid has {_validate.shown(name)}, which is no parameter: {listed}")
        given[name] = taken = _validate.entries(values, f"grid[{name!r}]", MAX_CELLS)
        if not taken:
            raise ValueError(f"grid must have at least one value of {name}")
    size = math.prod(map(len, given.values()))
    if size > MAX_CELLS:
        raise ValueError(f"grid must have at most {MAX_CELLS} cells, got {size}")
    experiments = [exp.replace(**cell) for cell in _combined(given)]
    # in plain types, as the experiments have them: what is given can be an array, or another one
    varied, repeat = {}, size
    for name, values in given.items():
        repeat //= len(values)
        varied[name] = values = tuple(
            getattr(experiments[i * repeat], name) for i in range(len(values))
        )
        if len(set(values)) < len(values):
            raise ValueError(
                f"grid must have no value of {name} twice, got {_validate.shown(values)}"
            )
    return varied, experiments


def _combined(grid: Mapping[str, tuple[Any, ...]]) -> Iterable[dict[str, Any]]:
    """The cells of a grid, the last parameter changing first."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
