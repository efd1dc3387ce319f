"""train(): recording, snapshots, the end of a run, wrong arguments, time and memory."""

from __future__ import annotations

import io
import json
import logging
import pickle
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rfa
from rfa import reference
from rfa.engines import choice, registry
from rfa.engines.observations import Observations
from rfa.theory import horizon
from rfa.training import loop, progress, recording

ENGINES = [("direct", 6), ("direct", 2), ("gram", 6), ("planar", 2), ("reference", 6)]


def start(d=6, dtype="float64", **changes):
    exp = rfa.Experiment(n=150, d=d, m=25, alpha=0.05, dtype=dtype, n_test=40).replace(**changes)
    return exp.network(rng=5), exp.sample(rng=5), exp.sample(rng=5, split="test")


# ------------------------------------------------------------------------------ steps and records


@pytest.mark.parametrize(("engine", "d"), ENGINES)
def test_a_finished_run(engine, d):
    net, data, test = start(d)
    W, X = net.W.copy(), data.X.copy()
    run = rfa.train(net, data, alpha=0.05, steps=30, test=test, engine=engine)
    assert (run.status, run.t, run.engine, run.alpha) == ("finished", 30, engine, 0.05)
    assert run.data is data and run.test is test
    assert run.initial == net and (net.W == W).all() and (data.X == X).all()
    expected = reference.train(X, data.y, W, net.a, 0.05, 30)
    assert run.network.W == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert list(run.snapshots) == [1, 6]
    assert run.snapshots[1] == pytest.approx(reference.step(X, data.y, W, net.a, 0.05), rel=1e-10)
    assert not run.snapshots[1].flags.writeable
    assert run.stats["seconds"] >= 0
    assert run.provenance["engine"] == engine
    json.dumps(dict(run.provenance))


def test_auto_goes_by_the_sizes():
    for n, d, engine in [
        (300, 2, "planar"),
        (300, 3, "direct"),
        (300, 100, "gram"),
        (99, 3, "gram"),
    ]:
        net, data, _ = start(d, n=n)
        assert rfa.train(net, data, steps=0).engine == engine
    assert rfa.train(rfa.Network([[1.0]], [1.0]), rfa.Dataset([[2.0]], [1]), steps=2).t == 2


@pytest.mark.parametrize(("engine", "d"), ENGINES)
def test_no_steps(engine, d):
    net, data, _ = start(d)
    run = rfa.train(net, data, steps=0, engine=engine, snapshots=[0])
    assert (run.status, run.t, run.history.t.tolist(), list(run.snapshots)) == (
        "finished",
        0,
        [0],
        [0],
    )
    assert run.network == run.initial == net
    assert run.history.flips.tolist() == [0]


def log_steps(steps):
    """t = round(10^(k/40)) up to steps, from integers: 10^k <= (2t+1)^40 / 2^40 ..."""
    return {round(10 ** (k / 40)) for k in range(2 + int(40 * np.log10(steps)))} & set(
        range(steps + 1)
    )


@pytest.mark.parametrize(
    ("record", "alpha", "steps", "expected"),
    [
        ("log", 0.05, 3000, {0, 1, 2, 3, 4, 5, 6, 3000} | log_steps(3000)),
        ("log", 0.05, 3, {0, 1, 2, 3}),
        ("log", 0.001, 100, set(range(101))),
        # T = 2501: all steps to 1000, then T - 1 and T
        ("log", 1e-4, 4000, set(range(1001)) | {2500, 2501, 4000} | log_steps(4000)),
        ("all", 0.05, 77, set(range(78))),
        (10, 0.05, 45, {0, 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 45}),
        (1, 0.05, 9, set(range(10))),
        ([9, 30, 12], 0.05, 45, {0, 1, 2, 3, 4, 5, 6, 9, 12, 30}),
        ([], 0.05, 45, {0, 1, 2, 3, 4, 5, 6}),
        (np.array([7]), 0.05, 45, {0, 1, 2, 3, 4, 5, 6, 7}),
        (None, 0.05, 45, {45}),
        (None, 0.05, 0, {0}),
    ],
)
def test_recorded_steps(record, alpha, steps, expected):
    net, data = rfa.Network([[1.0, 0.5]], [1.0]), rfa.Dataset([[1.0, 2.0], [-1.0, 1.0]], [1, -1])
    for engine in ("planar", "direct"):
        run = rfa.train(net, data, alpha=alpha, steps=steps, record=record, engine=engine)
        assert run.history.t.tolist() == sorted(expected)


