"""Threads, layout of arrays, recording and interruptions do not change a bit of a result."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
from pathlib import Path

import bounds
import digests
import numpy as np
import problems
import pytest

import rfa
from rfa.engines import packing, registry
from rfa.engines.observations import Observations
from rfa.engines.planar import engine as planar
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES

ENGINES_AND_DIMENSIONS = [("direct", 17), ("direct", 2), ("gram", 17), ("planar", 2)]


@pytest.fixture(autouse=True)
def small_runs_use_threads_too(monkeypatch):
    monkeypatch.setattr(packing, "PARALLEL_WORK", 1)
    monkeypatch.setattr(planar, "PARALLEL_NEURONS", 1)


@pytest.fixture(scope="module")
def one_thread():
    return digests.digests(1)


@pytest.mark.parametrize("n_threads", [2, 3, 5, 8])
def test_the_number_of_threads(n_threads, one_thread):
    found = digests.digests(n_threads)
    assert len({entry["W"] for entry in found.values()}) == len(found)
    assert found == one_thread


def test_threads_of_64_kilobytes_of_stack(one_thread):
    """The kernels put nothing large on the stacks of threads."""
    program = Path(digests.__file__)
    assert json.loads(problems.in_fresh_python([program], 4, OMP_STACKSIZE="64K")) == one_thread


def experiment(d, **changes):
    return rfa.Experiment(n=313, d=d, m=46, alpha=0.05, steps=100, n_test=40).replace(**changes)


def start(d, dtype="float64"):
    exp = experiment(d, dtype=dtype)
    return exp.network(rng=3), exp.sample(rng=3), exp.sample(rng=3, split="test")


def same(run, other):
    return digests.digest(run) == digests.digest(other)


def memory_mapped(array, folder):
    path = folder / "X.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def read_only(array, folder):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "Fortran": lambda X, folder: np.asfortranarray(X),
    "read-only": read_only,
    "memory-mapped": memory_mapped,
    "big-endian": lambda X, folder: X.astype(X.dtype.newbyteorder(">")),
    "every second row": lambda X, folder: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X, folder: np.repeat(X, 3, axis=1)[:, ::3],
    "backwards": lambda X, folder: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize(("engine", "d"), ENGINES_AND_DIMENSIONS)
def test_the_layout_of_the_input(engine, d, dtype, layout, tmp_path):
    net, data, _ = start(d, dtype)
    expected = rfa.train(net, rfa.Dataset(data.X, data.y), steps=30, engine=engine)
    X = LAYOUTS[layout](np.array(data.X), tmp_path)
    W = LAYOUTS[layout](np.array(net.W), tmp_path / "..") if layout != "memory-mapped" else net.W
    given = X.copy(), W.copy()
    found = rfa.train(rfa.Network(W, net.a), rfa.Dataset(X, data.y), steps=30, engine=engine)
    assert same(found, expected)
    assert found.network.W.dtype == dtype
    assert (given[0] == X).all() and (given[1] == W).all()
    assert rfa.Dataset(X, data.y.astype(">i4")).y.tolist() == data.y.tolist()


@pytest.mark.parametrize("engine", ["direct", "gram"])
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_the_layout_of_samples_with_equal_coordinates(engine, dtype):
    """Samples permute the same numbers, so their products with a mean differ by rounding alone."""
    rng = np.random.default_rng(4)
    n, d = 600, 24
    X = rng.permuted(np.tile(rng.standard_normal(d) / 5, (n, 1)), axis=1).astype(dtype)
    y = rng.choice([-1, 1], n)
    means = np.stack([np.ones(d), np.repeat([1.0, -1.0], d // 2)]) / 5
    cluster = rng.integers(0, 2, n)
    net = rfa.Network.random(m=30, d=d, rng=1)
    found = set()
    for layout in (np.ascontiguousarray, np.asfortranarray, lambda X: np.repeat(X, 2, axis=0)[::2]):
        data = rfa.Dataset(layout(X), y, y_clean=1 - 2 * cluster, cluster=cluster, means=means)
        found.add(rfa.train(net, data, alpha=0.5, steps=30, engine=engine).network.W.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(("engine", "d"), ENGINES_AND_DIMENSIONS)
def test_what_is_watched(engine, d):
    net, data, test = start(d)
    plain = rfa.train(net, data, steps=100, test=test, engine=engine, record="all")
    for watched in (
        {"snapshots": [0, 3, 17, 50, 99, 100]},
        {"progress": True},
        {"progress": False},
        {"stop": lambda t, row: False},
    ):
        assert same(
            rfa.train(net, data, steps=100, test=test, engine=engine, record="all", **watched),
            plain,
        )
    without = rfa.train(net, data, steps=100, engine=engine, record="all")
    assert without.network == plain.network
    assert all(
        without.history[name].tobytes() == plain.history[name].tobytes() for name in without.history
    )


@pytest.mark.parametrize(("engine", "d"), ENGINES_AND_DIMENSIONS)
@pytest.mark.parametrize("record", ["log", 1, 7, [0, 13, 14, 77], None])
def test_what_is_recorded(engine, d, record):
    net, data, test = start(d)
    options = {"steps": 100, "test": test, "engine": engine}
    everything = rfa.train(net, data, record="all", **options)
    some = rfa.train(net, data, record=record, **options)
    assert some.network == everything.network
    assert_rows_agree(some.history, everything.history)


def assert_rows_agree(some, other):
    """Rows at common steps have equal bits in every entry."""
    common = np.intersect1d(some.t, other.t)
    assert len(common) > 0
    for name in some:
        rows, others = (
            history[name][np.isin(history.t, common)[: len(history[name])]]
            for history in (some, other)
        )
        assert rows.tobytes() == others.tobytes(), name


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize(("engine", "d"), ENGINES_AND_DIMENSIONS)
def test_a_short_run_is_the_beginning_of_a_long_one(engine, d, dtype):
    net, data, test = start(d, dtype)
    short = rfa.train(net, data, steps=100, test=test, engine=engine)
    long = rfa.train(net, data, steps=1000, test=test, engine=engine, snapshots=[100])
    assert short.network.W.tobytes() == long.snapshots[100].tobytes()
    assert set(short.history.t) - {100} <= set(long.history.t)
    assert_rows_agree(short.history, long.history)


def test_a_seed_for_all_is_the_same_seed_for_each():
    for dtype in problems.DTYPES:
        exp = experiment(5, dtype=dtype)
        one = exp.run(rng=11)
        data, test = exp.sample(rng=11), exp.sample(rng=11, split="test")
        assert same(one, rfa.train(exp.network(rng=11), data, exp.alpha, exp.steps, test))
        assert not same(one, exp.run(rng=12))


def whole_and_engine(engine, d, steps, n=313, m=46):
    """Observations of a run in one call, and an engine that takes the same steps in pieces."""
    exp = rfa.Experiment(n=n, d=d, m=m, alpha=0.3)
    problem = Problem.of(exp.sample(rng=4), exp.sample(rng=4), 0.3, 5)
    net = exp.network(rng=4)
    at = np.arange(0, steps + 1, 2)
    whole = ENGINES[engine](problem, net.W, net.a, 2)
    rows = Observations.allocate(problem, m, at)
    assert whole.advance(steps, at, rows, 0) == len(at)
    return problem, net, at, whole, rows


def assert_same_rows(rows, others):
    for name, array in vars(rows).items():
        assert array.tobytes() == getattr(others, name).tobytes(), name


@pytest.mark.parametrize(("engine", "d"), ENGINES_AND_DIMENSIONS)
def test_a_state_put_into_another_engine(engine, d):
    problem, net, at, whole, expected = whole_and_engine(engine, d, 60)
    rows = Observations.allocate(problem, net.m, at)
    row, state = 0, None
    for until in (0, 1, 2, 9, 31, 32, 60):
        part = ENGINES[engine](problem, net.W, net.a, 1 + until % 3)
        if state is not None:
            part.set_state(state)
        row += part.advance(until, at[row:], rows, row)
        state = part.get_state()
        assert part.t == until and part.rows == row
    assert_same_rows(rows, expected)
    assert part.weights()[0].tobytes() == whole.weights()[0].tobytes()
    assert state["previous"].tobytes() == whole.get_state()["previous"].tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no interval timer")
@pytest.mark.parametrize(
    ("engine", "n", "d", "m", "steps"),
    [
        ("planar", 2000, 2, 300, 20_000),
        ("direct", 900, 2, 60, 10_000),
        ("direct", 900, 17, 60, 6_000),
        ("gram", 900, 17, 60, 1_000),
        # sizes at which the engine looks at the clock within each part of a step
        ("direct", 20_000, 50, 500, 30),
        pytest.param("gram", 3_000, 50, 500, 30, marks=pytest.mark.slow),
    ],
)
def test_interrupted_and_continued(engine, n, d, m, steps):
    """A run with many real signals, at any place, has the bits of an undisturbed one."""
    problem, net, at, whole, expected = whole_and_engine(engine, d, steps, n, m)
    running = ENGINES[engine](problem, net.W, net.a, 2)
    rows = Observations.allocate(problem, net.m, at)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    row = interruptions = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.06)
        while running.t < steps or row < len(at):
            try:
                running.advance(steps, at[row:], rows, row)
                row = running.rows
            except KeyboardInterrupt:
                # the row of this step can be filled only when the step has been reached
                interruptions += 1
                # later and later, so that even slow steps get done
                signal.setitimer(signal.ITIMER_REAL, 0.06 * 1.5**interruptions)
                row = max(row, running.rows)
                assert row in (
                    np.searchsorted(at, running.t),
                    np.searchsorted(at, running.t, "right"),
                )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interruptions > 0
    assert_same_rows(rows, expected)
    assert running.weights()[0].tobytes() == whole.weights()[0].tobytes()


@pytest.mark.parametrize("engine", ["direct", "gram"])
def test_a_state_is_all_that_counts_after_a_divergence(engine):
    """After set_state, the arrays of a diverged step have no effect."""
    leaky = bounds.PLAIN._replace(slope=0.3, loss="square")
    diverged = 0
    for seed in range(6):
        case = problems.make_case("x", 70, 5, 7, seed)
        case = dataclasses.replace(case, a=np.ones(7), variant=leaky, alpha=30.0)
        used, at_once = case.engine(engine, "float32"), case.engine(engine, "float32")
        start = at_once.get_state()
        at, out = case.rows(engine, "float32", [5000])
        used.advance(5000, at, out, 0)
        diverged += used.diverged
        used.set_state(start)
        at, out = case.rows(engine, "float32", [3])
        used.advance(3, at, out, 0)
        at_once.advance(3, at, out, 0)
        assert used.weights()[0].tobytes() == at_once.weights()[0].tobytes()
        assert used.diverged == at_once.diverged
    assert diverged == 6


def test_a_signal_from_a_thread_interrupts_train():
    """Ctrl-C as the terminal sends it, in the main thread; the partial run is a prefix."""
    net, data, test = start(17)
    sender = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    sender.start()
    with pytest.raises(rfa.Interrupted) as caught:
        rfa.train(net, data, steps=10**8, test=test, record=10**6)
    sender.join()
    partial = caught.value.run
    assert partial.status == "interrupted" and 6 <= partial.t < 10**8
    whole = rfa.train(net, data, steps=partial.t, test=test)
    assert whole.network == partial.network
    assert_rows_agree(partial.history, whole.history)


def content(run):
    """All arrays of a run, as bytes."""
    arrays = [run.network.W, run.network.a, run.initial.W, run.data.X, run.data.y]
    arrays += [*run.snapshots.values(), *(run.history[name] for name in run.history)]
    return [run.t, run.status, *(array.tobytes() for array in arrays)]


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_runs_one_after_another_share_nothing(dtype, monkeypatch):
    """Later runs, in the same thread or in others, do not change the results of a run."""
    exp = rfa.Experiment(n=70, d=40, m=13, steps=30, dtype=dtype)
    options = {"engine": "gram", "record": "all", "snapshots": [0, 9], "n_threads": 1}
    runs = [exp.run(k, **options) for k in range(3)]
    kept = [content(run) for run in runs]
    # then runs of other sizes, and runs that diverge, fail and are interrupted
    exp.replace(m=14).run(0, **options)
    runs.append(exp.replace(alpha=float(np.finfo(dtype).max)).run(3, **options))
    kept.append(content(runs[-1]))
    for error in (ZeroDivisionError, KeyboardInterrupt):

        def stop(t, row, error=error):
            if t == 5:
                raise error
            return False

        with pytest.raises(error) as caught:
            exp.run(4, stop=stop, **options)
    runs.append(caught.value.run)
    kept.append(content(runs[-1]))
    assert (runs[-1].status, runs[-1].t) == ("interrupted", 5)

    def within(t, row):
        """A run within a run."""
        if t == 5:
            runs.append(exp.run(6, **options))
            kept.append(content(runs[-1]))
        return False

    runs.append(exp.run(5, stop=within, **options))
    kept.append(content(runs[-1]))
    # in four threads at once
    found = {}

    def work(seed):
        for k in range(20):
            found[seed + k] = exp.run(seed + k, **options)

    threads = [threading.Thread(target=work, args=(20 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [content(run) for run in runs] == kept
    monkeypatch.setattr(registry, "KEPT_BYTES", 0)
    registry._waiting.__dict__.clear()
    alone = [content(exp.run(k, **options)) for k in range(80)]
    assert [content(found[k]) for k in range(80)] == alone
    assert kept[:3] == alone[:3] and kept[-1] == alone[5] and kept[-2] == alone[6]
