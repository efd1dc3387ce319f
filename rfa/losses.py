"""The losses, each a function of the margin s = y f(x).

A loss is a row of ``LOSSES``, and two vector loops with a line of the list in
``kernels/simd/losses.h``. The compiled engines know a loss by its place in that list, Python by its
name; the order of the rows here means nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Loss(NamedTuple):
    """A loss, its derivative, and how far rounding of the margin moves them.

    Attributes
    ----------
    value : callable
        l(s) of margins of any shape.
    weight : callable
        g(s) = -l'(s), the weight of a sample in the gradient.
    spread : callable
        spread(s, e) bounds abs(g(s') - g(s)) for all s' with abs(s' - s) <= e. This bounds the
        effect of a rounding error of s on g, and by the mean value theorem that on l. Tests
        compare the engines with the oracle within bounds made from it.
    """

    value: Callable[[Array], Array]
    weight: Callable[[Array], Array]
    spread: Callable[[Array, Array], Array]


def logistic_loss(s: Array) -> Array:
    """The logistic loss l(s) = log(1 + exp(-s)) of the margin s = y f; it does not overflow.

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


LOSSES = {
    # log(1 + exp(-s)); the slope of g is at most 1/4
    "logistic": Loss(
        value=logistic_loss,
        weight=loss_weights,
        spread=lambda s, e: e / 4,
    ),
    # exp(-s)
    "exponential": Loss(
        value=lambda s: np.exp(-s),
        weight=lambda s: np.exp(-s),
        spread=lambda s, e: np.exp(-s) * np.expm1(e),
    ),
    # max(0, 1 - s); its derivative at the kink is taken as 0
    "hinge": Loss(
        value=lambda s: np.maximum(1 - s, 0),
        weight=lambda s: (s < 1).astype(s.dtype),
        spread=lambda s, e: np.where(np.abs(s - 1) <= e, 1.0, 0.0),
    ),
    # (1 - s)^2 / 2
    "square": Loss(
        value=lambda s: (1 - s) ** 2 / 2,
        weight=lambda s: 1 - s,
        spread=lambda s, e: e,
    ),
}