def test_snapshots_are_those_of_the_steps():
    net, data, _ = start()
    run = rfa.train(net, data, steps=20, snapshots=[20, 4, 0, 4])
    assert list(run.snapshots) == [0, 1, 4, 6, 20]
    assert run.snapshots[0].tobytes() == net.W.tobytes()
    assert run.snapshots[20].tobytes() == run.network.W.tobytes()
    assert run.snapshots[4].tobytes() == rfa.train(net, data, steps=4).network.W.tobytes()


def test_default_steps_are_the_horizon():
    net, data, _ = start()
    assert rfa.train(net, data, alpha=0.05).t == horizon(0.05) == 6
    with pytest.warns(UserWarning, match="rounded down to 9"):
        assert rfa.train(net, data, alpha=0.03).t == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rfa.train(net, data, alpha=0.03, steps=9).t == 9


def test_precision_follows_X():
    net, data, test = start(dtype="float32")
    run = rfa.train(net, data, steps=10, test=test)
    assert run.network.W.dtype == run.initial.W.dtype == run.snapshots[1].dtype == np.float32
    assert (run.initial.W == net.W.astype(np.float32)).all()
    narrow = rfa.Network(net.W.astype(np.float32), net.a)
    assert rfa.train(narrow, data, steps=10, test=test).network == run.network
    wide = rfa.Dataset(data.X.astype(np.float64), data.y)
    assert rfa.train(narrow, wide, steps=1).network.W.dtype == np.float64


# ------------------------------------------------------------------------------ how a run ends


@pytest.mark.parametrize(("engine", "d"), ENGINES)
def test_stop_sees_recorded_steps_and_their_rows(engine, d):
    net, data, test = start(d)
    options = {"steps": 60, "test": test, "engine": engine, "record": 8}
    whole = rfa.train(net, data, **options)
    seen = []

    def stop(t, row):
        seen.append(t)
        i = whole.history.t.tolist().index(t)
        for name in whole.history:
            entry = whole.history[name]
            if i < len(entry):
                assert np.array_equal(getattr(row, name), entry[i]), name
            else:
                assert not hasattr(row, name)
        return row.t == 32

    run = rfa.train(net, data, stop=stop, **options)
    assert seen == [0, 1, 2, 3, 4, 5, 6, 8, 16, 24, 32]
    assert (run.status, run.t, run.history.t.tolist()) == ("stopped", 32, seen)
    assert run.network == rfa.train(net, data, steps=32, engine=engine).network
    assert list(run.snapshots) == [1, 6]
    immediately = rfa.train(net, data, stop=lambda t, row: True, **options)
    assert (immediately.status, immediately.t, dict(immediately.snapshots)) == ("stopped", 0, {})
    finally_ = rfa.train(net, data, stop=lambda t, row: t == 60, **options)
    assert (finally_.status, finally_.t) == ("finished", 60)


def test_an_error_in_stop_comes_through():
    net, data, _ = start()
    with pytest.raises(ZeroDivisionError):
        rfa.train(net, data, stop=lambda t, row: 1 / 0)


def overflowing(d, dtype):
    """Data so large that f overflows once a huge alpha has made the neurons grow."""
    net, data, _ = start(d, dtype)
    far = np.asarray(data.X) * (1e10 if dtype == "float64" else 1e4)
    return net, rfa.Dataset(far.astype(dtype), data.y)


