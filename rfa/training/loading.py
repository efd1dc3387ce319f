"""Reads the files that Run.save and Network.save write."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from rfa import _files, _seeds, _validate
from rfa.data.clusters import XORClusters
from rfa.data.dataset import Dataset
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES
from rfa.network import Network
from rfa.setting import Horizon
from rfa.training.history import restore
from rfa.training.recording import EARLY_STEPS, MAX_STEPS
from rfa.training.run import DATA_ARRAYS, Run


def load(path: str | os.PathLike[str]) -> Run | Network:
    """Read what :meth:`Run.save` or :meth:`Network.save` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Run or Network
        What was saved, with read-only arrays.

    Raises
    ------
    OSError
        If there is no such file (FileNotFoundError), if it is a folder (IsADirectoryError), or if
        the system cannot read it.
    ValueError
        If rfa did not write the file, if it is damaged, if no training can have had this result, or
        if a later version of rfa wrote it. The message says which of these, and where in the file.

    Notes
    -----
    Arrays are checked as arguments are, and against one another. Loading takes no more memory than
    the file has bytes: arrays must not be compressed, and arrays with unknown names are not read.

    Examples
    --------
    >>> import rfa, tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rfa.Network.random(m=4, d=2, rng=0).save(os.path.join(folder, "net.npz"))
    ...     rfa.load(os.path.join(folder, "net.npz")).m
    4
    """
    with _files.read_npz(path) as stored:
        kind = stored.record["kind"]
        if kind == "run":
            return _run(stored)
        if kind == "network":
            arrays = {"W": stored.array("W", "f4 f8"), "a": stored.array("a", "f8")}
            stored.finish((), "a network")
            return Network.from_arrays(arrays, stored.record)
        raise ValueError(f"it holds a {_validate.shown(kind)}, not a run or a network")


STATUSES = ("finished", "stopped", "diverged", "interrupted")

# The names in the record of a run, which may also have "test", and in its part about a data set.
RECORD = (
    *("schema", "kind", "alpha", "t", "status", "engine", "omega_init", "seed_init"),
    *("stats", "provenance", "data"),
)
DATA_RECORD = ("distribution", "seed", "split")

# The names of a run's arrays begin with these words. Such an array is refused if the run has no
# quantity of that name.
PREFIXES = ("snapshot_", "history_", "data_", "test_")


def _run(stored: _files.Stored) -> Run:
    """The run of a file's content, if it can be the result of training."""
    record = stored.record
    _check_record(record)
    alpha, t, status = float(record["alpha"]), record["t"], record["status"]
    T = Horizon.of(alpha).T
    data = _dataset(stored, "data", record["data"])
    test = _dataset(stored, "test", record["test"]) if "test" in record else None
    network = Network(
        _weights(stored, "W", data),
        stored.array("a", "f8"),
        omega_init=record["omega_init"],
        seed=_seeds.restore(record["seed_init"]),
    )
    earlier = _earlier_steps(record)
    _validate.in_range(network.a, data.X.dtype, "a")
    m, d = network.W.shape
    if {d, d if test is None else test.d} != {data.d}:
        raise ValueError(f"data, test and W must have the same dimension, but W has d={d}")
    if record["engine"] == "planar" and d != 2:
        raise ValueError(f"engine is 'planar', which needs d=2, but the data have d={d}")
    start = _weights(stored, "W_initial", data, m)
    steps = [step for step in map(_step, stored.names()) if step is not None and step <= t]
    snapshots = {step: _weights(stored, f"snapshot_{step}", data, m) for step in sorted(steps)}
    kept = [(f"snapshot_{step}", step, W) for step, W in snapshots.items()]
    for name, step, W in [("W", t, network.W), *kept]:
        for other, at, same in (("W_initial", 0, start), ("W", t, network.W)):
            if step == at and not np.array_equal(W, same):
                raise ValueError(f"{name} must equal {other}, since both are W at step {step}")

    # with larger numbers, sums of squares and products may leave the range of the type
    parts = [network.W, start, network.a, data.X, *snapshots.values()]
    parts += [] if data.means is None else [data.means]
    largest = max(max(float(part.max()), -float(part.min())) for part in parts)
    history = restore(
        Problem.of(data, test, alpha, min(T, t)),
        m,
        t,
        lambda name, kind: stored.array(f"history_{name}", kind),
        [name.removeprefix("history_") for name in stored.names() if name.startswith("history_")],
        largest < float(np.finfo(data.X.dtype).max) ** 0.25,
    )
    if status == "stopped" and history.t[-1:].tolist() != [t]:
        raise ValueError(f"status is 'stopped', but history_t lacks the last step, {t}")
    if status == "finished" and not len(history):
        raise ValueError("status is 'finished', but history_t is empty")
    _check_steps(history.t, t, T, status, set(snapshots))
    stored.finish(PREFIXES, f"this run of {t} steps")
    initial = Network.of(start, network.a, network.omega_init, network.seed, earlier)
    return Run(
        network=initial.trained(network.W, t),
        initial=initial,
        data=data,
        test=test,
        alpha=alpha,
        t=t,
        status=status,
        engine=record["engine"],
        history=history,
        snapshots=snapshots,
        stats=record["stats"],
        provenance=record["provenance"],
    )


