"""Experiments and presets."""

from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa.data import LAWS, NOISE_RULES

QUICK = settings(deadline=None, max_examples=50)

# The published values of the presets, written down independently of the code.
FIGURE2 = {
    "m": 400,
    "alpha": 0.1,
    "steps": 200_000,
    "eta": 0.15,
    "noise": "exact",
    "balance": "exact",
    "n_test": 6000,
    "dtype": "float32",
}
PLAIN = {"noise": "independent", "balance": None, "n_test": 0, "dtype": "float64"}
SETTINGS = {
    "figure1": PLAIN | {"n": 5000, "d": 2, "m": 500, "alpha": 0.05, "steps": 3000, "eta": 0.15},
    "figure2-high": FIGURE2 | {"n": 300, "d": 5000},
    "figure2-low": FIGURE2 | {"n": 5000, "d": 300},
    "theorem": PLAIN | {"n": 400, "d": 200, "m": 200, "alpha": 0.05, "steps": None, "eta": 0.1},
    "assumptions": PLAIN
    | {"n": 400, "d": 1200, "m": 200, "alpha": 0.125, "steps": None, "eta": 0.06},
    "good-run": PLAIN
    | {"n": 400, "d": 1200, "m": 2400, "alpha": 0.125, "steps": None, "eta": 0.06},
    "grokking": {
        "n": 200,
        "d": 40_000,
        "m": 1000,
        "alpha": 4e-3,
        "steps": 63,
        "eta": 8 / 50,
        "noise": "exact",
        "balance": "exact",
        "dtype": "float64",
    },
}
# sigma, omega_init and the horizon T of each preset.
WIDTHS = {
    "figure1": (sqrt(1 / (25 * 2)), sqrt(1 / (16 * 500 * 2)), 6),
    "figure2-high": (sqrt(5000**-1.2), sqrt(0.01 / (400 * 5000)), 3),
    "figure2-low": (sqrt(300**-1.2), sqrt(0.01 / (400 * 300)), 3),
    "theorem": (0.2 / sqrt(200), 0.01 / sqrt(200 * 200), 6),
    "assumptions": (0.06 / sqrt(1200), 0.0035 / sqrt(200 * 1200), 3),
    "good-run": (0.06 / sqrt(1200), 0.0035 / sqrt(2400 * 1200), 3),
    "grokking": (1 / 40, 4e-6, 63),
}

FINITE = st.floats(0, 1e6)
EXPERIMENTS = st.builds(
    rfa.Experiment,
    n=st.integers(1, 10**6),
    d=st.integers(2, 40),
    m=st.integers(1, 10**6),
    alpha=st.floats(1e-300, 1e3),
    steps=st.none() | st.integers(0, 10**9),
    sigma=st.none() | FINITE,
    omega_init=st.none() | FINITE,
    eta=st.floats(0, 1),
    noise=st.sampled_from(list(NOISE_RULES)),
    law=st.sampled_from(list(LAWS)),
    balance=st.sampled_from([None, "exact", [0.1, 0.2, 0.3, 0.4], (0, 0, 0, 1)]),
    mu=st.sampled_from([None, "random"]),
    n_test=st.integers(0, 10**6),
    dtype=st.sampled_from(["float64", "float32"]),
)


# --------------------------------------------------------------------------- presets


@pytest.mark.parametrize("name", SETTINGS)
def test_presets_are_the_published_settings(name):
    exp = rfa.preset(name)
    for field, value in SETTINGS[name].items():
        assert getattr(exp, field) == value, field
    assert exp.law == "gaussian" and exp.mu is None
    sigma, omega_init, T = WIDTHS[name]
    assert exp.distribution().sigma == pytest.approx(sigma, rel=1e-12)
    given_omega = exp.omega_init or rfa.Network.random(m=exp.m, d=exp.d).omega_init
    assert given_omega == pytest.approx(omega_init, rel=1e-12)
    assert math.floor(1 / (4 * exp.alpha) + 1e-9) + 1 == T
    # A preset without steps takes T of them; grokking, whose T is rounded, gives its steps.
    assert (exp.steps or T) >= T


def test_there_are_no_other_presets():
    with pytest.raises(ValueError, match=r"^name must be one of ") as error:
        rfa.preset("figure3")
    listed = str(error.value).removeprefix("name must be one of ").partition(", got")[0]
    assert set(listed.split(", ")) == set(SETTINGS)


@pytest.mark.parametrize(
    ("name", "size", "flipped", "test"),
    [
        ("figure2-high", 75, 11, (1500, 225)),
        ("figure2-low", 1250, 188, (1500, 225)),
        ("grokking", 50, 8, None),
    ],
)
def test_presets_with_counts_have_these_counts(name, size, flipped, test):
    exp = rfa.preset(name).replace(d=2)
    expected = {"train": (size, flipped)} | ({"test": test} if test else {})
    for split, counts in expected.items():
        data = exp.sample(rng=7, split=split)
        assert np.bincount(data.cluster).tolist() == [counts[0]] * 4
        assert np.bincount(data.cluster[data.noisy]).tolist() == [counts[1]] * 4
        assert data.X.dtype == exp.dtype


