"""The planar engine's loop (d = 2): samples on a ring, neurons active on arcs of it.

Whether a neuron is active on a sample is decided by the exact sign of <w, x>, so that along the
exact order of the samples by angle every neuron is active on one arc, and the arcs are a function
of W alone, not of the path to it. All arithmetic is float64; W is rounded to its own type after
every step.
"""
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, fabs, fma, frexp, ldexp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from rfa.kernels.guards cimport allocate, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport LANES, WORD, level, rfa_common, rfa_seconds
from rfa.engines.observing cimport (
    DIVERGED, EVALUATED, ROW, SIDE, STEP, observe_outputs, observe_weights,
)

cdef extern from * nogil:
    int __builtin_ctzll(unsigned long long)

# Above this the rounding error of a product of doubles is a double too.
cdef double NEAR_ZERO = 2.0 ** -900

cdef enum:
    PASSED = 1 << 20   # samples passed, some milliseconds, between two looks at the clock
    PASSED_AT_ONCE = 1 << 26   # at most, tenths of a second, by all threads


cdef int exact_sign(double a, double b, double c, double d) noexcept nogil:
    """The sign of a b + c d without rounding, for finite numbers of any size.

    Rounding is monotone, so rounded products compare as the exact ones do or as equal. If they
    cancel, what their rounding dropped decides: fma(a, b, -p) is a b - p exactly, unless the
    product left the normal range.
    """
    cdef double p = a * b, q = -(c * d)
    if p > q:
        return 1
    if p < q:
        return -1
    if not NEAR_ZERO < fabs(p) < INFINITY:
        return exact_sign_of_extremes(a, b, c, d)
    p, q = fma(a, b, -p), -fma(c, d, q)
    return 1 if p > q else (-1 if p < q else 0)


cdef int exact_sign_of_extremes(double a, double b, double c, double d) noexcept nogil:
    """exact_sign for products of the size of 0 or beyond the range: exponents apart."""
    cdef int sign = (a > 0) - (a < 0), other = (c > 0) - (c < 0)
    cdef int ea, eb, ec, ed, shift
    cdef double p, q
    sign *= (b > 0) - (b < 0)
    other *= (d > 0) - (d < 0)
    if sign != -other or sign == 0:
        return sign if sign != 0 else other
    a, b, c, d = frexp(a, &ea), frexp(b, &eb), frexp(c, &ec), frexp(d, &ed)
    shift = ea + eb - ec - ed
    # fractions are in [1/2, 1), their products in [1/4, 1)
    if shift > 2 or shift < -2:
        return sign if shift > 0 else other
    a = ldexp(a, shift)
    p, q = a * b, -(c * d)
    if p == q:
        p, q = fma(a, b, -p), -fma(c, d, q)
    return 1 if p > q else (-1 if p < q else 0)


cdef inline bint is_active(const double* x0, const double* x1, Py_ssize_t i, double w0,
                           double w1) noexcept nogil:
    # exact_sign begins so; what follows there is rarely called for
    cdef double p = w0 * x0[i], q = -(w1 * x1[i])
    return p > q or (not p < q and exact_sign(w0, x0[i], w1, x1[i]) > 0)


cdef inline Py_ssize_t before(Py_ssize_t i, Py_ssize_t N) noexcept nogil:
    return i - 1 if i > 0 else N - 1


cdef inline Py_ssize_t around(Py_ssize_t i, Py_ssize_t N) noexcept nogil:
    """i modulo N for i < 2 N: a division would take as long as the rest of a step of a neuron."""
    return i if i < N else i - N


