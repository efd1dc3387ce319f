"""Which activations can have changed: signs of <w_j, x_i> that need no new inner product.

A lane is 16 samples. Q has orthonormal rows, the directions of the means; s_i = Q x_i, u_j = Q w_j,
and c is the centre of the s_i of a lane. Then

    <w_j(t), x_i> - <w_j(e), x_i> = <u_j(t) - u_j(e), c> + <u_j(t) - u_j(e), s_i - c>
                                                         + <w_j(t) - w_j(e), x_i - Q^T s_i>.

The last two terms are at most <r, U_j(t) - U_j(e)> + v (V_j(t) - V_j(e)). U_j has the lengths of
the paths of the components of u_j, and V_j is the length of the path of the rest of w_j; r has the
largest |s_i - c| of the lane, component by component, and v is its largest |x_i - Q^T s_i|.
Features move along the means, most of them along one, so V_j grows slowly; and r is small if the
samples are sorted by s_i. That makes the bound sharp. For a lane and a neuron whose last evaluation
was in step e, the engine keeps

    low  = least <w_j(e), x_i> > 0     - <u_j(e), c> + <r, U_j(e)> + v V_j(e) - b E_j(e),
    high = largest other <w_j(e), x_i> - <u_j(e), c> - <r, U_j(e)> - v V_j(e) + b E_j(e),

where b is the largest |x_i|, and b E_j bounds what an inner product loses by rounding. An
evaluation would find the signs of step e as long as

    low  + <u_j(t), c> - <r, U_j(t)> - v V_j(t) - b E_j(t) > 0,
    high + <u_j(t), c> + <r, U_j(t)> + v V_j(t) + b E_j(t) < 0.

Otherwise the pair is evaluated again. U and V are rounded up, low down and high up.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.float cimport DBL_EPSILON, FLT_EPSILON, FLT_MAX
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from rfa._kernels cimport TASK_WORK, queues_in
from rfa.kernels.guards cimport check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport (
    LANE, PER_WORD, WORD, level, rfa_common, rfa_f32, rfa_f64, rfa_seconds,
)
from rfa.kernels.tasks cimport next_task, queues_t, share_tasks

cdef extern from * nogil:
    int __builtin_ctzll(unsigned long long)

# Far above what underflow takes off a product, or off a square times |x| <= LARGEST (signs.py).
cdef double TINY = 1e-37


cdef void begin_paths(signs_t* signs, const floating* W, int n_threads) noexcept nogil:
    """Let the paths of all neurons begin at W: lengths U and V are 0. O(m d k)."""
    cdef Py_ssize_t j, c, neurons = signs.neuron_words * WORD
    for j in prange(signs.m, num_threads=n_threads, schedule="static"):
        move_neuron(signs, W, j)
        for c in range(signs.k, 2 * signs.k + 1):
            signs.path[c * neurons + j] = 0


cdef void extend_paths(signs_t* signs, const floating* W, const floating* before, int n_threads
                       ) noexcept nogil:
    """Let the paths of all neurons go on from the weights before to W. O(m d k)."""
    cdef Py_ssize_t j
    for j in prange(signs.m, num_threads=n_threads, schedule="static"):
        lengthen_path(signs, W, before, j)
        move_neuron(signs, W, j)


cdef inline double inexact(const signs_t* signs) noexcept nogil:
    """What k inner products in float64 lose, as a part of the length of both vectors: twice
    gamma(d), and room for a centre that is up to sqrt(k) times longer than the samples of its
    lane."""
    return sqrt(<double>signs.k + 1) * (signs.stride + 8) * DBL_EPSILON


cdef inline void find_dots(const signs_t* signs, const floating* w, const floating* before,
                           double* dots) noexcept nogil:
    """dots = (|v|^2, <v, Q_1>, ...) for v = w - before, or v = w if before is NULL."""
    if floating is float:
        rfa_f32(level()).dots(w, before, signs.Q, signs.k, signs.stride, dots)
    else:
        rfa_f64(level()).dots(w, before, signs.Q, signs.k, signs.stride, dots)


cdef void lengthen_path(signs_t* signs, const floating* W, const floating* before, Py_ssize_t j
                        ) noexcept nogil:
    """Add the lengths of a neuron's step to U_j and V_j."""
    cdef Py_ssize_t c, k = signs.k, neurons = signs.neuron_words * WORD
    cdef double relative = inexact(signs), along = 0, moved
    cdef double* path = signs.path + j
    cdef double* dots = signs.found + j * (k + 1)
    # of the difference: that of two u_j would be off by a part of w_j, not of the step
    find_dots(signs, W + j * signs.stride, before + j * signs.stride, dots)
    moved = dots[0]
    for c in range(k):
        along = along + dots[1 + c] * dots[1 + c]
        path[(k + c) * neurons] = (
            (path[(k + c) * neurons] + fabs(dots[1 + c]) + relative * sqrt(moved))
            * (1 + 4 * DBL_EPSILON))
    # at least (sqrt(along) - relative sqrt(moved))^2 of the square belongs to the directions
    path[2 * k * neurons] = (
        (path[2 * k * neurons] + sqrt(max(moved - along, 0.0) + 4 * relative * moved))
        * (1 + 4 * DBL_EPSILON))


