"""The gram engine's loop: pre-activations are stepped by the Gram matrix, W is not touched.

H_{t+1} = H_t + a_j sum_i K_{.i} c_i A_ij with K = X X^T and c = alpha g y / n. The sum over i is
masked_sum with the rows of K, where direct has those of X. W_t = anchor + a_j sum_i C_ij x_i, where
C is the sum of c_i A_ij over the steps since the anchor. What a leaky slope adds to C is the same
for all neurons, and is kept once, behind their rows.

Inner products of w_j with test points and means are needed at recorded steps alone. They come from
those of the anchor, and from those of the points with the x_i.

With weight decay all this holds for H, W and c divided by factor = shrink^(steps since the anchor).
H and C are kept so, and what is observed of them is multiplied by the factor.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from rfa._kernels cimport (
    TASK_WORK, activation_t, add_partial, evaluate, masked_sum_and_activate, multiply,
    multiply_panel, multiply_word, panel_depth, preactivations_t, ranges_t, summands_t, update_t,
)
from rfa.kernels.guards cimport address_of, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.layouts cimport pack_lanes
from rfa.kernels.levels cimport (
    LANE, PER_WORD, TILE, WORD, columns, level, rfa_f32, rfa_f64, rfa_seconds,
)
from rfa.kernels.plans cimport ALIKE, plan_sums, plan_t
from rfa.engines.observing cimport (
    Rows, count_sums, loss_gradient, observe_flips, observe_masks, observe_outputs,
    observe_ranges, samples_t, tally_t,
)

cdef extern from * nogil:
    void __builtin_prefetch(const void*, int, int)

cdef enum:
    PIECE = 32     # neurons of a task that goes through C
    # stages of a step: what has been found of A_t and f
    NOTHING = 0
    SHARES = 1     # A_t and the blocks' shares of f, by the step before
    OUTPUTS = 2    # A_t and f
    LOST = 3       # nothing, and H_t is lost, too: a step in place was not finite


cdef class State:
    """What the loop reads and writes, made once from the arrays of a GramEngine.

    H (2, chunks, neurons, columns) holds <w_j, x_i> at t on one side. If nothing can interrupt the
    change to t + 1, it is made in place, since half the memory stays in a nearer cache; else it
    goes to the other side. C lacks the last steps, whose number is `kept`: masks have A_{t-1} at
    this place, A_t or room for it at the next, and A_{t+1} at the one after. A step is committed
    when everything else is done, which nothing interrupts. If H at t + 1 is not finite, H_t may be
    lost; W_t is not, since it comes from C. Reals that are `void` are of the engine's type, float
    if it is single.
    """
    # where the run is
    cdef readonly Py_ssize_t t
    cdef readonly int side               # of H_t
    cdef readonly Py_ssize_t anchored    # the step of the anchor
    cdef readonly int anchor_side        # of the anchor
    cdef Py_ssize_t kept                 # steps that C lacks
    cdef int stage
    cdef readonly Py_ssize_t row         # of the observations, the next one
    cdef readonly bint diverged
    cdef tally_t tally
    # switches for tests, before the first step
    cdef public int look_ups             # see plans.pxd
    cdef public bint in_place            # whether H is stepped in place
    # sizes and factors
    cdef bint single
    cdef int n_threads
    cdef Py_ssize_t n, d, m, k, width, words, column_words, test_words, neurons, chunks, horizon
    cdef Py_ssize_t kept_steps, period
    cdef double step_scale, slope, shrink, common
    # arrays
    cdef list held
    cdef list of_problem
    cdef uint64_t[:, :, ::1] masks       # [place][word][neuron]
    cdef int32_t[::1] counts
    cdef double[:, :, :, ::1] extremes
    cdef const double[:, ::1] means
    cdef double[:, ::1] mean_K           # [mean][sample]
    cdef double[:, ::1] anchor_dots      # find_dots of each row of the anchor
    cdef double[:, ::1] dots             # room for those of each row of C, or of each thread
    cdef void* lanes                     # X [lane][k][sample]
    cdef void* test_lanes
    cdef void* X                         # [sample][k], whole tiles, whole words of columns
    cdef void* X_columns                 # [lane of columns][sample][column]
    cdef void* rows_of_K                 # [chunk][sample][column]
    cdef void* test_K                    # [lane of points][sample][point]
    cdef void* product                   # [thread][chunk][sample][column], a word of columns
    cdef void* a
    cdef void* anchor                    # (2, neurons, whole words of columns)
    cdef void* C                         # [neuron][sample], then a tile with the common part
    cdef void* recovered                 # [thread][chunk][row of C][column], a word of columns
    cdef void* H
    cdef void* anchor_H                  # H of the anchor, [chunk][neuron][column]
    cdef void* anchor_test_H
    cdef void* test_H
    cdef void* common_H                  # [chunk][TILE][point]
    cdef void* f
    cdef void* test_f
    cdef void* c                         # [kept step][sample]
    cdef void* partial
    cdef void* test_partial              # apart: a step does not rewrite all of the padding
    cdef void* scratch
    # operands of the kernels
    cdef samples_t samples
    cdef samples_t tests
    cdef ranges_t ranges
    cdef plan_t plan
    cdef summands_t gradient
    cdef update_t update
    cdef activation_t activation

    def __init__(self, engine):
        self.held = []
        self._copy_sizes(engine)
        self._point_to_arrays(engine)
        self._describe_sums(engine)

    cdef int _copy_sizes(self, engine) except -1:
        self.single = engine.X.dtype == "float32"
        self.n_threads, self.look_ups, self.in_place = engine.n_threads, ALIKE, engine.in_place
        self.n, self.d, self.m, self.k = engine.n, engine.d, engine.m, engine.mean_K.shape[0]
        self.kept_steps, self.words, self.neurons = engine.masks.shape
        self.kept_steps -= 2
        self.chunks, self.width = engine.rows_of_K.shape[0], engine.rows_of_K.shape[2]
        self.column_words = engine.X.shape[1] // WORD
        self.test_words = engine.test_lanes.shape[0] // PER_WORD
        return 0

    cdef void* _address(self, array) except NULL:
        """Where an array of the engine's reals begins, which then lives as long as the state."""
        self.held.append(array)
        return address_of(array, "float32" if self.single else "float64")

    cdef int _point_to_arrays(self, engine) except -1:
        self.masks, self.counts, self.extremes = engine.masks, engine.counts, engine.extremes
        self.mean_K, self.anchor_dots, self.dots = engine.mean_K, engine.anchor_dots, engine.dots
        self.lanes = self._address(engine.lanes)
        self.test_lanes = self._address(engine.test_lanes)
        self.X, self.X_columns = self._address(engine.X), self._address(engine.X_columns)
        self.rows_of_K, self.test_K = self._address(engine.rows_of_K), self._address(engine.test_K)
        self.product, self.a = self._address(engine.product), self._address(engine.padded_a)
        self.anchor, self.C = self._address(engine.anchor), self._address(engine.C)
        self.recovered, self.H = self._address(engine.recovered), self._address(engine.H)
        self.anchor_H = self._address(engine.anchor_H)
        self.anchor_test_H = self._address(engine.anchor_test_H)
        self.test_H, self.common_H = self._address(engine.test_H), self._address(engine.common_H)
        self.f, self.test_f = self._address(engine.f), self._address(engine.test_f)
        self.c, self.scratch = self._address(engine.c), self._address(engine.scratch)
        self.partial = self._address(engine.partial)
        self.test_partial = self._address(engine.test_partial)
        return 0

    cdef int _describe_sums(self, engine) except -1:
        """What stays the same in every step; sides and places are put in by each."""
        cdef uint8_t[::1] lists = engine.lists
        self.held.append(engine.lists)
        self.plan = plan_t(
            masks=NULL, mask_stride=self.neurons, samples=self.n, neurons=self.neurons,
            look_ups=ALIKE, lists=&lists[0], counts=&self.counts[0])
        self.gradient = summands_t(rows=self.rows_of_K, c=NULL, chunks=self.chunks, common=0)
        self.update = update_t(shrink=1, base=NULL, scale=self.a, out=NULL, stride=self.width,
                               chunk_stride=self.neurons * self.width)
        self.activation = activation_t(a=self.a, slope=0, masks=NULL, partial=self.partial)
        return 0

    def describe(self, engine):
        """Take over what the engine has of its present problem."""
        cdef const double[::1] y = engine.y, weighted = engine.weighted, test_y = engine.test_y
        cdef const int32_t[::1] group = engine.group, test_group = engine.test_group
        cdef const int64_t[:, ::1] segments = engine.segments
        self.of_problem = [engine.y, engine.weighted, engine.test_y, engine.group,
                           engine.test_group, engine.segments]
        self.means = engine.means
        self.horizon, self.period = engine.horizon, engine.period
        self.step_scale = engine.alpha / engine.n
        self.slope, self.shrink = engine.slope, engine.shrink
        # c has the factor 1 - slope, so that of all samples slope / (1 - slope) is to be added
        self.common = self.slope / (1 - self.slope)
        self.gradient.common, self.activation.slope = self.common, self.slope
        self.samples = samples_t(
            size=self.words * WORD, groups=engine.n_groups, y=&y[0], weighted=&weighted[0],
            group=&group[0], loss_number=engine.loss)
        self.tests = samples_t(
            size=self.test_words * WORD, groups=engine.n_test_groups, y=&test_y[0],
            weighted=&test_y[0], group=&test_group[0], loss_number=engine.loss)
        self.ranges = ranges_t(segments=&segments[0, 0], n_segments=segments.shape[0],
                               groups=engine.n_groups, extremes=&self.extremes[0, 0, 0, 0])
        self.tally = tally_t(steps=0, looked_up=0, added=0)

    @property
    def counted(self):
        """Over all steps: (steps, sums looked up, sums added)."""
        return self.tally.steps, self.tally.looked_up, self.tally.added

    def restart(self, Py_ssize_t t, Py_ssize_t anchored):
        """Go on from step t, with H and the anchor on the first sides and A_{t-1} at the first
        place."""
        self.t, self.side, self.anchored, self.anchor_side = t, 0, anchored, 0
        self.kept, self.stage, self.row, self.diverged = 0, NOTHING, 0, False


