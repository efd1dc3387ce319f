/* The losses: their list, then the vector loops of l(s) and of the weight g(s) = -l'(s) in float64.
 *
 * leaves.h includes this file for the list alone; level.h includes it again for the loops, once a
 * level, and defines the names that they use. */
#ifndef RFA_LOSSES
/* X(name in rfa.losses, loop of the weight, loop of the loss). The place in the list is the number
 * of a loss in the kernels; logistic comes first and is the loss of rfa.kernels. */
#define RFA_LOSSES(X)                                                                              \
    X("logistic", rfa_logistic, rfa_logistic_loss)                                                 \
    X("exponential", rfa_exponential, rfa_exponential)                                             \
    X("hinge", rfa_hinge, rfa_hinge_loss)                                                          \
    X("square", rfa_square, rfa_square_loss)
#endif

#ifdef RFA_LEVEL
/* exp(x) for x <= 800. Let x = k log 2 + r with abs(r) <= log(2)/2. The Taylor series of exp(r) is
 * taken up to degree 13; the rest is below 2^-57. It is then scaled by 2^k. Where no instruction
 * does this, 2^k is taken as two factors, so that a result below the normal range is rounded once.
 * NaN stays NaN. Below -800 the result is 0. */
static inline __attribute__((always_inline)) D RFA_NAME(rfa_exp)(D x)
{
    const double shifter = 0x1.8p52;
    D low = SPLAT(-800.0);
#if RFA_BYTES == 64
    x = _mm512_max_pd(low, x); /* the second operand if either is NaN */
#else
    x = WHERE(x < low, low) + (D)((I)x & ~(I)(x < low));
#endif
    D shifted = FMA(x, SPLAT(0x1.71547652b82fep0), SPLAT(shifter));
    D k = shifted - shifter;
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
#if RFA_BYTES == 64
    return _mm512_scalef_pd(p, k);
#else
    /* the integers k and k/2 stand in the low bits of the shifted values */
    D half = k * 0.5 + shifter;
    I whole = (I)shifted - (I)SPLAT(shifter);
    I first = (I)half - (I)SPLAT(shifter);
    D scale1 = (D)((first + 1023) << 52), scale2 = (D)((whole - first + 1023) << 52);
    return p * scale1 * scale2;
#endif
}

/* g = 1 / (1 + exp(s)), the weight of the logistic loss; s may be of any size. Here and below n is
 * a multiple of VL. */
static void RFA_NAME(rfa_logistic)(const double *s, ptrdiff_t n, double *g)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = LOAD(s + i);
        I positive = (I)(v >= 0.0);
        D e = RFA_NAME(rfa_exp)((D)((I)v | (I)SPLAT(-0.0)));
        STORE(g + i, ((D)(((I)e & positive) | ((I)SPLAT(1.0) & ~positive))) / (e + 1.0));
    }
}

/* The logistic loss log(1 + exp(-s)) = max(-s, 0) + log1p(e) with e = exp(-abs(s)). With
 * u = e / (2 + e) <= 1/3, log1p(e) = 2 artanh(u). Its odd series is taken up to u^33; the rest is
 * below 2^-57. */
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

/* g = exp(-s), which is both the exponential loss and its weight. Where float64 cannot hold it, g
 * is 0 or infinite. */
static void RFA_NAME(rfa_exponential)(const double *s, ptrdiff_t n, double *g)
{
    D high = SPLAT(800.0);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        D v = -LOAD(s + i);
        I beyond = (I)(v > high);
        STORE(g + i, RFA_NAME(rfa_exp)(WHERE(beyond, high) + WHERE(~beyond, v)));
    }
}

/* g = 1 if s < 1, else 0: the weight of the hinge loss max(0, 1 - s). */
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

/* g = 1 - s, the weight of the square loss (1 - s)^2 / 2. */
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
#endif /* RFA_LEVEL */
