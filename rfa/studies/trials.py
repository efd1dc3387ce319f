"""The result of a study: the records of its trials, and how often a statement held in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rfa import _validate
from rfa._tables import jsonable
from rfa.estimates.intervals import clopper_pearson
from rfa.experiment import Experiment
from rfa.theory.verification import STATEMENTS

if TYPE_CHECKING:
    import pandas

Record = dict[str, Any]


class Proportion(NamedTuple):
    """How often a statement, or another truth value, held in the trials of a cell.

    Attributes
    ----------
    k : int
        Number of trials in which it held.
    n : int
        Number of trials in which it was applicable.
    low, high : float
        95 percent Clopper-Pearson interval of the probability; 0 and 1 if n = 0.
    trials : int
        Number of all trials of the cell.
    not_applicable, vacuous, unmet : int
        Number of trials in which the statement was not applicable, was vacuous, or had hypotheses
        that were not met.
    verdict : str
        The interval compared with the theorem's probability, at least 1 - 4 delta:

        - ``"consistent"``: low is at least 1 - 4 delta.
        - ``"refuted"``: high is below 1 - 4 delta, and the theorem's assumptions are met.
        - ``"undecided"``: neither.
        - ``"vacuous"``: the statement was vacuous in every trial.
        - ``"conditional"``: there are trials in which the statement was not applicable.
        - empty: the truth value is not that of a statement.
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
    """A trial of a study failed, in its run or in the measure.

    The exception of the trial is the ``__cause__``. Pickling keeps only its type and text, which
    are in the message.

    Attributes
    ----------
    study : Study
        The study with its finished trials.
    cell : dict of str to object
        The grid's values of the failed trial.
    trial : int
        The number k of the failed trial. Its run is
        ``exp.replace(**cell).run(SeedSequence(seed, spawn_key=(k,)))``.
    reason : str
        Type and text of the exception.

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
        The experiment that the trials ran, apart from the grid's parameters.
    grid : dict of str to tuple
        The parameters that vary, and their values in plain types, as an Experiment has them.
    trials : int
        Number of trials in every cell of the grid.
    seed : dict
        The seed of the study. Trial k uses its key (k,) in every cell.
    records : tuple of dict
        One record for each finished trial, in the order of cell and trial: the cell's parameters,
        ``trial``, and the results of the measure.
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
            Values of some parameters of the grid, in any form that an Experiment takes.

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
            cell[name] = found = plain(value)
            if found not in self.grid[name]:
                listed = _validate.shown(self.grid[name])
                raise ValueError(f"{name}={_validate.shown(value)} is not in the grid {listed}")
        return tuple(
            record
            for record in self.records
            if all(record[name] == value for name, value in cell.items())
        )

    def proportion(self, statement: str, **cell: Any) -> Proportion:
        """How often a statement, or another measured truth value, held in the trials of a cell.

        Parameters
        ----------
        statement : str
            An id of :data:`rfa.theory.STATEMENTS`, for a study with ``measure="check"``, or the
            name of another measured truth value.
        **cell
            The cell: a value for every parameter of the grid.

        Returns
        -------
        Proportion

        Raises
        ------
        ValueError
            If a parameter of the grid has no value, or no truth value of that name was measured.

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
            example = _listed({name: self.grid[name][0] for name in missing})
            raise ValueError(
                f"a value of {' and '.join(missing)} must be given to choose one cell, "
                f"such as {example}"
            )
        _validate.instance(statement, "statement", str, "a name")
        records = self.select(**cell)
        if not records:
            raise ValueError("no trial of this cell is finished")
        if not any(statement in record for record in records):
            reason = (
                "its measure was not 'check'"
                if statement in STATEMENTS
                else "it must be an id of rfa.theory.STATEMENTS or a name that the measure returned"
            )
            raise ValueError(f"statement {statement!r} was not measured in this study: {reason}")
        missed = [record["trial"] for record in records if statement not in record]
        if missed:
            raise ValueError(f"statement {statement!r} was not measured in trial {missed[0]}")
        values = [record[statement] for record in records]
        if not all(value is None or isinstance(value, (bool, np.bool_)) for value in values):
            raise ValueError(f"statement {statement!r} is not true or false in this study")
        n, k = sum(value is not None for value in values), sum(map(bool, values))
        low, high = clopper_pearson(k, n) if n else (0.0, 1.0)
        # records with all of these come from measures.checks, others from a user's measure
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
            The cell: a value for every parameter of the grid.

        Returns
        -------
        dict of str to Proportion

        Raises
        ------
        ValueError
            If a parameter of the grid has no value, or if the study did not check statements.
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
        """The study as JSON, with NaN and infinities as strings and arrays as lists.

        Returns
        -------
        str

        Raises
        ------
        TypeError
            If JSON cannot express a measured value.
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
            raise TypeError(
                f"records must consist of numbers, words, lists and dicts: {error}"
            ) from None


def _verdict(low: float, high: float, delta: float, passes: bool, complete: bool) -> str:
    target = 1 - 4 * delta
    if not complete:
        return "conditional"
    if low >= target:
        return "consistent"
    return "refuted" if high < target and passes else "undecided"


def plain(value: Any) -> Any:
    """A value of a grid's parameter as an Experiment has it, without arrays, lists and types."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(plain(entry) for entry in value)
    return np.dtype(value).name if isinstance(value, (type, np.dtype)) else value
