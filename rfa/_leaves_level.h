/* The leaves of one level (RFA_LEVEL, with RFA_BYTES to a vector): those of each real type, then
 * the ones that exist in float64 only. No include guard: _leaves.h includes this once a level. */
#define RFA_REAL f32
#define REAL float
#define BITS int32_t
#include "_leaves_real.h"
#undef RFA_REAL
#undef REAL
#undef BITS
#define RFA_REAL f64
#define REAL double
#define BITS int64_t
#include "_leaves_real.h"
#undef BITS

#define D RFA_NAME(rfa_vector)
#define I RFA_NAME(rfa_bits)
#define VL (RFA_BYTES / 8)
#define PARTS (RFA_LANES / VL) /* vectors in a row of a ring */
#define LOAD(p) (*(const RFA_NAME(rfa_load) *)(p))
#define STORE(p, v) (*(RFA_NAME(rfa_load) *)(p) = (v))
#define SPLAT(s) ((s) - (D){0})
#define FMA(a, b, c) ((D)RFA_JOIN(RFA_FMA, RFA_LEVEL, f64)(a, b, c))
#define WHERE(keep, v) ((D)((I)(v) & (I)(keep)))
#define POSITIVE(v) RFA_JOIN(RFA_POSITIVE, RFA_LEVEL, f64)(v)

typedef float RFA_NAME(rfa_float) __attribute__((vector_size(4 * VL), aligned(4), may_alias));

/* exp(x) for x <= 800: x = k log 2 + r, the Taylor series of degree 13 on abs(r) <= log(2)/2
 * (truncated below 2^-57), scaled by 2^k in two factors so that results below the normal range
 * are rounded once. NaN stays NaN; below -800 the result is 0. */
static inline __attribute__((always_inline)) D RFA_NAME(rfa_exp)(D x)
{
    const double shifter = 0x1.8p52;
    D low = SPLAT(-800.0);
    x = WHERE(x < low, low) + (D)((I)x & ~(I)(x < low));
    D shifted = FMA(x, SPLAT(0x1.71547652b82fep0), SPLAT(shifter));
    D k = shifted - shifter;
    D half = k * 0.5 + shifter;
    D r = FMA(k, SPLAT(-0x1.62e42fee00000p-1), x);
    r = FMA(k, SPLAT(-0x1.a39ef35793c76p-33), r);
    D p = SPLAT(1.0 / 6227020800.0);
    p = FMA(p, r, SPLAT(1.0 / 479001600.0));
    p = FMA(p, r, SPLAT(1.0 / 39916800.0));
    p = FMA(p, r, SPLAT(1.0 / 3628800.0));
    p = FMA(p, r, SPLAT(1.0 / 362880.0));
    p = FMA(p, r, SPLAT(1.0 / 40320.0));
    p = FMA(p, r, SPLAT(1.0 / 5040.0));
    p = FMA(p, r, SPLAT(1.0 / 720.0));
    p = FMA(p, r, SPLAT(1.0 / 120.0));
    p = FMA(p, r, SPLAT(1.0 / 24.0));
    p = FMA(p, r, SPLAT(1.0 / 6.0));
    p = FMA(p, r, SPLAT(0.5));
    p = FMA(p, r, SPLAT(1.0));
    p = FMA(p, r, SPLAT(1.0));
    /* the integers k and k/2 stand in the low bits of the shifted values */
    I whole = (I)shifted - (I)SPLAT(shifter);
    I first = (I)half - (I)SPLAT(shifter);
    D scale1 = (D)((first + 1023) << 52), scale2 = (D)((whole - first + 1023) << 52);
    return p * scale1 * scale2;
}

/* g = 1 / (1 + exp(s)), for s of any size (n a multiple of RFA_LANES). */
static void RFA_NAME(rfa_logistic)(const double *s, ptrdiff_t n, double *g)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = LOAD(s + i);
        I positive = (I)(v >= 0.0);
        D e = RFA_NAME(rfa_exp)((D)((I)v | (I)SPLAT(-0.0)));
        STORE(g + i, ((D)(((I)e & positive) | ((I)SPLAT(1.0) & ~positive))) / (e + 1.0));
    }
}

