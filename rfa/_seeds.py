"""Seeds. One seed has several independent streams, each with a name.

Data and network draw from different streams, so they are independent even with the same seed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from rfa import _validate

Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator | None

# The key of a stream is its place in this list, so new streams are only appended.
STREAMS = ("mu", "data", "noise", "init", "test", "check", "statement", "law", "rate")

# Limits for a SeedSequence that is read from a file. NumPy mixes a pool in a time that grows with
# the square of its size. The entropy may be a nested list.
MAX_POOL = 2**12
MAX_NESTING = 8


def root(rng: Seed) -> np.random.SeedSequence | np.random.Generator:
    """The origin of all streams: a SeedSequence, from fresh entropy for None, or a Generator."""
    if isinstance(rng, np.random.Generator):
        return rng
    return _seed(rng, "rng", "an int, a SeedSequence, a Generator or None")


def sequence(rng: Seed, name: str = "rng") -> np.random.SeedSequence:
    """The SeedSequence of a seed. A Generator is refused, because it has no key to split it by."""
    if isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name} must be an int, a SeedSequence or None here: a Generator has no key"
        )
    return _seed(rng, name, "an int, a SeedSequence or None")


def _seed(rng: Any, name: str, kinds: str) -> np.random.SeedSequence:
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if rng is None:
        return np.random.SeedSequence()
    # a NumPy timedelta64 passes as an integer
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, (bool, np.timedelta64)):
        if rng < 0:
            raise ValueError(
                f"{name} must be a seed of at least 0, got {_validate.shown(int(rng))}"
            )
        return np.random.SeedSequence(int(rng))
    raise TypeError(f"{name} must be {kinds}, got {_validate.shown(rng)}")


def known(seed: int | np.random.SeedSequence | None) -> np.random.SeedSequence | None:
    """A seed that may be unknown, as a SeedSequence; None stays None."""
    return None if seed is None else sequence(seed, "seed")


def generator(
    origin: np.random.SeedSequence | np.random.Generator, stream: str
) -> np.random.Generator:
    """The generator of a stream. An origin that is a Generator serves all streams itself."""
    if isinstance(origin, np.random.Generator):
        return origin
    key = (*origin.spawn_key, STREAMS.index(stream))
    seed = np.random.SeedSequence(origin.entropy, spawn_key=key, pool_size=origin.pool_size)
    return np.random.Generator(np.random.PCG64(seed))


def of_name(origin: np.random.SeedSequence, name: str) -> np.random.Generator:
    """The generator of a user's statement, which depends on its name and on no other draw."""
    drawn = generator(origin, "statement").integers(2**32, size=4)
    letters = list(name.encode())
    return np.random.default_rng([*map(int, drawn), len(letters), *letters])


def apart(origin: np.random.Generator) -> np.random.SeedSequence:
    """A seed that a Generator draws, so that its streams do not depend on each other."""
    return np.random.SeedSequence([int(word) for word in origin.integers(2**32, size=4)])


def of_trial(origin: np.random.SeedSequence, k: int) -> np.random.SeedSequence:
    """The seed of trial k: the key of the origin, followed by k."""
    key = (*origin.spawn_key, k)
    return np.random.SeedSequence(origin.entropy, spawn_key=key, pool_size=origin.pool_size)


def describe(origin: np.random.SeedSequence | None) -> dict[str, Any] | None:
    """A seed as JSON."""
    if origin is None:
        return None
    described = {
        "entropy": _plain(origin.entropy),
        "spawn_key": [int(k) for k in origin.spawn_key],
        "pool_size": origin.pool_size,
    }
    restore(described)  # a file must not be written with a seed that cannot be read back
    return described


def _plain(entropy: Any) -> int | list[Any]:
    """Entropy as an int or nested lists of ints. NumPy also takes text and arrays."""
    if isinstance(entropy, str):
        return int(entropy, 16 if entropy.startswith("0x") else 10)
    if isinstance(entropy, (int, np.integer)):
        return int(entropy)
    return [_plain(word) for word in entropy]


def _check_entropy(entropy: Any, nesting: int) -> None:
    """Refuse entropy other than an int at least 0, or lists of such, nested up to ``nesting``."""
    if not isinstance(entropy, list):
        _validate.nonnegative_int(entropy, "entropy")
    elif nesting == 0:
        raise ValueError(f"entropy must have at most {MAX_NESTING} levels of lists")
    else:
        for word in entropy:
            _check_entropy(word, nesting - 1)


def restore(described: dict[str, Any] | None) -> np.random.SeedSequence | None:
    """The seed of a record that :func:`describe` made."""
    if described is None:
        return None
    if not isinstance(described, dict) or set(described) != {"entropy", "spawn_key", "pool_size"}:
        raise ValueError(
            f"a seed must have entropy, spawn_key and pool_size, got {_validate.shown(described)}"
        )
    entropy, key = described["entropy"], described["spawn_key"]
    if not isinstance(key, list):
        raise ValueError(f"spawn_key must be a list, got {_validate.shown(key)}")
    for word in key:
        _validate.nonnegative_int(word, "spawn_key")
    _check_entropy(entropy, MAX_NESTING)
    pool_size = _validate.integer(described["pool_size"], "pool_size", 4)
    if pool_size > MAX_POOL:
        raise ValueError(f"pool_size must be at most {MAX_POOL}, got {_validate.shown(pool_size)}")
    return np.random.SeedSequence(entropy, spawn_key=tuple(key), pool_size=pool_size)