# --------------------------------------------------------------------------- steps

def advance(State s, Py_ssize_t until, const int64_t[::1] at, out, Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract."""
    cdef Rows rows = Rows(out)
    cdef double last = rfa_seconds()
    s.row = row
    with OwnArithmetic(s.n_threads), nogil:
        if s.single:
            take_steps(s, <float*>s.H, until, at, rows, &last)
        else:
            take_steps(s, <double*>s.H, until, at, rows, &last)
    return s.row - row


cdef int take_steps(State s, floating* sides, Py_ssize_t until, const int64_t[::1] at, Rows rows,
                    double* last) except -1 nogil:
    """advance for H on both sides. It returns when all is done, or s.diverged is set."""
    cdef Py_ssize_t next_at = 0
    cdef double factor
    cdef floating* h
    cdef floating* c
    cdef bint due
    s.diverged = False
    while next_at < at.shape[0] and at[next_at] < s.t:
        next_at += 1
    while True:
        s.diverged = s.stage == LOST
        if s.diverged:
            return 0
        if s.t % s.period == 0 and s.anchored != s.t:
            move_anchor(s, sides, last)
        due = next_at < at.shape[0] and at[next_at] == s.t
        if not due and s.t >= until:
            return 0
        if due or s.kept == s.kept_steps:
            accumulate(s, sides)
        factor = factor_of(s)
        h = sides + s.side * s.words * WORD * s.neurons
        c = <floating*>s.c + s.kept * s.words * WORD
        find_outputs(s, h, due and s.t <= s.horizon, factor, last)
        s.diverged = not loss_gradient(&s.samples, <floating*>s.f, s.step_scale * (1 - s.slope)
                                       / (factor * s.shrink), c)
        if s.diverged:
            return 0
        if due:
            observe(s, h, rows, factor, last)
            s.row += 1
            next_at += 1
        if s.t >= until:
            return 0
        s.diverged = not step(s, sides, c, last)
        if s.diverged:
            return 0
        check_signals(last)


cdef inline double factor_of(State s) noexcept nogil:
    return pow(s.shrink, <double>(s.t - s.anchored))


cdef inline uint64_t* masks_at(State s, Py_ssize_t step) noexcept nogil:
    """A_{t-1} for step 0, A_t for 1, A_{t+1} for 2."""
    return &s.masks[s.kept + step, 0, 0]


cdef int find_outputs(State s, const floating* h, bint ranged, double factor, double* last
                      ) except -1 nogil:
    """Find A_t and f as far as they are not found yet, and, if ranged, the extremes of h."""
    cdef preactivations_t ready = preactivations_t(
        words=s.words, neurons=s.neurons, ready=True, H=h, lanes=NULL, d=0, W=NULL, stride=0)
    if s.stage == OUTPUTS and not ranged:
        return 0
    if s.stage == NOTHING or ranged:
        s.stage = NOTHING
        if ranged:
            s.extremes[:, :, :, 0] = INFINITY
            s.extremes[:, :, :, 1] = -INFINITY
        s.activation.masks = masks_at(s, 1)
        evaluate(&ready, &s.activation, &s.ranges if ranged else NULL, <floating*>s.scratch,
                 s.n_threads, last)
    add_partial(<floating*>s.partial, s.words, s.neurons, <floating*>s.f)
    rescale(<floating*>s.f, s.words * WORD, factor)
    s.stage = OUTPUTS
    return 0


cdef int step(State s, floating* sides, floating* c, double* last) except -1 nogil:
    """Step to t + 1. 0 if H at t + 1 is not finite: then the step is not taken."""
    cdef Py_ssize_t size = s.words * WORD * s.neurons, i
    cdef int after = s.side if s.in_place else 1 - s.side
    cdef floating* common = <floating*>s.C + s.neurons * s.words * WORD
    s.plan.masks, s.plan.look_ups, s.gradient.c = masks_at(s, 1), s.look_ups, c
    s.update.base, s.update.out = sides + s.side * size, sides + after * size
    s.activation.masks = masks_at(s, 2)
    plan_sums(&s.plan, s.n_threads)
    if not masked_sum_and_activate(&s.plan, &s.gradient, &s.update, &s.activation,
                                   <floating*>s.scratch, s.n_threads, last):
        if s.in_place:
            s.stage = LOST
        return 0
    # from here to the end nothing interrupts the step
    if s.slope > 0:
        for i in range(s.words * WORD):
            common[i] += <floating>(s.common * c[i])
    s.side = after
    s.kept += 1
    count_sums(s.counts, &s.tally)
    s.stage = SHARES
    s.t += 1
    return 1


cdef void rescale(floating* values, Py_ssize_t n, double factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = <floating>(factor * values[i])


cdef void accumulate(State s, const floating* real) noexcept nogil:
    """C_ji += c_i A_ij for the kept steps, in their order, so that C is read and written once for
    all of them. A_{t-1} and A_t are then moved to the first places. O(n m)."""
    cdef Py_ssize_t size = s.words * s.neurons, padded = s.words * WORD, steps = s.kept
    cdef Py_ssize_t task, j, w, count, words = s.words, neurons = s.neurons
    cdef floating* C = <floating*>s.C
    cdef const floating* c = <const floating*>s.c
    cdef const uint64_t* masks = &s.masks[1, 0, 0]
    if steps == 0:
        return
    for task in prange((neurons + PIECE - 1) // PIECE, num_threads=s.n_threads,
                       schedule="static"):
        j = task * PIECE
        count = min(neurons - j, <Py_ssize_t>PIECE)
        for w in range(words):
            if floating is float:
                rfa_f32(level()).accumulate(masks + w * neurons + j, size, c + w * WORD, padded,
                                            steps, count, C + j * padded + w * WORD, padded)
            else:
                rfa_f64(level()).accumulate(masks + w * neurons + j, size, c + w * WORD, padded,
                                            steps, count, C + j * padded + w * WORD, padded)
    for j in range(2):
        memcpy(&s.masks[j, 0, 0], &s.masks[j + steps, 0, 0], size * sizeof(uint64_t))
    s.kept = 0


cdef int move_anchor(State s, floating* sides, double* last) except -1 nogil:
    """Make W_t the anchor, and H and all else of the anchor afresh from it: the same W up to
    rounding."""
    cdef Py_ssize_t size = s.words * WORD * s.neurons, stride = s.column_words * WORD
    cdef int side = 1 - s.anchor_side
    cdef floating* anchor = <floating*>s.anchor + side * s.neurons * stride
    accumulate(s, sides)
    recover(s, factor_of(s), anchor, stride, s.neurons, stride, last)
    begin_at(s, anchor, sides + (1 - s.side) * size, last)
    # from here to the end nothing interrupts the change
    memset(s.C, 0, (s.neurons + TILE) * s.words * WORD * sizeof(floating))
    s.anchored = s.t
    s.anchor_side = side
    s.side = 1 - s.side
    s.stage = NOTHING
    return 0


cdef int begin_at(State s, const floating* anchor, floating* H, double* last) except -1 nogil:
    """Make H, and the inner products of the anchor with samples, test points and means."""
    cdef Py_ssize_t j, stride = s.column_words * WORD
    cdef const double* means = &s.means[0, 0] if s.k else NULL
    multiply(<const floating*>s.lanes, s.n, s.d, anchor, stride, s.neurons, H, s.n_threads, last)
    if s.test_words:
        multiply(<const floating*>s.test_lanes, s.test_words * WORD, s.d, anchor, stride,
                 s.neurons, <floating*>s.anchor_test_H, s.n_threads, last)
    for j in prange(s.neurons, num_threads=s.n_threads, schedule="static"):
        find_dots(anchor + j * stride, means, s.k, s.d, &s.anchor_dots[j, 0])
    memcpy(s.anchor_H, H, s.words * WORD * s.neurons * sizeof(floating))
    return 0


cdef inline void find_dots(const floating* w, const double* rows, Py_ssize_t k, Py_ssize_t d,
                           double* dots) noexcept nogil:
    """dots = (|w|^2, <w, rows_1>, ..., <w, rows_k>), in float64."""
    if floating is float:
        rfa_f32(level()).dots(w, NULL, rows, k, d, dots)
    else:
        rfa_f64(level()).dots(w, NULL, rows, k, d, dots)


# --------------------------------------------------------------------------- observations

cdef int observe(State s, const floating* h, Rows rows, double factor, double* last
                 ) except -1 nogil:
    """Fill a row of the observations."""
    cdef preactivations_t ready
    cdef activation_t unmasked
    if s.test_words:
        ready = preactivations_t(words=s.test_words, neurons=s.neurons, ready=True, H=s.test_H,
                                 lanes=NULL, d=0, W=NULL, stride=0)
        unmasked = activation_t(a=s.a, slope=s.slope, masks=NULL, partial=s.test_partial)
        evaluate_tests(s, h, last)
        evaluate(&ready, &unmasked, NULL, <floating*>s.scratch, s.n_threads, last)
        add_partial(<floating*>s.test_partial, s.test_words, s.neurons, <floating*>s.test_f)
        rescale(<floating*>s.test_f, s.test_words * WORD, factor)
        observe_outputs(&s.tests, <floating*>s.test_f, rows, s.row, s.samples.groups)
    observe_outputs(&s.samples, <floating*>s.f, rows, s.row, 0)
    observe_neurons(s, h, rows, factor)
    observe_masks(masks_at(s, 1), s.words, s.neurons, &s.ranges, rows, s.row)
    rows.flips[s.row] = 0
    if s.t > 0:
        observe_flips(masks_at(s, 1), masks_at(s, 0), s.words * s.neurons, rows, s.row)
    if s.t <= s.horizon:
        observe_ranges(s.extremes, rows, s.row)
        rescale(&rows.h_low[s.row, 0, 0], s.m * s.samples.groups, factor)
        rescale(&rows.h_high[s.row, 0, 0], s.m * s.samples.groups, factor)
    return 0


cdef int evaluate_tests(State s, const floating* real, double* last) except -1 nogil:
    """test_H = anchor_test_H + a_j sum_i (C_ji + C_i) K_pi for test points p, where C_i is the
    common part. 2 n m flops a point, where stepping it by look-ups would take 3/16 n m in every
    step."""
    cdef Py_ssize_t points = s.test_words * WORD, padded = s.words * WORD
    cdef Py_ssize_t width = s.width, neurons = s.neurons, task, q, j, p, i
    cdef bint leaky = s.slope > 0
    cdef const floating* K = <const floating*>s.test_K
    cdef const floating* C = <const floating*>s.C
    cdef const floating* a = <const floating*>s.a
    cdef const floating* anchor_H = <const floating*>s.anchor_test_H
    cdef floating* common_H = <floating*>s.common_H
    cdef floating* H = <floating*>s.test_H
    cdef floating common
    multiply(K, points, s.n, C, padded, neurons, H, s.n_threads, last)
    if leaky:
        multiply(K, points, s.n, C + neurons * padded, padded, TILE, common_H, s.n_threads, last)
    for task in prange(points // width * neurons, num_threads=s.n_threads, schedule="static"):
        q = task // neurons
        j = task % neurons
        for p in range(width):
            common = common_H[q * TILE * width + p] if leaky else 0
            i = task * width + p
            H[i] = anchor_H[i] + a[j] * (H[i] + common)
    return 0


cdef void observe_neurons(State s, const floating* h, Rows rows, double factor) noexcept nogil:
    """norm_j = factor sqrt(|v_j|^2 + a_j sum_i (C_ji + C_i) (before + after)_ij), where v is the
    anchor, before its pre-activations and after those of now, w: the sum is <w - v, w + v> / a_j.
    projection_jc = factor (<v_j, mean_c> + a_j sum_i (C_ji + C_i) <x_i, mean_c>). C_i is the common
    part. O(n m)."""
    cdef Py_ssize_t padded = s.words * WORD, task, m = s.m
    cdef const double* mean_K = &s.mean_K[0, 0] if s.k else NULL
    find_dots(<floating*>s.C + s.neurons * padded, mean_K, s.k, padded, &s.dots[s.neurons, 0])
    for task in prange((m + PIECE - 1) // PIECE, num_threads=s.n_threads, schedule="static"):
        observe_piece(s, h, task * PIECE, rows, factor)


cdef void observe_piece(State s, const floating* after, Py_ssize_t first, Rows rows, double factor
                        ) noexcept nogil:
    """observe_neurons for the neurons of a task."""
    cdef Py_ssize_t padded = s.words * WORD, count = min(s.m - first, <Py_ssize_t>PIECE)
    cdef Py_ssize_t w, i, c, place, common = s.neurons, chunk_stride = s.neurons * s.width
    cdef const floating* C = <const floating*>s.C
    cdef const floating* a = <const floating*>s.a
    cdef const floating* before = <const floating*>s.anchor_H
    cdef const double* mean_K = &s.mean_K[0, 0] if s.k else NULL
    cdef double* norm = &rows.norm[s.row, 0]
    memset(norm + first, 0, count * sizeof(double))
    for w in range(s.words):
        place = w * WORD * s.neurons + first * s.width
        if floating is float:
            rfa_f32(level()).products(
                C + first * padded + w * WORD, padded, C + common * padded + w * WORD, count,
                before + place, after + place, chunk_stride, norm + first)
        else:
            rfa_f64(level()).products(
                C + first * padded + w * WORD, padded, C + common * padded + w * WORD, count,
                before + place, after + place, chunk_stride, norm + first)
    for i in range(first, first + count):
        norm[i] = factor * sqrt(max(s.anchor_dots[i, 0] + a[i] * norm[i], 0.0))
        if s.k > 0:
            find_dots(C + i * padded, mean_K, s.k, padded, &s.dots[i, 0])
        for c in range(s.k):
            rows.projection[s.row, i, c] = factor * (s.anchor_dots[i, 1 + c] + a[i] * (
                s.dots[i, 1 + c] + s.dots[common, 1 + c]))


# --------------------------------------------------------------------------- weights

def catch_up(State s):
    """Let C have all steps; see accumulate."""
    with OwnArithmetic(s.n_threads), nogil:
        if s.single:
            accumulate(s, <float*>s.C)
        else:
            accumulate(s, <double*>s.C)


def weights(State s, floating[:, ::1] W):
    """Fill W (m, d) with W_t; C must have all steps."""
    cdef double last = rfa_seconds()
    with OwnArithmetic(s.n_threads), nogil:
        recover(s, factor_of(s), &W[0, 0], s.d, s.m, s.d, &last)


cdef int recover(State s, double factor, floating* W, Py_ssize_t stride, Py_ssize_t rows,
                 Py_ssize_t d, double* last) except -1 nogil:
    """W_j = factor (anchor_j + a_j sum_i (C_ji + C_i) x_i) for a number of rows and d columns,
    where C_i is the common part. 2 n m d flops."""
    cdef Py_ssize_t first = 0, stop, w, per_thread = (s.neurons + TILE) * WORD
    cdef Py_ssize_t share = max(<Py_ssize_t>s.n_threads,
                                TASK_WORK // (WORD * s.n * (s.neurons + TILE) + 1))
    while first < s.column_words:
        check_signals(last)
        stop = min(first + share, s.column_words)
        for w in prange(first, stop, num_threads=s.n_threads, schedule="static"):
            recover_word(s, w, factor, <floating*>s.recovered + threadid() * per_thread,
                         W + w * WORD, stride, rows, min(d - w * WORD, <Py_ssize_t>WORD))
        first = stop
    return 0


cdef void recover_word(State s, Py_ssize_t word, double factor, floating* product, floating* W,
                       Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t count) noexcept nogil:
    """recover for a word of columns, of which W has this number. product [chunk][row of C][column]
    is room for it."""
    cdef Py_ssize_t width = s.width, padded = s.words * WORD, anchor_stride = s.column_words * WORD
    cdef Py_ssize_t common = s.neurons, chunk_stride = (s.neurons + TILE) * width
    cdef Py_ssize_t t, j, i, filled, k = 0, depth = panel_depth(product)
    cdef const floating* columns_of_X = <const floating*>s.X_columns + word * WORD * s.n
    cdef const floating* C = <const floating*>s.C
    cdef const floating* a = <const floating*>s.a
    cdef const floating* anchor = (<const floating*>s.anchor + word * WORD
                                   + s.anchor_side * s.neurons * anchor_stride)
    while k < s.n:
        multiply_panel(columns_of_X, count, s.n, k, C + common * padded, padded, TILE,
                       product + common * width, chunk_stride)
        for t in range(common // TILE):
            j = t * TILE
            filled = min(rows - j, <Py_ssize_t>TILE) if k + depth >= s.n else 0
            for i in range(j, j + filled):
                # far from one another, but needed only after the products
                fetch(anchor + i * anchor_stride, W + i * stride, count)
            multiply_panel(columns_of_X, count, s.n, k, C + j * padded, padded, TILE,
                           product + j * width, chunk_stride)
            if filled <= 0:
                continue
            if floating is float:
                rfa_f32(level()).combine(
                    product + j * width, product + common * width, chunk_stride, a + j,
                    anchor + j * anchor_stride, anchor_stride, factor, filled, count,
                    W + j * stride, stride)
            else:
                rfa_f64(level()).combine(
                    product + j * width, product + common * width, chunk_stride, a + j,
                    anchor + j * anchor_stride, anchor_stride, factor, filled, count,
                    W + j * stride, stride)
        k += depth


cdef inline void fetch(const floating* read, floating* written, Py_ssize_t count) noexcept nogil:
    """Have the caches fetch a number of reals that will be read, and as many that will be written.
    """
    cdef Py_ssize_t k = 0
    while k < count:
        __builtin_prefetch(read + k, 0, 2)
        __builtin_prefetch(written + k, 0, 2)
        k += columns(read)


# --------------------------------------------------------------------------- set-up

def start(State s, const floating[:, :] W):
    """Make W the anchor, with C = 0 and all that follows from it."""
    cdef Py_ssize_t stride = s.column_words * WORD, j, filled
    cdef floating* anchor = <floating*>s.anchor
    cdef double last = rfa_seconds()
    with OwnArithmetic(s.n_threads), nogil:
        memset(s.C, 0, (s.neurons + TILE) * s.words * WORD * sizeof(floating))
        for j in prange(s.neurons, num_threads=s.n_threads, schedule="static"):
            filled = W.shape[1] if j < W.shape[0] else 0
            if filled:
                copy_row(W, j, anchor + j * stride)
            memset(anchor + j * stride + filled, 0, (stride - filled) * sizeof(floating))
        begin_at(s, anchor, <floating*>s.H, &last)


cdef inline void copy_row(const floating[:, :] rows, Py_ssize_t i, floating* out) noexcept nogil:
    cdef Py_ssize_t k
    if rows.strides[1] == sizeof(floating):
        memcpy(out, &rows[i, 0], rows.shape[1] * sizeof(floating))
        return
    for k in range(rows.shape[1]):
        out[k] = rows[i, k]


def load(State s, const floating[:, :] samples, const int64_t[::1] order,
         const floating[:, :] tests):
    """Fill lanes, X, X_columns, rows_of_K and mean_K with samples in the given order, and
    test_lanes and test_K with the tests."""
    cdef Py_ssize_t first = 0, stop, task, i, n = s.n
    cdef Py_ssize_t tasks = s.words + (tests.shape[0] + WORD - 1) // WORD
    cdef Py_ssize_t share = max(<Py_ssize_t>s.n_threads, TASK_WORK // (WORD * n * s.d + 1))
    cdef Py_ssize_t rows_of_X = (n + TILE - 1) // TILE * TILE
    cdef floating* product = <floating*>s.product
    cdef double last = rfa_seconds()
    with OwnArithmetic(s.n_threads), nogil:
        pack_lanes(samples, &order[0], <floating*>s.lanes, s.n_threads, &last)
        if tests.shape[0]:
            pack_lanes(tests, NULL, <floating*>s.test_lanes, s.n_threads, &last)
        while first < n:
            check_signals(&last)
            stop = min(first + TASK_WORK // (16 * s.column_words * WORD) + 1, n)
            for i in prange(first, stop, num_threads=s.n_threads, schedule="static"):
                load_row(s, samples, order[i], i, &s.dots[threadid(), 0])
            first = stop
        first = 0
        while first < tasks:
            check_signals(&last)
            stop = min(first + share, tasks)
            for task in prange(first, stop, num_threads=s.n_threads, schedule="dynamic"):
                if task < s.words:
                    load_samples(s, task, product + threadid() * WORD * rows_of_X)
                else:
                    load_tests(s, task - s.words, product + threadid() * WORD * rows_of_X)
            first = stop


cdef void load_row(State s, const floating[:, :] samples, Py_ssize_t source, Py_ssize_t i,
                   double* dots) noexcept nogil:
    """Sample i of X, X_columns and mean_K; dots: room for find_dots."""
    cdef Py_ssize_t q, c, stride = s.column_words * WORD
    cdef floating* row = <floating*>s.X + i * stride
    cdef floating* X_columns = <floating*>s.X_columns
    copy_row(samples, source, row)
    for q in range(s.column_words * PER_WORD):
        memcpy(X_columns + (q * s.n + i) * LANE, row + q * LANE, LANE * sizeof(floating))
    if s.k:
        find_dots(row, &s.means[0, 0], s.k, s.d, dots)
    for c in range(s.k):
        s.mean_K[c, i] = dots[1 + c]


cdef void load_samples(State s, Py_ssize_t word, floating* product) noexcept nogil:
    """The products of a word of samples with the samples from its first on, and, by symmetry, those
    of later samples with the word. product [chunk][sample][column]."""
    cdef Py_ssize_t n = s.n, width = s.width, begin = word * WORD, first = begin // TILE * TILE
    cdef Py_ssize_t samples = (n + TILE - 1) // TILE * TILE - first, stride = s.column_words * WORD
    cdef Py_ssize_t count = min(n - begin, <Py_ssize_t>WORD), q, i, j
    cdef Py_ssize_t size = samples * width   # of a chunk of the product
    cdef Py_ssize_t chunk_stride = s.words * WORD * width
    cdef floating* K = <floating*>s.rows_of_K
    cdef floating* chunk
    cdef const floating* row
    multiply_word(<floating*>s.lanes + begin * s.d, count, s.d, <floating*>s.X + first * stride,
                  stride, samples, product, size)
    for q in range((count + width - 1) // width):
        memcpy(K + (begin // width + q) * chunk_stride + begin * width,
               product + q * size + (begin - first) * width, (n - begin) * width * sizeof(floating))
    for q in range((begin + WORD) // width, (n + width - 1) // width):
        for j in range(WORD):
            row = product + j // width * size + j % width
            chunk = K + q * chunk_stride + (begin + j) * width
            for i in range(q * width, min((q + 1) * width, n)):
                chunk[i - q * width] = row[(i - first) * width]


cdef void load_tests(State s, Py_ssize_t word, floating* product) noexcept nogil:
    """The products of a word of test points with the samples."""
    cdef Py_ssize_t n = s.n, width = s.width, samples = (n + TILE - 1) // TILE * TILE, q, i
    cdef floating* K = <floating*>s.test_K
    multiply_word(<floating*>s.test_lanes + word * WORD * s.d, WORD, s.d, <floating*>s.X,
                  s.column_words * WORD, samples, product, samples * width)
    for q in range(WORD // width):
        for i in range(n):
            memcpy(K + ((word * WORD + q * width) // LANE * n + i) * LANE + q * width % LANE,
                   product + (q * samples + i) * width, width * sizeof(floating))
