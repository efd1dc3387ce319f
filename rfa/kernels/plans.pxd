from libc.stdint cimport int32_t, uint8_t, uint16_t, uint64_t

from rfa.kernels.levels cimport BLOCK, SPAN, WORD, words_of

cdef enum:
    RUN = 64        # more than the distinct sums of a run
    STORE = 256     # sums that are kept beside the tables, 16 KiB at most
    # counts of a span and block: sums to look up; sums that exist already and are added to those of
    # a run or of a neuron; its kind; distinct sums, of patterns or of the run up to this span
    LOOKED_UP = 0
    ADDED = 1
    KIND = 2
    DISTINCT = 3
    COUNTS = 4
    # kinds
    LISTED = 0   # each neuron has a sum of its own
    SHARED = 1   # the sum of each pattern is made once
    JOINED = 2   # with SHARED, unless look_ups says otherwise: the span joins the run before it
    IN_RUN = 4   # with SHARED: sharing pays only if the span is part of a run
    # whose sums over a span are looked up, which changes no bit
    EVERY = 0    # of every neuron
    PARTIAL = 1  # of every neuron that is active on a part of the span
    ALIKE = 2    # of every distinct pattern, where that is faster

# Masks, and the plan of their sums: lists, counts and, behind the lists, the index of each block.
ctypedef struct plan_t:
    const uint64_t* masks    # [word][neuron]
    Py_ssize_t mask_stride   # from a word of masks to the next
    Py_ssize_t samples
    Py_ssize_t neurons
    int look_ups             # EVERY, PARTIAL or ALIKE
    uint8_t* lists           # [span][block][2][BLOCK]: two lists of neurons, see plan_span
    int32_t* counts          # [span][block][COUNTS]

# What a plan has for one block of neurons.
ctypedef struct block_t:
    const uint64_t* masks
    Py_ssize_t mask_stride
    Py_ssize_t samples
    Py_ssize_t neurons
    Py_ssize_t spans
    int look_ups
    uint8_t* lists
    Py_ssize_t lists_stride  # from a span to the next
    int32_t* counts
    Py_ssize_t counts_stride
    uint16_t* index          # [span][BLOCK], see index_bundles

cdef block_t block_of(const plan_t* plan, Py_ssize_t number) noexcept nogil
cdef void plan_block(const block_t* block) noexcept nogil
cdef void plan_sums(const plan_t* plan, int n_threads) noexcept nogil
cdef Py_ssize_t plan_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil
cdef Py_ssize_t next_bundle(const block_t* block, Py_ssize_t first, Py_ssize_t* terms
                            ) noexcept nogil


cdef inline Py_ssize_t spans_of(Py_ssize_t samples) noexcept nogil:
    """Spans of samples, in whole words."""
    return words_of(samples) * (WORD // SPAN)


cdef inline const uint64_t* masks_of(const block_t* block, Py_ssize_t span) noexcept nogil:
    """The masks that have the bits of a span, from bit shift_of(span) on."""
    return block.masks + span * SPAN // WORD * block.mask_stride


cdef inline int shift_of(Py_ssize_t span) noexcept nogil:
    return span * SPAN % WORD


cdef inline uint8_t* lists_of(const block_t* block, Py_ssize_t span) noexcept nogil:
    return block.lists + span * block.lists_stride


cdef inline int32_t* counts_of(const block_t* block, Py_ssize_t span) noexcept nogil:
    return block.counts + span * block.counts_stride