@pytest.mark.parametrize("record", ["log", "all", None])
@pytest.mark.parametrize(
    ("dtype", "alpha", "t"),
    # W_1, or else f(x; W_1), is out of range
    [("float64", 1e300, 0), ("float64", 1e292, 1), ("float32", 1e37, 0), ("float32", 1e33, 1)],
)
@pytest.mark.parametrize(("engine", "d"), ENGINES)
@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_a_diverging_run_stops_with_its_last_whole_step(engine, d, dtype, alpha, t, record, caplog):
    net, data = overflowing(d, dtype)
    with caplog.at_level(logging.WARNING, "rfa"):
        run = rfa.train(net, data, alpha=alpha, steps=500, engine=engine, record=record)
    if engine == "planar" and alpha == 1e33:
        # planar computes f in float64, where it is in range
        assert run.status == "finished" and np.isfinite(run.network.W).all()
        return
    if engine == "gram" and t == 1:
        # W_1 is in range, but its inner products with the samples, which gram computes, are not
        after = reference.step(data.X, data.y, net.W.astype(dtype), net.a.astype(dtype), alpha)
        assert np.isfinite(after).all() and not np.isfinite(data.X @ after.astype(dtype).T).all()
        t = 0
    assert (run.status, run.t) == ("diverged", t)
    assert np.isfinite(run.network.W).all()
    assert f"diverged at t={t}" in caplog.text
    # f(x; W_1) cannot be recorded, f(x; W_0) can
    assert run.history.t.tolist() == ([] if record is None else [0])
    assert all(np.isfinite(run.history[name]).all() for name in ("loss", "norm", "flips"))
    assert (run.network == run.initial) == (t == 0)
    with pytest.raises(KeyError):
        run.history.row(1)
    a = run.network.a.astype(dtype)
    f = reference.forward(data.X, run.network.W, a)
    after = reference.step(data.X, data.y, run.network.W, a, alpha).astype(dtype)
    finite = np.isfinite(f).all() and np.isfinite(after).all()
    assert not finite or (engine == "gram" and not np.isfinite(data.X @ after.T).all())


@pytest.mark.parametrize(("engine", "d"), ENGINES[:4])
def test_a_huge_step_size_alone_is_not_divergence(engine, d):
    """The gradient is bounded, so the neurons stay of the size of alpha."""
    net, data, _ = start(d)
    run = rfa.train(net, data, alpha=1e300, steps=50, engine=engine)
    assert run.status == "finished" and np.abs(run.network.W).max() > 1e297
    f = reference.forward(data.X, run.network.W, net.a)
    right = (data.y * f > 0).sum()
    assert (
        data.n - run.history.clean_wrong[-1] - data.noisy.sum() + run.history.noisy_fitted[-1]
        == right
    )


def test_ctrl_c_stops_a_long_run_at_once_with_what_there_is():
    """Both many short steps and a few long ones."""
    slowest = 0.0
    for n, d, m, steps in [(3000, 2, 300, 10**9), (300, 20, 40, 10**9), (200_000, 40, 400, 10**6)]:
        exp = rfa.Experiment(n=n, d=d, m=m)
        net, data, sent = exp.network(), exp.sample(), []

        def interrupt(sent=sent):
            sent.append(time.perf_counter())
            signal.raise_signal(signal.SIGINT)

        timer = threading.Timer(0.4, interrupt)

        def arm(t, row, timer=timer):
            """Start the clock once the run has begun, however long its preparation takes."""
            if t == 0:
                timer.start()

        with pytest.raises(KeyboardInterrupt) as caught:
            rfa.train(net, data, alpha=0.05, steps=steps, record=10**6, stop=arm)
        slowest = max(slowest, time.perf_counter() - sent[0])
        timer.join()
        assert isinstance(caught.value, rfa.Interrupted)
        run = caught.value.run
        assert run.status == "interrupted" and run.t < steps
        # the row of the last step may be missing
        early = list(range(min(run.t, 6) + 1))
        assert run.history.t.tolist() in (early, early[: run.t])
        assert np.isfinite(run.history.loss).all() and (run.history.norm > 0).all()
        assert np.isfinite(run.network.W).all()
        again = pickle.loads(pickle.dumps(caught.value))
        assert again.run.network == run.network and str(again) == f"interrupted at t={run.t}"
    problems.FIGURES["Ctrl-C, slowest of three runs"] = f"{slowest:.3f} s"
    assert slowest < 5  # only against hanging; half a second is promised


