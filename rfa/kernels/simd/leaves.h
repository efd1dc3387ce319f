/* The straight-line inner loops of rfa, compiled once for each SIMD level.
 *
 * Threads, blocks, branches on data and all bookkeeping are Cython (_kernels.pyx, kernels/,
 * engines/). This folder holds only loops with hardly a decision, because gcc does not turn
 * fixed-size array loops written in Cython into vector code. level.h is the body and is included
 * once for each level: 16-byte vectors for the baseline of any CPU, 32-byte ones for AVX2 + FMA,
 * 64-byte ones for AVX-512. It includes real.h (products, signs), with sums.h (masked sums), once
 * for each real type, then losses.h and ring.h (planar). A fused multiply-add is used only where
 * FMA is written, so the bits of a level are fixed. The words of the comments (word, lane, chunk,
 * span, ...) are explained in rfa/kernels/README.md.
 */
#ifndef RFA_LEAVES_H
#define RFA_LEAVES_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define RFA_X86 1
#include <immintrin.h>
#else
#define RFA_X86 0
#endif

/* setup.py makes sure of this; these errors are for other ways to build */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||           \
    defined(__NO_SIGNED_ZEROS__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "rfa needs IEEE arithmetic: build without -ffast-math, -Ofast and the flags they stand for"
#endif
#if FLT_EVAL_METHOD != 0
#error "rfa needs results of double and float operations to be rounded to their type"
#endif
_Static_assert(sizeof(1.0) == 8, "rfa needs double constants: build without "
                                 "-fsingle-precision-constant");

#define RFA_WORD 64    /* samples in a mask word */
#define RFA_TILE 6     /* neurons in a tile of the matrix multiply; divides every padded m */
#define RFA_SPAN 32    /* samples whose tables of subset sums are held at once */
#define RFA_TABLES 256 /* entries of these tables */
#define RFA_WHOLE 1    /* kind of tables: every entry is stored, instead of those of two halves */
#define RFA_HALF 2     /* kind of tables: the span has at most 16 samples */
#define RFA_ENTRY 64   /* bytes of an entry: a cache line */
#define RFA_LANE 16    /* samples packed, and whose signs are certified or evaluated, together */
#define RFA_STRANDS 8  /* strands of a planar ring, which are scanned side by side */

/* Reals that are `void` in a struct have the type of the leaf that it is given to. */

/* How the sum of neuron j is put together: from its row of sums, and then from `terms` entries of
 * the store, in order. Entry b begins index[j * terms + b] bytes after the store. */
typedef struct {
    const void *sums; /* [neuron][column]; NULL: only the store */
    const void *store;
    const uint16_t *index;
    ptrdiff_t terms;
} rfa_parts;

/* out_j = keep base_j + (scale_j (sum_j + common) - decay base_j) for one chunk of columns. */
typedef struct {
    double keep, decay;
    const void *base; /* rows of stride, as those of out; may be out */
    const void *scale;
    const void *common; /* one entry: added to the sum of every neuron */
    void *out;
    ptrdiff_t stride, neurons;
} rfa_update;

/* What an update of pre-activations, whose columns are samples, makes at once of out. */
typedef struct {
    double slope;
    uint64_t *masks;  /* a word of each neuron: the bits of these samples are written */
    ptrdiff_t sample; /* the first of these samples, counted in the word */
    void *f;          /* sum_j scale_j phi(out_j) of these samples */
} rfa_activation;

/* The leaves of one level for one real type; their loops are in real.h and sums.h. */
#define RFA_LEAVES(NAME, REAL)                                                                     \
    typedef struct {                                                                               \
        void (*matmul_tile)(const REAL *x, ptrdiff_t lane_stride, const REAL *w, ptrdiff_t stride, \
                            ptrdiff_t depth, int first, REAL *h, ptrdiff_t chunk_stride,           \
                            ptrdiff_t samples);                                                    \
        void (*activate_tile)(const REAL *h, ptrdiff_t chunk_stride, const REAL *a, REAL slope,    \
                              uint64_t *masks, REAL *f);                                           \
        void (*subset_sums)(const REAL *rows, const REAL *c, int kind, REAL *tables);              \
        void (*look_up)(const REAL *tables, const uint64_t *masks, int shift,                      \
                        const uint8_t *list, ptrdiff_t count, int kind, int add, REAL *out);       \
        void (*add_row)(const REAL *row, const uint8_t *list, ptrdiff_t count, REAL *out);         \
        void (*join)(const REAL *run, const REAL *entries, const uint8_t *pairs, ptrdiff_t count,  \
                     REAL *out);                                                                   \
        void (*gather)(const rfa_parts *parts, ptrdiff_t neurons, REAL *out);                      \
        int (*finish)(const rfa_parts *parts, const rfa_update *update);                           \
        int (*finish_and_activate)(const rfa_parts *parts, const rfa_update *update,               \
                                   const rfa_activation *activation);                              \
        void (*add_products)(const REAL *rows, ptrdiff_t chunk_stride, const rfa_parts *parts,     \
                             ptrdiff_t count, REAL *products);                                     \
        void (*fold)(const REAL *rows, ptrdiff_t count, REAL *out);                                \
        REAL (*lane_signs)(const REAL *x, const REAL *w, ptrdiff_t stride, ptrdiff_t d,            \
                           const ptrdiff_t *list, ptrdiff_t count, uint16_t *bits, REAL *low,      \
                           REAL *high);                                                            \
        void (*accumulate)(const uint64_t *masks, ptrdiff_t masks_stride, const REAL *c,           \
                           ptrdiff_t c_stride, ptrdiff_t steps, ptrdiff_t neurons, REAL *sums,     \
                           ptrdiff_t sums_stride);                                                 \
        void (*products)(const REAL *sums, ptrdiff_t stride, const REAL *common,                   \
                         ptrdiff_t neurons, const REAL *before, const REAL *after,                 \
                         ptrdiff_t chunk_stride, double *dots);                                    \
        void (*dots)(const REAL *w, const REAL *before, const double *rows, ptrdiff_t k,           \
                     ptrdiff_t d, double *out);                                                    \
        void (*combine)(const REAL *sums, const REAL *common, ptrdiff_t chunk_stride,              \
                        const REAL *a, const REAL *anchor, ptrdiff_t anchor_stride, double factor, \
                        ptrdiff_t rows, ptrdiff_t count, REAL *out, ptrdiff_t out_stride);         \
    } NAME;
RFA_LEAVES(rfa_leaves_f32, float)
RFA_LEAVES(rfa_leaves_f64, double)

#include "losses.h" /* here the list of losses alone */
#define RFA_ONE(name, weight, loss) +1
enum { RFA_LOSS_COUNT = RFA_LOSSES(RFA_ONE) };
#define RFA_LOSS_NAME(name, weight, loss) name,
/* The name of the loss of this number. */
static inline const char *rfa_loss_name(int number)
{
    static const char *const names[] = {RFA_LOSSES(RFA_LOSS_NAME)};
    return names[number];
}

/* Leaves of one level that exist once: what they do is O(n) a step, where single precision would
 * gain nothing, or has no reals. */
typedef void rfa_margins(const double *s, ptrdiff_t n, double *out);
typedef struct {
    /* g = -l'(s) and l(s) of the losses, by their number */
    rfa_margins *loss_weights[RFA_LOSS_COUNT];
    rfa_margins *losses[RFA_LOSS_COUNT];
    void (*count)(const uint64_t *masks, uint64_t keep, ptrdiff_t neurons, ptrdiff_t stride,
                  int32_t *counts);
    void (*transpose)(const uint64_t *words, uint64_t *out);
    void (*certify)(const float *low, const float *high, const double *path, const double *lane,
                    ptrdiff_t k, ptrdiff_t neurons, double *to_low, double *to_high,
                    uint64_t *open);
    void (*list_patterns)(const uint64_t *masks, int shift, ptrdiff_t neurons, uint8_t *some,
                          uint32_t *patterns, uint8_t *every, int32_t *counts);
    int32_t (*number_pairs)(const uint8_t *a, const uint8_t *b, int base, int keys, ptrdiff_t count,
                            uint8_t *pairs, uint8_t *out);
    int64_t (*differences)(const uint64_t *masks, const uint64_t *others, ptrdiff_t words);
    void (*ring_outputs)(ptrdiff_t rows, const double *x0, const double *x1, double *d0, double *d1,
                         const double *base, double *f);
    double (*ring_step)(ptrdiff_t rows, const double *x0, const double *x1, double *d0, double *d1,
                        const double *base, double *f, const double *y, const double *weighted,
                        double scale, rfa_margins *weigh, double *p0, double *p1,
                        double *offsets);
    uint64_t (*positive_on_points)(const double *points, ptrdiff_t stride, const double *w0,
                                   const double *w1, ptrdiff_t neurons);
    void (*planar_range)(const double *x0, const double *x1, ptrdiff_t n, double w0, double w1,
                         double *low, double *high);
} rfa_leaves;

/* Bytes `first` to `first + count - 1` of a mask word, counted from its lowest bits, begin at this
 * byte in memory. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define RFA_BYTES_OF(first, count) (8 - (first) - (count))
#else
#define RFA_BYTES_OF(first, count) (first)
#endif

#define RFA_PASTE(a, b, c) a##_##b##_##c
#define RFA_JOIN(a, b, c) RFA_PASTE(a, b, c)
#define RFA_NAME(x) RFA_JOIN(x, RFA_LEVEL, RFA_REAL)

/* a * b + c: fused where the level has the instruction. */
#define RFA_FMA_baseline_f32(a, b, c) ((a) * (b) + (c))
#define RFA_FMA_baseline_f64(a, b, c) ((a) * (b) + (c))
#define RFA_FMA_avx2_f32(a, b, c) _mm256_fmadd_ps(a, b, c)
#define RFA_FMA_avx2_f64(a, b, c) _mm256_fmadd_pd(a, b, c)
#define RFA_FMA_avx512_f32(a, b, c) _mm512_fmadd_ps(a, b, c)
#define RFA_FMA_avx512_f64(a, b, c) _mm512_fmadd_pd(a, b, c)

/* Bit l of the result: element l of the vector is positive (NaN is not). POSITIVE has no further
 * bits, ABOVE may have some. */
#if RFA_X86
#define RFA_ABOVE_baseline_f32(v) (unsigned)_mm_movemask_ps(_mm_cmpgt_ps(v, _mm_setzero_ps()))
#define RFA_ABOVE_baseline_f64(v) (unsigned)_mm_movemask_pd(_mm_cmpgt_pd(v, _mm_setzero_pd()))
#else
#define RFA_ABOVE_baseline_f32(v)                                                                  \
    ((unsigned)(v[0] > 0) | (unsigned)(v[1] > 0) << 1 | (unsigned)(v[2] > 0) << 2 |                \
     (unsigned)(v[3] > 0) << 3)
#define RFA_ABOVE_baseline_f64(v) ((unsigned)(v[0] > 0) | (unsigned)(v[1] > 0) << 1)
#endif
#define RFA_ABOVE_avx2_f32(v)                                                                      \
    (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ))
