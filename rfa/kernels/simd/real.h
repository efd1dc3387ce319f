/* The leaves of one level for one real type (REAL, named RFA_REAL); see leaves.h. */
#define V RFA_NAME(rfa_vector)
#define VU RFA_NAME(rfa_load)
#define I RFA_NAME(rfa_bits)
#define N RFA_NAME(rfa_whole)
#define W RFA_NAME(rfa_wide)
#define WU RFA_NAME(rfa_wide_load)
#define VL ((int)(RFA_BYTES / sizeof(REAL)))
#define WL (RFA_BYTES / 8)
#define FMA(a, b, c) ((V)RFA_JOIN(RFA_FMA, RFA_LEVEL, RFA_REAL)(a, b, c))
#define WIDE_FMA(a, b, c) ((W)RFA_JOIN(RFA_FMA, RFA_LEVEL, f64)(a, b, c))
#define FMA_WHERE(above, a, v, c)                                                                  \
    ((V)RFA_JOIN(RFA_FMA_WHERE, RFA_LEVEL, RFA_REAL)(above, a, v, c))
#define ADD_WHERE(bits, sum, v)                                                                    \
    ((V)RFA_JOIN(RFA_ADD_WHERE, RFA_LEVEL, RFA_REAL)(bits, sum, v))
#define ABOVE(v) RFA_JOIN(RFA_ABOVE, RFA_LEVEL, RFA_REAL)(v)
#define POSITIVE(v) RFA_JOIN(RFA_POSITIVE, RFA_LEVEL, RFA_REAL)(v)
#define WHERE(h, v, other) ((V)RFA_JOIN(RFA_WHERE, RFA_LEVEL, RFA_REAL)(h, v, other))
#if RFA_BYTES == 64
#define MIN(a, b) ((V)RFA_JOIN(RFA_MIN, RFA_LEVEL, RFA_REAL)(a, b))
#define PERMUTE(a, numbers, b) ((V)RFA_JOIN(RFA_PERMUTE, RFA_LEVEL, RFA_REAL)(a, numbers, b))
#else
#define MIN(a, b) ((V)(((I)(a) & (I)((a) < (b))) | ((I)(b) & ~(I)((a) < (b)))))
#endif
#define LOAD(p) (*(const VU *)(p))
#define STORE(p, v) (*(VU *)(p) = (v))
#define LOAD_WIDE(p) (*(const WU *)(p))
#define STORE_WIDE(p, v) (*(WU *)(p) = (v))
#define WIDEN(p) ((W)RFA_JOIN(RFA_WIDEN, RFA_LEVEL, RFA_REAL)(p))
#define SPLAT(s) ((s) - (V){0})
#define COLUMNS ((ptrdiff_t)(RFA_ENTRY / sizeof(REAL)))
/* places in packed layouts: of coordinate k of sample s in [lane][k][RFA_LANE], and of column s of
 * a row in [chunk][row][COLUMNS] */
#define IN_LANES(k, s, lane_stride)                                                                \
    ((s) / RFA_LANE * (lane_stride) + (k)*RFA_LANE + (s) % RFA_LANE)
#define IN_CHUNKS(row, s, chunk_stride)                                                            \
    ((s) / COLUMNS * (chunk_stride) + (row) * COLUMNS + (s) % COLUMNS)
#if RFA_BYTES == 64 /* 24 sums in the 32 vector registers; other levels: 12 in 16 */
#define STACK 4
#else
#define STACK 2
#endif
#define LANE_PARTS (RFA_LANE / VL)
#define LANE_ROWS (LANE_PARTS > 4 ? 2 : 6 * STACK / LANE_PARTS > 12 ? 12 : 6 * STACK / LANE_PARTS)
#define FEWER_ROWS (2 * LANE_ROWS / 3)
#define DOTS 4   /* rows whose inner products with a vector are found together */
#define AHEAD 64 /* coordinates, a cache line or two each, between use and prefetch */

