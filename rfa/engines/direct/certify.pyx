"""Which activations can have changed: signs of <w_j, x_i> that need no new inner product.

A lane is 16 samples. With Q orthonormal rows (the directions of the means), s_i = Q x_i,
u_j = Q w_j and c the centre of a lane's s_i,

    <w_j(t), x_i> - <w_j(e), x_i> = <u_j(t) - u_j(e), c> + <u_j(t) - u_j(e), s_i - c>
                                                         + <w_j(t) - w_j(e), x_i - Q^T s_i>.

The last two are at most <r, U_j(t) - U_j(e)> + v (V_j(t) - V_j(e)), where U_j has the lengths of
the paths of u_j's components and V_j is that of the rest of w_j, r has the largest |s_i - c| of the
lane, component by component, and v is its largest |x_i - Q^T s_i|. Features move along the means,
most along one of them, so that V_j grows slowly, and r is small where samples are sorted by s_i:
that makes the bound sharp. For a lane and a neuron that were evaluated last in step e,

    low  = least <w_j(e), x_i> > 0     - <u_j(e), c> + <r, U_j(e)> + v V_j(e) - b E_j(e),
    high = largest other <w_j(e), x_i> - <u_j(e), c> - <r, U_j(e)> - v V_j(e) + b E_j(e)

are kept, b E_j, b the largest |x_i|, being a bound on what an inner product loses by rounding. An
evaluation would find the same signs as in step e while

    low  + <u_j(t), c> - <r, U_j(t)> - v V_j(t) - b E_j(t) > 0,
    high + <u_j(t), c> + <r, U_j(t)> + v V_j(t) + b E_j(t) < 0.

Where that does not hold there is an evaluation. U and V are rounded up, low down and high up.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.float cimport DBL_EPSILON, FLT_EPSILON, FLT_MAX
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from rfa._kernels cimport TASK_WORK, next_task, share_tasks, sum_scratch
from rfa.kernels.guards cimport check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport (
    LANE, PER_WORD, WORD, level, rfa_common, rfa_f32, rfa_f64, rfa_seconds,
)


cdef extern from * nogil:
    int __builtin_ctzll(unsigned long long)

# Far above what underflow takes off a product, or a square times |x| <= LARGEST (signs.py).
cdef double TINY = 1e-37


cdef void measure_path(const floating* W, const floating* before, Py_ssize_t stride, Py_ssize_t m,
                       const double* Q, double reach, Py_ssize_t k, Py_ssize_t neurons,
                       double* path, double* found, int n_threads) noexcept nogil:
    """path (2 k + 2, neurons): u_j, the lengths U_j and V_j so far, and E_j of W; before: the
    weights a step ago, or NULL if the paths begin here. found: (neurons, k + 1) to work in.
    O(m d k).

    E_j is infinite from norm(w_j) = reach on, so that nothing is certified where a sum might
    overflow: whether a run goes on does not depend on what has been evaluated."""
    cdef Py_ssize_t j, c
    cdef double along, moved, length
    cdef double unit = FLT_EPSILON if floating is float else DBL_EPSILON
    # twice gamma(d) of k inner products in float64, as a part of the length of both vectors; room
    # for a centre that is longer than the lane's samples, up to sqrt(k) times
    cdef double relative = sqrt(<double>k + 1) * (stride + 8) * DBL_EPSILON
    for j in prange(m, num_threads=n_threads, schedule="static"):
        if before != NULL:
            # by the difference, for that of two u_j would be off by a part of w_j, not of the step
            if floating is float:
                rfa_f32(level()).dots(W + j * stride, before + j * stride, Q, k, stride,
                                      found + j * (k + 1))
            else:
                rfa_f64(level()).dots(W + j * stride, before + j * stride, Q, k, stride,
                                      found + j * (k + 1))
            moved = found[j * (k + 1)]
            along = 0
            for c in range(k):
                along = along + found[j * (k + 1) + 1 + c] * found[j * (k + 1) + 1 + c]
                path[(k + c) * neurons + j] = (
                    (path[(k + c) * neurons + j] + fabs(found[j * (k + 1) + 1 + c])
                     + relative * sqrt(moved)) * (1 + 4 * DBL_EPSILON))
            # (sqrt(along) - relative sqrt(moved))^2 is what can be taken off
            path[2 * k * neurons + j] = (
                (path[2 * k * neurons + j]
                 + sqrt(max(moved - along, 0.0) + 4 * relative * moved))
                * (1 + 4 * DBL_EPSILON))
        if floating is float:
            rfa_f32(level()).dots(W + j * stride, NULL, Q, k, stride, found + j * (k + 1))
        else:
            rfa_f64(level()).dots(W + j * stride, NULL, Q, k, stride, found + j * (k + 1))
        for c in range(k):
            path[c * neurons + j] = found[j * (k + 1) + 1 + c]
        # an inner product of the type, and those of u
        length = sqrt(found[j * (k + 1)])
        path[(2 * k + 1) * neurons + j] = (
            length * (1.1 * (stride + 8) * unit / 2 + 2 * relative) if length < reach
            else INFINITY)
        if before == NULL:
            for c in range(k, 2 * k + 1):
                path[c * neurons + j] = 0


cdef void order_neurons(signs_t* signs, const floating* a, Py_ssize_t m) noexcept nogil:
    """The order in which f adds up the neurons: by the signs of a and of u in two directions, so
    that those that are active on the same samples stand together. A function of W and a."""
    cdef Py_ssize_t j, p, key, padded = signs.words * WORD
    cdef Py_ssize_t starts[9]
    memset(starts, 0, sizeof(starts))
    for j in range(m):
        starts[neuron_class(signs, a, j, padded) + 1] += 1
    for key in range(8):
        starts[key + 1] += starts[key]
    for j in range(m):
        key = neuron_class(signs, a, j, padded)
        p = starts[key]
        starts[key] += 1
        if signs.order[p] != j:
            signs.order[p] = j
            signs.valid[1] = 0
        signs.place[j] = p


cdef inline Py_ssize_t neuron_class(signs_t* signs, const floating* a, Py_ssize_t j,
                                    Py_ssize_t padded) noexcept nogil:
    return (4 * (a[j] > 0) + 2 * (signs.k > 0 and signs.path[j] > 0)
            + (signs.k > 1 and signs.path[padded + j] > 0))


cdef inline float rounded_down(double low) noexcept nogil:
    """low or something smaller, by TINY where floats have few digits; NaN stays NaN."""
    low = low - FLT_EPSILON * fabs(low) - TINY if low < FLT_MAX else low
    return <float>(FLT_MAX if low > FLT_MAX else low)


cdef int find_signs(const floating[:, :, ::1] lanes, const floating[:, ::1] W, Py_ssize_t m,
                    signs_t* signs, const uint64_t* previous, uint64_t* masks,
                    Py_ssize_t neurons, int64_t[::1] tally, floating* scratch, int n_threads,
                    double* last) except -1 nogil:
    """masks = 1[<w_j, x_i> > 0] and their transpose; 1 if all that was evaluated is finite, 0 if
    not.

    previous: the masks that signs.transposed has, if signs.valid[0]; else all is evaluated. It is
    not valid while it is being changed, so that what an interrupted call leaves is not used, nor
    where a number is not finite.
    scratch: that of the masked sums. 2 d flops for each pair that is evaluated, 4 k for each lane
    and neuron.
    """
    cdef Py_ssize_t words = lanes.shape[0] // PER_WORD, d = lanes.shape[1], first = 0, stop, w
    cdef Py_ssize_t apart = sum_scratch(scratch)
    cdef int thread
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (WORD * m * d + 1))
    cdef bint known = signs.valid[0] != 0, same_order = signs.valid[1] != 0
    cdef int64_t evaluated = 0, count
    cdef Py_ssize_t infinite = 0
    signs.valid[0] = 0
    while first < words:
        check_signals(last)
        stop = min(first + share, words)
        share_tasks(first, stop, scratch, apart, n_threads)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            while True:
                w = next_task(scratch, apart, thread, n_threads)
                if w < 0:
                    break
                count = word_signs(&lanes[w * PER_WORD, 0, 0], d, &W[0, 0], W.shape[1], m, signs, w,
                                   words, previous + w * neurons if known else NULL,
                                   masks + w * neurons, neurons, same_order, threadid())
                evaluated += count if count >= 0 else 0
                infinite += count < 0
        first = stop
    tally[3] += evaluated
    signs.valid[0] = infinite == 0
    signs.valid[1] = 1
    return infinite == 0


cdef Py_ssize_t wrong_transposes(const signs_t* signs, const uint64_t* masks, Py_ssize_t words,
                                 Py_ssize_t neurons) noexcept nogil:
    """In how many words transposed is not that of the masks, for the check."""
    cdef uint64_t block[WORD]
    cdef Py_ssize_t w, v, wrong = 0
    for w in range(words):
        for v in range(signs.words):
            gather_block(masks + w * neurons, signs.order + v * WORD, block)
            wrong += memcmp(block, signs.transposed + (v * words + w) * WORD, sizeof(block)) != 0
    return wrong


cdef void gather_block(const uint64_t* masks, const Py_ssize_t* order, uint64_t* block
                       ) noexcept nogil:
    """The transposed masks of a word of neurons in order, on a word of samples."""
    cdef uint64_t chosen[WORD]
    cdef Py_ssize_t j
    for j in range(WORD):
        chosen[j] = masks[order[j]] if order[j] >= 0 else 0
    rfa_common(level()).transpose(chosen, block)


cdef Py_ssize_t word_signs(const floating* x, Py_ssize_t d, const floating* W, Py_ssize_t stride,
                           Py_ssize_t m, signs_t* signs, Py_ssize_t word, Py_ssize_t words,
                           const uint64_t* previous, uint64_t* masks, Py_ssize_t neurons,
                           bint same_order, int thread) noexcept nogil:
    """find_signs for a word of samples. The number of lanes of neurons that were evaluated, or -1
    if something was not finite."""
    cdef Py_ssize_t lane, s, count, i, j, evaluated = 0, padded = signs.words * WORD
    cdef double* to_low = signs.doubles + thread * 2 * padded
    cdef double* to_high = to_low + padded
    cdef uint64_t* open = signs.open + thread * signs.words
    cdef Py_ssize_t* list = signs.list + thread * padded
    cdef uint16_t* bits = signs.bits + thread * padded
    cdef floating* least = <floating*>signs.reals + thread * 2 * padded
    cdef floating* most = least + padded
    cdef float* low
    cdef float* high
    cdef bint finite = True
    if previous == NULL:
        memset(masks, 0, neurons * sizeof(uint64_t))
    else:
        memcpy(masks, previous, neurons * sizeof(uint64_t))
    for s in range(PER_WORD):
        lane = word * PER_WORD + s
        if lane >= signs.n_lanes:
            break
        low = signs.low + lane * padded
        high = signs.high + lane * padded
        if signs.certified:
            rfa_common(level()).certify(low, high, signs.path,
                                        signs.factors + lane * 2 * (signs.k + 1), signs.k, padded,
                                        to_low, to_high, open)
        if previous == NULL or not signs.certified:
            memset(open, 0xFF, signs.words * sizeof(uint64_t))
        count = listed(open, m, list)
        if count == 0:
            continue
        evaluated += count
        if floating is float:
            finite = rfa_f32(level()).lane_signs(x + s * d * LANE, W, stride, d, list, count,
                                                 bits, least, most) == 0 and finite
        else:
            finite = rfa_f64(level()).lane_signs(x + s * d * LANE, W, stride, d, list, count,
                                                 bits, least, most) == 0 and finite
        for i in range(count):
            j = list[i]
            masks[j] = ((masks[j] & ~(<uint64_t>0xFFFF << (s * LANE)))
                        | <uint64_t>bits[i] << (s * LANE))
            if signs.certified:
                low[j] = rounded_down(least[i] + to_low[j])
                high[j] = -rounded_down(to_high[j] - most[i])
    transpose_word(masks, previous if same_order else NULL, neurons, signs.order, signs.place,
                   signs.transposed + word * WORD, words * WORD, signs.words)
    return evaluated if finite else -1


cdef Py_ssize_t listed(const uint64_t* open, Py_ssize_t m, Py_ssize_t* list) noexcept nogil:
    """The neurons of the bits that are set, in order; their number."""
    cdef Py_ssize_t v, count = 0
    cdef uint64_t rest
    for v in range((m + WORD - 1) // WORD):
        rest = open[v]
        if v * WORD + WORD > m:
            rest &= ~<uint64_t>0 >> (WORD - m % WORD)
        while rest:
            list[count] = v * WORD + __builtin_ctzll(rest)
            count += 1
            rest &= rest - 1
    return count


cdef void transpose_word(const uint64_t* masks, const uint64_t* previous, Py_ssize_t neurons,
                         const Py_ssize_t* order, const Py_ssize_t* place, uint64_t* transposed,
                         Py_ssize_t samples, Py_ssize_t words) noexcept nogil:
    """transposed [word of neurons][samples] of a word of samples, brought up to date from previous
    (NULL: made). Neuron order[p] stands at place p; -1: none does."""
    cdef uint64_t changed
    cdef Py_ssize_t v, j
    if previous != NULL and (rfa_common(level()).differences(masks, previous, neurons)
                             < neurons):
        for j in range(neurons):
            changed = masks[j] ^ previous[j]
            while changed:
                transposed[place[j] // WORD * samples + __builtin_ctzll(changed)] ^= (
                    <uint64_t>1 << (place[j] % WORD))
                changed &= changed - 1
        return
    for v in range(words):
        gather_block(masks, order + v * WORD, transposed + v * samples)


cdef int bind(signs_t* signs, arrays) except -1:
    """Pointers into the arrays of a Signs object, which has to outlive them."""
    cdef int64_t[::1] valid = arrays.valid
    cdef uint64_t[:, ::1] transposed = arrays.transposed
    cdef float[:, ::1] low = arrays.low, high = arrays.high
    cdef double[:, ::1] path = arrays.path, factors = arrays.factors
    cdef double[:, :, ::1] doubles = arrays.doubles
    cdef Py_ssize_t[::1] order = arrays.order, place = arrays.place
    cdef uint64_t[:, ::1] open = arrays.open
    cdef Py_ssize_t[:, ::1] list = arrays.list
    cdef uint16_t[:, ::1] bits = arrays.bits
    cdef uint8_t[::1] reals = arrays.reals
    signs.certified = arrays.certified
    signs.reach = arrays.reach
    signs.valid = &valid[0]
    signs.order = &order[0]
    signs.place = &place[0]
    signs.transposed = &transposed[0, 0]
    signs.words = transposed.shape[0]
    signs.n_lanes = arrays.n_lanes
    signs.k = path.shape[0] // 2 - 1
    signs.low = &low[0, 0]
    signs.high = &high[0, 0]
    signs.path = &path[0, 0]
    signs.factors = &factors[0, 0]
    signs.doubles = &doubles[0, 0, 0]
    signs.open = &open[0, 0]
    signs.list = &list[0, 0]
    signs.bits = &bits[0, 0]
    signs.reals = &reals[0]
    return 0


def coordinates(const floating[:, :] X, const double[:, ::1] basis, double[:, ::1] out,
                int n_threads):
    """out[i] = basis X[i], term by term in order: no bit depends on the layout of X."""
    cdef Py_ssize_t i, j, c
    cdef double last = rfa_seconds()
    check_signals(&last)
    with OwnArithmetic(n_threads), nogil:
        for i in prange(X.shape[0], num_threads=n_threads, schedule="static"):
            for c in range(basis.shape[0]):
                out[i, c] = 0
            for j in range(X.shape[1]):
                for c in range(basis.shape[0]):
                    out[i, c] += basis[c, j] * <double>X[i, j]
