"""The distribution P, its laws and noise rules, data sets."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa.data import LAWS, NOISE_RULES

FLIP_RULES = [rule for rule in NOISE_RULES if rule != "independent"]


@pytest.mark.parametrize("law", LAWS)
def test_laws_are_centred_with_covariance_sigma_squared(law):
    n, d, sigma = 200_000, 3, 0.7
    dist = rfa.XORClusters(d=d, sigma=sigma, law=law)
    data = dist.sample(n, rng=11)
    z = (data.X - data.means[data.cluster]) / sigma
    # 6 standard errors: of a mean 1/sqrt(n), of a second moment sqrt(E z^4) / sqrt(n) <= 3/sqrt(n)
    assert np.abs(z.mean(axis=0)).max() < 6 / np.sqrt(n)
    assert np.abs(z.T @ z / n - np.eye(d)).max() < 18 / np.sqrt(n)


def test_laws_have_their_shapes():
    z = {law: rfa.XORClusters(d=2, sigma=1.0, law=law).sample(50_000, rng=3) for law in LAWS}
    z = {law: data.X - data.means[data.cluster] for law, data in z.items()}
    assert np.abs(z["uniform"]).max() <= np.sqrt(3)
    assert np.linalg.norm(z["ball"], axis=1).max() <= 2
    assert z["exponential"].min() >= -1
    assert (z["exponential"] ** 3).mean() > 1.5  # skewness 2, the others are symmetric
    kurtosis = {law: float((v[:, 0] ** 4).mean()) for law, v in z.items()}
    for law, expected in {"gaussian": 3, "laplace": 6, "uniform": 1.8, "logistic": 4.2}.items():
        assert kurtosis[law] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("law", LAWS)
def test_means_and_clean_labels(law):
    mu = rfa.random_means(5, rng=2)
    dist = rfa.XORClusters(d=5, sigma=0.0, law=law, mu=mu, eta=0.3)
    data = dist.sample(400, rng=0)
    expected = np.stack([mu[0], -mu[0], mu[1], -mu[1]])
    np.testing.assert_array_equal(data.X, expected[data.cluster])
    np.testing.assert_array_equal(data.y_clean, np.array([1, 1, -1, -1])[data.cluster])
    np.testing.assert_array_equal(data.noisy, data.y != data.y_clean)
    np.testing.assert_array_equal(data.clean, ~data.noisy)
    assert 60 < data.noisy.sum() < 180


def test_random_means_are_orthonormal_and_uniform():
    pairs = np.stack([rfa.random_means(3, rng=seed) for seed in range(2000)])
    gram = pairs @ pairs.transpose(0, 2, 1)
    assert np.abs(gram - np.eye(2)).max() < 1e-14
    # mean 0 and second moment 1/3 of each coordinate, 6 standard errors
    assert np.abs(pairs.mean(axis=0)).max() < 6 * np.sqrt(1 / 3 / 2000)
    assert np.abs((pairs**2).mean(axis=0) - 1 / 3).max() < 6 * 0.3 / np.sqrt(2000)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("rule", FLIP_RULES)
def test_noise_rules_flip_whom_they_should(rule, split):
    n, eta = 403, 0.1
    data = rfa.XORClusters(d=6, sigma=0.1, eta=eta, noise=rule).sample(n, rng=4, split=split)
    flipped, k = np.flatnonzero(data.noisy), round(eta * n)
    z = data.X - data.means[data.cluster]
    sizes = np.bincount(data.cluster, minlength=4)
    if rule == "exact":
        per_cluster = np.bincount(data.cluster[flipped], minlength=4)
        assert per_cluster.tolist() == [round(eta * int(size)) for size in sizes]
        return
    assert len(flipped) == k
    if rule == "farthest":
        key = -np.linalg.norm(z, axis=1)
    elif rule == "boundary":
        heights = np.abs(data.X @ data.means[[0, 2]].T)
        key = np.abs(heights[:, 0] - heights[:, 1])
    elif rule == "half-space":
        # one direction separates the flipped samples from the others: solve for it
        from scipy.optimize import linprog

        sign = np.where(data.noisy, 1.0, -1.0)
        rows = np.hstack([-sign[:, None] * z, sign[:, None], np.ones((n, 1))])
        found = linprog([0] * 7 + [-1], A_ub=rows, b_ub=np.zeros(n), bounds=[(-1, 1)] * 8)
        assert found.x[-1] > 0
        return
    else:
        assert (data.cluster[flipped] == 0).all()
        return
    assert sorted(flipped) == sorted(np.lexsort((np.arange(n), key))[:k])


def test_ties_go_to_the_smaller_index():
    # with sigma = 0 all samples are tied
    for rule in ("farthest", "boundary", "half-space"):
        data = rfa.XORClusters(sigma=0.0, eta=0.1, noise=rule).sample(50, rng=0)
        assert np.flatnonzero(data.noisy).tolist() == list(range(5))


def test_one_cluster_is_truncated_with_a_warning():
    dist = rfa.XORClusters(eta=0.5, noise="one-cluster")
    with pytest.warns(UserWarning, match="labels and not 50, because cluster 0 has only"):
        data = dist.sample(100, rng=0)
    np.testing.assert_array_equal(data.noisy, data.cluster == 0)


def test_noise_by_a_function():
    seen = {}

    def rule(X, y_clean, cluster, k, rng):
        seen.update(shape=X.shape, k=k)
        return np.arange(k) * 2

    data = rfa.XORClusters(eta=0.1, noise=rule).sample(50, rng=0)
    assert np.flatnonzero(data.noisy).tolist() == [0, 2, 4, 6, 8]
    assert seen == {"shape": (50, 2), "k": 5}
    for wrong in (lambda *_: [0, 1], lambda *_: [0] * 5, lambda *_: range(46, 51)):
        with pytest.raises(ValueError, match="noise"):
            rfa.XORClusters(eta=0.1, noise=wrong).sample(50, rng=0)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_noise_rule_cannot_change_the_data(which):
    def rule(*shown):
        shown[which][:] = 1
        return np.arange(shown[3])

    with pytest.raises(ValueError, match="read-only"):
        rfa.XORClusters(noise=rule).sample(20)


@pytest.mark.parametrize("rule", ["exact", "one-cluster"])
def test_flips_at_random_are_uniform_within_a_cluster(rule):
    dist = rfa.XORClusters(sigma=0.0, eta=0.25, noise=rule, balance=[1, 0, 0, 0])
    trials, n = 2000, 8
    often = sum(dist.sample(n, seed).noisy.astype(int) for seed in range(trials))
    # 6 standard errors of a binomial with p = 1/4
    assert np.abs(often / trials - 0.25).max() < 6 * np.sqrt(0.25 * 0.75 / trials)


def test_noise_rate_as_a_function_of_the_sample():
    dist = rfa.XORClusters(eta=lambda X: np.where(X[:, 0] > 0.5, 0.4, 0.0))
    data = dist.sample(20_000, rng=0)
    near = data.X[:, 0] > 0.5
    assert not data.noisy[~near].any()
    # 6 standard errors of a binomial
    assert data.noisy[near].mean() == pytest.approx(0.4, abs=6 * 0.5 / np.sqrt(near.sum()))
    np.testing.assert_array_equal(data.eta, np.where(near, 0.4, 0.0))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_exact_balance_and_weights(n, seed):
    sizes = np.bincount(rfa.XORClusters(balance="exact").sample(n, seed).cluster, minlength=4)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(sizes) <= 0).all()
    only = rfa.XORClusters(balance=[0, 1, 0, 0]).sample(n, seed)
    assert (only.cluster == 1).all()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(FLIP_RULES),
    st.booleans(),
    st.integers(1, 60),
    st.floats(0, 1),
    st.integers(2, 4),
    st.integers(0, 2**64),
)
def test_noise_rules_by_hand(rule, lattice, n, eta, d, seed):
    """Each rule, written with loops, on draws with many ties or none."""

    def law(rng, n, d):
        z = rng.standard_normal((n, d))
        return np.round(z) if lattice else z

    dist = rfa.XORClusters(d=d, sigma=0.5, eta=eta, noise=rule, law=law)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = dist.sample(n, rng=seed)
    flipped = set(np.flatnonzero(data.noisy).tolist())
    k = round(eta * n)
    draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))
    cluster = draws.integers(0, 4, n)
    z = 0.5 * law(draws, n, d)
    members = [[i for i in range(n) if cluster[i] == c] for c in range(4)]
    if rule == "exact":
        for who in members:
            assert len(flipped.intersection(who)) == round(eta * len(who))
        return
    if rule == "one-cluster":
        assert flipped <= set(members[0]) and len(flipped) == min(k, len(members[0]))
        assert len(caught) == (k > len(members[0]))
        return
    assert not caught
    if rule == "farthest":
        key = [-np.linalg.norm(z[i : i + 1], axis=1)[0] for i in range(n)]
    elif rule == "boundary":
        key = [abs(abs(x[0]) - abs(x[1])) for x in data.X.tolist()]
    else:
        noise = np.random.SeedSequence(seed, spawn_key=(2,))
        v = np.random.Generator(np.random.PCG64(noise)).standard_normal(d)
        key = (-(z @ v)).tolist()
    assert flipped == set(sorted(range(n), key=lambda i: (key[i], i))[:k])


def test_weights_are_the_proportions_of_the_clusters():
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    for balance, expected in ((None, np.full(4, 0.25)), (weights, weights)):
        data = rfa.XORClusters(balance=balance).sample(20_000, rng=3)
        found = np.bincount(data.cluster, minlength=4) / 20_000
        # 6 standard errors
        assert (np.abs(found - expected) < 6 * np.sqrt(expected * (1 - expected) / 20_000)).all()
    # the order of the clusters is random
    order = rfa.XORClusters(balance="exact").sample(2000, rng=3).cluster
    assert abs(np.corrcoef(order, np.arange(2000))[0, 1]) < 6 / np.sqrt(2000)


# --------------------------------------------------------------------------- types and splits


def test_types_share_a_seed():
    dist = rfa.XORClusters(d=3, noise="farthest", eta=0.2)
    double, single = (dist.sample(100, rng=5, dtype=dtype) for dtype in (float, np.float32))
    np.testing.assert_array_equal(double.X.astype(np.float32), single.X)
    np.testing.assert_array_equal(double.y, single.y)
    assert single.X.dtype == np.float32


def test_splits_and_streams_are_independent():
    dist = rfa.XORClusters(d=50, sigma=1.0)
    train, test = (dist.sample(400, rng=1, split=split) for split in ("train", "test"))
    W = rfa.Network.random(m=400, d=50, omega_init=1.0, rng=1).W
    for one, other in ((train.X, test.X), (train.X, W), (test.X, W)):
        # the correlation of 20000 independent pairs, 6 standard errors
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 6 / np.sqrt(20_000)
    more = rfa.XORClusters(d=50, sigma=1.0, eta=0.4).sample(400, rng=1)
    np.testing.assert_array_equal(more.X, train.X)


# --------------------------------------------------------------------------- bad input

BAD_DISTRIBUTIONS = [
    ({"d": 1}, "d must be at least 2"),
    ({"d": 2.0}, "d must be an integer"),
    ({"sigma": -1}, "sigma must be at least 0"),
    ({"sigma": np.nan}, "sigma must be finite"),
    ({"eta": 1.5}, r"eta must be in \[0, 1\]"),
    ({"eta": "x"}, "eta must be a real number"),
    ({"noise": "none"}, "noise must be callable or one of"),
    ({"law": "cauchy"}, "law must be callable or one of"),
    ({"eta": lambda X: X[:, 0], "noise": "exact"}, "eta must be a constant"),
    ({"mu": [[1, 0], [1, 1]]}, "mu must be orthonormal.* by 1"),
    ({"mu": [[1, 0, 0], [0, 1, 0]]}, r"mu must have shape \(2, 2\)"),
    ({"mu": [[1, 0], [0, np.inf]]}, r"mu must be finite, but mu\[1, 1\] is inf"),
    ({"balance": "even"}, "balance must be None, 'exact' or 4"),
    ({"balance": [0.5, 0.5]}, "balance must have 4 entries"),
    ({"balance": [1, 1, 0, 0]}, "balance must be 4 probabilities"),
]


@pytest.mark.parametrize(("values", "words"), BAD_DISTRIBUTIONS)
def test_bad_distributions_are_named(values, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}") as error:
        rfa.XORClusters(**values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n": 2**62}, "n and d make an array too large"),
        ({"split": "validation"}, "split must be"),
        ({"dtype": "float16"}, "dtype must be float32 or float64"),
        ({"rng": -1}, "rng must be a seed"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_bad_samples_are_named(values, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        rfa.XORClusters().sample(**values)


def test_a_dataset_does_not_follow_the_callers_means_and_rates():
    means, eta = np.eye(2), np.array([0.1, 0.2])
    data = rfa.Dataset(np.eye(2), [1, -1], y_clean=[1, -1], cluster=[0, 1], means=means, eta=eta)
    means[:], eta[:] = 9, 0.9
    assert (data.means == np.eye(2)).all() and data.eta.tolist() == [0.1, 0.2]


def test_points_are_asked_for_properly():
    with pytest.raises(ValueError, match="n must be at least 1, got -1"):
        rfa.XORClusters().points(-1, np.random.default_rng(0))
    with pytest.raises(TypeError, match="generator must be a numpy Generator, got int"):
        rfa.XORClusters().points(5, 0)


@pytest.mark.filterwarnings("error")
def test_a_width_beyond_the_range_is_named():
    with pytest.raises(
        ValueError, match=r"^sigma must be smaller: with 1e\+39 X is beyond float32"
    ):
        rfa.XORClusters(sigma=1e39).sample(50, dtype="float32")
    with pytest.raises(ValueError, match=r"^sigma must be smaller: with 1e\+308 samples are not"):
        rfa.XORClusters(sigma=1e308).sample(50)


def test_bad_functions_are_named():
    with pytest.raises(ValueError, match=r"^eta\(X\) must be in \[0, 1\], but eta\(X\)\[0\] is 2"):
        rfa.XORClusters(eta=lambda X: 2 + 0 * X[:, 0]).sample(5)
    with pytest.raises(ValueError, match=r"^eta\(X\) must have .*shape"):
        rfa.XORClusters(eta=lambda X: 0.1 + 0 * X).sample(5)
    with pytest.raises(ValueError, match=r"^law.* must "):
        rfa.XORClusters(law=lambda rng, n, d: rng.random((n, 1))).sample(5)
    for wrong in (lambda X: 1j * X[:, 0], lambda X: ["a"] * len(X), lambda X: [[1], 2]):
        with pytest.raises((ValueError, TypeError), match=r"^eta\(X\) must"):
            rfa.XORClusters(eta=wrong).sample(2)
    for wrong in (lambda rng, n, d: np.full((n, d), 1j), lambda rng, n, d: np.full((n, d), np.nan)):
        with pytest.raises((ValueError, TypeError), match=r"^law.* must "):
            rfa.XORClusters(law=wrong).sample(2)
    normal = rfa.XORClusters(law=lambda rng, n, d: rng.standard_normal((n, d))).sample(5)
    np.testing.assert_array_equal(normal.X, rfa.XORClusters().sample(5).X)


BAD_DATA = [
    ({"X": [[np.nan, 0]], "y": [1]}, r"X must be finite, but X\[0, 0\] is nan"),
    ({"X": [[0, 0], [1, -np.inf]], "y": [1, 1]}, r"X must be finite, but X\[1, 1\] is -inf"),
    ({"X": [1, 2], "y": [1, 1]}, "X must have 2 dimensions"),
    ({"X": np.zeros((0, 2)), "y": []}, "X must not be empty"),
    ({"X": [[1j]], "y": [1]}, "X must be an array of real numbers"),
    ({"X": [[None]], "y": [1]}, "X must be an array of real numbers"),
    ({"X": [["1"]], "y": [1]}, "X must be an array of real numbers"),
    ({"X": [[1.0]], "y": [1, 1]}, "y must have one label for each of the 1 samples"),
    ({"X": [[1.0]], "y": [0]}, r"y must be -1 or \+1.* use 2 \* y - 1"),
    ({"X": [[1.0]], "y": [True]}, r"y must be -1 or \+1.* use 2 \* y.astype\(int\) - 1"),
    ({"X": [[1.0]], "y": [3]}, r"y must be -1 or \+1, but y\[0\] is 3$"),
    ({"X": [[1.0]], "y": ["a"]}, "y must be an array of labels"),
    ({"X": [[1.0]], "y": [1], "y_clean": [1]}, "y_clean, cluster, means must be given together"),
    (
        {"X": np.eye(2), "y": [1, 1], "y_clean": [1, -1], "cluster": [0, 0], "means": np.eye(2)},
        "y_clean must be the same label throughout a cluster, but cluster 0 has both",
    ),
    ({"X": np.ma.ones((1, 1)), "y": [1]}, "X must be an array without a mask"),
    ({"X": [[1.0]], "y": np.ma.array([1])}, "y must be an array without a mask"),
]


@pytest.mark.parametrize(("values", "words"), BAD_DATA)
def test_bad_data_are_named(values, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        rfa.Dataset(**values)


def test_own_data_say_what_is_not_applicable():
    data = rfa.Dataset([[1, 2]], [-1.0])
    for name in ("noisy", "clean"):
        with pytest.raises(ValueError, match="^not applicable: .* no clean labels"):
            getattr(data, name)
    assert data.y.dtype == np.int64
    assert data.X.dtype == np.float64


def test_input_of_any_layout_and_order(tmp_path):
    X = np.random.default_rng(0).standard_normal((20, 4))
    y = np.ones(20, int)
    mapped = np.memmap(tmp_path / "x", float, "w+", shape=X.shape)
    mapped[:] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    for other in (X.astype(">f8"), np.asfortranarray(X), frozen, mapped, X.tolist()):
        data = rfa.Dataset(other, y)
        np.testing.assert_array_equal(data.X, X)
        assert data.X.dtype == np.float64
        assert data.X.dtype.isnative
        assert type(data.X) is np.ndarray
        assert not data.X.flags.writeable
    assert X.flags.writeable
    assert rfa.Dataset(X, y).X.base is not None  # not copied
    # finite entries with an infinite sum
    assert rfa.Dataset([[1e308, 1e308]], [1]).d == 2


@pytest.mark.parametrize(
    "thing",
    [
        rfa.XORClusters(d=3, balance=[0.1, 0.2, 0.3, 0.4]),
        rfa.XORClusters().sample(5),
        rfa.Dataset([[1, 2]], [1]),
        rfa.Experiment(n=5, d=3, m=2),
        rfa.Network([[1, 2]]),
        rfa.Network.random(m=3, d=2),
    ],
)
def test_pickle_copy_and_one_line_repr(thing):
    assert "\n" not in repr(thing)
    for other in (pickle.loads(pickle.dumps(thing)), copy.copy(thing), copy.deepcopy(thing)):
        assert type(other) is type(thing)
        if isinstance(thing, rfa.Dataset):
            np.testing.assert_array_equal(other.X, thing.X)
            assert not other.X.flags.writeable
            assert other.distribution == thing.distribution
        else:
            assert other == thing
    with pytest.raises(AttributeError):
        thing.d = 7


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_read_only_too(how):
    dist = how(rfa.XORClusters(d=3))
    data = how(rfa.XORClusters().sample(5))
    net = how(rfa.Network.random(m=3, d=2))
    arrays = [dist.mu, dist.means, net.W, net.a, data.distribution.mu]
    arrays += [data.X, data.y, data.y_clean, data.cluster, data.means, data.eta]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_equal_distributions_have_equal_hashes():
    one = rfa.XORClusters(mu=[[1.0, 0.0], [0.0, 1.0]])
    other = rfa.XORClusters(mu=[[1.0, -0.0], [0.0, 1.0]])
    assert one == other == rfa.XORClusters()
    assert len({one, other, rfa.XORClusters()}) == 1


def test_distributions_as_json():
    for dist in (
        rfa.XORClusters(d=3, mu=rfa.random_means(3), noise="exact", balance="exact"),
        rfa.XORClusters(balance=[0.25, 0.25, 0.5, 0]),
    ):
        import json

        again = rfa.XORClusters.from_dict(json.loads(json.dumps(dist.to_dict())))
        assert again == dist
    stored = rfa.XORClusters.from_dict(rfa.XORClusters(law=LAWS["ball"]).to_dict())
    assert stored.to_dict()["law"] == {"callable": "rfa.data.laws._ball"}
    with pytest.raises(ValueError, match=r"not applicable: the callable 'rfa.data.laws._ball'"):
        stored.sample(5)
    assert rfa.XORClusters(d=3) != rfa.XORClusters(d=4)
