"""The planar engine's loop (d = 2): samples on a ring, neurons active on arcs of it.

The exact sign of <w, x> decides whether a neuron is active on a sample. So, along the exact order
of the samples by angle, every neuron is active on one arc, and the arcs are a function of W alone,
not of the path to it. All arithmetic is float64; W is rounded to its own type after every step.
"""
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, fabs, fma, frexp, ldexp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from rfa.kernels.guards cimport allocate, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport STRANDS, WORD, level, rfa_common, rfa_seconds
from rfa.engines.observing cimport Rows, observe_outputs, observe_weights, samples_t

cdef extern from * nogil:
    int __builtin_ctzll(unsigned long long)

# Above this the rounding error of a product of doubles is a double, too.
cdef double NEAR_ZERO = 2.0 ** -900

cdef enum:
    # samples that searches pass between two looks at the clock: by one thread, which takes some
    # milliseconds, and by all threads, at most, which takes tenths of a second
    PASSED = 1 << 20
    PASSED_AT_ONCE = 1 << 26

# The arrays of a Ring object (engine.py). Weights of neurons are two rows of coordinates, arcs a
# row of first samples and a row of numbers of samples.
ctypedef struct ring_t:
    Py_ssize_t N             # samples that are not at the origin
    Py_ssize_t seam          # if all lie in an open half-plane, the first going around; else -1
    const double* x          # (2, size): coordinates in the order of the angles
    Py_ssize_t size
    Py_ssize_t rows          # of the strands; 0 without samples
    Py_ssize_t places        # max(1, rows) * STRANDS
    const int64_t* place     # of each sample
    const double* strands    # (2, places): coordinates
    double* changes          # (2, places): zero between two uses
    double* f                # (places,)


cdef class State:
    """What the loop reads and writes, made once from the arrays of a PlanarEngine.

    W (2, 2, m) holds W_t on one side, its two columns apart. arcs (3, 2, m) hold the arcs of W_t on
    the same side and those of W_{t-1} on the other; the third are those of W_{t+1} until the step
    is committed, by copying them and turning the side.
    """
    # where the run is
    cdef readonly Py_ssize_t t
    cdef readonly int side
    cdef bint evaluated             # f and the sums for the gradient are those of W_t
    cdef readonly Py_ssize_t row    # of the observations, the next one
    cdef readonly bint diverged
    cdef readonly int64_t passed    # samples, by the searches for arcs in all steps
    # sizes and factors
    cdef bint single                # W is rounded to float32
    cdef int n_threads
    cdef Py_ssize_t m, groups, horizon
    cdef double scale, slope, shrink
    # arrays
    cdef list kept
    cdef ring_t ring
    cdef ring_t test_ring
    cdef samples_t samples
    cdef samples_t tests
    cdef double[:, :, ::1] W
    cdef int64_t[:, :, ::1] arcs
    cdef int64_t[:, ::1] test_arcs
    cdef const double[::1] a
    cdef double[:, ::1] ends            # (8, m): see set_ends
    cdef uint64_t[::1] searched         # a bit for each neuron whose next arc ends do not settle
    cdef double[:, ::1] sums            # (2, places): in each strand the sum of c x before a sample
    cdef double[::1] offsets            # of the strands for both sums, then both totals
    cdef int32_t[::1] reached           # room for clear_unreached
    cdef double[:, ::1] W_rows          # (m, 2)
    cdef const double[:, ::1] means
    cdef const int32_t[:, ::1] counted  # (N + 1, groups): samples of each group before a sample
    cdef const double[:, ::1] grouped   # (2, n): coordinates, sorted by group
    cdef const int64_t[::1] group_start

    def __init__(self, engine):
        self.kept = [engine.ring, engine.test_ring, engine.weighted]
        self.single, self.n_threads = engine.single, engine.n_threads
        self.m, self.groups, self.horizon = engine.m, engine.n_groups, engine.horizon
        self.scale = engine.alpha / engine.n
        self.slope, self.shrink = engine.slope, engine.shrink
        self.ring = ring_of(engine.ring)
        self.test_ring = ring_of(engine.test_ring)
        self.samples = samples_of(engine.ring, engine.weighted, engine.n_groups, engine.loss)
        self.tests = samples_of(engine.test_ring, engine.test_ring.y, engine.n_test_groups,
                                engine.loss)
        self.W, self.arcs, self.test_arcs, self.a = (
            engine.W, engine.arcs, engine.test_arcs, engine.a)
        self.ends, self.searched = engine.ends, engine.searched
        self.sums, self.offsets, self.reached = engine.sums, engine.offsets, engine.reached
        self.W_rows, self.means = engine.W_rows, engine.means
        self.counted, self.grouped, self.group_start = (
            engine.counted, engine.grouped, engine.group_start)

    def restart(self, Py_ssize_t t):
        """Go on from step t, whose W and arcs are on the first side."""
        self.t, self.side, self.evaluated, self.row, self.diverged = t, 0, False, 0, False