def test_the_theorem_preset_ends_at_the_horizon():
    exp = rfa.preset("theorem").replace(n=40, d=5, m=8)
    assert exp.run(rng=0).t == 6
    assert exp.replace(alpha=0.125).run(rng=0).t == 3


# --------------------------------------------------------------------------- records


@QUICK
@given(EXPERIMENTS)
def test_json_gives_the_same_experiment(exp):
    again = rfa.Experiment.from_json(exp.to_json())
    assert again == exp and hash(again) == hash(exp)
    assert again.to_json() == exp.to_json()
    assert set(json.loads(exp.to_json())) == {f.name for f in dataclasses.fields(exp)}
    assert "\n" not in repr(exp) and "\n" not in exp.to_json()
    assert eval(repr(exp), {"Experiment": rfa.Experiment}) == exp


@QUICK
@given(st.integers(2, 40), st.integers(0, 99), st.booleans())
def test_means_survive_json(d, seed, as_array):
    mu = rfa.random_means(d, rng=seed)
    exp = rfa.Experiment(n=4, d=d, m=2, mu=mu if as_array else mu.tolist())
    again = rfa.Experiment.from_json(exp.to_json())
    assert again == exp
    assert again.distribution().mu.tobytes() == mu.tobytes()


@QUICK
@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_weights_survive_json_to_the_last_bit(weights):
    weights = np.array(weights) / sum(weights)
    exp = rfa.Experiment(n=30, d=3, m=4, balance=weights)
    assert rfa.Experiment.from_json(exp.to_json()) == exp
    dist = exp.distribution()
    assert rfa.XORClusters.from_dict(dist.to_dict()) == dist


def test_sizes_are_refused_before_anything_is_allocated():
    # The means alone would take a quarter of a gigabyte. The first experiment loads modules, whose
    # memory must not count.
    rfa.Experiment(n=30, d=3, m=4)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="n and d make an array too large"):
            rfa.Experiment(n=2**38, d=2**24, m=4)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_numpy_numbers_become_pythons():
    exp = rfa.Experiment(
        n=np.int32(5), d=np.int64(2), m=np.uint8(3), alpha=np.float32(0.25), steps=np.int8(4),
        sigma=np.float64(0.5), omega_init=1, eta=np.float32(0.5), n_test=np.int16(6),
        balance=np.full(4, 0.25),
    )  # fmt: skip
    for value in dataclasses.asdict(exp).values():
        assert value is None or type(value) in (int, float, str, tuple)
    assert rfa.Experiment.from_json(exp.to_json()) == exp


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("f4"), "f4"])
def test_any_name_of_a_type(dtype):
    assert rfa.Experiment(n=5, d=2, m=3, dtype=dtype) == rfa.Experiment(
        n=5, d=2, m=3, dtype="float32"
    )


def test_none_is_kept_and_resolved_late():
    exp = rfa.Experiment(n=5, d=4, m=9)
    assert exp.sigma is None and exp.omega_init is None and exp.steps is None
    wide = exp.replace(d=100, m=16)
    assert wide.distribution().sigma == pytest.approx(1 / 50, rel=1e-15)
    assert wide.network().omega_init == pytest.approx(1 / 160, rel=1e-15)
    fixed = exp.replace(sigma=0.3, omega_init=0.2).replace(d=100, m=16)
    assert fixed.distribution().sigma == 0.3 and fixed.network().omega_init == 0.2
    assert exp == rfa.Experiment(n=5, d=4, m=9)


def test_an_experiment_cannot_be_changed():
    exp = rfa.Experiment(n=5, d=4, m=9)
    for name in ("n", "alpha", "mu", "new"):
        with pytest.raises(AttributeError):
            setattr(exp, name, 1)
    with pytest.raises(TypeError):
        rfa.Experiment(5, 4, 9)


# --------------------------------------------------------------------------- runs


