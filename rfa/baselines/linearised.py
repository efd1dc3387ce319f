"""The linearisation of a network at W_0, trained as the network was: the empirical NTK.

f_lin(x; W) = f(x; W_0) + <gradient of f(x; W_0), W - W_0> = sum_j a_j A_j(x) <w_j, x>, where
A_j(x) = 1[<w_j^0, x> > 0] stays as it is at W_0. A step of gradient descent changes its values at
the samples by (alpha/n) K (g y), with the kernel K(x, x') = <x, x'> sum_j a_j^2 A_j(x) A_j(x').
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, _validate
from rfa.baselines.result import Baseline, Floats, evaluated, number_of_points, source
from rfa.losses import loss_weights
from rfa.setting import Horizon
from rfa.training.recording import MAX_STEPS
from rfa.training.run import Run

# The kernel matrix is held for up to this many samples: 128 MiB. With more, a step goes through W.
KERNEL_SAMPLES = 2**12

# Reals of a block of samples by neurons, or of samples by coordinates.
BLOCK_REALS = 2**22


def linearisation(
    run: Run,
    steps: int | None = None,
    *,
    points: int | None = None,
    rng: _seeds.Seed = None,
    confidence: float = 0.95,
) -> Baseline:
    """The linearisation of a run's network at W_0, trained with the run's data and step size.

    Parameters
    ----------
    run : Run
        A run on data with a distribution. Its initial network, data and alpha are used.
    steps : int, optional
        Number of steps; None: the theorem's horizon T = 1 + 1/(4 alpha).
    points : int, optional
        Number of fresh points for the error, at most 2^40; None: 2e7/d, between 2000 and 100000.
    rng : int, SeedSequence, Generator or None
        Seed, whose stream ``check`` is used, or a Generator to draw from.
    confidence : float, default 0.95
        Confidence of the interval, in (0, 1).

    Returns
    -------
    Baseline
        The function f_lin after the steps. Its ``least`` is None.

    Raises
    ------
    ValueError, TypeError
        If the data have no distribution, if the values overflow, or if an argument is out of range
        or of the wrong type.

    Notes
    -----
    f_lin(x; W) = f(x; W_0) + <gradient of f(x; W_0), W - W_0>: in place of the activations at W_t
    those at W_0 stay, so that features do not change. Full-batch gradient descent on the logistic
    loss of f_lin is kernel gradient descent with K(x, x') = <x, x'> sum_j a_j^2 1[<w_j^0, x> > 0]
    1[<w_j^0, x'> > 0], the empirical neural tangent kernel. It is computed in float64. For n up to
    4096 K is held, and costs O(n^2 (m + d)) once and O(n^2) a step; for more samples a step costs
    O(n m d), in blocks. The error costs O(points m d).

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("theorem").run(rng=0)
    >>> found = rfa.baselines.linearisation(run, rng=0, points=5000)
    >>> found.clean_wrong, found.noisy_fitted, found.clean_error < 0.01
    (0, 0, True)
    """
    _validate.instance(run, "run", Run, "a rfa.Run")
    source(run.data)
    steps = Horizon.of(run.alpha).T if steps is None else _validate.nonnegative_int(steps, "steps")
    if steps > MAX_STEPS:
        raise ValueError(f"steps must be at most 2^53, got {_validate.shown(steps)}")
    points = number_of_points(points, run.data.d)
    confidence = _validate.open_fraction(confidence, "confidence")
    generator = _seeds.generator(_seeds.root(rng), "check")
    tangent = Tangent(run)
    # values that overflow are found when they are counted
    with np.errstate(over="ignore", invalid="ignore"):
        W = tangent.trained(steps)
    name = f"linearisation after {steps} steps"
    return evaluated(name, lambda X: tangent.values(X, W), run.data, points, generator, confidence)


class Tangent:
    """The linear model of a network at W_0, on the samples of a run."""

    def __init__(self, run: Run) -> None:
        self.start = run.initial.W.astype(np.float64)
        self.a, self.alpha = run.initial.a, run.alpha
        self.X, self.y = run.data.X, run.data.y

    def blocks(self, n: int) -> Iterator[slice]:
        """Rows in pieces, such that a piece by neurons or by coordinates stays small."""
        rows = max(1, BLOCK_REALS // max(self.start.shape))
        return (slice(begin, begin + rows) for begin in range(0, n, rows))

    def active(self, X: NDArray[np.floating]) -> Floats:
        """A_j(x) (n, m) of some samples, as numbers."""
        return (X @ self.start.T > 0).astype(np.float64)

    def values(self, X: NDArray[np.floating], W: Floats) -> Floats:
        """f_lin (n,) at samples, sum_j a_j A_j(x) <w_j, x>."""
        parts = [np.zeros(0)]
        for block in self.blocks(len(X)):
            x = X[block].astype(np.float64)
            parts.append((self.active(x) * (x @ W.T)) @ self.a)
        return np.concatenate(parts)

    def weights(self, c: Floats) -> Floats:
        """W (m, d) once the steps have summed up to the coefficients c (n,) of the samples."""
        W = np.zeros_like(self.start)
        for block in self.blocks(len(self.X)):
            x = self.X[block].astype(np.float64)
            W += (self.active(x) * c[block, None]).T @ x
        return self.start + self.a[:, None] * W

    def kernel(self) -> Floats:
        """K (n, n) of the samples."""
        n = len(self.X)
        K = np.zeros((n, n))
        for rows in self.blocks(n):
            x = self.X[rows].astype(np.float64)
            weighted = self.active(x) * self.a**2
            for columns in self.blocks(n):
                z = self.X[columns].astype(np.float64)
                K[rows, columns] = weighted @ self.active(z).T
                K[rows, columns] *= x @ z.T
        return K

    def trained(self, steps: int) -> Floats:
        """W (m, d) after some steps."""
        n = len(self.y)
        c = np.zeros(n)
        first = f = self.values(self.X, self.start)
        K = self.kernel() if n <= KERNEL_SAMPLES and steps else None
        for _ in range(steps):
            c += self.alpha / n * loss_weights(self.y * f) * self.y
            f = self.values(self.X, self.weights(c)) if K is None else first + K @ c
        return self.weights(c)
