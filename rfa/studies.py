"""Many runs: trials of an experiment, on a grid of parameters, one run per thread."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rfa import _kernels, _runtime, _seeds, _validate
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


class Study:
    """The records of many runs; read-only.

    Attributes
    ----------
    experiment : Experiment
        What was run.
    grid : dict of str to tuple
        Parameters that vary, and their values.
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
        cells = int(np.prod([len(values) for values in self.grid.values()], dtype=int))
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
            Values of parameters of the grid.

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
            if value not in self.grid[name]:
                raise ValueError(f"{name}={value!r} is not in the grid {self.grid[name]}")
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
        records = self.select(**cell)
        if not records or statement not in records[0]:
            raise ValueError(f"{statement!r} was not measured in this study")
        values = [record[statement] for record in records]
        if not all(value is None or isinstance(value, (bool, np.bool_)) for value in values):
            raise ValueError(f"{statement!r} is not true or false in this study")
        n, k = sum(value is not None for value in values), sum(value is True for value in values)
        low, high = clopper_pearson(k, n) if n else (0.0, 1.0)
        about = f"{statement}:vacuous" in records[0]

        def count(what: str, value: bool) -> int:
            return sum(record[f"{statement}:{what}"] is value for record in records) if about else 0

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
        """The study as JSON; NaN and infinities as strings.

        Returns
        -------
        str
        """
        record = {
            "experiment": json.loads(self.experiment.to_json()),
            "grid": self.grid,
            "trials": self.trials,
            "seed": self.seed,
            "seconds": self.seconds,
            "records": list(self.records),
        }
        return json.dumps(jsonable(record))


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
        Names of parameters of the experiment and the values they take.
    trials : int, default 100
        Trials in every cell.
    rng : int, SeedSequence or None, default 0
        Seed. Trial k uses its key (k,), in every cell: cells are paired, a larger grid or more
        trials change no trial, and ``exp.run(SeedSequence(seed, spawn_key=(k,)))`` is trial k.
    measure : {"final", "check"} or callable
        What is kept of a run. "final": status, t, and the history's entries at the last step that
        are numbers. "check": :func:`rfa.theory.check`, for every statement whether it holds (None
        if not applicable), and as ``ID:value``, ``ID:vacuous`` and ``ID:hypotheses_met`` the rest;
        :func:`rfa.studies.checks` does so with another delta and C0. Or a function of the run that
        returns a dict, called in several threads at once.
    progress : bool, optional
        Whether to show a progress bar; None: as :func:`rfa.train`.

    Returns
    -------
    Study

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type; whatever measure raises.
    Interrupted
        After Ctrl-C, carrying the trials that were finished as ``study``.

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
    if not isinstance(exp, Experiment):
        raise TypeError(f"exp must be a rfa.Experiment, got {type(exp).__name__}")
    varied = _grid({} if grid is None else grid)
    cells = [
        (
            dict(zip(varied, values, strict=True)),
            exp.replace(**dict(zip(varied, values, strict=True))),
        )
        for values in itertools.product(*varied.values())
    ]
    trials = _validate.positive_int(trials, "trials")
    origin = _seeds.sequence(rng)
    taken = _measure(measure)
    options: dict[str, Any] = {"record": None, "snapshots": None} if measure == "final" else {}
    begin = time.perf_counter()
    found: dict[tuple[int, int], Record] = {}

    def result() -> Study:
        ordered = (found[key] for key in sorted(found))
        seconds = time.perf_counter() - begin
        return Study(exp, varied, trials, _seeds.describe(origin) or {}, ordered, seconds)

    def trial(cell: int, k: int) -> Record:
        parameters, experiment = cells[cell]
        run = experiment.run(_seeds.child(origin, k), n_threads=1, progress=False, **options)
        measured = taken(run)
        if not isinstance(measured, Mapping):
            raise TypeError(f"measure must return a dict, got {_validate.shown(measured)}")
        return {**parameters, "trial": k, **measured}

    try:
        keys = itertools.product(range(len(cells)), range(trials))
        _in_threads(trial, keys, len(cells) * trials, found, progress)
    except KeyboardInterrupt:
        raise Interrupted(study=result()) from None
    return result()


def _grid(grid: Mapping[str, Iterable[Any]]) -> dict[str, tuple[Any, ...]]:
    """A valid grid: parameters of Experiment with different values."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must be a dict of values, got {_validate.shown(grid)}")
    names = [field.name for field in dataclasses.fields(Experiment)]
    varied = {}
    for name, values in grid.items():
        if name not in names:
            raise ValueError(f"grid has {name!r}, which is no parameter: {', '.join(names)}")
        if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
            raise TypeError(f"grid must have values of {name}, got {_validate.shown(values)}")
        varied[name] = taken = tuple(values)
        if not taken:
            raise ValueError(f"grid must have at least one value of {name}")
        if any(value in taken[:i] for i, value in enumerate(taken)):
            raise ValueError(f"grid must have no value of {name} twice, got {taken}")
    return varied


def _in_threads(
    trial: Callable[[int, int], Record],
    keys: Iterable[tuple[int, int]],
    total: int,
    found: dict[tuple[int, int], Record],
    progress: bool | None,
) -> None:
    """Fill found with the record of every key; a Ctrl-C ends the runs that have begun, too."""
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    from rfa.training import DELAY, at_a_terminal

    threads = _runtime.threads()
    shown = at_a_terminal() if progress is None else progress
    delay = DELAY if progress is None else 0
    cancelled = threading.Event()
    remaining, taking = iter(keys), threading.Lock()

    def trials() -> None:
        _kernels.cancel_by(cancelled)
        while not cancelled.is_set():
            with taking:
                key = next(remaining, None)
            if key is None:
                return
            found[key] = trial(*key)

    _runtime.keep_freed_memory()
    # a run has one thread, and so have NumPy's matrix products within it
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=total, unit="run", delay=delay, disable=not shown, leave=False) as bar,
    ):
        try:
            running = {pool.submit(trials) for _ in range(min(threads, total))}
            while running:
                # a signal that another thread receives does not end this thread's wait
                done, running = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                bar.update(len(found) - bar.n)
        except BaseException:
            cancelled.set()
            raise


def _measure(measure: str | Measure) -> Measure:
    if callable(measure):
        return measure
    if measure == "final":
        return final
    if measure == "check":
        return checks
    raise ValueError(
        f"measure must be 'final', 'check' or callable, got {_validate.shown(measure)}"
    )


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
