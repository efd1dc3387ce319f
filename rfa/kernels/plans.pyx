"""Plans of masked sums: which sums over batches of samples are made once for many neurons.

A batch is 32 samples, so that what a neuron adds of it depends on 32 bits of its mask, a word. The
neurons of a block share the sum of each distinct word where there are few of them, and batches one
after the other form a run where there are few distinct sequences of words, too: each of them is
summed once and then added to what its neurons have, as one term. Which batches are shared and which
form runs follows from the masks alone and decides the order of additions; shortcuts decide only
whether a sum is made once or for each neuron, which changes no bit.
"""
from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from rfa.kernels.levels cimport BATCH, BLOCK, ENTRY, WORD, level, rfa_common

cdef enum:
    GROUP = 16    # terms whose sums are kept in the store together, at most
    SLOTS = 512   # of the hash table of words, more than twice BLOCK
    VECTOR = 16   # that list_words writes at once
    FEW_PAIRS = 24   # for which all neurons are compared with each


KINDS = {"listed": LISTED, "shared": SHARED, "joined": JOINED, "in run": IN_RUN}
COUNTS_OF_BATCH = COUNTS   # for those who allocate
STORE_BYTES = STORE * ENTRY   # where a sum stands there is told in 16 bits


cdef Py_ssize_t plan_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil:
    """Bytes of the plan for so many words of samples: what plan_batch has, then plan_groups."""
    return words * (WORD // BATCH) * ((neurons + BLOCK - 1) // BLOCK) * 4 * BLOCK


cdef uint16_t* group_index(const uint8_t* plan, Py_ssize_t batches, Py_ssize_t blocks,
                           Py_ssize_t block) noexcept nogil:
    """Where the plan has what plan_groups made for a block."""
    return <uint16_t*>(plan + batches * blocks * 2 * BLOCK) + block * batches * BLOCK


# --------------------------------------------------------------------------- batches

cdef void plan_batch(const uint64_t* masks, int shift, Py_ssize_t neurons, uint8_t* plan,
                     int32_t* counts) noexcept nogil:
    """How the sums of a batch of samples are to be made for a block of neurons, runs aside.

    Either neuron by neuron: counts = (neurons active on some samples, on all, LISTED, 0), plan
    [2][BLOCK] has the former and the latter. Or each distinct word of masks is summed once, where
    that takes less time, maybe in a run, or where no neuron is active, which ends no run: counts =
    (distinct words, active neurons, SHARED, maybe IN_RUN, distinct words), plan has the number of
    every neuron's word, 0 for inactive neurons, and a neuron of each word in the order of numbers.
    O(BLOCK).
    """
    cdef uint32_t words[BLOCK + VECTOR]
    cdef uint8_t listed[BLOCK + VECTOR]
    cdef uint8_t whole[BLOCK + VECTOR]
    cdef uint32_t found[BLOCK + 1]
    cdef uint8_t slots[SLOTS]
    cdef Py_ssize_t i, some, every, distinct = 0, alone, limit
    cdef uint32_t bits, slot
    rfa_common(level()).list_words(masks, shift, neurons, listed, words, whole, counts)
    some = counts[LOOKED_UP]
    every = counts[ADDED]
    # times measured: 1.0 for looking up a sum and adding it to a neuron's, 0.9 for looking one up
    # to be shared, 0.35 for adding a sum that is there to that of a neuron; that is done once for a
    # run, which a batch of listed neurons would end
    alone = (20 * some + 7 * (every - neurons)) // 18
    limit = max(alone, neurons // 8, min(3 * some // 4, most_sums(neurons)))
    if some + every == 0:
        limit = 1   # no words at all
    if limit > 0:
        if some > 0:
            memset(slots, 0, SLOTS)
        memset(plan, 0, neurons)
        for i in range(some):
            # most repeat or hardly any: an eighth tells, and more time is won than lost by it
            if i == some // 8 and 4 * distinct > limit:
                limit = 0
                break
            bits = words[i]
            slot = (bits * <uint32_t>2654435769) >> 23
            while slots[slot] != 0 and found[slots[slot]] != bits:
                slot = (slot + 1) % SLOTS
            if slots[slot] == 0:
                if distinct == limit:
                    limit = 0
                    break
                plan[BLOCK + distinct] = listed[i]
                distinct += 1
                found[distinct] = bits
                slots[slot] = <uint8_t>distinct
            plan[listed[i]] = slots[slot]
    if limit < 1:
        memcpy(plan, listed, some)
        memcpy(plan + BLOCK, whole, every)
        counts[KIND] = LISTED
        counts[DISTINCT] = 0
        return
    if every > 0:
        plan[BLOCK + distinct] = whole[0]
        distinct += 1
        for i in range(every):
            plan[whole[i]] = <uint8_t>distinct
    counts[LOOKED_UP] = <int32_t>distinct
    counts[ADDED] = <int32_t>(some + every)
    counts[KIND] = SHARED if distinct <= max(alone, 0) else SHARED | IN_RUN
    counts[DISTINCT] = <int32_t>distinct


cdef void list_neurons(const uint64_t* masks, int shift, Py_ssize_t neurons, bint whole,
                       uint8_t* plan, int32_t* counts) noexcept nogil:
    """The plan of a batch whose sums are all made neuron by neuron; unless whole, all neurons are
    listed as active on some samples."""
    cdef Py_ssize_t j
    cdef uint32_t bits
    counts[LOOKED_UP] = 0
    counts[ADDED] = 0
    counts[KIND] = LISTED
    counts[DISTINCT] = 0
    for j in range(neurons):
        bits = <uint32_t>(masks[j] >> shift)
        if whole and bits == ~<uint32_t>0:
            plan[BLOCK + counts[ADDED]] = <uint8_t>j
            counts[ADDED] += 1
        elif bits != 0 or not whole:
            plan[counts[LOOKED_UP]] = <uint8_t>j
            counts[LOOKED_UP] += 1


# --------------------------------------------------------------------------- runs

cdef Py_ssize_t run_length(const int32_t* counts, Py_ssize_t blocks, Py_ssize_t batches
                           ) noexcept nogil:
    """Of so many batches, the number in the run that begins with the first; counts of the next
    batch are so many blocks later."""
    cdef Py_ssize_t length = 1
    while length < batches and counts[length * blocks * COUNTS + KIND] & JOINED:
        length += 1
    return length


cdef Py_ssize_t most_sums(Py_ssize_t neurons) noexcept nogil:
    """How many sums a run may have for so many neurons."""
    return min(neurons // 4, <Py_ssize_t>(RUN - 1))


cdef void join_runs(Py_ssize_t batches, Py_ssize_t blocks, Py_ssize_t neurons, uint8_t* plan,
                    int32_t* counts) noexcept nogil:
    """Let shared batches join the run that ends before them, where that leaves few distinct sums:
    a term less for every neuron takes longer than one more addition for each of these.

    plan then has the numbers of the run's sums up to this batch in the place of those of words,
    and, RUN bytes behind the words' first neurons, for each of these sums the number of that up to
    the batch before and of the word that is added. O(BLOCK) each.
    """
    cdef Py_ssize_t batch, most = most_sums(neurons), active
    cdef uint8_t* own
    cdef uint8_t* before
    cdef int32_t* counted
    cdef int32_t* last
    cdef int32_t found
    for batch in range(1, batches):
        own = plan + batch * blocks * 2 * BLOCK
        before = own - blocks * 2 * BLOCK
        counted = counts + batch * blocks * COUNTS
        last = counted - blocks * COUNTS
        if (not counted[KIND] & SHARED or not last[KIND] & SHARED or counted[LOOKED_UP] > most
                or last[DISTINCT] > most):
            continue
        active = join(before, last[DISTINCT], own, counted[LOOKED_UP], neurons, most, &found)
        if active < 0:
            continue
        counted[DISTINCT] = found
        counted[ADDED] = <int32_t>(counted[DISTINCT] + active)
        last[ADDED] = last[DISTINCT] if last[KIND] & JOINED else 0
        counted[KIND] |= JOINED


cdef Py_ssize_t join(const uint8_t* before, Py_ssize_t sums, uint8_t* plan, Py_ssize_t words,
                     Py_ssize_t neurons, Py_ssize_t most, int32_t* found) noexcept nogil:
    """Number the distinct pairs of a number in before, of so many sums, and one in plan, of so many
    words. The number of neurons that are not (0, 0), or -1 if there are more than most pairs."""
    cdef uint8_t numbers[RUN * RUN]
    cdef uint8_t joined[BLOCK]
    cdef uint8_t pairs[2 * RUN]
    cdef Py_ssize_t j, key, pair, keys = (sums + 1) * (words + 1), active = 0
    if keys <= FEW_PAIRS:
        found[0] = rfa_common(level()).number_pairs(before, plan, <int>words + 1, <int>keys,
                                                    neurons, pairs, joined)
    else:
        memset(numbers, 0, keys)
        found[0] = 0
        for j in range(neurons):
            key = before[j] * (words + 1) + plan[j]
            pair = numbers[key]
            if pair == 0 and key != 0:
                if found[0] == most:
                    return -1
                pairs[2 * found[0]] = before[j]
                pairs[2 * found[0] + 1] = plan[j]
                found[0] += 1
                pair = found[0]
                numbers[key] = <uint8_t>pair
            joined[j] = <uint8_t>pair
    if found[0] > most:
        return -1
    for j in range(neurons):
        active += joined[j] != 0
    memcpy(plan, joined, neurons)
    memcpy(plan + BLOCK + RUN, pairs, 2 * found[0])
    return active


cdef void list_single(const uint64_t* masks, Py_ssize_t stride, Py_ssize_t batches,
                      Py_ssize_t blocks, Py_ssize_t neurons, uint8_t* plan, int32_t* counts
                      ) noexcept nogil:
    """List the neurons of a batch that is shared for the sake of a run, but whose run has no other
    active neurons."""
    cdef Py_ssize_t batch = 0, active, single, end, k
    while batch < batches:
        end = batch + run_length(counts + batch * blocks * COUNTS, blocks, batches - batch)
        active = 0
        single = batch
        for k in range(batch, end):
            if counts[k * blocks * COUNTS + LOOKED_UP] > 0:
                active += 1
                single = k
        if active == 1 and counts[single * blocks * COUNTS + KIND] & IN_RUN:
            for k in range(batch, end):
                counts[k * blocks * COUNTS + ADDED] = 0
                counts[k * blocks * COUNTS + KIND] = SHARED
                counts[k * blocks * COUNTS + DISTINCT] = 0
            list_neurons(masks + single * BATCH // WORD * stride, single * BATCH % WORD, neurons,
                         True, plan + single * blocks * 2 * BLOCK,
                         counts + single * blocks * COUNTS)
        batch = end


# --------------------------------------------------------------------------- groups

cdef Py_ssize_t next_group(const int32_t* counts, Py_ssize_t blocks, Py_ssize_t batches,
                           Py_ssize_t* terms) noexcept nogil:
    """How many of so many batches, from the first on, have sums that there is room for in the store
    together, and the number of terms of a neuron that they are; 1 and 0 for a batch that is listed.
    Batches without active neurons are no terms.

    A run whose batches are listed is a group of its own, with a sum for each neuron.
    """
    cdef Py_ssize_t group = 0, stored = 1, length
    terms[0] = 0
    while group < batches and terms[0] < GROUP:
        length = run_length(counts + group * blocks * COUNTS, blocks, batches - group)
        if not counts[group * blocks * COUNTS + KIND] & SHARED:
            if group == 0:
                terms[0] = length > 1
                group = length
            break
        stored += counts[(group + length - 1) * blocks * COUNTS + DISTINCT]
        if stored > STORE:
            break
        terms[0] += counts[(group + length - 1) * blocks * COUNTS + DISTINCT] > 0
        group += length
    return group


cdef void plan_groups(Py_ssize_t batches, Py_ssize_t blocks, Py_ssize_t neurons,
                      const uint8_t* plan, const int32_t* counts, uint16_t* index) noexcept nogil:
    """Where in its group's store a neuron's terms are, in bytes; 0 if it is inactive.

    A group of batches has index + BLOCK * (its first batch), there [neuron][term].
    """
    cdef Py_ssize_t batch = 0, group, terms, term, stored, end, j, k
    cdef const uint8_t* numbers
    cdef uint16_t* own
    while batch < batches:
        group = next_group(counts + batch * blocks * COUNTS, blocks, batches - batch, &terms)
        own = index + batch * BLOCK
        end = batch
        term = 0
        stored = 0
        while term < terms:
            end += run_length(counts + end * blocks * COUNTS, blocks, batches - end)
            k = (end - 1) * blocks
            numbers = plan + k * 2 * BLOCK
            if not counts[k * COUNTS + KIND] & SHARED:
                for j in range(neurons):
                    own[j] = <uint16_t>((j + 1) * ENTRY)
            elif counts[k * COUNTS + DISTINCT] > 0:
                for j in range(neurons):
                    own[j * terms + term] = <uint16_t>(
                        (numbers[j] + stored) * ENTRY if numbers[j] else 0)
                stored += counts[k * COUNTS + DISTINCT]
            else:
                continue
            term += 1
        batch += group


cdef void plan_runs(const uint64_t* masks, Py_ssize_t stride, Py_ssize_t batches,
                    Py_ssize_t blocks, Py_ssize_t neurons, int shortcuts, uint8_t* plan,
                    int32_t* counts, uint16_t* index) noexcept nogil:
    """From plan_batch's plans of a block's batches, those of the next batch so many blocks later,
    all that is needed. shortcuts: 0 none, each neuron is looked up for itself; 1 but for those that
    are active on none or all of a batch; more: all. masks [word][stride]."""
    cdef Py_ssize_t batch, k, joined
    join_runs(batches, blocks, neurons, plan, counts)
    list_single(masks, stride, batches, blocks, neurons, plan, counts)
    if shortcuts < 2:
        for batch in range(batches):
            k = batch * blocks
            joined = counts[k * COUNTS + KIND] & JOINED
            list_neurons(masks + batch * BATCH // WORD * stride, batch * BATCH % WORD, neurons,
                         shortcuts > 0, plan + k * 2 * BLOCK, counts + k * COUNTS)
            counts[k * COUNTS + KIND] |= joined
    plan_groups(batches, blocks, neurons, plan, counts, index)


cdef void plan_block(const uint64_t* masks, Py_ssize_t stride, Py_ssize_t batches,
                     Py_ssize_t blocks, Py_ssize_t neurons, int shortcuts, uint8_t* plan,
                     int32_t* counts, uint16_t* index) noexcept nogil:
    """plan_batch for the batches of a block, then plan_runs."""
    cdef Py_ssize_t batch
    for batch in range(batches):
        plan_batch(masks + batch * BATCH // WORD * stride, batch * BATCH % WORD, neurons,
                   plan + batch * blocks * 2 * BLOCK, counts + batch * blocks * COUNTS)
    plan_runs(masks, stride, batches, blocks, neurons, shortcuts, plan, counts, index)


cdef void plan_sums(const uint64_t* masks, Py_ssize_t words, Py_ssize_t neurons, int shortcuts,
                    uint8_t* plan, int32_t* counts, int n_threads) noexcept nogil:
    """The plans of all blocks, plan [batch][block][2][BLOCK] and counts [batch][block][COUNTS].
    O(n m / BATCH)."""
    cdef Py_ssize_t blocks = (neurons + BLOCK - 1) // BLOCK, at, batch, j
    cdef Py_ssize_t batches = words * (WORD // BATCH)
    if blocks >= n_threads:
        for at in prange(blocks, num_threads=n_threads, schedule="static"):
            plan_block(masks + at * BLOCK, neurons, batches, blocks,
                       min(neurons - at * BLOCK, <Py_ssize_t>BLOCK), shortcuts,
                       plan + at * 2 * BLOCK, counts + at * COUNTS,
                       group_index(plan, batches, blocks, at))
        return
    for at in prange(batches * blocks, num_threads=n_threads, schedule="static"):
        batch = at // blocks
        j = at % blocks * BLOCK
        plan_batch(masks + batch * BATCH // WORD * neurons + j, batch * BATCH % WORD,
                   min(neurons - j, <Py_ssize_t>BLOCK), plan + at * 2 * BLOCK, counts + COUNTS * at)
    for at in prange(blocks, num_threads=n_threads, schedule="static"):
        plan_runs(masks + at * BLOCK, neurons, batches, blocks,
                  min(neurons - at * BLOCK, <Py_ssize_t>BLOCK), shortcuts, plan + at * 2 * BLOCK,
                  counts + at * COUNTS, group_index(plan, batches, blocks, at))


def counts_of(const uint64_t[:, ::1] masks):
    """What plan_sums counts for masks [word][neuron], (batches, blocks, COUNTS)."""
    cdef Py_ssize_t words = masks.shape[0], neurons = masks.shape[1]
    cdef uint8_t[::1] plan = np.empty(plan_size(words, neurons), np.uint8)
    counts = np.empty((2 * words, (neurons + BLOCK - 1) // BLOCK, COUNTS), np.int32)
    cdef int32_t[:, :, ::1] view = counts
    if words and neurons:
        plan_sums(&masks[0, 0], words, neurons, 2, &plan[0], &view[0, 0, 0], 1)
    return counts
