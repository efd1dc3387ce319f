"""The direct engine's loop: many steps of gradient descent in one call, without the GIL."""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from rfa._kernels cimport (
    activation_t, add_partial, evaluate, masked_outputs, masked_sum, multiply, preactivations_t,
    ranges_t, summands_t, update_t,
)
from rfa.kernels.guards cimport address_of, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport PER_WORD, TILE, WORD, columns, level, rfa_common, rfa_seconds
from rfa.kernels.plans cimport ALIKE, plan_sums, plan_t
from rfa.engines.observing cimport (
    Rows, count_sums, loss_gradient, observe_flips, observe_masks, observe_outputs,
    observe_ranges, observe_weights, samples_t, tally_t,
)
from rfa.engines.direct.certify cimport (
    begin_paths, bind, extend_paths, find_signs, order_neurons, signs_t, wrong_transposes,
)

cdef enum:
    # stages of a step: what has been found of A_t and f
    NOTHING = 0
    # A_t. It must not be found a second time: finding it has already brought paths and bounds up to
    # date
    MASKS = 1
    OUTPUTS = 2   # A_t and f


cdef class State:
    """What the loop reads and writes, made once from the arrays of a DirectEngine.

    W (2, neurons, stride) holds W_t on one side and room for W_{t+1} on the other; masks hold
    A_{t-1} on one side and room for A_t on the other. A step writes to the other sides and is
    committed by turning the sides, so that whatever interrupts it leaves W_t and A_{t-1}. The
    bounds and paths of the signs are those of W_t, and of A_t once that is found. Reals that are
    `void` are of the engine's type, float if it is single.
    """
    # where the run is
    cdef readonly Py_ssize_t t
    cdef readonly int side          # of W_t
    cdef readonly int masks_side    # of A_{t-1}
    cdef int stage
    cdef readonly Py_ssize_t row    # of the observations, the next one
    cdef readonly bint diverged
    cdef tally_t tally
    # switches for tests, before the first step
    cdef public int look_ups                  # see plans.pxd
    cdef public uint64_t[:, ::1] checked      # not empty: compared with a full evaluation
    # sizes and factors
    cdef bint single
    cdef int n_threads
    cdef Py_ssize_t words, d, m, neurons, stride, chunks, test_words, horizon
    cdef double step_scale, slope, shrink
    # arrays
    cdef list kept
    cdef uint64_t[:, :, ::1] masks
    cdef int32_t[::1] counts
    cdef double[:, :, :, ::1] extremes
    cdef const double[:, ::1] means
    cdef void* W
    cdef void* a
    cdef void* f
    cdef void* c
    cdef void* partial
    cdef void* scratch
    cdef const void* lanes
    cdef const void* rows
    cdef const void* test_lanes
    cdef void* test_f
    cdef void* ordered_W            # [chunk][neuron][column], in the order of the signs
    cdef void* ordered_a
    cdef void* linear               # a tile whose first row is sum_j a_j w_j
    cdef void* linear_H             # [chunk][TILE][column], its inner products with the samples
    # operands of the kernels
    cdef signs_t signs
    cdef samples_t samples
    cdef samples_t tests
    cdef ranges_t ranges
    cdef plan_t plan                # of the sums over samples, for the gradient
    cdef plan_t output_plan         # of the sums over neurons, for f: room for a block a thread
    cdef summands_t gradient
    cdef summands_t outputs
    cdef update_t update

    def __init__(self, engine):
        self.kept = [engine.signs]
        self._copy_sizes(engine)
        self._point_to_arrays(engine)
        self._describe_samples(engine)
        self._describe_sums(engine)

    cdef int _copy_sizes(self, engine) except -1:
        self.single = engine.W.dtype == "float32"
        self.n_threads = engine.n_threads
        self.m, self.horizon, self.look_ups = engine.m, engine.horizon, ALIKE
        self.neurons, self.stride = engine.W.shape[1:]
        self.d, self.chunks = engine.lanes.shape[1], engine.rows_of_X.shape[0]
        self.words = engine.lanes.shape[0] // PER_WORD
        self.test_words = engine.test_lanes.shape[0] // PER_WORD
        self.step_scale = engine.alpha / engine.n
        self.slope, self.shrink = engine.slope, engine.shrink
        return 0

    cdef void* _address(self, array) except NULL:
        """Where an array of the engine's reals begins, which then lives as long as the state."""
        self.kept.append(array)
        return address_of(array, "float32" if self.single else "float64")

    cdef int _point_to_arrays(self, engine) except -1:
        self.masks, self.counts, self.extremes = engine.masks, engine.counts, engine.extremes
        self.means, self.checked = engine.means, engine.checked
        self.W, self.a = self._address(engine.W), self._address(engine.padded_a)
        self.f, self.c = self._address(engine.f), self._address(engine.c)
        self.partial, self.scratch = self._address(engine.partial), self._address(engine.scratch)
        self.lanes, self.rows = self._address(engine.lanes), self._address(engine.rows_of_X)
        self.test_lanes = self._address(engine.test_lanes)
        self.test_f = self._address(engine.test_f)
        self.ordered_W = self._address(engine.ordered_W)
        self.ordered_a = self._address(engine.ordered_a)
        self.linear = self._address(engine.linear)
        self.linear_H = self._address(engine.linear_H)
        return 0

    cdef int _describe_samples(self, engine) except -1:
        cdef const double[::1] y = engine.y, weighted = engine.weighted, test_y = engine.test_y
        cdef const int32_t[::1] group = engine.group, test_group = engine.test_group
        cdef const int64_t[:, ::1] segments = engine.segments
        self.kept += [engine.y, engine.weighted, engine.test_y, engine.group, engine.test_group]
        self.kept += [engine.segments]
        self.samples = samples_t(
            size=self.words * WORD, groups=engine.n_groups, y=&y[0], weighted=&weighted[0],
            group=&group[0], loss_number=engine.loss)
        self.tests = samples_t(
            size=self.test_words * WORD, groups=engine.n_test_groups, y=&test_y[0],
            weighted=&test_y[0], group=&test_group[0], loss_number=engine.loss)
        self.ranges = ranges_t(segments=&segments[0, 0], n_segments=segments.shape[0],
                               groups=engine.n_groups, extremes=&self.extremes[0, 0, 0, 0])
        bind(&self.signs, engine.signs)
        self.signs.d, self.signs.lanes = self.d, self.lanes
        self.signs.neurons, self.signs.stride = self.neurons, self.stride
        return 0

    cdef int _describe_sums(self, engine) except -1:
        """What stays the same in every step; the sides of W and of the masks are put in by each."""
        cdef uint8_t[::1] lists = engine.lists, output_lists = engine.output_lists
        cdef int32_t[::1] output_counts = engine.output_counts
        cdef Py_ssize_t width = engine.rows_of_X.shape[2]
        self.kept += [engine.lists, engine.output_lists, engine.output_counts]
        self.plan = plan_t(
            masks=NULL, mask_stride=self.neurons, samples=engine.n, neurons=self.neurons,
            look_ups=ALIKE, lists=&lists[0], counts=&self.counts[0])
        self.output_plan = plan_t(
            masks=self.signs.transposed, mask_stride=self.words * WORD, samples=self.m,
            neurons=self.words * WORD, look_ups=ALIKE, lists=&output_lists[0],
            counts=&output_counts[0])
        # c has the factor 1 - slope, so that of all samples slope / (1 - slope) is to be added
        self.gradient = summands_t(rows=self.rows, c=self.c, chunks=self.chunks,
                                   common=self.slope / (1 - self.slope))
        self.outputs = summands_t(rows=self.ordered_W, c=self.ordered_a, chunks=self.chunks,
                                  common=0)
        self.update = update_t(shrink=self.shrink, base=NULL, scale=self.a, out=NULL,
                               stride=self.stride, chunk_stride=width)
        return 0

    @property
    def certifies(self):
        """Whether signs are certified by bounds; can be turned off for tests."""
        return self.signs.certified

    @certifies.setter
    def certifies(self, bint on):
        self.signs.certified = self.signs.certified and on

    @property
    def counted(self):
        """Over all steps: (steps, sums looked up, sums added, lanes of neurons evaluated)."""
        return (self.tally.steps, self.tally.looked_up, self.tally.added, self.signs.evaluated)

    def restart(self, Py_ssize_t t):
        """Go on from step t, whose W and previous masks are on the first sides."""
        self.t, self.side, self.masks_side, self.stage = t, 0, 0, NOTHING
        self.row, self.diverged = 0, False
        self.signs.current = False


