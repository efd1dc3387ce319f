"""The public functions of rfa.kernels. They check their arrays and call the compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _kernels, _runtime, _validate
from rfa.kernels.guards import OwnArithmetic

FloatArray = NDArray[np.floating]


def _layers(X: ArrayLike, W: ArrayLike) -> tuple[FloatArray, FloatArray]:
    samples = _validate.samples(X)
    weights = _validate.weights(W, n_features=samples.shape[1])
    dtype = np.result_type(samples, weights)
    return samples.astype(dtype, copy=False), weights.astype(dtype, copy=False)


def _second(a: ArrayLike, weights: FloatArray) -> FloatArray:
    """The second layer in the type of the first."""
    second = _validate.vector(a, len(weights), "a")
    return _validate.in_range(second, weights.dtype, "a", "the type of X and W")


def activation_masks(
    X: ArrayLike, W: ArrayLike, n_threads: int | None = None
) -> NDArray[np.uint64]:
    """The ReLU's derivative A = 1[<w_j, x_i> > 0] as bits.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    W : array-like of shape (m, d)
        First layer.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    ndarray of uint64, shape (m, ceil(n / 64))
        Bit ``i % 64``, least significant first, of word ``i // 64`` of row j is set where neuron j
        is active on sample i. Bits beyond the last sample are zero.

    Raises
    ------
    ValueError, TypeError
        If an argument is not a finite real array of the right shape.

    Notes
    -----
    Costs 2 n m d flops. A bit may differ from that of :func:`rfa.reference.activation_masks` if
    abs(<w_j, x_i>) is below the rounding error of the inner product.

    Examples
    --------
    >>> activation_masks([[1.0], [-1.0], [2.0], [0.0]], [[1.0], [-1.0]])
    array([[5],
           [2]], dtype=uint64)
    """
    samples, weights = _layers(X, W)
    masks = np.empty((len(weights), -(-len(samples) // 64)), np.uint64)
    _kernels.activation_masks(samples, weights, masks, _runtime.threads(n_threads))
    return masks


def active_counts(
    X: ArrayLike, W: ArrayLike, groups: ArrayLike, n_threads: int | None = None
) -> NDArray[np.int64]:
    """Alignment counting: the number of samples of each group on which each neuron is active.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    W : array-like of shape (m, d)
        First layer.
    groups : array-like of int, shape (n,)
        The group of each sample, 0, ..., G-1.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    ndarray of int64, shape (m, G)
        Entry [j, g] is the number of samples of group g on which neuron j is active. G is the
        largest group plus one.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Notes
    -----
    Condition 4.7 (neuron alignment) compares these counts with the sizes of the clusters.

    Examples
    --------
    >>> active_counts([[1.0], [-1.0], [2.0]], [[1.0]], [0, 1, 1])
    array([[1, 1]])
    """
    samples, weights = _layers(X, W)
    members = _validate.groups(groups, len(samples))
    masks = activation_masks(samples, weights, n_threads)
    counts = np.empty((len(weights), int(members.max()) + 1), np.int64)
    _kernels.active_counts(masks, members, counts)
    return counts


def forward(X: ArrayLike, W: ArrayLike, a: ArrayLike, n_threads: int | None = None) -> FloatArray:
    """The network, f(x; W) = sum_j a_j relu(<w_j, x>).

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    W : array-like of shape (m, d)
        First layer.
    a : array-like of shape (m,)
        Second layer.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    ndarray of shape (n,)
        f at each sample.

    Raises
    ------
    ValueError, TypeError
        If an argument is not a finite real array of the right shape.

    Examples
    --------
    >>> forward([[2.0], [-3.0]], [[1.0], [-1.0]], [1.0, -1.0])
    array([ 2., -3.])
    """
    samples, weights = _layers(X, W)
    second = _second(a, weights)
    f = np.empty(len(samples), samples.dtype)
    _kernels.forward(samples, weights, second, f, _runtime.threads(n_threads))
    return f


def gradient(
    X: ArrayLike, y: ArrayLike, W: ArrayLike, a: ArrayLike, n_threads: int | None = None
) -> FloatArray:
    """Gradient of the empirical risk in W: row j is -(a_j / n) sum_i g_i y_i A_ij x_i.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    y : array-like of shape (n,)
        Labels in {-1, +1}.
    W : array-like of shape (m, d)
        First layer.
    a : array-like of shape (m,)
        Second layer.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    ndarray of shape (m, d)
        The gradient. A step subtracts alpha times the gradient from W.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Notes
    -----
    g_i = 1 / (1 + exp(y_i f(x_i; W))) and A_ij = 1[<w_j, x_i> > 0]. The forward pass costs 2 n m d
    flops. The sums cost about n m d / 4 additions of table entries.

    Examples
    --------
    >>> gradient([[2.0], [1.0]], [1, -1], [[0.0], [-1.0]], [1.0, 1.0])
    array([[0.],
           [0.]])
    """
    samples, weights = _layers(X, W)
    labels = _validate.labels(y, len(samples)).astype(np.float64)
    second = _second(a, weights)
    out = np.empty(weights.shape, samples.dtype)
    _kernels.gradient(samples, labels, weights, second, out, _runtime.threads(n_threads))
    return out


def step(
    X: ArrayLike,
    y: ArrayLike,
    W: ArrayLike,
    a: ArrayLike,
    alpha: float,
    n_threads: int | None = None,
) -> FloatArray:
    """One step of gradient descent, W - alpha * gradient.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples.
    y : array-like of shape (n,)
        Labels in {-1, +1}.
    W : array-like of shape (m, d)
        First layer.
    a : array-like of shape (m,)
        Second layer.
    alpha : float
        Step size, a positive normal number of the type of the computation.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    ndarray of shape (m, d)
        A new array.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> step([[2.0]], [1], [[0.5]], [1.0], alpha=0.5).round(3)
    array([[0.769]])
    """
    samples, weights = _layers(X, W)
    alpha = _validate.positive_float(alpha, "alpha")
    limits = np.finfo(samples.dtype)
    if not float(limits.tiny) <= alpha <= float(limits.max):
        raise ValueError(
            f"alpha must be from {limits.tiny:.3g} to {limits.max:.3g} in {samples.dtype}, "
            f"the type of X and W, got {alpha!r}"
        )
    change = gradient(samples, y, weights, a, n_threads)
    with OwnArithmetic(), np.errstate(over="ignore", invalid="ignore"):
        return weights - samples.dtype.type(alpha) * change
