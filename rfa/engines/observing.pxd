from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint64_t

# What an engine's clock array tells: t; which of two buffers holds W_t, or H_t of gram; which of
# its buffers A_{t-1}; what of A_t and f is evaluated; whether the run diverged; the next row of the
# observations; of gram the step of the anchor, which of two buffers holds it, and how many steps
# are kept for C, see accumulate.
cpdef enum:
    STEP = 0
    SIDE
    MASK_SIDE
    EVALUATED
    DIVERGED
    ROW
    ANCHOR
    ANCHOR_SIDE
    KEPT
    CLOCK_SIZE

cdef void observe_outputs(const floating* f, const double* y, const double* weighted,
                          const int32_t* group, Py_ssize_t n, Py_ssize_t groups, int loss_number,
                          int64_t* right, double* low, double* high, double* loss) noexcept nogil
cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t d,
                         const double* means, Py_ssize_t k, double* norm, double* projection,
                         int n_threads) except -1 nogil
cdef void observe_masks(const uint64_t* masks, const uint64_t* previous, Py_ssize_t words,
                        Py_ssize_t neurons, Py_ssize_t m, const int64_t* segments,
                        Py_ssize_t n_segments, Py_ssize_t groups, int32_t* active,
                        int64_t* flips) noexcept nogil
cdef bint loss_gradient(const floating* f, const double* y, const double* weighted, Py_ssize_t n,
                        int loss_number, double scale, floating* c) noexcept nogil
cdef void merge_ranges(const double[:, :, :, ::1] ranges, Py_ssize_t m, double* low,
                       double* high) noexcept nogil
cdef void count_batches(const int32_t[::1] counts, int64_t[::1] tally) noexcept nogil
