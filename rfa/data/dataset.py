"""Samples with labels and, if they are known, the clusters and the distribution behind them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _seeds, _validate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Distribution(Protocol):
    """The members that the distribution of a data set must have; XORClusters is one.

    A Dataset compares its arrays with them, files store them, and the theory's statements use them.
    Distributions are classes that name this one as their base.
    """

    @property
    def d(self) -> int: ...
    @property
    def means(self) -> Floats: ...
    @property
    def labels(self) -> Ints: ...
    @property
    def sigma(self) -> float | None: ...
    @property
    def eta(self) -> Any: ...
    @property
    def noise(self) -> Any: ...
    @property
    def law(self) -> Any: ...
    @property
    def balance(self) -> Any: ...
    def points(self, n: int, generator: np.random.Generator) -> tuple[Floats, Ints]: ...
    def noise_rate(self, X: ArrayLike) -> Floats: ...
    def to_dict(self) -> dict[str, Any]: ...


def _own(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy, so that a change of the caller's array has no effect."""
    result = array.copy()
    result.flags.writeable = False
    return result


class Dataset:
    """Samples with labels; read-only.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples; float32 stays float32, any other type becomes float64. An array of one of these two
        types is not copied, so do not change it while the data set is in use.
    y : array-like of shape (n,)
        Observed labels in {-1, +1}.
    y_clean : array-like of shape (n,), optional
        Clean labels in {-1, +1}. y_clean, cluster and means must be given together or not at all.
    cluster : array-like of int, shape (n,), optional
        The cluster of each sample, 0, ..., k-1. All samples of a cluster have one clean label.
    means : array-like of shape (k, d), optional
        Cluster means.
    eta : array-like of shape (n,), optional
        Probability that the label of each sample is flipped.
    distribution : XORClusters, optional
        The distribution that the samples were drawn from. The other arguments must agree with it.
    seed : int or SeedSequence, optional
        The seed that the samples were drawn with.
    split : str, optional
        The split of :meth:`XORClusters.sample`, "train" or "test".

    Attributes
    ----------
    X, y, y_clean, cluster, means, eta, distribution, seed, split
        The parameters. y, y_clean and cluster are int64; seed is a SeedSequence. A parameter that
        was not given is None.
    n, d : int
        Number of samples and dimension.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape, type or values, or two of them contradict each other.

    Examples
    --------
    >>> data = Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1])
    >>> data
    Dataset(n=2, d=2, float64, own data)
    >>> data.noisy
    Traceback (most recent call last):
    ValueError: not applicable: the data have no clean labels, so none are known to be noisy
    """

    X: NDArray[np.floating]
    y: Ints
    y_clean: Ints | None
    cluster: Ints | None
    means: Floats | None
    eta: Floats | None
    distribution: Distribution | None
    seed: np.random.SeedSequence | None
    split: str | None

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        y_clean: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        means: ArrayLike | None = None,
        eta: ArrayLike | None = None,
        distribution: Distribution | None = None,
        seed: int | np.random.SeedSequence | None = None,
        split: str | None = None,
    ) -> None:
        samples = _validate.samples(X)
        n, d = samples.shape
        known = {"y_clean": y_clean, "cluster": cluster, "means": means}
        missing = [name for name, value in known.items() if value is None]
        if missing and len(missing) < len(known):
            raise ValueError(
                f"{', '.join(known)} must be given together, but {missing[0]} is missing"
            )
        if not (split is None or isinstance(split, str)):
            raise TypeError(f"split must be a str or None, got {_validate.shown(split)}")
        self.__dict__.update(
            X=samples,
            y=_validate.labels(y, n),
            y_clean=None if y_clean is None else _validate.labels(y_clean, n, "y_clean"),
            cluster=None if cluster is None else _validate.groups(cluster, n, "cluster"),
            means=None
            if means is None
            else _own(_validate.samples(means, "means", d).astype(np.float64, copy=False)),
            eta=None if eta is None else _own(_validate.rates(eta, n, "eta")),
            distribution=distribution,
            seed=_seeds.known(seed),
            split=split,
        )
        if self.cluster is not None and self.means is not None:
            largest = int(self.cluster.max())
            if largest >= len(self.means):
                raise ValueError(
                    f"cluster must be below the number of means, {len(self.means)}, "
                    f"but has {largest}"
                )
            assert self.y_clean is not None
            for c in range(largest + 1):
                if len(np.unique(self.y_clean[self.cluster == c])) > 1:
                    raise ValueError(
                        f"y_clean must be the same label throughout a cluster, "
                        f"but cluster {c} has both"
                    )
        if distribution is not None:
            self._check_against(distribution)

    def _check_against(self, distribution: Distribution) -> None:
        """Refuse a distribution that these samples cannot have been drawn from."""
        _validate.instance(distribution, "distribution", Distribution, "a rfa.XORClusters or None")
        if distribution.d != self.d:
            raise ValueError(f"distribution has d={distribution.d}, but X has {self.d} columns")
        if self.means is not None and not np.array_equal(self.means, distribution.means):
            raise ValueError("means must be those of the distribution, but differ from them")
        if self.cluster is not None and self.y_clean is not None:
            wrong = self.y_clean != distribution.labels[self.cluster]
            if wrong.any():
                i = int(np.argmax(wrong))
                raise ValueError(
                    f"y_clean must be the distribution's label of each cluster, but y_clean[{i}] "
                    f"in cluster {self.cluster[i]} is the other label"
                )
        if self.eta is not None and not callable(distribution.eta):
            wrong = self.eta != distribution.eta
            if wrong.any():
                i = int(np.argmax(wrong))
                raise ValueError(
                    f"eta must be the distribution's {distribution.eta}, "
                    f"but eta[{i}] is {self.eta[i]}"
                )

    @classmethod
    def of(cls, **values: Any) -> Dataset:
        """A data set of all its attributes, for rfa's own use.

        They must be valid and not used elsewhere. Nothing is checked or copied.
        """
        result = cls.__new__(cls)
        result.__setstate__(values)
        return result

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Dataset is read-only: cannot set {name!r}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        self.__dict__.update(state)

    def __repr__(self) -> str:
        origin = "own data" if self.distribution is None else f"{self.split} of {self.distribution}"
        return f"Dataset(n={self.n}, d={self.d}, {self.X.dtype}, {origin})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.X.shape[0]

    @property
    def d(self) -> int:
        """Dimension."""
        return self.X.shape[1]

    @property
    def noisy(self) -> NDArray[np.bool_]:
        """Mask (n,) of the samples with a flipped label, the set N of Section 2.1."""
        if self.y_clean is None:
            raise ValueError(
                "not applicable: the data have no clean labels, so none are known to be noisy"
            )
        return self.y != self.y_clean

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Mask (n,) of the samples with their clean label, the set C of Section 2.1."""
        return ~self.noisy