cdef Py_ssize_t find_arc(const double* x0, const double* x1, Py_ssize_t N, Py_ssize_t seam,
                         double w0, double w1, int64_t* start, int64_t* length) noexcept nogil:
    """The arc of samples with <w, x> > 0, looked for from the arc (start, length) outwards.

    Returns the number of samples that were passed. Any start gives the same answer; a near one
    gives it soon: O(1 + samples between). The arc of all samples and the empty one start at 0.
    seam: where all samples lie in an open half-plane, the first of them going around; else -1.
    Then alone can w be active on all of them, and the two outermost tell whether it is, or on none.
    """
    cdef Py_ssize_t p = start[0], e, r, k = 0, guess = length[0]
    cdef Py_ssize_t last = (seam if seam > 0 else N) - 1
    cdef bint first_active, last_active
    e = around(p + guess, N)
    start[0] = 0
    length[0] = 0
    if N == 0 or (w0 == 0 and w1 == 0):
        return 0
    if seam >= 0:
        first_active = is_active(x0, x1, seam, w0, w1)
        last_active = is_active(x0, x1, last, w0, w1)
        if first_active == last_active:
            length[0] = N if first_active else 0
            return 0
        # an arc that begins, or ends, at the seam; the walks below find its other end
        if first_active:
            p = seam
            if guess == 0 or guess == N:
                e = last if guess == N else around(p + 1, N)
        else:
            e = seam
            if guess == 0 or guess == N:
                p = last if guess == 0 else around(seam + 1, N)
    if is_active(x0, x1, before(p, N), w0, w1):
        while k < N and is_active(x0, x1, before(p, N), w0, w1):
            p = before(p, N)
            k += 1
    else:
        while k < N and not is_active(x0, x1, p, w0, w1):
            p = around(p + 1, N)
            k += 1
        if k == N:
            return k
    r = e - p if e > p else e - p + N
    if e == p:
        r = 1
    if is_active(x0, x1, around(p + r - 1, N), w0, w1):
        while r < N and is_active(x0, x1, around(p + r, N), w0, w1):
            r += 1
            k += 1
    else:
        while not is_active(x0, x1, around(p + r - 1, N), w0, w1):
            r -= 1
            k += 1
    start[0] = p
    length[0] = r
    return k


cdef int find_all(const double* x0, const double* x1, Py_ssize_t N, Py_ssize_t seam, Py_ssize_t m,
                  const double* w0, const double* w1, int64_t* start, int64_t* length,
                  double* last) except -1 nogil:
    """find_arc for every neuron, with a look for signals after every so many samples passed."""
    cdef Py_ssize_t j, passed = 0
    for j in range(m):
        passed += 1 + find_arc(x0, x1, N, seam, w0[j], w1[j], start + j, length + j)
        if passed > PASSED:
            check_signals(last)
            passed = 0
    return 0


cdef void change_ring(Py_ssize_t N, const int64_t* place, double* d0, double* d1, Py_ssize_t m,
                      const double* w0, const double* w1, const double* a, double slope,
                      const int64_t* start, const int64_t* length, double* base) noexcept nogil:
    """The changes d, from base on, along the ring, of S_i = sum of a_j w_j over the neurons active
    on sample i: a_j w_j is added where an arc begins and taken away where it ends. If leaky, slope
    a_j w_j is there for all samples, and the rest of a_j w_j on the arc. d: zero so far. O(m)."""
    cdef double v0, v1
    cdef Py_ssize_t j, p, end
    base[0] = 0
    base[1] = 0
    for j in range(m):
        v0 = a[j] * w0[j]
        v1 = a[j] * w1[j]
        if slope > 0:
            base[0] += slope * v0
            base[1] += slope * v1
        if length[j] == 0:
            continue
        v0 *= 1 - slope
        v1 *= 1 - slope
        end = start[j] + length[j]
        if length[j] == N:
            base[0] += v0
            base[1] += v1
            continue
        p = place[start[j]]
        d0[p] += v0
        d1[p] += v1
        if end == N:
            continue
        if end > N:
            base[0] += v0
            base[1] += v1
            end -= N
        p = place[end]
        d0[p] -= v0
        d1[p] -= v1


cdef void clear_unreached(Py_ssize_t N, const int64_t* place, Py_ssize_t m, const double* a,
                          const int64_t* start, const int64_t* length, int32_t* changes,
                          double* f) noexcept nogil:
    """f = 0 where no neuron with a_j != 0 is active: there the running sum leaves what it rounded
    off, which has a sign, but f = 0 is neither label. changes (N + 1): zero, and left so."""
    cdef Py_ssize_t i, j, end
    cdef int32_t reached = 0
    for j in range(m):
        if a[j] == 0 or length[j] == 0:
            continue
        end = start[j] + length[j]
        if end > N:
            reached += 1
            end -= N
        changes[start[j]] += 1
        changes[end] -= 1
    for i in range(N):
        reached += changes[i]
        changes[i] = 0
        if reached == 0:
            f[place[i]] = 0
    changes[N] = 0


