"""Plans of masked sums: which sums over spans of samples are made once for many neurons.

What a neuron adds of a span depends on 32 bits of its mask, its pattern. Where a block of neurons
has few distinct patterns, the sum of each is made once and shared. Where it also has few distinct
sequences of patterns on consecutive spans, these spans form a run: the sum of each sequence is made
once, and a neuron adds it as one term.

Which spans are shared and which form runs follows from the masks alone and decides the order of
additions. plan_t.look_ups decides only whether a sum is made once or for each neuron, which changes
no bit.
"""
from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from rfa.kernels.levels cimport (
    BLOCK, ENTRY, SPAN, WORD, blocks_of, level, rfa_common,
)

cdef enum:
    BUNDLE = 16   # terms whose sums are kept in the store together, at most
    SLOTS = 512   # of the hash table of patterns, more than twice BLOCK
    VECTOR = 16   # entries of its lists that list_patterns writes at once
    FEW_PAIRS = 24   # pairs that are numbered by comparing all neurons with each of them


KINDS = {"listed": LISTED, "shared": SHARED, "joined": JOINED, "in run": IN_RUN}
LOOK_UPS = {"every": EVERY, "partial": PARTIAL, "alike": ALIKE}
COUNTS_OF_SPAN = COUNTS   # for those who allocate
STORE_BYTES = STORE * ENTRY   # the index has places in the store as 16 bits


