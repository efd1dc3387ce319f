"""Plans of masked sums against the rules of rfa/_plans.pyx, written once more in plain Python."""

from __future__ import annotations

import numpy as np
import problems
from hypothesis import given, settings
from hypothesis import strategies as st

from rfa import _kernels, _plans

BLOCK = _kernels.SIZES["block"]
ALL = 2**32 - 1
LISTED, SHARED, JOINED = (_plans.KINDS[kind] for kind in ("listed", "shared", "joined"))
LONGEST = 63  # distinct sums of a run


def words_of_batches(masks):
    """(batches, neurons): the 32 bits of every neuron on a batch."""
    halves = np.stack([masks & np.uint64(ALL), masks >> np.uint64(32)], axis=1)
    return halves.reshape(2 * len(masks), -1).astype(np.int64)


def sharing_pays(words):
    """Whether the sum of each distinct word of a batch is to be made once."""
    some = [word for word in words.tolist() if word not in (0, ALL)]
    every = int((words == ALL).sum())
    alone = (20 * len(some) + 7 * every - 7 * len(words)) // 18
    in_run = (60 * len(some) + 21 * every - 7 * len(words)) // 54
    limit = max(alone, min(in_run, len(words) // 8))
    quarter = len(set(some[: len(some) // 4]))
    return limit > 0 and len(set(some)) <= limit and (not some or 2 * quarter <= limit)


def expected(words):
    """Counts of the batches of a block (batches, neurons)."""
    most, counts, run = min(LONGEST, words.shape[1] // 4), [], []
    for batch in words:
        some = int(((batch != 0) & (batch != ALL)).sum())
        if not sharing_pays(batch):
            run = []
            counts.append([some, int((batch == ALL).sum()), LISTED, 0])
            continue
        distinct, active = len(set(batch.tolist()) - {0}), int((batch != 0).sum())
        longer = [*run, tuple(batch.tolist())]
        sequences = {sequence for sequence in zip(*longer, strict=True) if any(sequence)}
        before = counts[-1][3] if run else 0
        if run and max(distinct, before, len(sequences)) <= most:
            counts[-1][1] = before if counts[-1][2] & JOINED else 0
            going = sum(any(sequence) for sequence in zip(*longer, strict=True))
            counts.append([distinct, len(sequences) + going, SHARED | JOINED, len(sequences)])
            run = longer
        else:
            counts.append([distinct, active, SHARED, distinct])
            run = [tuple(batch.tolist())]
    return counts


@st.composite
def masks(draw):
    """Words of masks of neurons many of which are alike: copies of a few, some bits flipped."""
    rng = problems.own_rng(draw(st.integers(0, 2**32)))
    words, neurons = draw(st.integers(1, 6)), draw(st.sampled_from([6, 48, 252, 258, 510]))
    kinds, flipped = (
        draw(st.sampled_from([1, 2, 5, 30, 300])),
        draw(st.sampled_from([0, 1e-3, 0.02])),
    )
    density = draw(st.sampled_from([0.0, 0.5, 1.0]))
    same = rng.random((kinds, 2 * words, 1)) < density
    bits = np.where(
        rng.random((kinds, 2 * words, 1)) < 0.7, same, rng.random((kinds, 2 * words, 32)) < 0.5
    )
    chosen = bits[rng.integers(0, kinds, neurons)] ^ (
        rng.random((neurons, 2 * words, 32)) < flipped
    )
    packed = np.packbits(chosen.reshape(neurons, words, 64), axis=2, bitorder="little")
    return np.ascontiguousarray(packed.view("<u8")[:, :, 0].T.astype(np.uint64))


@settings(max_examples=200, deadline=None)
@given(masks())
def test_plans_follow_their_rules(masks):
    counts = _plans.counts_of(masks)
    words = words_of_batches(masks)
    for block in range(counts.shape[1]):
        own = words[:, block * BLOCK : (block + 1) * BLOCK]
        assert counts[:, block].tolist() == expected(own)


def test_runs_are_long_where_neurons_are_alike():
    """Three kinds of neurons: each batch but the first joins the run, which has three sums."""
    rng = problems.own_rng(0)
    kinds = rng.integers(1, 2**63, (5, 3), dtype=np.uint64)
    counts = _plans.counts_of(np.ascontiguousarray(np.repeat(kinds, 40, axis=1)))
    assert counts.shape == (10, 1, 4)
    assert counts[:, 0, 2].tolist() == [SHARED] + 9 * [SHARED | JOINED]
    assert counts[:, 0, 3].tolist() == 10 * [3]
    # three additions for a batch, and one for each neuron at the end
    assert counts[:, 0, 1].tolist() == [0] + 8 * [3] + [123]
