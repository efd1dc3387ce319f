"""What the statements read of a run: each quantity once, and in words what a run lacks.

Everything over time comes from the history of the training pass. Dense evaluations are made at
t = 0 and T (and at the last step beyond T) only, in blocks of samples, never n by m at once.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, _validate
from rfa._forks import cached_property
from rfa.data.clusters import StoredCallable
from rfa.setting import (
    CLUSTER_LABELS,
    OPPOSITE,
    OTHER,
    Horizon,
    Parameters,
    second_layer,
)
from rfa.theory import laws
from rfa.theory.assumptions import Audit, audit_parameters
from rfa.theory.constants import C2_of, above_one, largest_C1, probability
from rfa.theory.terms import Terms
from rfa.training.run import Run

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Reals of a block of pre-activations.
BLOCK_REALS = 2**21

# The largest number of fresh points for the mean of a function eta(x), and of their coordinates.
RATE_POINTS, RATE_REALS = 200_000, 10**8

E2 = math.exp(-2)


class Uses(TypedDict, total=False):
    """What a statement uses of a run: the arguments of :meth:`Evidence.lacks`."""

    clusters: bool
    width: bool
    omega: bool
    rate: bool
    horizon: bool
    last: int
    steps: Iterable[int]
    weights: Iterable[int]


class Dense(NamedTuple):
    """f of every sample at one step, and f of the neurons of J alone."""

    f: Floats
    f_J: Floats


class Rate(NamedTuple):
    """The noise rate E eta(x).

    Attributes
    ----------
    value : float or None
        The rate; None if it is not known.
    points : int
        The number of fresh points over which it is a mean, if eta is a function; otherwise 0.
    why : str
        Why it is not known.
    """

    value: float | None
    points: int
    why: str


class Evidence:
    """A run as the statements see it. Lazily computed; holds no array larger than n or m d."""

    def __init__(self, run: Run) -> None:
        # a weak reference: this is kept under the run as its key, and must not keep the run alive
        self._run = weakref.ref(run)
        self.n, self.d = run.data.n, run.data.d
        self.m, self.alpha, self.steps = run.network.m, run.alpha, run.t
        self.T, self.K, self.rounded = Horizon.of(run.alpha)
        # constants that rest on alpha K = 1/4 are scaled with r where K was rounded down
        self.r = 4 * run.alpha * self.K if self.rounded else 1.0
        self.a = run.network.a
        self.paper_a = np.allclose(self.a, second_layer(self.m), rtol=1e-6, atol=0)
        self.chosen: dict[float, Bools] = {}
        self.outputs: dict[int, Floats] = {}
        self.evaluated: dict[tuple[int, float], Dense] = {}

    @property
    def run(self) -> Run:
        """The run."""
        run = self._run()
        assert run is not None, "the caller holds the run"
        return run

    # ------------------------------------------------------------------ what may be missing

    def lacks(
        self,
        *,
        clusters: bool = True,
        width: bool = False,
        omega: bool = False,
        rate: bool = False,
        horizon: bool = False,
        last: int = 0,
        steps: Iterable[int] = (),
        weights: Iterable[int] = (),
    ) -> str:
        """Why a statement is not applicable; "" if it is applicable.

        A statement may need clusters, their width sigma, a start drawn at random with a known
        omega_init, the noise rate eta, a horizon of at least one step (K = 1/(4 alpha) >= 1), a run
        up to a last step, records of steps, and the weights of steps.
        """
        data = self.run.data
        if clusters and (data.means is None or data.cluster is None):
            return "the data have no clusters"
        if clusters and not self.is_xor:
            return "the clusters are not those of +-mu1 (label +1) and +-mu2 (label -1)"
        if width and self.sigma is None:
            return "the data have no distribution"
        if rate and self.eta is None:
            return self.rate.why
        if omega and self.omega is None:
            return self._not_random()
        if horizon and self.K < 1:
            return f"alpha = {self.alpha:g} is above 1/4, so that 1/(4 alpha) is below 1"
        if last > self.steps:
            return f"needs step {last}, the run has {self.steps}"
        # only the first few: at a tiny alpha memory may not hold all of them
        missing = list(itertools.islice((t for t in steps if t not in self.recorded), 6))
        if missing:
            listed = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            return f"step {listed} was not recorded"
        for t in weights:
            if t not in self.kept:
                return f"W of step {t} was not kept in a snapshot"
        return ""

    def _not_random(self) -> str:
        steps = self.run.initial.trained_steps
        if steps:
            return f"the network was not drawn at random: it was trained for {steps} steps before"
        return "the network is not known to be drawn at random: its omega_init is not known"

    @cached_property
    def recorded(self) -> dict[int, int]:
        """Recorded step -> row of the history."""
        return {int(t): row for row, t in enumerate(self.run.history.t)}

    @cached_property
    def is_xor(self) -> bool:
        """Whether the clusters are the four of the paper, with orthonormal mu1 and mu2."""
        data = self.run.data
        if data.means is None or data.cluster is None or data.y_clean is None:
            return False
        M = data.means
        if len(M) != 4 or not np.allclose(M[[1, 3]], -M[[0, 2]], atol=1e-6):
            return False
        orthonormal = np.allclose(M[[0, 2]] @ M[[0, 2]].T, np.eye(2), atol=1e-6)
        return orthonormal and bool((CLUSTER_LABELS[data.cluster] == data.y_clean).all())

    # ------------------------------------------------------------------------- parameters

    @property
    def sigma(self) -> float | None:
        """Width of the clusters."""
        distribution = self.run.data.distribution
        return None if distribution is None else distribution.sigma

    @cached_property
    def rate(self) -> Rate:
        """The noise rate, E eta(x), and how it is known."""
        distribution = self.run.data.distribution
        if distribution is None:
            return Rate(None, 0, "the data have no distribution")
        if not callable(distribution.eta):
            return Rate(float(distribution.eta), 0, "")
        if isinstance(distribution.eta, StoredCallable):
            name = distribution.eta.name
            return Rate(
                None, 0, f"the noise rate is not known: {name!r} was stored by its name only"
            )
        # always the same points: the rate is a parameter, alike in all trials of a study
        generator = _seeds.generator(np.random.SeedSequence(0), "rate")
        most = max(2, min(RATE_POINTS, RATE_REALS // self.d))
        total, points = 0.0, 0
        try:
            while points < most:
                n = min(most - points, max(1, BLOCK_REALS // self.d))
                X, _ = distribution.points(n, generator)
                total, points = total + float(distribution.noise_rate(X).sum()), points + n
        except Exception as error:  # of the user's functions
            said = str(error).split("\n")[0]
            return Rate(None, 0, f"the noise rate is not known: {type(error).__name__}: {said}")
        return Rate(total / points, points, "")

    @property
    def eta(self) -> float | None:
        """The noise rate; None if it is not known."""
        return self.rate.value

    @property
    def omega(self) -> float | None:
        """Width of the initialisation."""
        return self.run.initial.omega_init

    @property
    def spread(self) -> float:
        """Sigma sqrt(d)."""
        assert self.sigma is not None, "lacks(width=True) was asked"
        return self.sigma * math.sqrt(self.d)

    @property
    def start(self) -> float:
        """Omega_init sqrt(m d)."""
        assert self.omega is not None, "lacks(omega=True) was asked"
        return self.omega * math.sqrt(self.m * self.d)

    def terms(self, delta: float, C0: float, rng: _seeds.Seed) -> Terms:
        """The terms of a call; without an rng the run's seed takes its place."""
        C1 = math.nan if self.sigma is None else largest_C1(self.spread, self.n, delta)
        if rng is None:
            data = self.run.data
            rng = data.seed if data.seed is not None else self.run.initial.seed
        return Terms(delta, C0, C1, C2_of(C0), self.T, rng)

    def audit(self, delta: float, C0: float) -> Audit | None:
        """The assumptions (A1)-(A7) on the parameters of this run, if they are known."""
        distribution = self.run.data.distribution
        if distribution is None or self.omega is None or self.eta is None:
            return None
        point = Parameters(
            self.n, self.d, self.m, self.alpha, distribution.sigma or 0.0, self.omega, self.eta
        )
        return audit_parameters(
            point,
            delta,
            C0,
            noise=distribution.noise if isinstance(distribution.noise, str) else "a function",
            law=distribution.law if isinstance(distribution.law, str) else "a function",
            balance=distribution.balance,
        )

    @cached_property
    def law_defects(self) -> list[str]:
        """Why the user's law cannot have mean 0 and covariance I, by a sample; empty if it can."""
        distribution = self.run.data.distribution
        assert distribution is not None and callable(distribution.law), "a law of the user"
        if isinstance(distribution.law, StoredCallable):
            return [f"the law cannot be tested: a file has only its name, {distribution.law.name}"]
        # not the seed of the call: what other statements draw must not depend on this
        seeds = (self.run.data.seed, self.run.initial.seed, np.random.SeedSequence(0))
        seed = next(known for known in seeds if known is not None)
        try:
            return laws.defects(distribution.law, self.d, _seeds.generator(seed, "law"))
        except Exception as error:  # of the user's function
            said = str(error).split("\n")[0]
            return [f"the law cannot be tested: {type(error).__name__}: {said}"]

    # ------------------------------------------------------------------------- samples

    @cached_property
    def M(self) -> Floats:
        """The means (4, d)."""
        assert self.run.data.means is not None, "lacks(clusters=True) was asked"
        return self.run.data.means

    @cached_property
    def cluster(self) -> NDArray[np.int64]:
        """Number of the cluster of each sample."""
        assert self.run.data.cluster is not None, "lacks(clusters=True) was asked"
        return self.run.data.cluster

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Samples (8,) in group 2c (clean) and 2c+1 (noisy) of cluster c."""
        return np.bincount(2 * self.cluster + self.run.data.noisy, minlength=8)

    @cached_property
    def n_noisy(self) -> int:
        """size(N)."""
        return int(self.run.data.noisy.sum())

    def blocks(self, width: int) -> Iterable[slice]:
        """The samples in pieces, so that a matrix (samples of a piece, width) stays small."""
        rows = max(1, BLOCK_REALS // width)
        return (slice(begin, begin + rows) for begin in range(0, self.n, rows))

    @cached_property
    def norm_x(self) -> Floats:
        """norm(x_i)."""
        X = self.run.data.X
        return np.concatenate(
            [np.linalg.norm(X[block].astype(np.float64), axis=1) for block in self.blocks(self.d)]
        )

    @cached_property
    def own_and_other(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Per sample: <x, mu_c>, abs<x, mu_other>, norm(x - <x, mu_c> mu_c), norm(x - mu_c)^2."""
        parts = []
        for block in self.blocks(self.d):
            c = self.cluster[block]
            z = self.run.data.X[block].astype(np.float64) - self.M[c]
            along = np.einsum("ij,ij->i", z, self.M[c])
            square = np.einsum("ij,ij->i", z, z)
            other = np.abs(np.einsum("ij,ij->i", z, self.M[OTHER[c]]))
            rest = np.sqrt(np.maximum(square - along**2, 0))
            # in the plane the rest is the other direction: no cancellation
            parts.append((1 + along, other, other if self.d == 2 else rest, square))
        u, v, rest, square = (np.concatenate(part) for part in zip(*parts, strict=True))
        return u, v, rest, square

    # ------------------------------------------------------------------------- neurons

    def rows(self, name: str, steps: Iterable[int]) -> NDArray[Any]:
        """Entries of the history at recorded steps."""
        return self.run.history[name][[self.recorded[t] for t in steps]]

    def projection(self, steps: Iterable[int]) -> Floats:
        """<w_j^t, mu> (steps, m, 4)."""
        return self.rows("projection", steps)

    def norms(self, steps: Iterable[int]) -> Floats:
        """norm(w_j^t) (steps, m)."""
        return self.rows("norm", steps)

    def cosine(self, steps: Iterable[int]) -> Floats:
        """<w_j^t, mu>/norm(w_j^t) (steps, m, 4); NaN for a neuron that is zero."""
        steps = list(steps)
        norm = self.norms(steps)[:, :, None]
        projection = self.projection(steps)
        return np.divide(projection, norm, out=np.full(projection.shape, np.nan), where=norm > 0)

    def J(self, C0: float) -> Bools:
        """J_mu (m, 4) of Lemma 4.2, fixed at t = 0."""
        if C0 not in self.chosen:
            right = np.sign(self.a)[:, None] == CLUSTER_LABELS
            self.chosen[C0] = self._above_threshold(C0) & right
        return self.chosen[C0]

    def _above_threshold(self, C0: float) -> Bools:
        """cos(w_j^0, mu) >= 1/(3 C0 sqrt d) (m, 4).

        The NaN of a neuron that is not zero counts as true, so that statements about it fail.
        """
        apart = self.cosine([0])[0] < 1 / (3 * C0 * math.sqrt(self.d))
        return ~apart & (self.norms([0])[0] != 0)[:, None]

    def pairs(self, C0: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Neuron and mean of every member of a J_mu."""
        j, c = np.nonzero(self.J(C0))
        return j, c

    def correlated(self, C0: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Neuron and mean of every pair with cos >= 1/(3 C0 sqrt d) at t = 0, any sign of a_j."""
        j, c = np.nonzero(self._above_threshold(C0))
        return j, c

    def aligned(self, steps: Iterable[int], C0: float) -> Bools:
        """Condition 4.7 (steps, pairs): active on all of I_mu, and on none of I_-mu."""
        j, c = self.pairs(C0)
        active = self.rows("active", steps)
        own = active[:, j, 2 * c] + active[:, j, 2 * c + 1]
        against = active[:, j, 2 * OPPOSITE[c]] + active[:, j, 2 * OPPOSITE[c] + 1]
        size = self.sizes[2 * c] + self.sizes[2 * c + 1]
        return (own == size) & (against == 0)

    def sideways(self, steps: Iterable[int], C0: float) -> Floats:
        """<w_j^t, mu_other>/(alpha abs(a_j)) of each pair (steps, pairs)."""
        j, c = self.pairs(C0)
        return self.projection(steps)[:, j, OTHER[c]] / (self.alpha * np.abs(self.a[j]))

    def reach(self, t: int, C0: float) -> tuple[Floats, Floats]:
        """For each pair the least <w_j, x>/norm(w_j) on I_mu, and the largest on I_-mu; t <= T."""
        j, c = self.pairs(C0)
        row = self.recorded[t]
        low, high = self.run.history.h_low[row], self.run.history.h_high[row]
        norm = self.run.history.norm[row][j]
        own = np.minimum(low[j, 2 * c], low[j, 2 * c + 1])
        against = np.maximum(high[j, 2 * OPPOSITE[c]], high[j, 2 * OPPOSITE[c] + 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return own / norm, against / norm

    # ------------------------------------------------------------------------- dense evaluations

    @property
    def kept(self) -> dict[int, NDArray[np.floating]]:
        """W by step, at 0, the last one and those of the snapshots."""
        run = self.run
        return {**run.snapshots, run.t: run.network.W, 0: run.initial.W}

    def W(self, t: int, neurons: slice = slice(None)) -> Floats:
        """W_t (m, d), or some of its rows, at a step whose W was kept, in float64."""
        return self.kept[t][neurons].astype(np.float64, copy=False)

    def moved(self, t: int) -> Floats:
        """norm(w_j^t - w_j^0) of each neuron, at a step whose W was kept."""
        size = max(1, BLOCK_REALS // self.d)
        pieces = [slice(j, j + size) for j in range(0, self.m, size)]
        return np.concatenate(
            [np.linalg.norm(self.W(t, some) - self.W(0, some), axis=1) for some in pieces]
        )

    def output(self, t: int) -> Floats:
        """f at every sample, at t = 0, T or the last step. O(n m d)."""
        if t not in self.outputs:
            self.outputs[t] = self._outputs(t, self.a)[0]
        return self.outputs[t]

    def _outputs(self, t: int, *seconds: Floats) -> list[Floats]:
        """The output with each second layer. A product for each: no bit depends on other layers."""
        W, parts = self.W(t), []
        for block in self.blocks(self.m):
            features = np.maximum(self.run.data.X[block] @ W.T, 0)
            parts.append([features @ second for second in seconds])
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def dense(self, t: int, C0: float) -> Dense:
        """f and f^J at every sample, at t = 0, T or the last step. O(n m d)."""
        if (t, C0) not in self.evaluated:
            a_J = np.where(self.J(C0).any(axis=1), self.a, 0.0)
            f, f_J = self._outputs(t, self.a, a_J)
            self.outputs.setdefault(t, f)
            self.evaluated[t, C0] = Dense(f, f_J)
        return self.evaluated[t, C0]


_kept: weakref.WeakKeyDictionary[Run, Evidence] = weakref.WeakKeyDictionary()


def evidence(run: Run, delta: float, C0: float, rng: _seeds.Seed = None) -> tuple[Evidence, Terms]:
    """The evidence of a run, computed once, and the terms of a call; all arguments are checked."""
    _validate.instance(run, "run", Run, "a rfa.Run")
    delta, C0 = probability(delta), above_one(C0)
    if rng is not None:
        _seeds.root(rng)
    if run not in _kept:
        _kept[run] = Evidence(run)
    found = _kept[run]
    return found, found.terms(delta, C0, rng)
