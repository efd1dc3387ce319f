"""Proposition B.1: the complexity against brute force, its invariances and its bound."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import rfa
from rfa.estimates import rademacher
from rfa.estimates.rademacher import expected_bound, rademacher_complexity

HALVES = [0.5, 0.5, -0.5, -0.5]


def F(W, X, eps):
    """sum_i eps_i relu(<w, x_i>) for each row w of W."""
    return np.maximum(W @ X.T, 0) @ eps


def turn(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def directions(X, eps):
    """Unit vectors of the plane, among them a maximizer of F: edges, and each cell's sum."""
    edges = np.arctan2(X[:, 1], X[:, 0]) + np.pi / 2
    edges = np.sort(np.concatenate([edges, edges + np.pi, [0.0]]) % (2 * np.pi))
    middles = turn((edges + np.append(edges[1:], edges[0] + 2 * np.pi)) / 2)
    sums = ((middles @ X.T > 0) * eps) @ X
    sums = sums[np.linalg.norm(sums, axis=1) > 0]
    return np.vstack([turn(edges), sums / np.linalg.norm(sums, axis=1, keepdims=True)])


def literal(X, a, R, maximum):
    """The mean over all 2^n sign vectors, each with R/n sqrt(sum_j (a_j G_sign(a_j))^2)."""
    suprema = []
    for signs in itertools.product([1.0, -1.0], repeat=len(X)):
        eps = np.array(signs)
        G = {1.0: max(maximum(X, eps), 0), -1.0: max(maximum(X, -eps), 0), 0.0: 0.0}
        suprema.append(R / len(X) * math.hypot(*(a_j * G[np.sign(a_j)] for a_j in a)))
    return np.mean(suprema)


def in_the_plane(X, eps):
    return F(directions(X, eps), X, eps).max()


def by_duality(X, eps):
    """F's maximum in any dimension, over which samples with sign + count.

    For these, max_w <w, g> - sum_- relu(<w, x_i>) is the least norm(g - sum_- lambda_i x_i) with
    lambda in [0, 1].
    """
    positive, negative = X[eps > 0], X[eps < 0]
    best = 0.0
    for counted in itertools.product([0.0, 1.0], repeat=len(positive)):
        g = np.array(counted) @ positive
        if len(negative):
            solved = optimize.lsq_linear(negative.T, g, (0, 1), method="bvls", tol=1e-14)
            g = g - negative.T @ solved.x
        best = max(best, float(np.linalg.norm(g)))
    return best


def rotation(d, seed):
    return stats.special_ortho_group.rvs(d, random_state=seed) if d > 1 else -np.eye(1)


# small integers: samples that are 0, equal, opposite, on one line, on the axes
points = st.lists(st.tuples(*[st.integers(-2, 2)] * 2), min_size=1, max_size=6).map(
    lambda rows: np.array(rows, dtype=float)
)
seconds = st.lists(st.floats(-2, 2), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("X", "a", "value"),
    [
        ([[3.0, 4.0]], HALVES, 5 / math.sqrt(2)),
        ([[3.0, 4.0]], [1.0], 2.5),
        (np.eye(2), HALVES, 1 / 2),
        (np.eye(2), [1.0], (math.sqrt(2) + 2) / 8),
        (np.eye(2), [-1.0], (math.sqrt(2) + 2) / 8),
        ([[1.0], [-1.0]], HALVES, (math.sqrt(0.5) + 1) / 4),
        (np.zeros((3, 4)), HALVES, 0.0),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, -2.0]], HALVES, 1 / math.sqrt(2)),
    ],
)
def test_known_values(X, a, value):
    found = rademacher_complexity(X, a)
    assert found.value == pytest.approx(value, rel=1e-14)
    assert found.exact_maximum and found.standard_error == 0


# F has its maximum at the second sample's edge, and its minimum beyond a right angle from it
@example(np.array([[3.0, 1.0], [-10.0, 90.0]]), HALVES, 1.0)
@given(points, seconds, st.floats(0.1, 10))
@settings(deadline=None, max_examples=60)
def test_all_sign_vectors_in_the_plane(X, a, R):
    found = rademacher_complexity(X, a, R)
    assert found.value == pytest.approx(literal(X, a, R, in_the_plane), rel=1e-12, abs=1e-13)
    assert found.exact_maximum and found.standard_error == 0
    assert found.draws == 2 ** max(np.count_nonzero(X.any(axis=1)) - 1, 0)


@given(points, st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_nearly_special_positions_are_no_exception(X, seed):
    """Samples that are equal or opposite up to a few units in the last place."""
    rng = np.random.default_rng(seed)
    X = X * (1 + rng.integers(-3, 4, X.shape) * 2.0**-52) + 1e-16 * rng.integers(-1, 2, X.shape)
    found = rademacher_complexity(X, HALVES).value
    assert found == pytest.approx(literal(X, HALVES, 1.0, in_the_plane), rel=1e-12, abs=1e-13)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), seconds)
