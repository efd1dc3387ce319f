"""What one call evaluates statements with, and what these share while it lasts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from rfa import _seeds
from rfa.theory.constants import LITERAL_C0, C2_of

About = TypeVar("About")
Shared = TypeVar("Shared")


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms on which one call evaluates statements: constants, a step, and where draws start.

    Attributes
    ----------
    delta, C0, C1, C2 : float
        The constants with which bounds are evaluated; C1 is NaN where sigma is not known.
    literal_C0, literal_C2 : float
        The paper's.
    t : int
        The step at which statements about T are checked: T, or the last step of a longer run.
    rng : int, SeedSequence, Generator or None
        Where fresh points and signs come from.
    known : dict
        What statements of this call share; see :func:`once`.
    """

    delta: float
    C0: float
    C1: float
    C2: float
    t: int
    rng: _seeds.Seed
    literal_C0: float = LITERAL_C0
    literal_C2: float = C2_of(LITERAL_C0)
    known: dict[Any, Any] = field(default_factory=dict)

    @property
    def shrink(self) -> float:
        """(1 - 1/C0)^2."""
        return (1 - 1 / self.C0) ** 2

    def at(self, t: int) -> Terms:
        """The same for another step."""
        return replace(self, t=t, known={})


def once(compute: Callable[[About, Terms], Shared]) -> Callable[[About, Terms], Shared]:
    """Let the statements of a call share what a function finds: it runs once for them all."""

    @functools.wraps(compute)
    def shared(e: About, k: Terms) -> Shared:
        if compute not in k.known:
            k.known[compute] = compute(e, k)
        found: Shared = k.known[compute]
        return found

    return shared