cdef ring_t ring_of(ring) except *:
    """Pointers to the arrays of a Ring object, which has to outlive them."""
    cdef const double[:, ::1] x = ring.x, strands = ring.x_strands
    cdef const int64_t[::1] place = ring.place
    cdef double[:, ::1] changes = ring.changes
    cdef double[::1] f = ring.f
    return ring_t(N=ring.n_nonzero, seam=ring.seam, x=&x[0, 0], size=x.shape[1], rows=ring.rows,
                  places=strands.shape[1], place=&place[0], strands=&strands[0, 0],
                  changes=&changes[0, 0], f=&f[0])


cdef samples_t samples_of(ring, weights, Py_ssize_t groups, int loss) except *:
    """What is observed of the outputs on a ring."""
    cdef const double[::1] y = ring.y, weighted = weights
    cdef const int32_t[::1] group = ring.group
    return samples_t(size=ring.rows * STRANDS, groups=groups, y=&y[0], weighted=&weighted[0],
                     group=&group[0], loss_number=loss)


# --------------------------------------------------------------------------- arcs


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
    """exact_sign for products near 0 or beyond the range: their exponents are computed apart."""
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
    # the beginning of exact_sign; the rest of it is rarely needed
    cdef double p = w0 * x0[i], q = -(w1 * x1[i])
    return p > q or (not p < q and exact_sign(w0, x0[i], w1, x1[i]) > 0)


cdef inline Py_ssize_t before(Py_ssize_t i, Py_ssize_t N) noexcept nogil:
    return i - 1 if i > 0 else N - 1


cdef inline Py_ssize_t around(Py_ssize_t i, Py_ssize_t N) noexcept nogil:
    """i modulo N for i < 2 N: a division would take as long as the rest of a step of a neuron."""
    return i if i < N else i - N


cdef Py_ssize_t find_arc(const ring_t* ring, double w0, double w1, int64_t* start, int64_t* length
                         ) noexcept nogil:
    """The arc of samples with <w, x> > 0, searched from the arc (start, length) outwards.

    Returns how many samples were passed. Any arc to start from leads to the same answer; a near one
    leads there soon: O(1 + samples between). The arc of all samples and the empty arc start at 0.
    w can be active on all samples only if they lie in an open half-plane, where there is a seam;
    the first and the last sample then tell whether it is active on all, or on none.
    """
    cdef const double* x0 = ring.x
    cdef const double* x1 = ring.x + ring.size
    cdef Py_ssize_t N = ring.N, seam = ring.seam
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


cdef int find_all(const ring_t* ring, Py_ssize_t m, const double* w, int64_t* arcs, double* last
                  ) except -1 nogil:
    """find_arc for all neurons, with looks at the clock."""
    cdef Py_ssize_t j, passed = 0
    for j in range(m):
        passed += 1 + find_arc(ring, w[j], w[m + j], arcs + j, arcs + m + j)
        if passed > PASSED:
            check_signals(last)
            passed = 0
    return 0


# --------------------------------------------------------------------------- outputs

