/* The leaves of the planar engine, in float64; level.h includes this, whose names it uses.
 *
 * A ring is cut into RFA_STRANDS strands of consecutive samples, which are stored side by side: row
 * r has the r-th sample of each strand. So eight running sums go in parallel; what the strands
 * before it add up to is the offset of a strand. */
#define PARTS (RFA_STRANDS / VL)   /* vectors in a row of a ring */
#define STRETCH (64 * RFA_STRANDS) /* samples whose numbers stay in the first cache together */

/* out[l] = start + sums[0] + ... + sums[l-1]. Returns the sum of all. */
static inline double RFA_NAME(rfa_offsets)(const double *sums, double start, double *out)
{
    for (int l = 0; l < RFA_STRANDS; ++l) {
        out[l] = start;
        start += sums[l];
    }
    return start;
}

/* The offsets of the strands for the running sums of d0, then for those of d1. The running sums
 * begin with base. */
static inline void RFA_NAME(rfa_ring_offsets)(ptrdiff_t n, const double *d0, const double *d1,
                                              const double *base, double *offsets)
{
    double totals[RFA_STRANDS];
    D s0[PARTS], s1[PARTS];
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    for (ptrdiff_t i = 0; i < n; i += RFA_STRANDS)
        for (int p = 0; p < PARTS; ++p) {
            s0[p] += LOAD(d0 + i + p * VL);
            s1[p] += LOAD(d1 + i + p * VL);
        }
    memcpy(totals, s0, sizeof totals);
    RFA_NAME(rfa_offsets)(totals, base[0], offsets);
    memcpy(totals, s1, sizeof totals);
    RFA_NAME(rfa_offsets)(totals, base[1], offsets + RFA_STRANDS);
}

/* f = <x, S> for samples begin, ..., end - 1. S is the offset of a strand plus its running sum of
 * d, which s0 and s1 have up to begin. d becomes zero. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_stretch_outputs)(ptrdiff_t begin, ptrdiff_t end, const double *x0, const double *x1,
                              double *d0, double *d1, const double *offsets, D *s0, D *s1,
                              double *f)
{
    for (ptrdiff_t i = begin; i < end; i += RFA_STRANDS)
        for (int p = 0; p < PARTS; ++p) {
            ptrdiff_t q = i + p * VL;
            s0[p] += LOAD(d0 + q);
            s1[p] += LOAD(d1 + q);
            D sum0 = s0[p] + LOAD(offsets + p * VL);
            D sum1 = s1[p] + LOAD(offsets + RFA_STRANDS + p * VL);
            STORE(f + q, FMA(LOAD(x1 + q), sum1, LOAD(x0 + q) * sum0));
            STORE(d0 + q, (D){0});
            STORE(d1 + q, (D){0});
        }
}

/* f = <x, S>, where S is base plus the running sum of d over the ring. d becomes zero. */
static void RFA_NAME(rfa_ring_outputs)(ptrdiff_t rows, const double *x0, const double *x1,
                                       double *d0, double *d1, const double *base, double *f)
{
    double offsets[2 * RFA_STRANDS];
    D s0[PARTS], s1[PARTS];
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    RFA_NAME(rfa_ring_offsets)(rows * RFA_STRANDS, d0, d1, base, offsets);
    RFA_NAME(rfa_stretch_outputs)(0, rows * RFA_STRANDS, x0, x1, d0, d1, offsets, s0, s1, f);
}

/* c = scale weighted g with g = weigh(y f), for n samples. Returns sums of f - f: each is 0, or NaN
 * if one of its f is not finite. */
static inline __attribute__((always_inline)) D
RFA_NAME(rfa_stretch_weights)(ptrdiff_t n, const double *f, const double *y,
                              const double *weighted, double scale, rfa_margins *weigh, double *c)
{
    D rest = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = LOAD(f + i);
        STORE(c + i, LOAD(y + i) * v);
        rest += v - v;
    }
    weigh(c, n, c);
    for (ptrdiff_t i = 0; i < n; i += VL)
        STORE(c + i, scale * LOAD(weighted + i) * LOAD(c + i));
    return rest;
}