@settings(deadline=None)
def test_all_sign_vectors_on_the_line(x, a):
    X = np.array(x)[:, None]
    ends = np.array([[1.0], [-1.0]])
    expected = literal(X, a, 1.0, lambda X, eps: F(ends, X, eps).max())
    found = rademacher_complexity(X, a)
    assert found.exact_maximum
    assert found.value == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("n", [1, 2, 5, 40, 300])
def test_sweep_against_a_grid(n):
    """F changes by at most sum_i norm(x_i) times the angle."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 2))
    eps = rng.choice([-1.0, 1.0], (10, n))
    spacing = 2 * math.pi / 4000
    error = spacing / 2 * np.linalg.norm(X, axis=1).sum()
    grid = turn(spacing * np.arange(4000))
    up, down = rademacher._sweep(X, eps)
    for k in range(10):
        for found, sign in ((up[k], 1), (down[k], -1)):
            on_grid = max(F(grid, X, sign * eps[k]).max(), 0)
            assert on_grid - 1e-12 * n <= found <= on_grid + error
            assert found == pytest.approx(max(in_the_plane(X, sign * eps[k]), 0), rel=1e-12)


@pytest.mark.parametrize("a", [[0.5, 0.5, -0.5, -0.5], [1.0, -0.3, 0.0, 2.0, 0.1], [-1.0, -2.0]])
def test_supremum_over_networks(a):
    """No W of norm R exceeds the supremum, and one attains it, by the network's forward pass."""
    rng = np.random.default_rng(5)
    X, a, R, n = rng.standard_normal((6, 2)), np.array(a), 1.7, 6
    attained = []
    for signs in itertools.product([1.0, -1.0], repeat=n):
        eps = np.array(signs)
        rows = []
        for a_j in a:
            among = directions(X, np.sign(a_j) * eps)
            values = F(among, X, a_j * eps)
            rows.append(max(values.max(), 0) * among[values.argmax()])
        W = np.array(rows)
        length = np.linalg.norm(W)
        W = W * (R / length) if length else W
        attained.append(eps @ rfa.Network(W, a).decision_function(X) / n)
        for _ in range(20):
            W = W + rng.standard_normal(W.shape) * rng.choice([0.01, 0.1, 1.0])
            W *= R / np.linalg.norm(W)
            assert eps @ rfa.Network(W, a).decision_function(X) / n <= attained[-1] + 1e-12
    assert rademacher_complexity(X, a, R).value == pytest.approx(np.mean(attained), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(6, 3), (6, 5), (5, 8)])
def test_ascents_against_the_exact_maximum(n, d):
    X = np.random.default_rng(10 * n + d).standard_normal((n, d))
    exact = literal(X, HALVES, 1.0, by_duality)
    default = rademacher_complexity(X, HALVES, rng=0)
    assert not default.exact_maximum
    assert 0.96 * exact <= default.value <= exact * (1 + 1e-9)
    many = rademacher_complexity(X, HALVES, rng=0, starts=60)
    assert 0.99 * exact <= many.value <= exact * (1 + 1e-9)


def test_duality_agrees_with_the_plane():
    """The oracles of the other tests against each other."""
    X = np.random.default_rng(0).standard_normal((5, 2))
    for signs in itertools.product([1.0, -1.0], repeat=5):
        eps = np.array(signs)
        assert by_duality(X, eps) == pytest.approx(max(in_the_plane(X, eps), 0), abs=1e-9)


@pytest.mark.parametrize("n", [8, 60])
@pytest.mark.parametrize("d", [3, 7])
def test_a_plane_in_space(n, d):
    """For each d the signs are the same; the ascent is below the exact value for each, and near."""
    X = np.random.default_rng(n).standard_normal((n, 2))
    exact = rademacher_complexity(X, HALVES, rng=4)
    embedded = X @ rotation(d, 1)[:2]
    estimate = rademacher_complexity(embedded, HALVES, rng=4)
    assert exact.exact_maximum and not estimate.exact_maximum
    assert 0.98 * exact.value <= estimate.value <= exact.value * (1 + 1e-12)
    assert estimate.bound == pytest.approx(exact.bound, rel=1e-12)


def test_two_samples_span_a_plane():
    X = np.random.default_rng(0).standard_normal((2, 50))
    found = rademacher_complexity(np.vstack([X, np.zeros((1, 50))]), HALVES)
    length = np.linalg.norm(X, axis=1)
    cosine = X[0] @ X[1] / length.prod()
    in_coordinates = [
        [length[0], 0],
        length[1] * np.array([cosine, math.sqrt(1 - cosine**2)]),
        [0, 0],
    ]
    assert found.exact_maximum
    assert found.value == pytest.approx(
        literal(np.array(in_coordinates), HALVES, 1.0, in_the_plane)
    )


