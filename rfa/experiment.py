"""Experiment: all parameters of a run in one record."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from rfa import _seeds, _validate
from rfa._forks import cached_property
from rfa.data.clusters import XORClusters, random_means
from rfa.data.dataset import Dataset
from rfa.data.laws import LAWS
from rfa.data.noise import NOISE_RULES
from rfa.network import Network
from rfa.setting import HasParameters, Parameters, default_omega_init, default_sigma
from rfa.training.loop import train
from rfa.training.recording import MAX_STEPS
from rfa.training.run import Run


def _balance_from_text(text: str) -> str | tuple[float, ...]:
    if text == "exact":
        return text
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "must be none, exact or four probabilities such as 0.1,0.2,0.3,0.4, "
            f"got {_validate.shown(text)}"
        ) from None


def _mu_from_text(text: str) -> Any:
    if text == "random":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(
            "must be none, random or two vectors in JSON such as [[0, 1], [1, 0]], "
            f"got {_validate.shown(text)}"
        ) from None


# The command line makes an option of each field: its help is the first sentence of the docstring
# on the field, and its value is read as the annotation says, or by a function "from_text" in the
# metadata of the field.
@dataclass(frozen=True, kw_only=True)
class Experiment(HasParameters):
    """All parameters of a run; frozen and JSON-able.

    Parameters
    ----------
    n : int
        Number of training samples.
    d : int
        Dimension of the samples, at least 2.
    m : int
        Number of neurons.
    alpha : float, default 0.05
        Step size.
    steps : int, optional
        Number of steps; None: the horizon T = 1 + 1/(4 alpha).
    sigma : float, optional
        Standard deviation of a cluster in each direction; None: 1/(5 sqrt(d)).
    omega_init : float, optional
        Standard deviation of the initial weights; None: 1/(4 sqrt(m d)).
    eta : float, default 0.15
        Noise rate, in [0, 1]: probability or fraction of flipped labels.
    noise : str, default "independent"
        Which labels are flipped: "independent", "exact", "farthest", "half-space", "boundary" or
        "one-cluster". :class:`rfa.XORClusters` describes these rules.
    law : str, default "gaussian"
        Law of a cluster: "gaussian", "laplace", "uniform", "ball", "logistic" or "exponential".
        :class:`rfa.XORClusters` describes these laws.
    balance : "exact", sequence of 4 floats, or None
        Sizes of the clusters: "exact" for equal ones, up to rounding, or the probabilities of the
        four clusters, such as 0.1,0.2,0.3,0.4; None: each has probability 1/4.
    mu : "random", array-like of shape (2, d), or None
        Cluster means mu1 and mu2: "random", drawn from the seed of the run, or an orthonormal pair
        such as [[0, 1], [1, 0]]; None: the first two unit vectors. Random means have the stream
        ``mu`` of the seed.
    n_test : int, default 0
        Number of test points, whose error is recorded.
    dtype : {"float64", "float32"}
        Type of the computation: "float64" or "float32".

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
    balance: str | tuple[float, ...] | None = field(
        default=None, metadata={"from_text": _balance_from_text}
    )
    mu: str | tuple[tuple[float, ...], ...] | None = field(
        default=None, metadata={"from_text": _mu_from_text}
    )
    n_test: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for name in (parameter.name for parameter in dataclasses.fields(self)):
            # A dtype may be a callable, such as numpy.float32: it is stored by its name.
            if name != "dtype" and callable(getattr(self, name)):
                raise TypeError(
                    f"{name} must be JSON-able, got a callable: use XORClusters and train"
                )
        values: dict[str, Any] = {
            "n": _validate.positive_int(self.n, "n"),
            "d": _validate.integer(self.d, "d", 2),
            "m": _validate.positive_int(self.m, "m"),
            "alpha": _validate.positive_float(self.alpha, "alpha"),
            "n_test": _validate.nonnegative_int(self.n_test, "n_test"),
            "dtype": _validate.dtype(self.dtype).name,
        }
        for name, known in (("law", LAWS), ("noise", NOISE_RULES)):
            value = getattr(self, name)
            if not (isinstance(value, str) and value in known):
                shown = _validate.shown(value)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown}")
        # The sizes are checked before the distribution allocates its means.
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
            shown = _validate.shown(self.mu)
            raise ValueError(f"mu must be None, 'random' or a pair of vectors, got {shown}")
        given_mu = None if isinstance(self.mu, str) else self.mu
        # The distribution checks its own parameters and converts them to plain types.
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
        """The distribution; in place of random means it has the first two unit vectors."""
        mu = None if isinstance(self.mu, str) else self.mu
        return XORClusters(self.d, self.sigma, self.eta, self.noise, self.law, mu, self.balance)

    def replace(self, **changes: Any) -> Experiment:
        """A copy of the experiment in which some parameters have other values.

        Parameters
        ----------
        **changes
            The new values, by the names of the parameters.

        Returns
        -------
        Experiment

        Raises
        ------
        ValueError, TypeError
            As when an experiment is made.

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
        """The experiment that :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            A JSON object of parameters; n, d and m must be among them.

        Returns
        -------
        Experiment

        Raises
        ------
        ValueError
            If the text is not such an object, lacks n, d or m, has a name that is not a parameter,
            or has a value out of range.
        TypeError
            If a value has the wrong type.

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
        names = {parameter.name for parameter in dataclasses.fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ValueError(f"text has unknown parameters {unknown}; known: {sorted(names)}")
        missing = sorted({"n", "d", "m"} - set(values))
        if missing:
            raise ValueError(f"text must have n, d and m, but has no {missing}")
        return cls(**values)

    def parameters(self) -> Parameters:
        """The parameters that the assumptions (A1)-(A7) name, with numbers in place of None.

        Returns
        -------
        namedtuple
            n, d, m, alpha, sigma, omega_init and eta.

        Examples
        --------
        >>> Experiment(n=200, d=4, m=50).parameters().sigma
        0.1
        """
        omega_init = self.omega_init
        if omega_init is None:
            omega_init = default_omega_init(self.m, self.d)
        sigma = default_sigma(self.d) if self.sigma is None else self.sigma
        return Parameters(self.n, self.d, self.m, self.alpha, sigma, omega_init, self.eta)

    def distribution(self, rng: _seeds.Seed = 0) -> XORClusters:
        """The distribution of the data.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The seed of the run; only mu="random" depends on it.

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
        """The training data (n samples) or the test data (n_test samples) that a seed gives.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The seed of the run.
        split : {"train", "test"}, default "train"
            Which of the two data sets.

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
        """The initial network (t = 0) that a seed gives.

        Parameters
        ----------
        rng : int, SeedSequence or None, default 0
            The seed of the run.

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
            The seed of the data and of the network; None draws a fresh one. The provenance of the
            run keeps it.
        **options
            Further arguments of :func:`rfa.train`: engine, record, snapshots, stop, n_threads,
            progress.

        Returns
        -------
        Run
            Bit for bit that of ``train(exp.network(rng), exp.sample(rng), alpha, steps, ...)``.

        Raises
        ------
        TypeError
            If rng is a Generator, which has no named streams.

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
