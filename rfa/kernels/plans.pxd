from libc.stdint cimport int32_t, uint8_t, uint16_t, uint64_t

cdef enum:
    RUN = 64        # more than the distinct sums of a run of batches
    STORE = 256     # sums of batches and runs that are kept beside the tables, 16 KiB at most
    # counts of a batch and block: sums to look up; sums that are there and are added, to those of a
    # run or of a neuron; what the batch is; distinct sums of words, or of the run up to this batch
    LOOKED_UP = 0
    ADDED = 1
    KIND = 2
    DISTINCT = 3
    COUNTS = 4
    # kinds: each neuron for itself; the sum of each word once; the sum of each sequence, too
    LISTED = 0
    SHARED = 1
    JOINED = 2   # with SHARED, unless shortcuts are off
    IN_RUN = 4   # with SHARED: it does not take less time but in a run

cdef void plan_block(const uint64_t* masks, Py_ssize_t stride, Py_ssize_t batches,
                     Py_ssize_t blocks, Py_ssize_t neurons, int shortcuts, uint8_t* plan,
                     int32_t* counts, uint16_t* index) noexcept nogil
cdef void plan_sums(const uint64_t* masks, Py_ssize_t words, Py_ssize_t neurons, int shortcuts,
                    uint8_t* plan, int32_t* counts, int n_threads) noexcept nogil
cdef Py_ssize_t plan_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil
cdef uint16_t* group_index(const uint8_t* plan, Py_ssize_t batches, Py_ssize_t blocks,
                           Py_ssize_t block) noexcept nogil
cdef Py_ssize_t next_group(const int32_t* counts, Py_ssize_t blocks, Py_ssize_t batches,
                           Py_ssize_t* terms) noexcept nogil
