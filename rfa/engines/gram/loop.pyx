"""The gram engine's loop: pre-activations are stepped by the Gram matrix, W is not touched.

H_{t+1} = H_t + a_j sum_i K_{.i} c_i A_ij, with K = X X^T and c = alpha g y / n: the sum over i is
masked_sum on the rows of K, where direct has those of X. W_t = anchor + a_j sum_i C_ij x_i, with C
the sum of c_i A_ij over the steps since the anchor; what a leaky slope adds to C is the same for
all neurons and kept once, after their rows. What only recorded steps ask for, the inner products of
w_j with test points and means, comes from those with the anchor and of the points with the x_i.
With weight decay all of this holds for H, W and c over factor = shrink^(steps since the anchor):
H and C are kept so, and what is seen of them is multiplied by the factor.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from rfa._kernels cimport (
    TASK_WORK, add_partial, evaluate, masked_sum, multiply, multiply_panel, multiply_word,
    pack_lanes, panel_depth,
)
from rfa.kernels.guards cimport check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport (
    LANE, PER_WORD, TILE, WORD, columns, level, rfa_f32, rfa_f64, rfa_seconds,
)
from rfa.kernels.plans cimport plan_sums
from rfa.engines.observing cimport (
    ANCHOR, ANCHOR_SIDE, DIVERGED, EVALUATED, KEPT, ROW, SIDE, STEP, count_batches,
    loss_gradient, merge_ranges, observe_masks, observe_outputs,
)

cdef extern from * nogil:
    void __builtin_prefetch(const void*, int, int)

cdef enum:
    NEURONS = 32   # to a task of the accumulation
    # clock[EVALUATED]: of the masks and f of this step there are none, or masks and the blocks'
    # shares of f, which the last step has made, or all; or H is lost, too, by a step in place that
    # is not finite
    NOT = 0
    WHOLE = 1
    IN_PARTS = 2
    LOST = 3


def advance(floating[:, :, :, ::1] H, engine, Py_ssize_t until, const int64_t[::1] at, out,
            Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract.

    H (2, chunks, neurons, columns) holds <w_j, x_i> at t on side clock[SIDE]; H at t + 1 takes its
    place if nothing can interrupt the change, since half the memory stays in a nearer cache, else
    that of the other side. anchor_H, anchor_test_H and anchor_dots, see find_dots, are those of the
    anchor. C lacks the last clock[KEPT] steps, see accumulate: masks has
    A_{t-1} at this place, A_t or room for it at the next and A_{t+1} at the one after. Only when
    the rest of a step is there does the clock go on, which nothing interrupts. If H at t + 1 is not
    finite, H_t may be lost; W_t is not, it comes from C.
    """
    cdef int64_t[::1] clock = engine.clock
    cdef const floating[:, :, ::1] lanes = engine.lanes, rows = engine.rows_of_K
    cdef const floating[:, :, ::1] test_lanes = engine.test_lanes, test_K = engine.test_K
    cdef floating[:, :, ::1] anchor_test_H = engine.anchor_test_H, test_H = engine.test_H
    cdef const floating[:, :, ::1] X_columns = engine.X_columns
    cdef floating[:, :, ::1] anchor = engine.anchor
    cdef floating[:, :, ::1] recovered = engine.recovered
    cdef floating[:, ::1] C = engine.C
    cdef floating[::1] a = engine.padded_a
    cdef const double[::1] y = engine.y, weighted = engine.weighted, test_y = engine.test_y
    cdef const int32_t[::1] group = engine.group, test_group = engine.test_group
    cdef const int64_t[:, ::1] segments = engine.segments
    cdef uint64_t[:, :, ::1] masks = engine.masks
    cdef floating[::1] f = engine.f, test_f = engine.test_f
    cdef floating[:, ::1] c_kept = engine.c
    cdef floating[:, ::1] partial = engine.partial
    cdef floating[::1] scratch = engine.scratch
    cdef uint8_t[::1] plan = engine.plan
    cdef int32_t[::1] counts = engine.counts
    cdef int shortcuts = engine.shortcuts
    cdef int64_t[::1] tally = engine.tally
    cdef double[:, :, :, ::1] ranges = engine.ranges
    cdef floating[:, :, ::1] anchor_H = engine.anchor_H
    cdef const double[:, ::1] means = engine.means, mean_K = engine.mean_K
    cdef double[:, ::1] anchor_dots = engine.anchor_dots, dots = engine.dots
    cdef int n_threads = engine.n_threads
    cdef Py_ssize_t m = engine.m, horizon = engine.horizon, period = engine.period
    cdef double step_scale = engine.alpha / engine.n, slope = engine.slope, shrink = engine.shrink
    cdef double common = slope / (1 - slope)   # beside the active neurons' c, which has 1 - slope
    cdef int loss_number = engine.loss
    cdef floating[:, ::1] common_H = engine.common_H

    cdef int64_t[:, ::1] right = out.right
    cdef double[:, ::1] low = out.margin_low, high = out.margin_high, loss = out.loss
    cdef double[:, ::1] norm = out.norm
    cdef double[:, :, ::1] projection = out.projection
    cdef int32_t[:, :, ::1] active = out.active
    cdef int64_t[::1] flips = out.flips
    cdef double[:, :, ::1] h_low = out.h_low, h_high = out.h_high

    cdef Py_ssize_t neurons = H.shape[2], width = H.shape[3], words = masks.shape[1]
    cdef Py_ssize_t n = engine.n, d = lanes.shape[1], groups = active.shape[2]
    cdef Py_ssize_t test_groups = right.shape[1] - groups, chunks = rows.shape[0]
    cdef Py_ssize_t test_words = test_lanes.shape[0] // PER_WORD
    cdef Py_ssize_t next_at = 0, to, j, q
    cdef Py_ssize_t after_side
    cdef bint due, ranged, in_place = engine.in_place
    cdef double last = rfa_seconds(), factor
    cdef floating* h
    cdef floating* c
    cdef floating* C_common = &C[C.shape[0] - TILE, 0]
    cdef uint64_t* current
    cdef uint64_t* previous
    cdef uint64_t* following

    clock[DIVERGED] = 0
    clock[ROW] = row
    while next_at < at.shape[0] and at[next_at] < clock[STEP]:
        next_at += 1
    with OwnArithmetic(n_threads), nogil:
        while True:
            if clock[EVALUATED] == LOST:
                clock[DIVERGED] = 1
                break
            if clock[STEP] % period == 0 and clock[ANCHOR] != clock[STEP]:
                # another W of the same value up to rounding, and H, norms from it afresh
                accumulate(masks, c_kept, C, clock, n_threads)
                q = 1 - clock[ANCHOR_SIDE]
                factor = pow(shrink, <double>(clock[STEP] - clock[ANCHOR]))
                recover(X_columns, C, &anchor[1 - q, 0, 0], a, recovered, factor,
                        anchor[q], n_threads, &last)
                multiply(&lanes[0, 0, 0], n, d, &anchor[q, 0, 0], anchor.shape[2], neurons,
                         &H[1 - clock[SIDE], 0, 0, 0], n_threads, &last)
                if test_words:
                    multiply(&test_lanes[0, 0, 0], test_words * WORD, d, &anchor[q, 0, 0],
                             anchor.shape[2], neurons, &anchor_test_H[0, 0, 0], n_threads, &last)
                for j in prange(neurons, num_threads=n_threads, schedule="static"):
                    find_dots(&anchor[q, j, 0], means, &anchor_dots[j, 0])
                memcpy(&anchor_H[0, 0, 0], &H[1 - clock[SIDE], 0, 0, 0],
                       words * neurons * WORD * sizeof(floating))
                memset(&C[0, 0], 0, C.shape[0] * C.shape[1] * sizeof(floating))
                clock[ANCHOR] = clock[STEP]
                clock[ANCHOR_SIDE] = q
                clock[SIDE] = 1 - clock[SIDE]
                clock[EVALUATED] = NOT
            due = next_at < at.shape[0] and at[next_at] == clock[STEP]
            if not due and clock[STEP] >= until:
                break
            if due or clock[KEPT] == c_kept.shape[0]:
                accumulate(masks, c_kept, C, clock, n_threads)
            ranged = due and clock[STEP] <= horizon
            factor = pow(shrink, <double>(clock[STEP] - clock[ANCHOR]))
            h = &H[clock[SIDE], 0, 0, 0]
            previous = &masks[clock[KEPT], 0, 0]
            current = &masks[clock[KEPT] + 1, 0, 0]
            following = &masks[clock[KEPT] + 2, 0, 0]
            c = &c_kept[clock[KEPT], 0]
            if clock[EVALUATED] != WHOLE or ranged:
                if clock[EVALUATED] == NOT or ranged:
                    clock[EVALUATED] = NOT
                    if ranged:
                        ranges[:, :, :, 0] = INFINITY
                        ranges[:, :, :, 1] = -INFINITY
                    evaluate(&lanes[0, 0, 0], words, d, h, WORD, h, &a[0], neurons, slope,
                             current, &partial[0, 0], &scratch[0], &segments[0, 0],
                             segments.shape[0], groups, &ranges[0, 0, 0, 0] if ranged else NULL,
                             <floating*>NULL, n_threads, &last)
                add_partial(&partial[0, 0], words, neurons, &f[0])
                rescale(&f[0], words * WORD, factor)
                clock[EVALUATED] = WHOLE
            if not loss_gradient(&f[0], &y[0], &weighted[0], words * WORD, loss_number,
                                 step_scale * (1 - slope) / (factor * shrink), c):
                clock[DIVERGED] = 1
                break
            if due:
                to = clock[ROW]
                if test_words:
                    evaluate_tests(test_K, C, anchor_test_H, a, slope, common_H, test_H,
                                   n_threads, &last)
                    evaluate(&test_lanes[0, 0, 0], test_words, d, h, WORD, &test_H[0, 0, 0], &a[0],
                             neurons, slope, NULL, &partial[1, 0], &scratch[0], NULL, 0, 0, NULL,
                             &test_f[0], n_threads, &last)
                    rescale(&test_f[0], test_words * WORD, factor)
                    observe_outputs(&test_f[0], &test_y[0], &test_y[0], &test_group[0],
                                    test_words * WORD, test_groups, loss_number,
                                    &right[to, groups], &low[to, groups], &high[to, groups],
                                    &loss[to, groups])
                observe_outputs(&f[0], &y[0], &weighted[0], &group[0], words * WORD, groups,
                                loss_number, &right[to, 0], &low[to, 0], &high[to, 0],
                                &loss[to, 0])
                observe_neurons(C, &anchor_H[0, 0, 0], h, words, neurons, a, anchor_dots, mean_K,
                                factor, dots, norm[to], projection[to], n_threads)
                observe_masks(current, previous if clock[STEP] > 0 else NULL, words, neurons, m,
                              &segments[0, 0], segments.shape[0], groups, &active[to, 0, 0],
                              &flips[to])
                if ranged:
                    merge_ranges(ranges, m, &h_low[to, 0, 0], &h_high[to, 0, 0])
                    rescale(&h_low[to, 0, 0], m * groups, factor)
                    rescale(&h_high[to, 0, 0], m * groups, factor)
                clock[ROW] += 1
                next_at += 1
            if clock[STEP] >= until:
                break
            after_side = clock[SIDE] if in_place else 1 - clock[SIDE]
            plan_sums(current, words, neurons, shortcuts, &plan[0], &counts[0], n_threads)
            if not masked_sum(current, n, neurons, &plan[0], &counts[0], c,
                              common, &rows[0, 0, 0], chunks, h, 1, &a[0], width,
                              neurons * width, &H[after_side, 0, 0, 0], slope, following,
                              &partial[0, 0], &scratch[0], n_threads, &last):
                clock[DIVERGED] = 1
                if in_place:
                    clock[EVALUATED] = LOST
                break
            if slope > 0:
                for j in range(words * WORD):
                    C_common[j] += <floating>(common * c[j])
            clock[SIDE] = after_side
            clock[KEPT] += 1
            count_batches(counts, tally)
            clock[EVALUATED] = IN_PARTS
            clock[STEP] += 1
            check_signals(&last)
    return clock[ROW] - row


