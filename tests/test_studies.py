"""Studies: seed keys, grids, threads, frequencies, Ctrl-C."""

from __future__ import annotations

import functools
import json
import os
import pickle
import platform
import signal
import threading
import time

import numpy as np
import problems
import pytest
from scipy import stats

import rfa
from rfa import _kernels, _runtime
from rfa.studies import checks
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
    """On the gram engine, whose arrays go from trial to trial; what a run left stays as it was."""
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
        monkeypatch.setattr(_runtime, "threads", lambda n=None, t=threads: n or t)
        found.append(rfa.study(SMALL, trials=6, rng=3, measure=measure).records)
    assert str(found[0]) == str(found[1])  # NaN and all


def test_runs_are_shared_among_threads(monkeypatch):
    monkeypatch.setattr(_runtime, "threads", lambda n=None: n or 3)
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
            assert record[name] == (one.holds if one.applicable else None)
            assert record[f"{name}:vacuous"] == one.vacuous
            assert record[f"{name}:hypotheses_met"] == one.hypotheses_met
            np.testing.assert_equal(record[f"{name}:value"], one.value)


def made_up(values, vacuous=(), audit=True, delta=0.1):
    """A study in which one statement had these outcomes."""
    records = [
        {
            "delta": delta,
            "assumptions_met": audit,
            "lemma_4_2": value,
            "lemma_4_2:vacuous": k in vacuous,
            "lemma_4_2:hypotheses_met": k % 2 == 0,
        }
        for k, value in enumerate(values)
    ]
    return rfa.Study(SMALL, {}, len(values), {}, records, 0.0)


@pytest.mark.parametrize(
    ("outcomes", "options", "verdict"),
    [
        # 1 - 4 delta = 0.6: the interval of 40 of 50 is [.663, .900], of 20 of 50 [.264, .548]
        ([True] * 40 + [False] * 10, {}, "consistent"),
        ([True] * 20 + [False] * 30, {}, "refuted"),
        ([True] * 20 + [False] * 30, {"audit": False}, "undecided"),
        ([True] * 30 + [False] * 20, {}, "undecided"),
        ([True] * 49 + [None], {}, "conditional"),
        ([None] * 5, {}, "conditional"),
        ([True] * 50, {"vacuous": range(50)}, "vacuous"),
        ([True] * 50, {"vacuous": range(49)}, "consistent"),
        ([True] * 2, {"delta": 0.2}, "undecided"),  # [.158, 1] against .2
    ],
)
def test_verdicts(outcomes, options, verdict):
    found = made_up(outcomes, **options).proportion("lemma_4_2")
    k, n = outcomes.count(True), len(outcomes) - outcomes.count(None)
    assert (found.k, found.n, found.trials) == (k, n, len(outcomes))
    assert found.not_applicable == outcomes.count(None)
    assert found.vacuous == len(options.get("vacuous", ()))
    assert found.unmet == len(outcomes) // 2
    assert found.verdict == verdict
    if n:
        interval = stats.binomtest(k, n).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-9)


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
    with pytest.raises(ValueError, match="a value of m must say which cell is meant"):
        found.proportion("wide")
    with pytest.raises(ValueError, match="'x' is not true or false in this study"):
        found.proportion("x", m=4)
    with pytest.raises(ValueError, match="'lemma_4_2' was not measured"):
        found.proportion("lemma_4_2", m=4)
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
        ({"grid": {"m": [0]}}, ValueError, "m must be at least 1"),
        ({"rng": np.random.default_rng(0)}, TypeError, "rng must be an int, a SeedSequence"),
        ({"measure": "loss"}, ValueError, "measure must be 'final', 'check' or callable"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        rfa.study(**{"exp": SMALL, "trials": 2, **arguments})


def test_what_a_measure_raises_ends_the_study():
    def measure(run):
        raise RuntimeError("no measure")

    with pytest.raises(RuntimeError, match="no measure"):
        rfa.study(SMALL, trials=50, measure=measure)


def test_ctrl_c_gives_what_has_been_done():
    """Finished trials are kept; the long run of the next cell is given up at once."""
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
    """Python hands signals to the main thread alone; others look at the event they are given."""
    data, net = rfa.XORClusters(d=300).sample(6000, rng=0), rfa.Network.random(1000, 300, rng=0)
    cancelled, ended = threading.Event(), []

    def stop(t, row):
        cancelled.set()
        return False

    def run():
        _kernels.cancel_by(cancelled)
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
    # other threads are not meant
    assert rfa.train(net, data, steps=3, engine="direct").t == 3


def test_as_json_and_in_one_line():
    found = rfa.study(SMALL, grid={"m": [4]}, trials=2, rng=5, measure="check")
    stored = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert stored["seed"]["entropy"] == 5 and stored["grid"] == {"m": [4]}
    assert [record["trial"] for record in stored["records"]] == [0, 1]
    assert repr(found) == "Study(2 of 2 records, m: 1 values, 2 trials)"


def test_to_pandas_says_what_is_missing(monkeypatch):
    found = rfa.study(SMALL, trials=1)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pandas is not installed: pip install 'rfa\[data\]'"):
        found.to_pandas()


def test_nothing_is_refuted_where_the_hypotheses_of_the_theorem_are_not_met():
    exp = rfa.preset("assumptions")
    unbalanced = exp.replace(balance=[0.6, 0.2, 0.1, 0.1])
    found = rfa.study(unbalanced, trials=8, rng=0, measure="check").proportion("lemma_4_3_d")
    assert (found.k, found.unmet, found.verdict) == (0, 8, "undecided")
    assert all(r["assumptions_met"] for r in rfa.study(exp, trials=2, measure="check").records)


def test_the_module_of_measures_is_there():
    import subprocess
    import sys

    program = "import rfa; print(rfa.studies.checks.__name__, rfa.study.__name__)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["checks", "study"], done.stderr