cdef void move_neuron(signs_t* signs, const floating* W, Py_ssize_t j) noexcept nogil:
    """Set u_j and E_j.

    E_j is infinite if |w_j| is reach or more, so that nothing is certified where a sum might
    overflow: whether a run goes on must not depend on what has been evaluated."""
    cdef Py_ssize_t c, k = signs.k, neurons = signs.neuron_words * WORD
    cdef double unit = FLT_EPSILON if floating is float else DBL_EPSILON
    cdef double length
    cdef double* dots = signs.found + j * (k + 1)
    find_dots(signs, W + j * signs.stride, <const floating*>NULL, dots)
    for c in range(k):
        signs.path[c * neurons + j] = dots[1 + c]
    # what an inner product of the type loses, and those of u
    length = sqrt(dots[0])
    signs.path[(2 * k + 1) * neurons + j] = (
        length * (1.1 * (signs.stride + 8) * unit / 2 + 2 * inexact(signs))
        if length < signs.reach else INFINITY)


cdef void order_neurons(signs_t* signs, const floating* a) noexcept nogil:
    """The order in which f adds up the neurons: by the signs of a and of u in two directions, so
    that neurons active on the same samples come one after another. A function of W and a."""
    cdef Py_ssize_t j, p, key
    cdef Py_ssize_t starts[9]
    memset(starts, 0, sizeof(starts))
    for j in range(signs.m):
        starts[neuron_class(signs, a, j) + 1] += 1
    for key in range(8):
        starts[key + 1] += starts[key]
    for j in range(signs.m):
        key = neuron_class(signs, a, j)
        p = starts[key]
        starts[key] += 1
        if signs.order[p] != j:
            signs.order[p] = j
            signs.ordered = False
        signs.place[j] = p


cdef inline Py_ssize_t neuron_class(const signs_t* signs, const floating* a, Py_ssize_t j
                                    ) noexcept nogil:
    return (4 * (a[j] > 0) + 2 * (signs.k > 0 and signs.path[j] > 0)
            + (signs.k > 1 and signs.path[signs.neuron_words * WORD + j] > 0))


cdef inline float rounded_down(double low) noexcept nogil:
    """low or something smaller, by TINY where floats have few digits; NaN stays NaN."""
    low = low - FLT_EPSILON * fabs(low) - TINY if low < FLT_MAX else low
    return <float>(FLT_MAX if low > FLT_MAX else low)


