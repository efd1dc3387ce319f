"""Packed copies of samples, and the segments of mask words."""
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

from rfa.kernels.guards cimport check_signals
from rfa.kernels.levels cimport LANE, WORD, columns, rfa_seconds, words_of

cdef enum:
    PACKED = 1 << 20   # reals that are packed between two looks at the clock


cdef int pack_lanes(const floating[:, :] X, const int64_t* order, floating* lanes, int n_threads,
                    double* last) except -1 nogil:
    """lanes[q][k][s] = X[order[16 q + s], k], in whole words, zero beyond the last sample. Without
    an order (NULL) the samples stay in that of X."""
    cdef Py_ssize_t words = words_of(X.shape[0]), first = 0, stop, w
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, PACKED // (X.shape[1] * WORD + 1))
    while first < words:
        check_signals(last)
        stop = min(first + share, words)
        for w in prange(first, stop, num_threads=n_threads, schedule="static"):
            pack_word(X, order, w * WORD, lanes + w * X.shape[1] * WORD)
        first = stop
    return 0


cdef void pack_word(const floating[:, :] X, const int64_t* order, Py_ssize_t begin,
                    floating* lanes) noexcept nogil:
    """The lanes of the word of samples that begins here: written in order, while the rows of X are
    read side by side."""
    cdef Py_ssize_t places[LANE]
    cdef Py_ssize_t d = X.shape[1], q, count, k, s
    for q in range(WORD // LANE):
        count = max(<Py_ssize_t>0, min(X.shape[0] - begin - q * LANE, <Py_ssize_t>LANE))
        for s in range(count):
            places[s] = begin + q * LANE + s
            if order != NULL:
                places[s] = order[places[s]]
        for k in range(d):
            for s in range(count):
                lanes[(q * d + k) * LANE + s] = X[places[s], k]
            for s in range(count, LANE):
                lanes[(q * d + k) * LANE + s] = 0


cdef int pack_rows(const floating[:, :] X, const int64_t* order, floating* rows, int n_threads,
                   double* last) except -1 nogil:
    """rows[q][i][c] = X[order[i], q * columns + c], zero beyond the last sample and column. Without
    an order (NULL) the samples stay in that of X."""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], samples = words_of(n) * WORD
    cdef Py_ssize_t width = columns(rows), first = 0, stop, i, k, r
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, PACKED // (d + 1))
    memset(rows, 0, (d + width - 1) // width * width * samples * sizeof(floating))
    while first < n:
        check_signals(last)
        stop = min(first + share, n)
        for i in prange(first, stop, num_threads=n_threads, schedule="static"):
            r = order[i] if order != NULL else i
            for k in range(d):
                rows[((k // width) * samples + i) * width + k % width] = X[r, k]
        first = stop
    return 0


def fill_lanes(const floating[:, :] X, const int64_t[::1] order, floating[:, :, ::1] lanes,
               int n_threads):
    """Fill lanes (words * PER_WORD, d, LANE) with X in the given order."""
    cdef double last = rfa_seconds()
    with nogil:
        pack_lanes(X, &order[0], &lanes[0, 0, 0], n_threads, &last)


def fill_rows(const floating[:, :] X, const int64_t[::1] order, floating[:, :, ::1] rows,
              int n_threads):
    """Fill rows (chunks, samples, columns) with X in the given order."""
    cdef double last = rfa_seconds()
    with nogil:
        pack_rows(X, &order[0], &rows[0, 0, 0], n_threads, &last)


def mask_segments(const int32_t[::1] group):
    """The segments of the mask words, each the samples of a word that are one after another in the
    same group: a list of (word, group, bits of the samples as a signed int64)."""
    cdef Py_ssize_t i, begin = 0, n = group.shape[0]
    cdef uint64_t bits
    segments = []
    for i in range(1, n + 1):
        if i == n or i % WORD == 0 or group[i] != group[begin]:
            bits = (~<uint64_t>0 >> (WORD - (i - begin))) << (begin % WORD)
            segments.append((begin // WORD, group[begin], <int64_t>bits))
            begin = i
    return segments
