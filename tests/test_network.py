"""Networks, experiments, presets and files."""

import json
import os

import numpy as np
import pytest

import rfa
from rfa import _files


@pytest.mark.parametrize("m", [1, 2, 5, 8])
def test_second_layer(m):
    a = rfa.Network(np.ones((m, 2))).a
    half = m // 2
    expected = [1 / np.sqrt(m)] * half + [-1 / np.sqrt(m)] * half + [0.0] * (m % 2)
    assert a.tolist() == expected


def test_random_networks_have_the_width_asked_for():
    net = rfa.Network.random(m=300, d=400, omega_init=0.3, rng=1)
    n = net.W.size
    assert net.W.std() == pytest.approx(0.3, abs=6 * 0.3 / np.sqrt(2 * n))
    assert abs(net.W.mean()) < 6 * 0.3 / np.sqrt(n)
    assert rfa.Network.random(m=30, d=4).omega_init == pytest.approx(1 / (4 * np.sqrt(120)))
    assert not rfa.Network.random(m=3, d=2, omega_init=0).W.any()


def test_outputs_by_hand():
    net = rfa.Network([[1, 0], [0, 1], [-1, 0]], [0.5, -2, 1])
    X = np.array([[2.0, 1.0], [-3.0, 0.0], [0.0, -1.0]])
    assert net.features(X).tolist() == [[2, 1, 0], [0, 0, 3], [0, 0, 0]]
    assert net.decision_function(X).tolist() == [-1, 3, 0]
    assert net.predict(X).tolist() == [-1, 1, 0]
    part = net.subnetwork([2, 0])
    assert part.W.tolist() == [[-1, 0], [1, 0]]
    assert part.a.tolist() == [1, 0.5]
    assert net.subnetwork([True, False, False]) == net.subnetwork([0])
    assert net.decision_function(X.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rfa.Network([[np.nan]]), r"W must be finite, but W\[0, 0\] is nan"),
        (lambda: rfa.Network([1.0]), "W must have 2 dimensions"),
        (lambda: rfa.Network([[1.0]], [1.0, 2.0]), "a must have 1 entries"),
        (lambda: rfa.Network([[1.0]], [[1.0]]), "a must have 1 dimension,"),
        (lambda: rfa.Network.random(m=0), "m must be at least 1"),
        (lambda: rfa.Network.random(m=2**40, d=2**30), "m and d make an array too large"),
        (lambda: rfa.Network.random(omega_init=-1), "omega_init must be at least 0"),
        (lambda: rfa.Network([[1.0]]).subnetwork([]), "J must have at least one"),
        (lambda: rfa.Network(np.ones((2, 1))).subnetwork([0, 0]), "J must have no index twice"),
        (lambda: rfa.Network(np.ma.ones((2, 1))), "W must be an array without a mask"),
        (lambda: rfa.Network.random(omega_init=1e308), r"omega_init must be smaller: with 1e\+308"),
        (lambda: rfa.preset(["figure1"]), "name must be one of figure1"),
        (lambda: rfa.Network([[1.0]]).subnetwork([1]), r"J must be in 0..0, but J\[0\] is 1"),
        (lambda: rfa.Network([[1.0]]).predict([[1.0, 2.0]]), "X must have 1 columns"),
        (lambda: rfa.Experiment(n=5, d=2, m=3, eta=lambda X: 0), "eta must be JSON-able"),
        (lambda: rfa.Experiment(n=5, d=2, m=3, mu="any"), "mu must be None, 'random'"),
        (lambda: rfa.Experiment(n=5, d=2, m=3, steps=-1), "steps must be at least 0"),
        (lambda: rfa.Experiment(n=5, d=2, m=3, alpha=0), "alpha must be positive"),
        (lambda: rfa.Experiment(n=5, d=2, m=3, dtype="int"), "dtype must be float32"),
        (lambda: rfa.Experiment(n=5, d=2, m=3).sample(0, "test"), "n_test must be positive"),
        (
            lambda: rfa.Experiment(n=5, d=2, m=3).run(np.random.default_rng(0)),
            "rng must be an int, a SeedSequence or None",
        ),
        (lambda: rfa.Experiment.from_json('{"lr": 1}'), "text has unknown parameters"),
        (lambda: rfa.preset("figure3"), "name must be one of figure1"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}") as error:
        call()
    assert "\n" not in str(error.value)


def test_a_network_does_not_follow_the_callers_arrays():
    W, a = np.ones((2, 3)), np.ones(2)
    net = rfa.Network(W, a)
    W[:] = a[:] = 5
    assert (net.W == 1).all() and (net.a == 1).all()


def test_a_sign_that_is_not_there_is_not_predicted():
    net = rfa.Network([[1e200], [1e200]], [1.0, -1.0])
    with pytest.raises(ValueError, match=r"^X must be smaller: f\(X\[1\]\) overflows and is nan"):
        net.predict([[1.0], [1e200]])