#define RFA_ABOVE_avx2_f64(v)                                                                      \
    (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(v, _mm256_setzero_pd(), _CMP_GT_OQ))
#define RFA_ABOVE_avx512_f32(v) _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ)
#define RFA_ABOVE_avx512_f64(v) _mm512_cmp_pd_mask(v, _mm512_setzero_pd(), _CMP_GT_OQ)
#define RFA_POSITIVE_baseline_f32 RFA_ABOVE_baseline_f32
#define RFA_POSITIVE_baseline_f64 RFA_ABOVE_baseline_f64
#define RFA_POSITIVE_avx2_f32 RFA_ABOVE_avx2_f32
#define RFA_POSITIVE_avx2_f64 RFA_ABOVE_avx2_f64
#define RFA_POSITIVE_avx512_f32(v) rfa_mask_bits(RFA_ABOVE_avx512_f32(v), 0xFFFF)
#define RFA_POSITIVE_avx512_f64(v) rfa_mask_bits(RFA_ABOVE_avx512_f64(v), 0xFF)

/* An AVX-512 mask as an integer with the bits of the elements and no others.
 *
 * gcc 12 takes the type of a mask for a promise that its upper bits are zero. It may store 2 bytes,
 * read 4 back, and drop any "& 0xFFFF" as needless. The empty asm hides where the integer comes
 * from, so that the bits are removed whatever was read. */
