/* The leaves of masked sums for one real type; _leaves_real.h includes this, whose names it uses. */
/* t[b] = the sum over the bits of b of c x of so many samples, added in their order. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_subsets)(const REAL *rows, ptrdiff_t ldr, const REAL *c, int samples, REAL *t)
{
    for (int part = 0; part < COLUMNS; part += VL) {
        V sums[16]; /* what fits in registers; the rest goes through memory */
        sums[0] = (V){0};
        for (int i = 0; i < 4; ++i) {
            V row = SPLAT(c[i]) * LOAD(rows + i * ldr + part);
            for (int b = 0; b < 1 << i; ++b)
                sums[(1 << i) + b] = sums[b] + row;
        }
        for (int b = 0; b < 16; ++b)
            STORE(t + b * COLUMNS + part, sums[b]);
        for (int i = 4; i < samples; ++i) {
            V row = SPLAT(c[i]) * LOAD(rows + i * ldr + part);
            for (int b = 0; b < 1 << i; ++b)
                STORE(t + ((1 << i) + b) * COLUMNS + part, LOAD(t + b * COLUMNS + part) + row);
        }
    }
}

/* The tables of RFA_BATCH samples, of 6, 5, 5, 6, 5 and 5 of them: masked_sum's multiplications,
 * done once for all neurons. The rows are ldr apart. */
static void RFA_NAME(rfa_subset_sums)(const REAL *rows, ptrdiff_t ldr, const REAL *c, REAL *tables)
{
    for (int half = 0; half < 2; ++half) {
        RFA_NAME(rfa_subsets)(rows, ldr, c, 6, tables);
        RFA_NAME(rfa_subsets)(rows + 6 * ldr, ldr, c + 6, 5, tables + 64 * COLUMNS);
        RFA_NAME(rfa_subsets)(rows + 11 * ldr, ldr, c + 11, 5, tables + 96 * COLUMNS);
        rows += 16 * ldr;
        c += 16;
        tables += 128 * COLUMNS;
    }
}

/* The sum of a part of the six entries of the tables that bits select; by themselves, so that it is
 * the same for every neuron that has these bits. */
static inline __attribute__((always_inline)) V RFA_NAME(rfa_six)(const REAL *tables, uint64_t bits,
                                                                 int part)
{
    const REAL *t = tables + part;
    V first = LOAD(t + (bits & 63) * COLUMNS) + LOAD(t + (64 + (bits >> 6 & 31)) * COLUMNS);
    V second = LOAD(t + (128 + (bits >> 16 & 63)) * COLUMNS) +
               LOAD(t + (192 + (bits >> 22 & 31)) * COLUMNS);
    return (first + LOAD(t + (96 + (bits >> 11 & 31)) * COLUMNS)) +
           (second + LOAD(t + (224 + (bits >> 27 & 31)) * COLUMNS));
}

/* out[j] += the entries of the tables that masks[j] >> shift selects, for the listed neurons. */
static void RFA_NAME(rfa_look_up)(const REAL *tables, const uint64_t *masks, int shift,
                                  const uint8_t *list, ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t l = 0; l < count; ++l) {
        REAL *sum = out + list[l] * COLUMNS;
        for (int part = 0; part < COLUMNS; part += VL)
            STORE(sum + part,
                  LOAD(sum + part) + RFA_NAME(rfa_six)(tables, masks[list[l]] >> shift, part));
    }
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

/* out[l] = the entries that masks[list[l]] >> shift selects. */
static void RFA_NAME(rfa_entries)(const REAL *tables, const uint64_t *masks, int shift,
                                  const uint8_t *list, ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t l = 0; l < count; ++l)
        for (int part = 0; part < COLUMNS; part += VL)
            STORE(out + l * COLUMNS + part,
                  RFA_NAME(rfa_six)(tables, masks[list[l]] >> shift, part));
}

/* out[j] += entries[b][numbers[b][j]] for so many batches b, in order. */
static void RFA_NAME(rfa_add_entries)(const REAL *const *entries, const uint8_t *const *numbers,
                                      ptrdiff_t batches, ptrdiff_t count, REAL *out)
{
    for (ptrdiff_t j = 0; j < count; ++j)
        for (int part = 0; part < COLUMNS; part += VL) {
            V sum = LOAD(out + j * COLUMNS + part);
            for (ptrdiff_t b = 0; b < batches; ++b)
                sum += LOAD(entries[b] + numbers[b][j] * COLUMNS + part);
            STORE(out + j * COLUMNS + part, sum);
        }
}

/* out[j] = keep base[j] + (scale[j] (sums[j] + common) - decay base[j]) for COLUMNS columns; out and
 * base have rows of stride. Returns the sum of x - x over out: 0 if all of it is finite, NaN if
 * not. */
static REAL RFA_NAME(rfa_finish)(const REAL *base, REAL keep, REAL decay, const REAL *scale,
                                 const REAL *sums, const REAL *common, ptrdiff_t neurons,
                                 ptrdiff_t stride, REAL *out)
{
    V rest = {0};
    REAL result = 0;
    for (ptrdiff_t j = 0; j < neurons; ++j)
        for (int part = 0; part < COLUMNS; part += VL) {
            V old = LOAD(base + j * stride + part);
            V sum = LOAD(sums + j * COLUMNS + part) + LOAD(common + part);
            V v = keep * old + (scale[j] * sum - decay * old);
            STORE(out + j * stride + part, v);
            rest += v - v;
        }
    for (int l = 0; l < VL; ++l)
        result += rest[l];
    return result;
}

/* sums[i][k] += rows[i][k] factors[i][k], COLUMNS to a row. */
static void RFA_NAME(rfa_add_products)(const REAL *rows, const REAL *factors, ptrdiff_t count,
                                       REAL *sums)
{
    for (ptrdiff_t i = 0; i < count * COLUMNS; i += VL)
        STORE(sums + i, FMA(LOAD(rows + i), LOAD(factors + i), LOAD(sums + i)));
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
