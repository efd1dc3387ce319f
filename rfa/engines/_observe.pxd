from cython cimport floating
from libc.stdint cimport int32_t, int64_t

# What an engine's clock array tells: t, which of two buffers holds W_t and which A_{t-1}, whether
# A_t and f are evaluated, whether the run diverged, and the next row of the observations.
cpdef enum:
    STEP = 0
    SIDE
    MASK_SIDE
    EVALUATED
    DIVERGED
    ROW
    CLOCK_SIZE

cdef void observe_outputs(const floating* f, const double* y, const int32_t* group, Py_ssize_t n,
                          Py_ssize_t groups, int64_t* right, double* low, double* high,
                          double* loss) noexcept nogil
cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t d,
                         const double* means, Py_ssize_t k, double* norm, double* projection,
                         int n_threads) except -1 nogil
