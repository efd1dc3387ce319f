"""Many runs: trials of an experiment, on a grid of parameters, one run per thread."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import itertools
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rfa import _kernels, _openmp, _runtime, _seeds, _validate
from rfa._tables import jsonable
from rfa.experiment import Experiment
from rfa.run import Run
from rfa.theory import clopper_pearson
from rfa.theory.statements import STATEMENTS
from rfa.theory.verification import check
from rfa.training import Interrupted

if TYPE_CHECKING:
    import pandas

Record = dict[str, Any]
Measure = Callable[[Run], Mapping[str, Any]]

# Seconds between two looks for Ctrl-C.
LOOK = 0.1

# Seconds that the end of the process waits for runs of a study to notice it.
PARTING = 2.0

# What ends the studies that are under way, when the process ends.
_at_exit: set[Callable[[], None]] = set()

# A study keeps the parameters of every cell and a record of every run.
MAX_CELLS, MAX_RUNS = 2**20, 2**30


class Proportion(NamedTuple):
    """How often something held over the trials of a cell.

    Attributes
    ----------
    k, n : int
        Trials in which it holds, and in which it was applicable.
    low, high : float
        95 percent Clopper-Pearson interval of the probability; 0 and 1 if n = 0.
    trials : int
        All trials of the cell.
    not_applicable, vacuous, unmet : int
        Trials in which a statement was not applicable, said nothing, or had hypotheses that were
        not met.
    verdict : str
        On the theorem's probability, at least 1 - 4 delta: ``"consistent"`` if low is at least
        that, ``"refuted"`` if high is below it and the theorem's assumptions are met,
        ``"undecided"`` otherwise. ``"vacuous"`` if it said nothing in every trial,
        ``"conditional"`` if it was not applicable in every one; empty if it is not about a
        statement.
    """

    k: int
    n: int
    low: float
    high: float
    trials: int
    not_applicable: int
    vacuous: int
    unmet: int
    verdict: str


class TrialError(RuntimeError):
    """A trial of a study failed: its run, or what the measure did with it.

    What the trial raised is the ``__cause__``; pickled, its type and text stay in the message only.

    Attributes
    ----------
    study : Study
        The study with the trials that were finished.
    cell : dict of str to object
        The grid's values of the failed trial.
    trial : int
        Its number k; ``exp.replace(**cell).run(SeedSequence(seed, spawn_key=(k,)))`` is its run.
    reason : str
        Type and text of what it raised.

    Examples
    --------
    >>> import rfa
    >>> def measure(run):
    ...     return {"ratio": 1 / run.t}
    >>> try:
    ...     rfa.study(rfa.Experiment(n=40, d=3, m=8), {"steps": [0]}, trials=1, measure=measure)
    ... except rfa.TrialError as error:
    ...     print(error)
    trial 0 of steps=0 failed, with 0 finished: ZeroDivisionError: division by zero
    """

    def __init__(self, study: Study, cell: dict[str, Any], trial: int, reason: str) -> None:
        place = f"trial {trial}" + (f" of {_listed(cell)}" if cell else "")
        super().__init__(f"{place} failed, with {len(study)} finished: {reason}")
        self.study, self.cell, self.trial, self.reason = study, cell, trial, reason

    def __reduce__(self) -> tuple[type[TrialError], tuple[Study, dict[str, Any], int, str]]:
        return TrialError, (self.study, self.cell, self.trial, self.reason)


def _listed(cell: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_validate.shown(value)}" for name, value in cell.items())


class Study:
    """The records of many runs; read-only.

    Attributes
    ----------
    experiment : Experiment
        What was run.
    grid : dict of str to tuple
        Parameters that vary, and their values in plain types, as an Experiment has them.
    trials : int
        Trials in every cell of the grid.
    seed : dict
        The seed of all; trial k has the key (k,) of it in every cell.
    records : tuple of dict
        One for each finished trial, by cell and trial: the cell's parameters, ``trial`` and what
        was measured.
    seconds : float
        Wall time.

    Examples
    --------
    >>> import rfa
    >>> exp = rfa.Experiment(n=40, d=3, m=8)
    >>> found = rfa.study(exp, grid={"m": [4, 8]}, trials=3, rng=0)
    >>> found
    Study(6 of 6 records, m: 2 values, 3 trials)
    >>> found.records[0]["m"], found.records[0]["trial"], found.records[0]["status"]
    (4, 0, 'finished')
    """

    def __init__(
        self,
        experiment: Experiment,
        grid: dict[str, tuple[Any, ...]],
        trials: int,
        seed: dict[str, Any],
        records: Iterable[Record],
        seconds: float,
    ) -> None:
        self.experiment, self.grid, self.trials = experiment, grid, trials
        self.seed, self.seconds = seed, seconds
        self.records = tuple(records)

    def __repr__(self) -> str:
        cells = math.prod(len(values) for values in self.grid.values())
        varied = "".join(f"{name}: {len(values)} values, " for name, values in self.grid.items())
        total = cells * self.trials
        return f"Study({len(self.records)} of {total} records, {varied}{self.trials} trials)"

    def __len__(self) -> int:
        return len(self.records)

    def select(self, **cell: Any) -> tuple[Record, ...]:
        """The records of one cell, or of all cells that have the given values.

        Parameters
        ----------
        **cell
            Values of parameters of the grid, in any form that an Experiment takes.

        Returns
        -------
        tuple of dict

        Raises
        ------
        ValueError
            If a name is not in the grid or has no such value.
        """
        for name, value in cell.items():
            if name not in self.grid:
                listed = ", ".join(self.grid) or "no parameter"
                raise ValueError(f"{name} is not in the grid, which varies {listed}")
            cell[name] = plain = _plain(value)
            if plain not in self.grid[name]:
                listed = _validate.shown(self.grid[name])
                raise ValueError(f"{name}={_validate.shown(value)} is not in the grid {listed}")
        return tuple(
            record
            for record in self.records
            if all(record[name] == value for name, value in cell.items())
        )

    def proportion(self, statement: str, **cell: Any) -> Proportion:
        """How often a statement, or anything else that was measured as true or false, held.

        Parameters
        ----------
        statement : str
            An id of :data:`rfa.theory.STATEMENTS`, for a study with ``measure="check"``, or the
            name of a measured truth value.
        **cell
            Values of the grid's parameters; all of them, so that one cell is meant.

        Returns
        -------
        Proportion

        Raises
        ------
        ValueError
            If more than one cell is meant, or nothing of that name was measured as true or false.

        Examples
        --------
        >>> import rfa
        >>> exp = rfa.preset("theorem")
        >>> found = rfa.study(exp, trials=20, rng=0, measure="check").proportion("theorem_3_1_1")
        >>> found.k, found.n, round(found.low, 3), found.verdict
        (20, 20, 0.832, 'consistent')
        """
        missing = [name for name in self.grid if name not in cell]
        if missing:
            raise ValueError(f"a value of {' and '.join(missing)} must say which cell is meant")
        _validate.instance(statement, "statement", str, "a name")
        records = self.select(**cell)
        if not any(statement in record for record in records):
            raise ValueError(f"statement {statement!r} was not measured in this study")
        missed = [record["trial"] for record in records if statement not in record]
        if missed:
            raise ValueError(f"statement {statement!r} was not measured in trial {missed[0]}")
        values = [record[statement] for record in records]
        if not all(value is None or isinstance(value, (bool, np.bool_)) for value in values):
            raise ValueError(f"statement {statement!r} is not true or false in this study")
        n, k = sum(value is not None for value in values), sum(map(bool, values))
        low, high = clopper_pearson(k, n) if n else (0.0, 1.0)
        # of checks, not of a measure of one's own
        beside = {f"{statement}:vacuous", f"{statement}:hypotheses_met", "delta", "assumptions_met"}
        about = all(beside <= record.keys() for record in records)

        def count(what: str, value: bool) -> int:
            if not about:
                return 0
            return sum(bool(record[f"{statement}:{what}"]) is value for record in records)

        verdict = ""
        if about:
            passes = all(record["assumptions_met"] for record in records)
            verdict = _verdict(low, high, records[0]["delta"], passes, n == len(values))
            verdict = "vacuous" if count("vacuous", True) == len(values) else verdict
        return Proportion(
            k,
            n,
            low,
            high,
            len(records),
            len(values) - n,
            count("vacuous", True),
            count("hypotheses_met", False),
            verdict,
        )

    def frequencies(self, **cell: Any) -> dict[str, Proportion]:
        """:meth:`proportion` for every statement, of a study with ``measure="check"``.

        Parameters
        ----------
        **cell
            Values of the grid's parameters.

        Returns
        -------
        dict of str to Proportion

        Raises
        ------
        ValueError
            If more than one cell is meant, or statements were not checked.
        """
        return {name: self.proportion(name, **cell) for name in STATEMENTS}

    def to_pandas(self) -> pandas.DataFrame:
        """The records as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed (``pip install 'rfa[data]'``).
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("pandas is not installed: pip install 'rfa[data]'") from None
        return pandas.DataFrame(list(self.records))

    def to_json(self) -> str:
        """The study as JSON; NaN and infinities as strings, arrays as lists.

        Returns
        -------
        str

        Raises
        ------
        TypeError
            If a measured value has no form in JSON.
        """
        record = {
            "experiment": json.loads(self.experiment.to_json()),
            "grid": self.grid,
            "trials": self.trials,
            "seed": self.seed,
            "seconds": self.seconds,
            "records": list(self.records),
        }
        try:
            return json.dumps(jsonable(record))
        except TypeError as error:
            raise TypeError(f"records must be numbers, words, lists and dicts: {error}") from None