cdef int find_signs(signs_t* signs, const floating* W, const uint64_t* previous, uint64_t* masks,
                    floating* scratch, int n_threads, double* last) except -1 nogil:
    """masks = 1[<w_j, x_i> > 0] and their transpose. 1 if everything evaluated is finite, else 0.

    If signs.current is set, previous are the masks of which transposed is the transpose; if not,
    everything is evaluated. While signs are found current is off, and it stays off if the call is
    interrupted or a number is not finite: what is then there is not used.
    scratch: that of the masked sums. 2 d flops for each pair that is evaluated, 4 k for each lane
    and neuron.
    """
    cdef Py_ssize_t first = 0, stop, w
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads,
                                TASK_WORK // (WORD * signs.m * signs.d + 1))
    cdef bint same_order = signs.ordered
    cdef int64_t evaluated = 0, count
    cdef Py_ssize_t infinite = 0   # words of samples
    cdef queues_t queues = queues_in(scratch, n_threads)
    cdef int thread
    if not signs.current:
        previous = NULL
    signs.current = False
    while first < signs.words:
        check_signals(last)
        stop = min(first + share, signs.words)
        share_tasks(&queues, first, stop)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            while True:
                w = next_task(&queues, thread)
                if w < 0:
                    break
                count = word_signs(signs, W, w, previous, masks, same_order, thread)
                evaluated += count if count >= 0 else 0
                infinite += count < 0
        first = stop
    signs.evaluated += evaluated
    signs.current = infinite == 0
    signs.ordered = True
    return infinite == 0


cdef Py_ssize_t word_signs(const signs_t* signs, const floating* W, Py_ssize_t word,
                           const uint64_t* previous, uint64_t* masks, bint same_order, int thread
                           ) noexcept nogil:
    """find_signs for a word of samples. Returns how many lanes of neurons were evaluated, or -1 if
    a number was not finite."""
    cdef Py_ssize_t s, evaluated = 0, count
    cdef bint finite = True
    masks += word * signs.neurons
    if previous == NULL:
        memset(masks, 0, signs.neurons * sizeof(uint64_t))
    else:
        previous += word * signs.neurons
        memcpy(masks, previous, signs.neurons * sizeof(uint64_t))
    for s in range(min(signs.n_lanes - word * PER_WORD, <Py_ssize_t>PER_WORD)):
        count = lane_signs(signs, W, word * PER_WORD + s, previous == NULL, masks, s * LANE, thread)
        evaluated += count if count >= 0 else 0
        finite = finite and count >= 0
    transpose_word(signs, masks, previous if same_order else NULL, word)
    return evaluated if finite else -1


cdef Py_ssize_t lane_signs(const signs_t* signs, const floating* W, Py_ssize_t lane, bint all_open,
                           uint64_t* masks, int shift, int thread) noexcept nogil:
    """Evaluate the open signs of a lane, whose bits begin at shift in the masks; all, if these are
    the first. Returns how many neurons that were, or -1 if a number was not finite."""
    cdef Py_ssize_t padded = signs.neuron_words * WORD, count, i, j
    cdef double* to_low = signs.doubles + thread * 2 * padded
    cdef double* to_high = to_low + padded
    cdef uint64_t* open = signs.open + thread * signs.neuron_words
    cdef Py_ssize_t* list = signs.list + thread * padded
    cdef uint16_t* bits = signs.bits + thread * padded
    cdef floating* least = <floating*>signs.reals + thread * 2 * padded
    cdef floating* most = least + padded
    cdef const floating* x = <const floating*>signs.lanes + lane * signs.d * LANE
    cdef float* low = signs.low + lane * padded
    cdef float* high = signs.high + lane * padded
    cdef bint finite
    if signs.certified:
        rfa_common(level()).certify(low, high, signs.path,
                                    signs.factors + lane * 2 * (signs.k + 1), signs.k, padded,
                                    to_low, to_high, open)
    if all_open or not signs.certified:
        memset(open, 0xFF, signs.neuron_words * sizeof(uint64_t))
    count = listed(open, signs.m, list)
    if count == 0:
        return 0
    if floating is float:
        finite = rfa_f32(level()).lane_signs(x, W, signs.stride, signs.d, list, count, bits, least,
                                             most) == 0
    else:
        finite = rfa_f64(level()).lane_signs(x, W, signs.stride, signs.d, list, count, bits, least,
                                             most) == 0
    for i in range(count):
        j = list[i]
        masks[j] = (masks[j] & ~(<uint64_t>0xFFFF << shift)) | <uint64_t>bits[i] << shift
        if signs.certified:
            low[j] = rounded_down(least[i] + to_low[j])
            high[j] = -rounded_down(to_high[j] - most[i])
    return count if finite else -1