def test_ctrl_c_within_stop():
    net, data, _ = start()

    def stop(t, row):
        if t == 3:
            raise KeyboardInterrupt
        return False

    with pytest.raises(rfa.Interrupted) as caught:
        rfa.train(net, data, steps=50, stop=stop)
    assert caught.value.run.t == 3
    assert caught.value.run.history.t.tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------------------ progress and log


def test_progress_is_shown_on_request_only(capfd, monkeypatch):
    net, data, _ = start()
    rfa.train(net, data, steps=50)
    rfa.train(net, data, steps=50, progress=False)
    assert capfd.readouterr() == ("", "")
    rfa.train(net, data, steps=50, progress=True)
    shown = capfd.readouterr()
    assert shown.out == "" and "step" in shown.err
    # on a terminal, but too short for a bar
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    rfa.train(net, data, steps=50)
    assert capfd.readouterr() == ("", "")


def test_progress_reaches_the_end(monkeypatch):
    import tqdm

    made = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **options):
            made.append(self)
            self.closed = False
            super().__init__(*args, **options)

        def close(self):
            self.closed = True
            super().close()

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    net, data, _ = start()
    rfa.train(net, data, steps=500, progress=True)
    assert [(bar.n, bar.total, bar.closed) for bar in made] == [(500, 500, True)]


def test_a_run_is_logged(caplog):
    net, data, _ = start()
    with caplog.at_level(logging.INFO, "rfa"):
        run = rfa.train(net, data, steps=5)
    assert [record.name for record in caplog.records] == ["rfa"]
    assert repr(run) in caplog.text


# ------------------------------------------------------------------------------ bad arguments

BAD = [
    ("net", np.ones((3, 6)), TypeError, "net must be a rfa.Network, got ndarray"),
    ("net", rfa.Network(np.ones((3, 5))), ValueError, "net has dimension d=5"),
    ("data", np.ones((3, 6)), TypeError, "data must be a rfa.Dataset, got ndarray"),
    ("test", np.ones((3, 6)), TypeError, "test must be a rfa.Dataset or None"),
    ("test", rfa.Dataset(np.ones((3, 5)), [1, 1, -1]), ValueError, "test has dimension d=5"),
    ("alpha", 0, ValueError, "alpha must be positive"),
    ("alpha", -0.1, ValueError, "alpha must be positive"),
    ("alpha", float("nan"), ValueError, "alpha must be finite"),
    ("alpha", 1e-320, ValueError, "alpha must be large enough"),
    ("alpha", 1e-307, ValueError, "alpha must be at least .*e-30.* in float64, got 1e-307"),
    ("alpha", "fast", TypeError, "alpha must be a real number"),
    ("alpha", 1j, TypeError, "alpha must be a real number"),
    ("steps", -1, ValueError, "steps must be at least 0, got -1"),
    ("steps", 2.5, TypeError, "steps must be an integer"),
    ("steps", True, TypeError, "steps must be an integer"),
    ("engine", "fast", ValueError, "engine must be 'auto' or one of"),
    ("steps", 10**900, ValueError, r"steps must be at most 2\^53, got about 2\^2990"),
    ("steps", -(10**900), ValueError, r"steps must be at least 0, got about -2\^2990"),
    ("engine", ["planar"], ValueError, r"engine must be 'auto' or one of .*, got \['planar'\]"),
    ("record", b"all", TypeError, "record must be an integer, got b'all'"),
    ("progress", "no", TypeError, "progress must be True, False or None, got 'no'"),
    ("stop", lambda t, row: np.ones(3), TypeError, "stop must return a true or false value"),
    ("snapshots", b"12", TypeError, "snapshots must be a list of steps, got b'12'"),
    ("engine", "planar", ValueError, "engine 'planar' needs d=2, the data have d=6"),
    ("record", "some", ValueError, "record must be"),
    ("record", 0, ValueError, "record must be at least 1, got 0"),
    ("record", -3, ValueError, "record must be at least 1"),
    ("record", 1.5, TypeError, "record must be an integer"),
    ("record", [1, -1], ValueError, "record must be at least 0"),
    ("record", [1, 99], ValueError, "record has step 99, but the run ends at 10"),
    ("record", [0.5], TypeError, "record must be an integer"),
    ("snapshots", [11], ValueError, "snapshots has step 11, but the run ends at 10"),
    ("snapshots", [-1], ValueError, "snapshots must be at least 0"),
    ("snapshots", 3, TypeError, "snapshots must be a list of steps, got 3"),
    ("snapshots", "all", TypeError, "snapshots must be a list of steps"),
    ("stop", 5, TypeError, "stop must be callable or None, got int"),
    ("n_threads", 0, ValueError, "n_threads must be at least 1, got 0"),
    ("n_threads", -1, ValueError, "n_threads must be at least 1"),
    ("n_threads", 2.0, TypeError, "n_threads must be an integer"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), BAD)
