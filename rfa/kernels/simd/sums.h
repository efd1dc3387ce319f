/* The leaves of masked sums for one real type; real.h includes this, whose names it uses. */

/* The table of the sums of c x over all subsets of a number of samples. Sample i is in subset b if
 * bit i of b is set. Entry b is low[b % 8] + high[b / 8]: low has the sums over subsets of the
 * first three samples, high those of the others, each sum in the order of the samples. A table that
 * is not whole has only low and then high. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_subsets)(const REAL *rows, const REAL *c, int samples, int whole, REAL *t)
{
    const int highs = 1 << (samples - 3);
    for (int part = 0; part < COLUMNS; part += VL) {
        V low[8], high[8];
        low[0] = high[0] = (V){0};
        for (int i = 0; i < samples; ++i) {
            V row = SPLAT(c[i]) * LOAD(rows + i * COLUMNS + part);
            V *sums = i < 3 ? low : high;
            for (int b = 0, top = 1 << (i < 3 ? i : i - 3); b < top; ++b)
                sums[top + b] = sums[b] + row;
        }
        for (int l = 0; l < 8; ++l) {
            if (!whole)
                STORE(t + l * COLUMNS + part, low[l]);
            for (int h = 0; whole && h < highs; ++h)
                STORE(t + (8 * h + l) * COLUMNS + part, low[l] + high[h]);
        }
        for (int h = 0; !whole && h < highs; ++h)
            STORE(t + (8 + h) * COLUMNS + part, high[h]);
    }
}

/* Entries of the table of a number of samples, and of the three tables of half a span. */
#define SUBSETS(samples, whole) ((whole) ? 1 << (samples) : 8 + (1 << ((samples)-3)))
#define HALF_TABLES(whole) (SUBSETS(6, whole) + 2 * SUBSETS(5, whole))

static inline __attribute__((always_inline)) void
RFA_NAME(rfa_span_subsets)(const REAL *rows, const REAL *c, const int kind, REAL *t)
{
    const int whole = kind & RFA_WHOLE;
    for (int half = 0; half < (kind & RFA_HALF ? 1 : 2); ++half) {
        RFA_NAME(rfa_subsets)(rows, c, 6, whole, t);
        t += SUBSETS(6, whole) * COLUMNS;
        RFA_NAME(rfa_subsets)(rows + 6 * COLUMNS, c + 6, 5, whole, t);
        t += SUBSETS(5, whole) * COLUMNS;
        RFA_NAME(rfa_subsets)(rows + 11 * COLUMNS, c + 11, 5, whole, t);
        t += SUBSETS(5, whole) * COLUMNS;
        rows += 16 * COLUMNS;
        c += 16;
    }
}

/* CALL with the kind of the tables as a constant. */
#define EACH_KIND(CALL)                                                                            \
    switch (kind) {                                                                                \
    case 0:                                                                                        \
        CALL(0);                                                                                   \
        break;                                                                                     \
    case RFA_WHOLE:                                                                                \
        CALL(RFA_WHOLE);                                                                           \
        break;                                                                                     \
    case RFA_HALF:                                                                                \
        CALL(RFA_HALF);                                                                           \
        break;                                                                                     \
    default:                                                                                       \
        CALL(RFA_WHOLE | RFA_HALF);                                                               \
    }

/* The tables of a span: of its first 6 samples, of the next 5, and of 5, 6, 5 and 5 more; of half a
 * span the first three. These are all the multiplications of a masked sum, done once for all
 * neurons. Whole tables take longer to make; others take twice the loads to look a sum up. */
static void RFA_NAME(rfa_subset_sums)(const REAL *rows, const REAL *c, int kind, REAL *tables)
{
#define CALL(constant) RFA_NAME(rfa_span_subsets)(rows, c, constant, tables)
    EACH_KIND(CALL)
#undef CALL
}

/* A part of a subset's entry in the table t. Whole tables and others give the same bits. */
static inline __attribute__((always_inline)) V RFA_NAME(rfa_entry)(const REAL *t, uint64_t subset,
                                                                   int whole, int part)
{
    t += part;
    if (whole)
        return LOAD(t + subset * COLUMNS);
    return LOAD(t + (subset & 7) * COLUMNS) + LOAD(t + (8 + (subset >> 3)) * COLUMNS);
}

/* A part of the sum of the entries that bits select, one from each table. Nothing else is in this
 * sum, so it is the same for all neurons with these bits. */
