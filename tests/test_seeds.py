"""Seeds: each stream depends on the seed and its own name alone."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa import _seeds

QUICK = settings(deadline=None, max_examples=50)
NAMES = ("mu", "data", "noise", "init", "test", "check", "statement", "law")
ENTROPY = st.integers(0, 2**200) | st.lists(st.integers(0, 2**70), min_size=1, max_size=4)
SEQUENCES = st.builds(
    lambda entropy, key, pool: np.random.SeedSequence(entropy, spawn_key=key, pool_size=pool),
    ENTROPY,
    st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    st.sampled_from([4, 8]),
)


def numbers(seed, *key):
    """A stream's generator, by NumPy alone."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def test_what_a_seed_can_be():
    dist = rfa.XORClusters()
    same = dist.sample(9, rng=7).X
    np.testing.assert_array_equal(dist.sample(9, rng=np.random.SeedSequence(7)).X, same)
    np.testing.assert_array_equal(dist.sample(9, rng=np.int64(7)).X, same)
    assert not np.array_equal(dist.sample(9, rng=None).X, dist.sample(9, rng=None).X)
    generator = np.random.default_rng(0)
    first, second = dist.sample(9, rng=generator), dist.sample(9, rng=generator)
    assert not np.array_equal(first.X, second.X)
    assert first.seed is None
    fresh = dist.sample(9, rng=None)
    np.testing.assert_array_equal(dist.sample(9, rng=fresh.seed).X, fresh.X)


def test_streams_are_keys_of_the_seed_and_leave_it_alone():
    root = np.random.SeedSequence(3, spawn_key=(8,))
    for key, stream in enumerate(NAMES):
        child = np.random.SeedSequence(3, spawn_key=(8, key))
        expected = np.random.Generator(np.random.PCG64(child)).random(4)
        np.testing.assert_array_equal(_seeds.generator(root, stream).random(4), expected)
    assert root.n_children_spawned == 0
    again = _seeds.restore(_seeds.describe(root))
    assert again.generate_state(4).tolist() == root.generate_state(4).tolist()
    assert _seeds.describe(None) is None


@QUICK
@given(SEQUENCES)
def test_seeds_survive_json(seed):
    again = _seeds.restore(json.loads(json.dumps(_seeds.describe(seed))))
    for stream in NAMES:
        key = (*seed.spawn_key, NAMES.index(stream))
        child = np.random.SeedSequence(seed.entropy, spawn_key=key, pool_size=seed.pool_size)
        expected = np.random.PCG64(child).state
        for origin in (seed, again):
            assert _seeds.generator(origin, stream).bit_generator.state == expected


@pytest.mark.parametrize(
    "entropy",
    [np.int64(5), np.uint32(0), np.array([0]), np.array([3, 1], np.uint32), (1, 2), [np.int64(4)]],
    ids=repr,
)
def test_numpy_entropy_survives_json_and_files(entropy, tmp_path):
    seed = np.random.SeedSequence(entropy)
    again = _seeds.restore(json.loads(json.dumps(_seeds.describe(seed))))
    assert again.generate_state(4).tolist() == seed.generate_state(4).tolist()
    net = rfa.Network.random(m=3, d=2, rng=seed)
    net.save(tmp_path / "net.npz")
    loaded = rfa.load(tmp_path / "net.npz")
    assert rfa.Network.random(m=3, d=2, rng=loaded.seed) == net


@QUICK
@given(SEQUENCES)
def test_a_seed_is_not_used_up(seed):
    first = [_seeds.generator(seed, stream).random(2).tolist() for stream in NAMES]
    assert seed.n_children_spawned == 0
    seed.spawn(3)
    again = [_seeds.generator(seed, stream).random(2).tolist() for stream in reversed(NAMES)]
    assert first == again[::-1]
    assert len(set(map(tuple, first))) == len(NAMES)


def test_no_two_streams_are_correlated():
    draws = {
        (seed, stream): _seeds.generator(_seeds.root(seed), stream).standard_normal(20_000)
        for seed, stream in itertools.product((0, 1), NAMES)
    }
    # 66 pairs, 6 standard errors each
    for one, other in itertools.combinations(draws.values(), 2):
        assert abs(one @ other) / 20_000 < 6 / np.sqrt(20_000)


