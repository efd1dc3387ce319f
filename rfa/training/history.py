"""Every recorded quantity of a run, derived once from what the engine observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.engines.observations import OBSERVED, Extent, Observations, Quantity
from rfa.engines.problem import Problem

# What a history is made of, in the order in which it is listed and stored: numbers that derive
# computes (flips alone is as observed), and observed arrays, which have training groups only.
NUMBERS = (
    Quantity("t", np.int64),
    Quantity("loss", np.float64),
    Quantity("clean_wrong", np.int64),
    Quantity("noisy_fitted", np.int64),
    Quantity("flips", np.int64),
    Quantity("test_error", np.float64),
)
ARRAYS = tuple(
    quantity._replace(axes=quantity.axes.replace("K", "G"))
    for quantity in OBSERVED
    if quantity.axes and quantity.name not in ("right", "loss")
)
ENTRIES = (*NUMBERS, *ARRAYS)


class History:
    """What was recorded, one row for each of R recorded steps.

    Entries are read-only arrays, as attributes or by name (``history["loss"]``); which ones there
    are is listed by iterating. Data without clusters is one group, has no ``clean_wrong`` and
    ``noisy_fitted``, and no ``projection``; ``test_error`` is there if test data was given.

    Attributes
    ----------
    t : ndarray of int64, shape (R,)
        The recorded steps.
    loss : ndarray of float64, shape (R,)
        Empirical risk, the mean of log(1 + exp(-y f)).
    clean_wrong : ndarray of int64, shape (R,)
        Clean samples with y f <= 0 (Theorem 3.1, part 1 says none at T).
    noisy_fitted : ndarray of int64, shape (R,)
        Noisy samples with y f > 0 for their observed label (Theorem 3.1: none at T).
    flips : ndarray of int64, shape (R,)
        Entries of the activation matrix that changed in the step t-1 -> t.
    test_error : ndarray of float64, shape (R,)
        Fraction of the test data with y f <= 0 on its own observed labels.
    norm : ndarray of float64, shape (R, m)
        Norms of the neurons.
    projection : ndarray of float64, shape (R, m, 4)
        <w_j, mu> for mu = +mu1, -mu1, +mu2, -mu2.
    active : ndarray of int32, shape (R, m, 8)
        Number of samples on which neuron j is active, in group 2c (clean) and 2c+1 (noisy) of
        cluster c.
    margin_low, margin_high : ndarray of float64, shape (R, 8)
        Smallest and largest y f of each group; inf and -inf for an empty one.
    h_low, h_high : ndarray of float64, shape (r, m, 8)
        Smallest and largest <w_j, x_i> of each group, for the first r rows, those with t <= T.

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("theorem").run(rng=0)
    >>> run.history.t
    array([0, 1, 2, 3, 4, 5, 6])
    >>> run.history.clean_wrong[-1]
    np.int64(0)
    """

    def __init__(self, entries: dict[str, NDArray[Any]]) -> None:
        ordered = {q.name: entries[q.name] for q in ENTRIES if q.name in entries}
        for array in ordered.values():
            array.flags.writeable = False
        object.__setattr__(self, "_entries", ordered)

    _entries: dict[str, NDArray[Any]]

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._entries[name]
        except KeyError:
            raise AttributeError(
                f"this history has no {name!r}; it has {', '.join(self._entries)}"
            ) from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a History is read-only: cannot set {name!r}")

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries["t"])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._entries]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return list(self) == list(other) and all(
            np.array_equal(self[name], other[name]) for name in self
        )

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        return dict(self._entries)

    def __setstate__(self, state: dict[str, NDArray[Any]]) -> None:
        History.__init__(self, state)

    def __repr__(self) -> str:
        steps = f"t={self.t[0]}..{self.t[-1]}" if len(self) else "empty"
        return f"History({len(self)} rows, {steps}: {', '.join(self._entries)})"

    def row(self, t: int) -> Row:
        """The entries of one recorded step.

        Parameters
        ----------
        t : int
            A recorded step.

        Returns
        -------
        Row
            Each entry at that step, as an attribute.

        Raises
        ------
        KeyError
            If step t was not recorded.
        ValueError, TypeError
            If t is no step at all.
        """
        t = _validate.nonnegative_int(t, "t")
        i = int(np.searchsorted(self.t, min(t, 2**62)))
        if i == len(self.t) or self.t[i] != t:
            raise KeyError(f"step {_validate.shown(t)} was not recorded")
        return Row({name: entry[i] for name, entry in self._entries.items() if i < len(entry)})


class Row:
    """One recorded step of a :class:`History`: each entry at that step, as an attribute."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self.__dict__.update(entries)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this row has no {name!r}; it has {', '.join(vars(self))}")

    def __repr__(self) -> str:
        return f"Row({', '.join(f'{k}={v}' for k, v in vars(self).items() if np.ndim(v) == 0)})"


