"""A Run is read-only, and copies, pickles and files of it equal it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import os
import pickle
import re
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa import _files


def make_run(**changes):
    return rfa.Experiment(n=60, d=3, m=11, steps=8, n_test=20).replace(**changes).run(rng=1)


def own_data_run():
    case = problems.cases()["duplicates d=2"]
    return rfa.train(rfa.Network(case.W, case.a), rfa.Dataset(case.X, case.y), snapshots=[3])


def stopped_run():
    exp = rfa.Experiment(n=60, d=3, m=11)
    return rfa.train(exp.network(), exp.sample(), steps=9, stop=lambda t, row: t == 4)


RUNS = {
    "float64": make_run,
    "float32": lambda: make_run(dtype="float32", d=2),
    "no steps": lambda: make_run(steps=0, n_test=0),
    "own data": own_data_run,
    "stopped": stopped_run,
}


def assert_same(run, other):
    for name in ("alpha", "t", "status", "engine"):
        assert getattr(run, name) == getattr(other, name)
    assert run.network == other.network and run.initial == other.initial
    assert run.network.W.dtype == other.network.W.dtype
    assert run.initial.omega_init == other.initial.omega_init
    assert run.history == other.history
    assert list(run.snapshots) == list(other.snapshots)
    for t, W in run.snapshots.items():
        assert W.tobytes() == other.snapshots[t].tobytes() and W.dtype == other.snapshots[t].dtype
        assert not other.snapshots[t].flags.writeable
    for data, again in ((run.data, other.data), (run.test, other.test)):
        assert (data is None) == (again is None)
        for name in ("X", "y", "y_clean", "cluster", "means", "eta"):
            array, same = (getattr(source, name, None) for source in (data, again))
            assert (array is None) == (same is None), name
            if array is not None:
                assert array.dtype == same.dtype and array.tobytes() == same.tobytes(), name
    assert dict(run.stats) == dict(other.stats)
    assert dict(run.provenance) == dict(other.provenance)
    assert repr(run) == repr(other)


@pytest.mark.parametrize("name", RUNS)
def test_saved_and_loaded(name, tmp_path):
    run = RUNS[name]()
    run.save(tmp_path / "run.npz")
    again = rfa.load(tmp_path / "run.npz")
    assert_same(run, again)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.npz"]
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        assert {"W", "W_initial", "a", "meta"} <= set(file.files)
    # training from a loaded run's start repeats the run
    options = {"steps": run.t, "test": again.test, "engine": run.engine}
    repeated = rfa.train(again.initial, again.data, again.alpha, **options)
    assert repeated.network == run.network


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    "how", [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))]
)
def test_copies(name, how):
    run = RUNS[name]()
    again = how(run)
    assert_same(run, again)
    with pytest.raises(TypeError):
        again.snapshots[0] = 1


def test_read_only():
    run = make_run()
    with pytest.raises(AttributeError):
        run.t = 3
    for mapping in (run.snapshots, run.stats, run.provenance):
        with pytest.raises(TypeError):
            mapping["t"] = 3
    for array in (run.network.W, run.initial.W, run.snapshots[1]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_repr_is_one_line():
    assert repr(make_run()) == "Run(finished at t=8, alpha=0.05, n=60, d=3, m=11, engine='gram')"


def test_provenance_says_what_made_the_run():
    run = make_run()
    assert set(run.provenance) >= {
        "rfa",
        "commit",
        "seeds",
        "engine",
        "simd",
        "openmp",
        "threads",
        "numpy",
    }
    assert run.provenance["rfa"] == rfa.__version__
    assert run.provenance["numpy"] == np.__version__
    assert run.provenance["seeds"]["data"]["entropy"] == 1
    assert run.provenance["seeds"]["init"]["entropy"] == 1
    exp = rfa.Experiment(n=9, d=2, m=3, steps=1)
    fresh = exp.run(rng=None)
    entropy = fresh.provenance["seeds"]["data"]["entropy"]
    assert entropy > 2**64 and exp.run(rng=entropy).network == fresh.network
    assert own_data_run().provenance["seeds"] == {"data": None, "init": None}


def test_a_trained_network_claims_no_random_start():
    first = make_run()
    assert (first.network.omega_init, first.network.seed) == (None, None)
    assert first.initial.omega_init is not None and first.initial.seed is not None
    assert (first.initial.trained_steps, first.network.trained_steps) == (0, 8)
    part = rfa.train(first.initial, first.data, steps=3, snapshots=(1,))
    assert [part.at(t).trained_steps for t in (0, 1, 3)] == [0, 1, 3]
    assert "trained_from" not in first.provenance
    second = rfa.train(first.network, first.data, steps=3)
    assert second.provenance["seeds"]["init"] is None
    digest = hashlib.sha256(first.network.W.tobytes()).hexdigest()
    assert second.provenance["trained_from"] == {"steps": 8, "sha256": digest}
    assert second.initial == first.network and second.initial.omega_init is None
    assert second.network.trained_steps == 11
    third = rfa.train(second.network, first.data, steps=1)
    assert third.provenance["trained_from"]["steps"] == 11


def test_no_step_is_no_training():
    run = make_run(steps=0, n_test=0)
    assert run.network.omega_init == run.initial.omega_init is not None
    assert run.network.seed is run.initial.seed is not None and run.network.trained_steps == 0
    again = rfa.train(run.network, run.data, steps=1)
    assert "trained_from" not in again.provenance and again.initial.seed is not None


def test_a_trained_start_in_another_type_is_a_trained_start():
    first, data = make_run(), rfa.Experiment(n=60, d=3, m=11, dtype="float32").sample()
    run = rfa.train(first.network, data, steps=2)
    assert run.initial.W.dtype == np.float32 and run.initial.trained_steps == 8
    digest = hashlib.sha256(first.network.W.tobytes()).hexdigest()
    assert run.provenance["trained_from"]["sha256"] == digest


def test_files_of_trained_networks(tmp_path):
    first = make_run()
    second = rfa.train(first.network, first.data, steps=3)
    for run in (first, second):
        run.save(tmp_path / "run.npz")
        again = rfa.load(tmp_path / "run.npz")
        assert_same(run, again)
        for network, other in ((run.network, again.network), (run.initial, again.initial)):
            network.save(tmp_path / "net.npz")
            for found in (other, rfa.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(other))):
                assert found == network and found.omega_init == network.omega_init
                assert (found.seed is None) == (network.seed is None)
                assert found.trained_steps == network.trained_steps
    assert first.network.subnetwork([0, 4]).trained_steps == 8


TRAINED_RECORDS = [
    ({"trained_steps": 0}, "trained_steps must be at least 1"),
    ({"trained_steps": 2.5}, "trained_steps must be an integer"),
    ({"trained_steps": 3, "omega_init": 0.1}, "trained_steps must not stand beside an omega_init"),
]


@pytest.mark.parametrize(("values", "complaint"), TRAINED_RECORDS)
def test_a_network_file_that_claims_both_is_refused(values, complaint, tmp_path):
    meta = {"kind": "network", "omega_init": None, "seed": None, **values}
    _files.write_npz(tmp_path / "net.npz", {"W": np.ones((2, 2)), "a": np.ones(2)}, meta)
    with pytest.raises(ValueError, match=complaint):
        rfa.load(tmp_path / "net.npz")


def test_a_stored_callable_is_a_name(tmp_path):
    dist = rfa.XORClusters(d=2, eta=lambda X: 0.1 + 0 * X[:, 0])
    net = rfa.Network.random(m=5, d=2)
    run = rfa.train(net, dist.sample(n=30), steps=2)
    run.save(tmp_path / "run.npz")
    again = rfa.load(tmp_path / "run.npz")
    assert again.history == run.history
    assert again.data.eta.tolist() == run.data.eta.tolist()
    with pytest.raises(ValueError, match=r"not applicable: .*lambda.* stored by its name only"):
        again.data.distribution.sample(n=3)


# ------------------------------------------------------------------ files that no run can have


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The arrays and the record of a file: 9 steps, T = 6, m = 11, d = 3, n = 60, gram."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    make_run().save(path)
    return content(path)


def content(path):
    with np.load(path) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("meta")))


def write(path, arrays, meta):
    text = meta if isinstance(meta, str) else json.dumps(meta)
    np.savez(path, **{"meta": np.array(text), **arrays})
    return path


GONE = object()


def change(where, name, value):
    """Replace or remove an entry; dots lead to inner entries, as in "data.seed.entropy"."""
    *path, last = name.split(".")
    for part in path:
        where = where[part]
    if value is GONE:
        del where[last]
    else:
        where[last] = value


def at(name, place, value):
    """An array with another value in one place."""

    def changed(arrays):
        array = arrays[name].copy()
        array[place] = value
        return array

    return changed


def own(name, how):
    """An array that a function makes from the present one."""
    return lambda arrays: how(arrays[name])


WRONG_ARRAYS = [
    # as they were tested first
    ("history_t", GONE, "lacks 'history_t'"),
    ("history_t", np.array(3), "history_t"),
    ("history_loss", np.zeros(1), r"history_loss has shape \(1,\), not \(9,\)"),
    ("W_initial", np.zeros((4, 3)), r"W_initial must have the shape of W, \(11, 3\), but has \(4"),
    ("snapshot_1", np.array([["a"]]), "snapshot_1 has dtype <U1, not float64"),
    # steps
    ("history_t", own("history_t", lambda t: t[::-1]), "history_t must be ascending"),
    ("history_t", own("history_t", lambda t: t - 1), r"must be in 0..8, but history_t\[0\] is -1"),
    ("history_t", own("history_t", lambda t: t + 42), r"must be in 0..8, but history_t\[0\] is 42"),
    ("history_t", own("history_t", lambda t: t * 0), "history_t must be ascending"),
    ("history_t", own("history_t", lambda t: t * 1.0), "history_t has dtype float64, not int64"),
    ("history_t", own("history_t", lambda t: t[:0]), r"history_loss has shape \(9,\), not \(0,\)"),
    # numbers
    ("history_loss", at("history_loss", 2, np.nan), r"but history_loss\[2\] is nan"),
    ("history_loss", at("history_loss", 2, np.inf), r"but history_loss\[2\] is inf"),
    ("history_loss", at("history_loss", 2, -1), r"but history_loss\[2\] is -1"),
    ("history_clean_wrong", at("history_clean_wrong", 0, 61), "history_clean_wrong must be in 0.."),
    ("history_noisy_fitted", at("history_noisy_fitted", 0, -1), "history_noisy_fitted must be in"),
    ("history_flips", at("history_flips", 1, 661), r"in 0..660, but history_flips\[1\] is 661"),
    ("history_flips", at("history_flips", 0, 1), r"in 0..0, but history_flips\[0\] is 1"),
    ("history_test_error", at("history_test_error", 0, 1.5), "history_test_error must be in 0..1,"),
    ("history_norm", at("history_norm", (1, 2), np.nan), r"but history_norm\[1, 2\] is nan"),
    ("history_norm", at("history_norm", (1, 2), -1.0), r"but history_norm\[1, 2\] is -1"),
    ("history_projection", at("history_projection", 0, np.inf), "history_projection must be in"),
    ("history_active", at("history_active", (0, 0, 0), 60), "history_active must be in 0.."),
    ("history_margin_low", at("history_margin_low", (0, 0), np.inf), "history_margin_low must be"),
    ("history_margin_low", at("history_margin_low", (0, 0), 9.0), "at most history_margin_high"),
    ("history_margin_high", at("history_margin_high", (0, 0), np.nan), "history_margin_high must"),
    ("history_h_low", at("history_h_low", (0, 0, 0), 99.0), "history_h_low must be at most"),
    ("history_h_high", at("history_h_high", (0, 0, 0), np.nan), "history_h_high must be in"),
    # shapes and types
    ("history_h_low", own("history_h_low", lambda h: h[1:]), r"h_low has shape \(6, 11, 8\)"),
    ("history_active", own("history_active", lambda a: a[..., :4]), "history_active has shape"),
    ("history_active", own("history_active", lambda a: a.astype("i8")), "dtype int64, not int32"),
    ("history_norm", own("history_norm", lambda a: a.T), r"history_norm has shape \(11, 9\)"),
    ("history_norm", GONE, "lacks 'history_norm'"),
    ("history_projection", GONE, "lacks 'history_projection'"),
    ("history_test_error", GONE, "lacks 'history_test_error'"),
    ("history_nonsense", np.ones(9), "has 'history_nonsense', which this run of 8 steps"),
    # snapshots
    *[
        (f"snapshot_{name}", own("W", np.copy), f"has 'snapshot_{re.escape(name)}', which")
        for name in ("-1", "9", "99", "03", "", "3.0", "+3", "\u0663", "9" * 50)
    ],
    ("snapshot_3", own("W", lambda W: W.astype("f4")), "snapshot_3 has dtype float32, not float64"),
    ("snapshot_3", own("W", lambda W: W[:-1]), r"snapshot_3 must have the shape of W, \(11, 3\)"),
    ("snapshot_3", at("W", (1, 1), np.inf), r"snapshot_3 must be finite, but snapshot_3\[1, 1\]"),
    ("snapshot_0", own("W", np.copy), "snapshot_0 must equal W_initial, since both are W at"),
    ("snapshot_8", own("W_initial", np.copy), "snapshot_8 must equal W, since both are W at"),
    # networks
    ("W", at("W", (0, 0), np.nan), r"W must be finite, but W\[0, 0\] is nan"),
    ("W", own("W", lambda W: W[:, :2]), "data, test and W must have the same dimension, but W"),
    ("W", GONE, "lacks 'W'"),
    ("W_initial", at("W_initial", (0, 0), -np.inf), r"W_initial must be finite"),
    ("a", np.ones(5), "a must have 11 entries, got 5"),
    ("a", np.ones(11, "f4"), "a has dtype float32, not float64"),
    # data
    ("data_X", GONE, "lacks 'data_X'"),
    ("data_X", own("data_X", lambda X: X.astype("f4")), "W has dtype float64, not float32"),
    ("data_X", at("data_X", (3, 1), np.nan), r"of data, X must be finite, but X\[3, 1\] is nan"),
    ("data_X", own("data_X", lambda X: X[:, :2]), "of data, distribution has d=3, but X"),
    ("data_X", own("data_X", lambda X: X[:9]), "of data, y must have one label for each"),
    ("data_y", at("data_y", 4, 0), r"of data, y must be -1 or \+1, but y\[4\] is 0"),
    ("data_y", own("data_y", lambda y: y * 1.0), "data_y has dtype float64, not int64"),
    ("data_cluster", GONE, "of data, y_clean, cluster, means must be given together"),
    (
        "data_cluster",
        at("data_cluster", 0, 4),
        "of data, cluster must be below the number of means, 4, but has 4",
    ),
    ("data_eta", at("data_eta", 0, 1.5), r"of data, eta must be in \[0, 1\]"),
    ("data_weights", np.ones(60), "has 'data_weights', which this run"),
    ("test_X", GONE, "lacks 'test_X'"),
    ("test_X", own("test_X", lambda X: X[:, :2]), "of test, distribution has d=3, but X"),
]  # fmt: skip

SEED = {"entropy": 1, "spawn_key": [], "pool_size": 4}

WRONG_RECORDS = [
    ("t", -5, "t must be at least 0"),
    ("t", 3, "in 0..3, but history_t"),
    ("t", 2.5, "t must be an integer, got 2.5"),
    ("t", True, "t must be an integer, got True"),
    ("t", 10**400, "t must be at most 2\\^53"),
    ("alpha", "x", "alpha must be a real number"),
    ("alpha", 10**400, "alpha must be finite"),
    ("alpha", math.nan, "alpha must be finite"),
    ("alpha", 0, "alpha must be positive"),
    ("alpha", 1e-310, "alpha must be large enough"),
    ("alpha", 0.25, "history_h_low has shape"),
    ("status", 42, "status must be one of finished, stopped, diverged, interrupted, but is 42"),
    ("status", "done", "status must be one of finished, .*, but is 'done'"),
    ("status", ["finished"], "status must be one of finished"),
    ("engine", None, "engine must be one of direct, .*, but is None"),
    ("engine", "nonsense", "engine must be one of direct, gram, .*, but is 'nonsense'"),
    ("engine", "auto", "engine must be one of direct, .*, but is 'auto'"),
    ("engine", {}, "engine must be one of direct"),
    ("engine", "planar", "engine is 'planar', which needs d=2, but the data have d=3"),
    ("schema", -1, "schema must be an integer of at least 1, got -1"),
    ("schema", math.inf, "schema must be an integer of at least 1, got inf"),
    ("schema", 1.0, "schema must be an integer of at least 1, got 1.0"),
    ("schema", None, "schema must be an integer of at least 1, got None"),
    ("kind", "network", "meta lacks 'seed'"),
    ("kind", ["run"], r"holds a \['run'\], not a run or a network"),
    ("weight_decay", 0.5, "meta has 'weight_decay', which rfa does not write"),
    ("omega_init", -1, "omega_init must be at least 0"),
    ("omega_init", [], "omega_init must be a real number"),
    ("seed_init", 5, "a seed must have entropy, spawn_key and pool_size"),
    ("seed_init", {}, "a seed must have entropy"),
    ("seed_init", SEED | {"entropy": -1}, "entropy must be at least 0"),
    ("seed_init", SEED | {"entropy": [1, "x"]}, "entropy must be an integer"),
    ("seed_init", SEED | {"spawn_key": 0}, "spawn_key must be a list"),
    ("seed_init", SEED | {"spawn_key": [0.5]}, "spawn_key must be an integer"),
    ("seed_init", SEED | {"pool_size": 10**12}, "pool_size must be at most 4096"),
    ("stats", [], "stats is .*, not an object"),
    ("stats", {}, "stats lacks 'seconds'"),
    ("stats.seconds", -1.0, r"stats\['seconds'\] must be at least 0"),
    ("stats.seconds", "a", r"stats\['seconds'\] must be a real number"),
    ("provenance", None, "provenance is None, not an object"),
    ("provenance.trained_from", 5, "trained_from is 5, not an object"),
    ("provenance.trained_from", {"steps": 1}, "trained_from lacks 'sha256'"),
    ("provenance.trained_from", {"steps": 1, "sha256": ""}, "trained_from must not stand beside"),
    ("data", None, "data is None, not an object"),
    ("data.split", 3, "of data, split must be a str or None, got 3"),
    ("data.seed", "x", "of data, a seed must have"),
    ("data.distribution", 5, "of data, distribution is 5, not an object"),
    ("data.distribution", {}, "of data, distribution lacks 'd'"),
    ("data.distribution.d", 7, "of data, distribution has d=7, but X"),
    ("data.distribution.d", 2**40, "of data, distribution has d=1099511627776, but X"),
    ("data.distribution.sigma", None, "of data, sigma must be given"),
    ("data.distribution.mu", None, "of data, mu must be given"),
    ("data.distribution.mu", [[1, 0], [0]], "of data, mu must be an array"),
    (
        "data.distribution.eta",
        {"callable": 5},
        r"of data, values\['eta'\] must be a value or {'callable': ",
    ),
    ("data.distribution.law", {}, r"of data, values\['law'\] must be a value or {'callable': "),
    ("data.distribution.noise", "loud", "of data, noise must be callable or one of"),
    ("data.distribution.balance", [1], "of data, balance must have 4 entries"),
    ("data.distribution.twist", 1, "of data, distribution has 'twist', which rfa does not write"),
    ("test.seed", [], "of test, a seed must have"),
    ("test", GONE, "has 'test_"),
]


def assert_refused(path, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=words) as refusal:
            rfa.load(path)
    assert type(refusal.value) is ValueError
    message = str(refusal.value)
    assert message.startswith(repr(os.fspath(path))) and "\n" not in message and len(message) < 500


@pytest.mark.parametrize(("name", "value", "words"), WRONG_ARRAYS)
def test_arrays_that_no_run_can_have_left(stored, tmp_path, name, value, words):
    arrays, meta = stored
    arrays = dict(arrays)
    arrays[name] = value(arrays) if callable(value) else value
    if value is GONE:
        del arrays[name]
    assert_refused(write(tmp_path / "other.npz", arrays, meta), words)


def test_a_history_has_the_steps_that_every_run_records(stored, tmp_path):
    arrays, meta = stored
    without = {
        name: np.delete(array, 1, axis=0) if name.startswith("history_") else array
        for name, array in arrays.items()
    }
    assert_refused(write(tmp_path / "other.npz", without, meta), "history_t lacks step 1")
    # nor a step that a longer run records
    later = {name: array for name, array in arrays.items() if name != "snapshot_1"}
    assert_refused(write(tmp_path / "other.npz", later, meta), "it lacks 'snapshot_1'")


@pytest.mark.parametrize(("name", "value", "words"), WRONG_RECORDS)
def test_records_that_no_run_can_have_left(stored, tmp_path, name, value, words):
    arrays, meta = stored
    meta = copy.deepcopy(meta)
    change(meta, name, value)
    assert_refused(write(tmp_path / "other.npz", arrays, meta), words)


def test_nothing_in_a_record_may_be_missing(stored, tmp_path):
    arrays, meta = stored
    inner = [f"{data}.{name}" for data in ("data", "test") for name in meta[data]]
    for name in [
        *meta,
        *inner,
        *(f"data.distribution.{name}" for name in meta["data"]["distribution"]),
    ]:
        if name != "test":
            changed = copy.deepcopy(meta)
            change(changed, name, GONE)
            last = name.rsplit(".", 1)[-1]
            assert_refused(write(tmp_path / "other.npz", arrays, changed), f"lacks '{last}'")


def test_a_history_ends_as_the_status_says(stored, tmp_path):
    arrays, meta = stored
    fewer = {
        name: array[:3] if name.startswith("history_") else array for name, array in arrays.items()
    }
    none = {
        name: array[:0] if name.startswith("history_") else array for name, array in arrays.items()
    }
    path = tmp_path / "other.npz"
    stopped = meta | {"status": "stopped"}
    assert_refused(write(path, fewer, stopped), "but history_t lacks the last step, 8")
    assert_refused(write(path, none, meta), "status is 'finished', but history_t is empty")
    for status in ("diverged", "interrupted"):
        assert len(rfa.load(write(path, none, meta | {"status": status})).history) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"schema": 1e400, "kind": "run"}',
        '{"schema": Infinity, "kind": "run"}',
        '{"schema": ' + "9" * 5000 + ', "kind": "run"}',
        '{"schema": 1, "kind": null}',
    ],
)
def test_texts_that_are_no_record(stored, tmp_path, text):
    assert_refused(
        write(tmp_path / "other.npz", stored[0], text), "not a file of rfa, or is damaged"
    )


def test_runs_at_the_ends_of_the_range_are_read(tmp_path):
    """Sums of squares overflow there, so norms, <w, mu> and the loss need not be finite."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((7, 2)) * 1e307
    X, y = rng.standard_normal((9, 2)), rng.choice([-1, 1], 9)
    means = rng.standard_normal((3, 2)) * 1e307
    known = {"y_clean": abs(y), "cluster": np.arange(9) % 3, "means": means}
    for engine in ("direct", "planar", "reference"):
        for a in (1e-300, 1e-9):
            with np.errstate(over="ignore"):  # the oracle computes with NumPy
                net = rfa.Network(W, np.full(7, a))
                run = rfa.train(net, rfa.Dataset(X, y, **known), 0.1, 3, engine=engine)
            run.save(tmp_path / "run.npz")
            again = rfa.load(tmp_path / "run.npz")
            assert again.network == run.network and list(again.history) == list(run.history)
            for name in run.history:  # NaN is not equal to NaN
                assert again.history[name].tobytes() == run.history[name].tobytes()
            assert np.isinf(run.history.norm).any()
            assert not np.isfinite(run.history.projection).all()