@QUICK
@given(st.integers(0, 2**64))
def test_what_is_drawn_is_the_streams(seed):
    """The draws of a seed follow from NumPy and the documented key of each stream."""
    dist = rfa.XORClusters(d=3, sigma=0.5, eta=0.3)
    for split, cluster_key, noise_key in (("train", 1, 2), ("test", 4, None)):
        draws = numbers(seed, cluster_key)
        cluster, z = draws.integers(0, 4, 20), draws.standard_normal((20, 3))
        flips = (draws if noise_key is None else numbers(seed, noise_key)).random(20) < 0.3
        means = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
        data = dist.sample(20, rng=seed, split=split)
        assert data.X.tobytes() == (means[cluster] + 0.5 * z).tobytes()
        assert data.noisy.tolist() == flips.tolist()
        assert data.split == split and data.seed.entropy == seed
    net = rfa.Network.random(m=4, d=3, omega_init=0.1, rng=seed)
    assert net.W.tobytes() == (0.1 * numbers(seed, 3).standard_normal((4, 3))).tobytes()
    q, _ = np.linalg.qr(numbers(seed, 0).standard_normal((3, 2)))
    # up to the signs, which QR leaves open
    np.testing.assert_allclose(np.abs(rfa.random_means(3, rng=seed)), np.abs(q.T), atol=1e-15)


def test_a_generator_is_drawn_from_in_order():
    generator, by_hand = np.random.default_rng(3), np.random.default_rng(3)
    mu = rfa.random_means(2, rng=generator)
    data = rfa.XORClusters(eta=0.5, mu=mu).sample(30, rng=generator)
    net = rfa.Network.random(m=3, d=2, rng=generator)
    by_hand.standard_normal((2, 2))
    assert data.cluster.tolist() == by_hand.integers(0, 4, 30).tolist()
    by_hand.standard_normal((30, 2))
    assert data.noisy.tolist() == (by_hand.random(30) < 0.5).tolist()
    assert net.W.tobytes() == (net.omega_init * by_hand.standard_normal((3, 2))).tobytes()
    assert data.seed is None and net.seed is None


def test_fresh_entropy_is_kept():
    one, other = (rfa.Network.random(m=3, d=2, rng=None) for _ in range(2))
    assert one != other
    assert rfa.Network.random(m=3, d=2, rng=one.seed) == one
    assert rfa.Network.random(m=3, d=2, rng=one.seed.entropy) == one


def test_a_child_of_a_seed_is_another_seed():
    parent = np.random.SeedSequence(5)
    children = parent.spawn(2)
    samples = [rfa.XORClusters().sample(9, rng=rng).X.tobytes() for rng in (parent, *children)]
    assert len(set(samples)) == 3


@pytest.mark.parametrize(
    "rng", [True, np.False_, 0.0, "0", b"0", (1,), 1j, np.random.RandomState(0)]
)
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rfa.random_means(2, rng=rng),
        lambda rng: rfa.XORClusters().sample(3, rng=rng),
        lambda rng: rfa.Network.random(m=2, d=2, rng=rng),
        lambda rng: rfa.Experiment(n=3, d=2, m=2).run(rng=rng),
    ],
)
def test_what_is_no_seed(draw, rng):
    with pytest.raises(TypeError, match="^rng must be an int, a SeedSequence"):
        draw(rng)


@pytest.mark.parametrize("rng", [-1, np.int64(-(2**63))])
def test_negative_seeds(rng):
    with pytest.raises(ValueError, match="^rng must be a seed of at least 0, got -"):
        rfa.Network.random(m=2, d=2, rng=rng)


@pytest.mark.parametrize("method", ["sample", "network", "run"])
def test_an_experiment_cannot_split_a_generator(method):
    exp = rfa.Experiment(n=3, d=2, m=2, mu="random")
    with pytest.raises(TypeError, match="^rng must be an int, a SeedSequence or None"):
        getattr(exp, method)(rng=np.random.default_rng(0))


def test_a_seed_that_could_not_be_read_again_is_not_stored(tmp_path):
    net = rfa.Network.random(2, 2, rng=np.random.SeedSequence(1, pool_size=5000))
    with pytest.raises(ValueError, match="pool_size must be at most 4096, got 5000"):
        net.save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())
