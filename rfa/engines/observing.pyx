"""What the engines share: loss weights, and the writers of observations."""
from cython.parallel cimport prange
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from rfa.kernels.guards cimport allocate
from rfa.kernels.levels cimport WORD, level, rfa_common, rfa_f32, rfa_f64
from rfa.kernels.plans cimport ADDED, COUNTS, LOOKED_UP


cdef class Rows:
    """The arrays of an Observations object, which an engine fills row by row."""

    def __init__(self, out):
        self.right = out.right
        self.margin_low, self.margin_high, self.loss = out.margin_low, out.margin_high, out.loss
        self.norm, self.projection = out.norm, out.projection
        self.active, self.flips = out.active, out.flips
        self.h_low, self.h_high = out.h_low, out.h_high


cdef void observe_outputs(const samples_t* samples, const floating* f, Rows rows, Py_ssize_t row,
                          Py_ssize_t first) noexcept nogil:
    """Right answers, extremes of y f and summed loss of each group, from column `first` on.

    The sums go in the order of the samples. O(n).
    """
    cdef Py_ssize_t word, begin, count, i
    cdef int32_t g
    cdef const double* y = samples.y
    cdef const double* weighted = samples.weighted
    cdef int64_t* right
    cdef double* low
    cdef double* high
    cdef double* loss
    cdef double s[WORD]
    cdef double losses[WORD]
    if samples.groups == 0:
        return
    right = &rows.right[row, first]
    low = &rows.margin_low[row, first]
    high = &rows.margin_high[row, first]
    loss = &rows.loss[row, first]
    for g in range(samples.groups):
        right[g] = 0
        low[g] = INFINITY
        high[g] = -INFINITY
        loss[g] = 0
    for word in range((samples.size + WORD - 1) // WORD):
        begin = word * WORD
        count = min(samples.size - begin, <Py_ssize_t>WORD)
        for i in range(count):
            s[i] = y[begin + i] * f[begin + i]
        rfa_common(level()).losses[samples.loss_number](s, count, losses)
        for i in range(count):
            g = samples.group[begin + i]
            if g < 0:
                continue
            right[g] += s[i] > 0
            low[g] = s[i] if s[i] < low[g] else low[g]
            high[g] = s[i] if s[i] > high[g] else high[g]
            loss[g] += y[begin + i] * weighted[begin + i] * losses[i]


cdef int observe_weights(const floating* W, Py_ssize_t stride, Py_ssize_t d, const double* means,
                         Rows rows, Py_ssize_t row, int n_threads) except -1 nogil:
    """norm_j = |w_j| and projection_jc = <w_j, means_c>, in float64. O(m d k)."""
    cdef Py_ssize_t j, c, m = rows.norm.shape[1], k = rows.projection.shape[2]
    cdef double* out = <double*>allocate(m, k + 1, sizeof(double))
    for j in prange(m, num_threads=n_threads, schedule="static"):
        if floating is float:
            rfa_f32(level()).dots(W + j * stride, NULL, means, k, d, out + j * (k + 1))
        else:
            rfa_f64(level()).dots(W + j * stride, NULL, means, k, d, out + j * (k + 1))
        rows.norm[row, j] = sqrt(out[j * (k + 1)])
        for c in range(k):
            rows.projection[row, j, c] = out[j * (k + 1) + 1 + c]
    free(out)
    return 0


cdef void observe_masks(const uint64_t* masks, Py_ssize_t words, Py_ssize_t neurons,
                        const ranges_t* ranges, Rows rows, Py_ssize_t row) noexcept nogil:
    """Active samples of each neuron and group."""
    cdef Py_ssize_t q, m = rows.active.shape[1], groups = ranges.groups
    cdef int32_t* active = &rows.active[row, 0, 0]
    cdef const int64_t* segment
    memset(active, 0, m * groups * sizeof(int32_t))
    for q in range(ranges.n_segments):
        segment = ranges.segments + 3 * q
        rfa_common(level()).count(masks + segment[0] * neurons, <uint64_t>segment[2], m, groups,
                                  active + segment[1])


cdef void observe_flips(const uint64_t* masks, const uint64_t* previous, Py_ssize_t size,
                        Rows rows, Py_ssize_t row) noexcept nogil:
    """Activations that differ from the previous ones, for masks of this many words."""
    rows.flips[row] = rfa_common(level()).differences(masks, previous, size)


cdef bint loss_gradient(const samples_t* samples, const floating* f, double scale, floating* c
                        ) noexcept nogil:
    """c_i = scale weighted_i g_i with g = -l'(y f), for whole words of samples. Whether all of f is
    finite."""
    cdef Py_ssize_t word, begin, i
    cdef const double* y = samples.y
    cdef const double* weighted = samples.weighted
    cdef double s[WORD]
    cdef double g[WORD]
    cdef bint finite = True
    for word in range(samples.size // WORD):
        begin = word * WORD
        for i in range(WORD):
            s[i] = y[begin + i] * f[begin + i]
            finite = finite and isfinite(f[begin + i])
        rfa_common(level()).loss_weights[samples.loss_number](s, WORD, g)
        for i in range(WORD):
            c[begin + i] = <floating>(scale * weighted[begin + i] * g[i])
    return finite


cdef void observe_ranges(const double[:, :, :, ::1] extremes, Rows rows, Py_ssize_t row
                         ) noexcept nogil:
    """The least and the largest pre-activation of each neuron and group: of the extremes (threads,
    neurons, groups, 2) that the threads have found."""
    cdef Py_ssize_t t, j, g
    cdef double low, high
    for j in range(rows.h_low.shape[1]):
        for g in range(extremes.shape[2]):
            low = extremes[0, j, g, 0]
            high = extremes[0, j, g, 1]
            for t in range(1, extremes.shape[0]):
                low = min(low, extremes[t, j, g, 0])
                high = max(high, extremes[t, j, g, 1])
            # a zero must not have the sign of the one that some thread has found
            rows.h_low[row, j, g] = low + 0.0
            rows.h_high[row, j, g] = high + 0.0


cdef void count_sums(const int32_t[::1] counts, tally_t* tally) noexcept nogil:
    """Add a step with the counts of its plan."""
    cdef Py_ssize_t i
    tally.steps += 1
    for i in range(counts.shape[0] // COUNTS):
        tally.looked_up += counts[i * COUNTS + LOOKED_UP]
        tally.added += counts[i * COUNTS + ADDED]
