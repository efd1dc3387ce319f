"""Experiment: all parameters of a run in one record; the named presets."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfa import _seeds, _validate
from rfa._forks import cached_property
from rfa.data import Dataset, XORClusters, random_means
from rfa.network import Network
from rfa.run import Run
from rfa.training import MAX_STEPS, train


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All parameters of a run; frozen and JSON-able.

    Parameters
    ----------
    n, d, m : int
        Number of training samples, dimension (at least 2), number of neurons.
    alpha : float, default 0.05
        Step size.
    steps : int, optional
        Number of steps; None: the horizon T = 1 + 1/(4 alpha).
    sigma : float, optional
        See :class:`rfa.XORClusters`; None follows d.
    omega_init : float, optional
        See :meth:`rfa.Network.random`; None follows m and d.
    eta, noise, law, balance
        See :class:`rfa.XORClusters`; names and numbers only.
    mu : None, "random" or nested lists
        Cluster means: the first two unit vectors, random ones (stream ``mu`` of the run's seed), or
        an orthonormal pair.
    n_test : int, default 0
        Number of test points whose error is recorded.
    dtype : {"float64", "float32"}
        Type of the computation.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    TypeError
        If a parameter has the wrong type; callables are refused, since they are not JSON: use
        :class:`rfa.XORClusters` and :func:`rfa.train` for them.

    Examples
    --------
    >>> exp = Experiment(n=200, d=10, m=50)
    >>> exp.run(rng=0).t
    6
    >>> Experiment.from_json(exp.to_json()) == exp
    True
    """

    n: int
    d: int
    m: int
    alpha: float = 0.05
    steps: int | None = None
    sigma: float | None = None
    omega_init: float | None = None
    eta: float = 0.15
    noise: str = "independent"
    law: str = "gaussian"
    balance: str | tuple[float, ...] | None = None
    mu: str | tuple[tuple[float, ...], ...] | None = None
    n_test: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            # a type, such as numpy.float32, is callable too, and has a name
            if field.name != "dtype" and callable(getattr(self, field.name)):
                raise TypeError(
                    f"{field.name} must be JSON-able, got a callable: use XORClusters and train"
                )
        values: dict[str, Any] = {
            "n": _validate.positive_int(self.n, "n"),
            "d": _validate.integer(self.d, "d", 2),
            "m": _validate.positive_int(self.m, "m"),
            "alpha": _validate.positive_float(self.alpha, "alpha"),
            "n_test": _validate.nonnegative_int(self.n_test, "n_test"),
            "dtype": _validate.dtype(self.dtype).name,
        }
        # before the distribution allocates its means
        _validate.sizes(n=values["n"], d=values["d"])
        _validate.sizes(m=values["m"], d=values["d"])
        _validate.sizes(n_test=values["n_test"], d=values["d"])
        if self.steps is not None:
            values["steps"] = steps = _validate.nonnegative_int(self.steps, "steps")
            if steps > MAX_STEPS:
                raise ValueError(f"steps must be at most 2^53, got {_validate.shown(steps)}")
        if self.omega_init is not None:
            values["omega_init"] = _validate.nonnegative_float(self.omega_init, "omega_init")
        if isinstance(self.mu, str) and self.mu != "random":
            raise ValueError(f"mu must be None, 'random' or a pair of vectors, got {self.mu!r}")
        given_mu = None if isinstance(self.mu, str) else self.mu
        # the distribution checks its own parameters, and has them in plain types
        checked = self._distribution
        values |= {"eta": checked.eta, "balance": checked.balance}
        if self.sigma is not None:
            values["sigma"] = checked.sigma
        if given_mu is not None:
            values["mu"] = tuple(tuple(row) for row in checked.mu.tolist())
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @cached_property
    def _distribution(self) -> XORClusters:
        """The distribution, with the first two unit vectors if the means are random."""
        mu = None if isinstance(self.mu, str) else self.mu
        return XORClusters(self.d, self.sigma, self.eta, self.noise, self.law, mu, self.balance)

    def replace(self, **changes: Any) -> Experiment:
        """The same experiment with other values.

        Parameters
        ----------
        **changes
            Parameters by name.

        Returns
        -------
        Experiment

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50).replace(m=100).m
        100
        """
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The parameters as a JSON object.

        Returns
        -------
        str

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50).to_json()[:32]
        '{"n": 200, "d": 10, "m": 50, "al'
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        """The experiment of :meth:`to_json`.

        Parameters
        ----------
        text : str
            A JSON object of parameters.

        Returns
        -------
        Experiment

        Raises
        ------
        ValueError
            If the text is not such an object, or has a name that is not a parameter.

        Examples
        --------
        >>> Experiment.from_json('{"n": 200, "d": 10, "m": 50}').alpha
        0.05
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError, TypeError) as error:
            raise ValueError(f"text must be a JSON object of parameters: {error}") from None
        if not isinstance(values, dict):
            shown = _validate.shown(text)
            raise ValueError(f"text must be a JSON object of parameters, got {shown}")
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ValueError(f"text has unknown parameters {unknown}; known: {sorted(names)}")
        missing = sorted({"n", "d", "m"} - set(values))
        if missing:
            raise ValueError(f"text must have n, d and m, but has no {missing}")
        return cls(**values)

    def distribution(self, rng: _seeds.Seed = 0) -> XORClusters:
        """The distribution of the data.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The run's seed; it matters for mu="random" only.

        Returns
        -------
        XORClusters

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50, eta=0.1).distribution().eta
        0.1
        """
        origin = _seeds.sequence(rng)
        if self.mu != "random":
            return self._distribution
        return dataclasses.replace(self._distribution, mu=random_means(self.d, origin))

    def sample(self, rng: _seeds.Seed = 0, split: str = "train") -> Dataset:
        """The training data (n samples) or the test data (n_test samples) of a seed.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The run's seed.
        split : {"train", "test"}
            Which data.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            If there are no test data (n_test = 0).

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50).sample(rng=1).n
        200
        """
        _validate.choice(split, "split", "train", "test")
        n = self.n_test if split == "test" else self.n
        if n == 0:
            raise ValueError("n_test must be positive to sample test data, it is 0")
        origin = _seeds.sequence(rng)
        return self.distribution(origin).sample(n, origin, split, self.dtype)

    def network(self, rng: _seeds.Seed = 0) -> Network:
        """The network at t = 0 of a seed.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The run's seed.

        Returns
        -------
        Network

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50).network(rng=1)
        Network(m=50, d=10, float64)
        """
        return Network.random(self.m, self.d, self.omega_init, _seeds.sequence(rng))

    def run(self, rng: _seeds.Seed = 0, **options: Any) -> Run:
        """Draw the data and the network, and train.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The seed of everything; None draws fresh entropy and keeps it in the run's provenance.
        **options
            Further arguments of :func:`rfa.train`: engine, record, snapshots, stop, n_threads,
            progress.

        Returns
        -------
        Run
            With the bits of ``train(exp.network(rng), exp.sample(rng), alpha, steps, ...)``.

        Raises
        ------
        TypeError
            If rng is a Generator, which cannot be split by key.

        Examples
        --------
        >>> Experiment(n=200, d=10, m=50).run(rng=0, record=None).history.t
        array([6])
        """
        origin = _seeds.sequence(rng)
        test = self.sample(origin, "test") if self.n_test else None
        return train(
            self.network(origin), self.sample(origin), self.alpha, self.steps, test, **options
        )


# Figure 2's data: the journal version's second figure. 15% of the labels of each cluster flipped.
_FIGURE2 = Experiment(
    n=300,
    d=5000,
    m=400,
    alpha=0.1,
    steps=200_000,
    sigma=5000**-0.6,
    omega_init=0.1 / np.sqrt(400 * 5000),
    eta=0.15,
    noise="exact",
    balance="exact",
    n_test=6000,
    dtype="float32",
)

PRESETS: dict[str, Experiment] = {
    # Figure 1 of the paper
    "figure1": Experiment(n=5000, d=2, m=500, alpha=0.05, steps=3000),
    # the journal version's figure on overfitting, n below and above d; its run lasts 10^7 steps
    "figure2-high": _FIGURE2,
    "figure2-low": _FIGURE2.replace(
        n=5000, d=300, sigma=300**-0.6, omega_init=0.1 / np.sqrt(400 * 300)
    ),
    # small enough to try, and where Theorem 3.1's conclusion holds; (A1)-(A7) do not
    "theorem": Experiment(
        n=400, d=200, m=200, sigma=0.2 / np.sqrt(200), omega_init=0.01 / np.sqrt(200 * 200), eta=0.1
    ),
    # satisfies (A1)-(A7) at delta = 0.1 for C in [16, 16.67]
    "assumptions": Experiment(
        n=400,
        d=1200,
        m=200,
        alpha=0.125,
        sigma=0.06 / np.sqrt(1200),
        omega_init=0.0035 / np.sqrt(200 * 1200),
        eta=0.06,
    ),
    # fits all labels in the first step and generalizes later; 1/(4 alpha) = 62.5, so T = 63
    "grokking": Experiment(
        n=200,
        d=40_000,
        m=1000,
        alpha=4e-3,
        steps=63,
        sigma=1 / 40,
        omega_init=4e-6,
        eta=0.16,
        noise="exact",
        balance="exact",
        n_test=500,
    ),
}


def preset(name: str) -> Experiment:
    """A named experiment.

    Parameters
    ----------
    name : str
        "figure1": Figure 1 of the paper. "figure2-high", "figure2-low": overfitting with n below
        and above d (the journal version's figure). "theorem": Theorem 3.1's conclusion at a small
        size. "assumptions": satisfies (A1)-(A7). "grokking": fits first, generalizes later.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is no such preset.

    Examples
    --------
    >>> preset("figure1").steps
    3000
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"name must be one of {', '.join(PRESETS)}, got {_validate.shown(name)}")
    return PRESETS[name]