def test_presets_have_the_settings_of_the_papers():
    d, m = 200, 200
    expected = {
        "figure1": (5000, 2, 500, 0.05, 3000, 1 / np.sqrt(50), 1 / np.sqrt(16 * 1000), 0.15),
        "figure2-high": (300, 5000, 400, 0.1, 200_000, 5000**-0.6, 0.1 / np.sqrt(2e6), 0.15),
        "figure2-low": (5000, 300, 400, 0.1, 200_000, 300**-0.6, 0.1 / np.sqrt(120_000), 0.15),
        "theorem": (400, d, m, 0.05, 6, 0.2 / np.sqrt(d), 0.01 / np.sqrt(m * d), 0.1),
        "assumptions": (400, 1200, m, 0.125, 3, 0.06 / np.sqrt(1200), 0.0035 / np.sqrt(240_000),
                        0.06),
        "good-run": (400, 1200, 2400, 0.125, 3, 0.06 / np.sqrt(1200), 0.0035 / np.sqrt(2_880_000),
                     0.06),
        "grokking": (200, 40_000, 1000, 4e-3, 63, 1 / 40, 4e-6, 0.16),
    }  # fmt: skip
    for name, (n, d, m, alpha, steps, sigma, omega, eta) in expected.items():
        exp = rfa.preset(name)
        assert (exp.n, exp.d, exp.m, exp.alpha, exp.eta) == (n, d, m, alpha, eta)
        assert (exp.steps or rfa.theory.horizon(alpha)) == steps
        small = exp.replace(m=2, n=4) if name == "grokking" else exp
        assert small.distribution().sigma == pytest.approx(sigma, rel=1e-12)
        if name != "grokking":
            assert exp.network().omega_init == pytest.approx(omega, rel=1e-12)
        else:
            assert exp.omega_init == omega
        assert exp.dtype == ("float32" if name.startswith("figure2") else "float64")


def test_presets_flip_the_numbers_of_labels_they_say():
    for name, count in (("figure2-high", 11), ("grokking", 8)):
        data = rfa.preset(name).replace(d=3).sample(rng=1)
        assert np.bincount(data.cluster[data.noisy]).tolist() == [count] * 4
    low = rfa.preset("figure2-low").replace(d=3).sample(rng=1)
    assert np.bincount(low.cluster[low.noisy]).tolist() == [round(187.5)] * 4


def test_none_follows_the_other_parameters():
    exp = rfa.Experiment(n=10, d=4, m=8)
    assert exp.distribution().sigma == pytest.approx(0.1)
    wider = exp.replace(d=16)
    assert wider.distribution().sigma == pytest.approx(0.05)
    assert wider.network().omega_init == pytest.approx(1 / (4 * np.sqrt(128)))


def test_experiments_as_json_and_random_means():
    exp = rfa.Experiment(n=20, d=4, m=8, mu="random", balance=[0.4, 0.2, 0.2, 0.2], n_test=3)
    assert rfa.Experiment.from_json(exp.to_json()) == exp
    assert json.loads(exp.to_json())["balance"] == [0.4, 0.2, 0.2, 0.2]
    np.testing.assert_array_equal(exp.distribution(3).mu, rfa.random_means(4, rng=3))
    np.testing.assert_array_equal(exp.sample(3).means, exp.sample(3, "test").means)
    fixed = exp.replace(mu=rfa.random_means(4).tolist())
    assert rfa.Experiment.from_json(fixed.to_json()) == fixed
    assert exp.sample(3, "test").n == 3


def test_a_run_of_an_experiment_is_that_of_its_parts():
    exp = rfa.Experiment(n=50, d=4, m=8, n_test=20, dtype="float32", steps=9)
    run = exp.run(rng=5)
    parts = rfa.train(exp.network(5), exp.sample(5), exp.alpha, 9, test=exp.sample(5, "test"))
    assert run.network == parts.network
    assert run.history == parts.history
    assert run.network.W.dtype == np.float32
    assert run.network != exp.run(rng=6).network


# --------------------------------------------------------------------------- files


def test_networks_round_trip(tmp_path):
    net = rfa.Network.random(m=5, d=3, rng=9)
    net.save(tmp_path / "any name")
    again = rfa.load(tmp_path / "any name")
    assert again == net
    assert again.omega_init == net.omega_init
    assert again.seed.entropy == 9
    assert os.listdir(tmp_path) == ["any name"]
    assert not again.W.flags.writeable


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    net = rfa.Network([[1.0]])
    path = tmp_path / "net.npz"
    net.save(path)
    before = path.read_bytes()

    def write(file):
        file.write(b"half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        _files.replace(path, write)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]
    with pytest.raises(OSError):
        net.save(tmp_path / "no folder" / "net.npz")


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(FileNotFoundError, match=r"there is no file"):
        rfa.load(path)
    for content in (b"", b"text", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a file of rfa, or is damaged"):
            rfa.load(path)
    np.savez(path, meta=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"not a file of rfa"):
        rfa.load(path)
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"not a file of rfa"):
        rfa.load(tmp_path / "a.npy")
    np.savez(path, meta=np.array(json.dumps({"schema": 99, "kind": "run"})))
    with pytest.raises(ValueError, match=r"schema 99, written by a later rfa"):
        rfa.load(path)
    np.savez(path, meta=np.array(json.dumps({"schema": 1, "kind": "soup"})))
    with pytest.raises(ValueError, match=r"holds a 'soup'"):
        rfa.load(path)