def advance(State s, Py_ssize_t until, const int64_t[::1] at, out, Py_ssize_t row):
    """Take steps until t = `until`; see rfa.engines for the contract."""
    cdef Rows rows = Rows(out)
    cdef double last = rfa_seconds()
    s.row = row
    with OwnArithmetic(s.n_threads), nogil:
        if s.single:
            take_steps(s, <float*>s.W, until, at, rows, &last)
        else:
            take_steps(s, <double*>s.W, until, at, rows, &last)
    return s.row - row


cdef int take_steps(State s, floating* sides, Py_ssize_t until, const int64_t[::1] at, Rows rows,
                    double* last) except -1 nogil:
    """advance for W on both sides. It returns when all is done, or s.diverged is set."""
    cdef Py_ssize_t next_at = 0
    cdef const floating* W
    cdef bint due
    s.diverged = False
    while next_at < at.shape[0] and at[next_at] < s.t:
        next_at += 1
    while True:
        due = next_at < at.shape[0] and at[next_at] == s.t
        if not due and s.t >= until:
            return 0
        W = sides + s.side * s.neurons * s.stride
        s.diverged = not find_outputs(s, W, last) or not loss_gradient(
            &s.samples, <floating*>s.f, s.step_scale * (1 - s.slope), <floating*>s.c)
        if s.diverged:
            return 0
        if due:
            observe(s, W, rows, last)
            s.row += 1
            next_at += 1
        if s.t >= until:
            return 0
        s.diverged = not step(s, W, sides + (1 - s.side) * s.neurons * s.stride, last)
        if s.diverged:
            return 0
        check_signals(last)