def test_bad_arguments_are_named(name, value, error, message):
    net, data, _ = start()
    arguments = {"net": net, "data": data, "steps": 10} | {name: value}
    with pytest.raises(error, match=message) as caught:
        rfa.train(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("engine", "d"), ENGINES)
@pytest.mark.parametrize("name", ["net.W", "net.a", "test.X"])
def test_what_the_type_of_X_cannot_hold_is_named(engine, d, name):
    """Beyond float32 W would be infinite, and no search for its arcs would end."""
    net, data, test = start(d, dtype="float32")
    huge = np.full((3, d), 1e300)
    if name == "net.W":
        net = rfa.Network(huge)
    elif name == "net.a":
        net = rfa.Network(np.ones((3, d)), [1.0, 1.0, -1e39])
    else:
        test = rfa.Dataset(huge, [1, 1, -1])
    with pytest.raises(ValueError, match=f"^{name} must be within the range of float32, .* has 1e"):
        rfa.train(net, data, test=test, engine=engine, steps=1)


def test_the_second_layer_is_the_networks_own():
    net, data, _ = start(dtype="float32")
    run = rfa.train(net, data, steps=1)
    assert run.network.a.tolist() == net.a.tolist() == run.initial.a.tolist()


@pytest.mark.parametrize("progress", [None, True])
@pytest.mark.parametrize("stderr", problems.STREAMS)
def test_a_program_without_a_console_can_train(stderr, progress, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", problems.stream(stderr, tmp_path))
    net, data, _ = start()
    assert rfa.train(net, data, steps=40, progress=progress).t == 40
    # a bar that could not be drawn leaves no lock behind
    other = threading.Thread(
        target=lambda: rfa.train(net, data, steps=4, progress=True), daemon=True
    )
    other.start()
    other.join(20)
    assert not other.is_alive()


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_at_the_very_end_loses_nothing(times, monkeypatch):
    """A second Ctrl-C while the result is made."""
    net, data, _ = start()
    derive, calls = loop.derive, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) <= times:
            raise KeyboardInterrupt
        return derive(*arguments)

    monkeypatch.setattr(loop, "derive", interrupted)
    with pytest.raises(rfa.Interrupted) as caught:
        rfa.train(net, data, steps=7)
    assert caught.value.run.t == 7 and caught.value.run.status == "interrupted"


