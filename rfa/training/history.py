"""Every recorded quantity of a run, derived once from what the engine observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.engines.observations import OBSERVED, Extent, Observations, Quantity, lists
from rfa.engines.problem import IntArray, Problem

Array = NDArray[Any]

LARGEST = float(np.finfo(np.float64).max)


class Limits(NamedTuple):
    """What bounds the entries of a history.

    This is the problem, m, the recorded steps t, and ``last``, the number of steps taken.
    ``top`` bounds sums and products of the run's numbers; it is inf if they may overflow.
    """

    problem: Problem
    m: int
    t: IntArray
    last: int
    top: float

    def groups(self, size: float, empty: float) -> tuple[Array, Array]:
        """From -size to size, but exactly ``empty`` for a group without samples."""
        some = self.problem.group_sizes > 0
        return np.where(some, -size, empty), np.where(some, size, empty)


class Entry(NamedTuple):
    """An entry of a history.

    Attributes
    ----------
    quantity : Quantity
        Its name, meaning, type and shape.
    limits : callable(Limits) -> (least, most)
        Between which values the entry lies; a file with other values is refused.
    compute : callable(problem, t, observations) -> ndarray, optional
        The rows of the entry at the steps t (R,), from the observations of these steps. None: the
        rows are those observed, of the training groups alone.
    needs : str
        An array of the problem; if it is empty, the history does not have the entry.
    at_most : str
        Another entry, which this one does not exceed in any group that has samples.
    overflows : bool
        Whether the entry may be anything, even not a number, where sums overflow.
    since_first : bool
        Whether every version recorded the entry, so that a file without it is damaged.
    """

    quantity: Quantity
    limits: Callable[[Limits], tuple[Any, Any]]
    compute: Callable[[Problem, IntArray, Observations], Array] | None = None
    needs: str = ""
    at_most: str = ""
    overflows: bool = False
    since_first: bool = True

    @property
    def name(self) -> str:
        """The name of the quantity."""
        return self.quantity.name

    def has(self, problem: Problem) -> bool:
        """Whether the history of a run of the problem has the entry."""
        return not self.needs or len(getattr(problem, self.needs)) > 0


def _observed(name: str) -> Quantity:
    """The row of OBSERVED of this name, with training groups alone."""
    quantity = next(q for q in OBSERVED if q.name == name)
    return quantity._replace(axes=quantity.axes.replace("K", "G"))


# The entries of a history in the order in which they are listed and stored. To add an entry that
# can be computed from what the engines observe, add a row. An added entry has since_first=False,
# because files of earlier versions lack it.
#
# With the paper's clusters group 2c has the clean samples of cluster c, group 2c+1 its noisy ones.
ENTRIES = (
    Entry(
        Quantity("t", "The recorded steps.", np.int64),
        limits=lambda run: (0, run.last),
        compute=lambda problem, t, seen: t,
    ),
    Entry(
        Quantity("loss", "Empirical risk, the mean of the loss of y f.", np.float64),
        limits=lambda run: (0, run.top),
        compute=lambda problem, t, seen: (
            seen.loss[:, : problem.n_groups].sum(axis=1) / len(problem.y)
        ),
    ),
    Entry(
        Quantity(
            "clean_wrong",
            "Clean samples with y f <= 0 (Theorem 3.1, part 1: none at T).",
            np.int64,
        ),
        limits=lambda run: (0, run.problem.group_sizes[0::2].sum()),
        compute=lambda problem, t, seen: (
            problem.group_sizes[0::2].sum() - seen.right[:, 0 : problem.n_groups : 2].sum(axis=1)
        ),
        needs="means",
    ),
    Entry(
        Quantity(
            "noisy_fitted",
            "Noisy samples with y f > 0 for their observed label y (Theorem 3.1: none at T).",
            np.int64,
        ),
        limits=lambda run: (0, run.problem.group_sizes[1::2].sum()),
        compute=lambda problem, t, seen: seen.right[:, 1 : problem.n_groups : 2].sum(axis=1),
        needs="means",
    ),
    Entry(
        _observed("flips"),
        limits=lambda run: (0, np.where(run.t == 0, 0, len(run.problem.y) * run.m)),
    ),
    Entry(
        Quantity(
            "test_error",
            "Fraction of the test data with y f <= 0 for their own observed labels y.",
            np.float64,
        ),
        limits=lambda run: (0, 1),
        compute=lambda problem, t, seen: (
            1 - seen.right[:, problem.n_groups :].sum(axis=1) / len(problem.test_y)
        ),
        needs="test_y",
    ),
    Entry(_observed("norm"), limits=lambda run: (0, run.top), overflows=True),
    Entry(
        _observed("projection"),
        limits=lambda run: (-run.top, run.top),
        needs="means",
        overflows=True,
    ),
    Entry(_observed("active"), limits=lambda run: (0, run.problem.group_sizes)),
    Entry(
        _observed("margin_low"),
        limits=lambda run: run.groups(LARGEST, np.inf),
        at_most="margin_high",
    ),
    Entry(_observed("margin_high"), limits=lambda run: run.groups(LARGEST, -np.inf)),
    Entry(
        _observed("h_low"),
        limits=lambda run: run.groups(run.top, np.inf),
        at_most="h_high",
    ),
    Entry(_observed("h_high"), limits=lambda run: run.groups(run.top, -np.inf)),
)


@lists(entry.quantity for entry in ENTRIES)
class History:
    """What was recorded, one row for each of R recorded steps.

    Entries are read-only arrays, as attributes or by name (``history["loss"]``); iterating lists
    the names. Data without clusters is one group, and its history has no ``clean_wrong``,
    ``noisy_fitted`` and ``projection``. ``test_error`` is there if test data was given.

    Of the R rows the first r are those of steps t <= T. There are m neurons, k = 4 means and G = 8
    groups of samples: 2c are the clean ones of cluster c, 2c+1 the noisy ones.

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("theorem").run(rng=0)
    >>> run.history.t
    array([0, 1, 2, 3, 4, 5, 6])
    >>> run.history.clean_wrong[-1]
    np.int64(0)
    """

    def __init__(self, entries: dict[str, Array]) -> None:
        names = (entry.name for entry in ENTRIES)
        ordered = {name: entries[name] for name in names if name in entries}
        for array in ordered.values():
            array.flags.writeable = False
        object.__setattr__(self, "_entries", ordered)

    _entries: dict[str, Array]

    def __getattr__(self, name: str) -> Array:
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

    def __getitem__(self, name: str) -> Array:
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

    def __getstate__(self) -> dict[str, Array]:
        return dict(self._entries)

    def __setstate__(self, state: dict[str, Array]) -> None:
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
        return f"Row({', '.join(f'{name}={_shown(entry)}' for name, entry in vars(self).items())})"


def _shown(entry: Any) -> str:
    """An entry of a row; of an array its type and shape."""
    if not np.ndim(entry):
        return str(entry)
    return f"<{entry.dtype} {entry.shape}>"


def nbytes(extent: Extent) -> int:
    """Bytes that a run of this extent takes for what it records: observations and history.

    An entry that is as observed takes none of its own: it is a view, or a copy of less than half of
    the rows, which are then the only ones whose memory is touched.
    """
    computed = [entry.quantity for entry in ENTRIES if entry.compute is not None]
    return extent.nbytes([*OBSERVED, *computed])


def derive(problem: Problem, out: Observations, at: IntArray, begin: int, end: int) -> History:
    """The history of the rows begin, ..., end-1 of the observations; ``at`` has all their steps."""
    t, seen = at[begin:end], out.rows(begin, end)
    entries: dict[str, Array] = {}
    for entry in ENTRIES:
        if not entry.has(problem):
            continue
        if entry.compute is not None:
            entries[entry.name] = entry.compute(problem, t, seen)
        else:
            array = getattr(seen, entry.name)
            in_groups = entry.quantity.axes == "G"
            entries[entry.name] = array[:, : problem.n_groups] if in_groups else array
    if 2 * (end - begin) < len(at):
        # the memory of rows that were not filled, or not asked for, is not kept
        entries = {name: array.copy() for name, array in entries.items()}
    return History(entries)


def restore(
    problem: Problem,
    m: int,
    last: int,
    read: Callable[[str, str], Array],
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
        Reads an entry, of a type like "f8".
    names : iterable of str
        The entries that the file has. It may have a test error without having the test data.
    finite : bool
        Whether all quantities must be finite: nothing in the run is so large that sums overflow.
    """
    at = read("t", "i8")
    if at.ndim != 1 or (np.diff(at) <= 0).any():
        raise ValueError(f"history_t must be ascending steps, got {_validate.shown(at)}")
    extent, names = Extent.of(problem, m, at), set(names)
    run = Limits(problem, m, at, last, LARGEST if finite else np.inf)
    entries: dict[str, Array] = {}
    for entry in ENTRIES:
        name, stored = entry.name, entry.name in names
        if not (entry.has(problem) or (entry.needs == "test_y" and stored)):
            continue
        if not (entry.since_first or stored):
            continue
        shape = extent.shape(entry.quantity)
        entries[name] = array = read(name, np.dtype(entry.quantity.dtype).str[1:])
        if array.shape != shape:
            raise ValueError(
                f"history_{name} has shape {array.shape}, not {shape} as {len(at)} steps, m={m} "
                f"and the data have it"
            )
        if finite or not entry.overflows:
            _within(array, f"history_{name}", *entry.limits(run))
    for entry in ENTRIES:
        if entry.at_most and entry.name in entries:
            above = entries[entry.name] > entries[entry.at_most]
            if above[..., problem.group_sizes > 0].any():
                raise ValueError(f"history_{entry.name} must be at most history_{entry.at_most}")
    return History(entries)


def _within(array: Array, name: str, least: Any, most: Any) -> None:
    """Refuse an array with an entry that is not a number, or out of its range."""
    wrong = ~((array >= least) & (array <= most))
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), array.shape)
        low, high = (np.broadcast_to(end, array.shape)[place] for end in (least, most))
        index = ", ".join(str(i) for i in place)
        raise ValueError(
            f"{name} must be in {low:.6g}..{high:.6g}, but {name}[{index}] is {array[place]}"
        )
