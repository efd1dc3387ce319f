"""The two-layer ReLU network f(x; W) of Section 2.1."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfa import _files, _seeds, _validate
from rfa.kernels import arrays
from rfa.setting import default_omega_init, second_layer


class Network:
    """f(x; W) = sum_j a_j relu(<w_j, x>); read-only.

    Parameters
    ----------
    W : array-like of shape (m, d)
        First layer; float32 stays float32, any other type becomes float64.
    a : array-like of shape (m,), optional
        Second layer; None: +1/sqrt(m) for the first half of the neurons, -1/sqrt(m) for the second,
        and 0 for the last if m is odd.
    omega_init : float, optional
        Standard deviation of the entries of W, if they were drawn at random.
    seed : int or SeedSequence, optional
        The seed that W was drawn with.

    Attributes
    ----------
    W : ndarray of shape (m, d)
        First layer.
    a : ndarray of float64, shape (m,)
        Second layer.
    omega_init : float or None
        Standard deviation of the entries of W; None if W is not known to be drawn at random.
    seed : SeedSequence or None
        The seed that W was drawn with; None if it is not known.
    trained_steps : int
        Steps of training that led to W, in all runs together; 0 if none are known. A network with
        steps has omega_init and seed None, because its W was not drawn at random.
    m, d : int
        Number of neurons and dimension.

    Raises
    ------
    ValueError, TypeError
        If an array has the wrong shape, type or values.

    Examples
    --------
    >>> net = Network([[1.0, 0.0], [0.0, 1.0]])
    >>> net.a.round(3)
    array([ 0.707, -0.707])
    >>> net.predict([[2.0, 1.0], [1.0, 2.0], [-1.0, -1.0]])
    array([ 1, -1,  0])
    """

    W: NDArray[np.floating]
    a: NDArray[np.float64]
    omega_init: float | None
    seed: np.random.SeedSequence | None
    trained_steps: int = 0

    def __init__(
        self,
        W: ArrayLike,
        a: ArrayLike | None = None,
        *,
        omega_init: float | None = None,
        seed: int | np.random.SeedSequence | None = None,
    ) -> None:
        # copied: the caller may change the array later
        weights = _validate.weights(W).copy()
        second = second_layer(len(weights)) if a is None else a
        second = _validate.vector(second, len(weights), "a").copy()
        weights.flags.writeable = second.flags.writeable = False
        self.__dict__.update(
            W=weights,
            a=second,
            omega_init=(
                None
                if omega_init is None
                else _validate.nonnegative_float(omega_init, "omega_init")
            ),
            seed=_seeds.known(seed),
        )

    @classmethod
    def of(
        cls,
        W: NDArray[np.floating],
        a: NDArray[np.float64],
        omega_init: float | None,
        seed: np.random.SeedSequence | None,
        trained_steps: int = 0,
    ) -> Network:
        """A network of its attributes, for rfa's own use.

        They must be valid and not used elsewhere. Nothing is checked or copied.
        """
        result = cls.__new__(cls)
        W.flags.writeable = a.flags.writeable = False
        result.__dict__.update(
            W=W, a=a, omega_init=omega_init, seed=seed, trained_steps=trained_steps
        )
        return result

    def trained(self, W: NDArray[np.floating], steps: int) -> Network:
        """The network that some steps make of this one, for rfa's own use; W as in :meth:`of`."""
        if steps == 0:
            return Network.of(W, self.a, self.omega_init, self.seed, self.trained_steps)
        return Network.of(W, self.a, None, None, self.trained_steps + steps)

    @classmethod
    def random(
        cls, m: int = 500, d: int = 2, omega_init: float | None = None, rng: _seeds.Seed = 0
    ) -> Network:
        """A random first layer, entries N(0, omega_init^2), and the paper's second layer.

        Parameters
        ----------
        m : int, default 500
            Number of neurons.
        d : int, default 2
            Dimension.
        omega_init : float, optional
            Standard deviation, at least 0; None: 1/(4 sqrt(m d)), as in Figure 1.
        rng : int, SeedSequence, Generator or None, default 0
            Seed (stream ``init``), or where to draw from.

        Returns
        -------
        Network
            With W in float64.

        Raises
        ------
        ValueError, TypeError
            If an argument is out of range or of the wrong type.

        Examples
        --------
        >>> Network.random(m=5, d=3, rng=0)
        Network(m=5, d=3, float64)
        """
        m, d = _validate.positive_int(m, "m"), _validate.positive_int(d, "d")
        _validate.sizes(m=m, d=d)
        if omega_init is None:
            omega_init = default_omega_init(m, d)
        omega_init = _validate.nonnegative_float(omega_init, "omega_init")
        origin = _seeds.root(rng)
        W = _seeds.generator(origin, "init").standard_normal((m, d))
        with np.errstate(over="ignore"):
            W *= omega_init
        if not np.isfinite(W).all():
            raise ValueError(f"omega_init must be smaller: with {omega_init:.3g} W is not finite")
        seed = origin if isinstance(origin, np.random.SeedSequence) else None
        return cls.of(W, second_layer(m), omega_init, seed)

    @property
    def m(self) -> int:
        """Number of neurons."""
        return self.W.shape[0]

    @property
    def d(self) -> int:
        """Dimension."""
        return self.W.shape[1]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Network is read-only: cannot set {name!r}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["W"].flags.writeable = state["a"].flags.writeable = False
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return np.array_equal(self.W, other.W) and np.array_equal(self.a, other.a)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Network(m={self.m}, d={self.d}, {self.W.dtype})"

    def decision_function(self, X: ArrayLike, n_threads: int | None = None) -> NDArray[np.floating]:
        """f(x; W) at each sample.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples.
        n_threads : int, optional
            Number of threads.

        Returns
        -------
        ndarray of shape (n,)
            float32 if X and W both are, else float64.

        Examples
        --------
        >>> Network([[1.0, 0.0]], [2.0]).decision_function([[3.0, 1.0], [-3.0, 1.0]])
        array([6., 0.])
        """
        return arrays.forward(
            _validate.samples(X, n_features=self.d), self.W, self.a, n_threads=n_threads
        )

    def predict(self, X: ArrayLike, n_threads: int | None = None) -> NDArray[np.int64]:
        """sgn f(x; W): -1, +1, or, where f is 0, neither label but 0.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples.
        n_threads : int, optional
            Number of threads.

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        ValueError
            If f overflows, since its sign is then not reliable.

        Examples
        --------
        >>> Network([[1.0, 0.0]], [2.0]).predict([[3.0, 1.0], [-3.0, 1.0]])
        array([1, 0])
        """
        f = self.decision_function(X, n_threads)
        undefined = ~np.isfinite(f)
        if undefined.any():
            i = int(np.argmax(undefined))
            raise ValueError(f"X must be smaller: f(X[{i}]) overflows and is {f[i]}")
        return np.sign(f).astype(np.int64)

    def features(self, X: ArrayLike) -> NDArray[np.floating]:
        """The hidden layer relu(W x) at each sample, the feature map of Proposition 3.2.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples.

        Returns
        -------
        ndarray of shape (n, m)

        Raises
        ------
        ValueError
            If an inner product overflows.

        Examples
        --------
        >>> Network([[1.0, 0.0], [0.0, 1.0]]).features([[3.0, -1.0]])
        array([[3., 0.]])
        """
        with np.errstate(over="ignore", invalid="ignore"):
            H = _validate.samples(X, n_features=self.d) @ self.W.T
        if not np.isfinite(H).all():
            raise ValueError("X must be smaller: <w, x> overflows")
        return np.maximum(H, 0)

    def subnetwork(self, J: ArrayLike) -> Network:
        """The network f^J of the neurons in J, their second layer unchanged (Section 4.2).

        Parameters
        ----------
        J : array-like of int, or of bool of shape (m,)
            The neurons, at least one: their indices, or a mask.

        Returns
        -------
        Network

        Raises
        ------
        ValueError, TypeError
            If J is empty or not a set of neurons.

        Examples
        --------
        >>> Network([[1.0, 0.0], [0.0, 1.0]]).subnetwork([1]).a.round(3)
        array([-0.707])
        """
        chosen = _validate.indices(J, self.m, "J")
        if len(chosen) == 0:
            raise ValueError("J must have at least one neuron, got none")
        # a choice of random neurons is not random: omega_init and seed are not those of its W
        return Network.of(self.W[chosen], self.a[chosen], None, None, self.trained_steps)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that :func:`rfa.load` reads.

        Parameters
        ----------
        path : path-like
            The file, a NumPy ``.npz`` without pickled objects. No extension is appended to the
            name. An existing file is replaced only once the new one is complete.

        Examples
        --------
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Network([[1.0]], [1.0]).save(os.path.join(folder, "net.npz"))
        ...     os.listdir(folder)
        ['net.npz']
        """
        meta = {
            "kind": "network",
            "omega_init": self.omega_init,
            "seed": _seeds.describe(self.seed),
        }
        if self.trained_steps:
            meta["trained_steps"] = self.trained_steps
        _files.write_npz(path, {"W": self.W, "a": self.a}, meta)

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Network:
        """The network of a file's content; see :func:`rfa.load`.

        Parameters
        ----------
        arrays : dict
            W and a.
        meta : dict
            omega_init and seed and, of a trained network, trained_steps.

        Returns
        -------
        Network

        Raises
        ------
        ValueError, TypeError
            If no network can have been saved with this content.
        """
        _files.fields(meta, "meta", ["schema", "kind", "omega_init", "seed"], ["trained_steps"])
        seed = _seeds.restore(meta["seed"])
        start = cls(arrays["W"], arrays["a"], omega_init=meta["omega_init"], seed=seed)
        if "trained_steps" not in meta:
            return start
        steps = _validate.positive_int(meta["trained_steps"], "trained_steps")
        if meta["omega_init"] is not None or seed is not None:
            raise ValueError("trained_steps must not stand beside an omega_init or a seed")
        return start.trained(start.W, steps)
