"""The hot loops: activation masks, per-neuron gradient accumulation, alignment counting.

All of them work on words of 64 samples, so that the activations of a neuron on a word are the bits
of one integer. Threads share out outputs and never the terms of a sum. A sum that has to be split,
that over blocks of neurons in f, is split at fixed places and added in order, so no result depends
on the number of threads. Here are threads, blocks and bookkeeping; loops without decisions are the
leaves in kernels/simd. The packed layouts are drawn in kernels/README.md.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from rfa.kernels.guards cimport allocate, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.layouts cimport pack_lanes, pack_rows
from rfa.kernels.levels cimport (
    BLOCK, ENTRY, HALF_SPAN, LANE, SPAN, TABLES, TILE, WHOLE_TABLES, WORD, blocks_of, columns,
    level, rfa_activation, rfa_common, rfa_f32, rfa_f64, rfa_parts, rfa_seconds, rfa_update,
    words_of,
)
from rfa.kernels.plans cimport (
    ADDED, ALIKE, COUNTS, DISTINCT, JOINED, KIND, LOOKED_UP, RUN, SHARED, STORE, block_of, block_t,
    counts_of, lists_of, masks_of, next_bundle, plan_block, plan_size, plan_sums, plan_t, shift_of,
    spans_of,
)
from rfa.kernels.tasks cimport next_task, queues_t, share_tasks

cdef extern from * nogil:
    int __builtin_ctzll(unsigned long long)
    int __builtin_popcountll(unsigned long long)

cdef enum:
    # bytes of a word of samples in a panel of their coordinates: half of a second cache of 512 KB
    PANEL = 1 << 18
    PIECE = BLOCK // 2    # neurons of a task of the matrix multiply, at most
    LAST = BLOCK + 1      # entry of the store, free while it has a sum for each neuron
    FEW = 40              # sums of a span for which whole tables do not pay (same bits)
    QUEUE = 16            # reals at the beginning of a thread's scratch, for its queue of tasks
    # entries of a thread's scratch behind its queue: tables, store, three rooms for sums of a run,
    # sums of a block of neurons, and its products or the total of all samples
    STORE_AT = TABLES
    RUNS_AT = STORE_AT + STORE
    SUMS_AT = RUNS_AT + 3 * RUN
    TOTAL_AT = SUMS_AT + BLOCK
    ENTRIES = TOTAL_AT + BLOCK

# A mask and a list for the sum over a whole span.
cdef uint64_t ALL_ONES = ~<uint64_t>0
cdef uint8_t FIRST = 0

cdef int _level = level()
FEW_SUMS = FEW   # for bench/limits.py


# --------------------------------------------------------------------------- matrix multiply

cdef inline void _matmul_tile(const floating* x, Py_ssize_t lane_stride, const floating* w,
                              Py_ssize_t stride, Py_ssize_t depth, int first, floating* h,
                              Py_ssize_t chunk_stride, Py_ssize_t samples) noexcept nogil:
    if floating is float:
        rfa_f32(_level).matmul_tile(x, lane_stride, w, stride, depth, first, h, chunk_stride,
                                    samples)
    else:
        rfa_f64(_level).matmul_tile(x, lane_stride, w, stride, depth, first, h, chunk_stride,
                                    samples)


cdef inline Py_ssize_t in_chunks(Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """Columns of the chunks that n samples of a word are in; 64 samples if n is larger."""
    return (min(n, <Py_ssize_t>WORD) + width - 1) // width * width


cdef Py_ssize_t panel_depth(const floating* real) noexcept nogil:
    """Coordinates of a panel, for reals of this type."""
    return PANEL // (WORD * <Py_ssize_t>sizeof(floating))


cdef void multiply_panel(const floating* lanes, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k,
                         const floating* W, Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                         Py_ssize_t chunk_stride) noexcept nogil:
    """The part of multiply_word that is the panel of coordinates from the k-th on. Panels have to
    be taken in order."""
    cdef Py_ssize_t t, j, width = columns(H), depth = min(d - k, panel_depth(H))
    for t in range(neurons // TILE):
        j = t * TILE
        _matmul_tile(lanes + k * LANE, d * LANE, W + j * stride + k, stride, depth, k == 0,
                     H + j * width, chunk_stride, in_chunks(n, width))


cdef void multiply_word(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                        Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                        Py_ssize_t chunk_stride) noexcept nogil:
    """multiply for a word of n samples, in one thread."""
    cdef Py_ssize_t k = 0
    while k < d:
        multiply_panel(lanes, n, d, k, W, stride, neurons, H, chunk_stride)
        k += panel_depth(H)


cdef int multiply(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, Py_ssize_t neurons, floating* H, int n_threads, double* last
                  ) except -1 nogil:
    """H [chunk][neuron][column] = <w_j, x_i> for n samples, with the bits of evaluate. Chunks
    without samples are not written. 2 n m d flops."""
    cdef Py_ssize_t words = words_of(n), width = columns(H)
    # several tasks for each thread, since the last word has fewer samples
    cdef Py_ssize_t tiles = max(<Py_ssize_t>1, words * neurons // (4 * n_threads * TILE))
    cdef Py_ssize_t piece = min(tiles * TILE, <Py_ssize_t>PIECE)
    cdef Py_ssize_t pieces = (neurons + piece - 1) // piece, tasks = words * pieces
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (WORD * piece * d + 1))
    cdef Py_ssize_t first = 0, stop, task, w, j
    while first < tasks:
        check_signals(last)
        stop = min(first + share, tasks)
        for task in prange(first, stop, num_threads=n_threads, schedule="dynamic"):
            w = task // pieces
            j = task % pieces * piece
            multiply_word(lanes + w * d * WORD, n - w * WORD, d, W + j * stride, stride,
                          min(neurons - j, piece), H + w * WORD * neurons + j * width,
                          neurons * width)
        first = stop
    return 0


# --------------------------------------------------------------------------- activation masks

cdef inline void _activate_tile(const floating* h, Py_ssize_t chunk_stride, const floating* a,
                                double slope, uint64_t* masks, floating* f) noexcept nogil:
    if floating is float:
        rfa_f32(_level).activate_tile(h, chunk_stride, a, <float>slope, masks, f)
    else:
        rfa_f64(_level).activate_tile(h, chunk_stride, a, slope, masks, f)


cdef int evaluate(const preactivations_t* h, const activation_t* out, const ranges_t* ranges,
                  floating* scratch, int n_threads, double* last) except -1 nogil:
    """The masks 1[h > 0] and each block's share of f = phi(h) a, phi being the ReLU with the slope
    of out on the left; add_partial then makes f of the shares.

    If h is not ready, it is computed in pieces of a word and a block, which stay in cache: 2 n m d
    flops, X is read once for each block of neurons. The number of neurons is a multiple of TILE,
    with rows of zeros for padding. Unless ranges is NULL, the extremes of h are found, too.
    """
    cdef Py_ssize_t tasks = h.words * blocks_of(h.neurons), depth = 1 if h.ready else h.d
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (WORD * BLOCK * depth + 1))
    cdef Py_ssize_t first = 0, stop, task
    while first < tasks:
        check_signals(last)
        stop = min(first + share, tasks)
        for task in prange(first, stop, num_threads=n_threads, schedule="dynamic"):
            evaluate_task(h, out, ranges, task, threadid(),
                          scratch + threadid() * evaluate_scratch())
        first = stop
    return 0


cdef void evaluate_task(const preactivations_t* h, const activation_t* out, const ranges_t* ranges,
                        Py_ssize_t task, int thread, floating* own) noexcept nogil:
    """evaluate for one word of samples and one block of neurons; own: room for its h."""
    cdef Py_ssize_t w = task % h.words, first = task // h.words * BLOCK, t, i, j, k = 0
    cdef Py_ssize_t count = min(h.neurons - first, <Py_ssize_t>BLOCK), width = columns(own)
    cdef Py_ssize_t d = 1 if h.ready else h.d, chunk_stride = BLOCK * width
    cdef const floating* lanes = NULL
    cdef const floating* W = NULL
    cdef const floating* a = <const floating*>out.a + first
    cdef floating* f = <floating*>out.partial + task * WORD
    cdef uint64_t unused[TILE]
    cdef Py_ssize_t segment = 0   # the first one of the word
    while ranges != NULL and ranges.segments[3 * segment] < w:
        segment += 1
    if h.ready:
        own = <floating*>h.H + w * WORD * h.neurons + first * width
        chunk_stride = h.neurons * width
    else:
        lanes = <const floating*>h.lanes + w * d * WORD
        W = <const floating*>h.W + first * h.stride
    for i in range(WORD):
        f[i] = 0
    while k < d:
        for t in range(count // TILE):
            j = t * TILE
            if not h.ready:
                multiply_panel(lanes, WORD, d, k, W + j * h.stride, h.stride, TILE,
                               own + j * width, chunk_stride)
            if k + panel_depth(own) < d:
                continue
            _activate_tile(own + j * width, chunk_stride, a + j, out.slope,
                           &unused[0] if out.masks == NULL
                           else out.masks + w * h.neurons + first + j, f)
            if ranges != NULL:
                widen_ranges(ranges, segment, own + j * width, chunk_stride,
                             ranges.extremes + 2 * ranges.groups * (
                                 thread * h.neurons + first + j))
        k += panel_depth(own)


cdef void widen_ranges(const ranges_t* ranges, Py_ssize_t first, const floating* h,
                       Py_ssize_t chunk_stride, double* extremes) noexcept nogil:
    """Let the extremes of a tile of neurons include their h on the word of samples that begins with
    this segment."""
    cdef Py_ssize_t i, q = first, begin
    cdef const int64_t* segment = ranges.segments + 3 * q
    cdef int64_t word = segment[0]
    while q < ranges.n_segments and segment[0] == word:
        begin = __builtin_ctzll(segment[2])
        for i in range(TILE):
            _widen(h + i * columns(h), chunk_stride, begin,
                   begin + __builtin_popcountll(segment[2]),
                   extremes + 2 * (i * ranges.groups + segment[1]))
        q += 1
        segment = ranges.segments + 3 * q


cdef inline void _widen(const floating* h, Py_ssize_t chunk_stride, Py_ssize_t begin,
                        Py_ssize_t end, double* extremes) noexcept nogil:
    """extremes = (min, max) of themselves and of columns begin, ..., end - 1 of a row in chunks."""
    cdef Py_ssize_t width = columns(h), i, q
    cdef floating low = <floating>extremes[0], high = <floating>extremes[1]
    cdef const floating* chunk
    for q in range(begin // width, (end + width - 1) // width):
        chunk = h + q * chunk_stride
        for i in range(max(begin - q * width, <Py_ssize_t>0), min(end - q * width, width)):
            if chunk[i] < low:
                low = chunk[i]
            if chunk[i] > high:
                high = chunk[i]
    extremes[0] = low
    extremes[1] = high


cdef Py_ssize_t partial_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil:
    """Reals of the blocks' shares of f."""
    return blocks_of(neurons) * words * WORD


