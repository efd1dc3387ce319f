"""The rules that choose which labels are flipped. The rule of Section 2.1 is "independent"."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Drawn(NamedTuple):
    """The samples from which a rule chooses.

    Attributes
    ----------
    X, z : ndarray of shape (n, d)
        The samples x, and z = x - mu, where mu is the mean of the cluster of x.
    cluster : ndarray of int64, shape (n,)
        The cluster of each sample, 0, ..., 3.
    mu : ndarray of shape (2, d)
        mu1 and mu2.
    rate : ndarray of shape (n,)
        The noise rate at each sample. It varies between samples only for the rule "independent".
    """

    X: Floats
    z: Floats
    cluster: Ints
    mu: Floats
    rate: Floats

    @property
    def eta(self) -> float:
        """The constant noise rate."""
        return float(self.rate[0])

    @property
    def k(self) -> int:
        """The number of labels to flip, round(eta n)."""
        return round(self.eta * len(self.X))


# A rule returns the indices of the labels to flip.
Rule = Callable[[Drawn, np.random.Generator], Ints]


def _independent(drawn: Drawn, rng: np.random.Generator) -> Ints:
    return np.flatnonzero(rng.random(len(drawn.X)) < drawn.rate)


def _exact(drawn: Drawn, rng: np.random.Generator) -> Ints:
    members = [np.flatnonzero(drawn.cluster == c) for c in range(4)]
    return np.concatenate([rng.permutation(who)[: round(drawn.eta * len(who))] for who in members])


def _farthest(drawn: Drawn, rng: np.random.Generator) -> Ints:
    return _smallest(-np.linalg.norm(drawn.z, axis=1), drawn.k)


def _half_space(drawn: Drawn, rng: np.random.Generator) -> Ints:
    return _smallest(-(drawn.z @ rng.standard_normal(drawn.z.shape[1])), drawn.k)


def _boundary(drawn: Drawn, rng: np.random.Generator) -> Ints:
    heights = np.abs(drawn.X @ drawn.mu.T)
    return _smallest(np.abs(heights[:, 0] - heights[:, 1]), drawn.k)


def _one_cluster(drawn: Drawn, rng: np.random.Generator) -> Ints:
    members = np.flatnonzero(drawn.cluster == 0)
    if drawn.k > len(members):
        warnings.warn(
            f"noise 'one-cluster' flips {len(members)} labels and not {drawn.k}, "
            f"because cluster 0 has only {len(members)} samples",
            stacklevel=4,
        )
    return rng.permutation(members)[: drawn.k]


def _smallest(values: Floats, k: int) -> Ints:
    """Indices of the k smallest values. Of equal values the one with the smaller index is first."""
    return np.argsort(values, kind="stable")[:k]


NOISE_RULES: dict[str, Rule] = {
    "independent": _independent,
    "exact": _exact,
    "farthest": _farthest,
    "boundary": _boundary,
    "half-space": _half_space,
    "one-cluster": _one_cluster,
}
