"""Small training problems with awkward shapes, and a program that takes their steps.

Drawn here with a few lines of NumPy of their own, so that no test of an engine rests on rfa's own
sampling. Run as a program (``python problems.py trajectories.npz steps.npz``), in an environment
where RFA_SIMD is set, it takes the steps of given trajectories on every engine, which is how the
SIMD levels, fixed when rfa is imported, are all tested in one session.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from bounds import PLAIN, Variant

from rfa.engines import packing
from rfa.engines.observations import Observations
from rfa.engines.planar import engine as planar
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES
from rfa.kernels.levels import LEVELS, SIMD_LEVEL

THREADS = (1, 2)  # for comparisons with the oracle; test_determinism.py has more
DTYPES = ("float32", "float64")

# Numbers that tests measured, for the end of the session: name -> text.
FIGURES: dict[str, str] = {}


def own_rng(seed):
    return np.random.Generator(np.random.PCG64(seed))


def xor_points(n, d, rng, width=0.3):
    """n points around +e1, -e1 (label 1), +e2, -e2 (label -1): X, clean labels, cluster, means."""
    means = np.zeros((4, d))
    means[[0, 1], 0] = 1, -1
    means[[2, 3], 1] = 1, -1
    cluster = rng.integers(0, 4, n)
    X = means[cluster] + width / np.sqrt(d) * rng.standard_normal((n, d))
    return X, np.where(cluster < 2, 1, -1), cluster, means


@dataclass(frozen=True, eq=False)
class Case:
    """Data, a network and a number of steps."""

    name: str
    X: np.ndarray
    y: np.ndarray
    W: np.ndarray
    a: np.ndarray
    steps: int = 200
    alpha: float = 0.25
    means: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    groups: np.ndarray | None = None
    variant: Variant = PLAIN

    def rounded(self, dtype):
        """The case with arrays of this type."""
        X, W, a = (array.astype(dtype) for array in (self.X, self.W, self.a))
        return replace(self, X=X, W=W, a=a)

    @property
    def engines(self):
        masked = ("direct", "gram")
        return (*masked, "planar") if self.X.shape[1] == 2 else masked

    def problem(self, dtype, horizon=0):
        n, d = self.X.shape
        groups = np.zeros(n, np.int64) if self.groups is None else self.groups
        return Problem(
            X=self.X.astype(dtype),
            y=self.y.astype(np.int64),
            groups=groups,
            n_groups=int(groups.max()) + 1 if self.groups is None else 8,
            means=self.means if self.means.size else np.empty((0, d)),
            test_X=np.empty((0, d), dtype),
            test_y=np.empty(0, np.int64),
            test_groups=np.empty(0, np.int64),
            n_test_groups=0,
            alpha=self.alpha,
            horizon=horizon,
            **self.variant._asdict(),
        )

    def engine(self, name, dtype, n_threads=1, horizon=0):
        W, a = self.W.astype(dtype), self.a.astype(dtype)
        return ENGINES[name](self.problem(dtype, horizon), W, a, n_threads)

    def rows(self, name, dtype, at):
        """Observations for the steps in at."""
        at = np.asarray(at, np.int64)
        return at, Observations.allocate(self.problem(dtype, int(at.max())), len(self.W), at)


def make_case(name, n, d, m, seed, **changes):
    rng = own_rng(seed)
    X, y, cluster, means = xor_points(n, d, rng)
    noisy = rng.random(n) < 0.15
    W = rng.standard_normal((m, d)) / (4 * np.sqrt(m * d))
    a = np.zeros(m)
    a[: m // 2], a[m // 2 : m - m % 2] = 1 / np.sqrt(m), -1 / np.sqrt(m)
    groups = 2 * cluster + noisy
    case = Case(name, X, np.where(noisy, -y, y), W, a, means=means, groups=groups)
    return replace(case, **changes)


def alike(case):
    """The case with neurons almost along the means, so that spans form runs."""
    rng = own_rng(6)
    along = case.means[rng.integers(0, 4, len(case.W))]
    return replace(case, W=0.1 * along + 0.0005 * rng.standard_normal(case.W.shape))


@cache
def cases():
    """All cases by name; those with d = 2 are for planar, too."""
    made = [
        make_case("n=313 d=17 m=46", 313, 17, 46, 1, steps=100),
        make_case("n=313 d=2 m=45", 313, 2, 45, 2),
        make_case("more than a stretch of a ring", 1100, 2, 70, 5, steps=20),
        make_case("d=600 m=500", 130, 600, 500, 3, steps=3),
        make_case("d=2 m=500", 97, 2, 500, 4, steps=40),
        alike(make_case("alike neurons d=5", 900, 5, 540, 5, steps=4)),
        make_case("seven means d=9", 70, 9, 13, 8, means=own_rng(8).standard_normal((7, 9))),
    ]
    for d in (2, 3):
        one = make_case(f"one neuron d={d}", 70, d, 1, 10 + d)
        same = make_case(f"equal labels d={d}", 65, d, 12, 20 + d)
        twice = make_case(f"duplicates d={d}", 131, d, 13, 30 + d)
        origin = make_case(f"origin d={d}", 67, d, 12, 40 + d)
        zero = make_case(f"zero neuron d={d}", 64, d, 9, 50 + d)
        X_origin, W_zero = origin.X.copy(), zero.W.copy()
        X_origin[[5, 66]] = 0
        W_zero[3] = 0
        repeated = np.arange(131) % 40
        made += [
            make_case(f"one sample d={d}", 1, d, 7, 70 + d),
            make_case(f"one beyond half a batch d={d}", 81, d, 17, 80 + d),
            replace(one, a=np.array([1.0])),
            replace(same, y=np.ones(65, int)),
            replace(
                twice,
                X=twice.X[repeated],
                y=twice.y[repeated],
                groups=twice.groups[repeated],
            ),
            replace(origin, X=X_origin),
            replace(zero, W=W_zero),
        ]
    return {case.name: case for case in made}


@cache
def variants():
    """Cases by name with other losses, slopes, sample weights and weight decay."""
    made = {}
    for d in (2, 5):
        case = make_case("", 131, d, 21, 60 + d, steps=40)
        v = own_rng(d).uniform(0, 2, 131)
        v[7] = 0
        for variant in (
            Variant(weights=v),
            Variant(slope=0.25),
            Variant(shrink=0.96875),
            Variant(shrink=2.0**-6 / 3),
            Variant(loss="exponential"),
            Variant(loss="hinge"),
            Variant(loss="square"),
            Variant(v, "exponential", 0.1, 0.99),
            Variant(v, "square", 0.7, 0.5),
        ):
            weighted = "" if variant.weights is None else " weights"
            name = f"{variant.loss} slope={variant.slope} shrink={variant.shrink}{weighted} d={d}"
            # few steps of a large decay: a neuron with a_j = 0 would leave the normal numbers
            steps = 40 if variant.shrink > 0.1 else 8
            made[name] = replace(case, name=name, variant=variant, steps=steps)
    # several blocks of neurons and words of columns
    large = make_case("leaky d=150 m=300", 131, 150, 300, 63, steps=3)
    made[large.name] = replace(large, variant=Variant(v, "logistic", 0.25, 0.99))
    # when W is recovered: one panel of samples or several, the last one full or not
    for n in (1024, 1030):
        deep = make_case(f"leaky n={n}", n, 5, 7, 65, steps=2)
        made[deep.name] = replace(deep, variant=Variant(slope=0.25))
    same = alike(make_case("leaky alike neurons d=5", 300, 5, 270, 7, steps=4))
    made[same.name] = replace(same, variant=Variant(slope=0.25))
    # no neuron is active on the first cluster, whose samples are first in every engine's order
    away = make_case("leaky and away from a cluster d=5", 400, 5, 7, 64, steps=20)
    W = away.W - 3 * away.means[0]
    made[away.name] = replace(away, W=W, variant=Variant(slope=0.25))
    return made


def levels():
    """The SIMD levels that can be used here, worst first."""
    return LEVELS[: LEVELS.index(SIMD_LEVEL) + 1]


def in_fresh_python(program, *arguments, **environment):
    """The output of a program that runs in another process, with changed environment variables."""
    # a test file that is run as a program imports this one
    paths = [os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        # a sanitizer makes it slow
        timeout=float(os.environ.get("RFA_TEST_SECONDS", "300")),
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def active_samples(engine, name, previous):
    """The activation matrix (m, n) that an engine keeps as its state, samples in given order."""
    if name == "planar":
        start, length = previous
        N, order = engine.ring.n_nonzero, engine.ring.order
        A = np.zeros((engine.m, engine.n), bool)
        for j in range(engine.m):
            A[j, order[(start[j] + np.arange(length[j])) % max(N, 1)]] = True
        return A
    words, neurons = previous.shape
    bits = previous.T.copy().view(np.uint8).reshape(neurons, words * 8)
    sorted_A = np.unpackbits(bits, axis=1, bitorder="little")[: engine.m].astype(bool)
    assert not sorted_A[:, engine.n :].any(), "a bit beyond the last sample is set"
    A = np.zeros((engine.m, engine.n), bool)
    A[:, engine.order] = sorted_A[:, : engine.n]
    return A


def take_steps(case, name, dtype, trajectory):
    """One step from each W_t: W (steps, m, d), A (steps, m, n); equal for all thread counts."""
    # otherwise small cases would use one thread only
    packing.PARALLEL_WORK = planar.PARALLEL_NEURONS = 1
    results = []
    for n_threads in THREADS:
        engine = case.engine(name, dtype, n_threads)
        # in a state of gram, the numbers that stand for W follow from W
        state = {name: engine.get_state()[name] for name in ("t", "W", "previous")}
        at, out = np.empty(0, np.int64), case.rows(name, dtype, [0])[1]
        after, actives = [], []
        for t, W in enumerate(trajectory):
            engine.set_state({**state, "t": t, "W": W.astype(dtype)})
            engine.advance(t + 1, at, out, 0)
            assert engine.t == t + 1
            after.append(engine.weights()[0])
            actives.append(active_samples(engine, name, engine.get_state()["previous"]))
        results.append((np.array(after), np.array(actives)))
    for other in results[1:]:
        assert all(x.tobytes() == y.tobytes() for x, y in zip(results[0], other, strict=True))
    return results[0]


def main(source, target):
    """Take the steps from every trajectory ("case|dtype" in source), write them to target."""
    steps = {}
    with np.load(source) as trajectories:
        for key in trajectories.files:
            name, dtype = key.split("|")
            case = {**cases(), **variants()}[name]
            for engine in case.engines:
                W, A = take_steps(case, engine, dtype, trajectories[key])
                steps[f"{key}|{engine}|W"] = W
                steps[f"{key}|{engine}|A"] = np.packbits(A, axis=-1)
    np.savez(target, **steps)
    print(SIMD_LEVEL)


if __name__ == "__main__":
    main(*sys.argv[1:])


class Writer:
    """A stream that has only a write method, which raises the error if one is given."""

    def __init__(self, error=None):
        self.error = error

    def write(self, text):
        if self.error is not None:
            raise type(self.error)(*self.error.args)  # a new one: else its traceback keeps the bar


# forms of stderr on which a bar cannot be drawn, or not be seen
STREAMS = ["none", "closed", "log", "full"]


def stream(form, folder):
    """One of STREAMS."""
    closed = (folder / "stderr").open("w")
    closed.close()
    forms = {"none": None, "closed": closed, "log": Writer(), "full": Writer(OSError(28, "full"))}
    return forms[form]
