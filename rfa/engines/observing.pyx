"""What the engines of masks share: loss weights, and the parts of an observation."""
from cython.parallel cimport prange
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from rfa.kernels.guards cimport allocate
from rfa.kernels.levels cimport WORD, level, rfa_common, rfa_f32, rfa_f64
from rfa.kernels.plans cimport ADDED, COUNTS, LOOKED_UP


cdef void observe_outputs(const floating* f, const double* y, const double* weighted,
                          const int32_t* group, Py_ssize_t n, Py_ssize_t groups, int loss_number,
                          int64_t* right, double* low, double* high, double* loss) noexcept nogil:
    """Right answers, extremes of y f and summed loss per group; entries of group -1 are padding.

    weighted: y times the weights of the samples. n is a multiple of 8. The sums go in the order of
    the samples. O(n).
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
        rfa_common(level()).losses[loss_number](s, count, losses)
        for i in range(count):
            g = group[begin + i]
            if g < 0:
                continue
            right[g] += s[i] > 0
            low[g] = s[i] if s[i] < low[g] else low[g]
            high[g] = s[i] if s[i] > high[g] else high[g]
            loss[g] += y[begin + i] * weighted[begin + i] * losses[i]


cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t d,
                         const double* means, Py_ssize_t k, double* norm, double* projection,
                         int n_threads) except -1 nogil:
    """norm_j = |w_j| and projection_jc = <w_j, means_c>, in float64. O(m d k)."""
    cdef Py_ssize_t j, c
    cdef double* out = <double*>allocate(m, k + 1, sizeof(double))
    for j in prange(m, num_threads=n_threads, schedule="static"):
        if floating is float:
            rfa_f32(level()).dots(W + j * stride, NULL, means, k, d, out + j * (k + 1))
        else:
            rfa_f64(level()).dots(W + j * stride, NULL, means, k, d, out + j * (k + 1))
        norm[j] = sqrt(out[j * (k + 1)])
        for c in range(k):
            projection[j * k + c] = out[j * (k + 1) + 1 + c]
    free(out)
    return 0


cdef void observe_masks(const uint64_t* masks, const uint64_t* previous, Py_ssize_t words,
                        Py_ssize_t neurons, Py_ssize_t m, const int64_t* segments,
                        Py_ssize_t n_segments, Py_ssize_t groups, int32_t* active,
                        int64_t* flips) noexcept nogil:
    """Active samples (m, groups), and entries that differ from the masks before (NULL: none)."""
    cdef Py_ssize_t q
    memset(active, 0, m * groups * sizeof(int32_t))
    for q in range(n_segments):
        rfa_common(level()).count(masks + segments[3 * q] * neurons,
                                  <uint64_t>segments[3 * q + 2], m, groups,
                                  active + segments[3 * q + 1])
    flips[0] = 0
    if previous != NULL:
        flips[0] = rfa_common(level()).differences(masks, previous, words * neurons)


cdef bint loss_gradient(const floating* f, const double* y, const double* weighted, Py_ssize_t n,
                        int loss_number, double scale, floating* c) noexcept nogil:
    """c_i = scale weighted_i g_i, g = -l'(y f), weighted = y times the weights of the samples;
    false if any f is not finite. n: whole words."""
    cdef Py_ssize_t word, begin, i
    cdef double s[WORD]
    cdef double g[WORD]
    cdef bint finite = True
    for word in range(n // WORD):
        begin = word * WORD
        for i in range(WORD):
            s[i] = y[begin + i] * f[begin + i]
            finite = finite and isfinite(f[begin + i])
        rfa_common(level()).loss_weights[loss_number](s, WORD, g)
        for i in range(WORD):
            c[begin + i] = <floating>(scale * weighted[begin + i] * g[i])
    return finite


cdef void merge_ranges(const double[:, :, :, ::1] ranges, Py_ssize_t m, double* low,
                       double* high) noexcept nogil:
    """The extremes over the threads, ranges (threads, neurons, groups, 2)."""
    cdef Py_ssize_t t, j, g, groups = ranges.shape[2]
    for j in range(m):
        for g in range(groups):
            low[j * groups + g] = ranges[0, j, g, 0]
            high[j * groups + g] = ranges[0, j, g, 1]
            for t in range(1, ranges.shape[0]):
                low[j * groups + g] = min(low[j * groups + g], ranges[t, j, g, 0])
                high[j * groups + g] = max(high[j * groups + g], ranges[t, j, g, 1])
            # the sign of a zero would be that of the thread that met it
            low[j * groups + g] += 0.0
            high[j * groups + g] += 0.0


cdef void count_batches(const int32_t[::1] counts, int64_t[::1] tally) noexcept nogil:
    """Add up plan_sums' counts: steps, sums looked up, and sums that were there and were added."""
    cdef Py_ssize_t i
    tally[0] += 1
    for i in range(counts.shape[0] // COUNTS):
        tally[1] += counts[i * COUNTS + LOOKED_UP]
        tally[2] += counts[i * COUNTS + ADDED]
