"""What every engine provides, member by member; :mod:`rfa.engines` is the overview."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from rfa.engines.observations import Observations
from rfa.engines.problem import FloatArray, IntArray, Problem


class Engine(Protocol):
    """Takes steps of gradient descent for one problem.

    Its results are the same bits for any number of threads, whatever is observed, and however the
    steps are divided among calls of ``advance``.
    """

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None:
        """Begin at t = 0 with W (m, d) and a (m,), which are of the type of problem.X.

        All packing, sorting and allocation happens here. W and a are not changed.
        """

    @staticmethod
    def refuses(problem: Problem) -> str:
        """Say why the engine cannot take the problem, in the sentence that the user is to see.

        Empty if it can. Asked before the engine is made.
        """

    @property
    def t(self) -> int:
        """Steps taken."""

    @property
    def rows(self) -> int:
        """Rows of the observations that are filled, those before the last ``advance`` included.

        Right at any time, also after an exception has left ``advance``.
        """

    @property
    def diverged(self) -> bool:
        """Whether the last ``advance`` stopped because a number is not finite."""

    @property
    def stats(self) -> dict[str, int]:
        """Counts for :attr:`rfa.Run.stats`, over all steps; which ones is up to the engine."""

    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int:
        """Take steps until t = ``until``, and observe the steps in ``at`` on the way.

        Parameters
        ----------
        until : int
            The step at which to stop. If it has been passed, no step is taken.
        at : ndarray of int64
            The steps that are still to be recorded, ascending. Those beyond ``until`` are for later
            calls. ``t`` itself is recorded if it is among them.
        out : Observations
            Where the rows are written.
        row : int
            The row for the first of the steps in ``at``; the next ones follow it.

        Returns
        -------
        int
            Rows that were written.

        Notes
        -----
        A step is taken whole or not at all, and a row is filled whole or does not count in
        ``rows``.

        The engine stops early, and ``diverged`` is true, if f or the next W is not finite. direct
        looks at the <w_j, x_i> of this step, too, and gram looks at those of the next step in place
        of W (with weight decay, divided by a power of ``shrink``). Then t and W are those of the
        last whole step. A further call stops there again.

        A Python signal handler may raise an exception (Ctrl-C: KeyboardInterrupt). It leaves the
        method within half a second, and a further call goes on to the bits of an undisturbed run.
        """

    def weights(self) -> tuple[FloatArray, FloatArray]:
        """Copies of W_t (m, d) and a, in the order and the type in which they were given."""

    def get_state(self) -> dict[str, Any]:
        """All that the next steps and observations depend on, as copies.

        Beside ``t`` and ``W`` this is at least ``previous``, the activations of step t - 1, from
        which the flips of step t are counted; their form is the engine's own.
        """

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of this engine, or of another one for the same problem.

        What follows has the bits of the run from which the state was taken.
        """


@runtime_checkable
class Reusable(Protocol):
    """An engine whose arrays can serve the next run of the same sizes; see the registry's pool."""

    nbytes: int
    """Bytes of its arrays."""

    def fits(self, problem: Problem, W: FloatArray, n_threads: int) -> bool:
        """Whether a new engine for these arguments would have arrays of the same sizes."""

    def load(self, problem: Problem, W: FloatArray, a: FloatArray) -> None:
        """Be as a new engine for these arguments, which fit, whatever was computed before."""
