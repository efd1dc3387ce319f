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
