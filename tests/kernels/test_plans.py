"""Plans of masked sums against the rules of plans.pyx, written once more in plain Python."""

from __future__ import annotations

import numpy as np
import problems
from hypothesis import given, settings
from hypothesis import strategies as st

from rfa.kernels import levels, plans

BLOCK = levels.SIZES["block"]
ALL = 2**32 - 1
LISTED, SHARED, JOINED, IN_RUN = (
    plans.KINDS[kind] for kind in ("listed", "shared", "joined", "in run")
)
LONGEST = 63  # distinct sums of a run


def patterns_of(masks):
    """(spans, neurons): the 32 bits of every neuron on a span."""
    halves = np.stack([masks & np.uint64(ALL), masks >> np.uint64(32)], axis=1)
    return halves.reshape(2 * len(masks), -1).astype(np.int64)


def kind_of(patterns):
    """Whether the sum of each distinct pattern of a span is made once, and whether only in a
    run."""
    some = [pattern for pattern in patterns.tolist() if pattern not in (0, ALL)]
    every = int((patterns == ALL).sum())
    neurons = len(patterns)
    if not some and not every:
        return SHARED
    alone = (20 * len(some) + 7 * every - 7 * neurons) // 18
    limit = max(alone, neurons // 8, min(3 * len(some) // 4, LONGEST, neurons // 4))
    quarter = len(set(some[: len(some) // 4]))
    if limit < 1 or len(set(some)) > limit or (some and 2 * quarter > limit):
        return LISTED
    return SHARED if len(set(some)) + (every > 0) <= alone else SHARED | IN_RUN


def listed(span):
    return [int(((span != 0) & (span != ALL)).sum()), int((span == ALL).sum()), LISTED, 0]


def runs_of(patterns):
    """Lists of spans, one after another, that form a run; of patterns (spans, neurons)."""
    most, runs = min(LONGEST, patterns.shape[1] // 4), []
    for i, span in enumerate(patterns):
        distinct = len(set(span.tolist()) - {0})
        if runs and kind_of(span) & SHARED and kind_of(patterns[i - 1]) & SHARED:
            longer = patterns[[*runs[-1], i]].T.tolist()
            sums = [len({tuple(s) for s in longer if any(s)}), distinct]
            sums.append(len({tuple(s[:-1]) for s in longer if any(s[:-1])}))
            if max(sums) <= most:
                runs[-1].append(i)
                continue
        runs.append([i])
    return runs


def expected(patterns):
    """Counts of the spans of a block, of patterns (spans, neurons)."""
    counts = []
    for run in runs_of(patterns):
        active = [i for i in run if patterns[i].any()]
        if len(active) == 1 and kind_of(patterns[active[0]]) & IN_RUN:
            counts += [listed(patterns[i]) if i in active else [0, 0, SHARED, 0] for i in run]
            continue
        for i in run:
            if kind_of(patterns[i]) == LISTED:
                counts.append(listed(patterns[i]))
                continue
            distinct = len(set(patterns[i].tolist()) - {0})
            sequences = [tuple(s) for s in patterns[run[0] : i + 1].T.tolist() if any(s)]
            found = len(set(sequences))
            # a span adds to the sums before it; the neurons take those of the run's last span
            added = (found if i > run[0] else 0) + (len(sequences) if i == run[-1] else 0)
            kind = kind_of(patterns[i]) | (JOINED if i > run[0] else 0)
            counts.append([distinct, added, kind, found])
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
    counts = plans.counts_for(masks)
    patterns = patterns_of(masks)
    for block in range(counts.shape[1]):
        own = patterns[:, block * BLOCK : (block + 1) * BLOCK]
        assert counts[:, block].tolist() == expected(own)


def test_runs_are_long_where_neurons_are_alike():
    """Three kinds of neurons: each span but the first joins the run, which has three sums."""
    rng = problems.own_rng(0)
    kinds = rng.integers(1, 2**63, (5, 3), dtype=np.uint64)
    counts = plans.counts_for(np.ascontiguousarray(np.repeat(kinds, 40, axis=1)))
    assert counts.shape == (10, 1, 4)
    assert counts[:, 0, 2].tolist() == [SHARED] + 9 * [SHARED | JOINED]
    assert counts[:, 0, 3].tolist() == 10 * [3]
    # three additions for a span, and one for each neuron at the end
    assert counts[:, 0, 1].tolist() == [0] + 8 * [3] + [123]