cdef Py_ssize_t evaluate_scratch() noexcept nogil:
    """Reals that each thread of evaluate works in."""
    return BLOCK * WORD


cdef void add_partial(const floating* partial, Py_ssize_t words, Py_ssize_t neurons,
                      floating* f) noexcept nogil:
    """f = the sum of the shares of the blocks of neurons, block after block."""
    cdef Py_ssize_t i, b
    cdef floating total
    for i in range(words * WORD):
        total = 0
        for b in range(blocks_of(neurons)):
            total = total + partial[b * words * WORD + i]
        f[i] = total


# --------------------------------------------------------------------------- masked sums

cdef inline void _subset_sums(const floating* rows, const floating* c, int kind,
                              floating* tables) noexcept nogil:
    if floating is float:
        rfa_f32(_level).subset_sums(rows, c, kind, tables)
    else:
        rfa_f64(_level).subset_sums(rows, c, kind, tables)


cdef inline void _look_up(const floating* tables, const uint64_t* masks, int shift,
                          const uint8_t* list, Py_ssize_t count, int kind, bint add,
                          floating* out) noexcept nogil:
    if floating is float:
        rfa_f32(_level).look_up(tables, masks, shift, list, count, kind, add, out)
    else:
        rfa_f64(_level).look_up(tables, masks, shift, list, count, kind, add, out)


