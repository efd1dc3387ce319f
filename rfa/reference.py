"""The oracle: every computation of rfa in plain NumPy, one equation per function.

These functions are slow and obvious on purpose. Read them to learn what rfa computes. The compiled
functions in :mod:`rfa.kernels`, which have the same names and signatures, and the engines are
tested against them. Arguments must be arrays of the documented shapes; they are not checked here,
unlike in the compiled functions. The module imports only NumPy and rfa.losses.

References are to Frei, Chatterji and Bartlett, *Random Feature Amplification: Feature Learning and
Generalization in Neural Networks*, arXiv 2202.07626.

Shapes: X (n, d) samples, y (n,) labels in {-1, +1}, W (m, d) first layer, a (m,) second layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rfa.losses import LOSSES as _ROWS
from rfa.losses import logistic_loss as logistic_loss  # public names of this module, too
from rfa.losses import loss_weights as loss_weights

Array = NDArray[np.floating]
Labels = NDArray[np.integer] | NDArray[np.floating]


# The value l(s) and the weight g = -l'(s) of each loss, as functions of the margin s.
LOSSES = {name: (row.value, row.weight) for name, row in _ROWS.items()}


def preactivations(X: Array, W: Array) -> Array:
    """Inner products of every sample with every neuron, H = X W^T (Section 2.1).

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    W : ndarray of shape (m, d)
        First layer.

    Returns
    -------
    ndarray of shape (n, m)
        ``H[i, j]`` = <w_j, x_i>. Costs 2 n m d flops.

    Examples
    --------
    >>> import numpy as np
    >>> preactivations(np.array([[1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, -1.0]]))
    array([[ 3., -2.]])
    """
    return X @ W.T


def activation_masks(X: Array, W: Array) -> NDArray[np.uint64]:
    """The ReLU's derivative A = 1[H > 0] as bits; the derivative at 0 is taken as 0.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    W : ndarray of shape (m, d)
        First layer.

    Returns
    -------
    ndarray of uint64, shape (m, ceil(n / 64))
        Bit ``i % 64``, least significant first, of word ``i // 64`` of row j is set where neuron j
        is active on sample i; bits beyond the last sample are zero.

    Examples
    --------
    >>> import numpy as np
    >>> activation_masks(np.array([[1.0], [-1.0], [2.0], [0.0]]), np.array([[1.0], [-1.0]]))
    array([[5],
           [2]], dtype=uint64)
    """
    n = len(X)
    active = np.zeros((len(W), -(-n // 64) * 64), dtype=bool)
    active[:, :n] = (preactivations(X, W) > 0).T
    return np.packbits(active, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def unpack_masks(masks: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """The masks as booleans, sample by neuron.

    Parameters
    ----------
    masks : ndarray of uint64, shape (m, ceil(n / 64))
        As :func:`activation_masks` returns them.
    n : int
        Number of samples.

    Returns
    -------
    ndarray of bool, shape (n, m)
        ``A[i, j]``: neuron j is active on sample i.

    Examples
    --------
    >>> import numpy as np
    >>> unpack_masks(np.array([[5]], dtype=np.uint64), 4)[:, 0]
    array([ True, False,  True, False])
    """
    octets = np.ascontiguousarray(masks, dtype="<u8").view(np.uint8)
    return np.unpackbits(octets, axis=1, count=n, bitorder="little").astype(bool).T


def active_counts(X: Array, W: Array, groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number of samples of each group on which each neuron is active.

    With the clusters as groups these are the counts in the neuron alignment condition
    (Condition 4.7) and in Lemma 4.4.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    W : ndarray of shape (m, d)
        First layer.
    groups : ndarray of int, shape (n,)
        The group of each sample, 0, ..., G-1.

    Returns
    -------
    ndarray of int64, shape (m, G)
        G is the largest group plus one.

    Examples
    --------
    >>> import numpy as np
    >>> active_counts(np.array([[1.0], [-1.0], [2.0]]), np.array([[1.0]]), np.array([0, 1, 1]))
    array([[1, 1]])
    """
    A = preactivations(X, W) > 0
    return np.stack([A[groups == g].sum(axis=0) for g in range(int(groups.max()) + 1)], axis=1)


def forward(X: Array, W: Array, a: Array, slope: float = 0.0) -> Array:
    """The network, f(x; W) = sum_j a_j phi(<w_j, x>), phi = relu (Section 2.1) or leaky.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    W : ndarray of shape (m, d)
        First layer.
    a : ndarray of shape (m,)
        Second layer.
    slope : float
        phi(h) = max(h, slope * h), in [0, 1); 0 is the ReLU.

    Returns
    -------
    ndarray of shape (n,)
        f at each sample.

    Examples
    --------
    >>> import numpy as np
    >>> forward(np.array([[2.0], [-3.0]]), np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]))
    array([ 2., -3.])
    """
    return _phi(preactivations(X, W), slope) @ a