class Interrupting(logging.Handler):
    """A Ctrl-C while the log or a stream is written."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def emit(self, record):
        if self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)

    def write(self, text):
        if text.startswith("\r") and not text.strip():  # the bar is wiped out
            self.emit(None)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_ctrl_c_while_the_progress_bar_is_closed(times, fails, monkeypatch):
    def stop(t, row):
        return fails and t == 7 and signal.raise_signal(signal.SIGINT)

    stream = Interrupting(times)
    monkeypatch.setattr(sys, "stderr", stream)
    net, data, _ = start()
    with pytest.raises(rfa.Interrupted) as caught:
        rfa.train(net, data, steps=7, progress=True, stop=stop)
    assert stream.times < times
    assert caught.value.run.t == 7 and caught.value.run.status == "interrupted"


@pytest.mark.parametrize("engine", ["direct", "gram"])
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_in_the_log(engine, times, caplog):
    net, data, _ = start()
    whole = rfa.train(net, data, steps=7, engine=engine)
    handler = Interrupting(times)
    caplog.set_level(logging.INFO, "rfa")
    loop.logger.addHandler(handler)
    try:
        with pytest.raises(rfa.Interrupted) as caught:
            rfa.train(net, data, steps=7, engine=engine)
    finally:
        loop.logger.removeHandler(handler)
    run = caught.value.run
    assert run.t == 7 and run.status == "interrupted" and len(run.history) == len(whole.history)
    assert run.network == whole.network


def test_what_stop_raises_closes_the_progress_bar(monkeypatch):
    def stop(t, row):
        raise ZeroDivisionError

    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    net, data, _ = start()
    with pytest.raises(ZeroDivisionError):
        rfa.train(net, data, steps=7, progress=True, stop=stop)
    assert stream.getvalue().endswith(" \r")  # wiped out


def test_large_engines_do_not_wait_for_the_next_run(monkeypatch):
    exp = rfa.Experiment(n=70, d=40, m=13, steps=3)
    exp.run(0, engine="gram")
    assert registry._waiting.engine.nbytes < registry.KEPT_BYTES
    monkeypatch.setattr(registry, "KEPT_BYTES", registry._waiting.engine.nbytes - 1)
    exp.run(0, engine="gram")
    assert not vars(registry._waiting)


def test_no_snapshots():
    net, data, _ = start()
    run = rfa.train(net, data, steps=20, snapshots=None)
    assert not run.snapshots and run.t == 20
    assert run.network == rfa.train(net, data, steps=20).network


def test_pieces_last_about_as_long_as_they_should(monkeypatch):
    """A run with a bar is cut after a few steps at first, and then by the time that they took."""
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    pieces, t, taken = progress.Progress(True, 10**9), 0, []
    pieces.delay = np.inf  # nothing is drawn
    for seconds in [1e-5] * 6 + [1e-2] * 3:  # a step
        until = pieces.next_halt(t, 10**9)
        now[0] += seconds * (until - t)
        taken.append(until - t)
        t = until
        pieces.show(t)
    assert taken[:4] == [1, 32, 1024, 20000] and all(abs(k - 20000) <= 2 for k in taken[3:7])
    assert taken[-1] == pytest.approx(20, abs=1)
    assert pieces.next_halt(t, t + 5) == t + 5


def test_a_result_is_not_copied_over_and_over():
    """After Ctrl-C the run is made with one copy of W, not several."""
    net, data, _ = start(m=400, d=500, n=100)
    import tracemalloc

    tracemalloc.start()
    run = rfa.train(net, data, steps=0, record=None, engine="direct")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.initial is net
    size = net.W.nbytes
    # the engine holds W three times and X twice, a quarter of W each; the result is the only copy
    # that stays
    assert kept < 1.5 * size and peak < 6 * size


def test_a_run_that_ends_early_keeps_no_memory_for_what_it_did_not_do():
    net, data, _ = start()
    run = rfa.train(net, data, steps=900, record="all", stop=lambda t, row: t >= 5)
    for name in run.history:
        array = run.history[name]
        assert len(array) == 6 and (array.base is None or array.base.size == array.size)


def test_huge_numbers_of_steps_are_not_allocated():
    net, data = overflowing(6, "float64")
    run = rfa.train(net, data, steps=10**15, record=None, n_threads=3, alpha=1e300)
    assert run.status == "diverged"


# ------------------------------------------------------------------------------ what it costs


def python_calls(function):
    """The number of Python functions that a call enters; a first call loads all modules."""
    calls = []

    def count(frame, event, arg):
        if event == "call":
            calls.append(frame.f_code.co_name)

    function()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(("engine", "d"), [("direct", 6), ("gram", 6), ("planar", 2)])
def test_a_thousand_steps_are_few_python_calls(engine, d):
    """The functions that the steps enter, without those for checks, allocation and the result."""
    net, data, test = start(d)
    options = {"test": test, "engine": engine}
    none = python_calls(lambda: rfa.train(net, data, steps=0, **options))
    calls = python_calls(lambda: rfa.train(net, data, steps=1000, **options))
    problems.FIGURES[f"Python calls in 1000 steps, {engine}"] = (
        f"{len(calls) - len(none)} beside {len(none)} before and after"
    )
    assert len(calls) - len(none) < 50
    assert len(calls) == len(python_calls(lambda: rfa.train(net, data, steps=99, **options)))


MEASURE_MEMORY = """
import json, resource, sys, tracemalloc
from pathlib import Path
import numpy as np
import rfa

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would include the parent process
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024