/* log(1 + exp(-s)) = max(-s, 0) + log1p(e), e = exp(-abs(s)), by
 * log1p(e) = 2 artanh(u), u = e / (2 + e) <= 1/3: the odd series up to u^33 is truncated below
 * 2^-57 (n a multiple of RFA_LANES). */
static void RFA_NAME(rfa_logistic_loss)(const double *s, ptrdiff_t n, double *loss)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = LOAD(s + i);
        D e = RFA_NAME(rfa_exp)((D)((I)v | (I)SPLAT(-0.0)));
        D u = e / (e + 2.0);
        D z = u * u;
        D p = SPLAT(1.0 / 33.0);
        for (int odd = 31; odd >= 1; odd -= 2)
            p = FMA(p, z, SPLAT(1.0 / odd));
        STORE(loss + i, WHERE(~(I)(v >= 0.0), -v) + 2.0 * u * p);
    }
}

/* g = exp(-s), the exponential loss and its weights alike; beyond the range 0 or infinite. */
static void RFA_NAME(rfa_exponential)(const double *s, ptrdiff_t n, double *g)
{
    D high = SPLAT(800.0);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = -LOAD(s + i);
        I beyond = (I)(v > high);
        STORE(g + i, RFA_NAME(rfa_exp)(WHERE(beyond, high) + WHERE(~beyond, v)));
    }
}

/* g = 1[s < 1], for the hinge loss max(0, 1 - s). */
static void RFA_NAME(rfa_hinge)(const double *s, ptrdiff_t n, double *g)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        STORE(g + i, WHERE(LOAD(s + i) < 1.0, SPLAT(1.0)));
}

static void RFA_NAME(rfa_hinge_loss)(const double *s, ptrdiff_t n, double *loss)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = 1.0 - LOAD(s + i);
        STORE(loss + i, WHERE(~(I)(v <= 0.0), v));
    }
}

/* g = 1 - s, for the square loss (1 - s)^2 / 2. */
static void RFA_NAME(rfa_square)(const double *s, ptrdiff_t n, double *g)
{
    for (ptrdiff_t i = 0; i < n; i += VL)
        STORE(g + i, 1.0 - LOAD(s + i));
}

static void RFA_NAME(rfa_square_loss)(const double *s, ptrdiff_t n, double *loss)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = 1.0 - LOAD(s + i);
        STORE(loss + i, 0.5 * v * v);
    }
}

/* counts[j * stride] += number of bits set in masks[j] & keep. */
static void RFA_NAME(rfa_count)(const uint64_t *masks, uint64_t keep, ptrdiff_t neurons,
                                ptrdiff_t stride, int32_t *counts)
{
    for (ptrdiff_t j = 0; j < neurons; ++j)
        counts[j * stride] += (int32_t)__builtin_popcountll(masks[j] & keep);
}

/* out[i] bit j = words[j] bit i, 64 by 64, by halves. */
static void RFA_NAME(rfa_transpose)(const uint64_t *words, uint64_t *out)
{
    uint64_t keep = 0x00000000FFFFFFFF;
    memcpy(out, words, 64 * sizeof *out);
    for (int half = 32; half > 0; half /= 2, keep ^= keep << half)
        for (int begin = 0; begin < 64; begin += 2 * half)
            for (int i = begin; i < begin + half; ++i) {
                uint64_t swap = (out[i] >> half ^ out[i + half]) & keep;
                out[i] ^= swap << half;
                out[i + half] ^= swap;
            }
}

/* For a lane of samples: which neurons' signs are open, a bit each; and what is to be added to the
 * nearest pre-activations to make low and high of them, see rfa/engines/_signs.pyx. path has k + 3
 * rows of neurons, lane as many factors; neurons: a multiple of 64. */