def _phi(H: Array, slope: float) -> Array:
    """The activation, max(h, slope h)."""
    return np.maximum(H, slope * H if slope else 0)


def loss(
    X: Array,
    y: Labels,
    W: Array,
    a: Array,
    *,
    weights: Array | None = None,
    loss: str = "logistic",
    slope: float = 0.0,
) -> float:
    """The empirical risk, the mean of l(y_i f(x_i; W)) (Section 2.1).

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    y : ndarray of shape (n,)
        Labels in {-1, +1}.
    W : ndarray of shape (m, d)
        First layer.
    a : ndarray of shape (m,)
        Second layer.
    weights : ndarray of shape (n,), optional
        Weights of the samples: the risk is sum_i weights_i l(y_i f(x_i; W)) / n.
    loss : str
        "logistic", "exponential", exp(-s), "hinge", max(0, 1 - s), or "square", (1 - s)^2 / 2.
    slope : float
        As in :func:`forward`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> round(loss(np.ones((1, 2)), np.array([1]), np.zeros((3, 2)), np.ones(3)), 4)
    0.6931
    """
    losses = LOSSES[loss][0](y * forward(X, W, a, slope))
    return float((losses if weights is None else weights * losses).mean())


def gradient(
    X: Array,
    y: Labels,
    W: Array,
    a: Array,
    *,
    weights: Array | None = None,
    loss: str = "logistic",
    slope: float = 0.0,
) -> Array:
    """Gradient of the empirical risk in W: row j is -(a_j / n) sum_i g_i y_i phi'(h_ij) x_i.

    For the ReLU phi'(h_ij) = A_ij; a sample's weight multiplies its g_i.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    y : ndarray of shape (n,)
        Labels in {-1, +1}.
    W : ndarray of shape (m, d)
        First layer.
    a : ndarray of shape (m,)
        Second layer.
    weights, loss, slope
        As in :func:`loss`; phi'(0) is taken as ``slope``.

    Returns
    -------
    ndarray of shape (m, d)
        Costs 4 n m d flops.

    Examples
    --------
    >>> import numpy as np
    >>> gradient(np.array([[2.0]]), np.array([1]), np.array([[0.0], [1.0]]), np.array([1.0, 0.0]))
    array([[0.],
           [0.]])
    """
    H = preactivations(X, W)
    c = y * LOSSES[loss][1](y * (_phi(H, slope) @ a)) / len(X)
    if weights is not None:
        c = weights * c
    return -a[:, None] * np.where(H > 0, c[:, None], slope * c[:, None]).T @ X


def step(
    X: Array,
    y: Labels,
    W: Array,
    a: Array,
    alpha: float,
    *,
    weights: Array | None = None,
    loss: str = "logistic",
    slope: float = 0.0,
    shrink: float = 1.0,
) -> Array:
    """One step of gradient descent, shrink * W - alpha * gradient (Section 2.1).

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    y : ndarray of shape (n,)
        Labels in {-1, +1}.
    W : ndarray of shape (m, d)
        First layer.
    a : ndarray of shape (m,)
        Second layer.
    alpha : float
        Step size.
    weights, loss, slope
        As in :func:`loss`.
    shrink : float
        1 - alpha * lambda for weight decay lambda, which adds (lambda / 2) norm(W)^2 to the risk.

    Returns
    -------
    ndarray of shape (m, d)
        A new array.

    Examples
    --------
    >>> import numpy as np
    >>> step(np.array([[2.0]]), np.array([1]), np.array([[0.5]]), np.array([0.0]), alpha=0.1)
    array([[0.5]])
    """
    G = gradient(X, y, W, a, weights=weights, loss=loss, slope=slope)
    return shrink * W - alpha * G


def train(
    X: Array,
    y: Labels,
    W: Array,
    a: Array,
    alpha: float,
    steps: int,
    *,
    weights: Array | None = None,
    loss: str = "logistic",
    slope: float = 0.0,
    shrink: float = 1.0,
) -> Array:
    """Full-batch gradient descent from W.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Samples.
    y : ndarray of shape (n,)
        Labels in {-1, +1}.
    W : ndarray of shape (m, d)
        First layer at t = 0.
    a : ndarray of shape (m,)
        Second layer, fixed.
    alpha : float
        Step size.
    steps : int
        Number of steps.
    weights, loss, slope, shrink
        As in :func:`step`.

    Returns
    -------
    ndarray of shape (m, d)
        W after the last step.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[2.0]]), np.array([1])
    >>> train(X, y, np.array([[0.5]]), np.array([1.0]), 0.1, 100).round(2)
    array([[1.85]])
    """
    for _ in range(steps):
        W = step(X, y, W, a, alpha, weights=weights, loss=loss, slope=slope, shrink=shrink)
    return W