cdef inline uint64_t* current_masks(State s) noexcept nogil:
    return &s.masks[1 - s.masks_side, 0, 0]


cdef inline uint64_t* previous_masks(State s) noexcept nogil:
    return &s.masks[s.masks_side, 0, 0]


cdef int find_outputs(State s, const floating* W, double* last) except -1 nogil:
    """Find A_t and f as far as they are not found yet. 0 if a pre-activation is not finite, else
    1."""
    if s.stage < MASKS:
        if not s.signs.current:
            begin_paths(&s.signs, W, s.n_threads)
        order_neurons(&s.signs, <const floating*>s.a)
        if not find_signs(&s.signs, W, previous_masks(s), current_masks(s), <floating*>s.scratch,
                          s.n_threads, last):
            return 0
        s.stage = MASKS
        if s.checked.shape[0] > 0:
            check_masks(s, W, last)
    if s.stage < OUTPUTS:
        put_in_order(s, W)
        s.output_plan.look_ups = s.look_ups
        masked_outputs(&s.output_plan, &s.outputs, <const floating*>s.rows, <floating*>s.f,
                       <floating*>s.scratch, s.n_threads, last)
        if s.slope > 0:
            add_linear(s, W, last)
        s.stage = OUTPUTS
    return 1


cdef int observe(State s, const floating* W, Rows rows, double* last) except -1 nogil:
    """Fill a row of the observations."""
    cdef const double* means = &s.means[0, 0] if s.means.shape[0] else NULL
    cdef bint ranged = s.t <= s.horizon
    cdef preactivations_t h = preactivations_t(
        words=s.words, neurons=s.neurons, ready=False, H=NULL, lanes=s.lanes, d=s.d, W=W,
        stride=s.stride)
    cdef activation_t unmasked = activation_t(a=s.a, slope=s.slope, masks=NULL, partial=s.partial)
    if ranged:
        s.extremes[:, :, :, 0] = INFINITY
        s.extremes[:, :, :, 1] = -INFINITY
        evaluate(&h, &unmasked, &s.ranges, <floating*>s.scratch, s.n_threads, last)
    if s.test_words:
        h.words, h.lanes = s.test_words, s.test_lanes
        evaluate(&h, &unmasked, NULL, <floating*>s.scratch, s.n_threads, last)
        add_partial(<floating*>s.partial, s.test_words, s.neurons, <floating*>s.test_f)
        observe_outputs(&s.tests, <floating*>s.test_f, rows, s.row, s.samples.groups)
    observe_outputs(&s.samples, <floating*>s.f, rows, s.row, 0)
    observe_weights(W, s.stride, s.d, means, rows, s.row, s.n_threads)
    observe_masks(current_masks(s), s.words, s.neurons, &s.ranges, rows, s.row)
    rows.flips[s.row] = 0
    if s.t > 0:
        observe_flips(current_masks(s), previous_masks(s), s.words * s.neurons, rows, s.row)
    if ranged:
        observe_ranges(s.extremes, rows, s.row)
    return 0


