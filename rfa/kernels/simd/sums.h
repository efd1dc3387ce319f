/* The leaves of masked sums for one real type; _leaves_real.h includes this, whose names it uses. */
/* The sums over all subsets of the c x of so many samples, bit i of a subset's number for sample i:
 * entry b is low[b % 8] + high[b / 8], low the sums of the first three samples and high those of the
 * others, each in their order. Unless whole, only low and high are stored, one after the other. */
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

/* Entries of the table of so many samples. */
#define SUBSETS(samples, whole) ((whole) ? 1 << (samples) : 8 + (1 << ((samples)-3)))
#define HALF_TABLES(whole) (SUBSETS(6, whole) + 2 * SUBSETS(5, whole))

static inline __attribute__((always_inline)) void
RFA_NAME(rfa_batch_subsets)(const REAL *rows, const REAL *c, const int kind, REAL *t)
{
    const int whole = kind & RFA_WHOLE;
    for (int half = 0; half < (kind & RFA_SHORT ? 1 : 2); ++half) {
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

/* A call for each kind of tables, which is a constant in it. */
#define EACH_KIND(CALL)                                                                            \
    switch (kind) {                                                                                \
    case 0:                                                                                        \
        CALL(0);                                                                                   \
        break;                                                                                     \
    case RFA_WHOLE:                                                                                \
        CALL(RFA_WHOLE);                                                                           \
        break;                                                                                     \
    case RFA_SHORT:                                                                                \
        CALL(RFA_SHORT);                                                                           \
        break;                                                                                     \
    default:                                                                                       \
        CALL(RFA_WHOLE | RFA_SHORT);                                                               \
    }

/* The tables of RFA_BATCH samples, of 6, 5, 5, 6, 5 and 5 of them, or of the first half if there are
 * no more: masked_sum's multiplications, done once for all neurons. Whole tables take longer to
 * make, the others twice the loads to look a sum up. */
static void RFA_NAME(rfa_subset_sums)(const REAL *rows, const REAL *c, int kind, REAL *tables)
{
#define CALL(constant) RFA_NAME(rfa_batch_subsets)(rows, c, constant, tables)
    EACH_KIND(CALL)
#undef CALL
}

/* A part of the entry of the table at t for a subset: the same bits from either kind of table. */
static inline __attribute__((always_inline)) V RFA_NAME(rfa_entry)(const REAL *t, uint64_t subset,
                                                                   int whole, int part)
{
    t += part;
    if (whole)
        return LOAD(t + subset * COLUMNS);
    return LOAD(t + (subset & 7) * COLUMNS) + LOAD(t + (8 + (subset >> 3)) * COLUMNS);
}

/* The sum of a part of the three or six entries of the tables that bits select; by themselves, so
 * that it is the same for every neuron that has these bits. */
static inline __attribute__((always_inline)) V
RFA_NAME(rfa_selected)(const REAL *t, uint64_t bits, const int kind, int part)
{
    const int whole = kind & RFA_WHOLE;
    const REAL *t5 = t + SUBSETS(6, whole) * COLUMNS, *t11 = t5 + SUBSETS(5, whole) * COLUMNS;
    const ptrdiff_t half = HALF_TABLES(whole) * COLUMNS;
    V first = RFA_NAME(rfa_entry)(t, bits & 63, whole, part) +
              RFA_NAME(rfa_entry)(t5, bits >> 6 & 31, whole, part), second;
    first += RFA_NAME(rfa_entry)(t11, bits >> 11 & 31, whole, part);
    if (kind & RFA_SHORT)
        return first;
    second = RFA_NAME(rfa_entry)(t + half, bits >> 16 & 63, whole, part) +
             RFA_NAME(rfa_entry)(t5 + half, bits >> 22 & 31, whole, part);
    return first + (second + RFA_NAME(rfa_entry)(t11 + half, bits >> 27 & 31, whole, part));
}

/* rfa_look_up for a kind and add that are constants. */
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

/* The entries of the tables that masks[j] >> shift selects, for the listed neurons j = list[l]:
 * added to out[j], or, unless add, stored in out[l]. */
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

/* out[j] += row, for the listed neurons. */
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

/* A part of the sum of neuron j: what its row of sums has, unless that is NULL, and then what stands
 * index[j][b] bytes on in the store for so many terms b, in order. */
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

/* out[j] = sums[j] + the entries of the store, as rfa_gathered says; out may be sums. */
static void RFA_NAME(rfa_gather)(const REAL *sums, const REAL *store, const uint16_t *index,
                                 ptrdiff_t terms, ptrdiff_t neurons, REAL *out)
{
    for (ptrdiff_t j = 0; j < neurons; ++j)
        for (int part = 0; part < COLUMNS; part += VL)
            STORE(out + j * COLUMNS + part,
                  RFA_NAME(rfa_gathered)(sums, store, index, terms, j, part));
}

static inline __attribute__((always_inline)) REAL
RFA_NAME(rfa_step)(const REAL *base, REAL keep, REAL decay, const REAL *scale, const REAL *sums,
                   const REAL *store, const uint16_t *index, ptrdiff_t terms, const REAL *common,
                   ptrdiff_t neurons, ptrdiff_t stride, REAL *out, REAL slope, int leaky,
                   unsigned char *bits, REAL *f)
{
    V rest = {0}, outputs[RFA_ENTRY / RFA_BYTES];
    REAL result = 0;
    memset(outputs, 0, sizeof outputs);
    for (ptrdiff_t j = 0; j < neurons; ++j) {
        unsigned positive = 0;
        for (int p = 0; p < RFA_ENTRY / RFA_BYTES; ++p) {
            /* common last, since sums may have some of the terms */
            V sum = RFA_NAME(rfa_gathered)(sums, store, index, terms, j, p * VL) +
                    LOAD(common + p * VL);
            V old = LOAD(base + j * stride + p * VL), factor = SPLAT(scale[j]);
            V v = FMA(SPLAT(keep), old, FMA(SPLAT(-decay), old, factor * sum));
            STORE(out + j * stride + p * VL, v);
            rest = FMA(v, (V){0}, rest);
            if (bits) {
                /* other bits of the last vector's are cut off with the chunk */
                unsigned above = p + 1 < RFA_ENTRY / RFA_BYTES ? POSITIVE(v) : ABOVE(v);
                positive |= above << p * VL;
                if (leaky)
                    outputs[p] =
                        FMA(factor, RFA_NAME(rfa_activated)(v, slope, 1), outputs[p]);
                else
                    outputs[p] = FMA_WHERE(above, factor, v, outputs[p]);
            }
        }
        if (bits) {
            CHUNK chunk = (CHUNK)positive;
            memcpy(bits + j * sizeof(uint64_t), &chunk, sizeof chunk);
        }
    }
    if (bits)
        memcpy(f, outputs, sizeof outputs);
    for (int l = 0; l < VL; ++l)
        result += rest[l];
    return result;
}

/* out[j] = keep base[j] + (scale[j] (s_j + common) - decay base[j]) for COLUMNS columns, s_j as
 * rfa_gathered says; out and base have rows of stride. Returns the sum of 0 x over out: 0 if all of
 * it is finite, NaN if not.
 * Unless masks is NULL, columns are the samples of a word from this one on, and what
 * rfa_activate_tile makes of h = out and a = scale is made, too: these samples' bits of masks, the
 * others stay, and f. NaN need not go through. */
static REAL RFA_NAME(rfa_finish)(const REAL *base, REAL keep, REAL decay, const REAL *scale,
                                 const REAL *sums, const REAL *store, const uint16_t *index,
                                 ptrdiff_t terms, const REAL *common, ptrdiff_t neurons,
                                 ptrdiff_t stride, REAL *out, REAL slope, uint64_t *masks,
                                 ptrdiff_t sample, REAL *f)
{
#define STEP(leaky, bits)                                                                          \
    RFA_NAME(rfa_step)(base, keep, decay, scale, sums, store, index, terms, common, neurons,       \
                       stride, out, slope, leaky, bits, f)
    if (!masks)
        return STEP(0, NULL);
    /* bytes, since other threads may be writing the rest of the word */
    unsigned char *bits = (unsigned char *)masks + RFA_BYTES_OF(sample / 8, COLUMNS / 8);
    return slope > 0 ? STEP(1, bits) : STEP(0, bits);
#undef STEP
}

/* products[i] += rows[i] s_i column by column, s_i as rfa_gathered says. next: how far on the rows
 * are that will be wanted next. */
static void RFA_NAME(rfa_add_products)(const REAL *rows, ptrdiff_t next, const REAL *sums,
                                       const REAL *store, const uint16_t *index, ptrdiff_t terms,
                                       ptrdiff_t count, REAL *products)
{
    for (ptrdiff_t i = 0; i < count; ++i)
        for (int part = 0; part < COLUMNS; part += VL) {
            REAL *product = products + i * COLUMNS + part;
            V sum = RFA_NAME(rfa_gathered)(sums, store, index, terms, i, part);
            __builtin_prefetch(rows + i * COLUMNS + part + next, 0, 2);
            STORE(product, FMA(LOAD(rows + i * COLUMNS + part), sum, LOAD(product)));
        }
}

/* out[i] = the sum of the COLUMNS of row i, halves added to halves. */
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
