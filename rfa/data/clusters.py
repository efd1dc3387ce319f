"""The distribution P of Section 2.1: four clusters, an XOR of labels, label noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rfa import _seeds, _validate
from rfa._forks import cached_property
from rfa.data.dataset import Dataset, Distribution
from rfa.data.laws import LAWS, Law, drawn
from rfa.data.noise import NOISE_RULES, Drawn
from rfa.setting import CLUSTER_LABELS, default_sigma

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class StoredCallable:
    """Stands for a user's function in a loaded file, which holds only the function's name.

    Parameters
    ----------
    name : str
        The function's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:
        """Raise ValueError: there is nothing to call."""
        raise ValueError(f"not applicable: the callable {self.name!r} was stored by its name only")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredCallable) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"StoredCallable({self.name!r})"


def _callable_name(function: Callable[..., Any]) -> str:
    if isinstance(function, StoredCallable):
        return function.name
    module = getattr(function, "__module__", type(function).__module__)
    return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"


@dataclass(frozen=True, eq=False, repr=False)
class XORClusters(Distribution):
    """Four clusters at +mu1, -mu1 (label +1) and +mu2, -mu2 (label -1), with noisy labels.

    Parameters
    ----------
    d : int, default 2
        Dimension, at least 2.
    sigma : float, optional
        Standard deviation of a cluster in each direction, at least 0; None: 1/(5 sqrt(d)), as in
        Figure 1.
    eta : float or callable, default 0.15
        Noise rate in [0, 1], or a function eta(X) of samples (n, d) that returns n rates.
    noise : str or callable, default "independent"
        The rule that chooses the labels to flip. Let z = x - mu, let n_c be the size of cluster c,
        and let k = round(eta n).

        - "independent": each label with probability eta(x).
        - "exact": round(eta n_c) random labels of each cluster c.
        - "farthest": the k samples with the largest norm(z).
        - "half-space": the k samples with the largest <z, v>, for one random v.
        - "boundary": the k samples with the smallest abs(abs<mu1,x> - abs<mu2,x>).
        - "one-cluster": k random labels of cluster 0. If it has fewer, all are flipped, with a
          warning.
        - A function (X, y_clean, cluster, k, rng) that returns k different indices.

        Of equal samples the one with the smaller index is flipped first. Halves are rounded to the
        even number. All rules but "independent" need a constant eta.
    law : str or callable, default "gaussian"
        Law of z / sigma, with mean 0 and covariance I: "gaussian", "laplace", "uniform" (in a
        cube), "ball" (uniform in a ball), "logistic" or "exponential" (not symmetric), all of them
        log-concave; or a function (rng, n, d) that returns n draws, an array (n, d).
    mu : array-like of shape (2, d), optional
        Orthonormal mu1, mu2; None: the first two unit vectors.
    balance : "exact", sequence of 4 floats, or None
        The sizes of the clusters. None: each sample's cluster is drawn uniformly. Four
        probabilities: it is drawn with these. "exact": the sizes are as equal as possible; if n is
        no multiple of 4, the first clusters are larger.

    Attributes
    ----------
    means : ndarray of shape (4, d)
        +mu1, -mu1, +mu2, -mu2.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Notes
    -----
    Section 2.1; the paper's cluster distributions are log-concave with covariance sigma^2 I.

    Examples
    --------
    >>> dist = XORClusters(d=3, sigma=0.1, eta=0.2)
    >>> data = dist.sample(n=100, rng=0)
    >>> data.X.shape, int(data.noisy.sum())
    ((100, 3), 18)
    """

    d: int = 2
    sigma: float | None = None
    eta: float | Callable[[NDArray[np.floating]], ArrayLike] = 0.15
    noise: str | Callable[..., ArrayLike] = "independent"
    law: str | Law = "gaussian"
    mu: Any = None
    balance: str | Sequence[float] | None = None

    def __post_init__(self) -> None:
        d = _validate.integer(self.d, "d", 2)
        _validate.sizes(means=4, d=d)
        sigma = default_sigma(d) if self.sigma is None else self.sigma
        eta = self.eta if callable(self.eta) else _validate.fraction(self.eta, "eta")
        _known(self.noise, "noise", NOISE_RULES)
        if callable(eta) and self.noise != "independent":
            raise ValueError(f"eta must be a constant for noise {self.noise!r}, got a function")
        _known(self.law, "law", LAWS)
        mu = np.eye(2, d) if self.mu is None else self.mu
        self._set(
            d=d,
            sigma=_validate.nonnegative_float(sigma, "sigma"),
            eta=eta,
            mu=_validate.orthonormal_pair(mu, d),
            balance=_balance(self.balance),
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def labels(self) -> Ints:
        """The clean label of each cluster (4,): +1, +1, -1, -1."""
        return CLUSTER_LABELS

    @cached_property
    def means(self) -> Floats:
        """The cluster means (4, d): +mu1, -mu1, +mu2, -mu2."""
        means = np.stack([self.mu[0], -self.mu[0], self.mu[1], -self.mu[1]])
        means.flags.writeable = False
        return means

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, XORClusters):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            if name == "mu"
            else getattr(self, name) == getattr(other, name)
            for name in self.__dataclass_fields__
        )

    def __hash__(self) -> int:
        # without mu: 0.0 and -0.0 are equal, but their bytes are not
        return hash((self.d, self.sigma, self.noise, self.law))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["mu"].flags.writeable = False
        self.__dict__.update(state)

    def __repr__(self) -> str:
        mu = "e1, e2" if np.array_equal(self.mu, np.eye(2, self.d)) else "given"
        return (
            f"XORClusters(d={self.d}, sigma={self.sigma:.6g}, eta={self.eta}, "
            f"noise={self.noise!r}, law={self.law!r}, mu={mu}, balance={self.balance})"
        )

    def noise_rate(self, X: ArrayLike) -> Floats:
        """The probability eta(x) that the label of a sample is flipped.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples.

        Returns
        -------
        ndarray of shape (n,)
            The rate at each sample. A rule that flips a fixed number of labels has a constant rate.

        Raises
        ------
        ValueError
            If eta is a function and does not return n rates in [0, 1].

        Examples
        --------
        >>> XORClusters(eta=0.1).noise_rate([[1.0, 0.0], [0.0, 1.0]])
        array([0.1, 0.1])
        """
        samples = _validate.samples(X, n_features=self.d)
        if not callable(self.eta):
            return np.full(len(samples), self.eta)
        return _validate.rates(self.eta(samples), len(samples), "eta(X)")

    def points(self, n: int, generator: np.random.Generator) -> tuple[Floats, Ints]:
        """Draw n samples and their clean labels from a generator.

        Parameters
        ----------
        n : int
            Number of samples.
        generator : numpy.random.Generator
            The generator.

        Returns
        -------
        X : ndarray of float64, shape (n, d)
            Samples.
        y_clean : ndarray of int64, shape (n,)
            Clean labels.

        Examples
        --------
        >>> import numpy as np
        >>> X, y_clean = XORClusters(sigma=0.0).points(3, np.random.default_rng(0))
        >>> bool((y_clean == np.abs(X[:, 0]) - np.abs(X[:, 1])).all())
        True
        """
        n = _validate.positive_int(n, "n")
        _validate.sizes(n=n, d=self.d)
        _validate.instance(generator, "generator", np.random.Generator, "a numpy Generator")
        cluster, z = self._clusters(n, generator)
        z += self.means[cluster]
        return z, self.labels[cluster]

    def _clusters(self, n: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """The cluster of each sample, and z = x - mu."""
        if self.balance == "exact":
            cluster = rng.permutation(_even(n))
        elif self.balance is None:
            cluster = rng.integers(0, 4, n)
        else:
            cluster = rng.choice(4, size=n, p=np.array(self.balance, dtype=np.float64))
        assert self.sigma is not None, "None is resolved at construction"
        if callable(self.law):
            z = drawn(self.law, rng, n, self.d)
        else:
            z = LAWS[self.law](rng, n, self.d)
        with np.errstate(over="ignore"):
            z *= self.sigma
        if not np.isfinite(z).all():
            raise ValueError(f"sigma must be smaller: with {self.sigma:.3g} samples are not finite")
        return cluster, z

    def sample(
        self, n: int = 5000, rng: _seeds.Seed = 0, split: str = "train", dtype: DTypeLike = float
    ) -> Dataset:
        """Draw a data set.

        Parameters
        ----------
        n : int, default 5000
            Number of samples.
        rng : int, SeedSequence, Generator or None, default 0
            Seed. The split "train" uses its streams ``data`` and ``noise``, the split "test" its
            stream ``test``. A Generator is drawn from directly. None takes fresh entropy.
        split : {"train", "test"}
            The streams to use. Training and test data with the same seed are independent.
        dtype : {float64, float32}
            Type of X. Samples are drawn in float64 and then rounded, so a seed gives the same
            samples in both types, up to rounding.

        Returns
        -------
        Dataset
            The samples, their observed and clean labels and clusters.

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range or of the wrong type.

        Examples
        --------
        >>> XORClusters(d=2).sample(n=8, rng=0, split="test").y
        array([ 1, -1,  1,  1,  1, -1, -1, -1])
        """
        n = _validate.positive_int(n, "n")
        _validate.sizes(n=n, d=self.d)
        real = _validate.dtype(dtype)
        _validate.choice(split, "split", "train", "test")
        origin = _seeds.root(rng)
        draws = _seeds.generator(origin, "data" if split == "train" else "test")
        flips = _seeds.generator(origin, "noise") if split == "train" else draws
        cluster, z = self._clusters(n, draws)
        X = self.means[cluster]
        X += z
        y_clean = self.labels[cluster]
        # a user's noise rule gets these arrays, and must not change them
        for shown in (X, y_clean, cluster):
            shown.flags.writeable = False
        rate = self.noise_rate(X) if callable(self.eta) else np.full(n, self.eta)
        y = y_clean.copy()
        y[self._flipped(X, z, y_clean, cluster, rate, flips)] *= -1
        if real != X.dtype:
            with np.errstate(over="ignore"):
                X = X.astype(real)
            if not np.isfinite(X).all():
                raise ValueError(f"sigma must be smaller: with {self.sigma:.3g} X is beyond {real}")
        return Dataset.of(
            X=X,
            y=y,
            y_clean=y_clean,
            cluster=cluster,
            means=self.means,
            eta=rate,
            distribution=self,
            seed=origin if isinstance(origin, np.random.SeedSequence) else None,
            split=split,
        )

    def _flipped(
        self,
        X: Floats,
        z: Floats,
        y_clean: Ints,
        cluster: Ints,
        rate: Floats,
        rng: np.random.Generator,
    ) -> Ints:
        """Indices of the labels to flip."""
        drawn = Drawn(X, z, cluster, self.mu, rate)
        if isinstance(self.noise, str):
            return NOISE_RULES[self.noise](drawn, rng)
        n, k = len(X), drawn.k
        chosen = np.asarray(self.noise(X, y_clean, cluster, k, rng))
        indices = _validate.indices(chosen, n, "noise(...)")
        if len(indices) != k or len(np.unique(indices)) != k:
            raise ValueError(f"noise must return {k} different indices, got {len(indices)}")
        return indices

    def to_dict(self) -> dict[str, Any]:
        """The parameters as values that JSON can express; only the name of a function is kept.

        Returns
        -------
        dict
            The argument of :meth:`from_dict`.

        Examples
        --------
        >>> XORClusters.from_dict(XORClusters(d=3).to_dict()) == XORClusters(d=3)
        True
        """
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["mu"] = self.mu.tolist()
        if self.balance is not None and self.balance != "exact":
            values["balance"] = list(self.balance)
        return {
            name: {"callable": _callable_name(value)} if callable(value) else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> XORClusters:
        """The distribution of a dict that :meth:`to_dict` returned.

        A function is not in the dict, only its name. Its place is taken by a callable that raises
        ValueError.

        Parameters
        ----------
        values : dict
            Parameters by name.

        Returns
        -------
        XORClusters

        Raises
        ------
        ValueError, TypeError
            If values is not a dict of valid parameters.

        Examples
        --------
        >>> dist = XORClusters(eta=lambda X: 0.1 + 0 * X[:, 0])
        >>> XORClusters.from_dict(dist.to_dict()).sample(n=5)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: not applicable: the callable 'rfa...<lambda>' was stored by its name only
        """
        _validate.instance(values, "values", dict, "a dict of parameters")
        restored: dict[str, Any] = {}
        for name, value in values.items():
            if name not in cls.__dataclass_fields__:
                listed = ", ".join(cls.__dataclass_fields__)
                raise ValueError(
                    f"values has {_validate.shown(name)}, which is no parameter: {listed}"
                )
            restored[name] = value
            if isinstance(value, dict):
                if not isinstance(value.get("callable"), str) or len(value) > 1:
                    raise ValueError(
                        f"values[{name!r}] must be a value or {{'callable': its name}}, "
                        f"got {_validate.shown(value)}"
                    )
                restored[name] = StoredCallable(value["callable"])
        return cls(**restored)


def _known(value: Any, name: str, names: Iterable[str]) -> None:
    """Refuse a value that is neither callable nor one of the names."""
    if not callable(value) and not (isinstance(value, str) and value in names):
        listed = ", ".join(names)
        raise ValueError(
            f"{name} must be callable or one of {listed}, got {_validate.shown(value)}"
        )


def _balance(balance: str | Sequence[float] | None) -> str | tuple[float, ...] | None:
    if balance is None or (isinstance(balance, str) and balance == "exact"):
        return balance
    if isinstance(balance, str):
        raise ValueError(f"balance must be None, 'exact' or 4 probabilities, got {balance!r}")
    weights = _validate.vector(balance, 4, "balance")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-9:
        raise ValueError(f"balance must be 4 probabilities that sum to 1, got {weights.tolist()}")
    # not divided by their sum: doing so again after JSON could change the last bit
    return tuple(weights.tolist())


def _even(n: int) -> Ints:
    """The clusters of n samples in order, as equal in size as possible, the first ones larger."""
    return np.repeat(np.arange(4), [(n + 3 - c) // 4 for c in range(4)])


def random_means(d: int, rng: _seeds.Seed = 0) -> Floats:
    """A uniformly random orthonormal pair mu1, mu2.

    Parameters
    ----------
    d : int
        Dimension, at least 2.
    rng : int, SeedSequence, Generator or None, default 0
        Seed, whose stream ``mu`` is used, or a Generator to draw from.

    Returns
    -------
    ndarray of shape (2, d)
        For ``XORClusters(mu=...)``.

    Raises
    ------
    ValueError, TypeError
        If d is below 2 or rng is not a seed.

    Examples
    --------
    >>> mu = random_means(5, rng=0)
    >>> bool(np.allclose(mu @ mu.T, np.eye(2)))
    True
    """
    d = _validate.integer(d, "d", 2)
    _validate.sizes(means=4, d=d)
    draws = _seeds.generator(_seeds.root(rng), "mu").standard_normal((d, 2))
    q, r = np.linalg.qr(draws)
    # QR leaves the signs of Q's columns open: with R's diagonal positive, Q is uniform
    return np.ascontiguousarray((q * np.sign(np.diag(r))).T)