cdef Py_ssize_t plan_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil:
    """Bytes of the lists of a plan, with the index behind them."""
    return words * (WORD // SPAN) * blocks_of(neurons) * 4 * BLOCK


cdef block_t block_of(const plan_t* plan, Py_ssize_t number) noexcept nogil:
    """What the plan has for a block of neurons."""
    cdef block_t block
    cdef Py_ssize_t blocks = blocks_of(plan.neurons)
    block.masks = plan.masks + number * BLOCK
    block.mask_stride = plan.mask_stride
    block.samples = plan.samples
    block.neurons = min(plan.neurons - number * BLOCK, <Py_ssize_t>BLOCK)
    block.spans = spans_of(plan.samples)
    block.look_ups = plan.look_ups
    block.lists = plan.lists + number * 2 * BLOCK
    block.lists_stride = blocks * 2 * BLOCK
    block.counts = plan.counts + number * COUNTS
    block.counts_stride = blocks * COUNTS
    block.index = <uint16_t*>(plan.lists + block.spans * blocks * 2 * BLOCK) + (
        number * block.spans * BLOCK)
    return block


# --------------------------------------------------------------------------- spans

cdef void plan_span(const block_t* block, Py_ssize_t span) noexcept nogil:
    """How the sums of a span are to be made, before runs are looked for. O(BLOCK).

    Either for each neuron: the two lists are the neurons active on a part of the span and those
    active on all of it, and counts = (length of the one, of the other, LISTED, 0).

    Or once for each distinct pattern, if that takes less time, or may take less in a run, or if no
    neuron is active, which does not end a run. The first list then has the number of each neuron's
    pattern, 0 for inactive neurons, and the second one a neuron with pattern 1, with pattern 2, ...
    counts = (distinct patterns, active neurons, SHARED and maybe IN_RUN, distinct patterns).
    """
    cdef uint32_t patterns[BLOCK + VECTOR]
    cdef uint8_t some[BLOCK + VECTOR]
    cdef uint8_t every[BLOCK + VECTOR]
    cdef uint8_t* lists = lists_of(block, span)
    cdef int32_t* counts = counts_of(block, span)
    cdef Py_ssize_t i, parts, wholes, distinct, alone, limit, neurons = block.neurons
    rfa_common(level()).list_patterns(masks_of(block, span), shift_of(span), neurons, some,
                                      patterns, every, counts)
    parts = counts[LOOKED_UP]
    wholes = counts[ADDED]
    # measured times: 1.0 to look up a sum and add it to that of a neuron, 0.9 to look up one that
    # is shared, 0.35 to add a shared sum to that of a neuron, which happens only once in a run
    alone = (20 * parts + 7 * (wholes - neurons)) // 18
    limit = max(alone, neurons // 8, min(3 * parts // 4, most_sums(neurons)))
    if parts + wholes == 0:
        limit = 1   # a span without active neurons is shared
    distinct = number_patterns(patterns, some, parts, neurons, limit, lists)
    if distinct < 0:
        memcpy(lists, some, parts)
        memcpy(lists + BLOCK, every, wholes)
        counts[KIND] = LISTED
        counts[DISTINCT] = 0
        return
    if wholes > 0:
        lists[BLOCK + distinct] = every[0]
        distinct += 1
        for i in range(wholes):
            lists[every[i]] = <uint8_t>distinct
    counts[LOOKED_UP] = <int32_t>distinct
    counts[ADDED] = <int32_t>(parts + wholes)
    counts[KIND] = SHARED if distinct <= max(alone, 0) else SHARED | IN_RUN
    counts[DISTINCT] = <int32_t>distinct


cdef Py_ssize_t number_patterns(const uint32_t* patterns, const uint8_t* some, Py_ssize_t parts,
                                Py_ssize_t neurons, Py_ssize_t limit, uint8_t* lists
                                ) noexcept nogil:
    """Write the two lists of plan_span for the patterns of `parts` neurons, which `some` lists.
    Returns how many patterns are distinct, or -1 if they are more than limit, or seem to be."""
    cdef uint32_t found[BLOCK + 1]
    cdef uint8_t slots[SLOTS]
    cdef Py_ssize_t i, distinct = 0
    cdef uint32_t bits, slot
    if limit < 1:
        return -1
    if parts > 0:
        memset(slots, 0, SLOTS)
    memset(lists, 0, neurons)
    for i in range(parts):
        # most patterns repeat, or hardly any does: an eighth of them tells, which saves more time
        # than wrong guesses cost
        if i == parts // 8 and 4 * distinct > limit:
            return -1
        bits = patterns[i]
        slot = (bits * <uint32_t>2654435769) >> 23
        while slots[slot] != 0 and found[slots[slot]] != bits:
            slot = (slot + 1) % SLOTS
        if slots[slot] == 0:
            if distinct == limit:
                return -1
            lists[BLOCK + distinct] = some[i]
            distinct += 1
            found[distinct] = bits
            slots[slot] = <uint8_t>distinct
        lists[some[i]] = slots[slot]
    return distinct


cdef void list_neurons(const block_t* block, Py_ssize_t span, bint wholes) noexcept nogil:
    """Plan a span whose sums are all made for each neuron. If wholes is set, neurons active on all
    of the span are listed apart, and inactive ones not at all; else all neurons are in the first
    list."""
    cdef const uint64_t* masks = masks_of(block, span)
    cdef uint8_t* lists = lists_of(block, span)
    cdef int32_t* counts = counts_of(block, span)
    cdef int shift = shift_of(span)
    cdef Py_ssize_t j
    cdef uint32_t bits
    counts[LOOKED_UP] = 0
    counts[ADDED] = 0
    counts[KIND] = LISTED
    counts[DISTINCT] = 0
    for j in range(block.neurons):
        bits = <uint32_t>(masks[j] >> shift)
        if wholes and bits == ~<uint32_t>0:
            lists[BLOCK + counts[ADDED]] = <uint8_t>j
            counts[ADDED] += 1
        elif bits != 0 or not wholes:
            lists[counts[LOOKED_UP]] = <uint8_t>j
            counts[LOOKED_UP] += 1


# --------------------------------------------------------------------------- runs

cdef Py_ssize_t end_of_run(const block_t* block, Py_ssize_t first) noexcept nogil:
    """The span behind the run that begins with this one."""
    cdef Py_ssize_t end = first + 1
    while end < block.spans and counts_of(block, end)[KIND] & JOINED:
        end += 1
    return end


cdef Py_ssize_t most_sums(Py_ssize_t neurons) noexcept nogil:
    """The number of sums that a run of these neurons may have."""
    return min(neurons // 4, <Py_ssize_t>(RUN - 1))


cdef void join_runs(const block_t* block) noexcept nogil:
    """Let a shared span join the run that ends before it, where that leaves few distinct sums. It
    saves each neuron a term and costs an addition for each of these sums. O(BLOCK) a span.

    The first list of a span that joins gets the number of each neuron's sum in the run up to this
    span, in place of that of its pattern. RUN bytes behind the beginning of the second list are
    two bytes for each of these sums: the numbers of the sum up to the span before and of the
    pattern that is added to it.
    """
    cdef Py_ssize_t span, most = most_sums(block.neurons), active
    cdef int32_t* counts
    cdef int32_t* last
    cdef int32_t found
    for span in range(1, block.spans):
        counts = counts_of(block, span)
        last = counts_of(block, span - 1)
        if (not counts[KIND] & SHARED or not last[KIND] & SHARED or counts[LOOKED_UP] > most
                or last[DISTINCT] > most):
            continue
        active = join(lists_of(block, span - 1), last[DISTINCT], lists_of(block, span),
                      counts[LOOKED_UP], block.neurons, most, &found)
        if active < 0:
            continue
        counts[DISTINCT] = found
        counts[ADDED] = <int32_t>(counts[DISTINCT] + active)
        last[ADDED] = last[DISTINCT] if last[KIND] & JOINED else 0
        counts[KIND] |= JOINED


cdef Py_ssize_t join(const uint8_t* before, Py_ssize_t sums, uint8_t* lists, Py_ssize_t patterns,
                     Py_ssize_t neurons, Py_ssize_t most, int32_t* found) noexcept nogil:
    """Number the distinct pairs of a neuron's number in before, at most sums, and its number in
    lists, at most patterns. Returns how many neurons have a pair other than (0, 0), or -1 if found,
    the number of these pairs, is more than most."""
    cdef uint8_t numbers[RUN * RUN]
    cdef uint8_t joined[BLOCK]
    cdef uint8_t pairs[2 * RUN]
    cdef Py_ssize_t j, key, pair, keys = (sums + 1) * (patterns + 1), active = 0
    if keys <= FEW_PAIRS:
        found[0] = rfa_common(level()).number_pairs(before, lists, <int>patterns + 1, <int>keys,
                                                    neurons, pairs, joined)
    else:
        memset(numbers, 0, keys)
        found[0] = 0
        for j in range(neurons):
            key = before[j] * (patterns + 1) + lists[j]
            pair = numbers[key]
            if pair == 0 and key != 0:
                if found[0] == most:
                    return -1
                pairs[2 * found[0]] = before[j]
                pairs[2 * found[0] + 1] = lists[j]
                found[0] += 1
                pair = found[0]
                numbers[key] = <uint8_t>pair
            joined[j] = <uint8_t>pair
    if found[0] > most:
        return -1
    for j in range(neurons):
        active += joined[j] != 0
    memcpy(lists, joined, neurons)
    memcpy(lists + BLOCK + RUN, pairs, 2 * found[0])
    return active


cdef void list_single(const block_t* block) noexcept nogil:
    """List the neurons of a span that was shared only as a part of a run, if no other span of its
    run has active neurons."""
    cdef Py_ssize_t first = 0, active, single, end, k
    cdef int32_t* counts
    while first < block.spans:
        end = end_of_run(block, first)
        active = 0
        single = first
        for k in range(first, end):
            if counts_of(block, k)[LOOKED_UP] > 0:
                active += 1
                single = k
        if active == 1 and counts_of(block, single)[KIND] & IN_RUN:
            for k in range(first, end):
                counts = counts_of(block, k)
                counts[ADDED] = 0
                counts[KIND] = SHARED
                counts[DISTINCT] = 0
            list_neurons(block, single, True)
        first = end


# --------------------------------------------------------------------------- bundles

cdef Py_ssize_t next_bundle(const block_t* block, Py_ssize_t first, Py_ssize_t* terms
                            ) noexcept nogil:
    """The number of spans, from the first on, that form a bundle: the store has room for all their
    sums. terms is the number of terms that they are for a neuron; spans without active neurons are
    none.

    A listed span is a bundle of its own without terms. A run whose spans are listed is a bundle of
    its own, with a sum for each neuron in the store.
    """
    cdef Py_ssize_t span = first, stored = 1, end
    cdef const int32_t* counts
    terms[0] = 0
    while span < block.spans and terms[0] < BUNDLE:
        end = end_of_run(block, span)
        if not counts_of(block, span)[KIND] & SHARED:
            if span == first:
                terms[0] = end > span + 1
                span = end
            break
        counts = counts_of(block, end - 1)
        stored += counts[DISTINCT]
        if stored > STORE:
            break
        terms[0] += counts[DISTINCT] > 0
        span = end
    return span - first


cdef void index_bundles(const block_t* block) noexcept nogil:
    """Where a neuron's terms are in the store of their bundle, in bytes; 0 if it is inactive.

    The index of a bundle, [neuron][term], begins BLOCK entries later for each span before it.
    """
    cdef Py_ssize_t first = 0, spans, terms, term, stored, end, j
    cdef const uint8_t* numbers
    cdef const int32_t* counts
    cdef uint16_t* index
    while first < block.spans:
        spans = next_bundle(block, first, &terms)
        index = block.index + first * BLOCK
        end = first
        term = 0
        stored = 0
        while term < terms:
            end = end_of_run(block, end)
            numbers = lists_of(block, end - 1)
            counts = counts_of(block, end - 1)
            if not counts[KIND] & SHARED:
                for j in range(block.neurons):
                    index[j] = <uint16_t>((j + 1) * ENTRY)
            elif counts[DISTINCT] > 0:
                for j in range(block.neurons):
                    index[j * terms + term] = <uint16_t>(
                        (numbers[j] + stored) * ENTRY if numbers[j] else 0)
                stored += counts[DISTINCT]
            else:
                continue
            term += 1
        first += spans


cdef void plan_runs(const block_t* block) noexcept nogil:
    """Complete the plan of a block whose spans plan_span has planned."""
    cdef Py_ssize_t span
    cdef int32_t joined
    join_runs(block)
    list_single(block)
    if block.look_ups != ALIKE:
        for span in range(block.spans):
            joined = counts_of(block, span)[KIND] & JOINED
            list_neurons(block, span, block.look_ups == PARTIAL)
            counts_of(block, span)[KIND] |= joined
    index_bundles(block)


cdef void plan_block(const block_t* block) noexcept nogil:
    """Plan the sums of a block of neurons. O(n BLOCK / SPAN)."""
    cdef Py_ssize_t span
    for span in range(block.spans):
        plan_span(block, span)
    plan_runs(block)


cdef void plan_number(const plan_t* plan, Py_ssize_t number) noexcept nogil:
    cdef block_t block = block_of(plan, number)
    plan_block(&block)


cdef void plan_span_of(const plan_t* plan, Py_ssize_t number, Py_ssize_t span) noexcept nogil:
    cdef block_t block = block_of(plan, number)
    plan_span(&block, span)


cdef void plan_runs_of(const plan_t* plan, Py_ssize_t number) noexcept nogil:
    cdef block_t block = block_of(plan, number)
    plan_runs(&block)


cdef void plan_sums(const plan_t* plan, int n_threads) noexcept nogil:
    """Fill in lists, counts and index from the masks. O(n m / SPAN)."""
    cdef Py_ssize_t blocks = blocks_of(plan.neurons), k
    if blocks >= n_threads:
        for k in prange(blocks, num_threads=n_threads, schedule="static"):
            plan_number(plan, k)
        return
    # too few blocks for the threads: they share out the spans
    for k in prange(spans_of(plan.samples) * blocks, num_threads=n_threads, schedule="static"):
        plan_span_of(plan, k % blocks, k // blocks)
    for k in prange(blocks, num_threads=n_threads, schedule="static"):
        plan_runs_of(plan, k)


def counts_for(const uint64_t[:, ::1] masks):
    """The counts (spans, blocks, COUNTS) of the plan for masks [word][neuron]."""
    cdef Py_ssize_t words = masks.shape[0], neurons = masks.shape[1]
    cdef uint8_t[::1] lists = np.empty(plan_size(words, neurons), np.uint8)
    counts = np.empty((2 * words, blocks_of(neurons), COUNTS), np.int32)
    cdef int32_t[:, :, ::1] view = counts
    cdef plan_t plan
    if words and neurons:
        plan = plan_t(masks=&masks[0, 0], mask_stride=neurons, samples=words * WORD,
                      neurons=neurons, look_ups=ALIKE, lists=&lists[0], counts=&view[0, 0, 0])
        plan_sums(&plan, 1)
    return counts