cdef int step(State s, const floating* W, floating* after, double* last) except -1 nogil:
    """Step to t + 1. 0 if W_{t+1} is not finite: then the step is not taken."""
    s.plan.masks, s.plan.look_ups = current_masks(s), s.look_ups
    s.update.base, s.update.out = W, after
    plan_sums(&s.plan, s.n_threads)
    if not masked_sum(&s.plan, &s.gradient, &s.update, <floating*>s.scratch, s.n_threads, last):
        return 0
    # from here to the end nothing interrupts the step
    if s.signs.current:
        extend_paths(&s.signs, after, W, s.n_threads)
    s.side = 1 - s.side
    s.masks_side = 1 - s.masks_side
    count_sums(s.counts, &s.tally)
    s.stage = NOTHING
    s.t += 1
    return 1


cdef void put_in_order(State s, const floating* W) noexcept nogil:
    """Copy W, into chunks, and a, with the neurons in the order of the signs."""
    cdef Py_ssize_t p, q, width = columns(W), neurons = s.signs.neuron_words * WORD
    cdef Py_ssize_t stride = s.stride, chunks = s.chunks
    cdef const Py_ssize_t* order = s.signs.order
    cdef const floating* a = <const floating*>s.a
    cdef floating* ordered_W = <floating*>s.ordered_W
    cdef floating* ordered_a = <floating*>s.ordered_a
    for p in prange(s.m, num_threads=s.n_threads, schedule="static"):
        for q in range(chunks):
            memcpy(ordered_W + (q * neurons + p) * width, W + order[p] * stride + q * width,
                   width * sizeof(floating))
        ordered_a[p] = a[order[p]]


cdef int add_linear(State s, const floating* W, double* last) except -1 nogil:
    """f = (1 - slope) f + slope X v with v = sum_j a_j w_j, j ascending: the leaky ReLU of h is
    slope h + (1 - slope) relu(h). O((n + m) d)."""
    cdef Py_ssize_t task, j, k, i, end, width = columns(W), n = s.words * WORD
    cdef Py_ssize_t stride = s.stride, neurons = s.neurons
    cdef double slope = s.slope
    cdef const floating* a = <const floating*>s.a
    cdef floating* v = <floating*>s.linear
    cdef floating* product = <floating*>s.linear_H
    cdef floating* f = <floating*>s.f
    memset(v, 0, stride * sizeof(floating))
    for task in prange((stride + WORD - 1) // WORD, num_threads=s.n_threads, schedule="static"):
        end = min((task + 1) * WORD, stride)
        for j in range(neurons):
            for k in range(task * WORD, end):
                v[k] += a[j] * W[j * stride + k]
    multiply(<const floating*>s.lanes, n, s.d, v, stride, TILE, product, s.n_threads, last)
    for i in range(n):
        f[i] = <floating>((1 - slope) * f[i]
                          + slope * product[i // width * TILE * width + i % width])
    return 0


cdef int check_masks(State s, const floating* W, double* last) except -1 nogil:
    """Compare masks with those of a full evaluation, and the transposed ones with them."""
    cdef preactivations_t h = preactivations_t(
        words=s.words, neurons=s.neurons, ready=False, H=NULL, lanes=s.lanes, d=s.d, W=W,
        stride=s.stride)
    cdef activation_t checked = activation_t(a=s.a, slope=0, masks=&s.checked[0, 0],
                                             partial=s.partial)
    cdef int64_t wrong
    evaluate(&h, &checked, NULL, <floating*>s.scratch, s.n_threads, last)
    wrong = rfa_common(level()).differences(current_masks(s), &s.checked[0, 0],
                                            s.words * s.neurons)
    if wrong:
        with gil:
            raise RuntimeError(f"{wrong} certified activations differ from a full evaluation")
    wrong = wrong_transposes(&s.signs, current_masks(s))
    if wrong:
        with gil:
            raise RuntimeError(f"{wrong} words of the transposed activations are wrong")
    return 0