typedef REAL V __attribute__((vector_size(RFA_BYTES)));
typedef REAL VU __attribute__((vector_size(RFA_BYTES), aligned(sizeof(REAL)), may_alias));
typedef double W __attribute__((vector_size(RFA_BYTES)));
typedef REAL WU __attribute__((vector_size(WL * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef __typeof__((V){0} < (V){0}) I;
typedef BITS N __attribute__((vector_size(RFA_BYTES)));

/* All bits of element l if bit l is set, else none. */
static inline __attribute__((always_inline)) N RFA_NAME(rfa_elements)(unsigned bits)
{
    N element;
    for (int l = 0; l < VL; ++l)
        element[l] = (BITS)1 << l;
    return (((N){0} + (BITS)bits) & element) != 0;
}

/* rfa_matmul_tile for the samples of `stack` vectors, a constant, from sample s on. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_matmul_stack)(const REAL *x, ptrdiff_t lane_stride, const REAL *w, ptrdiff_t stride,
                           ptrdiff_t depth, int first, REAL *h, ptrdiff_t chunk_stride,
                           ptrdiff_t s, const int stack)
{
    V sums[RFA_TILE][STACK];
    for (int j = 0; j < RFA_TILE; ++j)
        for (int r = 0; r < stack; ++r) {
            sums[j][r] = (V){0};
            if (!first)
                sums[j][r] = LOAD(h + IN_CHUNKS(j, s + r * VL, chunk_stride));
        }
    for (ptrdiff_t k = 0; k < depth; ++k) {
        V xs[STACK];
        for (int r = 0; r < stack; ++r)
            xs[r] = LOAD(x + IN_LANES(k, s + r * VL, lane_stride));
        for (int j = 0; j < RFA_TILE; ++j) {
            V wj = SPLAT(w[j * stride + k]);
            for (int r = 0; r < stack; ++r)
                sums[j][r] = FMA(wj, xs[r], sums[j][r]);
        }
    }
    for (int j = 0; j < RFA_TILE; ++j)
        for (int r = 0; r < stack; ++r)
            STORE(h + IN_CHUNKS(j, s + r * VL, chunk_stride), sums[j][r]);
}

/* h[j][s] = sum_k w[j][k] x[k][s] for a tile of neurons and a number of samples that is a multiple
 * of COLUMNS, k ascending. The sum is added to h unless this is the first panel of coordinates. x
 * has lanes, [k][RFA_LANE]; h has chunks, [neuron][COLUMNS]; w has rows. */
static void RFA_NAME(rfa_matmul_tile)(const REAL *x, ptrdiff_t lane_stride, const REAL *w,
                                      ptrdiff_t stride, ptrdiff_t depth, int first, REAL *h,
                                      ptrdiff_t chunk_stride, ptrdiff_t samples)
{
    ptrdiff_t s = 0;
    for (; s + STACK * VL <= samples; s += STACK * VL)
        RFA_NAME(rfa_matmul_stack)(x, lane_stride, w, stride, depth, first, h, chunk_stride, s,
                                   STACK);
    for (; s < samples; s += VL)
        RFA_NAME(rfa_matmul_stack)(x, lane_stride, w, stride, depth, first, h, chunk_stride, s, 1);
}

/* h where it is positive or NaN; elsewhere slope h if leaky, else 0, even where h is infinite. */
static inline __attribute__((always_inline)) V RFA_NAME(rfa_activated)(V h, REAL slope, int leaky)
{
    I other = (I)(h <= (V){0});
    if (!leaky)
        return (V)((I)h & ~other);
    return (V)(((I)h & ~other) | ((I)(slope * h) & other));
}

/* Bit s of masks[j] = h[j][s] > 0, and f[s] += sum_j a[j] phi(h[j][s]), j ascending, for a tile of
 * neurons and a word of samples. phi(h) is h if h > 0, else slope h. A NaN in h makes f NaN. h has
 * chunks, [neuron][COLUMNS]. */
static void RFA_NAME(rfa_activate_tile)(const REAL *h, ptrdiff_t chunk_stride, const REAL *a,
                                        REAL slope, uint64_t *masks, REAL *f)
{
    for (int j = 0; j < RFA_TILE; ++j)
        masks[j] = 0;
    for (int s = 0; s < RFA_WORD; s += VL) {
        V sum = LOAD(f + s);
        for (int j = 0; j < RFA_TILE; ++j) {
            V v = LOAD(h + IN_CHUNKS(j, s, chunk_stride));
            masks[j] |= (uint64_t)POSITIVE(v) << s;
            sum = FMA(SPLAT(a[j]), RFA_NAME(rfa_activated)(v, slope, slope > 0), sum);
        }
        STORE(f + s, sum);
    }
}

#include "sums.h"

/* out[l] = the least element of v[l], for VL vectors, which are overwritten. */
static inline __attribute__((always_inline)) void RFA_NAME(rfa_least)(V *v, REAL *out)
{
#if RFA_BYTES == 64
    /* the minima of pairs of elements, then of pairs of these, two vectors side by side */
    I even;
    for (int l = 0; l < VL; ++l)
        even[l] = 2 * l;
    for (int half = VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l)
            v[l] = MIN(PERMUTE(v[2 * l], even, v[2 * l + 1]),
                       PERMUTE(v[2 * l], even + 1, v[2 * l + 1]));
    STORE(out, v[0]);
#else
    for (int l = 0; l < VL; ++l) {
        out[l] = v[l][0];
        for (int i = 1; i < VL; ++i)
            out[l] = v[l][i] < out[l] ? v[l][i] : out[l];
    }
#endif
}

/* rfa_lane_signs for the first `rows` neurons of the list, or for all if there are fewer. rows is a
 * constant. Returns sums of h - h: 0 where every h is finite, else NaN. */
static inline __attribute__((always_inline)) V
RFA_NAME(rfa_row_signs)(const REAL *x, const REAL *w, ptrdiff_t stride, ptrdiff_t d,
                        const ptrdiff_t *list, ptrdiff_t count, const int rows, uint16_t *bits,
                        REAL *low, REAL *high)
{
    const V none = SPLAT((REAL)INFINITY);
    V rest = {0}, sums[LANE_ROWS][LANE_PARTS];
    const REAL *row[LANE_ROWS];
    REAL least[LANE_ROWS + VL], most[LANE_ROWS + VL];
    uint16_t positive[LANE_ROWS + VL];
    for (int r = 0; r < rows; ++r) {
        /* rows beyond the list repeat its last neuron */
        row[r] = w + list[r < count ? r : count - 1] * stride;
        for (int p = 0; p < LANE_PARTS; ++p)
            sums[r][p] = (V){0};
    }
    for (ptrdiff_t k = 0; k < d; ++k)
        for (int p = 0; p < LANE_PARTS; ++p) {
            V xs = LOAD(x + k * RFA_LANE + p * VL);
            /* the next lane follows in memory and will most likely be needed next */
            __builtin_prefetch(x + (k + AHEAD) * RFA_LANE + p * VL, 0, 2);
            for (int r = 0; r < rows; ++r)
                sums[r][p] = FMA(SPLAT(row[r][k]), xs, sums[r][p]);
        }
    for (int first = 0; first < rows; first += VL) {
        V over[VL], under[VL];
        for (int l = 0; l < VL; ++l) {
            const int r = first + l;
            over[l] = under[l] = none;
            positive[r] = 0;
            for (int p = 0; p < LANE_PARTS && r < rows; ++p) {
                V h = sums[r][p];
                positive[r] |= (uint16_t)(POSITIVE(h) << p * VL);
                over[l] = MIN(over[l], WHERE(h, h, none));
                under[l] = MIN(under[l], WHERE(h, none, -h));
                rest += h - h;
            }
        }
        RFA_NAME(rfa_least)(over, least + first);
        RFA_NAME(rfa_least)(under, most + first);
    }
    for (ptrdiff_t r = 0; r < rows && r < count; ++r) {
        bits[r] = positive[r];
        low[r] = least[r];
        high[r] = -most[r];
    }
    return rest;
}

/* Signs and extremes of h = sum_k w[j][k] x[k][s] for a lane of samples s and `count` neurons: the
 * l-th of them is j = list[l]. k ascends as in rfa_matmul_tile. Bit s of bits[l] is h > 0. low[l]
 * is the least h > 0, INFINITY if there is none. high[l] is the largest h <= 0, -INFINITY if there
 * is none. Returns 0 if every h is finite, else NaN. */
static REAL RFA_NAME(rfa_lane_signs)(const REAL *x, const REAL *w, ptrdiff_t stride, ptrdiff_t d,
                                     const ptrdiff_t *list, ptrdiff_t count, uint16_t *bits,
                                     REAL *low, REAL *high)
{
    V rest = {0};
    REAL result = 0;
    while (count > 0) {
        /* the number of rows that leaves fewer of them without a neuron */
        int fewer = count <= FEWER_ROWS || (count > LANE_ROWS && count <= 2 * FEWER_ROWS);
        ptrdiff_t rows = fewer ? FEWER_ROWS : LANE_ROWS;
        if (fewer)
            rest += RFA_NAME(rfa_row_signs)(x, w, stride, d, list, count, FEWER_ROWS, bits, low,
                                            high);
        else
            rest += RFA_NAME(rfa_row_signs)(x, w, stride, d, list, count, LANE_ROWS, bits, low,
                                            high);
        list += rows;
        bits += rows;
        low += rows;
        high += rows;
        count -= rows;
    }
    for (int l = 0; l < VL; ++l)
        result += rest[l];
    return result;
}

/* sums[j][i] += c[t][i] where bit i of masks[t][j] is set, for a word of samples i and the steps t
 * in their order. */
static void RFA_NAME(rfa_accumulate)(const uint64_t *masks, ptrdiff_t masks_stride, const REAL *c,
                                     ptrdiff_t c_stride, ptrdiff_t steps, ptrdiff_t neurons,
                                     REAL *sums, ptrdiff_t sums_stride)
{
    for (int i = 0; i < RFA_WORD; i += STACK * VL)
        for (ptrdiff_t j = 0; j < neurons; ++j) {
            REAL *row = sums + j * sums_stride + i;
            V sum[STACK];
            for (int r = 0; r < STACK; ++r)
                sum[r] = LOAD(row + r * VL);
            for (ptrdiff_t t = 0; t < steps; ++t)
                for (int r = 0; r < STACK; ++r) {
                    unsigned bits = (unsigned)(masks[t * masks_stride + j] >> (i + r * VL));
                    sum[r] = ADD_WHERE(bits, sum[r], LOAD(c + t * c_stride + i + r * VL));
                }
            for (int r = 0; r < STACK; ++r)
                STORE(row + r * VL, sum[r]);
        }
}

/* dots[j] += the sum of (sums[j][i] + common[i]) (before[j][i] + after[j][i]) over a word of
 * samples i, in float64. sums has rows; before and after have chunks, [neuron][COLUMNS]. */
static void RFA_NAME(rfa_products)(const REAL *sums, ptrdiff_t stride, const REAL *common,
                                   ptrdiff_t neurons, const REAL *before, const REAL *after,
                                   ptrdiff_t chunk_stride, double *dots)
{
    for (ptrdiff_t j = 0; j < neurons; ++j) {
        W total = {0};
        double sum = 0;
        for (int i = 0; i < RFA_WORD; i += WL) {
            ptrdiff_t at = IN_CHUNKS(j, i, chunk_stride);
            W h = WIDEN(before + at) + WIDEN(after + at);
            W factor = WIDEN(sums + j * stride + i) + WIDEN(common + i);
            total = WIDE_FMA(factor, h, total);
        }
        for (int l = 0; l < WL; ++l)
            sum += total[l];
        dots[j] += sum;
    }
}

/* out[j][k] = factor (anchor[j][k] + a[j] (sums[j][k] + common[k])) for a number of rows j and
 * count columns k. sums and common have chunks, [row][COLUMNS]; anchor and out have rows. */
static void RFA_NAME(rfa_combine)(const REAL *sums, const REAL *common, ptrdiff_t chunk_stride,
                                  const REAL *a, const REAL *anchor, ptrdiff_t anchor_stride,
                                  double factor, ptrdiff_t rows, ptrdiff_t count, REAL *out,
                                  ptrdiff_t out_stride)
{
    for (ptrdiff_t j = 0; j < rows; ++j)
        for (ptrdiff_t k = 0; k < count; k += WL) {
            WU v = LOAD_WIDE(sums + IN_CHUNKS(j, k, chunk_stride)) +
                   LOAD_WIDE(common + IN_CHUNKS(0, k, chunk_stride));
            v = LOAD_WIDE(anchor + j * anchor_stride + k) + a[j] * v;
            v = __builtin_convertvector(factor * __builtin_convertvector(v, W), WU);
            if (k + WL <= count)
                STORE_WIDE(out + j * out_stride + k, v);
            else
                memcpy(out + j * out_stride + k, &v, sizeof(REAL) * (size_t)(count - k));
        }
}

/* rfa_dots for the first `there` rows, at most `many`. If moved is 0, before is not read. many and
 * moved are constants. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_dots_of)(const REAL *w, const REAL *before, const int moved, const double *rows,
                      const int many, ptrdiff_t there, ptrdiff_t d, double *out)
{
    /* enough sums side by side that an addition need not wait for the one before it */
    const int parts = many ? 2 : 4;
    const double *row[DOTS];
    W sums[4][1 + DOTS];
    ptrdiff_t i = 0;
    memset(sums, 0, sizeof sums);
    for (int r = 0; r < many; ++r)
        row[r] = rows + (r < there ? r : 0) * d;
    for (; i + parts * WL <= d; i += parts * WL)
        for (int p = 0; p < parts; ++p) {
            W v = WIDEN(w + i + p * WL), u;
            if (moved)
                v -= WIDEN(before + i + p * WL);
            sums[p][0] = WIDE_FMA(v, v, sums[p][0]);
            for (int r = 0; r < many; ++r) {
                memcpy(&u, row[r] + i + p * WL, sizeof u);
                sums[p][1 + r] = WIDE_FMA(u, v, sums[p][1 + r]);
            }
        }
    for (int r = 0; r <= many && r <= there; ++r) {
        W both = (sums[0][r] + sums[1][r]) + (sums[2][r] + sums[3][r]);
        double sum = 0;
        for (int l = 0; l < WL; ++l)
            sum += both[l];
        for (ptrdiff_t k = i; k < d; ++k) {
            double v = (double)w[k] - (moved ? (double)before[k] : 0);
            sum += v * (r ? row[r - 1][k] : v);
        }
        out[r] = sum;
    }
}

/* out[0] = <v, v> and out[1 + c] = <v, rows[c]> for k rows, in float64, with v = w - before, or
 * v = w if before is NULL. */
static void RFA_NAME(rfa_dots)(const REAL *w, const REAL *before, const double *rows, ptrdiff_t k,
                               ptrdiff_t d, double *out)
{
    ptrdiff_t c = 0;
    do {
        double found[1 + DOTS] = {0};
        ptrdiff_t there = k - c < DOTS ? k - c : DOTS;
        const double *first = there ? rows + c * d : NULL;
#define FIND(many)                                                                                 \
    if (before)                                                                                    \
        RFA_NAME(rfa_dots_of)(w, before, 1, first, many, there, d, found);                         \
    else                                                                                           \
        RFA_NAME(rfa_dots_of)(w, NULL, 0, first, many, there, d, found)
        if (there > DOTS / 2) {
            FIND(DOTS);
        } else if (there > 0) {
            FIND(DOTS / 2);
        } else {
            FIND(0);
        }
#undef FIND
        out[0] = found[0];
        memcpy(out + 1 + c, found + 1, sizeof(double) * (size_t)there);
        c += DOTS;
    } while (c < k);
}

static const RFA_JOIN(rfa, leaves, RFA_REAL) RFA_JOIN(rfa, RFA_REAL, RFA_LEVEL) = {
    RFA_NAME(rfa_matmul_tile),
    RFA_NAME(rfa_activate_tile),
    RFA_NAME(rfa_subset_sums),
    RFA_NAME(rfa_look_up),
    RFA_NAME(rfa_add_row),
    RFA_NAME(rfa_join),
    RFA_NAME(rfa_gather),
    RFA_NAME(rfa_finish),
    RFA_NAME(rfa_finish_and_activate),
    RFA_NAME(rfa_add_products),
    RFA_NAME(rfa_fold),
    RFA_NAME(rfa_lane_signs),
    RFA_NAME(rfa_accumulate),
    RFA_NAME(rfa_products),
    RFA_NAME(rfa_dots),
    RFA_NAME(rfa_combine)};

#undef V
#undef VU
#undef I
#undef N
#undef W
#undef WU
#undef VL
#undef WL
#undef FMA
#undef WIDE_FMA
#undef FMA_WHERE
#undef ADD_WHERE
#undef ABOVE
#undef POSITIVE
#undef WHERE
#undef MIN
#undef PERMUTE
#undef LOAD
#undef STORE
#undef LOAD_WIDE
#undef STORE_WIDE
#undef WIDEN
#undef SPLAT
#undef COLUMNS
#undef IN_LANES
#undef IN_CHUNKS
#undef STACK
#undef LANE_PARTS
#undef LANE_ROWS
#undef FEWER_ROWS
#undef AHEAD
#undef DOTS