def test_files_of_machines_with_the_other_order_of_bytes_are_read(stored, tmp_path):
    arrays, meta = stored
    other = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()}
    again = rfa.load(write(tmp_path / "other.npz", other, meta))
    assert_same(rfa.load(write(tmp_path / "run.npz", arrays, meta)), again)
    assert all(W.dtype.isnative for W in again.snapshots.values())
    assert all(again.history[name].dtype.isnative for name in again.history)


@given(
    st.sampled_from([(2, "planar"), (2, "direct"), (3, "gram"), (3, "reference")]),
    st.sampled_from(["float32", "float64"]),
    st.integers(1, 30),
    st.integers(1, 5),
    st.integers(0, 9),
    st.sampled_from([None, "log", "all", 2]),
    st.booleans(),
    st.sampled_from([None, (), (0,)]),
    st.sampled_from(["own", "groups", "callable", "law", "balance"]),
    st.none() | st.integers(0, 9),
    st.integers(0, 2**70),
)
@settings(deadline=None, max_examples=30)
def test_a_run_is_read_as_it_was(
    tmp_path_factory, shape, dtype, n, m, steps, record, tested, snapshots, kind, stop, seed
):
    """A loaded run is also written again with the same bytes."""
    d, engine = shape
    options = {
        "callable": {"eta": lambda X: 0.2 + 0 * X[:, 0]},
        "law": {"law": "laplace", "noise": "exact", "mu": rfa.data.random_means(d, seed)},
        "balance": {"balance": (0.1, 0.2, 0.3, 0.4), "sigma": 0.0},
    }
    dist = rfa.XORClusters(d=d, **options.get(kind, {}))
    data = dist.sample(n, rng=seed, dtype=dtype)
    test = dist.sample(2 * n, rng=seed, split="test") if tested else None
    if kind == "own":
        data, test = rfa.Dataset(data.X, data.y), test and rfa.Dataset(test.X, test.y)
    if kind == "groups":
        data = rfa.Dataset(
            data.X, data.y, y_clean=data.y * 0 + 1, cluster=data.y * 0 + 1, means=np.ones((3, d))
        )
    run = rfa.train(
        rfa.Network.random(m, d, rng=seed), data, 0.25, steps, test, engine, record, snapshots,
        stop=None if stop is None else lambda t, row: t >= stop,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("run")
    run.save(path / "run")
    again = rfa.load(path / "run")
    assert_same(run, again)
    assert repr(again.data.distribution) == repr(run.data.distribution) or kind == "callable"
    again.save(path / "again")
    assert (path / "again").read_bytes() == (path / "run").read_bytes()
    again.save(path / "short", test=False)
    short = rfa.load(path / "short")
    assert short.test is None and short.history == run.history


def test_test_data_may_be_left_out(tmp_path):
    run = make_run(n_test=5000)
    run.save(tmp_path / "whole")
    run.save(tmp_path / "short", test=False)
    assert (tmp_path / "whole").stat().st_size - (
        tmp_path / "short"
    ).stat().st_size > run.test.X.nbytes
    short = rfa.load(tmp_path / "short")
    assert short.test is None
    assert_same(dataclasses.replace(run, test=None), short)
    # reports and figures need only the history, not the test data, so they are the same
    assert rfa.theory.check(short).to_json() == rfa.theory.check(run).to_json()
    assert rfa.studies.final(short) == rfa.studies.final(run)
    # the test data can be drawn again, as the docstring says
    drawn = short.data.distribution.sample(5000, short.data.seed, "test", short.data.X.dtype)
    assert drawn.X.tobytes() == run.test.X.tobytes() and (drawn.y == run.test.y).all()
    assert "test" not in content(tmp_path / "short")[1]
    for wrong in (0, None, "no"):
        with pytest.raises(TypeError, match="test must be True or False, got"):
            run.save(tmp_path / "third", test=wrong)
    assert not (tmp_path / "third").exists()


def members(path):
    """Name, date and bytes of each member of a file, in order."""
    with zipfile.ZipFile(path) as file:
        return [(each.filename, each.date_time, file.read(each)) for each in file.infolist()]


def test_the_first_edition_is_read_for_ever(tmp_path):
    """Files of rfa 0.1 can be read, and save without further arguments writes the same bytes."""
    for name in ("run", "network"):
        path = Path(__file__).parents[1] / "first_edition" / f"{name}.npz"
        found = rfa.load(path)
        found.save(tmp_path / name)
        assert members(tmp_path / name) == members(path)
        # zipfile of older Pythons writes other headers around the same members
        if sys.version_info >= (3, 11, 4):
            assert (tmp_path / name).read_bytes() == path.read_bytes()
    run = rfa.load(Path(__file__).parents[1] / "first_edition" / "run.npz")
    assert (run.t, run.status, run.engine, list(run.snapshots)) == (3, "finished", "planar", [1, 2])
    assert (run.data.n, run.test.n, run.network.m, run.alpha) == (6, 4, 3, 0.25)
    again = rfa.Experiment(n=6, d=2, m=3, steps=3, n_test=4, alpha=0.25, balance="exact").run(rng=1)
    assert run.data.X.tobytes() == again.data.X.tobytes()
    assert run.network.W == pytest.approx(again.network.W, rel=1e-12)


@pytest.mark.parametrize("name", ["save", "load"])
@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        (5, TypeError, "path must be a str or path-like, got int"),
        ("a\0b", ValueError, "null character"),
    ],
)
def test_paths_are_named(name, path, error, words):
    call = rfa.load if name == "load" else make_run().save
    with pytest.raises(error, match=words):
        call(path)


def test_a_header_that_is_not_python_is_damage(tmp_path):
    rfa.Network.random(m=5, d=2).save(tmp_path / "net.npz")
    content = bytearray((tmp_path / "net.npz").read_bytes())
    place = content.index(b"), }")
    content[place : place + 4] = b"    "
    (tmp_path / "net.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.npz' is not a file of rfa, or is damaged"):
        rfa.load(tmp_path / "net.npz")


def test_files_of_other_things_are_refused(tmp_path):
    net = rfa.Network.random(m=5, d=2)
    net.save(tmp_path / "net.npz")
    assert rfa.load(tmp_path / "net.npz") == net
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", W=net.W)
    make_run().save(tmp_path / "whole.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:900])
    for name in ("text.npz", "other.npz", "half.npz"):
        with pytest.raises(ValueError, match=name):
            rfa.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        rfa.load(tmp_path / "none.npz")