cdef inline void _add_row(const floating* row, const uint8_t* list, Py_ssize_t count,
                          floating* out) noexcept nogil:
    if floating is float:
        rfa_f32(_level).add_row(row, list, count, out)
    else:
        rfa_f64(_level).add_row(row, list, count, out)


cdef inline void _join(const floating* run, const floating* entries, const uint8_t* pairs,
                       Py_ssize_t count, floating* out) noexcept nogil:
    if floating is float:
        rfa_f32(_level).join(run, entries, pairs, count, out)
    else:
        rfa_f64(_level).join(run, entries, pairs, count, out)


cdef inline void _gather(const rfa_parts* parts, Py_ssize_t count, floating* out) noexcept nogil:
    if floating is float:
        rfa_f32(_level).gather(parts, count, out)
    else:
        rfa_f64(_level).gather(parts, count, out)


cdef inline void _add_products(const floating* rows, Py_ssize_t chunk_stride,
                               const rfa_parts* parts, Py_ssize_t count, floating* products
                               ) noexcept nogil:
    if floating is float:
        rfa_f32(_level).add_products(rows, chunk_stride, parts, count, products)
    else:
        rfa_f64(_level).add_products(rows, chunk_stride, parts, count, products)


cdef Py_ssize_t sum_scratch(const floating* real) noexcept nogil:
    """Reals that each thread of a masked sum works in."""
    return QUEUE + ENTRIES * columns(real)


cdef queues_t queues_in(floating* scratch, int n_threads) noexcept nogil:
    """The queues of tasks in the scratch of masked sums."""
    return queues_t(scratch=<char*>scratch, n_threads=n_threads,
                    stride=sum_scratch(scratch) * <Py_ssize_t>sizeof(floating))