cdef void rescale(floating* values, Py_ssize_t n, double factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = <floating>(factor * values[i])


cdef void accumulate(uint64_t[:, :, ::1] masks, const floating[:, ::1] c, floating[:, ::1] C,
                     int64_t[::1] clock, int n_threads) noexcept nogil:
    """C_ji += c_i A_ij for the last clock[KEPT] steps, in their order, so that C is read and
    written once for all of them; c has a row for each, masks A_{t-1} of the step before the first
    and then theirs. What masks has of the last step and of this one is then moved to the front.
    O(n m)."""
    cdef Py_ssize_t words = masks.shape[1], neurons = masks.shape[2], size = words * neurons
    cdef Py_ssize_t task, j, w, count, steps = clock[KEPT]
    if steps == 0:
        return
    for task in prange((neurons + NEURONS - 1) // NEURONS, num_threads=n_threads,
                       schedule="static"):
        j = task * NEURONS
        count = min(neurons - j, <Py_ssize_t>NEURONS)
        for w in range(words):
            if floating is float:
                rfa_f32(level()).accumulate(&masks[1, w, j], size, &c[0, w * WORD], c.shape[1],
                                            steps, count, &C[j, w * WORD], C.shape[1])
            else:
                rfa_f64(level()).accumulate(&masks[1, w, j], size, &c[0, w * WORD], c.shape[1],
                                            steps, count, &C[j, w * WORD], C.shape[1])
    for j in range(2):
        memcpy(&masks[j, 0, 0], &masks[j + steps, 0, 0], size * sizeof(uint64_t))
    clock[KEPT] = 0


def catch_up(uint64_t[:, :, ::1] masks, const floating[:, ::1] c, floating[:, ::1] C,
             int64_t[::1] clock, int n_threads):
    """Let C have all steps; see accumulate."""
    with OwnArithmetic(n_threads), nogil:
        accumulate(masks, c, C, clock, n_threads)


cdef int evaluate_tests(const floating[:, :, ::1] test_K, const floating[:, ::1] C,
                        const floating[:, :, ::1] anchor_H, const floating[::1] a, double slope,
                        floating[:, ::1] common_H, floating[:, :, ::1] H, int n_threads,
                        double* last) except -1 nogil:
    """H [chunk][neuron][point] = anchor_H + a_j sum_i (C_ji + C_i) K_pi for test points p, C_i what
    all neurons have in common, whose sum common_H [chunk][TILE][point] is room for; test_K
    [lane][sample][point]. 2 n m flops a point, where stepping it by look-ups would take 3/16 n m in
    every step."""
    cdef Py_ssize_t points = test_K.shape[0] * LANE, n = test_K.shape[1]
    cdef Py_ssize_t neurons = H.shape[1]
    cdef Py_ssize_t at, q, j, p
    cdef floating common
    multiply(&test_K[0, 0, 0], points, n, &C[0, 0], C.shape[1], neurons, &H[0, 0, 0], n_threads,
             last)
    if slope > 0:
        multiply(&test_K[0, 0, 0], points, n, &C[C.shape[0] - TILE, 0], C.shape[1], TILE,
                 &common_H[0, 0], n_threads, last)
    for at in prange(H.shape[0] * neurons, num_threads=n_threads, schedule="static"):
        q = at // neurons
        j = at % neurons
        for p in range(H.shape[2]):
            common = common_H[q, p] if slope > 0 else 0
            H[q, j, p] = anchor_H[q, j, p] + a[j] * (H[q, j, p] + common)
    return 0


cdef void observe_neurons(const floating[:, ::1] C, const floating* before, const floating* after,
                          Py_ssize_t words, Py_ssize_t neurons, const floating[::1] a,
                          const double[:, ::1] anchor_dots, const double[:, ::1] mean_K,
                          double factor, double[:, ::1] dots, double[::1] norm,
                          double[:, ::1] projection, int n_threads) noexcept nogil:
    """norm_j = factor sqrt(|v_j|^2 + a_j sum_i (C_ji + C_i) (before + after)_ij), the sum being
    <w - v, w + v> / a_j for w now, after its pre-activations, and v at the anchor, and
    projection_jc = factor (<v_j, mean_c> + a_j sum_i (C_ji + C_i) <x_i, mean_c>). C_i is what all
    neurons have in common; dots: room for find_dots of each row of C. O(n m)."""
    cdef Py_ssize_t task, j, i, w, count, at, common = C.shape[0] - TILE, width = columns(&a[0])
    cdef Py_ssize_t m = norm.shape[0], c, k = mean_K.shape[0]
    find_dots(&C[common, 0], mean_K, &dots[common, 0])
    for task in prange((m + NEURONS - 1) // NEURONS, num_threads=n_threads, schedule="static"):
        j = task * NEURONS
        count = min(m - j, <Py_ssize_t>NEURONS)
        memset(&norm[j], 0, count * sizeof(double))
        for w in range(words):
            at = w * WORD * neurons + j * width
            if floating is float:
                rfa_f32(level()).products(
                    &C[j, w * WORD], C.shape[1], &C[common, w * WORD], count, before + at,
                    after + at, neurons * width, &norm[j])
            else:
                rfa_f64(level()).products(
                    &C[j, w * WORD], C.shape[1], &C[common, w * WORD], count, before + at,
                    after + at, neurons * width, &norm[j])
        for i in range(j, j + count):
            norm[i] = factor * sqrt(max(anchor_dots[i, 0] + a[i] * norm[i], 0.0))
            if k > 0:
                find_dots(&C[i, 0], mean_K, &dots[i, 0])
            for c in range(k):
                projection[i, c] = factor * (anchor_dots[i, 1 + c] + a[i] * (
                    dots[i, 1 + c] + dots[common, 1 + c]))


cdef inline void find_dots(const floating* w, const double[:, ::1] rows, double* dots
                           ) noexcept nogil:
    """dots = (|w|^2, <w, rows_1>, ...), w as long as the rows, in float64."""
    cdef const double* first = &rows[0, 0] if rows.shape[0] else NULL
    if floating is float:
        rfa_f32(level()).dots(w, NULL, first, rows.shape[0], rows.shape[1], dots)
    else:
        rfa_f64(level()).dots(w, NULL, first, rows.shape[0], rows.shape[1], dots)


cdef int recover(const floating[:, :, ::1] X_columns, const floating[:, ::1] C,
                 const floating* anchor, const floating[::1] a, floating[:, :, ::1] product,
                 double factor, floating[:, ::1] W, int n_threads, double* last) except -1 nogil:
    """W_j = factor (anchor_j + a_j sum_i (C_ji + C_i) x_i) for the rows and columns that W has, C_i
    what all neurons have in common; X_columns [lane of columns][i][16], product room for a word of
    columns of each row of C in each thread. 2 n m d flops."""
    cdef Py_ssize_t words = X_columns.shape[0] // PER_WORD, n = X_columns.shape[1]
    cdef Py_ssize_t first = 0, stop, w
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (WORD * n * C.shape[0] + 1))
    while first < words:
        check_signals(last)
        stop = min(first + share, words)
        for w in prange(first, stop, num_threads=n_threads, schedule="static"):
            recover_word(&X_columns[w * PER_WORD, 0, 0], n, C, anchor + w * WORD, words * WORD,
                         &a[0], &product[threadid(), 0, 0], factor, W, w * WORD)
        first = stop
    return 0


cdef void recover_word(const floating* X_columns, Py_ssize_t n, const floating[:, ::1] C,
                       const floating* anchor, Py_ssize_t stride, const floating* a,
                       floating* product, double factor, floating[:, ::1] W, Py_ssize_t begin
                       ) noexcept nogil:
    """recover for the word of columns that begins here; product [chunk][row of C][column]."""
    cdef Py_ssize_t width = columns(anchor), count = min(W.shape[1] - begin, <Py_ssize_t>WORD)
    cdef Py_ssize_t block = C.shape[0] * width, common = C.shape[0] - TILE
    cdef Py_ssize_t t, j, i, rows, k = 0, depth = panel_depth(a)
    while k < n:
        multiply_panel(X_columns, count, n, k, &C[common, 0], C.shape[1], TILE,
                       product + common * width, block)
        for t in range(common // TILE):
            j = t * TILE
            rows = min(W.shape[0] - j, <Py_ssize_t>TILE) if k + depth >= n else 0
            for i in range(j, j + rows):
                # far from one another, but wanted only after the products
                fetch(anchor + i * stride, &W[i, begin], count)
            multiply_panel(X_columns, count, n, k, &C[j, 0], C.shape[1], TILE, product + j * width,
                           block)
            if rows <= 0:
                continue
            if floating is float:
                rfa_f32(level()).combine(
                    product + j * width, product + common * width, block, a + j,
                    anchor + j * stride, stride, factor, rows, count, &W[j, begin], W.shape[1])
            else:
                rfa_f64(level()).combine(
                    product + j * width, product + common * width, block, a + j,
                    anchor + j * stride, stride, factor, rows, count, &W[j, begin], W.shape[1])
        k += depth


cdef inline void fetch(const floating* read, floating* written, Py_ssize_t count) noexcept nogil:
    """Have the caches fetch so many reals."""
    cdef Py_ssize_t k = 0
    while k < count:
        __builtin_prefetch(read + k, 0, 2)
        __builtin_prefetch(written + k, 0, 2)
        k += columns(read)


def weights(const floating[:, :, ::1] X_columns, const floating[:, ::1] C,
            const floating[:, ::1] anchor, const floating[::1] a, floating[:, :, ::1] product,
            double factor, floating[:, ::1] W, int n_threads):
    """Fill W with W_t."""
    cdef double last = rfa_seconds()
    with OwnArithmetic(n_threads), nogil:
        recover(X_columns, C, &anchor[0, 0], a, product, factor, W, n_threads, &last)


def start(const floating[:, :, ::1] lanes, const floating[:, :, ::1] test_lanes,
          const floating[:, :] W, const double[:, ::1] means, floating[:, ::1] anchor,
          floating[:, ::1] C, floating[:, :, :, ::1] H, floating[:, :, ::1] anchor_H,
          floating[:, :, ::1] anchor_test_H, double[:, ::1] anchor_dots, Py_ssize_t n,
          int n_threads):
    """Fill anchor with W, C with zeros, and H[0], anchor_H, anchor_test_H and anchor_dots with what
    is W's, for n samples."""
    cdef Py_ssize_t neurons = anchor.shape[0], j, filled
    cdef double last = rfa_seconds()
    with OwnArithmetic(n_threads), nogil:
        memset(&C[0, 0], 0, C.shape[0] * C.shape[1] * sizeof(floating))
        for j in prange(neurons, num_threads=n_threads, schedule="static"):
            filled = W.shape[1] if j < W.shape[0] else 0
            if filled:
                copy_row(W, j, &anchor[j, 0])
            memset(&anchor[j, 0] + filled, 0, (anchor.shape[1] - filled) * sizeof(floating))
            find_dots(&anchor[j, 0], means, &anchor_dots[j, 0])
        multiply(&lanes[0, 0, 0], n, lanes.shape[1], &anchor[0, 0], anchor.shape[1], neurons,
                 &H[0, 0, 0, 0], n_threads, &last)
        memcpy(&anchor_H[0, 0, 0], &H[0, 0, 0, 0],
               anchor_H.shape[0] * neurons * anchor_H.shape[2] * sizeof(floating))
        if test_lanes.shape[0]:
            multiply(&test_lanes[0, 0, 0], test_lanes.shape[0] * LANE, test_lanes.shape[1],
                     &anchor[0, 0], anchor.shape[1], neurons, &anchor_test_H[0, 0, 0], n_threads,
                     &last)


cdef inline void copy_row(const floating[:, :] rows, Py_ssize_t i, floating* out) noexcept nogil:
    cdef Py_ssize_t k
    if rows.strides[1] == sizeof(floating):
        memcpy(out, &rows[i, 0], rows.shape[1] * sizeof(floating))
        return
    for k in range(rows.shape[1]):
        out[k] = rows[i, k]


def load(const floating[:, :] samples, const int64_t[::1] order, const double[:, ::1] means,
         const floating[:, :] tests, floating[:, :, ::1] lanes, floating[:, :, ::1] test_lanes,
         floating[:, ::1] X, floating[:, :, ::1] X_columns, floating[:, :, ::1] rows,
         double[:, ::1] mean_K, floating[:, :, ::1] test_K, floating[:, :, ::1] product,
         double[:, ::1] dots, int n_threads):
    """Fill lanes, X and X_columns with samples in the given order, test_lanes with the tests,
    rows[q][i][k] = <x_i, x_p> for p = q * width + k, mean_K [mean][i] and test_K [lane][i][p];
    product is room for a word of points in each thread, dots for the inner products of one."""
    cdef Py_ssize_t n = samples.shape[0], words = rows.shape[1] // WORD, first = 0, stop, w, i
    cdef Py_ssize_t tasks = words + (tests.shape[0] + WORD - 1) // WORD
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads,
                                TASK_WORK // (WORD * n * lanes.shape[1] + 1))
    cdef double last = rfa_seconds()
    with OwnArithmetic(n_threads), nogil:
        pack_lanes(samples, &order[0], &lanes[0, 0, 0], n_threads, &last)
        if tests.shape[0]:
            pack_lanes(tests, NULL, &test_lanes[0, 0, 0], n_threads, &last)
        while first < n:
            check_signals(&last)
            stop = min(first + TASK_WORK // (16 * X.shape[1]) + 1, n)
            for i in prange(first, stop, num_threads=n_threads, schedule="static"):
                load_row(samples, order[i], i, means, X, X_columns, mean_K, &dots[threadid(), 0])
            first = stop
        first = 0
        while first < tasks:
            check_signals(&last)
            stop = min(first + share, tasks)
            for w in prange(first, stop, num_threads=n_threads, schedule="dynamic"):
                if w < words:
                    load_samples(w, n, lanes, X, rows, &product[threadid(), 0, 0])
                else:
                    load_tests(w - words, n, test_lanes, X, test_K, &product[threadid(), 0, 0])
            first = stop


cdef void load_row(const floating[:, :] samples, Py_ssize_t source, Py_ssize_t i,
                   const double[:, ::1] means, floating[:, ::1] X, floating[:, :, ::1] X_columns,
                   double[:, ::1] mean_K, double* dots) noexcept nogil:
    """Sample i of X, X_columns and mean_K; dots: room for find_dots."""
    cdef Py_ssize_t q, c
    copy_row(samples, source, &X[i, 0])
    for q in range(X_columns.shape[0]):
        memcpy(&X_columns[q, i, 0], &X[i, q * LANE], LANE * sizeof(floating))
    if means.shape[0]:
        find_dots(&X[i, 0], means, dots)
    for c in range(means.shape[0]):
        mean_K[c, i] = dots[1 + c]


cdef void load_samples(Py_ssize_t w, Py_ssize_t n, const floating[:, :, ::1] lanes,
                       const floating[:, ::1] X, floating[:, :, ::1] rows,
                       floating* product) noexcept nogil:
    """The products of a word of samples by the samples from its first on, and those that are the
    same by symmetry. product [chunk][sample][column]."""
    cdef Py_ssize_t width = rows.shape[2], begin = w * WORD, first = begin // TILE * TILE
    cdef Py_ssize_t count = min(n - begin, <Py_ssize_t>WORD), q, i, j
    cdef Py_ssize_t size = (X.shape[0] - first) * width   # of a chunk of the product
    cdef const floating* row
    multiply_word(&lanes[w * PER_WORD, 0, 0], count, lanes.shape[1], &X[first, 0], X.shape[1],
                  X.shape[0] - first, product, size)
    for q in range((count + width - 1) // width):
        memcpy(&rows[begin // width + q, begin, 0], product + q * size + (begin - first) * width,
               (n - begin) * width * sizeof(floating))
    for q in range((begin + WORD) // width, (n + width - 1) // width):
        for j in range(WORD):
            row = product + j // width * size + j % width
            for i in range(q * width, min((q + 1) * width, n)):
                rows[q, begin + j, i - q * width] = row[(i - first) * width]


cdef void load_tests(Py_ssize_t w, Py_ssize_t n, const floating[:, :, ::1] lanes,
                     const floating[:, ::1] X, floating[:, :, ::1] test_K,
                     floating* product) noexcept nogil:
    """The products of a word of test points by the samples."""
    cdef Py_ssize_t width = columns(&X[0, 0]), q, i
    multiply_word(&lanes[w * PER_WORD, 0, 0], WORD, lanes.shape[1], &X[0, 0], X.shape[1],
                  X.shape[0], product, X.shape[0] * width)
    for q in range(WORD // width):
        for i in range(n):
            memcpy(&test_K[(w * WORD + q * width) // LANE, i, q * width % LANE],
                   product + (q * X.shape[0] + i) * width, width * sizeof(floating))
