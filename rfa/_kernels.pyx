"""The hot loops: activation masks, per-neuron gradient accumulation, alignment counting.

All of them work on 64-sample blocks, so that the activations of a neuron on a block are one
64-bit mask word. Outputs are split among threads, never sums: a sum that is split (over blocks of
neurons in f) is split at fixed places and added in order, so no result depends on the number of
threads. Loops without decisions are the leaves of kernels/simd; here are threads and blocks.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from rfa.kernels.guards cimport allocate, check_signals
from rfa.kernels.guards import OwnArithmetic
from rfa.kernels.levels cimport (
    BATCH, BLOCK, ENTRY, HALF_BATCH, LANE, TABLES, TILE, WHOLE_TABLES, WORD, columns, level,
    rfa_common, rfa_f32, rfa_f64, rfa_seconds,
)
from rfa.kernels.plans cimport (
    ADDED, COUNTS, DISTINCT, JOINED, KIND, LOOKED_UP, RUN, SHARED, STORE, group_index,
    next_group, plan_block, plan_size, plan_sums,
)

cdef extern from * nogil:
    int64_t __atomic_fetch_add(int64_t*, int64_t, int)
    int __ATOMIC_RELAXED
    int __builtin_ctzll(unsigned long long)
    int __builtin_popcountll(unsigned long long)

cdef enum:
    # bytes of a word of samples in a panel of their coordinates: half of a second cache of 512 KB
    PANEL = 1 << 18
    PIECE = BLOCK // 2    # neurons to a task of the matrix multiply, at most
    LAST = BLOCK + 1      # row of the store, free while it has a sum for each neuron
    FEW = 40              # sums of a batch for which whole tables do not pay (same bits)
    QUEUE = 16            # reals that begin a thread's scratch: its tasks, on lines of their own
    PACKED = 1 << 20      # reals that are packed between two looks at the clock

# A mask and a list for the sum of a whole batch.
cdef uint64_t ALL_ONES = ~<uint64_t>0
cdef uint8_t FIRST = 0

cdef int _level = level()
FEW_SUMS = FEW   # for bench/limits.py

# --------------------------------------------------------------------------- queues of tasks

cdef void share_tasks(Py_ssize_t first, Py_ssize_t stop, floating* scratch, Py_ssize_t apart,
                      int n_threads) noexcept nogil:
    """Put a share of the tasks first, ..., stop - 1 into the queue of each thread. It is the same
    share in every step, so that what a task changes stays in the caches of one core."""
    cdef Py_ssize_t k
    cdef int64_t* queue
    for k in range(n_threads):
        queue = <int64_t*>(scratch + k * apart)
        queue[0] = first + (stop - first) * k // n_threads
        queue[1] = first + (stop - first) * (k + 1) // n_threads


cdef Py_ssize_t next_task(floating* scratch, Py_ssize_t apart, int thread, int n_threads
                          ) noexcept nogil:
    """A task of the thread's own queue, or of another's if there is none left; -1 if all are
    taken."""
    cdef Py_ssize_t k
    cdef int64_t task
    cdef int64_t* queue
    for k in range(n_threads):
        queue = <int64_t*>(scratch + (thread + k) % n_threads * apart)
        task = __atomic_fetch_add(queue, 1, __ATOMIC_RELAXED)
        if task < queue[1]:
            return task
    return -1


# --------------------------------------------------------------------------- packed layouts

cdef int pack_lanes(const floating[:, :] X, const int64_t* order, floating* lanes, int n_threads,
                    double* last) except -1 nogil:
    """lanes[q][k][s] = X[order[16 q + s], k], zero beyond the last sample, in whole words of them;
    order NULL: 0, 1, ..."""
    cdef Py_ssize_t words = (X.shape[0] + WORD - 1) // WORD, first = 0, stop, w
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
    """The lanes of the word of samples from begin on: written in order, read from the rows of X
    side by side."""
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
    """rows[q][i][c] = X[order[i], q * columns + c], zero beyond the last sample or column."""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], padded = (n + WORD - 1) // WORD * WORD
    cdef Py_ssize_t width = columns(rows), first = 0, stop, i, k, r
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, PACKED // (d + 1))
    memset(rows, 0, (d + width - 1) // width * width * padded * sizeof(floating))
    while first < n:
        check_signals(last)
        stop = min(first + share, n)
        for i in prange(first, stop, num_threads=n_threads, schedule="static"):
            r = order[i] if order != NULL else i
            for k in range(d):
                rows[((k // width) * padded + i) * width + k % width] = X[r, k]
        first = stop
    return 0


# --------------------------------------------------------------------------- forward pass

cdef inline void _matmul_tile(const floating* x, Py_ssize_t apart, const floating* w,
                              Py_ssize_t stride, Py_ssize_t depth, int first, floating* h,
                              Py_ssize_t block, Py_ssize_t samples) noexcept nogil:
    if floating is float:
        rfa_f32(_level).matmul_tile(x, apart, w, stride, depth, first, h, block, samples)
    else:
        rfa_f64(_level).matmul_tile(x, apart, w, stride, depth, first, h, block, samples)


cdef inline void _activate_tile(const floating* h, Py_ssize_t block, const floating* a,
                                double slope, uint64_t* masks, floating* f) noexcept nogil:
    if floating is float:
        rfa_f32(_level).activate_tile(h, block, a, <float>slope, masks, f)
    else:
        rfa_f64(_level).activate_tile(h, block, a, slope, masks, f)


cdef inline void _widen(const floating* h, Py_ssize_t block, Py_ssize_t begin, Py_ssize_t end,
                        double* bounds) noexcept nogil:
    """bounds = (min, max) of themselves and of columns begin, ..., end - 1 of a row in chunks."""
    cdef Py_ssize_t width = columns(h), i, q
    cdef floating low = <floating>bounds[0], high = <floating>bounds[1]
    cdef const floating* chunk
    for q in range(begin // width, (end + width - 1) // width):
        chunk = h + q * block
        for i in range(max(begin - q * width, <Py_ssize_t>0), min(end - q * width, width)):
            if chunk[i] < low:
                low = chunk[i]
            if chunk[i] > high:
                high = chunk[i]
    bounds[0] = low
    bounds[1] = high


cdef void _evaluate_block(const floating* x, Py_ssize_t d, const floating* w, Py_ssize_t stride,
                          const floating* a, Py_ssize_t neurons, double slope, uint64_t* masks,
                          floating* f, floating* h, Py_ssize_t block, const int64_t* segments,
                          Py_ssize_t n_segments, Py_ssize_t groups, double* ranges, bint given
                          ) noexcept nogil:
    """One word of samples, one block of neurons: their masks, the block's share of f and, where
    ranges is given, the smallest and largest h per neuron and group. given: h is there already; its
    chunks are block apart."""
    cdef Py_ssize_t t, j, i, q, begin, k = 0, depth = panel_depth(x)
    cdef uint64_t unused[TILE]
    cdef floating* tile
    for i in range(WORD):
        f[i] = 0
    while k < d:
        for t in range(neurons // TILE):
            j = t * TILE
            tile = h + j * columns(h)
            if not given:
                multiply_panel(x, WORD, d, k, w + j * stride, stride, TILE, tile, block)
            if k + depth < d:
                continue
            _activate_tile(tile, block, a + j, slope, &unused[0] if masks == NULL else masks + j,
                           f)
            if ranges == NULL:
                continue
            for i in range(TILE):
                for q in range(n_segments):
                    begin = __builtin_ctzll(segments[3 * q + 2])
                    _widen(tile + i * columns(h), block, begin,
                           begin + __builtin_popcountll(segments[3 * q + 2]),
                           ranges + 2 * ((j + i) * groups + segments[3 * q + 1]))
        k += depth


cdef inline Py_ssize_t blocks_of(Py_ssize_t neurons) noexcept nogil:
    """How many blocks these neurons fill."""
    return (neurons + BLOCK - 1) // BLOCK


cdef Py_ssize_t partial_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil:
    """Reals in the partial sums of f."""
    return blocks_of(neurons) * words * WORD


cdef Py_ssize_t evaluate_scratch() noexcept nogil:
    """Reals that a thread of evaluate works in."""
    return BLOCK * WORD


cdef int evaluate(const floating* lanes, Py_ssize_t words, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, const floating* H, const floating* a, Py_ssize_t neurons,
                  double slope, uint64_t* masks, floating* partial, floating* scratch,
                  const int64_t* segments, Py_ssize_t n_segments, Py_ssize_t groups,
                  double* ranges, floating* f, int n_threads, double* last) except -1 nogil:
    """masks = 1[H > 0] and f = phi(H) a, H = X W^T in 64-by-BLOCK pieces that stay in cache; phi is
    the ReLU with this slope of its left part.

    2 n m d flops; reads X once per block of neurons, writes nm/8 bytes. neurons is padded to TILE
    with rows of zeros. masks may be NULL. With ranges (per thread: neurons x groups x (min, max))
    also the extremes of h per group, the groups being runs of samples given by segments
    (word, group, bits), ordered by word. f may be NULL, too. H [chunk][neuron][column], if it is
    given, is taken as it is and lanes, d and W are not used.
    """
    cdef Py_ssize_t blocks = blocks_of(neurons), tasks = words * blocks
    cdef Py_ssize_t depth = d if H == NULL else 1
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (WORD * BLOCK * depth + 1))
    cdef Py_ssize_t first = 0, stop, task, w, j, q, end
    while first < tasks:
        check_signals(last)
        stop = min(first + share, tasks)
        for task in prange(first, stop, num_threads=n_threads, schedule="dynamic"):
            w = task % words
            j = task // words * BLOCK
            q = 0
            end = 0
            if ranges != NULL:
                while segments[3 * q] < w:
                    q = q + 1
                end = q
                while end < n_segments and segments[3 * end] == w:
                    end = end + 1
            _evaluate_block(lanes + w * d * WORD, depth, W + j * stride, stride, a + j,
                            min(neurons - j, <Py_ssize_t>BLOCK), slope,
                            NULL if masks == NULL else masks + w * neurons + j,
                            partial + task * WORD,
                            scratch + threadid() * evaluate_scratch() if H == NULL
                            else <floating*>H + w * WORD * neurons + j * columns(H),
                            (BLOCK if H == NULL else neurons) * columns(H),
                            segments + 3 * q, end - q, groups,
                            NULL if ranges == NULL else
                            ranges + 2 * groups * (threadid() * neurons + j), H != NULL)
        first = stop
    if f != NULL:
        add_partial(partial, words, neurons, f)
    return 0


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


cdef inline Py_ssize_t in_chunks(Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """Columns of the chunks of this width that n samples of a word are in, 64 or fewer."""
    return (min(n, <Py_ssize_t>WORD) + width - 1) // width * width


cdef Py_ssize_t panel_depth(const floating* real) noexcept nogil:
    """Coordinates to a panel."""
    return PANEL // (WORD * <Py_ssize_t>sizeof(floating))


cdef void multiply_panel(const floating* lanes, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k,
                         const floating* W, Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                         Py_ssize_t block) noexcept nogil:
    """multiply_word's share of the panel of coordinates that begins with the k-th, panels being
    taken in order."""
    cdef Py_ssize_t t, j, width = columns(H), depth = min(d - k, panel_depth(H))
    for t in range(neurons // TILE):
        j = t * TILE
        _matmul_tile(lanes + k * LANE, d * LANE, W + j * stride + k, stride, depth, k == 0,
                     H + j * width, block, in_chunks(n, width))


cdef void multiply_word(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                        Py_ssize_t stride, Py_ssize_t neurons, floating* H, Py_ssize_t block
                        ) noexcept nogil:
    """multiply for n samples of a word, in one thread; chunks of H are block apart."""
    cdef Py_ssize_t k = 0
    while k < d:
        multiply_panel(lanes, n, d, k, W, stride, neurons, H, block)
        k += panel_depth(H)


cdef int multiply(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, Py_ssize_t neurons, floating* H, int n_threads, double* last
                  ) except -1 nogil:
    """H [chunk][neuron][column] = <w_j, x_i>, as evaluate computes it, of n samples; chunks without
    samples are not written. 2 n m d flops."""
    cdef Py_ssize_t words = (n + WORD - 1) // WORD, width = columns(H)
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


# --------------------------------------------------------------------------- gradient

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


cdef inline void _gather(const floating* sums, const floating* store, const uint16_t* index,
                         Py_ssize_t terms, Py_ssize_t count, floating* out) noexcept nogil:
    if floating is float:
        rfa_f32(_level).gather(sums, store, index, terms, count, out)
    else:
        rfa_f64(_level).gather(sums, store, index, terms, count, out)


cdef inline void _add_products(const floating* rows, Py_ssize_t next_rows, const floating* sums,
                               const floating* store, const uint16_t* index, Py_ssize_t terms,
                               Py_ssize_t count, floating* products) noexcept nogil:
    if floating is float:
        rfa_f32(_level).add_products(rows, next_rows, sums, store, index, terms, count, products)
    else:
        rfa_f64(_level).add_products(rows, next_rows, sums, store, index, terms, count, products)


cdef inline bint _finish(const floating* base, double shrink, const floating* scale,
                         const floating* sums, const floating* store, const uint16_t* index,
                         Py_ssize_t terms, const floating* common, Py_ssize_t neurons,
                         Py_ssize_t stride, floating* out, double slope, uint64_t* masks,
                         Py_ssize_t sample, floating* f) noexcept nogil:
    """Whether all of out is finite. The smaller one of shrink and 1 - shrink is rounded to the
    type, so that 1e-9 is not lost beside 1 in single precision, and nothing cancels."""
    cdef floating keep = 1 if shrink >= 0.5 else <floating>shrink
    cdef floating decay = <floating>(1 - shrink) if shrink >= 0.5 else 0
    if floating is float:
        return rfa_f32(_level).finish(base, keep, decay, scale, sums, store, index, terms,
                                      common, neurons, stride, out, <float>slope, masks, sample,
                                      f) == 0
    else:
        return rfa_f64(_level).finish(base, keep, decay, scale, sums, store, index, terms,
                                      common, neurons, stride, out, slope, masks, sample, f) == 0


cdef Py_ssize_t sum_scratch(const floating* real) noexcept nogil:
    """Reals that a thread of masked_sum or masked_outputs works in: its tasks, tables, sums that
    are shared, those of runs, the sums of a block and its products or the sum of all."""
    return QUEUE + (TABLES + STORE + 3 * RUN + 2 * BLOCK) * columns(real)


cdef Py_ssize_t sum_block(const uint64_t* masks, Py_ssize_t n, Py_ssize_t neurons,
                          Py_ssize_t count, const uint8_t* plan, const int32_t* counts,
                          Py_ssize_t blocks, const uint16_t* index, const floating* c,
                          const floating* rows, floating* scratch, floating* sums,
                          floating* total, Py_ssize_t* terms) noexcept nogil:
    """sum_i A_ij c_i rows_i over n samples for a block of neurons, a chunk of columns, and total
    the sum of all c_i rows_i unless it is NULL.

    Masks, plan, counts and index begin with those of the block, the next batch's plan being that
    of so many blocks later. Batch by batch, but the sums of runs, and those of distinct words, are
    stored for as many batches as there is room for and then gathered by the neurons. Those of the
    last batches, as many as is returned, are left for the caller to gather, so many terms of each
    neuron; sums [neuron][column] has the others, if there are others.
    """
    cdef Py_ssize_t width = columns(rows), batches = batches_of(n)
    cdef Py_ssize_t batch, group = 0, first = 0, stored
    cdef floating* store = scratch + TABLES * width
    cdef floating* entries = store + STORE * width      # of a batch that joins a run
    cdef floating* run = entries + RUN * width          # the run's sums, up to the batch before
    cdef floating* joined = run + RUN * width           # and with it
    cdef floating* swapped
    cdef const uint64_t* word
    cdef const uint8_t* listed
    cdef const int32_t* counted
    cdef int shift, kind
    cdef bint shared, begun = False, ends, joins
    # the first ones are those of the inactive: adding them changes nothing
    memset(store, 0, ENTRY)
    memset(entries, 0, ENTRY)
    memset(run, 0, ENTRY)
    memset(joined, 0, ENTRY)
    terms[0] = 0
    if total != NULL:
        memset(total, 0, ENTRY)
    while first < batches:
        group = next_group(counts + first * blocks * COUNTS, blocks, batches - first, terms)
        stored = 1
        if terms[0] == 0 and not begun:
            memset(sums, 0, count * width * sizeof(floating))
            begun = True
        elif terms[0] > 0 and not counts[first * blocks * COUNTS + KIND] & SHARED:
            memset(store + width, 0, count * width * sizeof(floating))
        for batch in range(first, first + group):
            counted = counts + batch * blocks * COUNTS
            listed = plan + batch * blocks * 2 * BLOCK
            word = masks + batch * BATCH // WORD * neurons
            shift = batch * BATCH % WORD
            kind = WHOLE_TABLES if counted[LOOKED_UP] > FEW else 0
            if n - batch * BATCH <= BATCH // 2:
                kind |= HALF_BATCH
            shared = counted[KIND] & SHARED
            if counted[LOOKED_UP] > 0 or (counted[ADDED] > 0 and not shared) or total != NULL:
                _subset_sums(rows + batch * BATCH * width, c + batch * BATCH, kind, scratch)
            if total != NULL:
                _look_up(scratch, &ALL_ONES, 0, &FIRST, 1, kind, True, total)
            if not shared:
                _add_listed(scratch, word, shift, listed, counted, kind, store + LAST * width,
                            store + width if terms[0] > 0 else sums)
                continue
            joins = counted[KIND] & JOINED
            ends = (batch + 1 == first + group
                    or not counted[blocks * COUNTS + KIND] & JOINED)
            if joins:
                _look_up(scratch, word, shift, listed + BLOCK, counted[LOOKED_UP], kind, False,
                         entries + width)
                _join(run, entries, listed + BLOCK + RUN, counted[DISTINCT],
                      store + stored * width if ends else joined + width)
                swapped = run
                run = joined
                joined = swapped
            else:
                _look_up(scratch, word, shift, listed + BLOCK, counted[LOOKED_UP], kind, False,
                         store + stored * width if ends else run + width)
            if ends:
                stored += counted[DISTINCT]
        first += group
        if terms[0] > 0 and first < batches:
            _gather(sums if begun else <floating*>NULL, store,
                    index + (first - group) * BLOCK, terms[0], count, sums)
            begun = True
    return group if terms[0] > 0 else 0


cdef inline void _add_listed(const floating* tables, const uint64_t* word, int shift,
                             const uint8_t* listed, const int32_t* counted, int kind,
                             floating* every, floating* out) noexcept nogil:
    """Add to the neurons of a batch that is listed what it is to them; every: room for its sum."""
    _look_up(tables, word, shift, listed, counted[LOOKED_UP], kind, True, out)
    if counted[ADDED] > 0:
        _look_up(tables, &ALL_ONES, 0, &FIRST, 1, kind, False, every)
        _add_row(every, listed + BLOCK, counted[ADDED], out)


cdef inline Py_ssize_t batches_of(Py_ssize_t n) noexcept nogil:
    """Batches of so many samples, in whole words of them."""
    return (n + WORD - 1) // WORD * (WORD // BATCH)


cdef inline Py_ssize_t sum_share(Py_ssize_t words) noexcept nogil:
    """Chunks and blocks, each a sum of so many words, between two looks at the clock."""
    return TASK_WORK // (words * BLOCK * (WORD // 4) + 1)


def sums_at_once(Py_ssize_t words, Py_ssize_t neurons, Py_ssize_t chunks):
    """Whether nothing interrupts masked_sum once it has begun to write."""
    return bool(chunks * blocks_of(neurons) <= sum_share(words))


cdef int masked_sum(const uint64_t* masks, Py_ssize_t n, Py_ssize_t neurons,
                    const uint8_t* plan, const int32_t* counts, const floating* c,
                    double common, const floating* rows, Py_ssize_t chunks, const floating* base,
                    double shrink, const floating* scale, Py_ssize_t stride, Py_ssize_t block,
                    floating* out, double slope, uint64_t* signs, floating* partial,
                    floating* scratch, int n_threads, double* last) except -1 nogil:
    """out_j = shrink base_j + scale_j sum_i (A_ij + common) c_i rows_i over n samples; base may be
    out. 1 if all of out is finite, else 0.

    A is binary: the subset sums of five or six scaled rows are tabulated once for all neurons, and
    each neuron adds the entries that its mask bits select, six for a batch of 32 samples, three for
    the last one if it has at most 16. 3/16 n m d adds and loads from L1 in place of 2 n m d flops
    (twice the loads where tables are halves); as few as 1/32 where neurons have the same bits,
    since each distinct word of 32 is then summed once, fewer where batches form runs; nothing where
    a neuron is inactive.
    plan and counts are plan_sums'. The order of the sum is that of the batches, whatever the
    number of threads, each of which has whole (chunk of columns) x (block of neurons) pieces of
    out. Chunk q of neuron j is at out[q * block + j * stride].
    Unless signs is NULL, columns are the samples, and what evaluate makes of H = out, a = scale and
    the slope is made at once: signs = 1[out > 0] and partial.
    """
    cdef Py_ssize_t width = columns(rows), blocks = blocks_of(neurons)
    cdef Py_ssize_t words = (n + WORD - 1) // WORD, batches = batches_of(n)
    cdef Py_ssize_t tasks = chunks * blocks
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, sum_share(words))
    cdef Py_ssize_t first = 0, stop, task, j, q, k, count, place, group, terms
    cdef Py_ssize_t apart = sum_scratch(rows)
    cdef int thread
    cdef Py_ssize_t infinite = 0   # pieces of out that are not finite
    cdef uint16_t* index
    cdef floating* own
    cdef floating* sums
    cdef floating* total
    while first < tasks:
        check_signals(last)
        stop = min(first + share, tasks)
        share_tasks(first, stop, scratch, apart, n_threads)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            while True:
                task = next_task(scratch, apart, thread, n_threads)
                if task < 0:
                    break
                q = task // blocks
                j = task % blocks * BLOCK
                count = min(neurons - j, <Py_ssize_t>BLOCK)
                own = scratch + threadid() * apart + QUEUE
                sums = own + (TABLES + STORE + 3 * RUN) * width
                total = sums + BLOCK * width
                memset(total, 0, ENTRY)
                index = group_index(plan, batches, blocks, task % blocks)
                terms = 0   # assigned here, so that each thread has its own
                group = sum_block(masks + j, n, neurons, count,
                                  plan + task % blocks * 2 * BLOCK,
                                  counts + task % blocks * COUNTS, blocks, index, c,
                                  rows + q * words * WORD * width, own, sums,
                                  total if common > 0 else NULL, &terms)
                for k in range(width):
                    total[k] = <floating>(common * total[k])
                place = q * block + j * stride
                k = q * width
                if not _finish(base + place, shrink, scale + j,
                               sums if group < batches else <floating*>NULL,
                               own + TABLES * width, index + (batches - group) * BLOCK, terms,
                               total, count, stride, out + place, slope,
                               NULL if signs == NULL else signs + k // WORD * neurons + j, k % WORD,
                               <floating*>NULL if signs == NULL
                               else partial + task % blocks * words * WORD + k):
                    infinite += 1
        first = stop
    return infinite == 0


cdef int masked_outputs(const uint64_t* masks, Py_ssize_t m, Py_ssize_t samples, int shortcuts,
                        uint8_t* plan, int32_t* counts, const floating* a, const floating* W,
                        const floating* rows, Py_ssize_t chunks, floating* f, floating* scratch,
                        int n_threads, double* last) except -1 nogil:
    """f_i = <x_i, sum_j A_ij a_j w_j> over m neurons: the sums of masked_sum with samples in the
    place of neurons.

    masks [word of neurons][sample]; W [chunk][neuron][columns], whole words of neurons; rows
    [chunk][sample][columns]; plan and counts: room for those of a block in each thread. 3/16 n m d
    adds and loads at most, and 2 n d flops.
    """
    cdef Py_ssize_t width = columns(rows), blocks = blocks_of(samples)
    cdef Py_ssize_t words = (m + WORD - 1) // WORD, batches = batches_of(m)
    cdef Py_ssize_t share = max(<Py_ssize_t>n_threads, TASK_WORK // (
        chunks * words * BLOCK * (WORD // 4) + 1))
    cdef Py_ssize_t first = 0, stop, block, q, i, count
    cdef Py_ssize_t group, terms, apart = sum_scratch(rows)
    cdef int thread
    cdef uint16_t* index
    cdef uint8_t* own_plan
    cdef int32_t* own_counts
    cdef floating* own
    cdef floating* sums
    cdef floating* products
    while first < blocks:
        check_signals(last)
        stop = min(first + share, blocks)
        share_tasks(first, stop, scratch, apart, n_threads)
        for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
            while True:
                block = next_task(scratch, apart, thread, n_threads)
                if block < 0:
                    break
                i = block * BLOCK
                count = min(samples - i, <Py_ssize_t>BLOCK)
                own = scratch + threadid() * apart + QUEUE
                sums = own + (TABLES + STORE + 3 * RUN) * width
                products = sums + BLOCK * width
                memset(products, 0, count * width * sizeof(floating))
                own_plan = plan + threadid() * plan_size(words, BLOCK)
                own_counts = counts + threadid() * batches * COUNTS
                index = group_index(own_plan, batches, 1, 0)
                plan_block(masks + i, samples, batches, 1, count, shortcuts, own_plan, own_counts,
                           index)
                for q in range(chunks):
                    terms = 0   # assigned here, so that each thread has its own
                    group = sum_block(masks + i, m, samples, count, own_plan, own_counts, 1,
                                      index, a, W + q * words * WORD * width, own, sums,
                                      <floating*>NULL, &terms)
                    _add_products(rows + (q * samples + i) * width, samples * width,
                                  sums if group < batches else <floating*>NULL,
                                  own + TABLES * width, index + (batches - group) * BLOCK, terms,
                                  count, products)
                if floating is float:
                    rfa_f32(_level).fold(products, count, f + i)
                else:
                    rfa_f64(_level).fold(products, count, f + i)
        first = stop
    return 0


# --------------------------------------------------------------------------- public kernels

cdef Py_ssize_t _padded(Py_ssize_t m) noexcept nogil:
    return (m + TILE - 1) // TILE * TILE


cdef int _masks_and_outputs(const floating[:, :] X, const floating[:, :] W, const floating[:] a,
                            uint64_t* masks, floating* f, int n_threads) except -1 nogil:
    """evaluate on packed copies of X and W; masks [word][padded neuron] and f have padding."""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], m = W.shape[0], j, k
    cdef Py_ssize_t words = (n + WORD - 1) // WORD, neurons = _padded(m)
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
        evaluate(lanes, words, d, weights, d, <const floating*>NULL, second, neurons, 0, masks,
                 partial, scratch, NULL, 0, 0, NULL, f, n_threads, &last)
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
    cdef Py_ssize_t n = X.shape[0], m = W.shape[0], words = (n + WORD - 1) // WORD, j, w
    cdef Py_ssize_t neurons = _padded(m)
    cdef uint64_t* packed = <uint64_t*>allocate(words, neurons, sizeof(uint64_t))
    try:
        # the outputs are not wanted: any second layer will do
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
    cdef Py_ssize_t n = X.shape[0], words = (n + WORD - 1) // WORD, i
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
    cdef Py_ssize_t words = (n + WORD - 1) // WORD, neurons = _padded(m), i, j, k
    cdef floating* f = NULL
    cdef floating* scale = NULL
    cdef floating* rows = NULL
    cdef floating* out = NULL
    cdef floating* scratch = NULL
    cdef double* s = NULL
    cdef double* g = NULL
    cdef uint64_t* masks = NULL
    cdef uint8_t* plan = NULL
    cdef int32_t* counts = NULL
    cdef Py_ssize_t width = columns(f), chunks = (d + width - 1) // width, stride = chunks * width
    cdef Py_ssize_t blocks = blocks_of(neurons)
    cdef double last = rfa_seconds()
    try:
        f = <floating*>allocate(words, WORD, sizeof(floating))
        scale = <floating*>allocate(neurons, 1, sizeof(floating))
        s = <double*>allocate(words, WORD, sizeof(double))
        g = <double*>allocate(words, WORD, sizeof(double))
        masks = <uint64_t*>allocate(words, neurons, sizeof(uint64_t))
        rows = <floating*>allocate(words * WORD, stride, sizeof(floating))
        out = <floating*>allocate(neurons, stride, sizeof(floating))
        scratch = <floating*>allocate(sum_scratch(f), n_threads, sizeof(floating))
        plan = <uint8_t*>allocate(plan_size(words, BLOCK), blocks, 1)
        counts = <int32_t*>allocate(batches_of(n) * COUNTS, blocks, sizeof(int32_t))
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
        plan_sums(masks, words, neurons, 2, plan, counts, n_threads)
        memset(out, 0, neurons * stride * sizeof(floating))
        masked_sum(masks, n, neurons, plan, counts, f, 0, rows, chunks, out, 1, scale,
                   stride, width, out, 0, NULL, <floating*>NULL, scratch, n_threads, &last)
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
        free(plan)
        free(counts)
    return 0


# --------------------------------------------------------------------------- alignment counting

cdef int active_counts_out(const uint64_t[:, ::1] masks, const int64_t[:] groups,
                           int64_t[:, ::1] counts) except -1 nogil:
    """counts (m, G) = number of active samples of each group: popcounts of the mask words, each
    with the bits of one group kept. O(m (n/64 + G)) where groups are runs."""
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
    """(columns of a chunk, size of the partial sums, scratch of a thread), of real's type."""
    return (columns(&real[0]), partial_size(max(words, test_words), neurons),
            max(evaluate_scratch(), sum_scratch(&real[0])))


def mask_segments(const int32_t[::1] group):
    """The runs of equal groups in each word: a list of (word, group, bits as a signed int64)."""
    cdef Py_ssize_t i, begin = 0, n = group.shape[0]
    cdef uint64_t bits
    segments = []
    for i in range(1, n + 1):
        if i == n or i % WORD == 0 or group[i] != group[begin]:
            bits = (~<uint64_t>0 >> (WORD - (i - begin))) << (begin % WORD)
            segments.append((begin // WORD, group[begin], <int64_t>bits))
            begin = i
    return segments