cdef void sum_block(const block_t* block, const summands_t* summands, Py_ssize_t q, floating* own,
                    rfa_parts* parts) noexcept nogil:
    """sum_i A_ij c_i rows_i for a block of neurons and chunk q of the columns. If the summands have
    a common part, the sum of all c_i rows_i is added to entry TOTAL_AT of own, the thread's
    scratch.

    Span by span. The sums of shared spans and of runs are stored for as many spans as form a
    bundle, and then gathered by the neurons. The last bundle is left to whoever makes use of the
    sums: parts tells how these are put together.
    """
    cdef Py_ssize_t width = columns(own), first = 0, bundle = 0, span, stored, terms = 0
    cdef const floating* rows = <const floating*>summands.rows + (
        q * words_of(block.samples) * WORD * width)
    cdef const floating* c = <const floating*>summands.c
    cdef floating* store = own + STORE_AT * width
    cdef floating* sums = own + SUMS_AT * width
    cdef floating* total = own + TOTAL_AT * width
    cdef const int32_t* counts
    cdef int kind, side = 0
    cdef bint shared, with_total = summands.common > 0
    clear_entries(own)
    parts.store = store
    parts.sums = NULL
    while first < block.spans:
        bundle = next_bundle(block, first, &terms)
        stored = 1
        if terms == 0 and parts.sums == NULL:
            memset(sums, 0, block.neurons * width * sizeof(floating))
            parts.sums = sums
        elif terms > 0 and not counts_of(block, first)[KIND] & SHARED:
            memset(store + width, 0, block.neurons * width * sizeof(floating))
        for span in range(first, first + bundle):
            counts = counts_of(block, span)
            shared = counts[KIND] & SHARED
            kind = kind_of_tables(block, span)
            if counts[LOOKED_UP] > 0 or (counts[ADDED] > 0 and not shared) or with_total:
                _subset_sums(rows + span * SPAN * width, c + span * SPAN, kind, own)
            if with_total:
                _look_up(own, &ALL_ONES, 0, &FIRST, 1, kind, True, total)
            if shared:
                stored += store_shared(block, span, span + 1 == first + bundle, kind, own,
                                       store + stored * width, &side)
            else:
                add_listed(block, span, kind, own, store + LAST * width,
                           store + width if terms > 0 else sums)
        parts.index = block.index + first * BLOCK
        parts.terms = terms
        first += bundle
        if terms > 0 and first < block.spans:
            _gather(parts, block.neurons, sums)
            parts.sums = sums


cdef void clear_entries(floating* own) noexcept nogil:
    """Make the sums of inactive neurons zero: the first entry of the store and of each room for the
    sums of a run. Adding them changes nothing."""
    cdef Py_ssize_t k, width = columns(own)
    memset(own + STORE_AT * width, 0, ENTRY)
    for k in range(3):
        memset(own + (RUNS_AT + k * RUN) * width, 0, ENTRY)


cdef inline int kind_of_tables(const block_t* block, Py_ssize_t span) noexcept nogil:
    """Whole tables where many sums are looked up; those of half a span where it has no more."""
    cdef int kind = WHOLE_TABLES if counts_of(block, span)[LOOKED_UP] > FEW else 0
    if block.samples - span * SPAN <= SPAN // 2:
        kind |= HALF_SPAN
    return kind


cdef inline void add_listed(const block_t* block, Py_ssize_t span, int kind,
                            const floating* tables, floating* whole, floating* out
                            ) noexcept nogil:
    """Add to out the sums of the neurons that a listed span has: looked up for those active on a
    part of it, and one sum for all that are active on the whole of it, which whole has room for."""
    cdef const uint8_t* lists = lists_of(block, span)
    cdef const int32_t* counts = counts_of(block, span)
    _look_up(tables, masks_of(block, span), shift_of(span), lists, counts[LOOKED_UP], kind, True,
             out)
    if counts[ADDED] > 0:
        _look_up(tables, &ALL_ONES, 0, &FIRST, 1, kind, False, whole)
        _add_row(whole, lists + BLOCK, counts[ADDED], out)