static inline __attribute__((always_inline)) unsigned rfa_mask_bits(unsigned mask,
                                                                    unsigned elements)
{
    __asm__("" : "+r"(mask));
    return mask & elements;
}

/* Bit l of the result: the highest bit of byte l of the vector. */
#if RFA_X86
#define RFA_MOVEMASK_baseline(v) (unsigned)_mm_movemask_epi8((__m128i)(v))
#else
static inline unsigned rfa_movemask(const uint8_t *v)
{
    unsigned bits = 0;
    for (int l = 0; l < 16; ++l)
        bits |= (unsigned)(v[l] >> 7) << l;
    return bits;
}
#define RFA_MOVEMASK_baseline(v) rfa_movemask((const uint8_t *)&(v))
#endif
#define RFA_MOVEMASK_avx2(v) (unsigned)_mm256_movemask_epi8((__m256i)(v))
#define RFA_MOVEMASK_avx512(v) _cvtmask64_u64(_mm512_movepi8_mask((__m512i)(v)))

/* a * v + c in the elements where v is positive, which are the bits of above; c in the others. */
#define RFA_FMA_WHERE(above, a, v, c) FMA(a, (V)((I)(v) & (I)((v) > (V){0})), c)
#define RFA_FMA_WHERE_baseline_f32 RFA_FMA_WHERE
#define RFA_FMA_WHERE_baseline_f64 RFA_FMA_WHERE
#define RFA_FMA_WHERE_avx2_f32 RFA_FMA_WHERE
#define RFA_FMA_WHERE_avx2_f64 RFA_FMA_WHERE
#define RFA_FMA_WHERE_avx512_f32(above, a, v, c) _mm512_mask3_fmadd_ps(a, v, c, (__mmask16)(above))
#define RFA_FMA_WHERE_avx512_f64(above, a, v, c) _mm512_mask3_fmadd_pd(a, v, c, (__mmask8)(above))

