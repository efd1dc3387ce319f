"""What every engine provides; how its parts work together is said in :mod:`rfa.engines`."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rfa.engines.observations import Observations
from rfa.engines.problem import Problem

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]


class Engine(Protocol):
    """Takes steps of gradient descent for one problem."""

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None: ...
    @staticmethod
    def refuses(problem: Problem) -> str: ...
    @property
    def t(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def diverged(self) -> bool: ...
    @property
    def stats(self) -> dict[str, int]: ...
    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int: ...
    def weights(self) -> tuple[FloatArray, FloatArray]: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class Reusable(Protocol):
    """An engine whose arrays can serve the next run of the same sizes; see the registry's pool."""

    nbytes: int

    def fits(self, problem: Problem, W: FloatArray, n_threads: int) -> bool: ...
    def load(self, problem: Problem, W: FloatArray, a: FloatArray) -> None: ...
