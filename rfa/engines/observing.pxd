from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint64_t

from rfa._kernels cimport ranges_t

# Samples on which outputs are observed: labels, labels times weights, and groups, where -1 is
# padding.
ctypedef struct samples_t:
    Py_ssize_t size          # with padding, a multiple of 8
    Py_ssize_t groups
    const double* y
    const double* weighted
    const int32_t* group
    int loss_number

# Over all steps: how many there were, and the numbers of sums over spans that were looked up, and
# that existed already and were added.
ctypedef struct tally_t:
    int64_t steps
    int64_t looked_up
    int64_t added

cdef class Rows:
    cdef int64_t[:, ::1] right
    cdef double[:, ::1] margin_low, margin_high, loss, norm
    cdef double[:, :, ::1] projection
    cdef int32_t[:, :, ::1] active
    cdef int64_t[::1] flips
    cdef double[:, :, ::1] h_low, h_high

cdef void observe_outputs(const samples_t* samples, const floating* f, Rows rows, Py_ssize_t row,
                          Py_ssize_t first) noexcept nogil
cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t d, const double* means,
                         Rows rows, Py_ssize_t row, int n_threads) except -1 nogil
cdef void observe_masks(const uint64_t* masks, Py_ssize_t words, Py_ssize_t neurons,
                        const ranges_t* ranges, Rows rows, Py_ssize_t row) noexcept nogil
cdef void observe_flips(const uint64_t* masks, const uint64_t* previous, Py_ssize_t size,
                        Rows rows, Py_ssize_t row) noexcept nogil
cdef void observe_ranges(const double[:, :, :, ::1] extremes, Rows rows, Py_ssize_t row
                         ) noexcept nogil
cdef bint loss_gradient(const samples_t* samples, const floating* f, double scale, floating* c
                        ) noexcept nogil
cdef void count_sums(const int32_t[::1] counts, tally_t* tally) noexcept nogil
