"""docs/errata.rst, recomputed: what the paper prints fails, what the page puts there holds.

Plain NumPy with data and steps of its own, since these are statements about the paper.
"""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import rfa
from rfa.theory import horizon

E2 = math.exp(-2)
C0 = 4**5 * 1024**2 * math.exp(4)  # Definition 4.5


def drawn(seed, n, d, m, sigma, omega, eta):
    rng = np.random.Generator(np.random.PCG64(seed))
    means = np.zeros((4, d))
    means[[0, 1], 0] = means[[2, 3], 1] = 1, -1
    cluster = rng.integers(0, 4, n)
    X = means[cluster] + sigma * rng.standard_normal((n, d))
    y_clean = np.where(cluster < 2, 1, -1)
    y = np.where(rng.random(n) < eta, -y_clean, y_clean)
    W = omega * rng.standard_normal((m, d))
    a = np.repeat([1, -1], m // 2) / math.sqrt(m)
    return SimpleNamespace(
        X=X, y=y, y_clean=y_clean, clean=y == y_clean, cluster=cluster, means=means, W=W, a=a
    )


def slopes(p, W):
    """-l'(y_i f(x_i; W))."""
    return 1 / (1 + np.exp(p.y * (np.maximum(p.X @ W.T, 0) @ p.a)))


def step(p, W, alpha):
    coefficients = (slopes(p, W) * p.y)[:, None] * (p.X @ W.T > 0)
    return W + alpha * p.a[:, None] / len(p.y) * (coefficients.T @ p.X)


FIGURE_1 = {"d": 2, "sigma": math.sqrt(1 / 50), "eta": 0.15}
THEOREM = {"d": 200, "sigma": 0.2 / math.sqrt(200), "eta": 0.1}


def figure_1(seed=0):
    return drawn(seed, n=5000, m=500, omega=1 / math.sqrt(16 * 500 * 2), **FIGURE_1)


def theorem(seed=0):
    return drawn(seed, n=400, m=200, omega=0.01 / math.sqrt(200 * 200), **THEOREM)


@given(st.floats(math.log(3e-4), math.log(0.2)))
def test_the_constant_of_20_with_a_floored_horizon(log_alpha):
    """alpha K < 1/4 unless 1/(4 alpha) is whole: (20) then loses up to alpha e^-2/256."""
    alpha = math.exp(log_alpha)
    K = math.floor(1 / (4 * alpha))
    paper, floored = E2 / 1024 - 3 * alpha, alpha * (K * E2 / 256 - 3)
    assert paper - alpha * E2 / 256 - 1e-15 <= floored <= paper + 1e-15


def test_a_step_size_of_a7_need_not_give_a_whole_horizon():
    C, alpha = 100, 0.06
    assert 1 / (2 * math.sqrt(C)) <= alpha <= 1 / math.sqrt(C)
    with pytest.warns(UserWarning, match="not an integer"):
        K = horizon(alpha) - 1
    assert K == 4 and alpha * (K * E2 / 256 - 3) < E2 / 1024 - 3 * alpha


def test_14_needs_samples_nearer_to_their_means():
    radius = math.sqrt(2) - 1
    assert radius**2 == pytest.approx(3 - 2 * math.sqrt(2))
    mu = np.array([1.0, 0])
    assert np.linalg.norm(mu * (1 + radius)) == pytest.approx(math.sqrt(2))
    assert np.linalg.norm(mu * (1 + 1 / math.sqrt(3))) > math.sqrt(2)
    # Lemma A.1 adds (3/2) omega sqrt(d) <= alpha abs(a_j)/2 to the step: its 2 needs the sqrt 2
    assert math.sqrt(2) + 1 / 2 <= 2 < 1 + 1 / math.sqrt(3) + 1 / 2
    p = figure_1()
    far = ((p.X - p.means[p.cluster]) ** 2).sum(1)
    assert far.max() > radius**2 and np.linalg.norm(p.X, axis=1).max() > math.sqrt(2)
    assert np.linalg.norm(p.X[far <= radius**2], axis=1).max() <= math.sqrt(2)


@given(st.integers(0, 30), st.integers(2, 8), st.lists(st.integers(0, 250), min_size=4, max_size=4))
def test_6_corrected_holds_for_every_placement_of_the_flips(uneven, C1, flips):
    """Clean counts of clusters of 250 +- uneven, any number of flips in each; delta = 1/2."""
    n = 1000
    sizes = np.array([250 + uneven, 250 - uneven, 250, 250])
    flips = np.minimum(flips, sizes)
    deviation = C1 * math.sqrt(math.log(2) / n)
    assert uneven / n <= deviation  # (5)
    clean = sizes - flips
    assert (clean >= n / 4 * (1 - 4 * deviation - 4 * flips.sum() / n) - 1e-9).all()
    assert (clean <= n / 4 * (1 + 4 * deviation) + 1e-9).all()


def test_6_as_printed_fails():
    n, delta, C1 = 1000, 0.5, 2
    deviation = C1 * math.sqrt(math.log(1 / delta) / n)
    # all noise in one of four clusters of 250
    noisy = 40
    assert 250 - noisy < n / 4 * (1 - deviation - noisy / n)
    # no noise, and one cluster as large as (5) allows
    assert math.floor(n * (1 / 4 + deviation)) > n / 4 * (1 + deviation)
    # the term with the noise belongs to the lower bound alone
    noisy = 200
    assert 250 > n / 4 * (1 + 4 * deviation - 4 * noisy / n)


def test_4_4_needs_flips_that_ignore_the_place_within_a_cluster():
    """Flip where z is most along w, in cluster +mu alone: noise of 4.9%, edge 2p - 1 of 1.6%."""
    n, edge = 40_000, 0.02  # of a neuron with <w, mu>/norm(w) = edge * sigma
    z, u = np.random.Generator(np.random.PCG64(1)).standard_normal((2, n // 4))
    active, active_opposite = edge + z > 0, -edge + u > 0
    p = stats.norm.cdf(edge)
    assert abs(active.mean() - p) < 4 / math.sqrt(n)  # counted over all samples: Binomial(p)
    flipped = z > np.quantile(z, 1 - 4 * 0.049)
    clean_active = active[~flipped]
    assert abs(clean_active.mean() - p) > 0.1  # over clean samples: not
    assert clean_active.sum() < active_opposite.sum()  # and the lemma's difference is negative
    assert active.sum() - active_opposite.sum() - flipped.sum() <= (
        clean_active.sum() - active_opposite.sum()
    )


@given(st.data())
def test_4_4_counted_over_all_samples_then_less_the_noise(data):
    """Whatever labels are flipped, by whatever rule."""
    bits = st.lists(st.booleans(), min_size=20, max_size=20)
    active, noisy, opposite = (np.array(data.draw(bits)) for _ in range(3))
    counted = (active & ~opposite).sum() - (active & opposite).sum()
    clean = (active & ~opposite & ~noisy).sum() - (active & opposite & ~noisy).sum()
    assert clean >= counted - noisy.sum()


def test_4_4_for_a_law_that_is_not_symmetric():
    """Centred exponential: -mu is not captured with probability 1 - p; the edge is positive."""
    c = 0.1
    law = stats.expon(loc=-1)
    p, opposite = law.sf(-c), law.sf(c)
    assert abs(opposite - (1 - p)) > 0.2
    assert 0 < p - opposite == pytest.approx(law.cdf(c) - law.cdf(-c))


def test_18_own_noisy_samples_project_on_their_mean_with_length_one():
    alpha, sigma = 0.05, 0.02 / math.sqrt(200)
    p = drawn(0, n=400, d=200, m=200, sigma=sigma, omega=0.01 / math.sqrt(200 * 200), eta=0.1)
    W = p.W
    deviation = np.linalg.norm(p.X - p.means[p.cluster], axis=1).max()
    own = (p.cluster == 0) & ~p.clean
    term = (slopes(p, W) * p.X[:, 0])[own].sum() / len(p.y)
    share = own.sum() / len(p.y)
    assert 0 < share and term > 10 * share * deviation  # which C1 sigma sqrt(d) bounds
    assert share * E2 / 2 * (1 - deviation) <= term <= share * (1 + deviation)
    # with that term in its place the increment is still (18)'s, by (37)
    W = step(p, W, alpha)
    for _ in range(1, horizon(alpha)):
        before, W = W, step(p, W, alpha)
        H = p.X @ before.T
        aligned = (p.a > 0) & (H[p.cluster == 0] > 0).all(0) & (H[p.cluster == 1] <= 0).all(0)
        rise = (W - before)[aligned, 0] / (alpha * p.a[aligned])
        assert aligned.sum() > 20 and rise.min() >= E2 / 64


def expansion(p, signs_of_zeta2):
    """Both sides of (28) at t = 0, and the size of the step."""
    alpha, n = 0.05, len(p.y)
    active = p.X @ p.W.T > 0
    g = slopes(p, p.W)
    scale = alpha * p.a[:, None] / n
    mu = p.means[p.cluster]
    signed = np.array(signs_of_zeta2)[p.cluster][:, None] * np.abs(mu)
    zeta1 = scale * ((g * p.y)[:, None] * active).T @ (p.X - mu)
    zeta2 = scale * (((g - 0.5) * p.y)[:, None] * active).T @ signed
    N = np.array([(p.y[:, None] * active)[p.cluster == c].sum(0) for c in range(4)])
    main = scale / 2 * ((N[0] - N[1])[:, None] * p.means[0] + (N[2] - N[3])[:, None] * p.means[2])
    moved = step(p, p.W, alpha) - p.W
    return np.abs(main + zeta1 + zeta2 - moved).max(), np.abs(moved).max()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [theorem, figure_1])
def test_28_with_the_signs_of_zeta2(settings, seed):
    p = settings(seed)
    corrected, size = expansion(p, (1, -1, 1, -1))
    printed, _ = expansion(p, (1, -1, -1, 1))
    assert corrected <= 1e-12 * size
    assert printed >= 1e-6 * size


def test_30_and_the_two_meanings_of_n_mu():
    p = theorem()
    active = p.X @ p.W.T > 0
    rows = [(p.cluster == c) for c in range(4)]
    signed = np.array([(p.y[:, None] * active)[r].sum(0) for r in rows])  # (27)
    clean = np.array([active[r & p.clean].sum(0) for r in rows])  # the proof of Lemma 4.4
    noisy = np.array([active[r & ~p.clean].sum(0) for r in rows])
    label = np.array([1, 1, -1, -1])[:, None]
    assert (signed == label * (clean - noisy)).all() and (signed != clean).any(1).all()
    # (30) is to become the next line, the first of (31): only with y_i in its second sum
    expanded = clean[0] - noisy[0] - clean[1] + noisy[1]
    assert (signed[0] - signed[1] == expanded).all()
    printed = signed[0] - active[rows[1]].sum(0)
    assert (printed - expanded == -2 * noisy[1]).all() and noisy[1].any()
    # (31) for the clusters of mu2 holds with the sign of a_j
    for c, sign in ((0, 1), (2, -1)):
        edge = clean[c] - clean[c + 1] - (~p.clean).sum()
        assert (sign * (signed[c] - signed[c + 1]) >= edge).all()


def test_noisy_samples_can_be_more_than_twice_the_rate():
    n = 1000
    eta = 1 / (10 * n)
    # one flip has |N|/n = 10 eta, and is within Lemma 4.3(c) for every delta < 1/2 and C1 >= 2
    assert stats.binom.sf(2 * eta * n, n, eta) > 0.09
    assert 1 / n <= eta + 2 * math.sqrt(math.log(2) / n)


def test_the_projection_after_a_trigger_stays_above_alpha():
    """Proof of Lemma 4.11: from [1, 3] it falls, but not to 1 (in units of alpha abs a_j)."""
    p, alpha = figure_1(), 0.05
    o = np.where(p.a > 0, p.W[:, 1], p.W[:, 0]) / (alpha * np.abs(p.a))
    W, landed = p.W, []
    for _ in range(horizon(alpha)):
        W = step(p, W, alpha)
        after = np.where(p.a > 0, W[:, 1], W[:, 0]) / (alpha * np.abs(p.a))
        assert np.abs(after - o).max() <= 2  # (43)
        landed += list(after[(o >= 1) & (o <= 3) & (after < o)])
        landed += list(-after[(o <= -1) & (o >= -3) & (after > o)])
        o = after
    landed = np.array(landed)
    assert len(landed) > 100
    assert (landed > 1).mean() > 0.5
    assert (landed >= -1).all() and (landed < 3).all()


def test_49_alpha_times_t_is_alpha_plus_a_quarter():
    p, alpha = theorem(), 0.05
    T = horizon(alpha)
    assert alpha * T == pytest.approx(alpha + 1 / 4)
    assert np.linalg.norm(p.X, axis=1).max() <= math.sqrt(2)
    W = p.W
    for _ in range(T):
        W = step(p, W, alpha)
    moved = np.linalg.norm(W - p.W, axis=1) / np.abs(p.a)
    assert moved.max() <= math.sqrt(2) * (alpha + 1 / 4) < 1 / 2
    # with the alpha + 4 of the paper (49) holds too
    assert math.sqrt(2) * (0.1 + 4) <= 8


def test_the_norm_of_a_is_squared():
    assert (figure_1().a ** 2).sum() == pytest.approx(1)
    odd = rfa.Network(np.zeros((3, 2))).a
    assert (odd**2).sum() == pytest.approx(2 / 3) == pytest.approx(np.linalg.norm(odd) ** 2)
    assert np.linalg.norm(odd) > 0.8


def test_the_clean_label_of_minus_mu1_is_plus_one():
    minus_mu1 = np.array([-1.0, 0])
    assert np.sign(abs(minus_mu1[0]) - abs(minus_mu1[1])) == 1  # (1)
    data = rfa.XORClusters(d=2, eta=0).sample(n=100, rng=0)
    at = data.cluster == 1
    assert at.any() and (data.X[at, 0] < 0).all() and (data.y[at] == 1).all()


def test_the_power_after_44():
    def bound(constant):  # 1/(16 Cf^2)
        return 1 / (16 * (4 * 1024 / E2 / (1 - 1 / constant) ** 2) ** 2)

    def power(constant, k):
        return E2**2 / (16**2 * 1024**2) * (1 - 1 / constant) ** k

    assert power(5, 4) == pytest.approx(bound(5)) and power(5, 2) > 1.5 * bound(5)
    assert 2 / C0 == pytest.approx(E2**2 / (2 * 16**2 * 1024**2)) and 2 / C0 <= bound(C0)


def test_the_generalization_bound_needs_twice_the_complexity():
    """Losses 1 - 1[x in F], F finite, x from a density: risk 1, on the sample 0, complexity 1/2."""
    n, delta = 10, 0.1
    signs = np.array(list(itertools.product([1, -1], repeat=n)))
    complexity = np.maximum(signs, 0).mean()
    assert complexity == 1 / 2
    n = 1000  # the complexity does not depend on it
    gap, deviation = 1, math.sqrt(2 * math.log(2 / delta) / n)
    assert complexity + deviation < gap <= 2 * complexity + deviation
    # R = 1 and E norm(x)^2 = 2 in Proposition B.1
    assert 2 * (2 * math.sqrt(2)) > 4


@given(
    st.floats(1e-6, 0.5, exclude_max=True),
    st.integers(1, 10**6),
)
def test_the_proof_of_part_2_spends_more_than_four_delta(delta, n):
    def deviation(failure):  # Theorem 26.5, part 1
        return math.sqrt(2 * math.log(2 / failure) / n)

    printed = math.sqrt(2 * math.log(4 / delta) / n)
    assert printed == pytest.approx(deviation(delta / 2)) and printed > deviation(delta)
    # a good run costs 4 delta, and the bound as much as one more: at 4/5 of delta it is 4 delta
    smaller = 4 / 5 * delta
    assert 5 * smaller == pytest.approx(4 * delta)
    for x in (1, n):
        assert math.log(x / smaller) <= 1.33 * math.log(x / delta)


@given(st.floats(1e-6, 0.5, exclude_max=True), st.integers(1, 10**6), st.integers(10, 10**6))
def test_lemma_4_1_for_two_means_and_lemma_4_2_cost_two_delta(delta, m, d):
    # the concentration inequalities of the proofs, at the deviations that they take
    t = math.sqrt(8 * math.log(4 * m / delta) / d)
    norms = m * 2 * math.exp(-d * t**2 / 8)
    t = math.sqrt(2 * m * math.log(4 / delta))
    count = 2 * math.exp(-(t**2) / (2 * m))
    assert norms == pytest.approx(delta / 2) and count == pytest.approx(delta / 2)
    assert norms + count == pytest.approx(delta)  # Lemma 4.1 for one mean
    assert norms + 2 * count == pytest.approx(1.5 * delta)  # for both
    # Lemma 4.2: delta/16 for each of a count and a split, for either sign of a_j
    sets = 4 * delta / 16
    assert norms + 2 * count + sets <= 2 * delta * (1 + 1e-9)
    # without its delta/2 for the same norms: with them the sum would be larger
    assert 2 * norms + 2 * count + delta / 2 > 2 * delta


def test_the_size_of_a_projection_depends_on_the_angle_and_not_on_the_sign():
    W = np.random.Generator(np.random.PCG64(2)).standard_normal((100_000, 2))
    large = np.abs(W[:, 0]) >= 0.5
    across = np.abs(W[:, 0]) < 0.1 * np.linalg.norm(W, axis=1)
    assert large[across].mean() < 0.01 < 0.6 < large.mean()
    for some in (large, ~large):
        assert abs((W[some, 0] > 0).mean() - 0.5) < 4 / math.sqrt(some.sum())


@given(st.floats(1.01, 1e6), st.floats(1e-6, 0.5), st.floats(1, 1e3))
def test_the_factor_2_in_lemma_4_2(constant, delta, more):
    m = more * 16 * constant**2 * math.log(32 / delta)
    s = math.sqrt(4 * math.log(32 / delta) / m)
    neurons = m / 2 * (1 - 1 / constant)
    printed, found = m / 4 * (1 - 1 / constant) * (1 - s), (1 / 2 - s) * neurons
    assert found == pytest.approx(m / 4 * (1 - 1 / constant) * (1 - 2 * s)) and found < printed
    assert found >= m / 4 * (1 - 1 / constant) ** 2 * (1 - 1e-9)


def test_a_neuron_with_weight_0_is_longer_than_lemma_A_1_allows():
    p, alpha = theorem(), 0.05
    m, d, omega = len(p.W) - 1, p.X.shape[1], 0.01 / 200
    p.W, p.a = p.W[:-1], rfa.Network(p.W[:-1]).a
    assert m % 2 == 1 and p.a[-1] == 0
    last = p.W[-1].copy()
    # Lemma 4.1, and omega sqrt(md) <= alpha/3
    longest = 1.5 * omega * math.sqrt(d)
    assert 0 < np.linalg.norm(last) <= longest <= alpha / (2 * math.sqrt(m))
    W = p.W
    for t in range(1, horizon(alpha) + 1):
        W = step(p, W, alpha)
        assert (W[-1] == last).all()
        allowed = 2 * np.abs(p.a) * alpha * t
        norms = np.linalg.norm(W, axis=1)
        assert (norms[:-1] <= allowed[:-1]).all() and norms[-1] > allowed[-1] == 0
        assert np.linalg.norm(W) <= 2 * alpha * t
    for t in (1, 2, 100):
        whole = (1 - 1 / m) * (2 * alpha * t) ** 2 + alpha**2 / (4 * m)
        assert whole <= (2 * alpha * t) ** 2


def test_14_has_one_term_too_many():
    for C1 in (2, 2.5, 3):
        assert C1 * 1e-12 + 1 / C1 > 1 / 3
        # without it (A3) is enough: sigma^2 d <= 1/C^2
        assert C1 / 100**2 <= 3 - 2 * math.sqrt(2)


def test_18_adds_the_sums_over_the_other_clusters():
    p, alpha = theorem(), 0.05
    W = step(p, p.W, alpha)
    H, g = p.X @ W.T, slopes(p, W)
    members = np.flatnonzero(
        (p.a > 0) & (H[p.cluster == 0] > 0).all(0) & (H[p.cluster == 1] <= 0).all(0)
    )
    assert len(members) > 20
    taken = (step(p, W, alpha) - W)[members, 0] * len(p.y) / (alpha * p.a[members])
    own = (p.cluster == 0) * g * p.y * p.X[:, 0]
    other = ((p.cluster >= 2) * g * p.y * p.X[:, 0]) @ (H[:, members] > 0)
    assert np.abs(other).min() > 1e-6
    np.testing.assert_allclose(taken, own.sum() + other, atol=1e-12)
    assert (np.abs(taken - (own.sum() - other)) > 1e-6).all()


@given(st.floats(1.1, 1e6), st.floats(0.5, 1), st.floats(0, 1))
def test_40_with_the_2_of_lemma_A_1(C, part, time):
    alpha = part / math.sqrt(C)  # (A7)
    t = 1 + time * max(0.0, 1 / (4 * alpha) - 1)
    if t <= 1 / (4 * alpha):
        corrected, printed = 1 / (2 * t), 1 / (3 * t)
        assert corrected > printed >= 4 / 3 * alpha * (1 - 1e-12)
        assert 4 / 3 * alpha >= 1 / (2 * math.sqrt(C))


@given(st.floats(2, 50), st.floats(1, 1e3), st.floats(1e-6, 0.5), st.floats(1.01, 1e4))
def test_the_last_display_is_larger_than_lemma_4_3_c(C1, more, delta, T):
    C = more * C1**2 / 2
    needed = C1 * math.sqrt(math.log(1 / delta))
    printed = math.sqrt(2 * C * math.log(1 / delta))
    assert needed <= printed * (1 + 1e-12)
    assert printed < math.sqrt(2 * C * math.log(2 * T / delta))


def test_the_sign_of_the_start_in_proposition_3_2():
    """A neuron with (50) at equality that starts on the other side of its sample."""
    m = 100
    rise = E2 / 512 / math.sqrt(m)
    x, w_0 = np.array([1.0, 0]), np.array([-rise / 8, 0])
    w_T = w_0 + rise * x
    assert (w_T - w_0) @ x == pytest.approx(rise)
    assert w_T @ x == pytest.approx(rise + w_0 @ x)
    assert w_T @ x < rise - w_0 @ x  # as printed it would be at least that
    assert w_T @ x >= rise - abs(w_0 @ x) - 1e-15  # with which the paper goes on


def linear_error(w, b, p):
    """Clean error of sgn(<w, x> - b) on samples."""
    return (np.sign(p.X @ w - b) != p.y_clean).mean()


def test_linear_classifiers_without_an_intercept_guess_if_clusters_are_symmetric():
    p = figure_1()
    p.X, p.y_clean = np.concatenate([p.X, -p.X]), np.tile(p.y_clean, 2)
    for w in np.random.Generator(np.random.PCG64(0)).standard_normal((50, 2)):
        assert linear_error(w, 0, p) == 1 / 2


def test_a_linear_classifier_with_an_intercept_is_right_on_three_clusters():
    phi = stats.norm(scale=FIGURE_1["sigma"]).cdf
    exact = (phi(-0.5) + phi(1.5) + 2 * phi(-0.5)) / 4
    assert exact == pytest.approx(0.2502, abs=5e-5)
    found = linear_error(np.array([1.0, 0]), 0.5, figure_1())
    assert abs(found - exact) < 4 * math.sqrt(0.25 * 0.75 / 5000)


def test_a_linear_classifier_of_clusters_that_are_not_symmetric():
    n = 100_000
    p = drawn(0, n=n, d=2, m=2, sigma=0.0, omega=1, eta=0.0)
    p.X = p.X + 0.25 * (np.random.Generator(np.random.PCG64(1)).exponential(size=(n, 2)) - 1)
    angles = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    best = min(linear_error(np.array([math.cos(t), math.sin(t)]), 0, p) for t in angles)
    assert abs(best - 0.43) < 0.006


def largest(X, weights):
    """max over unit w of sum_i weights_i relu(<w, x_i>), d = 2, floored at 0.

    Linear on every arc between two zeros of some <w, x_i>, so the maximum is at an end of an arc or
    in the direction of the arc's own sum.
    """
    angles = np.arctan2(X[:, 1], X[:, 0])
    ends = np.sort(np.concatenate([angles - np.pi / 2, angles + np.pi / 2]) % (2 * np.pi))
    middles = (ends + np.append(ends[1:], ends[0] + 2 * np.pi)) / 2
    at = np.column_stack([np.cos(middles), np.sin(middles)])
    sums = (weights * (at @ X.T > 0)) @ X
    sums = sums[(sums**2).sum(1) > 0]
    candidates = np.concatenate(
        [
            np.column_stack([np.cos(ends), np.sin(ends)]),
            sums / np.linalg.norm(sums, axis=1)[:, None],
        ]
    )
    return max(0.0, (np.maximum(candidates @ X.T, 0) @ weights).max())


@pytest.mark.parametrize("seed", range(3))
def test_b1_holds_with_root_two_in_place_of_two(seed):
    p = drawn(seed, n=6, m=4, omega=1, **FIGURE_1)
    rng = np.random.Generator(np.random.PCG64(seed))
    complexity = 0.0
    for signs in itertools.product([1, -1], repeat=6):
        eps = np.array(signs)
        up, down = largest(p.X, eps), largest(p.X, -eps)
        supremum = math.sqrt((up**2 + down**2) / 2)
        assert supremum <= (up + down) / math.sqrt(2) + 1e-12
        # no W of norm 1 does better
        W = rng.standard_normal((200, 4, 2))
        W /= np.sqrt((W**2).sum((1, 2), keepdims=True))
        assert (np.maximum(W @ p.X.T, 0).transpose(0, 2, 1) @ p.a @ eps).max() <= supremum + 1e-12
        complexity += supremum / 2**6 / 6
    root = math.sqrt((p.X**2).sum(1).mean() / 6)
    assert 0.3 * root < complexity <= math.sqrt(2) * root


def test_b1_holds_for_any_signs_of_a():
    p = drawn(0, n=6, m=4, omega=1, **FIGURE_1)
    root = math.sqrt((p.X**2).sum(1).mean() / 6)
    for positive in range(5):  # of 4 neurons
        complexity = 0.0
        for signs in itertools.product([1, -1], repeat=6):
            eps = np.array(signs)
            up, down = largest(p.X, eps), largest(p.X, -eps)
            square = (positive * up**2 + (4 - positive) * down**2) / 4
            complexity += math.sqrt(square) / 2**6 / 6
        assert complexity <= 2 * root