cdef inline void arc_sums(const double* p0, const double* p1, const double* offsets,
                          const int64_t* place, Py_ssize_t N, Py_ssize_t start, Py_ssize_t length,
                          double* v) noexcept nogil:
    """The two sums over an arc, as differences of running sums over the ring."""
    cdef Py_ssize_t end = start + length, first = place[start], last
    cdef double total0 = offsets[2 * LANES], total1 = offsets[2 * LANES + 1]
    cdef double before0 = p0[first] + offsets[first % LANES]
    cdef double before1 = p1[first] + offsets[LANES + first % LANES]
    cdef double after0, after1
    if length == N:
        v[0], v[1] = total0, total1
        return
    if end == N:
        v[0], v[1] = total0 - before0, total1 - before1
        return
    last = place[end if end < N else end - N]
    after0 = p0[last] + offsets[last % LANES]
    after1 = p1[last] + offsets[LANES + last % LANES]
    if end < N:
        v[0], v[1] = after0 - before0, after1 - before1
    else:
        v[0], v[1] = (total0 - before0) + after0, (total1 - before1) + after1


cdef inline void next_weight(Py_ssize_t j, const double* w0, const double* w1, const double* a,
                             const double* p0, const double* p1, const double* offsets,
                             const int64_t* place, Py_ssize_t N, const int64_t* start,
                             const int64_t* length, double slope, double shrink, bint single,
                             double* next0, double* next1) noexcept nogil:
    """w_j after the step: shrink w_j + a_j (slope times the sum over all samples, and the rest of
    that over the arc), rounded to its type."""
    cdef double v[2]
    cdef double v0 = 0, v1 = 0
    if length[j] > 0:
        arc_sums(p0, p1, offsets, place, N, start[j], length[j], &v[0])
        v0 = (1 - slope) * a[j] * v[0]
        v1 = (1 - slope) * a[j] * v[1]
    if slope > 0:
        v0 += slope * a[j] * offsets[2 * LANES]
        v1 += slope * a[j] * offsets[2 * LANES + 1]
    v0 += shrink * w0[j]
    v1 += shrink * w1[j]
    next0[j] = <float>v0 if single else v0
    next1[j] = <float>v1 if single else v1


cdef void next_weights(Py_ssize_t m, const double* w0, const double* w1, const double* a,
                       const double* p0, const double* p1, const double* offsets,
                       const int64_t* place, Py_ssize_t N, const int64_t* start,
                       const int64_t* length, double slope, double shrink, bint single,
                       double* next0, double* next1, int n_threads) noexcept nogil:
    cdef Py_ssize_t j
    for j in prange(m, num_threads=n_threads, schedule="static"):
        next_weight(j, w0, w1, a, p0, p1, offsets, place, N, start, length, slope, shrink, single,
                    next0, next1)


cdef void set_ends(const double* x0, const double* x1, Py_ssize_t N, Py_ssize_t seam,
                   Py_ssize_t start, Py_ssize_t length, double* ends, Py_ssize_t apart
                   ) noexcept nogil:
    """Four points with which w has positive inner products as long as it keeps its arc, and no
    longer: the first sample of the arc, the last, and the opposites of the ones around it. Of an
    arc of all samples the outermost ones, of none their opposites, where there are outermost ones;
    else NaN. ends [x0 and x1 of each][apart]."""
    cdef Py_ssize_t i
    cdef Py_ssize_t at[4]
    cdef double sign[4]
    if 0 < length < N:
        at[0] = start
        at[1] = around(start + length - 1, N)
        at[2] = before(start, N)
        at[3] = around(start + length, N)
        sign[0] = sign[1] = 1
        sign[2] = sign[3] = -1
    else:
        at[0] = at[2] = max(seam, 0)
        at[1] = at[3] = (seam if seam > 0 else N) - 1
        for i in range(4):
            sign[i] = NAN if seam < 0 else (1 if length else -1)
    for i in range(4):
        ends[2 * i * apart] = sign[i] * x0[at[i]]
        ends[(2 * i + 1) * apart] = sign[i] * x1[at[i]]


