"""Studies: seed keys, grids, threads, frequencies, Ctrl-C."""

from __future__ import annotations

import functools
import itertools
import json
import os
import pickle
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import problems
import pytest
from scipy import stats
from statement_cases import VALUES

import rfa
from rfa import _runtime
from rfa.kernels import guards
from rfa.studies import checks, executors
from rfa.theory import STATEMENTS, clopper_pearson

SMALL = rfa.Experiment(n=40, d=3, m=8, alpha=0.125, steps=4)


def test_a_trial_is_the_run_of_its_key_alone():
    found = rfa.study(SMALL, grid={"m": [4, 8], "alpha": [0.125, 0.25]}, trials=3, rng=7)
    assert [(r["m"], r["alpha"], r["trial"]) for r in found.records] == [
        (m, alpha, k) for m in (4, 8) for alpha in (0.125, 0.25) for k in range(3)
    ]
    for record in found.records:
        seed = np.random.SeedSequence(7, spawn_key=(record["trial"],))
        alone = SMALL.replace(m=record["m"], alpha=record["alpha"]).run(rng=seed)
        assert record["loss"] == alone.history.loss[-1]
        assert record["clean_wrong"] == alone.history.clean_wrong[-1]
        assert (record["status"], record["t"]) == ("finished", 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trials_that_use_memory_again_are_the_runs_alone(dtype):
    """gram reuses its arrays in the next trial, but the results of earlier trials do not change."""
    exp = rfa.Experiment(n=70, d=40, m=13, steps=8, dtype=dtype)
    runs = {}

    def measure(run):
        runs[run.data.seed.spawn_key] = run
        return {"W": run.network.W.tobytes(), "W_1": run.snapshots[1].tobytes()}

    found = rfa.study(exp, grid={"m": [13, 20]}, trials=12, measure=measure).records
    final = rfa.study(exp, grid={"m": [13, 20]}, trials=12).records
    for record, numbers in zip(found, final, strict=True):
        alone = exp.replace(m=record["m"]).run(
            np.random.SeedSequence(0, spawn_key=(record["trial"],))
        )
        assert alone.engine == "gram"
        assert record["W"] == alone.network.W.tobytes()
        assert record["W_1"] == alone.snapshots[1].tobytes()
        assert numbers["loss"] == alone.history.loss[-1]
    assert len(runs) == 12
    for (k,), run in runs.items():
        record = next(r for r in found if r["trial"] == k and r["m"] == run.network.m)
        assert record["W"] == run.network.W.tobytes()
        assert run.data.X.tobytes() == exp.sample(run.data.seed).X.tobytes()


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ),
    reason="only glibc's own policy is known",
)
def test_trials_do_not_fault_their_memory_in_again():
    import resource

    exp = rfa.Experiment(n=200, d=100, m=128, steps=1)
    rfa.study(exp, trials=10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    rfa.study(exp, trials=50)
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50
    problems.FIGURES["page faults of a trial"] = f"{faults:.1f}"
    # its arrays have about 900 pages
    assert faults < 100


def test_more_trials_and_a_larger_grid_change_no_trial():
    small = rfa.study(SMALL, grid={"m": [8]}, trials=2, rng=1)
    large = rfa.study(SMALL, grid={"m": [4, 8, 9]}, trials=5, rng=1)
    kept = [record for record in large.select(m=8) if record["trial"] < 2]
    assert list(small.records) == kept
    nested = rfa.study(SMALL, trials=1, rng=np.random.SeedSequence(1, spawn_key=(5,)))
    alone = SMALL.run(rng=np.random.SeedSequence(1, spawn_key=(5, 0)))
    assert nested.records[0]["loss"] == alone.history.loss[-1]


@pytest.mark.parametrize("measure", ["final", "check"])
def test_the_number_of_threads_changes_nothing(measure, monkeypatch):
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(_runtime, "wanted_threads", lambda n=None, t=threads: n or t)
        found.append(rfa.study(SMALL, trials=6, rng=3, measure=measure).records)
    assert str(found[0]) == str(found[1])  # as text, since NaN != NaN


def test_runs_are_shared_among_threads(monkeypatch):
    monkeypatch.setattr(_runtime, "wanted_threads", lambda n=None: n or 3)
    seen = set()
    together = threading.Barrier(3, timeout=60)

    def measure(run):
        together.wait()
        seen.add(threading.get_ident())
        return {}

    rfa.study(SMALL, trials=6, measure=measure)
    assert len(seen) == 3


def test_every_statement_is_measured_as_check_says():
    found = rfa.study(SMALL, trials=2, rng=2, measure=functools.partial(checks, delta=0.2, C0=3.0))
    for k, record in enumerate(found.records):
        run = SMALL.run(rng=np.random.SeedSequence(2, spawn_key=(k,)))
        report = rfa.theory.check(run, delta=0.2, C0=3.0)
        assert record["delta"] == 0.2
        for name in STATEMENTS:
            one = report[name]
            compared = one.applicable and name not in VALUES
            assert record[name] == (one.holds if compared else None)
            assert record[f"{name}:verdict"] == one.verdict
            assert record[f"{name}:hypotheses_met"] == one.hypotheses_met
            np.testing.assert_equal(record[f"{name}:value"], one.value)


@pytest.mark.parametrize("k", [0, 1, 7, 19, 20])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_clopper_pearson(k, confidence):
    interval = stats.binomtest(k, 20).proportion_ci(confidence, "exact")
    assert clopper_pearson(k, 20, confidence) == pytest.approx(tuple(interval), abs=1e-12)


def test_truth_values_of_ones_own_have_proportions_without_a_verdict():
    found = rfa.study(
        SMALL, grid={"m": [4, 8]}, trials=4, measure=lambda run: {"wide": run.network.m > 4, "x": 1}
    )
    assert found.proportion("wide", m=8)[:2] == (4, 4)
    assert found.proportion("wide", m=4)[:2] == (0, 4)
    assert found.proportion("wide", m=4).verdict == ""
    with pytest.raises(ValueError, match=r"a value of m must be given .*, such as m=4$"):
        found.proportion("wide")
    with pytest.raises(ValueError, match="'x' is not true or false in this study"):
        found.proportion("x", m=4)
    with pytest.raises(ValueError, match="'lemma_4_2' was not .* measure was not 'check'$"):
        found.proportion("lemma_4_2", m=4)
    with pytest.raises(ValueError, match="'tall' was not measured .* or a name that"):
        found.proportion("tall", m=4)
    unfinished = rfa.Study(SMALL, {"m": (4, 8)}, 4, {}, found.records[:4], 1.0)
    with pytest.raises(ValueError, match="no trial of this cell is finished"):
        unfinished.proportion("wide", m=8)
    with pytest.raises(ValueError, match="d is not in the grid, which varies m"):
        found.select(d=3)
    with pytest.raises(ValueError, match=r"m=5 is not in the grid \(4, 8\)"):
        found.select(m=5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"exp": "theorem"}, TypeError, "exp must be a rfa.Experiment, got str"),
        ({"trials": 0}, ValueError, "trials must be at least 1"),
        ({"grid": {"lr": [1]}}, ValueError, "grid has 'lr', which is no parameter: n, d, m"),
        ({"grid": {"m": 5}}, TypeError, r"grid\['m'\] must be several values, got 5"),
        ({"grid": {"m": []}}, ValueError, "grid must have at least one value of m"),
        ({"grid": {"m": [4, 8, 4]}}, ValueError, "grid must have no value of m twice"),
        ({"grid": 3}, TypeError, "grid must be a dict of values, got 3"),
        ({"grid": {3: [4]}}, ValueError, "grid has 3, which is no parameter"),
        ({"grid": {"m": np.array(3)}}, TypeError, r"grid\['m'\] must be several values"),
        ({"grid": {"law": "gaussian"}}, TypeError, r"grid\['law'\] must be several values"),
        ({"grid": {"m": itertools.count(1)}}, ValueError, r"grid\['m'\] must be at most 1048576"),
        (
            {"grid": {"m": range(1, 3000), "steps": range(3000)}},
            ValueError,
            "grid must have at most 1048576 cells, got 8997000",
        ),
        ({"grid": {"mu": [np.eye(3)]}}, ValueError, r"mu must have shape \(2, 3\)"),
        ({"trials": 2**31}, ValueError, "trials must be at most 1073741824 in 1 cells"),
        ({"trials": 2**63}, ValueError, "trials must be at most 1073741824"),
        ({"trials": 10**5000}, ValueError, "trials must be at most 1073741824"),
        (
            {"trials": 2**29, "grid": {"m": [1, 2, 3]}},
            ValueError,
            "trials must be at most 357913941 in 3 cells",
        ),
        ({"progress": "no"}, TypeError, "progress must be True, False or None, got 'no'"),
        ({"progress": np.arange(2)}, TypeError, "progress must be True, False or None"),
        ({"measure": np.arange(2)}, TypeError, "measure must be ids or rfa.theory.Statement"),
        ({"grid": {"m": [0]}}, ValueError, "m must be at least 1"),
        ({"rng": np.random.default_rng(0)}, TypeError, "rng must be an int, a SeedSequence"),
        ({"measure": "loss"}, ValueError, "measure must be 'final', 'check', a list of statements"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        rfa.study(**{"exp": SMALL, "trials": 2, **arguments})


def failing(k, error):
    """A measure that raises in trial k."""

    def measure(run):
        if run.data.seed.spawn_key == (k,):
            raise error
        return {"t": run.t}

    return measure


@pytest.mark.parametrize("threads", [1, 2])
def test_a_measure_that_raises_keeps_the_trials_that_are_finished(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    cause = ZeroDivisionError("no\nmeasure")
    with pytest.raises(rfa.TrialError) as caught:
        rfa.study(SMALL, {"m": [4]}, trials=20, measure=failing(15, cause))
    error = caught.value
    assert isinstance(error, RuntimeError) and error.__cause__ is cause
    assert (error.cell, error.trial) == ({"m": 4}, 15)
    finished = [record["trial"] for record in error.study.records]
    assert finished == sorted(set(finished)) and 15 not in finished
    # of the trials before it, only those that other threads ran may be missing
    assert len(set(range(15)) - set(finished)) <= threads - 1
    where = f"trial 15 of m=4 failed, with {len(finished)} finished"
    assert str(error) == f"{where}: ZeroDivisionError: no measure"
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and (again.cell, again.trial) == ({"m": 4}, 15)
    assert again.study.records == error.study.records


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cause", [SystemExit(3), GeneratorExit(), queue.Empty()])
def test_whatever_a_measure_raises_is_the_trials(cause, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    with pytest.raises(rfa.TrialError, match="^trial 15 failed") as caught:
        rfa.study(SMALL, trials=20, measure=failing(15, cause))
    assert caught.value.__cause__ is cause
    assert len(set(range(15)) - {r["trial"] for r in caught.value.study.records}) <= threads - 1


class Slotted(Exception):
    """An exception that takes no attributes."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
@pytest.mark.parametrize("kind", [TimeoutError, SystemExit, Slotted])
def test_what_a_signals_handler_raises_carries_the_trials_that_are_finished(kind):
    error = kind("late")

    def handler(number, frame):
        raise error

    def measure(run):
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        return {"t": run.t}

    before = signal.signal(signal.SIGALRM, handler)
    begin = time.perf_counter()
    try:
        with pytest.raises(kind) as caught:
            # 10^9 steps would last an hour
            rfa.study(SMALL, {"steps": [4, 10**9]}, trials=2, measure=measure)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.value is error and time.perf_counter() - begin < 60
    if kind is not Slotted:
        assert [record["t"] for record in error.study.records] == [4] * len(error.study)
        number = len(error.study)
        assert number and error.__notes__ == [
            f"the study's finished trials, {number}, are this exception's .study"
        ]


@pytest.mark.parametrize("progress", [None, True])
@pytest.mark.parametrize("form", problems.STREAMS)
def test_a_program_without_a_console_can_run_a_study(form, progress, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", problems.stream(form, tmp_path))
    assert len(rfa.study(SMALL, trials=30, progress=progress)) == 30


EXIT = """
import sys, threading, time
import rfa

def forever(run):
    if {measure}:
        time.sleep(600)
    return {{}}

exp = rfa.Experiment(n=300, d=50, m=100, steps={steps})
options = {{"trials": 10000, "measure": forever}}
threading.Thread(target=rfa.study, args=(exp,), kwargs=options, daemon=True).start()
time.sleep(1)
sys.exit(5)
"""


@pytest.mark.parametrize(("steps", "measure"), [(300, False), (10**9, False), (1, True)])
def test_a_study_in_a_daemon_does_not_keep_the_process(steps, measure):
    program = EXIT.format(steps=steps, measure=measure)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_runs_in_a_daemon_have_ended_before_the_interpreter_is_taken_down():
    """Runs must have ended before libraries are unloaded, or they could crash."""
    program = "import atexit, threading\n" + (
        "@atexit.register\n"
        "def look():\n"
        "    print(sum('in_thread' in each.name for each in threading.enumerate()))\n"
    )
    program += EXIT.format(steps=10**9, measure=False)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "0\n", "")


def test_a_study_that_has_ended_is_not_kept_for_the_exit():
    rfa.study(SMALL, trials=2)
    with pytest.raises(rfa.TrialError):
        rfa.study(SMALL, trials=2, measure=failing(1, ValueError()))
    assert not executors._at_exit
    assert not any("in_thread" in thread.name for thread in threading.enumerate())


def test_a_run_that_raises_keeps_the_trials_that_are_finished(monkeypatch):
    def law(rng, n, d):
        return np.full((n, d), np.nan)

    def measure(run):
        # from now on
        monkeypatch.setitem(rfa.data.LAWS, "gaussian", law)
        return {}

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(rfa.data.LAWS, "gaussian", rfa.data.LAWS["gaussian"])
    with pytest.raises(rfa.TrialError, match="^trial 1 failed, with 1 finished: ValueError: sigma"):
        rfa.study(SMALL, trials=5, measure=measure)


def test_a_warning_that_is_an_error_names_its_trial(monkeypatch):
    # T is rounded down
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(rfa.TrialError, match=r"^trial \d+ of alpha=0.06 failed") as caught:
        rfa.study(SMALL.replace(steps=None), {"alpha": [0.05, 0.06]}, trials=2)
    assert isinstance(caught.value.__cause__, UserWarning)
    assert [r["trial"] for r in caught.value.study.select(alpha=0.05)] == [0, 1]


def test_a_trial_that_fails_ends_the_runs_that_have_begun():
    def measure(run):
        raise ValueError("no measure")

    # 10^9 steps would last an hour
    with pytest.raises(rfa.TrialError) as caught:
        rfa.study(SMALL, {"steps": [4, 10**9]}, trials=1, measure=measure)
    assert len(caught.value.study) == 0


@pytest.mark.parametrize(
    ("measured", "error", "words"),
    [
        (5, TypeError, "measure must return a dict, got 5"),
        (None, TypeError, "measure must return a dict, got None"),
        ({1: 2}, TypeError, "measure must return a dict with str keys, got 1"),
        ({None: 2}, TypeError, "measure must return a dict with str keys, got None"),
        ({"trial": 7}, ValueError, "measure must not return 'trial', which is 0 here, got 7"),
        ({"trial": 0}, ValueError, "measure must not return 'trial', which is 0 here, got 0"),
        ({"m": 5}, ValueError, "measure must not return 'm', which is 4 here, got 5"),
        ({"m": np.arange(2)}, ValueError, "measure must not return 'm', which is 4 here"),
    ],
)
def test_what_is_no_record_is_refused(measured, error, words):
    with pytest.raises(rfa.TrialError, match=f"{error.__name__}: {words}") as caught:
        rfa.study(SMALL, {"m": [4]}, trials=1, measure=lambda run: measured)
    assert isinstance(caught.value.__cause__, error)


def test_a_measure_can_return_a_parameter_of_the_grid():
    found = rfa.study(SMALL, {"m": [4]}, trials=1, measure=lambda run: {"m": np.int64(4)})
    assert found.select(m=4)[0]["m"] == 4


def test_truth_values_of_numpy_are_counted():
    found = rfa.study(SMALL, trials=3, measure=lambda run: {"x": np.True_, "y": np.False_})
    assert (found.proportion("x").k, found.proportion("y").k) == (3, 0)


def test_what_some_trials_did_not_measure_has_no_proportion():
    found = rfa.study(
        SMALL,
        trials=3,
        measure=lambda run: {"x": True} if run.data.seed.spawn_key[0] != 1 else {},
    )
    with pytest.raises(ValueError, match="^statement 'x' was not measured in trial 1"):
        found.proportion("x")
    # a name like that of a check, without its other entries
    mine = rfa.study(SMALL, trials=2, measure=lambda run: {"x": True, "x:verdict": "holds"})
    assert mine.proportion("x").verdict == ""


@pytest.mark.parametrize("form", [lambda mu: mu, np.ndarray.tolist, lambda mu: mu.astype("f4")])
def test_means_as_a_value_of_the_grid(form):
    first, second = np.eye(2, 3), np.eye(2, 3)[::-1]
    found = rfa.study(SMALL, {"mu": [form(first), form(second), None, "random"]}, trials=2)
    assert [len(found.select(mu=mu)) for mu in (first, second.tolist(), None, "random")] == [2] * 4
    assert found.records[0]["mu"] == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    expected = SMALL.replace(mu=second).run(np.random.SeedSequence(0, spawn_key=(1,)))
    assert found.select(mu=second)[1]["loss"] == expected.history.loss[-1]
    assert json.loads(found.to_json())["grid"]["mu"][1] == second.tolist()
    hash(found.grid["mu"])
    with pytest.raises(ValueError, match="^mu=array.* is not in the grid"):
        found.select(mu=np.eye(2))
    with pytest.raises(ValueError, match="^grid must have no value of mu twice"):
        rfa.study(SMALL, {"mu": [first, first.tolist()]}, trials=1)


def test_values_of_any_type_are_those_of_the_experiment():
    grid = {"m": np.array([4, 8]), "dtype": [np.float32, "float64"], "balance": [[0.25] * 4]}
    found = rfa.study(SMALL, grid, trials=1, measure=lambda run: {"W": run.network.W[:1, :1]})
    expected = {"m": (4, 8), "dtype": ("float32", "float64"), "balance": ((0.25,) * 4,)}
    assert found.grid == expected
    cell = {"m": np.int32(8), "dtype": np.float32, "balance": np.full(4, 0.25)}
    assert found.select(**cell) == found.select(m=8, dtype="float32")
    stored = json.loads(found.to_json())
    assert stored["grid"]["m"] == [4, 8] and np.shape(stored["records"][0]["W"]) == (1, 1)
    strange = rfa.study(SMALL, trials=1, measure=lambda run: {"x": object()})
    with pytest.raises(TypeError, match="^records must consist of numbers, words, lists and dicts"):
        strange.to_json()


def test_trials_are_counted_off_not_listed(monkeypatch):
    """The keys of 2^30 runs are not put into a list; a Ctrl-C in the third run keeps two."""
    taken = iter([{}, {}])

    def measure(run):
        try:
            return next(taken)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tracemalloc.start()
    try:
        with pytest.raises(rfa.Interrupted) as caught:
            rfa.study(SMALL, trials=2**30, measure=measure)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(caught.value.study) == 2 and peak < 2**25
    assert repr(caught.value.study) == f"Study(2 of {2**30} records, {2**30} trials)"


def test_ctrl_c_gives_what_has_been_done():
    """Finished trials are kept, and the long run of the next cell ends at once."""
    done = threading.Event()

    def interrupt():
        done.wait(60)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    def measure(run):
        done.set()
        return {"t": run.t}

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    begin = time.perf_counter()
    with pytest.raises(rfa.Interrupted, match="interrupted after") as caught:
        rfa.study(SMALL, grid={"steps": [4, 10**9]}, trials=2, measure=measure)
    waiting.join()
    assert time.perf_counter() - begin < 60  # 10^9 steps would last an hour
    study = caught.value.study
    assert caught.value.run is None
    assert 1 <= len(study) <= 2 and all(record["t"] == 4 for record in study.records)
    assert len(pickle.loads(pickle.dumps(caught.value)).study) == len(study)


def test_a_thread_that_is_cancelled_leaves_steps_and_set_up():
    """Python handles signals in the main thread only; the others look at an event."""
    data, net = rfa.XORClusters(d=300).sample(6000, rng=0), rfa.Network.random(1000, 300, rng=0)
    cancelled, ended = threading.Event(), []

    def stop(t, row):
        cancelled.set()
        return False

    def run():
        guards.cancel_by(cancelled)
        for engine in ("direct", "gram"):  # the latter while K is made
            try:
                rfa.train(net, data, steps=400, engine=engine, record=[0, 400], stop=stop)
            except KeyboardInterrupt as error:
                ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    direct, gram = ended
    assert isinstance(direct, rfa.Interrupted) and direct.run.t < 40
    assert not isinstance(gram, rfa.Interrupted)
    # the event was for that thread alone
    assert rfa.train(net, data, steps=3, engine="direct").t == 3


def test_as_json_and_in_one_line():
    found = rfa.study(SMALL, grid={"m": [4]}, trials=2, rng=5, measure="check")
    stored = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert stored["seed"]["entropy"] == 5 and stored["grid"] == {"m": [4]}
    assert [record["trial"] for record in stored["records"]] == [0, 1]
    assert repr(found) == "Study(2 of 2 records, m: 1 values, 2 trials)"


def test_to_pandas_says_what_is_missing(monkeypatch):
    found = rfa.study(SMALL, trials=1)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pandas is not installed: pip install 'rfa\[data\]'"):
        found.to_pandas()


def test_the_module_of_measures_is_there():
    program = "import rfa; print(rfa.studies.checks.__name__, rfa.study.__name__)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["checks", "study"], done.stderr