cdef Py_ssize_t listed(const uint64_t* open, Py_ssize_t m, Py_ssize_t* list) noexcept nogil:
    """List the neurons whose bit is set, in order. Returns their number."""
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


cdef void transpose_word(const signs_t* signs, const uint64_t* masks, const uint64_t* previous,
                         Py_ssize_t word) noexcept nogil:
    """Bring the transposed masks of a word of samples up to date from the previous masks, or make
    them if there are none (NULL)."""
    cdef uint64_t* transposed = signs.transposed + word * WORD
    cdef uint64_t changed
    cdef const Py_ssize_t* place = signs.place
    cdef Py_ssize_t v, j, p, samples = signs.words * WORD, neurons = signs.neurons
    if previous != NULL and rfa_common(level()).differences(masks, previous, neurons) < neurons:
        for j in range(neurons):
            changed = masks[j] ^ previous[j]
            while changed:
                p = place[j]
                transposed[p // WORD * samples + __builtin_ctzll(changed)] ^= (
                    <uint64_t>1 << (p % WORD))
                changed &= changed - 1
        return
    for v in range(signs.neuron_words):
        transpose_square(masks, signs.order + v * WORD, transposed + v * samples)


cdef void transpose_square(const uint64_t* masks, const Py_ssize_t* order, uint64_t* square
                           ) noexcept nogil:
    """The transposed masks of a word of samples and a word of neurons: of the neurons in this
    order, where -1 is none."""
    cdef uint64_t chosen[WORD]
    cdef Py_ssize_t j
    for j in range(WORD):
        chosen[j] = masks[order[j]] if order[j] >= 0 else 0
    rfa_common(level()).transpose(chosen, square)


cdef Py_ssize_t wrong_transposes(const signs_t* signs, const uint64_t* masks) noexcept nogil:
    """How many squares of transposed are not the transpose of the masks, for the check."""
    cdef uint64_t square[WORD]
    cdef Py_ssize_t w, v, wrong = 0
    for w in range(signs.words):
        for v in range(signs.neuron_words):
            transpose_square(masks + w * signs.neurons, signs.order + v * WORD, square)
            wrong += memcmp(square, signs.transposed + (v * signs.words + w) * WORD,
                            sizeof(square)) != 0
    return wrong


cdef int bind(signs_t* signs, arrays) except -1:
    """Point to the arrays of a Signs object, which has to outlive signs."""
    cdef uint64_t[:, ::1] transposed = arrays.transposed
    cdef float[:, ::1] low = arrays.low, high = arrays.high
    cdef double[:, ::1] path = arrays.path, factors = arrays.factors, found = arrays.found
    cdef const double[:, ::1] directions = arrays.directions
    cdef double[:, :, ::1] doubles = arrays.doubles
    cdef Py_ssize_t[::1] order = arrays.order, place = arrays.place
    cdef uint64_t[:, ::1] open = arrays.open
    cdef Py_ssize_t[:, ::1] list = arrays.list
    cdef uint16_t[:, ::1] bits = arrays.bits
    cdef uint8_t[::1] reals = arrays.reals
    signs.words = transposed.shape[1] // WORD
    signs.n_lanes = arrays.n_lanes
    signs.m = place.shape[0]
    signs.neuron_words = transposed.shape[0]
    signs.certified = arrays.certified
    signs.current = False
    signs.ordered = False
    signs.evaluated = 0
    signs.reach = arrays.reach
    signs.transposed = &transposed[0, 0]
    signs.order = &order[0]
    signs.place = &place[0]
    signs.k = directions.shape[0]
    signs.Q = &directions[0, 0] if signs.k else NULL
    signs.low = &low[0, 0]
    signs.high = &high[0, 0]
    signs.path = &path[0, 0]
    signs.factors = &factors[0, 0]
    signs.found = &found[0, 0]
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
