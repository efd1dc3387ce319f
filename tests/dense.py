"""A run evaluated densely from its weights W_t and its data, to compare rfa.theory's checks with.

Nothing is taken from a run's history nor from rfa's own evaluation: ``Dense`` has float64 matrices
of all that the statements speak of, at every step; ``Dense.say`` notes what a statement says (the
statements are in definitions.py), and ``differences`` in what a check has another answer.

Rounding. v = 2^-53, u is the unit roundoff of the type in which the engine works (planar always
float64); k factors 1 + delta are within k u of 1 to first order, and the few more that each k below
has are far above the terms of second order. Everything that is not an engine's output is evaluated
in float64 from the stored weights by both sides, which differ by

    <w, x>, <w, mu>, norm(w)    (d + 8) v norm(w) norm(x)
    f                           (d + m + 8) v sum_j abs(a_j) norm(w_j) norm(x)

An engine's y f, pre-activations and activations are off by as much with u + v in place of v, f once
more by the roundoff of X's type, to which a is rounded; the running sums of planar take up to three
terms per neuron, three times, and are off by 9 times that (bounds.py has the derivation). An
activation can be wrong only where the pre-activation is within its error of 0; such entries are
counted, and a number of active samples may be off by their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import rfa

NAMES = np.array(["+mu1", "-mu1", "+mu2", "-mu2"])
LABEL = np.array([1, 1, -1, -1])
AGAINST, OTHER = np.array([1, 0, 3, 2]), np.array([2, 2, 0, 0])
E2, V = math.exp(-2), 2.0**-53


@dataclass
class Found:
    """What a statement says about a run; axes: what each entry of values belongs to."""

    relation: str
    values: np.ndarray
    bound: float
    error: np.ndarray
    axes: dict
    silent: str
    no_claim: bool
    claims: bool
    met: bool
    unmet: dict
    constant: tuple
    constant_error: float
    details: dict

    @property
    def slack(self):
        return self.values - self.bound if self.relation == ">=" else self.bound - self.values

    @property
    def holds(self):
        """Up to the error, as without width all samples are at the bound."""
        return bool((self.slack >= -self.error).all())


def horizon(alpha):
    """K, and whether 1/(4 alpha) was rounded down to it."""
    exact = 1 / (4 * Fraction(alpha))
    near = abs(exact - round(exact)) <= exact / 10**9
    return (round(exact) if near else math.floor(exact)), not near


def audit(n, d, m, alpha, sigma, omega, eta, delta):
    """The C that (A1)-(A7) allow: lo, hi, and whether there is one above 1."""

    def inverse(x):
        return 1 / x if x else math.inf

    highest = (
        d / max(math.log(n / delta) ** 2, math.log(m / delta)),
        m / math.log(1 / delta),
        inverse(sigma * math.sqrt(d)),
        n / math.log(m / delta),
        inverse(eta),
        inverse((omega**2 * m * d) ** 0.25),
        1 / alpha**2,
    )
    lo, hi = max(1.0, 1 / (4 * alpha**2)), min(highest)
    return lo, hi, hi > 1 and hi >= lo * (1 - 1e-12)


def train(
    shape=(61, 5, 12),
    alpha=0.05,
    *,
    width=0.2,
    start=0.2,
    eta=0.1,
    law="gaussian",
    rotated=False,
    dtype="float64",
    seed=0,
    noise="independent",
    steps=None,
    record="log",
):
    """A run with all its weights, of T steps unless told; start is omega sqrt(md)/alpha."""
    n, d, m = shape
    mu = rfa.random_means(d, seed) if rotated else None
    law = {"sigma": width / math.sqrt(d), "eta": eta, "law": law, "mu": mu, "noise": noise}
    data = rfa.XORClusters(d=d, **law).sample(n=n, rng=seed, dtype=dtype)
    net = rfa.Network.random(m, d, start * alpha / math.sqrt(m * d), rng=seed)
    steps = horizon(alpha)[0] + 1 if steps is None else steps
    # gram in single precision computes norms and projections from its own state, not from W
    engine = "direct" if dtype == "float32" and d > 2 else "auto"
    return rfa.train(
        net, data, alpha, steps, engine=engine, record=record, snapshots=range(steps + 1)
    )


def ids(*beginnings):
    """Ids of the statements that begin with one of these, equations by their numbers."""
    names = [f"equation_{x}" if isinstance(x, int) else x for x in beginnings]
    return {name for name in rfa.theory.STATEMENTS if name.startswith(tuple(names))}


def noise_rate(distribution):
    """E eta(x): of a function, the mean over 200000 points of the ninth stream of seed 0."""
    if not callable(distribution.eta):
        return float(distribution.eta)
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(0, spawn_key=(8,))))
    X, _ = distribution.points(200_000, stream)
    return float(distribution.eta(X).mean())


class Dense:
    """A run as dense matrices: H, f, g and A at all steps."""

    def __init__(self, run, delta, C0):
        self.run, self.delta, self.C0, self.found = run, delta, C0, {}
        data, network = run.data, run.initial
        self.X, self.M = data.X.astype(np.float64), data.means
        self.y, self.clean_y, self.c = data.y, LABEL[data.cluster], data.cluster
        self.noisy = self.y != self.clean_y
        (self.n, self.d), self.m = self.X.shape, network.m
        self.a, self.alpha = network.a, run.alpha
        self.sigma, self.omega = data.distribution.sigma, network.omega_init
        self.eta = noise_rate(data.distribution)
        self.K, self.rounded = horizon(run.alpha)
        self.T = self.K + 1
        self.W = [network.W, *(run.snapshots[t] for t in range(1, run.t + 1))]
        self.W = np.array(self.W).astype(np.float64)
        self.spread = self.sigma * math.sqrt(self.d)
        self.start = self.omega * math.sqrt(self.m * self.d)
        self.tail = math.sqrt(math.log(1 / delta) / self.n)
        fourth = (self.n / math.log(1 / delta)) ** 0.25
        self.C1 = min(self.spread**-0.5, 1 / self.spread, fourth) if self.spread else fourth
        self.C2, self.shrink = 12 * C0 * math.sqrt(2 * math.pi * math.e), (1 - 1 / C0) ** 2
        self.lo, self.hi, self.feasible = audit(
            self.n, self.d, self.m, self.alpha, self.sigma, self.omega, self.eta, delta
        )
        self.met = self.feasible and delta < 0.5 and self.omega > 0
        self.met &= data.distribution.noise == "independent"
        half = np.repeat([1.0, -1.0], self.m // 2) / math.sqrt(self.m)
        self.paper_a = np.allclose(self.a, np.append(half, np.zeros(self.m % 2)))
        self.met &= self.paper_a

        self.r = 4 * self.alpha * self.K if self.rounded else 1.0
        self.needs = self._needs()

        self.H = self.X @ self.W.transpose(0, 2, 1)  # (steps + 1, n, m)
        self.f = np.maximum(self.H, 0) @ self.a
        self.s = self.y * self.f
        self.g = 1 / (1 + np.exp(self.s))
        self.A = self.H > 0
        self.P = self.W @ self.M.T
        self.norm = np.linalg.norm(self.W, axis=2)
        self.norm_x = np.linalg.norm(self.X, axis=1)
        with np.errstate(invalid="ignore"):
            self.cos = self.P / self.norm[:, :, None]
        self.correlated = self.cos[0] >= 1 / (3 * C0 * math.sqrt(self.d))
        self.J = self.correlated & (np.sign(self.a)[:, None] == LABEL)
        self.j, self.mu = np.nonzero(self.J)
        self.unit = self.alpha * np.abs(self.a[self.j])  # alpha abs(a_j) per pair
        self.a_J = self.a * self.J.any(axis=1)

        planar, of_type = run.engine == "planar", float(np.finfo(data.X.dtype).eps) / 2
        u = V if planar else of_type
        # for sigma = 0, x is its rounded mean, and is compared with the mean
        self.x_error = (self.d + 8) * of_type if self.sigma == 0 else 0.0
        largest = self.norm_x.max()
        size = self.norm @ np.abs(self.a) * largest
        self.dense_error = (self.d + self.m + 8) * V * size
        self.engine_error = (self.d + self.m + 8) * (u + V) * size * (9 if planar else 1)
        self.engine_error += of_type * size  # the type of X is a's too
        self.cos_error = (self.d + 8) * (u + V) * largest
        self.projection_error = (self.d + 8) * V * self.norm.max()
        limit = (self.d + 8) * (u + V) * self.norm_x[:, None] * self.norm[:, None, :]
        self.unsure = (np.abs(self.H) <= limit) & (limit > 0)

    def _needs(self):
        """Part of the text of each need of the proofs -> whether it holds."""
        near, start, share = self.C1 * self.spread, self.start, self.shrink
        C = self.hi if self.feasible else math.nan
        # by 4.3(c), and the C1 sqrt(log(1/delta)/n) of 4.3(d)
        apart = self.C1 * self.tail
        noisy = self.eta + apart if self.eta else 0
        # (12) in one inequality, with the paper's way to halve what is left
        half = 1 / (3 * self.C0 * math.sqrt(2 * math.pi * math.e))
        steep = 10 * math.sqrt(math.log(64 * self.m / self.delta) / self.n)
        small, rate = 3 * self.alpha <= self.r * E2 * share / 2048, self.r * E2
        return {
            "d >= 32 log(4m/delta)": math.sqrt(8 * math.log(4 * self.m / self.delta) / self.d)
            <= 0.5,
            "C1 >= 2": self.C1 >= 2,
            "d >= log^2(32n/delta)/C1": math.sqrt(self.C1 * self.d)
            >= math.log(32 * self.n / self.delta),
            "<= 1/8": 0.25 - apart - noisy >= 0.125,
            "14400 C0^2 pi e log(64m/delta)": steep <= half * math.sqrt(2) / 4,
            "/n) <= (4 - sqrt 2)/C2": noisy <= half * (1 - math.sqrt(2) / 4),
            "<= alpha/3": start <= self.alpha / 3,
            "alpha <= 1/4": self.alpha <= 0.25,
            "/n)) <= e^-2/128": 2 * noisy <= E2 / 128,
            "2 C1 sigma sqrt(d) <= e^-2/128": 2 * near <= E2 / 128,
            "C > 512 C1 e^2": C > 512 * self.C1 * math.exp(2),
            "C1/C < 1/(2 sqrt C)": 2 * self.C1 < math.sqrt(C),
            "alpha <= 1/10": self.alpha <= 0.1,
            "8 C1 sigma sqrt(d) <= ": 8 * near <= rate / 512,
            "e^-2/4096": start <= rate / 4096,
            "m >= 16 C0^2 log(32/delta)": self.m >= 16 * self.C0**2 * math.log(32 / self.delta),
            "K >= 1536 e^2" if self.rounded else "(1-1/C0)^2/6144": small,
            "(1-1/C0)^2/4096": near <= rate * share / 4096,
            "(1-1/C0)^2 >= 1/2": share >= 0.5,
            "/n) <= 1/(2 C2)": noisy <= 1 / (2 * self.C2),
            "eta <= 1/(4 C2)": self.eta <= 1 / (4 * self.C2),
            "<= 1/(16 C2)": start <= 1 / (16 * self.C2),
            "<= 1/(64 C2)": near <= 1 / (64 * self.C2),
        }

    def lack(self, *texts):
        """Which of some needs do not hold."""
        return {text: not self.needs[text] for text in texts}

    # ------------------------------------------------------------------------- writing down

    def say(
        self,
        name,
        relation,
        values,
        bound,
        error=0.0,
        *,
        axes=None,
        unmet=None,
        premises=None,
        claims=True,
        always=False,
        trivial=False,
        constant=(None, None, None, None),
        constant_error=0.0,
        details=None,
    ):
        """Note a statement: values compared with a bound; ``error`` bounds the error of each.

        unmet: part of the text of a hypothesis -> whether it does not hold; premises: the same for
        those after its own "if"; claims: whether it claims anything; always: whether it claims it
        of every network; trivial: any value satisfies the bound; constant: its name, its value in
        the bound and in the paper, and the empirical one as a function of the extreme value, or
        None for no look at it; details: name -> value and its error, None for an exact comparison.
        """
        values = np.asarray(values, np.float64).ravel()
        unmet, premises = unmet or {}, premises or {}
        trivial = trivial or (relation == ">=" and bound <= 0)
        self.found[name] = Found(
            relation,
            values,
            bound,
            np.broadcast_to(np.asarray(error, np.float64).ravel(), values.shape),
            {axis: np.ravel(labels) for axis, labels in (axes or {}).items()},
            "no case" if not values.size else "trivial" if trivial else "",
            bool(values.size) and any(premises.values()),
            claims,
            (self.met or always) and not any(unmet.values()) and not any(premises.values()),
            unmet | premises,
            constant,
            constant_error,
            details or {},
        )

    def pairs(self, *steps):
        """Axes of entries (steps, pairs), or (pairs,)."""
        shape = (len(steps[0]), len(self.j)) if steps else (len(self.j),)
        axes = {
            "neuron": np.broadcast_to(self.j, shape),
            "cluster": np.broadcast_to(NAMES[self.mu], shape),
        }
        return axes | ({"step": np.repeat(steps[0], len(self.j))} if steps else {})

    def samples(self, chosen=slice(None)):
        """Axes of an entry per sample."""
        return {"sample": np.arange(self.n)[chosen], "cluster": NAMES[self.c[chosen]]}

    def aligned(self, t):
        """Condition 4.7 for each pair, and the pairs in which rounding may change an activation."""
        pairs = zip(self.j, self.mu, strict=True)
        found = [
            self.A[t][self.c == c, j].all() and not self.A[t][self.c == AGAINST[c], j].any()
            for j, c in pairs
        ]
        return np.array(found, bool), self.unsure[t][:, self.j].any(axis=0)

    def reach(self, t):
        """Per pair, min of H/norm(w_j) on I_mu and max of it on I_-mu."""
        along = self.H[t] / self.norm[t]
        pairs = list(zip(self.j, self.mu, strict=True))
        own = [along[self.c == c, j].min(initial=math.inf) for j, c in pairs]
        off = [along[self.c == AGAINST[c], j].max(initial=-math.inf) for j, c in pairs]
        return np.array(own), np.array(off)

    def shares(self, steps):
        """Share of J that is aligned at each step, and a bound on its error."""
        both = [self.aligned(t) for t in steps]
        if not len(self.j):
            return np.empty(0), 0.0
        return np.array([x.mean() for x, _ in both]), np.array([e.mean() for _, e in both])


def verdict(check, found):
    """The verdict of a check with this inequality."""
    if found.silent == "no case":
        return "no case"
    if found.no_claim:
        return "no claim"
    if found.silent and check.holds:
        return found.silent
    words = ("FAILS", "holds") if found.met and found.claims else ("false", "true")
    return words[check.holds]


def differences(check, found):
    """The entries in which a check differs from the definition by more than rounding."""
    wrong = []

    def expect(what, got, *wanted, error=0.0):
        low, high = min(wanted) - error, max(wanted) + error
        room = 1e-12 * max(abs(x) if math.isfinite(x) else 0.0 for x in (low, high))
        if not low - room <= got <= high + room:
            wrong.append(f"{what} is {got!r}, by definition in [{low!r}, {high!r}]")

    if not check.applicable:
        return [f"not applicable: {check.reason}"]
    for what, got, wanted in (
        ("relation", check.relation, found.relation),
        ("hypotheses_met", check.hypotheses_met, found.met),
        ("constant", check.constant, found.constant[0]),
    ):
        if got != wanted:
            wrong.append(f"{what} is {got!r}, by definition {wanted!r}")
    if not found.no_claim and check.verdict != "undecided" and check.silent != found.silent:
        wrong.append(f"silent is {check.silent!r}, by definition {found.silent!r}")
    if check.verdict != "undecided" and check.verdict != verdict(check, found):
        wrong.append(f"verdict is {check.verdict!r}, by definition {verdict(check, found)!r}")
    for text, holds in found.unmet.items():
        if any(text in line for line in check.unmet) != holds:
            wrong.append(f"{text!r} should {'' if holds else 'not '}be unmet: {check.unmet}")
    if not found.values.size:
        if not (math.isnan(check.value) and check.holds and check.where == {}):
            wrong.append(f"of an empty set: {check.value}, {check.holds}, {check.where}")
        return wrong
    slack, error = found.slack, found.error
    least = (slack - error).min(), (slack + error).min()
    expect("slack", check.slack, *least, error=4 * V * (abs(check.value) + abs(check.bound)))
    worst = int(np.argmin(slack))
    value = float(found.values[worst])
    error_at = max(float(error[worst]), abs(least[1] - least[0]))
    expect("value", check.value, value, error=error_at)
    expect("bound", check.bound, found.bound)
    if error.max() == 0:
        if check.holds != found.holds:
            wrong.append(f"holds is {check.holds}")
    elif min(least) > 0 or max(least) < 0:
        expect("holds", check.holds, min(least) > 0)
    if set(check.where) != set(found.axes):
        wrong.append(f"where has {set(check.where)}, by definition {set(found.axes)}")
    elif check.where:
        named = np.ones(len(slack), bool)
        for axis, label in check.where.items():
            named &= found.axes[axis].astype(str) == str(label)
        if not named.any() or slack[named].min() - error[named].max() > least[1]:
            wrong.append(f"{check.where} is not where the extreme is")
    _, used, literal, function = found.constant
    for what, got, wanted in (
        ("constant_used", check.constant_used, used),
        ("literal_constant", check.literal_constant, literal),
    ):
        if (got is None) != (wanted is None):
            wrong.append(f"{what} is {got!r}, by definition {wanted!r}")
        elif wanted is not None:
            expect(what, got, wanted)
    if function:
        ends = function(value - error_at), function(value), function(value + error_at)
        expect("empirical constant", check.empirical_constant, *ends, error=found.constant_error)
    for name, (wanted, error_of) in found.details.items():
        got = check.details[name]
        if error_of is None:
            if got != wanted:
                wrong.append(f"{name} is {got!r}, by definition {wanted!r}")
        elif not np.allclose(got, wanted, rtol=1e-9, atol=float(error_of), equal_nan=True):
            wrong.append(f"{name} is {got!r}, by definition {wanted!r}")
    return wrong


def all_differences(checks, it):
    """For each check with a definition here, how it differs from it, if it does."""
    pairs = [(c.id, differences(c, it.found[c.id])) for c in checks if c.id in it.found]
    return {name: found for name, found in pairs if found}