cdef inline Py_ssize_t store_shared(const block_t* block, Py_ssize_t span, bint last, int kind,
                                    floating* own, floating* store, int* side) noexcept nogil:
    """Look up the sum of each pattern of a shared span, and add it to the sums of the run that the
    span joins. Returns how many sums went into the store: all if the run ends here, else none.

    The run's sums up to a span are in one of two rooms behind that for the sums of patterns. side
    tells in which; they change places when a span joins.
    """
    cdef Py_ssize_t width = columns(own)
    cdef floating* entries = own + RUNS_AT * width
    cdef floating* run = entries + (1 + side[0]) * RUN * width
    cdef floating* joined = entries + (2 - side[0]) * RUN * width
    cdef const uint64_t* masks = masks_of(block, span)
    cdef const uint8_t* lists = lists_of(block, span)
    cdef const int32_t* counts = counts_of(block, span)
    cdef bint ends = last or not counts_of(block, span + 1)[KIND] & JOINED
    if counts[KIND] & JOINED:
        _look_up(own, masks, shift_of(span), lists + BLOCK, counts[LOOKED_UP], kind, False,
                 entries + width)
        _join(run, entries, lists + BLOCK + RUN, counts[DISTINCT],
              store if ends else joined + width)
        side[0] = 1 - side[0]
    else:
        _look_up(own, masks, shift_of(span), lists + BLOCK, counts[LOOKED_UP], kind, False,
                 store if ends else run + width)
    return counts[DISTINCT] if ends else 0


# --------------------------------------------------------------------------- gradient

cdef inline Py_ssize_t sum_share(Py_ssize_t words) noexcept nogil:
    """Chunks of blocks, each a sum over these words, between two looks at the clock."""
    return TASK_WORK // (words * BLOCK * (WORD // 4) + 1)


def sums_at_once(Py_ssize_t words, Py_ssize_t neurons, Py_ssize_t chunks):
    """Whether nothing interrupts masked_sum once it has begun to write."""
    return bool(chunks * blocks_of(neurons) <= sum_share(words))


cdef int masked_sum(const plan_t* plan, const summands_t* summands, const update_t* update,
                    floating* scratch, int n_threads, double* last) except -1 nogil:
    """out_j = shrink base_j + scale_j sum_i (A_ij + common) c_i rows_i. 1 if all of out is finite,
    else 0.

    A is binary: the subset sums of five or six scaled rows are tabulated once for all neurons, and
    each neuron adds the entries that its mask bits select, six for a span of 32 samples, three for
    the last one if it has at most 16. 3/16 n m d adds and loads from L1 in place of 2 n m d flops,
    and twice the loads where tables are halves. As few as 1/32 n m d where neurons have the same
    patterns, since the sum of each pattern is then made once, and fewer where spans form runs.
    Inactive neurons cost nothing.

    The order of a sum is that of the spans, whatever the number of threads: each task is a whole
    piece of out, one chunk of columns of one block of neurons.
    """
    return sum_all(plan, summands, update, NULL, scratch, n_threads, last)


cdef int masked_sum_and_activate(const plan_t* plan, const summands_t* summands,
                                 const update_t* update, const activation_t* activation,
                                 floating* scratch, int n_threads, double* last
                                 ) except -1 nogil:
    """masked_sum where columns are samples and out are pre-activations, with scale = a. What
    evaluate makes of H = out is made at once."""
    return sum_all(plan, summands, update, activation, scratch, n_threads, last)


cdef int sum_all(const plan_t* plan, const summands_t* summands, const update_t* update,
                 const activation_t* activation, floating* scratch, int n_threads, double* last
                 ) except -1 nogil:
    """masked_sum, and unless activation is NULL, masked_sum_and_activate."""
    cdef Py_ssize_t tasks = summands.chunks * blocks_of(plan.neurons)
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, sum_share(words_of(plan.samples)))
    cdef Py_ssize_t first = 0, stop
    cdef Py_ssize_t infinite = 0   # pieces of out that are not finite
    cdef queues_t queues = queues_in(scratch, n_threads)
    cdef int thread
    while first < tasks:
        check_signals(last)
        stop = min(first + share, tasks)
        share_tasks(&queues, first, stop)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            infinite += sum_tasks(plan, summands, update, activation, &queues, thread,
                                  scratch + thread * sum_scratch(scratch) + QUEUE)
        first = stop
    return infinite == 0


cdef Py_ssize_t sum_tasks(const plan_t* plan, const summands_t* summands, const update_t* update,
                          const activation_t* activation, const queues_t* queues, int thread,
                          floating* own) noexcept nogil:
    """The tasks of a thread. Returns how many of them have numbers that are not finite."""
    cdef Py_ssize_t task = next_task(queues, thread), infinite = 0
    while task >= 0:
        if not sum_piece(plan, summands, update, activation, task, own):
            infinite += 1
        task = next_task(queues, thread)
    return infinite