@pytest.mark.parametrize(("n", "d"), [(30, 1), (30, 2), (30, 5), (9, 40)])
def test_homogeneous_in_every_argument(n, d):
    rng = np.random.default_rng(d)
    X, a = rng.standard_normal((n, d)), rng.standard_normal(6)
    one = rademacher_complexity(X, a, rng=0)
    for power in (-1000, -600, 4, 1000):
        # powers of two change no bit, and nothing overflows on the way
        scaled = rademacher_complexity(X, a, R=2.0**power, rng=0)
        assert scaled == rademacher_complexity(X * 2.0**power, a, rng=0)
        assert scaled == rademacher_complexity(X, a * 2.0**power, rng=0)
        assert scaled.value == one.value * 2.0**power
    scaled = rademacher_complexity(X * 3, a * 5, R=7, rng=0)
    for name in ("value", "standard_error", "bound"):
        assert getattr(scaled, name) == pytest.approx(105 * getattr(one, name), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(9, 1), (9, 2), (60, 2), (9, 4), (60, 4), (20, 30)])
def test_rotating_the_samples(n, d):
    X = np.random.default_rng(n).standard_normal((n, d))
    one = rademacher_complexity(X, HALVES, rng=0)
    turned = rademacher_complexity(X @ rotation(d, 2).T, HALVES, rng=0)
    # an ascent may take another path if F is equal at two steps up to rounding
    assert turned == pytest.approx(one, rel=1e-12 if d <= 2 else 1e-6)


def test_order_of_samples_and_neurons():
    rng = np.random.default_rng(6)
    X, a = rng.standard_normal((9, 2)), rng.standard_normal(7)
    one = rademacher_complexity(X, a)
    permuted = rademacher_complexity(X[rng.permutation(9)], a[rng.permutation(7)])
    assert permuted == pytest.approx(one, rel=1e-12)
    # E_eps is the same for -eps, which exchanges the signs of a
    assert rademacher_complexity(X, -a) == pytest.approx(one, rel=1e-12)
    X = rng.standard_normal((50, 2))
    assert rademacher_complexity(X, -a, rng=1).value == rademacher_complexity(X, a, rng=1).value


def test_half_of_the_neurons_of_either_sign():
    X = np.random.default_rng(3).standard_normal((25, 2))
    one = rademacher_complexity(X, [1 / math.sqrt(2), -1 / math.sqrt(2)], rng=0)
    for m in (4, 10, 500):
        a = rfa.Network.random(m=m, d=2).a
        assert rademacher_complexity(X, a, rng=0) == pytest.approx(one, rel=1e-12)
    uneven = rademacher_complexity(X, [0.5, 0.5, 0.5, -0.5], rng=0)
    assert uneven.value < one.value


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**16), seconds)
@settings(deadline=None, max_examples=60)
def test_half_the_bound_is_never_exceeded(n, d, seed, a):
    """By contraction and Jensen the complexity is at most R norm(a) sqrt(mean norm^2 / n)."""
    X = np.random.default_rng(seed).standard_normal((n, d))
    found = rademacher_complexity(X, a, R=2.0, rng=seed, starts=2)
    norm = np.linalg.norm(a)
    assert found.bound == pytest.approx(4 * norm * math.sqrt((X**2).sum()) / n, rel=1e-12)
    assert 0 <= found.value <= found.bound / 2 * (1 + 1e-12)


@pytest.mark.parametrize("d", [2, 30])
def test_many_samples_of_the_clusters(d):
    dist = rfa.XORClusters(d=d)
    sigma = 1 / (5 * math.sqrt(d))
    X = dist.sample(n=1000, rng=0).X
    found = rademacher_complexity(X, rfa.Network.random(m=10, d=d).a, R=3.0, rng=1)
    assert found.draws == 100 and found.exact_maximum == (d == 2)
    assert 0 < found.standard_error < found.value / 10
    assert found.value + 6 * found.standard_error < found.bound / 2
    assert found.bound == pytest.approx(expected_bound(3.0, sigma, d, 1000), rel=0.05)


def test_expected_bound():
    assert expected_bound(1.0, 0.0, 7, 4) == 1.0
    assert expected_bound(2.0, 0.5, 12, 25) == pytest.approx(1.6, rel=1e-15)
    X = rfa.XORClusters(d=5, sigma=0.8).sample(n=100_000, rng=0).X
    bound = 2 * math.sqrt((X**2).sum(axis=1).mean() / 100_000)
    assert expected_bound(1.0, 0.8, 5, 100_000) == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize("a", [HALVES, [1.0, 0.2, -0.1]])
