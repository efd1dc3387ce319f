"""The result of training: Run, and how it is written to a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from rfa import _files, _seeds, _validate
from rfa.data.dataset import Dataset
from rfa.network import Network
from rfa.training.history import History


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
        - ``"finished"``: all steps were taken.
        - ``"stopped"``: the stop function ended the run.
        - ``"diverged"``: the run ended at step t, because a <w_j, x_i>, f or the next W went beyond
          the range of the engine's type: try a smaller alpha. (planar computes in float64, and
          needs no <w_j, x_i>. gram checks the <w_j, x_i> of step t + 1.)
        - ``"interrupted"``: Ctrl-C ended the run.
    engine : str
        The engine that computed the steps.
    history : History
        What was recorded.
    snapshots : dict of int to ndarray
        W_t (m, d), read-only, for t = 1, for t = T (the horizon) and for the further steps asked
        for, as far as the run reached them.
    stats : dict
        ``seconds``, the time spent in the engine, and counts over all steps. With direct and gram:

        - ``batches``: units of 32 samples of one neuron, over which the masked sums were taken.
        - ``looked_up``: those of them that were summed by tables, with six entries for each.
        - ``added``: sums that were not computed again, because neurons had the same activations or
          were active on all samples, and that were added to a neuron's sum or to one another.

        With direct also ``evaluated``: pairs of a sample and a neuron (padding included) whose sign
        needed an inner product, because no bound settled it. With planar ``passed``: samples that
        an end of an arc went past.
    provenance : dict
        Version, commit, seeds, engine, SIMD level, threads, NumPy. ``commit`` is None if it is not
        known; ``commit_note`` says why, or that there were changes. If the run started from
        the network of an earlier run, ``trained_from`` has the ``steps`` that led to it, in all
        runs before, and the ``sha256`` of the bytes of its W. The seed of W is then None.
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

    def at(self, t: int) -> Network:
        """The network after t steps.

        Parameters
        ----------
        t : int
            A step whose weights the run has: 0, a snapshot or the last one.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            If the weights of step t were not kept.

        Examples
        --------
        >>> import rfa
        >>> run = rfa.preset("theorem").run(rng=0, snapshots=[3])
        >>> run.at(3)
        Network(m=200, d=200, float64)
        """
        t = _validate.nonnegative_int(t, "t")
        if t == self.t:
            return self.network
        if t == 0:
            return self.initial
        if t not in self.snapshots:
            kept = ", ".join(str(step) for step in sorted({0, *self.snapshots, self.t}))
            shown = _validate.shown(t)
            raise ValueError(f"t must be a step whose weights were kept ({kept}), got {shown}")
        return self.initial.trained(self.snapshots[t], t)

    def save(self, path: str | os.PathLike[str], *, test: bool = True) -> None:
        """Write the run to a file that :func:`rfa.load` reads.

        Parameters
        ----------
        path : path-like
            The file, a NumPy ``.npz`` without pickled objects. No extension is appended to the
            name. An existing file is replaced only once the new one is complete.
        test : bool, default True
            Whether to write the test data, which may be most of the file. Without them the loaded
            run has ``test`` None and is otherwise the same. In particular it has
            ``history.test_error``, and plots and studies need no more of the test data. Statements,
            reports and the summary of the command line draw their own points. To train further with
            the same test data, give them again. The test data of a :class:`rfa.Experiment` are
            ``run.data.distribution.sample(n_test, run.data.seed, "test", run.data.X.dtype)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, or path cannot name a file.
        OSError
            If the file cannot be written. An existing file stays as it was.

        Notes
        -----
        If the distribution has a function (eta, noise or law), only its name is written. In the
        loaded run, every method that needs the function raises a ValueError that says so.

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
        if not isinstance(test, bool):
            raise TypeError(f"test must be True or False, got {_validate.shown(test)}")
        if self.test is not None and test:
            arrays |= _dataset_arrays("test", self.test)
            meta["test"] = _dataset_meta(self.test)
        _files.write_npz(path, arrays, meta)


# The arrays of a Dataset that are written, if the data set has them, and their types.
DATA_ARRAYS = {
    **{"X": "f4 f8", "y": "i8", "y_clean": "i8", "cluster": "i8"},
    **{"means": "f8", "eta": "f8"},
}


def _dataset_arrays(prefix: str, data: Dataset) -> dict[str, np.ndarray[Any, Any]]:
    stored = {name: getattr(data, name) for name in DATA_ARRAYS}
    return {f"{prefix}_{name}": array for name, array in stored.items() if array is not None}


def _dataset_meta(data: Dataset) -> dict[str, Any]:
    return {
        "distribution": data.distribution.to_dict() if data.distribution is not None else None,
        "seed": _seeds.describe(data.seed),
        "split": data.split,
    }
