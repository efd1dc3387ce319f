"""The part of an observation that no engine computes in a way of its own."""
from cython.parallel cimport prange
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

from rfa._kernels cimport WORD, level, rfa_common, rfa_f32, rfa_f64


cdef void observe_outputs(const floating* f, const double* y, const int32_t* group, Py_ssize_t n,
                          Py_ssize_t groups, int64_t* right, double* low, double* high,
                          double* loss) noexcept nogil:
    """Right answers, extremes of y f and summed loss per group; entries of group -1 are padding.

    n is a multiple of 8. The sums go in the order of the samples. O(n).
    """
    cdef Py_ssize_t word, begin, count, i
    cdef int32_t g
    cdef double s[WORD]
    cdef double losses[WORD]
    for g in range(groups):
        right[g] = 0
        low[g] = INFINITY
        high[g] = -INFINITY
        loss[g] = 0
    for word in range((n + WORD - 1) // WORD):
        begin = word * WORD
        count = min(n - begin, <Py_ssize_t>WORD)
        for i in range(count):
            s[i] = y[begin + i] * f[begin + i]
        rfa_common(level()).logistic_loss(s, count, losses)
        for i in range(count):
            g = group[begin + i]
            if g < 0:
                continue
            right[g] += s[i] > 0
            low[g] = s[i] if s[i] < low[g] else low[g]
            high[g] = s[i] if s[i] > high[g] else high[g]
            loss[g] += losses[i]


cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t d,
                         const double* means, Py_ssize_t k, double* norm, double* projection,
                         int n_threads) except -1 nogil:
    """norm_j = |w_j| and projection_jc = <w_j, means_c>, in float64. O(m d k)."""
    cdef Py_ssize_t j, c
    cdef double* out = <double*>malloc(m * (k + 1) * sizeof(double))
    if out == NULL:
        with gil:
            raise MemoryError()
    for j in prange(m, num_threads=n_threads, schedule="static"):
        if floating is float:
            rfa_f32(level()).dots(W + j * stride, means, k, d, out + j * (k + 1))
        else:
            rfa_f64(level()).dots(W + j * stride, means, k, d, out + j * (k + 1))
        norm[j] = sqrt(out[j * (k + 1)])
        for c in range(k):
            projection[j * k + c] = out[j * (k + 1) + 1 + c]
    free(out)
    return 0