static void RFA_NAME(rfa_certify)(const float *low, const float *high, const double *path,
                                  const double *lane, ptrdiff_t k, ptrdiff_t neurons,
                                  double *to_low, double *to_high, uint64_t *open)
{
    for (ptrdiff_t j = 0; j < neurons; j += VL) {
        D change = {0};
        for (ptrdiff_t c = 0; c < k; ++c)
            change = FMA(SPLAT(lane[c]), LOAD(path + c * neurons + j), change);
        D outside = SPLAT(lane[k + 1]) * LOAD(path + (k + 1) * neurons + j);
        D rounding = SPLAT(lane[k + 2]) * LOAD(path + (k + 2) * neurons + j);
        D loose = FMA(SPLAT(lane[k]), LOAD(path + k * neurons + j), outside + rounding);
        /* 2^-48: what these sums lose by rounding, here and when they are compared */
        D kept = loose - 2.0 * rounding - 0x1p-48 * loose;
        D least = __builtin_convertvector(*(const RFA_NAME(rfa_float) *)(low + j), D);
        D most = __builtin_convertvector(*(const RFA_NAME(rfa_float) *)(high + j), D);
        D above = least + change - loose, below = -(most + change + loose);
        unsigned sure = POSITIVE(above) & POSITIVE(below);
        STORE(to_low + j, kept - change);
        STORE(to_high + j, kept + change);
        if (j % 64 == 0)
            open[j / 64] = 0;
        open[j / 64] |= (uint64_t)(~sure & ((1u << VL) - 1)) << j % 64;
    }
}

/* Number of bits in which two runs of words differ. */
static int64_t RFA_NAME(rfa_differences)(const uint64_t *masks, const uint64_t *others,
                                         ptrdiff_t words)
{
    int64_t sum = 0;
    for (ptrdiff_t i = 0; i < words; ++i)
        sum += __builtin_popcountll(masks[i] ^ others[i]);
    return sum;
}

/* out[l] = start + sums[0] + ... + sums[l-1]; returns the sum of all. */
static inline double RFA_NAME(rfa_offsets)(const double *sums, double start, double *out)
{
    for (int l = 0; l < RFA_LANES; ++l) {
        out[l] = start;
        start += sums[l];
    }
    return start;
}

/* f = <x, S>, S the running sum over the ring of the changes d; d is left at zero. A ring stores
 * its samples in RFA_LANES consecutive segments side by side, row r holding the r-th sample of
 * each, so that eight running sums go in parallel and are joined by their offsets. */
static void RFA_NAME(rfa_ring_outputs)(ptrdiff_t rows, const double *x0, const double *x1,
                                       double *d0, double *d1, const double *base, double *f)
{
    double sums[RFA_LANES], off0[RFA_LANES], off1[RFA_LANES];
    D s0[PARTS], s1[PARTS];
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    for (ptrdiff_t i = 0; i < rows * RFA_LANES; i += RFA_LANES)
        for (int p = 0; p < PARTS; ++p) {
            s0[p] += LOAD(d0 + i + p * VL);
            s1[p] += LOAD(d1 + i + p * VL);
            STORE(d0 + i + p * VL, s0[p]);
            STORE(d1 + i + p * VL, s1[p]);
        }
    memcpy(sums, s0, sizeof sums);
    RFA_NAME(rfa_offsets)(sums, base[0], off0);
    memcpy(sums, s1, sizeof sums);
    RFA_NAME(rfa_offsets)(sums, base[1], off1);
    for (ptrdiff_t i = 0; i < rows * RFA_LANES; i += RFA_LANES)
        for (int p = 0; p < PARTS; ++p) {
            ptrdiff_t q = i + p * VL;
            D sum0 = LOAD(d0 + q) + LOAD(off0 + p * VL), sum1 = LOAD(d1 + q) + LOAD(off1 + p * VL);
            STORE(f + q, FMA(LOAD(x1 + q), sum1, LOAD(x0 + q) * sum0));
            STORE(d0 + q, (D){0});
            STORE(d1 + q, (D){0});
        }
}