/* Makes f as rfa_ring_outputs does, and c = scale weighted g with g = weigh(y f). p of a sample is
 * the sum of c x over the samples before it in its strand. offsets gets the offsets of the strands
 * for p0, those for p1, and the two totals. Returns 0 if all of f is finite, else NaN. The work is
 * done stretch by stretch, so that f and c are still in the first cache when they are read. */
static double RFA_NAME(rfa_ring_step)(ptrdiff_t rows, const double *x0, const double *x1,
                                      double *d0, double *d1, const double *base, double *f,
                                      const double *y, const double *weighted, double scale,
                                      rfa_margins *weigh, double *p0, double *p1, double *offsets)
{
    const ptrdiff_t n = rows * RFA_STRANDS;
    double c[STRETCH], before[2 * RFA_STRANDS], totals[RFA_STRANDS], result = 0;
    D rest = {0}, s0[PARTS], s1[PARTS], t0[PARTS], t1[PARTS];
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    memset(t0, 0, sizeof t0);
    memset(t1, 0, sizeof t1);
    RFA_NAME(rfa_ring_offsets)(n, d0, d1, base, before);
    for (ptrdiff_t begin = 0; begin < n; begin += STRETCH) {
        ptrdiff_t end = begin + STRETCH < n ? begin + STRETCH : n;
        RFA_NAME(rfa_stretch_outputs)(begin, end, x0, x1, d0, d1, before, s0, s1, f);
        rest += RFA_NAME(rfa_stretch_weights)(end - begin, f + begin, y + begin, weighted + begin,
                                              scale, weigh, c);
        for (ptrdiff_t i = begin; i < end; i += RFA_STRANDS)
            for (int p = 0; p < PARTS; ++p) {
                ptrdiff_t q = i + p * VL;
                D v = LOAD(c + q - begin);
                STORE(p0 + q, t0[p]);
                STORE(p1 + q, t1[p]);
                t0[p] = FMA(v, LOAD(x0 + q), t0[p]);
                t1[p] = FMA(v, LOAD(x1 + q), t1[p]);
            }
    }
    memcpy(totals, t0, sizeof totals);
    offsets[2 * RFA_STRANDS] = RFA_NAME(rfa_offsets)(totals, 0.0, offsets);
    memcpy(totals, t1, sizeof totals);
    offsets[2 * RFA_STRANDS + 1] = RFA_NAME(rfa_offsets)(totals, 0.0, offsets + RFA_STRANDS);
    for (int l = 0; l < VL; ++l)
        result += rest[l];
    return result;
}

/* Bit j, of at most 64, is set if w_j has a positive inner product with each of four points of
 * neuron j. The coordinates of the first point are in rows 0 and 1 of points, those of the second
 * in rows 2 and 3, and so on. Rounding keeps the order: if the rounded products have a positive
 * sum, so have the exact ones. Where products cancel, overflow or are not numbers the bit is not
 * set. */
static uint64_t RFA_NAME(rfa_positive_on_points)(const double *points, ptrdiff_t stride,
                                                 const double *w0, const double *w1,
                                                 ptrdiff_t neurons)
{
    uint64_t found = 0;
    ptrdiff_t j = 0;
    for (; j + VL <= neurons; j += VL) {
        unsigned positive = (1u << VL) - 1;
        for (int i = 0; i < 4; ++i) {
            D p = LOAD(w0 + j) * LOAD(points + 2 * i * stride + j);
            D q = LOAD(w1 + j) * LOAD(points + (2 * i + 1) * stride + j);
            positive &= POSITIVE(p + q);
        }
        found |= (uint64_t)positive << j;
    }
    for (; j < neurons; ++j) {
        unsigned positive = 1;
        for (int i = 0; i < 4; ++i)
            positive &= w0[j] * points[2 * i * stride + j] +
                            w1[j] * points[(2 * i + 1) * stride + j] > 0;
        found |= (uint64_t)positive << j;
    }
    return found;
}

/* Lowers low to the least w0 x0 + w1 x1 of n samples, and raises high to the largest. */
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

#undef PARTS
#undef STRETCH