/* sum + v in the elements whose bit is set, sum in the others. */
#define RFA_ADD_WHERE(bits, sum, v) ((sum) + (V)((N)(v) & RFA_NAME(rfa_elements)(bits)))
#define RFA_ADD_WHERE_baseline_f32 RFA_ADD_WHERE
#define RFA_ADD_WHERE_baseline_f64 RFA_ADD_WHERE
#define RFA_ADD_WHERE_avx2_f32 RFA_ADD_WHERE
#define RFA_ADD_WHERE_avx2_f64 RFA_ADD_WHERE
#define RFA_ADD_WHERE_avx512_f32(bits, sum, v) _mm512_mask_add_ps(sum, (__mmask16)(bits), sum, v)
#define RFA_ADD_WHERE_avx512_f64(bits, sum, v) _mm512_mask_add_pd(sum, (__mmask8)(bits), sum, v)

/* v in the elements where h is positive, other in the others. */
#define RFA_WHERE(h, v, other)                                                                     \
    ((V)(((I)(v) & (I)((h) > (V){0})) | ((I)(other) & ~(I)((h) > (V){0}))))
#define RFA_WHERE_baseline_f32 RFA_WHERE
#define RFA_WHERE_baseline_f64 RFA_WHERE
#define RFA_WHERE_avx2_f32 RFA_WHERE
#define RFA_WHERE_avx2_f64 RFA_WHERE
#define RFA_WHERE_avx512_f32(h, v, other) _mm512_mask_mov_ps(other, RFA_ABOVE_avx512_f32(h), v)
#define RFA_WHERE_avx512_f64(h, v, other) _mm512_mask_mov_pd(other, RFA_ABOVE_avx512_f64(h), v)

/* The reals at p as a full vector of float64. (Left to itself, gcc 12 loads twice as many floats
 * and converts half of them.) */
#define RFA_WIDEN(p) __builtin_convertvector(LOAD_WIDE(p), W)
#define RFA_WIDEN_baseline_f32 RFA_WIDEN
#define RFA_WIDEN_baseline_f64 RFA_WIDEN
#define RFA_WIDEN_avx2_f32(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define RFA_WIDEN_avx2_f64 RFA_WIDEN
#define RFA_WIDEN_avx512_f32(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define RFA_WIDEN_avx512_f64 RFA_WIDEN

/* MIN: the smaller one of each two elements. PERMUTE: the elements of a and b with these numbers.
 * The other levels have few enough elements for a loop. */
#define RFA_MIN_avx512_f32(a, b) _mm512_min_ps(a, b)
#define RFA_MIN_avx512_f64(a, b) _mm512_min_pd(a, b)
#define RFA_PERMUTE_avx512_f32(a, numbers, b) _mm512_permutex2var_ps(a, (__m512i)(numbers), b)
#define RFA_PERMUTE_avx512_f64(a, numbers, b) _mm512_permutex2var_pd(a, (__m512i)(numbers), b)

#define RFA_LEVEL baseline
#define RFA_BYTES 16
#include "level.h"
#undef RFA_LEVEL
#undef RFA_BYTES

#if RFA_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,popcnt")
#endif
#define RFA_LEVEL avx2
#define RFA_BYTES 32
#include "level.h"
#undef RFA_LEVEL
#undef RFA_BYTES
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,popcnt"))),                 \
    apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,popcnt")
#endif
#define RFA_LEVEL avx512
#define RFA_BYTES 64
#include "level.h"
#undef RFA_LEVEL
#undef RFA_BYTES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif /* RFA_X86 */

/* The best level that the CPU and the operating system support: 0 baseline, 1 AVX2, 2 AVX-512. */
static inline int rfa_supported_level(void)
{
#if RFA_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("popcnt"))
        return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return 2;
    return 1;
#else
    return 0;
#endif
}

#if RFA_X86
#define RFA_SELECT(x, level) ((level) == 2 ? &x##_avx512 : (level) == 1 ? &x##_avx2 : &x##_baseline)
#else
#define RFA_SELECT(x, level) ((void)(level), &x##_baseline)
#endif
static inline const rfa_leaves_f32 *rfa_f32(int level) { return RFA_SELECT(rfa_f32, level); }
static inline const rfa_leaves_f64 *rfa_f64(int level) { return RFA_SELECT(rfa_f64, level); }
static inline const rfa_leaves *rfa_common(int level) { return RFA_SELECT(rfa_common, level); }

/* Seconds of a clock that never goes back. */
static inline double rfa_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