/* c = scale weighted g, g = weigh(y f). */
static void RFA_NAME(rfa_ring_weights)(ptrdiff_t rows, const double *f, const double *y,
                                       const double *weighted, double scale, rfa_margins *weigh,
                                       double *c)
{
    for (ptrdiff_t i = 0; i < rows * RFA_LANES; i += VL)
        STORE(c + i, LOAD(y + i) * LOAD(f + i));
    weigh(c, rows * RFA_LANES, c);
    for (ptrdiff_t i = 0; i < rows * RFA_LANES; i += VL)
        STORE(c + i, scale * LOAD(weighted + i) * LOAD(c + i));
}

/* p = sum of c x over the earlier samples of the same lane; sums: the offsets of the lanes of p0,
 * of p1, then both totals. */
static void RFA_NAME(rfa_ring_sums)(ptrdiff_t rows, const double *x0, const double *x1,
                                    const double *c, double *p0, double *p1, double *sums)
{
    double lanes[RFA_LANES];
    D s0[PARTS], s1[PARTS];
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    for (ptrdiff_t i = 0; i < rows * RFA_LANES; i += RFA_LANES)
        for (int p = 0; p < PARTS; ++p) {
            ptrdiff_t q = i + p * VL;
            STORE(p0 + q, s0[p]);
            STORE(p1 + q, s1[p]);
            s0[p] = FMA(LOAD(c + q), LOAD(x0 + q), s0[p]);
            s1[p] = FMA(LOAD(c + q), LOAD(x1 + q), s1[p]);
        }
    memcpy(lanes, s0, sizeof lanes);
    sums[2 * RFA_LANES] = RFA_NAME(rfa_offsets)(lanes, 0.0, sums);
    memcpy(lanes, s1, sizeof lanes);
    sums[2 * RFA_LANES + 1] = RFA_NAME(rfa_offsets)(lanes, 0.0, sums + RFA_LANES);
}

/* low, high = min and max of themselves and of w0 x0 + w1 x1 over n samples. */
static void RFA_NAME(rfa_planar_range)(const double *x0, const double *x1, ptrdiff_t n, double w0,
                                       double w1, double *low, double *high)
{
    D least = SPLAT(*low), most = SPLAT(*high);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        D h = FMA(SPLAT(w1), LOAD(x1 + i), SPLAT(w0) * LOAD(x0 + i));
        I less = (I)(h < least), more = (I)(h > most);
        least = (D)(((I)h & less) | ((I)least & ~less));
        most = (D)(((I)h & more) | ((I)most & ~more));
    }
    for (int l = 0; l < VL; ++l) {
        *low = least[l] < *low ? least[l] : *low;
        *high = most[l] > *high ? most[l] : *high;
    }
    for (; i < n; ++i) {
        double h = w0 * x0[i] + w1 * x1[i];
        *low = h < *low ? h : *low;
        *high = h > *high ? h : *high;
    }
}

static const rfa_leaves RFA_JOIN(rfa, common, RFA_LEVEL) = {
    {RFA_NAME(rfa_logistic), RFA_NAME(rfa_exponential), RFA_NAME(rfa_hinge), RFA_NAME(rfa_square)},
    {RFA_NAME(rfa_logistic_loss), RFA_NAME(rfa_exponential), RFA_NAME(rfa_hinge_loss),
     RFA_NAME(rfa_square_loss)},
    RFA_NAME(rfa_count),
    RFA_NAME(rfa_transpose),
    RFA_NAME(rfa_certify),
    RFA_NAME(rfa_differences),
    RFA_NAME(rfa_ring_outputs),
    RFA_NAME(rfa_ring_sums),
    RFA_NAME(rfa_ring_weights),
    RFA_NAME(rfa_planar_range)};

#undef D
#undef I
#undef VL
#undef PARTS
#undef LOAD
#undef STORE
#undef SPLAT
#undef FMA
#undef WHERE
#undef POSITIVE
#undef RFA_REAL
#undef REAL