n, m, d, dtype = 50_000, 1000, int(sys.argv[1]), sys.argv[2]
exp = rfa.Experiment(n=n, d=d, m=m, dtype=dtype)
net, data = exp.network(), exp.sample()
rfa.train(net, rfa.Dataset(data.X[:9], data.y[:9]), steps=1)  # loads all modules
tracemalloc.start()
before = peak()
rfa.train(net, data, steps=2, n_threads=2)
after, traced = peak(), tracemalloc.get_traced_memory()[1]
np.ones(n * m, np.float32)
print(json.dumps([traced, after - before, peak() - after]))
"""


@pytest.mark.parametrize(("engine", "d"), [("direct", 8), ("planar", 2)])
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_no_array_of_n_times_m_floats(engine, d, dtype):
    pytest.importorskip("resource", reason="the system has no getrusage")
    # -P: the current folder may be a source tree, whose rfa/ is not built
    measured = problems.in_fresh_python(["-P", "-c", MEASURE_MEMORY], d, dtype)
    traced, grown, control = json.loads(measured)
    full = 50_000 * 1000 * 4
    problems.FIGURES[f"memory of a run with n*m*4 = 200 MB, {engine} {dtype}"] = (
        f"{traced / 1e6:.0f} MB traced, {grown / 1e6:.0f} MB resident"
    )
    assert traced < full / 2
    assert grown < full / 2
    assert control > full / 2  # the measurement would have shown such an array


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 2**60}, r"steps must be at most 2\^53"),
        ({"alpha": 1e-300}, r"steps must be at most 2\^53"),
        ({"n_threads": 10**6}, "n_threads must be at most 1024"),
        ({"steps": 9 * 10**6, "record": "all"}, "record must .* 9000000 rows, but at most 8165"),
        ({"steps": 10**15, "record": 2}, "record must .* 500000000000000 rows, but at most 8165"),
    ],
)
def test_sizes_beyond_all_use_are_refused(arguments, words, monkeypatch):
    net, data, _ = start()
    monkeypatch.setattr(Observations, "allocate", lambda *given: pytest.fail("allocated"))
    with pytest.raises(ValueError, match=f"^{words}"):
        rfa.train(net, data, **arguments)


def test_rows_up_to_the_horizon_are_counted(monkeypatch):
    monkeypatch.setattr(Observations, "allocate", lambda *given: pytest.fail("allocated"))
    net, data = rfa.Network.random(m=90, d=2), rfa.XORClusters().sample(n=50)
    with pytest.raises(ValueError, match="2500002 rows of m=90 neurons take 42"):
        rfa.train(net, data, alpha=1e-7, record="all")


def test_every_mean_is_counted(monkeypatch):
    monkeypatch.setattr(Observations, "allocate", lambda *given: pytest.fail("allocated"))
    k, net = 2000, rfa.Network.random(m=500, d=2)
    labels = np.ones(k)
    means = np.random.default_rng(0).standard_normal((k, 2))
    data = rfa.Dataset(means, labels, y_clean=labels, cluster=np.arange(k), means=means)
    with pytest.raises(ValueError, match=r"666 rows of m=500 neurons take 29\.\d GiB"):
        rfa.train(net, data, alpha=1 / 2660, steps=665, record="all")


@pytest.mark.parametrize("last", [30, 20, 5])
def test_what_is_counted_is_what_is_taken(last, monkeypatch):
    """Observations and history, with the copies of a run that ends early, are counted exactly."""
    exp, observed = rfa.Experiment(n=40, d=3, m=7, steps=30, n_test=9), {}
    allocate = Observations.allocate

    def noted(*given):
        out = allocate(*given)
        observed.update(vars(out))
        return out

    def run(most):
        monkeypatch.setattr(recording, "MAX_HISTORY", most)
        return exp.run(record="all", snapshots=None, stop=lambda t, row: t == last)

    monkeypatch.setattr(Observations, "allocate", noted)
    history = run(2**34).history
    entries = [history[name] for name in history]
    own = sum(array.nbytes for array in entries if array.base is None)
    allocated = sum(array.nbytes for array in observed.values())
    # the steps, and four numbers a row that are not observed as they are
    total = allocated + 31 * 8 * 5
    if last == 30:
        assert own == 31 * 8 * 4
    # pages of unfilled rows are not touched
    assert allocated * len(history) / 31 + own <= total
    run(total)
    with pytest.raises(ValueError, match="record must choose fewer steps: 31 rows"):
        run(total - 1)


def test_snapshots_beyond_all_use_are_refused(monkeypatch):
    net, data, _ = start()
    monkeypatch.setattr(recording, "MAX_HISTORY", 300 * net.W.nbytes)
    assert len(rfa.train(net, data, steps=299, record=None, snapshots=range(300)).snapshots) == 300
    with pytest.raises(ValueError, match="^snapshots must be fewer: 301 W take .* are kept"):
        rfa.train(net, data, steps=300, record=None, snapshots=range(301))


def test_a_horizon_beyond_all_integers_is_no_obstacle():
    net, data, _ = start()
    run = rfa.train(net, data, alpha=1e-300, steps=3)
    assert run.history.t.tolist() == [0, 1, 2, 3]
    assert len(run.history.h_low) == 4


@pytest.mark.parametrize(
    ("m", "dtype", "border"),
    [
        (252, "float32", lambda d: 24 * d // 10 + 330),
        (252, "float64", lambda d: 24 * d // 10 + 165),
        (253, "float32", lambda d: 27 * d // 10 + 400),
        (253, "float64", lambda d: 27 * d // 10 + 200),
    ],
)
@given(st.integers(1, 3000).filter(lambda d: d != 2))
def test_auto_keeps_to_its_constants(m, dtype, border, d):
    """The docstring of train has the same constants."""
    n = border(d)
    assert choice.by_cost(n, d, m, 0, np.dtype(dtype))[0] == "gram"
    assert choice.by_cost(n + 1, d, m, 0, np.dtype(dtype))[0] == "direct"
    assert choice.by_cost(n, 2, m, 0, np.dtype(dtype))[0] == "planar"


@given(st.integers(1, 4096), st.sampled_from([8, 512]), st.sampled_from(["float32", "float64"]))
def test_auto_keeps_to_its_memory(n, m, dtype):
    """A test point takes n + 2 m reals, of 2^31 bytes beside K, H three times and coefficients."""
    size = np.dtype(dtype).itemsize
    tests = (2**31 // size - n * n - 4 * n * m) // (n + 2 * m)
    assert choice.by_cost(n, 10**5, m, tests, np.dtype(dtype))[0] == "gram"
    assert choice.by_cost(n, 10**5, m, tests + 1, np.dtype(dtype))[0] == "direct"


def test_whether_test_points_are_watched_changes_no_bit_of_a_run():
    """They are computed when they are observed, and change neither the engine nor its steps."""
    net, data, test = start(70, n_test=2000)
    plain = rfa.train(net, data, steps=30)
    watched = rfa.train(net, data, steps=30, test=test)
    assert plain.engine == watched.engine == "gram"
    assert plain.network.W.tobytes() == watched.network.W.tobytes()
    assert plain.history.norm.tobytes() == watched.history.norm.tobytes()
