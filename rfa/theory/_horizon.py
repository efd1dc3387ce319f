"""Section 4.3 of the paper: what gradient descent does, and for how long the theory follows it."""

from __future__ import annotations

import math
import warnings

from rfa import _validate


def horizon(alpha: float) -> int:
    """The step T = 1 + 1/(4 alpha) at which Theorem 3.1 speaks of the network.

    Parameters
    ----------
    alpha : float
        Step size, positive.

    Returns
    -------
    int
        T = K + 1 with K = 1/(4 alpha), rounded where it is within a relative 1e-9 of an integer and
        rounded down, with a warning, where it is not: the paper leaves open what happens then.

    Raises
    ------
    ValueError
        If alpha is not a positive finite number.

    Warns
    -----
    UserWarning
        If 1/(4 alpha) is not an integer.

    Examples
    --------
    >>> horizon(0.05)
    6
    """
    alpha = _validate.positive_float(alpha, "alpha")
    exact = 1 / (4 * alpha)
    K, rounded = floored_horizon(alpha)
    if rounded:
        warnings.warn(
            f"1/(4 alpha) = {exact:.6g} is not an integer: T is rounded down to {K + 1}",
            stacklevel=2,
        )
    return K + 1


def floored_horizon(alpha: float) -> tuple[int, bool]:
    """K, and whether 1/(4 alpha) had to be rounded down to it."""
    exact = 1 / (4 * alpha)
    if not math.isfinite(exact):
        raise ValueError(f"alpha must be large enough that 1/(4 alpha) is finite, got {alpha!r}")
    nearest = round(exact)
    if abs(exact - nearest) <= 1e-9 * exact:
        return nearest, False
    return math.floor(exact), True
