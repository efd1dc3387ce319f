"""delta and the constants that the proofs leave open: valid values, and those taken by default."""

from __future__ import annotations

import math

from rfa import _validate

# The C0 of Definition 4.5, with which the paper's proof of Theorem 3.1 closes.
LITERAL_C0 = 4**5 * 1024**2 * math.exp(4)


def above_one(C0: float) -> float:
    """A valid C0."""
    C0 = _validate.real(C0, "C0")
    if C0 <= 1:
        raise ValueError(f"C0 must be above 1, got {C0!r}")
    return C0


def probability(delta: float) -> float:
    """A valid delta."""
    return _validate.open_fraction(delta, "delta")


def over(x: float, y: float) -> float:
    """x / y for x > 0, infinite at y = 0."""
    return x / y if y else math.inf


def largest_C1(spread: float, n: int, delta: float) -> float:
    """The largest C1 for which the second inequality of each part of Lemma 4.3 holds.

    ``spread`` is sigma sqrt(d).
    """
    fourth_root = math.sqrt(math.sqrt(n / -math.log(delta)))
    return min(over(1, math.sqrt(spread)), over(1, spread), fourth_root)


def C2_of(C0: float) -> float:
    """C2 from C0, by (12)."""
    return 12 * C0 * math.sqrt(2 * math.pi * math.e)