def _verdict(low: float, high: float, delta: float, passes: bool, complete: bool) -> str:
    target = 1 - 4 * delta
    if not complete:
        return "conditional"
    if low >= target:
        return "consistent"
    return "refuted" if high < target and passes else "undecided"


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
    taken = _measure(measure)
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
        _in_threads(trial, keys, len(cells) * trials, found, progress)
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
        if name in own and (name == "trial" or _plain(measured[name]) != own[name]):
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
        varied[name] = plain = tuple(
            getattr(experiments[i * repeat], name) for i in range(len(values))
        )
        if len(set(plain)) < len(plain):
            raise ValueError(
                f"grid must have no value of {name} twice, got {_validate.shown(plain)}"
            )
    return varied, experiments


def _combined(grid: Mapping[str, tuple[Any, ...]]) -> Iterable[dict[str, Any]]:
    """The cells of a grid, the last parameter changing first."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def _plain(value: Any) -> Any:
    """A value of a grid's parameter as an Experiment has it: no arrays, no lists, no types."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(entry) for entry in value)
    return np.dtype(value).name if isinstance(value, (type, np.dtype)) else value


def _in_threads(
    trial: Callable[[int, int], Record],
    keys: Iterable[tuple[int, int]],
    total: int,
    found: dict[tuple[int, int], Record],
    progress: bool | None,
) -> None:
    """Fill found with the record of every key; a Ctrl-C ends the runs that have begun, too."""
    from rfa.training import DELAY, at_a_terminal

    wanted = min(_runtime.wanted_threads(), total)
    shown = at_a_terminal() if progress is None else progress
    delay = DELAY if progress is None else 0
    cancelled, exiting = threading.Event(), threading.Event()
    remaining, taking = iter(keys), threading.Lock()
    threads: list[threading.Thread] = []
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def trials() -> None:
        # a run has one thread, and so have NumPy's matrix products within it
        with _runtime.one_blas_thread:
            while not cancelled.is_set():
                with taking:
                    key = next(remaining, None)
                if key is None:
                    return
                found[key] = trial(*key)

    def in_thread() -> None:
        end = None
        try:
            _kernels.cancel_by(cancelled)
            _openmp.unbind()
            trials()
        except BaseException as error:
            end = error
        if exiting.is_set():
            return
        # before the others are cancelled, whose ends are not the reason
        ends.put(end)
        if end is not None:
            # at once, or others begin further trials until it is noticed
            cancelled.set()

    def at_exit() -> None:
        # the thread that waits is a daemon, or the process would wait for it: it is told nothing
        exiting.set()
        end = time.perf_counter() + PARTING
        for thread in threads:
            if thread.is_alive():  # in a forked child none is, and the event may be locked
                cancelled.set()
                thread.join(max(end - time.perf_counter(), 0))

    _runtime.keep_freed_memory()
    bar = _runtime.ProgressBar(total=total, unit="run", delay=delay, disable=not shown, leave=False)
    with contextlib.closing(bar), _runtime.one_blas_thread:
        try:
            _at_exit.add(at_exit)
            _start(in_thread, wanted, threads)
            if not threads:
                trials()
            running = len(threads)
            while running:
                # a signal that another thread receives does not end this thread's wait
                try:
                    end = ends.get(timeout=LOOK)
                except queue.Empty:
                    pass
                else:
                    running -= 1
                    if end is not None:
                        raise end
                bar.show(len(found))
        finally:
            cancelled.set()
            for thread in threads:
                if thread.is_alive():  # a Ctrl-C may have come before its start
                    thread.join()
            _at_exit.discard(at_exit)


@atexit.register
def _end_all() -> None:
    """End the studies of daemon threads; for those of others Python has waited before."""
    for end in list(_at_exit):
        end()


def _start(work: Callable[[], None], count: int, threads: list[threading.Thread]) -> None:
    """Start work in count threads, or in as many as the system lets this process start."""
    try:
        while len(threads) < count:
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        threads.pop()
        # without any, this thread does the work
        if count > 1:
            _runtime.warn_of_fewer(max(len(threads), 1), count)


def _measure(measure: str | Measure) -> Measure:
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
