"""The horizon T, and the error on fresh points with the label noise integrated out."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import rfa
from rfa.theory import horizon
from rfa.theory import test_error as error_on_fresh_points


@pytest.mark.filterwarnings("error")
@given(st.integers(1, 10**6))
def test_horizon_of_a_whole_number(K):
    """alpha = 1/(4K) in floating point is not exact, but T is K + 1 without a warning."""
    assert horizon(1 / (4 * K)) == K + 1
    assert horizon(np.nextafter(1 / (4 * K), 1)) == K + 1


@given(st.floats(1e-6, 10))
def test_horizon_rounds_down_with_a_warning(alpha):
    exact = 1 / (4 * Fraction(alpha))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        T = horizon(alpha)
    near = abs(exact - round(exact)) <= Fraction(1, 10**9) * exact
    assert T == 1 + (round(exact) if near else math.floor(exact))
    assert len(caught) == (not near)
    if caught:
        assert "rounded down" in str(caught[0].message)
        assert caught[0].filename == __file__


def test_horizon_of_presets_and_large_steps():
    assert horizon(0.05) == 6 and horizon(0.125) == 3 and horizon(0.25) == 2
    for alpha in (0.3, 1.0, 1e300):
        with pytest.warns(UserWarning, match="rounded down to 1"):
            assert horizon(alpha) == 1


@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        (0, ValueError, "alpha must be positive"),
        (-1.0, ValueError, "alpha must be positive"),
        (math.nan, ValueError, "alpha must be finite"),
        (1e-320, ValueError, "alpha must be large enough"),
        ("x", TypeError, "alpha must be a real number"),
    ],
)
def test_horizon_refuses(alpha, error, message):
    with pytest.raises(error, match=message):
        horizon(alpha)


IDEAL = rfa.Network(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), [0.5, 0.5, -0.5, -0.5])


@pytest.mark.parametrize("eta", [0.0, 0.1, 0.3])
def test_error_of_the_ideal_classifier(eta):
    """sgn(abs<mu1,x> - abs<mu2,x>) has clean error 2p(1-p), p = Phi(1/(sqrt2 sigma))."""
    sigma, n = 0.5, 100_000
    p = stats.norm.cdf(1 / (math.sqrt(2) * sigma))
    clean = 2 * p * (1 - p)
    found = error_on_fresh_points(IDEAL, rfa.XORClusters(d=2, sigma=sigma, eta=eta), n=n, rng=3)
    low, high = stats.binom.ppf([1e-6, 1 - 1e-6], n, clean) / n
    assert low <= found.clean_error <= high
    # the noise is integrated out, so only the points are random
    integrated = eta + (1 - 2 * eta) * found.clean_error
    assert found.error == pytest.approx(integrated, rel=1e-12)
    assert found.excess == pytest.approx((1 - 2 * eta) * found.clean_error, rel=1e-12)
    assert found.low <= eta + (1 - 2 * eta) * clean <= found.high
    k = round(found.clean_error * n)
    interval = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert (found.clean_low, found.clean_high) == pytest.approx(tuple(interval), rel=1e-9)
    assert found.n == n


def test_no_answer_is_wrong_for_either_label():
    nothing = rfa.Network(np.zeros((2, 2)))
    found = error_on_fresh_points(nothing, rfa.XORClusters(d=2, eta=0.2), n=1000, rng=0)
    assert (found.error, found.clean_error, found.n) == (1.0, 1.0, 1000)
    assert found.excess == pytest.approx(0.8)
    # all of 1000 points: the interval's end solves p^1000 = 1/40
    assert found.clean_low == pytest.approx(0.025 ** (1 / 1000)) and found.clean_high == 1
    assert found.low < 1 and found.high == 1


def test_outputs_beyond_the_range_are_no_answers():
    W = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 1e308
    net = rfa.Network(W, [1, -1.0, 1, -1])
    with pytest.raises(ValueError, match="^network must be smaller: f overflows"):
        error_on_fresh_points(net, rfa.XORClusters(sigma=100.0), n=1000, rng=0)
    with pytest.raises(ValueError, match=r"f\(X\[0\]\) overflows and is (nan|inf)"):
        rfa.Network([[1e308, 0], [1e308, 0]], [1e10, -1e10]).predict([[1.0, 0.0]])


@pytest.mark.parametrize("noise", ["exact", "farthest"])
def test_flips_that_are_not_drawn_have_no_error_rate(noise):
    found = error_on_fresh_points(IDEAL, rfa.XORClusters(sigma=0.5, noise=noise), n=500, rng=0)
    assert (found.error, found.low, found.high, found.excess) == (None,) * 4
    assert 0 < found.clean_low < found.clean_error < found.clean_high


@pytest.mark.parametrize("eta", [0.0, 0.2, 0.5, 0.9, lambda X: np.where(X[:, 0] > 0, 0.4, 0.05)])
@pytest.mark.parametrize("dead", [False, True])
def test_intervals_cover_the_error(eta, dead):
    """Of 200 intervals of 95 percent at least 181 contain the truth, except in one case of 10^4."""
    dist = rfa.XORClusters(sigma=0.5, eta=eta)
    net = rfa.Network(np.zeros((2, 2))) if dead else IDEAL
    p = stats.norm.cdf(1 / (math.sqrt(2) * 0.5))
    wrong, tie = (0.0, 1.0) if dead else (2 * p * (1 - p), 0.0)
    # each half of the ring has one of the rates, and errors are equally likely in both
    rate = 0.225 if callable(eta) else eta
    truth = rate + (1 - 2 * rate) * wrong + (1 - rate) * tie
    found = [error_on_fresh_points(net, dist, n=300, rng=seed) for seed in range(200)]
    covered = sum(one.low <= truth + 1e-12 and truth <= one.high + 1e-12 for one in found)
    assert covered >= 181


def test_points_are_drawn_until_the_interval_is_narrow_enough():
    dist = rfa.XORClusters(sigma=0.5, eta=0.1)
    wide = error_on_fresh_points(IDEAL, dist, rng=0, width=0.5)
    narrow = error_on_fresh_points(IDEAL, dist, rng=0, width=0.02)
    most = error_on_fresh_points(IDEAL, dist, n=3000, rng=0, width=1e-9)
    assert wide.n == 2000 and narrow.high - narrow.low <= 0.02 and most.n == 3000
    assert narrow.n % 2000 == 0 and narrow.n > 2000
    # the estimates share the error probability, so each is wider than a single one
    single = error_on_fresh_points(IDEAL, dist, n=narrow.n, rng=0)
    assert narrow.high - narrow.low > single.high - single.low


def test_error_with_a_rate_that_depends_on_x():
    dist = rfa.XORClusters(d=3, sigma=0.6, eta=lambda X: np.where(X[:, 0] > 0, 0.4, 0.05))
    W = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    net = rfa.Network(W, [0.5, 0.5, -0.5, -0.5])
    found = error_on_fresh_points(net, dist, n=5000, rng=8)
    # the same points, from the documented stream ("check" is the sixth)
    child = np.random.SeedSequence(8, spawn_key=(5,))
    X, y_clean = dist.points(5000, np.random.Generator(np.random.PCG64(child)))
    right = np.where(np.abs(X[:, 0]) > np.abs(X[:, 1]), 1, -1) == y_clean
    eta = np.where(X[:, 0] > 0, 0.4, 0.05)
    assert found.error == pytest.approx(np.where(right, eta, 1 - eta).mean(), rel=1e-12)
    assert found.clean_error == pytest.approx(1 - right.mean(), rel=1e-12)


def test_batches_and_threads_do_not_matter(monkeypatch):
    from rfa.estimates import risk

    dist = rfa.XORClusters(d=2, sigma=0.7)
    whole = error_on_fresh_points(IDEAL, dist, n=1000, rng=1, n_threads=1)
    assert error_on_fresh_points(IDEAL, dist, n=1000, rng=1, n_threads=3) == whole
    assert error_on_fresh_points(IDEAL, dist, n=1000, rng=2) != whole
    monkeypatch.setattr(risk, "BATCH_REALS", 600)
    in_parts = error_on_fresh_points(IDEAL, dist, n=1000, rng=1)
    assert in_parts.n == 1000 and whole.low < in_parts.error < whole.high


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": 1.5}, TypeError, "n must be an integer"),
        ({"rng": -1}, ValueError, "rng must be"),
        ({"n_threads": 0}, ValueError, "n_threads"),
        ({"network": 1}, TypeError, "network must be a rfa.Network, got int"),
        ({"distribution": 2}, TypeError, "distribution must be a rfa.XORClusters, got int"),
        ({"width": 0.0}, ValueError, "width must be positive"),
        ({"confidence": 1.0}, ValueError, "confidence must be between 0 and 1, got 1.0"),
        ({"distribution": rfa.XORClusters(d=3)}, ValueError, "dimension 2, distribution has d=3"),
    ],
)
def test_error_refuses(changes, error, message):
    arguments = {"network": IDEAL, "distribution": rfa.XORClusters(d=2), "n": 10} | changes
    with pytest.raises(error, match=message):
        error_on_fresh_points(**arguments)