def nbytes(extent: Extent) -> int:
    """Bytes that a run of this extent takes for what it records: observations and history.

    The arrays of a history are those of the observations, or copies of less than half of the rows,
    the only ones that are filled then.
    """
    return extent.nbytes({*OBSERVED, *NUMBERS})


def derive(
    problem: Problem, out: Observations, at: NDArray[np.int64], begin: int, end: int
) -> History:
    """The history of the rows begin, ..., end-1, for which at holds the steps.

    Groups 2c are the clean samples of cluster c, groups 2c+1 its noisy ones.
    """
    G, rows = problem.n_groups, slice(begin, end)
    right = out.right[rows, :G]
    entries: dict[str, NDArray[Any]] = {
        "t": at[rows],
        "loss": out.loss[rows, :G].sum(axis=1) / len(problem.y),
        "flips": out.flips[rows],
    }
    for quantity in ARRAYS:
        array = getattr(out, quantity.name)[rows]
        entries[quantity.name] = array[:, :G] if quantity.axes == "G" else array
    if len(problem.means):
        clean = problem.group_sizes[0::2].sum()
        entries["clean_wrong"] = clean - right[:, 0::2].sum(axis=1)
        entries["noisy_fitted"] = right[:, 1::2].sum(axis=1)
    else:
        del entries["projection"]
    if len(problem.test_y):
        entries["test_error"] = 1 - out.right[rows, G:].sum(axis=1) / len(problem.test_y)
    if 2 * (end - begin) < len(at):
        # the memory of rows that were not filled, or not asked for, is not kept
        entries = {name: array.copy() for name, array in entries.items()}
    return History(entries)


def restore(
    problem: Problem,
    m: int,
    last: int,
    read: Callable[[str, str], NDArray[Any]],
    names: Iterable[str],
    finite: bool,
) -> History:
    """The history of a file, or ValueError if no run of the problem can have left it.

    Parameters
    ----------
    problem : Problem
        What was minimised and observed.
    m, last : int
        Number of neurons, and of steps taken.
    read : callable(name, type) -> ndarray
        The entries, of a type like "f8".
    names : iterable of str
        The entries there are. The test error may be there without test data.
    finite : bool
        Whether all quantities must be finite: nothing in the run is so large that sums overflow.
    """
    at = read("t", "i8")
    if at.ndim != 1 or (np.diff(at) <= 0).any():
        raise ValueError(f"history_t must be ascending steps, got {_validate.shown(at)}")
    extent, n = Extent.of(problem, m, at), len(problem.y)
    sizes = problem.group_sizes
    some = sizes > 0
    largest = np.finfo(np.float64).max
    top = largest if finite else np.inf
    # smallest and largest value of each entry; groups without samples have no range
    ranges: dict[str, tuple[Any, Any]] = {
        "t": (0, last),
        "loss": (0, top),
        "flips": (0, np.where(at == 0, 0, n * m)),
        "norm": (0, top),
        "active": (0, sizes),
        "margin_low": tuple(np.where(some, [[-largest], [largest]], np.inf)),
        "margin_high": tuple(np.where(some, [[-largest], [largest]], -np.inf)),
        "h_low": tuple(np.where(some, [[-top], [top]], np.inf)),
        "h_high": tuple(np.where(some, [[-top], [top]], -np.inf)),
    }
    if extent.k:
        ranges["clean_wrong"] = (0, sizes[0::2].sum())
        ranges["noisy_fitted"] = (0, sizes[1::2].sum())
        ranges["projection"] = (-top, top)
    if len(problem.test_y) or "test_error" in names:
        ranges["test_error"] = (0, 1)
    entries = {}
    for quantity in ENTRIES:
        name, shape = quantity.name, extent.shape(quantity)
        if name not in ranges:
            continue
        entries[name] = array = read(name, np.dtype(quantity.dtype).str[1:])
        if array.shape != shape:
            raise ValueError(
                f"history_{name} has shape {array.shape}, not {shape} as {len(at)} steps, m={m} "
                f"and the data have it"
            )
        if finite or name not in ("norm", "projection"):
            _within(array, f"history_{name}", *ranges[name])
    for low, high in (("margin_low", "margin_high"), ("h_low", "h_high")):
        if (entries[low] > entries[high])[..., some].any():
            raise ValueError(f"history_{low} must be at most history_{high}")
    return History(entries)


def _within(array: NDArray[Any], name: str, least: Any, most: Any) -> None:
    """Refuse an array with an entry that is not a number, or out of its range."""
    wrong = ~((array >= least) & (array <= most))
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), array.shape)
        low, high = (np.broadcast_to(end, array.shape)[place] for end in (least, most))
        index = ", ".join(str(i) for i in place)
        raise ValueError(
            f"{name} must be in {low:.6g}..{high:.6g}, but {name}[{index}] is {array[place]}"
        )
