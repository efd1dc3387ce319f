"""The setting of the paper (Section 2.1): its clusters, default widths, constants and horizon T.

Everything here follows from the parameters alone. Each convention of the paper stands here once;
data, networks, training and theory import it.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rfa import _validate

# ------------------------------------------------------------------ clusters and groups

# The clusters 0 to 3: their names, their clean labels, and the cluster with the opposite mean.
CLUSTER_NAMES = ("+mu1", "-mu1", "+mu2", "-mu2")
CLUSTER_LABELS = np.array([1, 1, -1, -1])
CLUSTER_LABELS.flags.writeable = False
OPPOSITE = np.array([1, 0, 3, 2])
OPPOSITE.flags.writeable = False

# mu_other of each cluster (Section 4.3): +mu2 for those of +-mu1, +mu1 for those of +-mu2.
OTHER = np.array([2, 2, 0, 0])
OTHER.flags.writeable = False


def groups_of(cluster: NDArray[np.int64], noisy: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The group of each sample: 2c is the clean part of cluster c, 2c + 1 its noisy part."""
    return 2 * cluster + noisy


# ------------------------------------------------------------------ parameters

# Defaults: the failure probability delta, and the constant C0 of Lemma 4.2.
DELTA, C0 = 0.1, 5.0


def default_sigma(d: int) -> float:
    """The standard deviation of a cluster in Figure 1, 1/(5 sqrt(d))."""
    return float(1 / (5 * np.sqrt(d)))


def default_omega_init(m: int, d: int) -> float:
    """The standard deviation of the initial weights in Figure 1, 1/(4 sqrt(m d))."""
    return 1 / (4 * math.sqrt(m * d))


class Parameters(NamedTuple):
    """A value for every parameter that the paper's assumptions name."""

    n: int
    d: int
    m: int
    alpha: float
    sigma: float
    omega_init: float
    eta: float

    @property
    def spread(self) -> float:
        """Sigma sqrt(d), at most the largest float64."""
        return min(self.sigma * math.sqrt(self.d), sys.float_info.max)

    @property
    def start(self) -> float:
        """Omega_init sqrt(m d), at most the largest float64."""
        return min(self.omega_init * math.sqrt(self.m) * math.sqrt(self.d), sys.float_info.max)


class HasParameters(Protocol):
    """An object whose parameters the paper's assumptions can be checked on: an Experiment."""

    @property
    def noise(self) -> str: ...
    @property
    def law(self) -> str: ...
    @property
    def balance(self) -> Any: ...
    def parameters(self) -> Parameters: ...


def second_layer(m: int) -> NDArray[np.float64]:
    """The paper's fixed second layer: half +1/sqrt(m), half -1/sqrt(m).

    If m is odd, the last neuron has 0.

    Parameters
    ----------
    m : int
        Number of neurons.

    Returns
    -------
    ndarray of shape (m,)

    Examples
    --------
    >>> second_layer(5).round(3)
    array([ 0.447,  0.447, -0.447, -0.447,  0.   ])
    """
    a = np.zeros(m)
    a[: m // 2] = 1 / np.sqrt(m)
    a[m // 2 : 2 * (m // 2)] = -1 / np.sqrt(m)
    return a


# ------------------------------------------------------------------ horizon


class Horizon(NamedTuple):
    """The number of steps over which the theory follows gradient descent (Section 4.3).

    Attributes
    ----------
    T : int
        T = K + 1. Theorem 3.1 is about the network at step T.
    K : int
        1/(4 alpha), rounded to an integer.
    rounded : bool
        Whether 1/(4 alpha) was rounded down, because it is not an integer.
    """

    T: int
    K: int
    rounded: bool

    @classmethod
    def of(cls, alpha: float) -> Horizon:
        """The horizon of a step size; ValueError if 1/(4 alpha) is not finite."""
        exact = 1 / (4 * alpha)
        if not math.isfinite(exact):
            raise ValueError(
                f"alpha must be large enough that 1/(4 alpha) is finite, got {alpha!r}"
            )
        K = round(exact)
        rounded = abs(exact - K) > 1e-9 * exact
        if rounded:
            K = math.floor(exact)
        return cls(K + 1, K, rounded)

    def warning(self, alpha: float) -> str:
        """What to say of a horizon that was rounded down."""
        exact = 1 / (4 * alpha)
        return f"1/(4 alpha) = {exact:.6g} is not an integer: T is rounded down to {self.T}"


def horizon(alpha: float) -> int:
    """The horizon T = 1 + 1/(4 alpha): Theorem 3.1 is about the network at this step.

    Parameters
    ----------
    alpha : float
        Step size, positive.

    Returns
    -------
    int
        T = K + 1, where K is 1/(4 alpha) as an integer. If 1/(4 alpha) is within a relative 1e-9 of
        an integer, K is that integer. Otherwise 1/(4 alpha) is rounded down, with a warning; the
        paper does not say what T is in this case.

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
    found = Horizon.of(alpha)
    if found.rounded:
        warnings.warn(found.warning(alpha), stacklevel=2)
    return found.T