static inline __attribute__((always_inline)) V
RFA_NAME(rfa_selected)(const REAL *t, uint64_t bits, const int kind, int part)
{
    const int whole = kind & RFA_WHOLE;
    const REAL *t5 = t + SUBSETS(6, whole) * COLUMNS, *t11 = t5 + SUBSETS(5, whole) * COLUMNS;
    const ptrdiff_t half = HALF_TABLES(whole) * COLUMNS;
    V first = RFA_NAME(rfa_entry)(t, bits & 63, whole, part) +
              RFA_NAME(rfa_entry)(t5, bits >> 6 & 31, whole, part), second;
    first += RFA_NAME(rfa_entry)(t11, bits >> 11 & 31, whole, part);
    if (kind & RFA_HALF)
        return first;
    second = RFA_NAME(rfa_entry)(t + half, bits >> 16 & 63, whole, part) +
             RFA_NAME(rfa_entry)(t5 + half, bits >> 22 & 31, whole, part);
    return first + (second + RFA_NAME(rfa_entry)(t11 + half, bits >> 27 & 31, whole, part));
}

/* rfa_look_up where kind and add are constants. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_listed)(const REAL *tables, const uint64_t *masks, int shift, const uint8_t *list,
                     ptrdiff_t count, const int kind, const int add, REAL *out)
{
    for (ptrdiff_t l = 0; l < count; ++l) {
        REAL *row = out + (add ? list[l] : l) * COLUMNS;
        uint64_t bits = masks[list[l]] >> shift;
        for (int part = 0; part < COLUMNS; part += VL) {
            V sum = RFA_NAME(rfa_selected)(tables, bits, kind, part);
            if (add)
                sum = LOAD(row + part) + sum;
            STORE(row + part, sum);
        }
    }
}

/* For each listed neuron j = list[l] the sum that the bits masks[j] >> shift select in the tables.
 * It is added to out[j] if add is set, else stored in out[l]. */
static void RFA_NAME(rfa_look_up)(const REAL *tables, const uint64_t *masks, int shift,
                                  const uint8_t *list, ptrdiff_t count, int kind, int add,
                                  REAL *out)
{
#define CALL(constant)                                                                             \
    if (add)                                                                                       \
        RFA_NAME(rfa_listed)(tables, masks, shift, list, count, constant, 1, out);                 \
    else                                                                                           \
        RFA_NAME(rfa_listed)(tables, masks, shift, list, count, constant, 0, out)
    EACH_KIND(CALL)
#undef CALL
}

/* out[j] += row for the listed neurons j. */
static void RFA_NAME(rfa_add_row)(const REAL *row, const uint8_t *list, ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t l = 0; l < count; ++l)
        for (int part = 0; part < COLUMNS; part += VL) {
            REAL *sum = out + list[l] * COLUMNS + part;
            STORE(sum, LOAD(sum) + LOAD(row + part));
        }
}

/* out[l] = run[pairs[2 l]] + entries[pairs[2 l + 1]]. */
static void RFA_NAME(rfa_join)(const REAL *run, const REAL *entries, const uint8_t *pairs,
                               ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t l = 0; l < count; ++l)
        for (int part = 0; part < COLUMNS; part += VL)
            STORE(out + l * COLUMNS + part, LOAD(run + pairs[2 * l] * COLUMNS + part) +
                                                LOAD(entries + pairs[2 * l + 1] * COLUMNS + part));
}

/* A part of the sum of neuron j, put together as rfa_parts says. */
static inline __attribute__((always_inline)) V
RFA_NAME(rfa_gathered)(const REAL *sums, const REAL *store, const uint16_t *index, ptrdiff_t terms,
                       ptrdiff_t j, int part)
{
#define ENTRY(b) LOAD((const REAL *)((const char *)(store + part) + index[b]))
    const uint16_t *end = index + (j + 1) * terms;
    V sum = {0};
    index += j * terms;
    if (sums)
        sum += LOAD(sums + j * COLUMNS + part);
    for (; index + 4 <= end; index += 4)
        sum = (((sum + ENTRY(0)) + ENTRY(1)) + ENTRY(2)) + ENTRY(3);
    for (; index < end; ++index)
        sum += ENTRY(0);
    return sum;
#undef ENTRY
}

/* out[j] = the sum of neuron j, put together as rfa_parts says; out may be its sums. */
static void RFA_NAME(rfa_gather)(const rfa_parts *parts, ptrdiff_t neurons, REAL *out)
{
    const REAL *sums = parts->sums, *store = parts->store;
    const uint16_t *index = parts->index;
    const ptrdiff_t terms = parts->terms;
    for (ptrdiff_t j = 0; j < neurons; ++j)
        for (int part = 0; part < COLUMNS; part += VL)
            STORE(out + j * COLUMNS + part,
                  RFA_NAME(rfa_gathered)(sums, store, index, terms, j, part));
}

