"""A law that the user gives as a function: whether its mean is 0 and its covariance I, by a sample.

A law of the paper fails this test with a probability of at most LEVEL. The test looks at the
directions of :func:`directions`: each coordinate, and sums of coordinates. If the law is
log-concave with mean 0 and covariance I, a direction X is log-concave with mean 0 and variance 1.
Then, for N draws of D directions:

- P(abs X > t) <= e^(1-t) (Lovasz and Vempala 2007, Lemma 5.17). So with probability 1 - LEVEL/2 no
  draw of any direction is beyond R = 1 + log(2 N D/LEVEL).
- E abs(X)^q <= e q!, from the line above. By Bernstein's inequality (Boucheron, Lugosi and Massart
  2013, Theorem 2.10) P(mean > sqrt(2u/N) + 2eu/N) <= e^-u, and the same below.
- E X^4 <= 6e. A log-concave density on the half-line has E X^4 <= 6 (E X^2)^2, since
  log(E X^p/Gamma(p+1)) is concave in p (Borell). X has a probability of at least 1/e on each side
  of its mean (Gruenbaum). So P(mean of X^2 < 1 - sqrt(12eu/N)) <= e^-u, by Maurer's inequality for
  numbers that are not negative. Bernstein's for numbers below R^2, applied to min(X^2, R^2), gives
  P(mean > 1 + sqrt(12eu/N) + R^2 u/(3N)) <= e^-u.

With u = log(8D/LEVEL) the four tails of all directions have the other half of LEVEL.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa.data.laws import Law, drawn

Floats = NDArray[np.float64]

# The probability that a law of the paper is said not to be one.
LEVEL = 1e-6

# Draws: MOST_DRAWS, or fewer in high dimensions, where they would be more than MOST_REALS numbers.
MOST_DRAWS, LEAST_DRAWS, MOST_REALS = 2**14, 2**10, 2**25

# Numbers that are drawn at once.
BLOCK_REALS = 2**20


class Limits(NamedTuple):
    """What no direction of a law of the paper exceeds in N draws, but for a probability of LEVEL.

    Attributes
    ----------
    largest : float
        R, for the size of each draw.
    mean : float
        For the distance of the mean from 0.
    low, high : float
        For the mean square.
    """

    largest: float
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, N: int, D: int) -> Limits:
        """The limits for N draws of D directions."""
        R, u = 1 + math.log(2 * N * D / LEVEL), math.log(8 * D / LEVEL)
        spread = math.sqrt(12 * math.e * u / N)
        mean = math.sqrt(2 * u / N) + 2 * math.e * u / N
        return cls(R, mean, 1 - spread, 1 + spread + R * R * u / (3 * N))


def draws(d: int) -> int:
    """The number of draws in dimension d."""
    return max(LEAST_DRAWS, min(MOST_DRAWS, MOST_REALS // d))


def directions(z: Floats) -> Floats:
    """Draws (n, d) in the directions of the test (n, 2 d), each of which is a unit vector.

    These are each coordinate, (z_i + z_(i+1))/sqrt 2, and the sum of all coordinates over sqrt d.
    """
    neighbours = (z[:, :-1] + z[:, 1:]) / math.sqrt(2)
    total = z.sum(axis=1, keepdims=True) / math.sqrt(z.shape[1])
    return np.concatenate([z, neighbours, total], axis=1)


def direction_name(k: int, d: int) -> str:
    """A direction in words."""
    if k < d:
        return f"coordinate {k} of the law"
    if k < 2 * d - 1:
        return f"the sum of the law's coordinates {k - d} and {k - d + 1}, over sqrt 2,"
    return "the sum of all coordinates of the law, over sqrt d,"


def defects(law: Law, d: int, rng: np.random.Generator) -> list[str]:
    """A sentence on what a sample shows that no law of the paper would show; an empty list if none.

    Exceptions of the law are passed on.
    """
    N, D = draws(d), 2 * d
    limits = Limits.of(N, D)
    total, square, largest = np.zeros(D), np.zeros(D), np.zeros(D)
    rows = max(1, BLOCK_REALS // d)
    for begin in range(0, N, rows):
        # a huge draw is beyond `largest`, whatever its square is
        with np.errstate(over="ignore", invalid="ignore"):
            X = directions(drawn(law, rng, min(rows, N - begin), d))
            total += X.sum(axis=0)
            np.maximum(largest, np.abs(X).max(axis=0), out=largest)
            square += np.einsum("ij,ij->j", X, X)
    mean, square = total / N, square / N

    def worst(excess: Floats) -> tuple[int, str]:
        k = int(np.argmax(excess))
        return k, direction_name(k, d)

    if not (largest <= limits.largest).all():
        k, name = worst(np.nan_to_num(largest, nan=np.inf))
        return [
            f"{name} reaches {largest[k]:.3g} in {N} draws, where a log-concave law of variance 1 "
            f"stays below {limits.largest:.3g}"
        ]
    if not (np.abs(mean) <= limits.mean).all():
        k, name = worst(np.abs(mean))
        return [f"{name} has mean {mean[k]:.3g} in {N} draws, not 0 (+- {limits.mean:.2g})"]
    if not ((square >= limits.low) & (square <= limits.high)).all():
        k, name = worst(np.maximum(limits.low - square, square - limits.high))
        return [
            f"{name} has variance {square[k]:.3g} in {N} draws, not 1 "
            f"({limits.low:.2g} to {limits.high:.2g})"
        ]
    return []