def _check_steps(
    recorded: np.ndarray[Any, Any], t: int, T: int, status: str, snapshots: set[int]
) -> None:
    """Refuse steps that no ``record`` and ``snapshots`` of :func:`rfa.train` can have chosen."""
    # a run that ended early may have ended before it recorded or kept its last step
    last = t if status in ("finished", "stopped") else t - 1
    found = set(recorded.tolist())
    # with record=None the history has the last step only, or no step if the run ended before it
    if found and not (status == "finished" and found == {t}):
        needed = {*range(min(T, EARLY_STEPS) + 1), T - 1, T}
        missing = sorted(step for step in needed - found if step <= last)
        if missing:
            raise ValueError(f"history_t lacks step {missing[0]}, which every run records")
    lost = sorted(step for step in {1, T} - snapshots if snapshots and step <= last)
    if lost:
        raise ValueError(f"it lacks 'snapshot_{lost[0]}', although it has other snapshots")


def _check_record(record: dict[str, Any]) -> None:
    """Refuse a run's record in which an entry is missing, unknown or impossible."""
    _files.fields(record, "meta", RECORD, ["test"])
    _validate.positive_float(record["alpha"], "alpha")
    if _validate.nonnegative_int(record["t"], "t") > MAX_STEPS:
        raise ValueError(f"t must be at most 2^53, got {_validate.shown(record['t'])}")
    for name, known in (("status", STATUSES), ("engine", tuple(ENGINES))):
        if record[name] not in known:
            shown = _validate.shown(record[name])
            raise ValueError(f"{name} must be one of {', '.join(known)}, but is {shown}")
    _files.fields(record["stats"], "stats", ["seconds"], further=True)
    for name, number in record["stats"].items():
        _validate.nonnegative_float(number, f"stats[{_validate.shown(name)}]")
    _files.fields(record["provenance"], "provenance", [], further=True)


def _earlier_steps(record: dict[str, Any]) -> int:
    """The steps that led to W_initial; 0 if the run did not start from a trained network."""
    if "trained_from" not in record["provenance"]:
        return 0
    earlier = record["provenance"]["trained_from"]
    _files.fields(earlier, "trained_from", ["steps", "sha256"], further=True)
    if record["omega_init"] is not None or record["seed_init"] is not None:
        raise ValueError("trained_from must not stand beside an omega_init or a seed_init")
    return _validate.positive_int(earlier["steps"], "steps of trained_from")


def _weights(
    stored: _files.Stored, name: str, data: Dataset, m: int | None = None
) -> np.ndarray[Any, Any]:
    """A first layer in the type of the data, with m neurons if m is given."""
    W = stored.array(name, data.X.dtype.str[1:])
    if m is not None and W.shape != (m, data.d):
        raise ValueError(f"{name} must have the shape of W, {(m, data.d)}, but has {W.shape}")
    return _validate.weights(W, name)


def _step(name: str) -> int | None:
    """The step of the snapshot with this name; None if it is not the name of a snapshot."""
    digits = name.removeprefix("snapshot_")
    if digits == name or not re.fullmatch("0|[1-9][0-9]{0,15}", digits):
        return None
    return int(digits)


def _dataset(stored: _files.Stored, prefix: str, record: Any) -> Dataset:
    """The data set in the arrays whose names begin with prefix, and in this part of the record."""
    _files.fields(record, prefix, DATA_RECORD)
    there = {"X", "y", *(name.removeprefix(f"{prefix}_") for name in stored.names())}
    found = {
        name: stored.array(f"{prefix}_{name}", types)
        for name, types in DATA_ARRAYS.items()
        if name in there
    }
    try:
        return Dataset(
            **found,
            distribution=_distribution(record["distribution"], found["X"]),
            seed=_seeds.restore(record["seed"]),
            split=record["split"],
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"of {prefix}, {error}") from error


def _distribution(values: Any, X: np.ndarray[Any, Any]) -> XORClusters | None:
    """The distribution of a record; it must have the dimension of the data."""
    if values is None:
        return None
    _files.fields(values, "distribution", XORClusters.__dataclass_fields__)
    # checked first, since making it would allocate mu in any dimension that the file claims
    if X.shape[1:] != (values["d"],):
        raise ValueError(
            f"distribution has d={_validate.shown(values['d'])}, but X has shape {X.shape}"
        )
    for name in ("sigma", "mu"):  # a file has their values, never None
        if values[name] is None:
            raise ValueError(f"{name} must be given, got null")
    return XORClusters.from_dict(values)