/* rfa_finish and rfa_finish_and_activate; activates and leaky are constants. */
static inline __attribute__((always_inline)) int
RFA_NAME(rfa_update_rows)(const rfa_parts *parts, const rfa_update *update,
                          const rfa_activation *activation, const int activates, const int leaky)
{
    const REAL *sums = parts->sums, *store = parts->store;
    const uint16_t *index = parts->index;
    const REAL *base = update->base, *scale = update->scale, *common = update->common;
    const REAL keep = (REAL)update->keep, decay = (REAL)update->decay;
    const REAL slope = leaky ? (REAL)activation->slope : 0;
    const ptrdiff_t terms = parts->terms, neurons = update->neurons, stride = update->stride;
    /* bytes, since other threads may be writing the rest of the word */
    unsigned char *bits = NULL;
    REAL *out = update->out, result = 0;
    V rest = {0}, outputs[RFA_ENTRY / RFA_BYTES];
    memset(outputs, 0, sizeof outputs);
    if (activates)
        bits = (unsigned char *)activation->masks +
               RFA_BYTES_OF(activation->sample / 8, COLUMNS / 8);
    for (ptrdiff_t j = 0; j < neurons; ++j) {
        unsigned positive = 0;
        for (int p = 0; p < RFA_ENTRY / RFA_BYTES; ++p) {
            /* common comes last, since sums may already have some of the terms */
            V sum = RFA_NAME(rfa_gathered)(sums, store, index, terms, j, p * VL) +
                    LOAD(common + p * VL);
            V old = LOAD(base + j * stride + p * VL), factor = SPLAT(scale[j]);
            V v = FMA(SPLAT(keep), old, FMA(SPLAT(-decay), old, factor * sum));
            STORE(out + j * stride + p * VL, v);
            rest = FMA(v, (V){0}, rest);
            if (activates) {
                /* the last vector may set further bits, which do not fit into CHUNK_BITS */
                unsigned above = p + 1 < RFA_ENTRY / RFA_BYTES ? POSITIVE(v) : ABOVE(v);
                positive |= above << p * VL;
                if (leaky)
                    outputs[p] =
                        FMA(factor, RFA_NAME(rfa_activated)(v, slope, 1), outputs[p]);
                else
                    outputs[p] = FMA_WHERE(above, factor, v, outputs[p]);
            }
        }
        if (activates) {
            CHUNK_BITS chunk = (CHUNK_BITS)positive;
            memcpy(bits + j * sizeof(uint64_t), &chunk, sizeof chunk);
        }
    }
    if (activates)
        memcpy(activation->f, outputs, sizeof outputs);
    for (int l = 0; l < VL; ++l)
        result += rest[l];
    /* a sum of 0 v: 0 if all of out is finite, else NaN */
    return result == 0;
}

/* Makes the update. Returns whether all of out is finite. */
static int RFA_NAME(rfa_finish)(const rfa_parts *parts, const rfa_update *update)
{
    return RFA_NAME(rfa_update_rows)(parts, update, NULL, 0, 0);
}

/* Makes the update, where out is pre-activations h. Also makes of h what rfa_activate_tile makes of
 * it, with a = scale. Here, however, a NaN in h need not make f NaN. Returns whether all of out is
 * finite. */
static int RFA_NAME(rfa_finish_and_activate)(const rfa_parts *parts, const rfa_update *update,
                                             const rfa_activation *activation)
{
    return activation->slope > 0
               ? RFA_NAME(rfa_update_rows)(parts, update, activation, 1, 1)
               : RFA_NAME(rfa_update_rows)(parts, update, activation, 1, 0);
}

/* products[i] += rows[i] s_i column by column, where s_i is the sum that parts have for i. The next
 * call needs the rows that are a chunk further. */
static void RFA_NAME(rfa_add_products)(const REAL *rows, ptrdiff_t chunk_stride,
                                       const rfa_parts *parts, ptrdiff_t count, REAL *products)
{
    const REAL *sums = parts->sums, *store = parts->store;
    const uint16_t *index = parts->index;
    const ptrdiff_t terms = parts->terms;
    for (ptrdiff_t i = 0; i < count; ++i)
        for (int part = 0; part < COLUMNS; part += VL) {
            REAL *product = products + i * COLUMNS + part;
            V sum = RFA_NAME(rfa_gathered)(sums, store, index, terms, i, part);
            __builtin_prefetch(rows + i * COLUMNS + part + chunk_stride, 0, 2);
            STORE(product, FMA(LOAD(rows + i * COLUMNS + part), sum, LOAD(product)));
        }
}

/* out[i] = the sum of the columns of row i: half of them is added to the other half, and so on. */
static void RFA_NAME(rfa_fold)(const REAL *rows, ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t i = 0; i < count; ++i) {
        REAL v[RFA_ENTRY / sizeof(REAL)];
        memcpy(v, rows + i * COLUMNS, sizeof v);
        for (int half = COLUMNS / 2; half > 0; half /= 2)
            for (int k = 0; k < half; ++k)
                v[k] += v[k + half];
        out[i] = v[0];
    }
}

#undef EACH_KIND
#undef SUBSETS
#undef HALF_TABLES