cdef void change_ring(const ring_t* ring, Py_ssize_t m, const double* w, const double* a,
                      double slope, const int64_t* arcs, double* base) noexcept nogil:
    """The changes, from base on, of S along the ring. S_i is the sum of a_j w_j over the neurons
    active on sample i, plus slope times that over the others: slope a_j w_j counts for all samples,
    and the rest of a_j w_j is added where an arc begins and taken off where it ends. The changes
    have to be zero before. O(m)."""
    cdef Py_ssize_t N = ring.N
    cdef const int64_t* place = ring.place
    cdef double* d0 = ring.changes
    cdef double* d1 = ring.changes + ring.places
    cdef const int64_t* start = arcs
    cdef const int64_t* length = arcs + m
    cdef double v0, v1
    cdef Py_ssize_t j, p, end
    base[0] = 0
    base[1] = 0
    for j in range(m):
        v0 = a[j] * w[j]
        v1 = a[j] * w[m + j]
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


cdef void clear_unreached(const ring_t* ring, Py_ssize_t m, const double* a, const int64_t* arcs,
                          int32_t* changes) noexcept nogil:
    """f = 0 for samples on which no neuron with a_j != 0 is active. The running sum leaves there
    what it rounded off, which has a sign; but f = 0 is neither label. changes (N + 1) are zero, and
    are left so."""
    cdef Py_ssize_t i, j, end, N = ring.N
    cdef const int64_t* start = arcs
    cdef const int64_t* length = arcs + m
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
            ring.f[ring.place[i]] = 0
    changes[N] = 0


cdef bint find_outputs(State s, const double* w) noexcept nogil:
    """f, then the loss weights and their sums for the gradient. Whether all of f is finite."""
    cdef const ring_t* ring = &s.ring
    cdef double base[2]
    change_ring(ring, s.m, w, &s.a[0], s.slope, &s.arcs[s.side, 0, 0], base)
    return rfa_common(level()).ring_step(
        ring.rows, ring.strands, ring.strands + ring.places, ring.changes,
        ring.changes + ring.places, base, ring.f, s.samples.y, s.samples.weighted, s.scale,
        rfa_common(level()).loss_weights[s.samples.loss_number], &s.sums[0, 0], &s.sums[1, 0],
        &s.offsets[0]) == 0


# --------------------------------------------------------------------------- steps

cdef inline void arc_sums(const double* p0, const double* p1, const double* offsets,
                          const int64_t* place, Py_ssize_t N, Py_ssize_t start, Py_ssize_t length,
                          double* v) noexcept nogil:
    """The two sums over an arc, as differences of running sums over the ring."""
    cdef Py_ssize_t end = start + length, first = place[start], last
    cdef double total0 = offsets[2 * STRANDS], total1 = offsets[2 * STRANDS + 1]
    cdef double before0 = p0[first] + offsets[first % STRANDS]
    cdef double before1 = p1[first] + offsets[STRANDS + first % STRANDS]
    cdef double after0, after1
    if length == N:
        v[0], v[1] = total0, total1
        return
    if end == N:
        v[0], v[1] = total0 - before0, total1 - before1
        return
    last = place[end if end < N else end - N]
    after0 = p0[last] + offsets[last % STRANDS]
    after1 = p1[last] + offsets[STRANDS + last % STRANDS]
    if end < N:
        v[0], v[1] = after0 - before0, after1 - before1
    else:
        v[0], v[1] = (total0 - before0) + after0, (total1 - before1) + after1


cdef void next_weights(State s, Py_ssize_t first, Py_ssize_t stop, const double* w, double* after
                       ) noexcept nogil:
    """w_j after the step, for some neurons: shrink w_j + a_j (slope times the sum over all samples,
    and 1 - slope times that over the arc), rounded to its type."""
    cdef const int64_t* start = &s.arcs[s.side, 0, 0]
    cdef const int64_t* length = &s.arcs[s.side, 1, 0]
    cdef const int64_t* place = s.ring.place
    cdef const double* a = &s.a[0]
    cdef const double* p0 = &s.sums[0, 0]
    cdef const double* p1 = &s.sums[1, 0]
    cdef const double* offsets = &s.offsets[0]
    cdef double slope = s.slope, shrink = s.shrink
    cdef Py_ssize_t N = s.ring.N, m = s.m, j
    cdef bint single = s.single
    cdef double v[2]
    cdef double v0, v1
    for j in range(first, stop):
        v0 = v1 = 0
        if length[j] > 0:
            arc_sums(p0, p1, offsets, place, N, start[j], length[j], &v[0])
            v0 = (1 - slope) * a[j] * v[0]
            v1 = (1 - slope) * a[j] * v[1]
        if slope > 0:
            v0 += slope * a[j] * offsets[2 * STRANDS]
            v1 += slope * a[j] * offsets[2 * STRANDS + 1]
        v0 += shrink * w[j]
        v1 += shrink * w[m + j]
        after[j] = <float>v0 if single else v0
        after[m + j] = <float>v1 if single else v1


