"""Run: read-only, copied, pickled, saved and loaded as it was."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import problems
import pytest

import rfa


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
    # a loaded run is as good a start as the first
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"history_t": None}, "lacks 'history_t'"),
        ({"history_t": np.array(3)}, "history_"),
        ({"history_loss": np.zeros(1)}, r"history_loss has shape \(1,\)"),
        ({"W_initial": np.zeros((4, 3))}, r"W_initial has shape \(4, 3\), W has"),
        ({"snapshot_1": np.array([["a"]])}, "snapshot_1 has dtype"),
        ({"t": -5}, "t must be at least 0"),
        ({"status": 42}, "status is 42"),
        ({"engine": None}, "engine is None"),
        ({"alpha": "x"}, "alpha must be a real number"),
        ({"schema": -1}, "schema -1"),
    ],
)
def test_a_file_that_no_run_can_have_left_is_refused(changes, words, tmp_path):
    make_run().save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    for name, value in changes.items():
        if value is None and name in arrays:
            del arrays[name]
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            meta[name] = value
    np.savez(tmp_path / "other.npz", **{**arrays, "meta": json.dumps(meta)})
    with pytest.raises(ValueError, match=rf"other\.npz.*{words}"):
        rfa.load(tmp_path / "other.npz")


@pytest.mark.parametrize("name", ["save", "load"])
@pytest.mark.parametrize(
    ("path", "error", "words"),
    [(5, TypeError, "path must be a path, got int"), ("a\0b", ValueError, "null character")],
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
