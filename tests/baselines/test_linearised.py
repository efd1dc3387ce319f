"""The linearisation at W_0 against explicit gradient descent in W, and the contrasts of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rfa
from rfa.baselines import contrasts, linearised
from rfa.baselines.linearised import Tangent, linearisation
from rfa.theory import test_error as fresh_error

CASES = {
    "theory": {"n": 40, "d": 5, "m": 12, "alpha": 0.05},
    "plane": {"n": 61, "d": 2, "m": 7, "alpha": 0.25},
    "wide": {"n": 9, "d": 30, "m": 65, "alpha": 0.05, "dtype": "float32"},
    "one neuron": {"n": 12, "d": 3, "m": 1, "alpha": 0.25},
    "large start": {"n": 50, "d": 4, "m": 20, "alpha": 0.125, "omega_init": 1.0},
}


def run_of(name):
    run = rfa.Experiment(sigma=0.4, eta=0.2, **CASES[name]).run(rng=4)
    if name != "large start":
        return run
    a = np.random.default_rng(0).standard_normal(run.network.m)
    return rfa.train(rfa.Network(run.initial.W, a), run.data, run.alpha)


def descended(run, steps):
    """Gradient descent on the logistic loss of sum_j a_j A_ij <w_j, x_i>, entry by entry."""
    X, y, a = run.data.X.astype(float), run.data.y, run.initial.a
    start = run.initial.W.astype(float)
    A = np.einsum("id,jd->ij", X, start) > 0
    W = start.copy()
    for _ in range(steps):
        f = np.einsum("j,ij,jd,id->i", a, A, W, X)
        g = 1 / (1 + np.exp(y * f))
        W = W + run.alpha / len(y) * np.einsum("i,j,ij,id->jd", g * y, a, A, X)
    return W, A


def small_blocks(monkeypatch, through_W):
    monkeypatch.setattr(linearised, "BLOCK_REALS", 100)
    if through_W:
        monkeypatch.setattr(linearised, "KERNEL_SAMPLES", 0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("steps", [0, 1, 2, 40])
@pytest.mark.parametrize("through_W", [False, True])
def test_it_is_gradient_descent_with_fixed_activations(name, steps, through_W, monkeypatch):
    small_blocks(monkeypatch, through_W)
    run = run_of(name)
    W, A = descended(run, steps)
    found = Tangent(run).trained(steps)
    # sums of at most 65 terms of order 1, 40 times: far below 1e-10
    np.testing.assert_allclose(found, W, rtol=1e-10, atol=1e-12)
    X = run.data.X.astype(float)
    f = np.einsum("j,ij,jd,id->i", run.initial.a, A, W, X)
    result = linearisation(run, steps, points=500, rng=0)
    np.testing.assert_allclose(result.decision_function(run.data.X), f, rtol=1e-9, atol=1e-11)
    right = run.data.y * f > 0
    assert result.clean_wrong == (run.data.clean & ~right).sum()
    assert result.noisy_fitted == (run.data.noisy & right).sum()


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_that_of_the_gradients(name, monkeypatch):
    small_blocks(monkeypatch, False)
    run = run_of(name)
    X, A = run.data.X.astype(float), descended(run, 0)[1]
    gradient = np.einsum("j,ij,id->ijd", run.initial.a, A, X).reshape(len(X), -1)
    found = Tangent(run).kernel()
    np.testing.assert_allclose(found, gradient @ gradient.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_it_is_tangent_to_the_network(name):
    """f at W_0 is the network's, and so is the derivative in any direction."""
    run = run_of(name)
    tangent, X, W = Tangent(run), run.data.X.astype(float), run.initial.W.astype(float)
    network = rfa.Network(W, run.initial.a)
    np.testing.assert_allclose(tangent.values(X, W), network.decision_function(X), atol=1e-12)
    # so small a step changes the sign of no <w_j, x_i> of these cases
    step = 1e-9 * np.random.default_rng(1).standard_normal(W.shape)
    assert ((X @ W.T > 0) == (X @ (W + step).T > 0)).all()
    moved = rfa.Network(W + step, run.initial.a).decision_function(X)
    np.testing.assert_allclose(tangent.values(X, W + step), moved, atol=1e-14)


def test_the_first_step_is_the_networks():
    run = run_of("plane")
    np.testing.assert_allclose(Tangent(run).trained(1), run.snapshots[1], rtol=1e-12)
    assert linearisation(run, points=500, rng=0).name == f"linearisation after {run.t} steps"


def test_contrasts_are_of_one_step_and_the_same_points():
    run = rfa.preset("theorem").replace(steps=9, n=90, m=10, d=20, sigma=0.2).run(rng=2)
    T = rfa.theory.horizon(run.alpha)
    network, linear, affine, tangent = contrasts(run, points=3000)
    W = rfa.Network(run.snapshots[T], run.initial.a)
    assert network.name == f"network after {T} steps"
    estimate = fresh_error(W, run.data.distribution, 3000, rng=run.data.seed)
    assert network.clean_error == estimate.clean_error
    row = run.history.row(T)
    assert (network.clean_wrong, network.noisy_fitted) == (row.clean_wrong, row.noisy_fitted)
    alone = linearisation(run, T, points=3000, rng=run.data.seed)
    assert tangent.to_dict() == alone.to_dict() and tangent.name.endswith(f"after {T} steps")
    assert (linear.least, affine.least) == (
        rfa.baselines.linear_optimum(run.data.distribution).error,
        rfa.baselines.linear_optimum(run.data.distribution, intercept=True).error,
    )
    short = rfa.train(run.initial, run.data, run.alpha, 2)
    assert [each.name for each in contrasts(short, points=100)][::3] == [
        "network after 2 steps",
        "linearisation after 2 steps",
    ]


def test_wrong_arguments_are_refused():
    run = run_of("plane")
    own = rfa.train(run.initial, rfa.Dataset(run.data.X, run.data.y), run.alpha)
    for function in (linearisation, contrasts):
        with pytest.raises(ValueError, match="data must have XORClusters as distribution"):
            function(own)
        with pytest.raises(TypeError, match="run must be a rfa.Run"):
            function(run.network)
        with pytest.raises(ValueError, match="points must be at least 1"):
            function(run, points=0)
        with pytest.raises(ValueError, match="confidence must be"):
            function(run, confidence=2)
    for steps in (-1, 2**60):
        with pytest.raises(ValueError, match="steps must be at"):
            linearisation(run, steps)


def test_values_that_overflow_are_refused():
    run = run_of("plane")
    huge = rfa.Network(1e200 * run.initial.W, 1e200 * run.initial.a)
    with pytest.raises(ValueError, match="X must be smaller: the linearisation after 0"):
        linearisation(replace(run, initial=huge), 0, points=10)
