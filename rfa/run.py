"""What a training run leaves: Run, and its file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from rfa import _files, _seeds, _validate
from rfa.data import Dataset, XORClusters
from rfa.history import History
from rfa.network import Network


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The result of :func:`rfa.train`; nothing in it can be changed.

    Attributes
    ----------
    network : Network
        The network at the last step.
    initial : Network
        The network at t = 0.
    data : Dataset
        The training data.
    test : Dataset or None
        The test data, if given.
    alpha : float
        Step size.
    t : int
        Steps taken.
    status : str
        ``"finished"``; ``"stopped"`` by the stop function; ``"diverged"``: a <w_j, x_i>, f
        or the next W went beyond the range of the engine's type at step t, where the run ended (try
        a smaller alpha; planar computes in float64 and needs no <w_j, x_i>, gram that of t+1);
        ``"interrupted"`` by Ctrl-C.
    engine : str
        The engine that computed the steps.
    history : History
        What was recorded.
    snapshots : dict of int to ndarray
        W_t (m, d), read-only, for t = 1, t = T (the horizon) and the further steps asked for, as
        far as the run went.
    stats : dict
        ``seconds`` spent in the engine. direct and gram: ``batches``, 32 samples of a neuron each,
        that the masked sums of all steps went over, ``looked_up`` of them in tables, six entries
        for each, and ``added``, sums that were there already, because neurons had the same
        activations or were active on all samples, and were added to a neuron's or to one another.
        direct: ``evaluated``, pairs of a sample and a neuron (padding included) whose sign took an
        inner product, since no bound settled it.
        planar: ``passed``, samples that ends of arcs went past.
    provenance : dict
        Version, commit if known, seeds, engine, SIMD level, threads, NumPy.
    """

    network: Network
    initial: Network
    data: Dataset
    alpha: float
    t: int
    status: str
    engine: str
    history: History
    test: Dataset | None = None
    snapshots: dict[int, np.ndarray[Any, Any]] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("snapshots", "stats", "provenance"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __getstate__(self) -> dict[str, Any]:
        return {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for W in state["snapshots"].values():
            W.flags.writeable = False
        self.__post_init__()

    def __repr__(self) -> str:
        return (
            f"Run({self.status} at t={self.t}, alpha={self.alpha:g}, n={self.data.n}, "
            f"d={self.data.d}, m={self.network.m}, engine={self.engine!r})"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to a file that :func:`rfa.load` reads.

        Parameters
        ----------
        path : path-like
            The file, a NumPy ``.npz`` (the name is kept as given) without pickled objects. An
            existing file is replaced at once, when the new one is complete.

        Notes
        -----
        A callable of the distribution is stored by its name only: after loading, what would call
        it raises and says so.

        Examples
        --------
        >>> import rfa, tempfile, os
        >>> run = rfa.preset("theorem").run(rng=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run.save(os.path.join(folder, "run.npz"))
        ...     again = rfa.load(os.path.join(folder, "run.npz"))
        >>> again.history == run.history
        True
        """
        arrays = {
            "W": self.network.W,
            "W_initial": self.initial.W,
            "a": self.network.a,
            **{f"snapshot_{t}": W for t, W in self.snapshots.items()},
            **{f"history_{name}": self.history[name] for name in self.history},
            **_dataset_arrays("data", self.data),
        }
        meta = {
            "kind": "run",
            "alpha": self.alpha,
            "t": self.t,
            "status": self.status,
            "engine": self.engine,
            "omega_init": self.initial.omega_init,
            "seed_init": _seeds.describe(self.initial.seed),
            "stats": dict(self.stats),
            "provenance": dict(self.provenance),
            "data": _dataset_meta(self.data),
        }
        if self.test is not None:
            arrays |= _dataset_arrays("test", self.test)
            meta["test"] = _dataset_meta(self.test)
        _files.write_npz(path, arrays, meta)


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
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of rfa's, is damaged, or was written by a later version.

    Examples
    --------
    >>> import rfa, tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rfa.Network.random(m=4, d=2, rng=0).save(os.path.join(folder, "net.npz"))
    ...     rfa.load(os.path.join(folder, "net.npz")).m
    4
    """
    arrays, meta = _files.read_npz(path)
    kind = meta.get("kind")
    if kind not in ("run", "network"):
        raise ValueError(f"{os.fspath(path)!r} holds a {kind!r}, not a run or a network")
    with _files.damage(path):
        return Network.from_arrays(arrays, meta) if kind == "network" else _run(arrays, meta)


def _run(arrays: dict[str, np.ndarray[Any, Any]], meta: dict[str, Any]) -> Run:
    """The run of a file's content."""
    _consistent(arrays, meta)
    a, seed = arrays["a"], _seeds.restore(meta["seed_init"])
    snapshots = {
        int(name.removeprefix("snapshot_")): W
        for name, W in arrays.items()
        if name.startswith("snapshot_")
    }
    for W in snapshots.values():
        W.flags.writeable = False
    prefix = "history_"
    return Run(
        network=Network(arrays["W"], a, omega_init=meta["omega_init"], seed=seed),
        initial=Network(arrays["W_initial"], a, omega_init=meta["omega_init"], seed=seed),
        data=_dataset(arrays, "data", meta["data"]),
        test=_dataset(arrays, "test", meta["test"]) if "test" in meta else None,
        alpha=meta["alpha"],
        t=meta["t"],
        status=meta["status"],
        engine=meta["engine"],
        history=History(
            {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        ),
        snapshots=snapshots,
        stats=meta["stats"],
        provenance=meta["provenance"],
    )


STATUSES = ("finished", "stopped", "diverged", "interrupted")


def _consistent(arrays: dict[str, np.ndarray[Any, Any]], meta: dict[str, Any]) -> None:
    """Refuse arrays and a record that no run can have left, before they fail somewhere else."""
    shape, steps = arrays["W"].shape, arrays["history_t"]
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} has dtype {array.dtype}")
        is_weights = name in ("W", "W_initial") or name.startswith("snapshot_")
        if is_weights and (array.ndim != 2 or array.shape != shape):
            raise ValueError(f"{name} has shape {array.shape}, W has {shape}")
        if name.startswith("history_"):
            # the extremes of h are recorded up to T only
            fewer = name in ("history_h_low", "history_h_high")
            rows = len(array) if array.ndim else -1
            if rows != steps.size and not (fewer and 0 <= rows < steps.size):
                raise ValueError(f"{name} has shape {array.shape} for {steps.size} steps")
    if steps.ndim != 1 or (np.diff(steps) <= 0).any():
        raise ValueError("history_t is not ascending")
    _validate.nonnegative_int(meta["t"], "t")
    _validate.positive_float(meta["alpha"], "alpha")
    if meta["status"] not in STATUSES:
        raise ValueError(f"status is {_validate.shown(meta['status'])}")
    if not isinstance(meta["engine"], str):
        raise ValueError(f"engine is {_validate.shown(meta['engine'])}")


# The arrays of a Dataset that are stored, each if the data set has it.
DATA_ARRAYS = ("X", "y", "y_clean", "cluster", "means", "eta")


def _dataset_arrays(prefix: str, data: Dataset) -> dict[str, np.ndarray[Any, Any]]:
    stored = {name: getattr(data, name) for name in DATA_ARRAYS}
    return {f"{prefix}_{name}": array for name, array in stored.items() if array is not None}


def _dataset_meta(data: Dataset) -> dict[str, Any]:
    return {
        "distribution": data.distribution.to_dict() if data.distribution is not None else None,
        "seed": _seeds.describe(data.seed),
        "split": data.split,
    }


def _dataset(arrays: dict[str, np.ndarray[Any, Any]], prefix: str, meta: dict[str, Any]) -> Dataset:
    found = {name: arrays.get(f"{prefix}_{name}") for name in DATA_ARRAYS}
    distribution = meta["distribution"]
    return Dataset(
        **found,  # type: ignore[arg-type]
        distribution=XORClusters.from_dict(distribution) if distribution is not None else None,
        seed=_seeds.restore(meta["seed"]),
        split=meta["split"],
    )