cdef bint sum_piece(const plan_t* plan, const summands_t* summands, const update_t* update,
                    const activation_t* activation, Py_ssize_t task, floating* own) noexcept nogil:
    """One chunk of columns of one block of neurons. Whether all of it is finite.

    The smaller one of shrink and 1 - shrink is rounded to the type, so that 1e-9 is not lost beside
    1 in single precision, and nothing cancels."""
    cdef Py_ssize_t blocks = blocks_of(plan.neurons), number = task % blocks, q = task // blocks
    cdef Py_ssize_t j = number * BLOCK, width = columns(own), sample = q * width, k
    cdef Py_ssize_t place = q * update.chunk_stride + j * update.stride
    cdef bint keeps_most = update.shrink >= 0.5
    cdef block_t block = block_of(plan, number)
    cdef floating* total = own + TOTAL_AT * width
    cdef rfa_parts parts
    cdef rfa_update rows
    cdef rfa_activation made
    memset(total, 0, ENTRY)
    sum_block(&block, summands, q, own, &parts)
    for k in range(width):
        total[k] = <floating>(summands.common * total[k])
    rows.keep = 1 if keeps_most else update.shrink
    rows.decay = 1 - update.shrink if keeps_most else 0
    rows.base = <const floating*>update.base + place
    rows.scale = <const floating*>update.scale + j
    rows.common = total
    rows.out = <floating*>update.out + place
    rows.stride = update.stride
    rows.neurons = block.neurons
    if activation == NULL:
        if floating is float:
            return rfa_f32(_level).finish(&parts, &rows)
        else:
            return rfa_f64(_level).finish(&parts, &rows)
    made.slope = activation.slope
    made.masks = activation.masks + sample // WORD * plan.neurons + j
    made.sample = sample % WORD
    made.f = <floating*>activation.partial + (
        number * words_of(summands.chunks * width) * WORD + sample)
    if floating is float:
        return rfa_f32(_level).finish_and_activate(&parts, &rows, &made)
    else:
        return rfa_f64(_level).finish_and_activate(&parts, &rows, &made)


