"""The direct engine's loop: many steps of gradient descent in one call, without the GIL."""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from rfa._kernels cimport evaluate, masked_outputs, masked_sum, multiply, pack_lanes, pack_rows
from rfa.kernels.guards cimport check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport PER_WORD, TILE, WORD, columns, level, rfa_common, rfa_seconds
from rfa.kernels.plans cimport plan_sums
from rfa.engines.observing cimport (
    DIVERGED, EVALUATED, MASK_SIDE, ROW, SIDE, STEP, count_batches, loss_gradient,
    merge_ranges, observe_masks, observe_outputs, observe_weights,
)
from rfa.engines.direct.certify cimport (
    bind, find_signs, measure_path, order_neurons, signs_t, wrong_transposes,
)


def advance(floating[:, :, ::1] W, engine, Py_ssize_t until, const int64_t[::1] at, out,
            Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract.

    W (2, neurons, stride) holds W_t on side clock[SIDE] and room for W_{t+1} on the other; the
    masks hold A_{t-1} on side clock[MASK_SIDE] and room for A_t on the other. A step writes to the
    free sides and is committed by turning the clock, so that whatever interrupts it leaves W_t and
    A_{t-1}. The signs' bounds and paths are those of W_t, and of A_t if that is evaluated.
    """
    cdef int64_t[::1] clock = engine.clock
    cdef const floating[:, :, ::1] lanes = engine.lanes, rows = engine.rows_of_X
    cdef const floating[:, :, ::1] test_lanes = engine.test_lanes
    cdef floating[::1] a = engine.padded_a
    cdef const double[::1] y = engine.y, weighted = engine.weighted, test_y = engine.test_y
    cdef const int32_t[::1] group = engine.group, test_group = engine.test_group
    cdef const int64_t[:, ::1] segments = engine.segments
    cdef uint64_t[:, :, ::1] masks = engine.masks
    cdef floating[::1] f = engine.f, c = engine.c, test_f = engine.test_f
    cdef floating[::1] partial = engine.partial, scratch = engine.scratch
    cdef double[:, :, :, ::1] ranges = engine.ranges
    cdef const double[:, ::1] means = engine.means
    cdef uint8_t[::1] plan = engine.plan
    cdef int32_t[::1] counts = engine.counts
    cdef int shortcuts = engine.shortcuts
    cdef uint8_t[::1] output_plan = engine.output_plan
    cdef int32_t[::1] output_counts = engine.output_counts
    cdef floating[:, :, ::1] ordered_W = engine.ordered_W
    cdef floating[::1] ordered_a = engine.ordered_a
    cdef const double[:, ::1] directions = engine.signs.directions
    cdef double[:, ::1] found = engine.signs.found
    cdef uint64_t[:, ::1] checked = engine.checked
    cdef signs_t signs
    cdef int64_t[::1] tally = engine.tally
    cdef int n_threads = engine.n_threads
    cdef Py_ssize_t m = engine.m, horizon = engine.horizon
    cdef double step_scale = engine.alpha / engine.n, slope = engine.slope, shrink = engine.shrink
    cdef double common = slope / (1 - slope)   # beside the active neurons' c, which has 1 - slope
    cdef int loss_number = engine.loss
    cdef floating[:, ::1] tile = engine.linear
    cdef floating[:, ::1] product = engine.linear_H

    cdef int64_t[:, ::1] right = out.right
    cdef double[:, ::1] low = out.margin_low, high = out.margin_high, loss = out.loss
    cdef double[:, ::1] norm = out.norm
    cdef double[:, :, ::1] projection = out.projection
    cdef int32_t[:, :, ::1] active = out.active
    cdef int64_t[::1] flips = out.flips
    cdef double[:, :, ::1] h_low = out.h_low, h_high = out.h_high

    cdef Py_ssize_t words = masks.shape[1], d = lanes.shape[1], neurons = masks.shape[2]
    cdef Py_ssize_t n = engine.n
    cdef Py_ssize_t stride = W.shape[2], chunks = rows.shape[0]
    cdef Py_ssize_t test_words = test_lanes.shape[0] // PER_WORD, groups = active.shape[2]
    cdef Py_ssize_t test_groups = right.shape[1] - groups, k = means.shape[0]
    cdef Py_ssize_t next_at = 0, to
    cdef bint due, ranged
    cdef double last = rfa_seconds()
    cdef floating* weights
    cdef floating* after
    cdef const double* Q = &directions[0, 0] if directions.shape[0] else NULL
    cdef uint64_t* current
    cdef uint64_t* previous

    bind(&signs, engine.signs)
    signs.certified = signs.certified and shortcuts > 2
    clock[DIVERGED] = 0
    clock[ROW] = row
    while next_at < at.shape[0] and at[next_at] < clock[STEP]:
        next_at += 1
    with OwnArithmetic(n_threads), nogil:
        while True:
            due = next_at < at.shape[0] and at[next_at] == clock[STEP]
            if not due and clock[STEP] >= until:
                break
            ranged = due and clock[STEP] <= horizon
            weights = &W[clock[SIDE], 0, 0]
            previous = &masks[clock[MASK_SIDE], 0, 0]
            current = &masks[1 - clock[MASK_SIDE], 0, 0]
            # EVALUATED: 1 the signs are found, which must not be done twice, 2 and f is
            if clock[EVALUATED] < 1:
                if not signs.valid[0]:
                    measure_path(weights, <const floating*>NULL, stride, m, Q, signs.reach,
                                 signs.k, signs.words * WORD, signs.path, &found[0, 0], n_threads)
                order_neurons(&signs, &a[0], m)
                if not find_signs(lanes, W[clock[SIDE]], m, &signs, previous, current, neurons,
                                  tally, &scratch[0], n_threads, &last):
                    clock[DIVERGED] = 1
                    break
                clock[EVALUATED] = 1
                if checked.shape[0] > 0:
                    check_masks(lanes, weights, stride, a, partial, scratch, current, &signs,
                                checked, n_threads, &last)
            if clock[EVALUATED] < 2:
                in_order(weights, stride, &a[0], signs.order, m, ordered_W, &ordered_a[0],
                         n_threads)
                masked_outputs(signs.transposed, m, words * WORD, shortcuts,
                               &output_plan[0], &output_counts[0], &ordered_a[0],
                               &ordered_W[0, 0, 0], &rows[0, 0, 0], chunks, &f[0], &scratch[0],
                               n_threads, &last)
                if slope > 0:
                    add_linear(lanes, weights, stride, neurons, a, slope, tile, product, f,
                               n_threads, &last)
                clock[EVALUATED] = 2
            if not loss_gradient(&f[0], &y[0], &weighted[0], words * WORD, loss_number,
                                 step_scale * (1 - slope), &c[0]):
                clock[DIVERGED] = 1
                break
            if due:
                to = clock[ROW]
                if ranged:
                    ranges[:, :, :, 0] = INFINITY
                    ranges[:, :, :, 1] = -INFINITY
                    evaluate(&lanes[0, 0, 0], words, d, weights, stride, <const floating*>NULL,
                             &a[0], neurons, slope, NULL, &partial[0], &scratch[0],
                             &segments[0, 0], segments.shape[0], groups, &ranges[0, 0, 0, 0],
                             <floating*>NULL, n_threads, &last)
                if test_words:
                    evaluate(&test_lanes[0, 0, 0], test_words, d, weights, stride,
                             <const floating*>NULL, &a[0], neurons, slope, NULL, &partial[0],
                             &scratch[0], NULL, 0, 0, NULL, &test_f[0], n_threads, &last)
                    observe_outputs(&test_f[0], &test_y[0], &test_y[0], &test_group[0],
                                    test_words * WORD, test_groups, loss_number,
                                    &right[to, groups], &low[to, groups], &high[to, groups],
                                    &loss[to, groups])
                observe_outputs(&f[0], &y[0], &weighted[0], &group[0], words * WORD, groups,
                                loss_number, &right[to, 0], &low[to, 0], &high[to, 0],
                                &loss[to, 0])
                observe_weights(weights, stride, m, d, &means[0, 0] if k else NULL, k,
                                &norm[to, 0], &projection[to, 0, 0] if k else NULL,
                                n_threads)
                observe_masks(current, previous if clock[STEP] > 0 else NULL, words, neurons, m,
                              &segments[0, 0], segments.shape[0], groups, &active[to, 0, 0],
                              &flips[to])
                if ranged:
                    merge_ranges(ranges, m, &h_low[to, 0, 0], &h_high[to, 0, 0])
                clock[ROW] += 1
                next_at += 1
            if clock[STEP] >= until:
                break
            after = &W[1 - clock[SIDE], 0, 0]
            plan_sums(current, words, neurons, shortcuts, &plan[0], &counts[0], n_threads)
            if not masked_sum(current, n, neurons, &plan[0], &counts[0], &c[0],
                              common, &rows[0, 0, 0], chunks, weights, shrink, &a[0],
                              stride, columns(weights), after, 0, NULL, <floating*>NULL,
                              &scratch[0], n_threads, &last):
                clock[DIVERGED] = 1
                break
            # not interrupted until the step is committed
            if signs.valid[0]:
                measure_path(after, weights, stride, m, Q, signs.reach, signs.k,
                             signs.words * WORD, signs.path, &found[0, 0], n_threads)
            clock[SIDE] = 1 - clock[SIDE]
            clock[MASK_SIDE] = 1 - clock[MASK_SIDE]
            count_batches(counts, tally)
            clock[EVALUATED] = 0
            clock[STEP] += 1
            check_signals(&last)
    return clock[ROW] - row


cdef void in_order(const floating* W, Py_ssize_t stride, const floating* a, const Py_ssize_t* order,
                   Py_ssize_t m, floating[:, :, ::1] ordered_W, floating* ordered_a, int n_threads
                   ) noexcept nogil:
    """The rows of W, in chunks [chunk][neuron][column], and a with neuron order[p] at place p."""
    cdef Py_ssize_t p, q, width = ordered_W.shape[2]
    for p in prange(m, num_threads=n_threads, schedule="static"):
        for q in range(ordered_W.shape[0]):
            memcpy(&ordered_W[q, p, 0], W + order[p] * stride + q * width, width * sizeof(floating))
        ordered_a[p] = a[order[p]]


cdef int add_linear(const floating[:, :, ::1] lanes, const floating* W, Py_ssize_t stride,
                    Py_ssize_t neurons, const floating[::1] a, double slope,
                    floating[:, ::1] tile, floating[:, ::1] product, floating[::1] f, int n_threads,
                    double* last) except -1 nogil:
    """f = (1 - slope) f + slope X v, v = sum_j a_j w_j over j in order, since max(h, s h) = s h +
    (1 - s) relu(h). tile is room for v and rows of zeros, product [chunk][TILE][column] for X v.
    O((n + m) d)."""
    cdef Py_ssize_t task, j, k, i, end, width = columns(W)
    memset(&tile[0, 0], 0, stride * sizeof(floating))
    for task in prange((stride + WORD - 1) // WORD, num_threads=n_threads, schedule="static"):
        end = min((task + 1) * WORD, stride)
        for j in range(neurons):
            for k in range(task * WORD, end):
                tile[0, k] += a[j] * W[j * stride + k]
    multiply(&lanes[0, 0, 0], f.shape[0], lanes.shape[1], &tile[0, 0], stride, TILE,
             &product[0, 0], n_threads, last)
    for i in range(f.shape[0]):
        f[i] = <floating>((1 - slope) * f[i] + slope * product[i // width, i % width])
    return 0


cdef int check_masks(const floating[:, :, ::1] lanes, const floating* W, Py_ssize_t stride,
                     const floating[::1] a, floating[::1] partial, floating[::1] scratch,
                     const uint64_t* masks, const signs_t* signs, uint64_t[:, ::1] checked,
                     int n_threads, double* last) except -1 nogil:
    """Compare masks with those of a full evaluation, and the transposed ones with them."""
    cdef Py_ssize_t words = checked.shape[0], neurons = checked.shape[1]
    cdef int64_t wrong
    evaluate(&lanes[0, 0, 0], words, lanes.shape[1], W, stride, <const floating*>NULL, &a[0],
             neurons, 0, &checked[0, 0], &partial[0], &scratch[0], NULL, 0, 0, NULL,
             <floating*>NULL, n_threads, last)
    wrong = rfa_common(level()).differences(masks, &checked[0, 0], words * neurons)
    if wrong:
        with gil:
            raise RuntimeError(f"{wrong} certified activations differ from a full evaluation")
    wrong = wrong_transposes(signs, masks, words, neurons)
    if wrong:
        with gil:
            raise RuntimeError(f"{wrong} words of the transposed activations are wrong")
    return 0


def pack(const floating[:, :] X, const int64_t[::1] order, floating[:, :, ::1] lanes,
         int n_threads):
    """Fill lanes (words * PER_WORD, d, LANE) with X in the given order."""
    cdef double last = rfa_seconds()
    with nogil:
        pack_lanes(X, &order[0], &lanes[0, 0, 0], n_threads, &last)


def pack_for_sums(const floating[:, :] X, const int64_t[::1] order, floating[:, :, ::1] rows,
                  int n_threads):
    """Fill rows (chunks, samples, columns) with X in the given order."""
    cdef double last = rfa_seconds()
    with nogil:
        pack_rows(X, &order[0], &rows[0, 0, 0], n_threads, &last)
