"""The best linear classifiers: searches against brute force, closed forms against a search."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import rfa
from rfa.baselines import best_linear, linear_optimum
from rfa.baselines.linear import _affine, _direction

QUICK = settings(deadline=None, max_examples=60)

# few values, so that many points lie on one line through the origin, or are equal
LATTICE = st.lists(
    st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.sampled_from([-1, 1])),
    min_size=1,
    max_size=9,
)


def of(drawn):
    return np.array([p[:2] for p in drawn], dtype=float), np.array([p[2] for p in drawn])


# ------------------------------------------------------------------ searches


@QUICK
@given(LATTICE)
def test_no_direction_is_better_than_the_one_found(drawn):
    plane, y = of(drawn)
    u = _direction(plane, y)
    assert np.linalg.norm(u) == pytest.approx(1)
    # the number of right points changes only where a point is orthogonal to the direction
    turns = np.arctan2(plane[:, 1], plane[:, 0])
    ends = np.concatenate([turns + math.pi / 2, turns - math.pi / 2]) % (2 * math.pi)
    ends = np.unique(np.append(ends, [0, 2 * math.pi]))
    tried = np.concatenate([ends, (ends[1:] + ends[:-1]) / 2])
    others = np.stack([np.cos(tried), np.sin(tried)])
    most = (y[:, None] * (plane @ others) > 1e-9).sum(axis=0).max()
    assert (y * (plane @ u) > 0).sum() == most


@QUICK
@given(LATTICE)
def test_no_threshold_of_180_directions_is_better(drawn):
    plane, y = of(drawn)
    u, b = _affine(plane, y)
    least = len(y)
    for degree in range(180):
        along = plane @ [math.cos(math.radians(degree)), math.sin(math.radians(degree))]
        for cut in np.concatenate([along - 1e-7, along + 1e-7]):
            right = (y * (along - cut) > 0).sum()
            least = min(least, len(y) - right, right)
    # rounding may part points that are equal along a direction: the search may use this
    assert (y * (plane @ u + b) <= 0).sum() <= least


def test_lines_that_separate_are_found():
    plane = np.random.default_rng(0).standard_normal((500, 2))
    for w, b in (([1.0, 0.2], 0.0), ([-0.3, 1.0], 0.7), ([0.5, -2.0], -1.1)):
        y = np.where(plane @ w + b > 0, 1, -1)
        u, found = _affine(plane, y)
        assert (y * (plane @ u + found) <= 0).sum() <= 5  # within half a degree of the line
        if b == 0:
            assert (y * (plane @ _direction(plane, y)) > 0).all()


# ------------------------------------------------------------------ closed forms


def clean_error(w, b, sigma, shares):
    """P(y~ (<w, x> + b) <= 0) for unit vectors mu1, mu2 and Gaussian clusters."""
    means = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    labels = [1, 1, -1, -1]
    scale = sigma * np.linalg.norm(w)
    return sum(
        p * stats.norm.cdf(-y * (np.dot(w, mu) + b), scale=scale)
        for p, mu, y in zip(shares, means, labels, strict=True)
    )


BALANCES = [None, "exact", (0.4, 0.1, 0.2, 0.3), (0.1, 0.1, 0.7, 0.1)]


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.6, 2.0])
@pytest.mark.parametrize("intercept", [False, True])
def test_no_linear_classifier_is_better_than_the_optimum(sigma, balance, intercept):
    mu = rfa.random_means(5, rng=1)
    distribution = rfa.XORClusters(d=5, sigma=sigma, balance=balance, mu=mu)
    found = linear_optimum(distribution, intercept=intercept)
    shares = (0.25,) * 4 if balance in (None, "exact") else balance
    in_plane = mu @ found.w
    assert np.linalg.norm(found.w) == pytest.approx(1) == np.linalg.norm(in_plane)
    error = clean_error(in_plane, found.b, sigma, shares)
    assert found.error == pytest.approx(error, abs=1e-12) and (intercept or found.b == 0)
    for seed in range(6):  # a search with other variables, (w, b), from random starts
        start = np.random.default_rng(seed).standard_normal(3)
        other = optimize.minimize(
            lambda z: clean_error(z[:2], z[2] * intercept, sigma, shares), start, method="Powell"
        )
        assert other.fun >= found.error - 1e-9


def test_known_optima():
    assert linear_optimum(rfa.XORClusters(sigma=0.0)).error == 0.5
    assert linear_optimum(rfa.XORClusters(sigma=0.0), intercept=True).error == 0.25
    for sigma in (0.01, 0.3, 5.0):
        assert linear_optimum(rfa.XORClusters(sigma=sigma)).error == 0.5
        assert 0.25 <= linear_optimum(rfa.XORClusters(sigma=sigma), intercept=True).error < 0.5
    assert linear_optimum(rfa.XORClusters(d=7, sigma=1e-9), intercept=True).error == 0.25


# ------------------------------------------------------------------ on data


@pytest.mark.parametrize("law", ["gaussian", "exponential"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("d", [2, 6])
def test_numbers_are_those_of_the_decision_function(law, intercept, d):
    distribution = rfa.XORClusters(d=d, sigma=0.3, law=law, eta=0.2)
    data = distribution.sample(300, rng=5)
    found = best_linear(data, intercept=intercept, rng=np.random.default_rng(2), points=4000)
    rng = np.random.default_rng(2)
    distribution.points(4000, rng)  # those of the fit
    X, y = distribution.points(4000, rng)
    assert found.clean_error == (y * found.decision_function(X) <= 0).mean()
    estimated = rfa.theory.clopper_pearson(round(4000 * found.clean_error), 4000)
    assert (found.clean_low, found.clean_high) == estimated and found.points == 4000
    right = data.y * found.decision_function(data.X) > 0
    assert found.clean_wrong == (data.clean & ~right).sum()
    assert found.noisy_fitted == (data.noisy & right).sum()
    zero = found.decision_function(np.zeros((1, d)))
    assert intercept or zero == 0
    if law == "gaussian":
        assert found.least == linear_optimum(distribution, intercept=intercept).error
    else:
        assert found.least is None
    assert (
        best_linear(data, intercept=intercept, rng=3, points=2000).to_dict()
        == best_linear(data, intercept=intercept, rng=3, points=2000).to_dict()
    )


def test_the_fit_comes_close_to_the_optimum():
    """A fit to 65536 points is worse than the optimum by twice the largest deviation at most.

    For half-planes a bound by the VC dimension gives 0.05; this leaves room for the error's own
    interval. It cannot be better than the optimum but by that interval.
    """
    for sigma in (0.15, 0.5, 1.0):
        data = rfa.XORClusters(sigma=sigma).sample(40, rng=0)
        for intercept in (False, True):
            found = best_linear(data, intercept=intercept, rng=1, confidence=1 - 1e-6)
            assert found.clean_high >= found.least and found.clean_low <= found.least + 0.05


def test_a_law_that_is_not_symmetric_has_a_better_direction():
    data = rfa.XORClusters(sigma=0.25, law="exponential").sample(40, rng=0)
    assert best_linear(data, rng=0, confidence=1 - 1e-6).clean_high < 0.45


def test_wrong_arguments_are_refused():
    data = rfa.XORClusters().sample(40, rng=0)
    own = rfa.Dataset(data.X, data.y)
    with pytest.raises(ValueError, match="data must have XORClusters as distribution"):
        best_linear(own)
    for points in (0, 2**41):
        with pytest.raises(ValueError, match="points must be at"):
            best_linear(data, points=points)
    with pytest.raises(TypeError, match="intercept must be True or False, got 1"):
        best_linear(data, intercept=1)
    with pytest.raises(ValueError, match="confidence must be"):
        best_linear(data, confidence=1.0)
    with pytest.raises(ValueError, match="distribution must have the law 'gaussian', got 'ball'"):
        linear_optimum(rfa.XORClusters(law="ball"))
    named = rfa.XORClusters(law=lambda rng, n, d: rng.standard_normal((n, d)))
    stored = rfa.XORClusters.from_dict(named.to_dict())
    data = rfa.Dataset(
        data.X, data.y, y_clean=data.y_clean, cluster=data.cluster, means=data.means,
        distribution=stored,
    )  # fmt: skip
    with pytest.raises(ValueError, match="data must have .* only the name of"):
        best_linear(data)