cdef Py_ssize_t next_arcs(const double* x0, const double* x1, Py_ssize_t N, Py_ssize_t seam,
                          Py_ssize_t m, const double* w0, const double* w1, const double* next0,
                          const double* next1, const double* ends, int64_t* start, int64_t* length,
                          uint64_t* searched, int n_threads, double* last) except -1 nogil:
    """The arcs of the next weights, looked for from those of w unless set_ends' points show that
    they are the same: searched has a bit for each neuron for which they do not. Returns how many
    samples the searches passed.

    A neuron that did not move keeps its arc, however long a search for it would be. Between two
    looks for signals so many neurons are done that even passing all samples takes not long."""
    cdef Py_ssize_t words = (m + WORD - 1) // WORD, first = 0, stop, v, j, count
    cdef Py_ssize_t share = max(<Py_ssize_t>4, PASSED_AT_ONCE // (N + 1) // WORD)
    cdef Py_ssize_t passed = 0
    cdef uint64_t rest
    while first < words:
        stop = min(first + share, words)
        for v in prange(first, stop, num_threads=n_threads, schedule="static"):
            count = min(m - v * WORD, <Py_ssize_t>WORD)
            rest = ~rfa_common(level()).positive_on_points(
                ends + v * WORD, m, next0 + v * WORD, next1 + v * WORD, count)
            rest = rest & (~<uint64_t>0 >> (WORD - count))   # with &= it would be a reduction
            searched[v] = rest
            while rest:
                j = v * WORD + __builtin_ctzll(rest)
                rest = rest & (rest - 1)
                if next0[j] != w0[j] or next1[j] != w1[j]:
                    passed += find_arc(x0, x1, N, seam, next0[j], next1[j], start + j, length + j)
        first = stop
        check_signals(last)
    return passed


cdef bint all_finite(const double* x, Py_ssize_t size) noexcept nogil:
    """x - x is 0 for finite x and NaN otherwise, and a sum keeps a NaN."""
    cdef Py_ssize_t i, j
    cdef double sums[8]
    cdef double total = 0
    for j in range(8):
        sums[j] = 0
    for i in range(0, size - 7, 8):
        for j in range(8):
            sums[j] += x[i + j] - x[i + j]
    for i in range(size - size % 8, size):
        total += x[i] - x[i]
    for j in range(8):
        total += sums[j]
    return total == 0


cdef Py_ssize_t common_part(Py_ssize_t N, Py_ssize_t s, Py_ssize_t k, Py_ssize_t u,
                            Py_ssize_t v) noexcept nogil:
    """Samples that the arcs (start s, length k) and (start u, length v) share."""
    cdef Py_ssize_t gap = (u - s + N) % N if N else 0, both = 0
    if gap < k:
        both = min(k - gap, v)
    if gap + v > N:
        both += min(gap + v - N, k)
    return both


def advance(double[:, :, ::1] W, engine, Py_ssize_t until, const int64_t[::1] at, out,
            Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract.

    W (2, 2, m): W_t on side clock[SIDE], its two columns apart; arcs (3, 2, m): start and length,
    those of W_t on the same side and those of W_{t-1} on the other; the third are those of W_{t+1}
    until the step is committed by copying them and turning the clock.
    """
    cdef int64_t[::1] clock = engine.clock, tally = engine.tally
    cdef int64_t[:, :, ::1] arcs = engine.arcs
    cdef const double[::1] a = engine.a
    ring, test = engine.ring, engine.test_ring
    cdef Py_ssize_t N = ring.n_nonzero, test_N = test.n_nonzero
    cdef Py_ssize_t seam = ring.seam, test_seam = test.seam
    cdef const int64_t[::1] place = ring.place, test_place = test.place
    cdef const double[:, ::1] x = ring.x, x_lanes = ring.x_lanes
    cdef const double[:, ::1] test_x = test.x, test_lanes = test.x_lanes
    cdef const double[::1] y = ring.y, test_y = test.y
    cdef const int32_t[::1] group = ring.group, test_group = test.group
    cdef double[:, ::1] changes = ring.changes, test_changes = test.changes
    cdef double[::1] f = ring.f, test_f = test.f
    cdef double[:, ::1] sums = engine.sums
    cdef double[::1] offsets = engine.offsets
    cdef double[:, ::1] ends = engine.ends
    cdef uint64_t[::1] searched = engine.searched
    cdef int32_t[::1] reached = engine.reached
    cdef int64_t[:, ::1] test_arcs = engine.test_arcs
    cdef const int32_t[:, ::1] counted = engine.counted
    cdef const double[:, ::1] grouped = engine.grouped
    cdef const int64_t[::1] group_start = engine.group_start
    cdef double[:, ::1] W_rows = engine.W_rows
    cdef const double[:, ::1] means = engine.means
    cdef bint single = engine.single
    cdef Py_ssize_t horizon = engine.horizon
    cdef const double[::1] weighted = engine.weighted
    cdef double scale = engine.alpha / engine.n, slope = engine.slope, shrink = engine.shrink
    cdef int loss_number = engine.loss

    cdef int64_t[:, ::1] right = out.right
    cdef double[:, ::1] low = out.margin_low, high = out.margin_high, loss = out.loss
    cdef double[:, ::1] norm = out.norm
    cdef double[:, :, ::1] projection = out.projection
    cdef int32_t[:, :, ::1] active = out.active
    cdef int64_t[::1] flips = out.flips
    cdef double[:, :, ::1] h_low = out.h_low, h_high = out.h_high

    cdef Py_ssize_t m = W.shape[2], rows = x_lanes.shape[1] // LANES
    cdef Py_ssize_t test_rows = test_lanes.shape[1] // LANES
    cdef Py_ssize_t groups = active.shape[2], test_groups = right.shape[1] - groups
    cdef Py_ssize_t k = means.shape[0], next_at = 0, passed, side, to, j, g, v
    cdef uint64_t rest
    cdef int n_threads = engine.n_threads
    cdef bint due
    cdef double last = rfa_seconds()
    cdef double* w0
    cdef double* w1
    cdef double base[2]

    clock[DIVERGED] = 0
    clock[ROW] = row
    while next_at < at.shape[0] and at[next_at] < clock[STEP]:
        next_at += 1
    with OwnArithmetic(n_threads), nogil:
        for j in range(m if N else 0):
            set_ends(&x[0, 0], &x[1, 0], N, seam, arcs[clock[SIDE], 0, j], arcs[clock[SIDE], 1, j],
                     &ends[0, j], m)
        while True:
            due = next_at < at.shape[0] and at[next_at] == clock[STEP]
            if not due and clock[STEP] >= until:
                break
            side = clock[SIDE]
            w0 = &W[side, 0, 0]
            w1 = &W[side, 1, 0]
            if not clock[EVALUATED]:
                change_ring(N, &place[0], &changes[0, 0], &changes[1, 0], m, w0, w1, &a[0], slope,
                            &arcs[side, 0, 0], &arcs[side, 1, 0], base)
                # f, then the loss weights, and their sums for the gradient
                if rfa_common(level()).ring_step(
                        rows, &x_lanes[0, 0], &x_lanes[1, 0], &changes[0, 0], &changes[1, 0], base,
                        &f[0], &y[0], &weighted[0], scale,
                        rfa_common(level()).loss_weights[loss_number], &sums[0, 0], &sums[1, 0],
                        &offsets[0]) != 0:
                    clock[DIVERGED] = 1
                    break
                clock[EVALUATED] = 1
            if due:
                to = clock[ROW]
                if test_rows:
                    find_all(&test_x[0, 0], &test_x[1, 0], test_N, test_seam, m, w0, w1,
                             &test_arcs[0, 0], &test_arcs[1, 0], &last)
                    change_ring(test_N, &test_place[0], &test_changes[0, 0], &test_changes[1, 0], m,
                                w0, w1, &a[0], slope, &test_arcs[0, 0], &test_arcs[1, 0], base)
                    rfa_common(level()).ring_outputs(
                        test_rows, &test_lanes[0, 0], &test_lanes[1, 0], &test_changes[0, 0],
                        &test_changes[1, 0], base, &test_f[0])
                    if slope == 0:
                        clear_unreached(test_N, &test_place[0], m, &a[0], &test_arcs[0, 0],
                                        &test_arcs[1, 0], &reached[0], &test_f[0])
                    observe_outputs(&test_f[0], &test_y[0], &test_y[0], &test_group[0],
                                    test_rows * LANES, test_groups, loss_number,
                                    &right[to, groups], &low[to, groups], &high[to, groups],
                                    &loss[to, groups])
                if slope == 0:
                    clear_unreached(N, &place[0], m, &a[0], &arcs[side, 0, 0], &arcs[side, 1, 0],
                                    &reached[0], &f[0])
                observe_outputs(&f[0], &y[0], &weighted[0], &group[0], rows * LANES, groups,
                                loss_number, &right[to, 0], &low[to, 0], &high[to, 0],
                                &loss[to, 0])
                flips[to] = 0
                for j in range(m):
                    W_rows[j, 0] = w0[j]
                    W_rows[j, 1] = w1[j]
                    count_arc(counted, N, arcs[side, 0, j], arcs[side, 1, j],
                              &active[to, j, 0])
                    if clock[STEP] > 0:
                        flips[to] += (
                            arcs[side, 1, j] + arcs[1 - side, 1, j]
                            - 2 * common_part(N, arcs[side, 0, j], arcs[side, 1, j],
                                              arcs[1 - side, 0, j], arcs[1 - side, 1, j]))
                observe_weights(&W_rows[0, 0], 2, m, 2, &means[0, 0] if k else NULL, k,
                                &norm[to, 0], &projection[to, 0, 0] if k else NULL, 1)
                if clock[STEP] <= horizon:
                    for j in range(m):
                        check_signals(&last)
                        for g in range(groups):
                            h_low[to, j, g] = INFINITY
                            h_high[to, j, g] = -INFINITY
                            rfa_common(level()).planar_range(
                                &grouped[0, 0] + group_start[g], &grouped[1, 0] + group_start[g],
                                group_start[g + 1] - group_start[g], w0[j], w1[j],
                                &h_low[to, j, g], &h_high[to, j, g])
                clock[ROW] += 1
                next_at += 1
            if clock[STEP] >= until:
                break
            next_weights(m, w0, w1, &a[0], &sums[0, 0], &sums[1, 0], &offsets[0], &place[0], N,
                         &arcs[side, 0, 0], &arcs[side, 1, 0], slope, shrink, single,
                         &W[1 - side, 0, 0], &W[1 - side, 1, 0], n_threads)
            if not all_finite(&W[1 - side, 0, 0], 2 * m):
                clock[DIVERGED] = 1
                break
            memcpy(&arcs[2, 0, 0], &arcs[side, 0, 0], 2 * m * sizeof(int64_t))
            passed = next_arcs(&x[0, 0], &x[1, 0], N, seam, m, w0, w1, &W[1 - side, 0, 0],
                               &W[1 - side, 1, 0], &ends[0, 0], &arcs[2, 0, 0], &arcs[2, 1, 0],
                               &searched[0], n_threads, &last)
            # not interrupted until the step is committed: ends are those of the arcs on its side
            for v in range(searched.shape[0] if N else 0):
                rest = searched[v]
                while rest:
                    j = v * WORD + __builtin_ctzll(rest)
                    rest &= rest - 1
                    set_ends(&x[0, 0], &x[1, 0], N, seam, arcs[2, 0, j], arcs[2, 1, j], &ends[0, j],
                             m)
            memcpy(&arcs[1 - side, 0, 0], &arcs[2, 0, 0], 2 * m * sizeof(int64_t))
            clock[SIDE] = 1 - side
            clock[EVALUATED] = 0
            clock[STEP] += 1
            tally[0] += passed
            check_signals(&last)
    return clock[ROW] - row


cdef void count_arc(const int32_t[:, ::1] counted, Py_ssize_t N, Py_ssize_t start,
                    Py_ssize_t length, int32_t* active) noexcept nogil:
    """Samples of each group on an arc; counted (N + 1, groups): of the samples before."""
    cdef Py_ssize_t g, end = start + length
    for g in range(counted.shape[1]):
        if end <= N:
            active[g] = counted[end, g] - counted[start, g]
        else:
            active[g] = counted[N, g] - counted[start, g] + counted[end - N, g]


def find_arcs(const double[:, ::1] x, Py_ssize_t N, Py_ssize_t seam, const double[:, ::1] W,
              int64_t[:, ::1] arcs):
    """Replace arcs (2, m), guesses of start and length, by the arcs of W (2, m)."""
    cdef double last = rfa_seconds()
    with nogil:
        find_all(&x[0, 0], &x[1, 0], N, seam, W.shape[1], &W[0, 0], &W[1, 0], &arcs[0, 0],
                 &arcs[1, 0], &last)


def find_seam(const double[:, ::1] x, Py_ssize_t N):
    """The first sample, going around, if all N lie in an open half-plane; else -1.

    x (2, n), its first N columns not zero and ordered by angle.
    """
    cdef Py_ssize_t i, p
    if N == 0:
        return -1
    for i in range(N):
        p = i - 1 if i > 0 else N - 1
        # the gap before sample i exceeds pi: to the right of its predecessor, or the only direction
        if exact_sign(x[0, p], x[1, i], -x[1, p], x[0, i]) < 0:
            return i
    return 0 if same_direction(x, 0, N - 1) else -1


cdef bint same_direction(const double[:, ::1] x, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    return (exact_sign(x[0, i], x[1, k], -x[1, i], x[0, k]) == 0
            and exact_sign(x[0, i], x[0, k], x[1, i], x[1, k]) > 0)


def sort_exactly(const double[:, ::1] x, const signed char[::1] half, int64_t[::1] order):
    """Sort samples by angle without rounding; equal directions keep their order.

    x (2, n); half: 0 for angles in [0, pi), 1 for [pi, 2 pi). A merge sort that passes over what is
    sorted: O(n) if order is sorted up to rounding, O(n log n) whatever it is.
    """
    cdef Py_ssize_t n = order.shape[0], width = 1, begin, middle, end, passed = 0
    cdef double last = rfa_seconds()
    cdef int64_t* merged = <int64_t*>allocate(n, 1, sizeof(int64_t))
    try:
        with nogil:
            while width < n:
                begin = 0
                while begin < n - width:
                    middle = begin + width
                    end = min(middle + width, n)
                    passed += 1
                    if not in_order(x, half, order[middle - 1], order[middle]):
                        merge(x, half, &order[begin], width, end - begin, merged)
                        passed += end - begin
                    if passed > PASSED:
                        check_signals(&last)
                        passed = 0
                    begin += 2 * width
                width *= 2
    finally:
        free(merged)


cdef bint in_order(const double[:, ::1] x, const signed char[::1] half, int64_t p,
                   int64_t q) noexcept nogil:
    """Whether sample p comes before q, or has its direction."""
    if half[p] != half[q]:
        return half[p] < half[q]
    return exact_sign(x[0, p], x[1, q], -x[1, p], x[0, q]) >= 0


cdef void merge(const double[:, ::1] x, const signed char[::1] half, int64_t* order,
                Py_ssize_t middle, Py_ssize_t end, int64_t* merged) noexcept nogil:
    """Merge the sorted order[:middle] and order[middle:end] in place."""
    cdef Py_ssize_t i = 0, j = middle, k
    for k in range(end):
        if j == end or (i < middle and in_order(x, half, order[i], order[j])):
            merged[k] = order[i]
            i += 1
        else:
            merged[k] = order[j]
            j += 1
    memcpy(order, merged, end * sizeof(int64_t))
