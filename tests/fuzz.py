"""Random problems: each engine against the oracle, against itself, and the kernels likewise.

Problem k of a seed is always the same. What is wrong with one is printed on a line, with the
command that repeats it; the exit status is then 1.

Use: python tests/fuzz.py [--minutes 10] [--shapes 300] [--seed 0] [--only NUMBER] [--first]
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import bounds
import numpy as np
import problems
from checks import check_kernels, check_observations

from rfa.engines import packing
from rfa.engines.gram import engine as gram
from rfa.engines.observations import Observations
from rfa.engines.planar import engine as planar
from rfa.engines.registry import ENGINES
from rfa.kernels import plans
from rfa.kernels.levels import SIMD_LEVEL
from rfa.losses import LOSSES

# sizes of tiles, lanes, batches, words and blocks: loops have special cases near multiples of them
EDGES = (6, 16, 32, 64, 252)
PANEL = 1024  # samples or coordinates that are summed at once
WORK = 300_000  # the largest n m d, since the oracle is slow
THREADS = (2, 3, 5)


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A problem, and the settings with which it is computed."""

    case: problems.Case
    dtype: str
    in_range: bool  # whether the oracle's bounds hold
    tests: np.ndarray  # indices of samples that are also test points
    period: int  # steps between gram's anchors
    rng: np.random.Generator

    def __str__(self):
        (n, d), m, case = self.case.X.shape, len(self.case.W), self.case
        weights = "" if case.variant.weights is None else ", weights"
        return (
            f"{case.name}, n={n} d={d} m={m} {self.dtype}, {case.steps} steps, {len(self.tests)} "
            f"test points, {case.variant.loss}, slope {case.variant.slope:.3g}, "
            f"shrink {case.variant.shrink:.3g}{weights}"
        )

    def problem(self):
        """With test points, and a horizon in the middle of the run."""
        problem = self.case.problem(self.dtype, horizon=self.case.steps // 2)
        return dataclasses.replace(
            problem,
            test_X=problem.X[self.tests],
            test_y=problem.y[self.tests],
            test_groups=problem.groups[self.tests] // 2,
            n_test_groups=5 if len(self.tests) else 0,
        )

    def engine(self, problem, name, n_threads):
        W, a = self.case.W.astype(self.dtype), self.case.a.astype(self.dtype)
        return ENGINES[name](problem, W, a, n_threads)


def draw_size(rng, largest):
    """A size of 1, ..., largest: small, of any order, or around a multiple of an edge."""
    kind = rng.integers(3)
    if kind == 0:
        size = rng.integers(1, 10)
    elif kind == 1:
        size = np.exp(rng.uniform(0, np.log(largest)))
    else:
        edge = rng.choice(EDGES)
        size = edge * rng.integers(1, max(2, min(5, largest // edge + 1))) + rng.integers(-1, 2)
    return int(min(size, largest))


def draw_rows(rng, rows, d, centres, width):
    """(rows, d) numbers of order 1, of a kind that makes for ties, zeros or whole batches."""
    kind = rng.integers(5)
    if kind == 0:
        points = rng.standard_normal((rows, d))
    elif kind == 1:
        points = rng.integers(-2, 3, (rows, d)).astype(float)
    else:
        points = centres[rng.integers(0, len(centres), rows)]
        points = points + width * rng.standard_normal((rows, d))
    if rng.random() < 0.3:
        points = points[rng.integers(0, max(1, rows // rng.integers(2, 5)), rows)]
    if rng.random() < 0.3:
        opposite = rng.random(rows) < 0.5
        points[opposite] = -points[rng.integers(0, rows, opposite.sum())]
    if rng.random() < 0.3:
        points[rng.random(rows) < 0.2] = 0
    return points


def draw_variant(rng, n):
    if rng.random() < 0.4:
        return bounds.PLAIN
    weights = None
    if rng.random() < 0.5:
        weights = rng.uniform(0, 2, n) * (rng.random(n) < 0.9)
    return bounds.Variant(
        weights,
        str(rng.choice(list(LOSSES))),
        float(rng.choice([0, 0, 0.25, rng.uniform(0.01, 0.99)])),
        float(rng.choice([1, 1, 0.96875, rng.uniform(0.3, 1), 2.0**-6 / 3])),
    )


def draw(seed, number):
    """Problem ``number`` of a seed."""
    rng = np.random.default_rng([seed, number])
    dtype = str(rng.choice(problems.DTYPES))
    n, d, m = (draw_size(rng, largest) for largest in (400, 300, 600))
    if rng.random() < 0.3:
        d = 2
    elif rng.random() < 0.1:
        # the sums run over several panels, of samples or of coordinates
        n, d, m = PANEL + int(rng.integers(-1, 9)), min(d, 9), min(m, 30)
        if rng.random() < 0.5:
            n, d = d, n
    # reduce the largest size
    while n * m * d > WORK:
        n, m, d = (
            max(1, size // 2) if size == max(n, m, d) and size > 2 else size for size in (n, m, d)
        )
    centres = rng.standard_normal((4, d)) / np.sqrt(d)
    width = float(rng.choice([0.3, 0.01, 1.0])) / np.sqrt(d)
    X = draw_rows(rng, n, d, centres, width)
    W = draw_rows(rng, m, d, centres, width)
    if d == 2 and rng.random() < 0.3:
        # neurons orthogonal to samples
        turned = rng.integers(0, n, m)
        W = np.stack([-X[turned, 1], X[turned, 0]], axis=1) * rng.choice([-1.0, 1.0], (m, 1))
    a = rng.choice([-1.0, 1.0], m) if rng.random() < 0.5 else rng.standard_normal(m)
    a[rng.random(m) < rng.choice([0, 0, 0.2])] = 0
    y = np.ones(n, int) if rng.random() < 0.05 else rng.choice([-1, 1], n)

    # |x| of order size, f of order height, and steps of order move times |w|
    in_range = rng.random() < 0.85
    # underflow, which the bounds leave out, is far away
    order = {"float32": 6, "float64": 60}[dtype] if in_range else np.log10(np.finfo(dtype).max)
    size = 10.0 ** rng.uniform(-order, order) if rng.random() < 0.4 else 1.0
    height = 10.0 ** rng.uniform(-2, 1 if in_range else 20)
    move = 10.0 ** rng.uniform(-3, 1 if in_range else 5)
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        weight = height / np.sqrt(m) / size
        X, W, a = X * size, W * weight, a / np.sqrt(m)
        alpha = move * weight * np.sqrt(m) / size
        X, W = (np.clip(np.nan_to_num(array), limits.min, limits.max) for array in (X, W))
    # as train does
    alpha = float(np.clip(alpha, n * float(limits.tiny), limits.max))
    case = problems.Case(
        f"size {size:.1e} height {height:.1e} move {move:.1e}",
        X,
        y,
        W,
        a,
        steps=int(rng.integers(1, 25)),
        alpha=alpha,
        means=(size if in_range else 1.0) * centres[: rng.integers(0, 5)],
        groups=rng.integers(0, rng.integers(1, 9), n),
        variant=draw_variant(rng, n),
    )
    tests = rng.integers(0, n, int(rng.choice([0, rng.integers(1, 140)])))
    period = int(rng.choice([gram.ANCHOR_PERIOD, rng.integers(1, 9)]))
    return Trial(case.rounded(dtype), dtype, bool(in_range), tests, period, rng)


# ------------------------------------------------------------------------------ what is checked


def trajectory(trial, most=4):
    """The oracle's W_t (steps, m, d), rounded to the type, and its steps, while in range."""
    case, dtype = trial.case, trial.dtype
    W, visited, steps = case.W, [], []
    start = np.abs(W).max()
    for _ in range(min(most, case.steps)):
        step = bounds.oracle_step(case.X, case.y, W, case.a, case.alpha, case.variant)
        grown = np.abs(step.W).max()
        # leave out steps beyond the range of the type, and steps after which almost nothing is left
        # of W: no bound covers the numbers of those
        if not (np.isfinite(step.g).all() and np.isfinite(grown) and grown <= 1e6 * start):
            break
        visited.append(W)
        steps.append(step)
        W = step.W.astype(dtype)
    return np.array(visited), steps


def underflow(X, a, dtype):
    """Underflow, which the bounds leave out: in c_i, and in its products with x_i and a_j."""
    least = float(np.finfo(dtype).smallest_subnormal)
    X, a = np.abs(X.astype(np.float64)), np.abs(a.astype(np.float64))
    return least * (4 + a[:, None] * (4 * X.sum(axis=0) + 4 * len(X)))


def check_steps(trial, name, visited, steps):
    """From the oracle's W_t, the engine takes the oracle's steps, within derived bounds."""
    case, dtype, u = trial.case, trial.dtype, bounds.unit_roundoff(trial.dtype)
    W, A = problems.take_steps(case, name, dtype, visited)
    for t, exact in enumerate(steps):
        error = bounds.difference_bound(case.X, visited[t], case.a, case.alpha, exact, name, u)
        difference = np.abs(W[t] - exact.W).astype(np.float64)
        allowed = error.bound + underflow(case.X, case.a, dtype)
        excess = difference > allowed
        assert not excess.any(), f"step {t}, neurons {np.flatnonzero(excess.any(axis=1))}"
        wrong = (A[t].T != (exact.H > 0)) & ~error.uncertain
        assert not wrong.any(), f"step {t}: masks differ"


def run_in_pieces(trial, problem, name, n_threads, at, cuts, transfer=False, **switches):
    """Rows, W, t, diverged and last masks of a run in pieces, each on a new engine."""
    out = Observations.allocate(problem, len(trial.case.W), at)

    def new():
        engine = trial.engine(problem, name, n_threads)
        for switch, value in switches.items():
            setattr(engine.state, switch, value)
        return engine

    engine, row = new(), 0
    for until in (*cuts, trial.case.steps):
        row += engine.advance(until, at[row:], out, row)
        assert row == engine.rows
        if engine.diverged:
            # a further advance must report it again
            t, W = engine.t, engine.weights()[0].tobytes()
            assert engine.advance(trial.case.steps, at[row:], out, row) == 0
            assert engine.diverged
            assert (engine.t, engine.weights()[0].tobytes()) == (t, W)
            break
        assert engine.t == until
        if transfer:
            state, engine = engine.get_state(), new()
            engine.set_state(state)
    return engine, out, row


def check_bits(trial, name):
    """Threads, pieces, states, records and switches change no bit."""
    rng, steps, problem = trial.rng, trial.case.steps, trial.problem()
    everything = np.arange(steps + 1)
    whole, rows, filled = run_in_pieces(trial, problem, name, 1, everything, ())
    W, t = whole.weights()[0].tobytes(), whole.t
    assert filled == t + 1 or (whole.diverged and filled == t)
    for n_threads in (1, *THREADS):
        at = everything[rng.random(steps + 1) < rng.choice([0, 0.3, 1])]
        cuts = np.sort(rng.integers(0, steps + 1, rng.integers(0, 4)))
        switches = {}
        if name in ("direct", "gram"):
            switches["look_ups"] = int(rng.choice(list(plans.LOOK_UPS.values())))
        if name == "direct" and rng.random() < 0.5:
            switches["certifies"] = False
        if name == "direct" and n_threads == 2:
            switches["checked"] = np.zeros(whole.masks.shape[1:], np.uint64)
        if name == "gram":
            switches["in_place"] = bool(whole.state.in_place and rng.random() < 0.5)
        transfer = bool(n_threads == 3 or rng.random() < 0.5)
        other, others, row = run_in_pieces(
            trial, problem, name, n_threads, at, cuts, transfer, **switches
        )
        how = f"{n_threads} threads, cuts {cuts.tolist()}, transfer {transfer}, {list(switches)}"
        assert other.t == t, f"t: {how}"
        assert other.weights()[0].tobytes() == W, f"W: {how}"
        assert row == np.searchsorted(at, filled), f"rows: {how}"
        if t < steps:
            assert other.diverged, f"diverged: {how}"
        for key, array in vars(others).items():
            expected = getattr(rows, key)
            some = min(row, len(array))
            assert array[:some].tobytes() == expected[at[:some]].tobytes(), f"{key}: {how}"
        if not whole.diverged:
            state, expected = other.get_state(), whole.get_state()
            assert state["previous"].tobytes() == expected["previous"].tobytes(), f"A: {how}"


def check_interruptions(trial, name):
    """Real signals, at whatever place they come: the same as in one go. Takes a second or so;
    where it is interrupted is not the same twice."""
    (n, d), m = trial.case.X.shape, len(trial.case.W)
    steps = int(np.clip(1.5e8 / (n * m * d + 30_000), 25, 5_000))
    trial = dataclasses.replace(trial, case=dataclasses.replace(trial.case, steps=steps))
    problem, at = trial.problem(), np.arange(0, steps + 1, max(1, steps // 50))
    whole, rows, filled = run_in_pieces(trial, problem, name, 2, at, ())
    running = trial.engine(problem, name, 2)
    out = Observations.allocate(problem, m, at)
    row = 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.06, 0.06)
        while not running.diverged and (running.t < steps or row < len(at)):
            try:
                running.advance(steps, at[row:], out, row)
            except KeyboardInterrupt:
                # less and less often, so that even slow steps get done
                pause = 1.5 * signal.getitimer(signal.ITIMER_REAL)[1]
                signal.setitimer(signal.ITIMER_REAL, pause, pause)
            row = max(row, running.rows)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (running.t, row) == (whole.t, filled)
    assert running.weights()[0].tobytes() == whole.weights()[0].tobytes()
    for key, array in vars(out).items():
        some = min(row, len(array))
        assert array[:some].tobytes() == getattr(rows, key)[:some].tobytes(), key


def misaligned(array):
    """The array at an odd address."""
    view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def packed(array):
    """The array in a field of a packed struct."""
    fields = np.dtype([("before", "u1"), ("row", array.dtype, array.shape[1:])])
    view = np.zeros(len(array), fields)["row"]
    view[...] = array
    return view


LAYOUTS = (
    np.ascontiguousarray,
    np.asfortranarray,
    lambda array: np.repeat(array, 2, axis=0)[::2],
    lambda array: np.repeat(array[..., None], 3, axis=-1)[..., 1],
    lambda array: np.ascontiguousarray(np.flip(array))[(slice(None, None, -1),) * array.ndim],
    misaligned,
    packed,
)


def check_array_functions(trial):
    """The public kernels, given arrays of any layout."""
    case, rng = trial.case, trial.rng
    arrays = (LAYOUTS[rng.integers(len(LAYOUTS))](x) for x in (case.X, case.y, case.W, case.a))
    check_kernels(*arrays, n_threads=int(rng.integers(1, 6)))


def engines_of(trial):
    """The engines that take the problem. If gram refuses it, there must be a reason."""
    found = []
    for name in trial.case.engines:
        try:
            trial.engine(trial.problem(), name, 1)
        except ValueError as refused:
            X = trial.case.X.astype(np.longdouble)
            squares, limits = (X**2).sum(axis=1), np.finfo(trial.dtype)
            small = squares[X.any(axis=1)].min(initial=np.inf) < 2 * len(X.T) * limits.tiny
            if name != "gram" or not (small or squares.max() > float(limits.max) / 4):
                raise AssertionError(f"{name}: {refused}") from refused
        else:
            found.append(name)
    return found


def parts(trial, number):
    """The checks of a problem: (name, function without arguments)."""
    names = engines_of(trial)
    if trial.in_range:
        visited, steps = trajectory(trial)
        if len(steps):
            yield "kernels", lambda: check_array_functions(trial)
        for name in names if len(steps) else ():
            yield f"steps of {name}", lambda name=name: check_steps(trial, name, visited, steps)
            last = len(steps) - 1
            yield (
                f"rows of {name}",
                lambda name=name, last=last: check_observations(
                    trial.case, name, trial.dtype, last, last // 2
                ),
            )
    for name in names:
        yield f"bits of {name}", lambda name=name: check_bits(trial, name)
    if number % 20 == 7 and hasattr(signal, "setitimer"):
        name = names[number // 20 % len(names)]
        yield f"interruptions of {name}", lambda: check_interruptions(trial, name)


@contextmanager
def small_problems_use_threads_too(period):
    kept = packing.PARALLEL_WORK, planar.PARALLEL_NEURONS, gram.ANCHOR_PERIOD
    packing.PARALLEL_WORK = planar.PARALLEL_NEURONS = 1
    gram.ANCHOR_PERIOD = period
    try:
        # this problem may leave the range on purpose
        with np.errstate(all="ignore"):
            yield
    finally:
        packing.PARALLEL_WORK, planar.PARALLEL_NEURONS, gram.ANCHOR_PERIOD = kept


def told(error):
    """An exception as one line, with the line of these tests that raised it."""
    here = Path(__file__).parent
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == here
    ]
    text = " ".join(str(error).split()) or frames[-1].line
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}: {text}"


def faults(seed, number):
    """The first fault that a problem shows, as one line, or None."""
    trial, part = draw(seed, number), "engines"
    with small_problems_use_threads_too(trial.period):
        try:
            for part, check in parts(trial, number):  # noqa: B007
                check()
        except Exception as error:
            return f"{part}: {told(error)} ({trial})"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--shapes", type=int, help="number of problems (300, or as time allows)")
    parser.add_argument("--seed", type=int, default=0, help="which problems")
    parser.add_argument("--only", type=int, help="this problem alone")
    parser.add_argument("--first", action="store_true", help="stop at the first fault")
    options = parser.parse_args()
    shapes = options.shapes
    if shapes is None and options.minutes is None:
        shapes = 300
    numbers = range(sys.maxsize if shapes is None else shapes)
    if options.only is not None:
        numbers = [options.only]
        print(draw(options.seed, options.only))
    end = np.inf if options.minutes is None else time.monotonic() + 60 * options.minutes
    checked = failed = 0
    for number in numbers:
        if time.monotonic() > end:
            break
        fault = faults(options.seed, number)
        checked += 1
        if fault:
            failed += 1
            again = f"python tests/fuzz.py --seed {options.seed} --only {number}"
            print(f"problem {number}: {fault}; again: {again}", flush=True)
            if options.first:
                break
    print(f"{SIMD_LEVEL}: {checked} problems, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