cdef void set_ends(State s, int side, Py_ssize_t j) noexcept nogil:
    """Four points with which w has positive inner products exactly as long as it keeps its arc: the
    first and the last sample of the arc, and the opposites of the samples before and after it. For
    an arc of all samples: those at the seam; for an empty one: their opposites; without a seam NaN.

    Column j of ends has the two coordinates of the first point, of the second, and so on."""
    cdef const double* x0 = s.ring.x
    cdef const double* x1 = s.ring.x + s.ring.size
    cdef Py_ssize_t N = s.ring.N, seam = s.ring.seam, i
    cdef Py_ssize_t start = s.arcs[side, 0, j], length = s.arcs[side, 1, j]
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
        s.ends[2 * i, j] = sign[i] * x0[at[i]]
        s.ends[2 * i + 1, j] = sign[i] * x1[at[i]]


cdef Py_ssize_t next_arcs(State s, const double* w, const double* after, double* last
                          ) except -1 nogil:
    """Change the third arcs, now those of w, to those of the next weights. Only the neurons are
    searched whose ends do not show that the arc stays; searched has a bit for each of them. Returns
    how many samples the searches passed.

    A neuron that did not move keeps its arc without a search, however long that would be. There are
    few neurons between two looks at the clock, in case all of them pass all samples."""
    cdef Py_ssize_t m = s.m, words = (m + WORD - 1) // WORD, first = 0, stop, v, passed = 0
    cdef Py_ssize_t share = max(<Py_ssize_t>4, PASSED_AT_ONCE // (s.ring.N + 1) // WORD)
    while first < words:
        stop = min(first + share, words)
        for v in prange(first, stop, num_threads=s.n_threads, schedule="static"):
            passed += next_arcs_of_word(s, v * WORD, min(m - v * WORD, <Py_ssize_t>WORD), w, after)
        first = stop
        check_signals(last)
    return passed


cdef Py_ssize_t next_arcs_of_word(State s, Py_ssize_t first, Py_ssize_t count, const double* w,
                                  const double* after) noexcept nogil:
    """next_arcs for 64 neurons, or the last ones."""
    cdef Py_ssize_t m = s.m, passed = 0, j
    cdef uint64_t rest = ~rfa_common(level()).positive_on_points(
        &s.ends[0, first], m, after + first, after + m + first, count)
    rest &= ~<uint64_t>0 >> (WORD - count)
    s.searched[first // WORD] = rest
    while rest:
        j = first + __builtin_ctzll(rest)
        rest &= rest - 1
        if after[j] != w[j] or after[m + j] != w[m + j]:
            passed += find_arc(&s.ring, after[j], after[m + j], &s.arcs[2, 0, j], &s.arcs[2, 1, j])
    return passed


cdef bint all_finite(const double* x, Py_ssize_t size) noexcept nogil:
    """x - x is 0 for finite x and else NaN, and a sum keeps a NaN."""
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


def advance(State s, Py_ssize_t until, const int64_t[::1] at, out, Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract."""
    cdef Rows rows = Rows(out)
    cdef double last = rfa_seconds()
    s.row = row
    with OwnArithmetic(s.n_threads), nogil:
        take_steps(s, until, at, rows, &last)
    return s.row - row


cdef int take_steps(State s, Py_ssize_t until, const int64_t[::1] at, Rows rows, double* last
                    ) except -1 nogil:
    """advance. It returns when all is done, or s.diverged is set."""
    cdef Py_ssize_t next_at = 0, j
    cdef const double* w
    cdef bint due
    s.diverged = False
    while next_at < at.shape[0] and at[next_at] < s.t:
        next_at += 1
    for j in range(s.m if s.ring.N else 0):
        set_ends(s, s.side, j)
    while True:
        due = next_at < at.shape[0] and at[next_at] == s.t
        if not due and s.t >= until:
            return 0
        w = &s.W[s.side, 0, 0]
        if not s.evaluated:
            s.diverged = not find_outputs(s, w)
            if s.diverged:
                return 0
            s.evaluated = True
        if due:
            observe(s, w, rows, last)
            s.row += 1
            next_at += 1
        if s.t >= until:
            return 0
        s.diverged = not step(s, w, &s.W[1 - s.side, 0, 0], last)
        if s.diverged:
            return 0
        check_signals(last)


cdef int step(State s, const double* w, double* after, double* last) except -1 nogil:
    """Step to t + 1. 0 if W_{t+1} is not finite: then the step is not taken."""
    cdef Py_ssize_t size = 2 * s.m * sizeof(int64_t), passed, j, v
    cdef uint64_t rest
    for v in prange((s.m + WORD - 1) // WORD, num_threads=s.n_threads, schedule="static"):
        next_weights(s, v * WORD, min((v + 1) * WORD, s.m), w, after)
    if not all_finite(after, 2 * s.m):
        return 0
    memcpy(&s.arcs[2, 0, 0], &s.arcs[s.side, 0, 0], size)
    passed = next_arcs(s, w, after, last)
    # from here to the end nothing interrupts the step: ends are those of the arcs of W_t
    for v in range(s.searched.shape[0] if s.ring.N else 0):
        rest = s.searched[v]
        while rest:
            j = v * WORD + __builtin_ctzll(rest)
            rest &= rest - 1
            set_ends(s, 2, j)
    memcpy(&s.arcs[1 - s.side, 0, 0], &s.arcs[2, 0, 0], size)
    s.side = 1 - s.side
    s.evaluated = False
    s.t += 1
    s.passed += passed
    return 1


# --------------------------------------------------------------------------- observations

cdef int observe(State s, const double* w, Rows rows, double* last) except -1 nogil:
    """Fill a row of the observations."""
    cdef const double* means = &s.means[0, 0] if s.means.shape[0] else NULL
    cdef int64_t* arcs = &s.arcs[s.side, 0, 0]
    cdef Py_ssize_t j, m = s.m
    if s.test_ring.rows:
        observe_tests(s, w, rows, last)
    if s.slope == 0:
        clear_unreached(&s.ring, m, &s.a[0], arcs, &s.reached[0])
    observe_outputs(&s.samples, s.ring.f, rows, s.row, 0)
    rows.flips[s.row] = 0
    for j in range(m):
        s.W_rows[j, 0] = w[j]
        s.W_rows[j, 1] = w[m + j]
        count_arc(s, arcs[j], arcs[m + j], &rows.active[s.row, j, 0])
        if s.t > 0:
            rows.flips[s.row] += flips_of(s.ring.N, arcs[j], arcs[m + j],
                                          s.arcs[1 - s.side, 0, j], s.arcs[1 - s.side, 1, j])
    observe_weights(&s.W_rows[0, 0], 2, 2, means, rows, s.row, 1)
    if s.t <= s.horizon:
        for j in range(m):
            check_signals(last)
            observe_range(s, w[j], w[m + j], rows, j)
    return 0


cdef int observe_tests(State s, const double* w, Rows rows, double* last) except -1 nogil:
    """The outputs on test points, whose arcs are searched from those of the last time."""
    cdef const ring_t* ring = &s.test_ring
    cdef int64_t* arcs = &s.test_arcs[0, 0]
    cdef double base[2]
    find_all(ring, s.m, w, arcs, last)
    change_ring(ring, s.m, w, &s.a[0], s.slope, arcs, base)
    rfa_common(level()).ring_outputs(ring.rows, ring.strands, ring.strands + ring.places,
                                     ring.changes, ring.changes + ring.places, base, ring.f)
    if s.slope == 0:
        clear_unreached(ring, s.m, &s.a[0], arcs, &s.reached[0])
    observe_outputs(&s.tests, ring.f, rows, s.row, s.groups)
    return 0


cdef void observe_range(State s, double w0, double w1, Rows rows, Py_ssize_t j) noexcept nogil:
    """The least and the largest pre-activation of a neuron in each group."""
    cdef Py_ssize_t g, begin
    for g in range(s.groups):
        begin = s.group_start[g]
        rows.h_low[s.row, j, g] = INFINITY
        rows.h_high[s.row, j, g] = -INFINITY
        rfa_common(level()).planar_range(
            &s.grouped[0, 0] + begin, &s.grouped[1, 0] + begin, s.group_start[g + 1] - begin, w0,
            w1, &rows.h_low[s.row, j, g], &rows.h_high[s.row, j, g])


cdef void count_arc(State s, Py_ssize_t start, Py_ssize_t length, int32_t* active) noexcept nogil:
    """Samples of each group on an arc."""
    cdef Py_ssize_t g, end = start + length, N = s.ring.N
    for g in range(s.groups):
        if end <= N:
            active[g] = s.counted[end, g] - s.counted[start, g]
        else:
            active[g] = s.counted[N, g] - s.counted[start, g] + s.counted[end - N, g]


cdef Py_ssize_t flips_of(Py_ssize_t N, Py_ssize_t start, Py_ssize_t length,
                         Py_ssize_t previous_start, Py_ssize_t previous_length) noexcept nogil:
    """Samples that are on one of two arcs only."""
    return length + previous_length - 2 * common_part(N, start, length, previous_start,
                                                      previous_length)


cdef Py_ssize_t common_part(Py_ssize_t N, Py_ssize_t s, Py_ssize_t k, Py_ssize_t u,
                            Py_ssize_t v) noexcept nogil:
    """Samples on both of two arcs, of k samples from s on and of v samples from u on."""
    cdef Py_ssize_t gap = (u - s + N) % N if N else 0, both = 0
    if gap < k:
        both = min(k - gap, v)
    if gap + v > N:
        both += min(gap + v - N, k)
    return both


# --------------------------------------------------------------------------- set-up

def find_arcs(const double[:, ::1] x, Py_ssize_t N, Py_ssize_t seam, const double[:, ::1] W,
              int64_t[:, ::1] arcs):
    """Replace arcs (2, m), from which the search begins, by the arcs of W (2, m)."""
    cdef ring_t ring
    cdef double last = rfa_seconds()
    ring.N, ring.seam, ring.x, ring.size = N, seam, &x[0, 0], x.shape[1]
    with nogil:
        find_all(&ring, W.shape[1], &W[0, 0], &arcs[0, 0], &last)


def find_seam(const double[:, ::1] x, Py_ssize_t N):
    """The first sample, going around, if all N lie in an open half-plane; else -1.

    x (2, n), its first N columns not zero and ordered by angle.
    """
    cdef Py_ssize_t i, p
    if N == 0:
        return -1
    for i in range(N):
        p = i - 1 if i > 0 else N - 1
        # the gap before sample i exceeds pi: the sample is to the right of its predecessor
        if exact_sign(x[0, p], x[1, i], -x[1, p], x[0, i]) < 0:
            return i
    return 0 if same_direction(x, 0, N - 1) else -1


cdef bint same_direction(const double[:, ::1] x, Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    return (exact_sign(x[0, i], x[1, k], -x[1, i], x[0, k]) == 0
            and exact_sign(x[0, i], x[0, k], x[1, i], x[1, k]) > 0)


def sort_exactly(const double[:, ::1] x, const signed char[::1] half, int64_t[::1] order):
    """Sort samples by angle without rounding; equal directions keep their order.

    x (2, n); half: 0 for angles in [0, pi), 1 for [pi, 2 pi). A merge sort that passes over sorted
    parts: O(n) if order is sorted up to rounding, O(n log n) in any case.
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
