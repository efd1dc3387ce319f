"""The losses of the margin s = y f(x), a row for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Loss(NamedTuple):
    """A loss and its derivative.

    Attributes
    ----------
    value : callable
        l(s) of margins of any shape.
    weight : callable
        -l'(s), the weight of a sample in the gradient.
    """

    value: Callable[[Array], Array]
    weight: Callable[[Array], Array]


def logistic_loss(s: Array) -> Array:
    """The logistic loss l(s) = log(1 + exp(-s)) of the margin s = y f, for s of any size.

    Parameters
    ----------
    s : ndarray
        Margins.

    Returns
    -------
    ndarray
        Same shape.

    Examples
    --------
    >>> import numpy as np
    >>> logistic_loss(np.array([0.0, 1000.0, -1000.0])).round(3).tolist()
    [0.693, 0.0, 1000.0]
    """
    return np.maximum(-s, 0) + np.log1p(np.exp(-np.abs(s)))


def loss_weights(s: Array) -> Array:
    """The weight of a sample in the gradient, g = -l'(s) = 1 / (1 + exp(s)).

    Parameters
    ----------
    s : ndarray
        Margins.

    Returns
    -------
    ndarray
        Same shape, in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> loss_weights(np.array([0.0, 1000.0, -1000.0]))
    array([0.5, 0. , 1. ])
    """
    e = np.exp(-np.abs(s))
    return np.where(s >= 0, e, 1) / (1 + e)


# The hinge's derivative at its kink is taken as 0.
LOSSES = {
    "logistic": Loss(logistic_loss, loss_weights),
    "exponential": Loss(lambda s: np.exp(-s), lambda s: np.exp(-s)),
    "hinge": Loss(lambda s: np.maximum(1 - s, 0), lambda s: (s < 1).astype(s.dtype)),
    "square": Loss(lambda s: (1 - s) ** 2 / 2, lambda s: 1 - s),
}