@pytest.mark.parametrize("mu", [None, "random"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_has_the_bits_of_its_parts(mu, dtype):
    exp = rfa.Experiment(
        n=40, d=3, m=6, alpha=0.1, steps=5, sigma=0.2, eta=0.2, noise="farthest", law="laplace",
        balance="exact", mu=mu, n_test=30, dtype=dtype,
    )  # fmt: skip
    run = exp.run(rng=11, record="all")
    dist = rfa.XORClusters(
        d=3, sigma=0.2, eta=0.2, noise="farthest", law="laplace", balance="exact",
        mu=rfa.random_means(3, rng=11) if mu else None,
    )  # fmt: skip
    data = dist.sample(40, rng=11, dtype=dtype)
    test = dist.sample(30, rng=11, split="test", dtype=dtype)
    net = rfa.Network.random(m=6, d=3, rng=11)
    parts = rfa.train(net, data, 0.1, 5, test=test, record="all")
    assert run.data.X.tobytes() == data.X.tobytes() and run.data.X.dtype == dtype
    assert run.test.X.tobytes() == test.X.tobytes()
    assert run.network == parts.network and run.history == parts.history
    assert run.network.W.dtype == dtype and run.t == 5
    assert exp.run(rng=np.random.SeedSequence(11)).network == run.network


def test_a_run_without_a_seed_keeps_one():
    exp = rfa.Experiment(n=20, d=3, m=6, mu="random", n_test=9)
    run = exp.run(rng=None)
    assert run.data.seed is not None
    for seed in (run.initial.seed, run.test.seed):
        assert seed.entropy == run.data.seed.entropy
    again = exp.run(rng=run.data.seed)
    assert again.network == run.network and again.test.X.tobytes() == run.test.X.tobytes()
    assert exp.run(rng=None).network != run.network


def test_train_and_test_data_have_the_same_means_and_different_points():
    exp = rfa.Experiment(n=30, d=3, m=2, mu="random", n_test=30)
    train, test = exp.sample(rng=2), exp.sample(rng=2, split="test")
    assert train.means.tobytes() == test.means.tobytes()
    assert not set(map(tuple, train.X.tolist())) & set(map(tuple, test.X.tolist()))
    assert (train.split, test.split) == ("train", "test")


# --------------------------------------------------------------------------- bad input

GOOD = {"n": 5, "d": 2, "m": 3}
BAD_VALUES = [
    ({"n": 0}, "n must be at least 1"),
    ({"n": 5.0}, "n must be an integer"),
    ({"d": 1}, "d must be at least 2"),
    ({"m": 0}, "m must be at least 1"),
    ({"m": "3"}, "m must be an integer"),
    ({"alpha": -0.1}, "alpha must be positive"),
    ({"alpha": math.nan}, "alpha must be finite"),
    ({"steps": -1}, "steps must be at least 0"),
    ({"steps": 1e3}, "steps must be an integer"),
    ({"sigma": -1.0}, "sigma must be at least 0"),
    ({"omega_init": -1.0}, "omega_init must be at least 0"),
    ({"omega_init": math.inf}, "omega_init must be finite"),
    ({"eta": 1.01}, r"eta must be in \[0, 1\]"),
    ({"noise": "some"}, "noise must be one of independent, exact,"),
    ({"law": "cauchy"}, "law must be one of gaussian, laplace,"),
    ({"balance": "even"}, "balance must be"),
    ({"balance": [0.5, 0.5, 0.5, -0.5]}, "balance must be"),
    ({"mu": "e1"}, "mu must be None, 'random' or"),
    ({"mu": [[1.0, 0.0], [0.6, 0.8]]}, r"mu must be orthonormal, .* by 0\.6"),
    ({"n_test": -1}, "n_test must be at least 0"),
    ({"n_test": None}, "n_test must be an integer"),
    ({"dtype": "float16"}, "dtype must be float32 or float64"),
    ({"dtype": int}, "dtype must be float32 or float64"),
    ({"n": 2**62, "d": 4}, "n and d make an array too large"),
    ({"m": 2**62, "d": 4}, "m and d make an array too large"),
    ({"n_test": 2**62, "d": 4}, "n_test and d make an array too large"),
    ({"sigma": lambda: 1.0}, "sigma must be JSON-able.*XORClusters"),
    ({"noise": lambda *_: []}, "noise must be JSON-able.*XORClusters"),
    ({"law": lambda rng, n, d: 0}, "law must be JSON-able.*XORClusters"),
    ({"eta": lambda X: 0}, "eta must be JSON-able.*XORClusters"),
    ({"mu": lambda: None}, "mu must be JSON-able.*XORClusters"),
]


@pytest.mark.parametrize(("values", "words"), BAD_VALUES)
def test_bad_values_are_named_when_made_and_replaced(values, words):
    for make in (lambda **v: rfa.Experiment(**GOOD | v), rfa.Experiment(**GOOD).replace):
        with pytest.raises((ValueError, TypeError), match=f"^{words}") as error:
            make(**values)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "text must be a JSON object"),
        ("{'n': 5}", "text must be a JSON object"),
        ("[5, 2, 3]", "text must be a JSON object"),
        ("null", "text must be a JSON object"),
        ('{"n": 5, "d": 2}', "text .*'m'"),
        ('{"n": 5, "d": 2, "m": 3, "lr": 0.1, "T": 3}', r"text has unknown .*\['T', 'lr'\]"),
        ('{"n": 5, "d": 2, "m": 3, "alpha": NaN}', "alpha must be finite"),
        ('{"n": 5, "d": 2, "m": 3, "steps": -2}', "steps must be at least 0"),
    ],
)
def test_bad_text_is_named(text, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        rfa.Experiment.from_json(text)


@pytest.mark.parametrize("n_test", [0, 4])
def test_splits_are_named(n_test):
    exp = rfa.Experiment(**GOOD, n_test=n_test)
    with pytest.raises(ValueError, match="^split must be 'train' or 'test', got 'validation'"):
        exp.sample(split="validation")
    if n_test == 0:
        with pytest.raises(ValueError, match="^n_test must be positive"):
            exp.sample(split="test")