cdef int masked_outputs(const plan_t* plan, const summands_t* weights, const floating* rows,
                        floating* f, floating* scratch, int n_threads, double* last
                        ) except -1 nogil:
    """f_i = <x_i, sum_j A_ij a_j w_j>: masked sums in which samples and neurons have changed
    places.

    The masks of the plan are transposed, [word of neurons][sample]: its `samples` are the neurons,
    its `neurons` the samples. Its lists and counts are room for those of one block in each thread.
    The weights are rows w_j [chunk][neuron][column] and c = a; rows are those of X,
    [chunk][sample][column]. 3/16 n m d adds and loads at most, and 2 n d flops.
    """
    cdef Py_ssize_t blocks = blocks_of(plan.neurons), first = 0, stop
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (
        weights.chunks * words_of(plan.samples) * BLOCK * (WORD // 4) + 1))
    cdef queues_t queues = queues_in(scratch, n_threads)
    cdef int thread
    while first < blocks:
        check_signals(last)
        stop = min(first + share, blocks)
        share_tasks(&queues, first, stop)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            output_tasks(plan, weights, rows, f, &queues, thread,
                         scratch + thread * sum_scratch(scratch) + QUEUE)
        first = stop
    return 0


cdef void output_tasks(const plan_t* plan, const summands_t* weights, const floating* rows,
                       floating* f, const queues_t* queues, int thread, floating* own
                       ) noexcept nogil:
    """The tasks of a thread, each a block of samples."""
    cdef Py_ssize_t task = next_task(queues, thread), words = words_of(plan.samples)
    cdef plan_t mine
    while task >= 0:
        mine = plan[0]
        mine.masks = plan.masks + task * BLOCK
        mine.neurons = min(plan.neurons - task * BLOCK, <Py_ssize_t>BLOCK)
        mine.lists = plan.lists + thread * plan_size(words, BLOCK)
        mine.counts = plan.counts + thread * spans_of(plan.samples) * COUNTS
        output_block(&mine, weights, rows + task * BLOCK * columns(rows),
                     plan.neurons * columns(rows), f + task * BLOCK, own)
        task = next_task(queues, thread)


cdef void output_block(const plan_t* plan, const summands_t* weights, const floating* rows,
                       Py_ssize_t chunk_stride, floating* f, floating* own) noexcept nogil:
    """masked_outputs for a plan of one block."""
    cdef Py_ssize_t width = columns(own), q
    cdef floating* products = own + TOTAL_AT * width
    cdef block_t block = block_of(plan, 0)
    cdef rfa_parts parts
    plan_block(&block)
    memset(products, 0, block.neurons * width * sizeof(floating))
    for q in range(weights.chunks):
        sum_block(&block, weights, q, own, &parts)
        _add_products(rows + q * chunk_stride, chunk_stride, &parts, block.neurons, products)
    if floating is float:
        rfa_f32(_level).fold(products, block.neurons, f)
    else:
        rfa_f64(_level).fold(products, block.neurons, f)


# --------------------------------------------------------------------------- public kernels

cdef Py_ssize_t _padded(Py_ssize_t m) noexcept nogil:
    return (m + TILE - 1) // TILE * TILE


cdef int _masks_and_outputs(const floating[:, :] X, const floating[:, :] W, const floating[:] a,
                            uint64_t* masks, floating* f, int n_threads) except -1 nogil:
    """evaluate on packed copies of X and W; NULL: not asked for. masks [word][neuron] and f have
    room for padding."""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], m = W.shape[0], j, k
    cdef Py_ssize_t words = words_of(n), neurons = _padded(m)
    cdef preactivations_t h
    cdef activation_t activation
    cdef floating* lanes = NULL
    cdef floating* weights = NULL
    cdef floating* second = NULL
    cdef floating* partial = NULL
    cdef floating* scratch = NULL
    cdef double last = rfa_seconds()
    try:
        lanes = <floating*>allocate(words * WORD, d, sizeof(floating))
        weights = <floating*>allocate(neurons, d, sizeof(floating))
        second = <floating*>allocate(neurons, 1, sizeof(floating))
        partial = <floating*>allocate(words * WORD, blocks_of(neurons), sizeof(floating))
        scratch = <floating*>allocate(evaluate_scratch(), n_threads, sizeof(floating))
        pack_lanes(X, NULL, lanes, n_threads, &last)
        memset(weights, 0, neurons * d * sizeof(floating))
        memset(second, 0, neurons * sizeof(floating))
        for j in range(m):
            for k in range(d):
                weights[j * d + k] = W[j, k]
            second[j] = a[j]
        h = preactivations_t(words=words, neurons=neurons, ready=False, H=NULL, lanes=lanes, d=d,
                             W=weights, stride=d)
        activation = activation_t(a=second, slope=0, masks=masks, partial=partial)
        evaluate(&h, &activation, NULL, scratch, n_threads, &last)
        if f != NULL:
            add_partial(partial, words, neurons, f)
    finally:
        free(lanes)
        free(weights)
        free(second)
        free(partial)
        free(scratch)
    return 0


cdef int activation_masks_out(const floating[:, :] X, const floating[:, :] W,
                              uint64_t[:, ::1] masks, int n_threads) except -1 nogil:
    """masks (m, ceil(n/64)): bit i % 64 of masks[j, i // 64] = <w_j, x_i> > 0, padding zero."""
    cdef Py_ssize_t n = X.shape[0], m = W.shape[0], words = words_of(n), j, w
    cdef Py_ssize_t neurons = _padded(m)
    cdef uint64_t* packed = <uint64_t*>allocate(words, neurons, sizeof(uint64_t))
    try:
        # for masks alone any second layer will do
        _masks_and_outputs(X, W, W[:, 0], packed, <floating*>NULL, n_threads)
        for j in range(m):
            for w in range(words):
                masks[j, w] = packed[w * neurons + j]
    finally:
        free(packed)
    return 0


cdef int forward_out(const floating[:, :] X, const floating[:, :] W, const floating[:] a,
                     floating[::1] f, int n_threads) except -1 nogil:
    """f (n,) = sum_j a_j relu(<w_j, x_i>)."""
    cdef Py_ssize_t n = X.shape[0], words = words_of(n), i
    cdef floating* padded = <floating*>allocate(words, WORD, sizeof(floating))
    try:
        _masks_and_outputs(X, W, a, NULL, padded, n_threads)
        for i in range(n):
            f[i] = padded[i]
    finally:
        free(padded)
    return 0


cdef int gradient_out(const floating[:, :] X, const double[:] y, const floating[:, :] W,
                      const floating[:] a, floating[:, ::1] gradient, int n_threads
                      ) except -1 nogil:
    """gradient (m, d) of the mean logistic loss: -(a_j / n) sum_i g_i y_i A_ij x_i."""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], m = W.shape[0]
    cdef Py_ssize_t words = words_of(n), neurons = _padded(m), i, j, k
    cdef floating* f = NULL
    cdef floating* scale = NULL
    cdef floating* rows = NULL
    cdef floating* out = NULL
    cdef floating* scratch = NULL
    cdef double* s = NULL
    cdef double* g = NULL
    cdef uint64_t* masks = NULL
    cdef uint8_t* lists = NULL
    cdef int32_t* counts = NULL
    cdef Py_ssize_t width = columns(f), chunks = (d + width - 1) // width, stride = chunks * width
    cdef Py_ssize_t blocks = blocks_of(neurons)
    cdef double last = rfa_seconds()
    cdef plan_t plan
    cdef summands_t summands
    cdef update_t update
    try:
        f = <floating*>allocate(words, WORD, sizeof(floating))
        scale = <floating*>allocate(neurons, 1, sizeof(floating))
        s = <double*>allocate(words, WORD, sizeof(double))
        g = <double*>allocate(words, WORD, sizeof(double))
        masks = <uint64_t*>allocate(words, neurons, sizeof(uint64_t))
        rows = <floating*>allocate(words * WORD, stride, sizeof(floating))
        out = <floating*>allocate(neurons, stride, sizeof(floating))
        scratch = <floating*>allocate(sum_scratch(f), n_threads, sizeof(floating))
        lists = <uint8_t*>allocate(plan_size(words, BLOCK), blocks, 1)
        counts = <int32_t*>allocate(spans_of(n) * COUNTS, blocks, sizeof(int32_t))
        _masks_and_outputs(X, W, a, masks, f, n_threads)
        memset(s, 0, words * WORD * sizeof(double))
        for i in range(n):
            s[i] = y[i] * f[i]
        rfa_common(_level).loss_weights[0](s, words * WORD, g)
        for i in range(words * WORD):
            f[i] = <floating>(y[i] * g[i] / n) if i < n else 0
        pack_rows(X, NULL, rows, n_threads, &last)
        memset(scale, 0, neurons * sizeof(floating))
        for j in range(m):
            scale[j] = -a[j]
        plan = plan_t(masks=masks, mask_stride=neurons, samples=n, neurons=neurons, look_ups=ALIKE,
                      lists=lists, counts=counts)
        plan_sums(&plan, n_threads)
        memset(out, 0, neurons * stride * sizeof(floating))
        summands = summands_t(rows=rows, c=f, chunks=chunks, common=0)
        update = update_t(shrink=1, base=out, scale=scale, out=out, stride=stride,
                          chunk_stride=width)
        masked_sum(&plan, &summands, &update, scratch, n_threads, &last)
        for j in range(m):
            for k in range(d):
                gradient[j, k] = out[j * stride + k]
    finally:
        free(f)
        free(scale)
        free(s)
        free(g)
        free(masks)
        free(rows)
        free(out)
        free(scratch)
        free(lists)
        free(counts)
    return 0


