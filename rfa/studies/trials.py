"""The result of a study: the records of its trials."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rfa import _validate
from rfa._tables import jsonable
from rfa.experiment import Experiment
from rfa.studies.proportions import Proportion, proportion_of
from rfa.theory.verification import STATEMENTS

if TYPE_CHECKING:
    import pandas

Record = dict[str, Any]


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
            The id of a statement that the study checked, or the name of another measured truth
            value.
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
        (20, 20, 0.832, 'at least 0.6')
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
        return proportion_of(statement, records)

    def frequencies(self, **cell: Any) -> dict[str, Proportion]:
        """:meth:`proportion` for every statement that the study checked.

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
        checked = {
            key.removesuffix(":verdict"): None
            for record in self.select(**cell)
            for key in record
            if key.endswith(":verdict")
        }
        # a study that checked nothing says so by the first statement
        names = list(checked) or STATEMENTS[:1]
        return {name: self.proportion(name, **cell) for name in names}

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


def plain(value: Any) -> Any:
    """A value of a grid's parameter as an Experiment has it, without arrays, lists and types."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(plain(entry) for entry in value)
    return np.dtype(value).name if isinstance(value, (type, np.dtype)) else value
