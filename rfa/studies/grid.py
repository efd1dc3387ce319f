"""The function study: trials of an experiment, in every cell of a grid of parameters."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rfa import _seeds, _validate
from rfa.experiment import Experiment
from rfa.studies.executors import in_threads
from rfa.studies.measures import Measure, check_measure, measure_of
from rfa.studies.trials import Record, Study, TrialError, plain
from rfa.theory.statement import Statement
from rfa.training.loop import Interrupted

# Limits of a study, since it keeps the parameters of every cell and a record of every run.
MAX_CELLS, MAX_RUNS = 2**20, 2**30


def study(
    exp: Experiment,
    grid: Mapping[str, Iterable[Any]] | None = None,
    trials: int = 100,
    rng: _seeds.Seed = 0,
    measure: str | Measure | Iterable[str | Statement] = "final",
    progress: bool | None = None,
) -> Study:
    """Run trials of an experiment, for every combination of a grid's values.

    Parameters
    ----------
    exp : Experiment
        The experiment.
    grid : dict of str to iterable, optional
        Names of parameters of the experiment, and the values that each takes. A combination of
        values is a cell; there may be 2^20 cells.
    trials : int, default 100
        Number of trials in every cell. There may be 2^30 runs in all cells together.
    rng : int, SeedSequence or None, default 0
        Seed. Trial k uses its key (k,) in every cell: trial k is
        ``exp.run(SeedSequence(seed, spawn_key=(k,)))``. So the cells are paired, and neither a
        larger grid nor more trials change a trial.
    measure : {"final", "check"}, list of statements, or callable
        The function that turns a run into the entries of its record.

        - "final": status, t, and the numbers in the last row of the history.
        - "check": :func:`rfa.studies.checks`, of all the paper's statements. ``ID`` says whether
          the statement ID holds. For another delta or C0 pass
          ``functools.partial(rfa.studies.checks, delta=0.05)``.
        - A list of ids of statements, and of a user's own :class:`rfa.theory.Statement`: the same
          for these statements.
        - A function of the run that returns a dict. Its keys are texts other than ``trial`` and
          the grid's names. Several threads call it at once.
    progress : bool, optional
        Whether to show a progress bar. None: as in :func:`rfa.train`.

    Returns
    -------
    Study

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type. Nothing has been run then.
    TrialError
        If a run or the measure raises (``sys.exit`` included), or if the measure does not return a
        valid dict. It is a RuntimeError that names cell and trial; its ``study`` has the finished
        trials. All other runs end at their next step.
    Interrupted
        After Ctrl-C; its ``study`` has the finished trials.
    BaseException
        An exception that the handler of another signal raises, with the finished trials as its
        ``study``.

    Notes
    -----
    There is one run per thread, and the number of threads is that of :func:`rfa.train`. Results do
    not depend on it. Records are in the order of cell and trial, not of completion. From the first
    study on, glibc keeps about 32 MiB of freed memory per thread for this process.

    Examples
    --------
    >>> import rfa
    >>> found = study(rfa.Experiment(n=40, d=3, m=8), trials=4, rng=0)
    >>> [record["clean_wrong"] for record in found.records]
    [11, 19, 16, 20]
    """
    _validate.instance(exp, "exp", Experiment, "a rfa.Experiment")
    varied, experiments = _cells(exp, {} if grid is None else grid)
    trials = _validate.positive_int(trials, "trials")
    if trials * len(experiments) > MAX_RUNS:
        raise ValueError(
            f"trials must be at most {MAX_RUNS // len(experiments)} in {len(experiments)} cells, "
            f"got {_validate.shown(trials)}: every record is kept"
        )
    origin = _seeds.sequence(rng)
    function = measure_of(measure)
    check_measure(function, varied)
    progress = _validate.flag(progress, "progress")
    # "final" reads the last row of the history alone
    options: dict[str, Any] = {"record": None, "snapshots": None} if measure == "final" else {}
    work = _Trials(exp, varied, experiments, trials, origin, function, options)
    try:
        in_threads(work.run, work.keys(), trials * len(experiments), work.found, progress)
        return work.study()
    except KeyboardInterrupt:
        raise Interrupted(study=work.study()) from None
    except BaseException as error:
        if work.has_raised(error):
            raise work.error() from work.cause()
        _attach(work.study(), error)
        raise


class _Trials:
    """The trials of a study in progress: what each is, their records, and their failures."""

    def __init__(
        self,
        exp: Experiment,
        varied: dict[str, tuple[Any, ...]],
        experiments: list[Experiment],
        trials: int,
        origin: np.random.SeedSequence,
        measure: Measure,
        options: dict[str, Any],
    ) -> None:
        self.exp, self.varied, self.trials, self.origin = exp, varied, trials, origin
        self.measure, self.options = measure, options
        self.cells = list(zip(_combined(varied), experiments, strict=True))
        self.found: dict[tuple[int, int], Record] = {}
        self.failed: dict[tuple[int, int], BaseException] = {}
        self.begin = time.perf_counter()

    def keys(self) -> Iterator[tuple[int, int]]:
        """Cell and trial of every run, one by one: a study may have 2^30 of them."""
        return ((cell, k) for cell in range(len(self.cells)) for k in range(self.trials))

    def run(self, cell: int, k: int) -> Record:
        """Run a trial and measure it; several threads do this at once."""
        parameters, experiment = self.cells[cell]
        seed = _seeds.of_trial(self.origin, k)
        try:
            run = experiment.run(seed, n_threads=1, progress=False, **self.options)
            return _record({**parameters, "trial": k}, self.measure(run))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.failed[cell, k] = error
            raise

    def study(self) -> Study:
        """The study so far, with records in the order of cell and trial."""
        ordered = (self.found[key] for key in sorted(self.found))
        seconds = time.perf_counter() - self.begin
        seed = _seeds.describe(self.origin) or {}
        return Study(self.exp, self.varied, self.trials, seed, ordered, seconds)

    def has_raised(self, error: BaseException) -> bool:
        """Whether the exception is that of a trial."""
        return any(error is each for each in self.failed.values())

    def cause(self) -> BaseException:
        """The exception of the first failed trial, by cell and trial."""
        return self.failed[min(self.failed)]

    def error(self) -> TrialError:
        """The TrialError for the first failed trial."""
        cell, k = min(self.failed)
        cause = self.cause()
        reason = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
        return TrialError(self.study(), self.cells[cell][0], k, reason)


def _attach(study: Study, error: BaseException) -> None:
    """Give the study so far to an exception that ends it and is not that of a trial."""
    # some exceptions take no attributes
    with contextlib.suppress(AttributeError, TypeError):
        error.study = study  # type: ignore[attr-defined]
        error.add_note(f"the study's finished trials, {len(study)}, are this exception's .study")


def _record(own: Record, measured: Any) -> Record:
    """The record of a trial: its own entries, and the measured ones, if these are valid."""
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
    """The checked grid, its values in plain types, and the experiment of every cell."""
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
    # a given value may be an array or a NumPy number: take the plain one that the experiment has
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
    """The cells of a grid; from one to the next the last parameter changes first."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
