"""Samples with labels, and what is known of where they come from."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _seeds, _validate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@runtime_checkable
class Distribution(Protocol):
    """What a data set has to know of the distribution that it was drawn from.

    It is compared with the samples, stored with them and asked by the theory's statements.
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
    """A read-only copy, which does not follow the caller's array."""
    result = array.copy()
    result.flags.writeable = False
    return result


class Dataset:
    """Samples with labels; read-only.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples; float32 stays, anything else becomes float64. Not copied if it is of one of these
        types, so do not change it while the data set is in use.
    y : array-like of shape (n,)
        Observed labels in {-1, +1}.
    y_clean, cluster, means, eta, distribution, seed, split
        What is known of where the data come from: clean labels, number of the cluster, cluster
        means (k, d), probability that the label is flipped at each sample, and the XORClusters,
        SeedSequence (or int) and split of :meth:`XORClusters.sample`. None for data of one's own.
        y_clean, cluster and means go together, and all must agree with the distribution.

    Attributes
    ----------
    X, y, y_clean, cluster, means, eta, distribution, seed, split
        As above; y, y_clean and cluster are int64.
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
            raise ValueError(f"{', '.join(known)} go together, but {missing[0]} is missing")
        if not (split is None or isinstance(split, str)):
            raise TypeError(f"split must be text or None, got {_validate.shown(split)}")
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
                raise ValueError(f"cluster has {largest}, but there are {len(self.means)} means")
            assert self.y_clean is not None
            for c in range(largest + 1):
                if len(np.unique(self.y_clean[self.cluster == c])) > 1:
                    raise ValueError(f"y_clean must be one label in each cluster, not so in {c}")
        if distribution is not None:
            self._check_against(distribution)

    def _check_against(self, distribution: Distribution) -> None:
        """Refuse a distribution that cannot have left these samples."""
        _validate.instance(distribution, "distribution", Distribution, "a rfa.XORClusters or None")
        if distribution.d != self.d:
            raise ValueError(f"distribution has d={distribution.d}, X has {self.d} columns")
        if self.means is not None and not np.array_equal(self.means, distribution.means):
            raise ValueError("means must be those of the distribution, which has others")
        if self.cluster is not None and self.y_clean is not None:
            wrong = self.y_clean != distribution.labels[self.cluster]
            if wrong.any():
                i = int(np.argmax(wrong))
                raise ValueError(
                    f"y_clean must have the distribution's label of each cluster, but y_clean[{i}] "
                    f"in cluster {self.cluster[i]} has the other"
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
        """A data set of all its attributes: valid arrays that nobody else changes, not copied."""
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
        """Which labels are not the clean ones (n,): the set N of Section 2.1."""
        if self.y_clean is None:
            raise ValueError(
                "not applicable: the data have no clean labels, so none are known to be noisy"
            )
        return self.y != self.y_clean

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which labels are the clean ones (n,): the set C of Section 2.1."""
        return ~self.noisy
