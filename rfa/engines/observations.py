"""What engines observe: a table of quantities, from which arrays, sizes and documentation follow.

To add an observed quantity, add a row to ``OBSERVED`` and let each engine write it. One that can be
computed from those that are observed needs no engine: it is a row of
:data:`rfa.training.history.ENTRIES`.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rfa.engines.problem import IntArray, Problem


class Quantity(NamedTuple):
    """A quantity that has a row for each recorded step.

    Attributes
    ----------
    name : str
        Its name.
    text : str
        What it is, a sentence for the documentation.
    dtype : type
        Its type. Arrays of whole numbers begin at 0, since engines count by adding to them.
    axes : str
        Shape of a row, a letter for each axis: m neurons, k means, G groups of training samples,
        K groups of training and test samples together.
    early : bool
        Whether only the steps up to the horizon have a row.
    """

    name: str
    text: str
    dtype: type[np.generic]
    axes: str = ""
    early: bool = False

    def documented(self) -> str:
        """The quantity as an entry of a docstring's list of attributes."""
        shape = ", ".join(["r" if self.early else "R", *self.axes]) + ("" if self.axes else ",")
        text = textwrap.fill(self.text, 90, initial_indent="    ", subsequent_indent="    ")
        return f"{self.name} : ndarray of {np.dtype(self.dtype)}, shape ({shape})\n{text}"


OBSERVED = (
    Quantity("right", "Samples of each group with y f > 0.", np.int64, "K"),
    Quantity(
        "loss",
        "Sum of l(y f) over each group; that of a training sample is multiplied by its weight.",
        np.float64,
        "K",
    ),
    Quantity(
        "flips",
        "Entries of the activation matrix A that the step t-1 -> t changed; 0 at t = 0.",
        np.int64,
    ),
    Quantity("norm", "Euclidean norm of each neuron.", np.float64, "m"),
    Quantity(
        "projection",
        "<w_j, mu> of each neuron on each mean, in the order +mu1, -mu1, +mu2, -mu2.",
        np.float64,
        "mk",
    ),
    Quantity("active", "Samples of each group on which neuron j is active.", np.int32, "mG"),
    Quantity("margin_low", "Smallest y f of each group; inf for an empty one.", np.float64, "K"),
    Quantity("margin_high", "Largest y f of each group; -inf for an empty one.", np.float64, "K"),
    Quantity(
        "h_low",
        "Smallest <w_j, x_i> over each group, for the steps t <= T; inf for an empty group.",
        np.float64,
        "mG",
        early=True,
    ),
    Quantity(
        "h_high",
        "Largest <w_j, x_i> over each group, for the steps t <= T; -inf for an empty group.",
        np.float64,
        "mG",
        early=True,
    ),
)


class Extent(NamedTuple):
    """How much is recorded: R rows, r of them up to the horizon, and the length of each axis."""

    R: int
    r: int
    m: int
    k: int
    G: int
    K: int

    @classmethod
    def of(cls, problem: Problem, m: int, at: IntArray) -> Extent:
        """The extent for m neurons and the steps in ``at`` (ascending)."""
        return cls(
            R=len(at),
            r=int(np.searchsorted(at, problem.horizon, side="right")),
            m=m,
            k=len(problem.means),
            G=problem.n_groups,
            K=problem.n_groups + problem.n_test_groups,
        )

    def shape(self, quantity: Quantity) -> tuple[int, ...]:
        """Shape of a quantity's array."""
        rows = self.r if quantity.early else self.R
        return (rows, *(getattr(self, axis) for axis in quantity.axes))

    def nbytes(self, quantities: Iterable[Quantity]) -> int:
        """Bytes that the arrays of the quantities take together."""
        return sum(math.prod(self.shape(q)) * np.dtype(q.dtype).itemsize for q in quantities)


Documented = TypeVar("Documented", bound=type)


def lists(quantities: Iterable[Quantity]) -> Callable[[Documented], Documented]:
    """Decorate a class: its docstring gets the quantities as its list of attributes."""

    def decorated(cls: Documented) -> Documented:
        if cls.__doc__ is not None:  # python -OO
            entries = [quantity.documented() for quantity in quantities]
            parts = [inspect.cleandoc(cls.__doc__), "Attributes\n----------", *entries]
            cls.__doc__ = "\n\n".join(parts[:2]) + "\n" + "\n".join(parts[2:]) + "\n"
        return cls

    return decorated


@lists(OBSERVED)
class Observations:
    """Arrays that an engine fills, with one row for each recorded step.

    There are R recorded steps, r of them up to the horizon T, m neurons, k means, G groups of
    training samples, and K groups of training and test samples, the former first.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        vars(self).update(arrays)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]: ...

    @classmethod
    def allocate(cls, problem: Problem, m: int, at: IntArray) -> Observations:
        """Room for the steps in ``at`` (ascending)."""
        extent = Extent.of(problem, m, at)
        arrays: dict[str, NDArray[Any]] = {}
        for quantity in OBSERVED:
            make = np.zeros if np.issubdtype(quantity.dtype, np.integer) else np.empty
            arrays[quantity.name] = make(extent.shape(quantity), quantity.dtype)
        return cls(arrays)

    def rows(self, begin: int, end: int) -> Observations:
        """Views of the rows begin, ..., end-1, as far as a quantity has them."""
        return Observations({name: array[begin:end] for name, array in vars(self).items()})