def test_drawn_signs_estimate_the_mean_over_all(monkeypatch, a):
    X = np.random.default_rng(7).standard_normal((10, 2))
    exact = rademacher_complexity(X, a)
    monkeypatch.setattr(rademacher, "ENUMERATED", 9)
    drawn = rademacher_complexity(X, a, rng=0, draws=4000)
    assert drawn.draws == 4000 and exact.draws == 512
    assert 0 < abs(drawn.value - exact.value) < 5 * drawn.standard_error
    pairs = []
    for signs in itertools.product([1.0, -1.0], repeat=10):
        G = [max(in_the_plane(X, sign * np.array(signs)), 0) for sign in (1, -1)]
        norms = [np.linalg.norm(np.maximum(sign * np.array(a), 0)) for sign in (1, -1)]
        pairs.append(
            (math.hypot(*np.multiply(norms, G)) + math.hypot(*np.multiply(norms, G[::-1]))) / 20
        )
    assert drawn.standard_error == pytest.approx(np.std(pairs) / math.sqrt(4000), rel=0.1)


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("n", [11, 40])
def test_blocks_do_not_matter(monkeypatch, n, d):
    X = np.random.default_rng(d).standard_normal((n, d))
    whole = rademacher_complexity(X, HALVES, rng=3)
    monkeypatch.setattr(rademacher, "BLOCK_REALS", 7 * n)
    assert rademacher_complexity(X, HALVES, rng=3) == pytest.approx(whole, rel=1e-6)


def test_more_starts_never_lower_the_estimate():
    X = np.random.default_rng(1).standard_normal((30, 8))
    values = [rademacher_complexity(X, HALVES, rng=0, starts=s).value for s in (1, 2, 4, 16)]
    assert values == sorted(values) and values[0] < values[-1]


def test_an_ascent_rises():
    rng = np.random.default_rng(2)
    X, eps = rng.standard_normal((40, 6)), rng.choice([-1.0, 1.0], (30, 40))
    W = rademacher._unit(rng.standard_normal((30, 6)))
    before = np.array([F(w[None], X, e)[0] for w, e in zip(W, eps, strict=True)])
    assert (rademacher._ascent(X, eps, W) > before).all()


def test_seeds():
    X = np.random.default_rng(0).standard_normal((20, 2))
    one = rademacher_complexity(X, HALVES, rng=5)
    assert rademacher_complexity(X, HALVES, rng=np.random.SeedSequence(5)) == one
    assert rademacher_complexity(X, HALVES, rng=6) != one
    assert rademacher_complexity(X, HALVES) != rademacher_complexity(X, HALVES)
    generator = np.random.default_rng(5)
    assert rademacher_complexity(X, HALVES, rng=generator) != rademacher_complexity(
        X, HALVES, rng=generator
    )


def test_single_precision_counts_as_double():
    X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    double = rademacher_complexity(X.astype(float), HALVES, rng=0)
    assert rademacher_complexity(X, np.array(HALVES, dtype=np.float32), rng=0) == double


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X": [1.0, 2.0]}, ValueError, "X must have 2 dimensions"),
        ({"X": [[math.nan, 1.0]]}, ValueError, "X must be finite"),
        ({"X": np.empty((0, 2))}, ValueError, "X must not be empty"),
        ({"a": [[1.0]]}, ValueError, "a must have 1 dimension"),
        ({"a": []}, ValueError, "a must not be empty"),
        ({"a": ["x"]}, TypeError, "a must be an array of real numbers"),
        ({"R": 0}, ValueError, "R must be positive"),
        ({"R": "1"}, TypeError, "R must be a real number"),
        ({"rng": -1}, ValueError, "rng must be"),
        ({"rng": "x"}, TypeError, "rng must be"),
        ({"draws": 1}, ValueError, "draws must be at least 2"),
        ({"draws": 2.0}, TypeError, "draws must be an integer"),
        ({"draws": 10**30}, ValueError, "draws"),
        ({"starts": 0}, ValueError, "starts must be at least 1"),
        ({"R": 1e300, "X": [[1e300]]}, ValueError, "beyond float64"),
    ],
)
def test_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        rademacher_complexity(**({"X": np.eye(2), "a": HALVES, "rng": 0} | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"R": -1.0}, ValueError, "R must be positive"),
        ({"sigma": -0.1}, ValueError, "sigma must be at least 0"),
        ({"d": 0}, ValueError, "d must be at least 1"),
        ({"n": 1.5}, TypeError, "n must be an integer"),
    ],
)
def test_expected_bound_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        expected_bound(**({"R": 1.0, "sigma": 0.1, "d": 2, "n": 10} | changes))