# --------------------------------------------------------------------------- alignment counting

cdef int active_counts_out(const uint64_t[:, ::1] masks, const int64_t[:] groups,
                           int64_t[:, ::1] counts) except -1 nogil:
    """counts (m, G) = the number of active samples of each group: popcounts of the mask words, of
    which the bits of one group are kept. O(m (n/64 + G)) if the samples are sorted by group."""
    cdef Py_ssize_t m = masks.shape[0], n = groups.shape[0], G = counts.shape[1], w, i, j, g
    cdef uint64_t* keep = <uint64_t*>allocate(G, 1, sizeof(uint64_t))
    counts[:, :] = 0
    for w in range(masks.shape[1]):
        memset(keep, 0, G * sizeof(uint64_t))
        for i in range(w * WORD, min((w + 1) * WORD, n)):
            keep[groups[i]] |= <uint64_t>1 << (i % WORD)
        for g in range(G):
            if keep[g]:
                for j in range(m):
                    counts[j, g] += __builtin_popcountll(masks[j, w] & keep[g])
    free(keep)
    return 0


def activation_masks(const floating[:, :] X, const floating[:, :] W, uint64_t[:, ::1] masks,
                     int n_threads):
    with OwnArithmetic(n_threads), nogil:
        activation_masks_out(X, W, masks, n_threads)


def forward(const floating[:, :] X, const floating[:, :] W, const floating[:] a, floating[::1] f,
            int n_threads):
    with OwnArithmetic(n_threads), nogil:
        forward_out(X, W, a, f, n_threads)


def gradient(const floating[:, :] X, const double[:] y, const floating[:, :] W,
             const floating[:] a, floating[:, ::1] out, int n_threads):
    with OwnArithmetic(n_threads), nogil:
        gradient_out(X, y, W, a, out, n_threads)


def active_counts(const uint64_t[:, ::1] masks, const int64_t[:] groups, int64_t[:, ::1] counts):
    with nogil:
        active_counts_out(masks, groups, counts)


def loss_weights(const double[::1] s, double[::1] g, int loss=0):
    """g = -l'(s), for the loss of this number (0: logistic); s of a length divisible by 8."""
    rfa_common(_level).loss_weights[loss](&s[0], s.shape[0], &g[0])


def losses(const double[::1] s, double[::1] out, int loss=0):
    """l(s), for the loss of this number (0: logistic); s of a length divisible by 8."""
    rfa_common(_level).losses[loss](&s[0], s.shape[0], &out[0])


def layout(floating[::1] real, Py_ssize_t words, Py_ssize_t test_words, Py_ssize_t neurons):
    """(columns of a chunk, reals of the blocks' shares of f, reals of a thread's scratch), for
    reals of this type."""
    return (columns(&real[0]), partial_size(max(words, test_words), neurons),
            max(evaluate_scratch(), sum_scratch(&real[0])))
