"""The laws of a cluster: the distributions of z / sigma, where z = x - mu."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rfa import _validate

Floats = NDArray[np.float64]
Law = Callable[[np.random.Generator, int, int], Floats]


def _ball(rng: np.random.Generator, n: int, d: int) -> Floats:
    direction = rng.standard_normal((n, d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (np.sqrt(d + 2) * rng.random((n, 1)) ** (1 / d))


# Log-concave laws with mean 0 and covariance I.
LAWS: dict[str, Law] = {
    "gaussian": lambda rng, n, d: rng.standard_normal((n, d)),
    "laplace": lambda rng, n, d: rng.laplace(scale=np.sqrt(0.5), size=(n, d)),
    "uniform": lambda rng, n, d: rng.uniform(-np.sqrt(3), np.sqrt(3), (n, d)),
    "ball": _ball,
    "logistic": lambda rng, n, d: rng.logistic(scale=np.sqrt(3) / np.pi, size=(n, d)),
    "exponential": lambda rng, n, d: rng.standard_exponential((n, d)) - 1,
}


def drawn(law: Law, rng: np.random.Generator, n: int, d: int) -> Floats:
    """The draws (n, d) of a user's law, in float64; ValueError or TypeError if it gives others."""
    unit = _validate.samples(law(rng, n, d), "law(rng, n, d)")
    if unit.shape != (n, d):
        raise ValueError(f"law(rng, n, d) must have shape {(n, d)}, got {unit.shape}")
    return unit.astype(np.float64)
