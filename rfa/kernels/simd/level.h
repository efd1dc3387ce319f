/* The leaves of one level (RFA_LEVEL, vectors of RFA_BYTES): those of each real type, then those
 * that exist once. No include guard: leaves.h includes this once for each level. */
#define RFA_REAL f32
#define REAL float
#define BITS int32_t
#define CHUNK_BITS uint16_t /* a bit for each column of a chunk */
#include "real.h"
#undef RFA_REAL
#undef REAL
#undef BITS
#undef CHUNK_BITS
#define RFA_REAL f64
#define REAL double
#define BITS int64_t
#define CHUNK_BITS uint8_t
#include "real.h"
#undef BITS
#undef CHUNK_BITS

#define D RFA_NAME(rfa_vector)
#define I RFA_NAME(rfa_bits)
#define VL (RFA_BYTES / 8)
#define LOAD(p) (*(const RFA_NAME(rfa_load) *)(p))
#define STORE(p, v) (*(RFA_NAME(rfa_load) *)(p) = (v))
#define SPLAT(s) ((s) - (D){0})
#define FMA(a, b, c) ((D)RFA_JOIN(RFA_FMA, RFA_LEVEL, f64)(a, b, c))
#define WHERE(keep, v) ((D)((I)(v) & (I)(keep)))
#define POSITIVE(v) RFA_JOIN(RFA_POSITIVE, RFA_LEVEL, f64)(v)

typedef uint8_t RFA_NAME(rfa_byte_vector) __attribute__((vector_size(RFA_BYTES)));
#define Y RFA_NAME(rfa_byte_vector)
typedef uint64_t RFA_NAME(rfa_word_vector) __attribute__((vector_size(RFA_BYTES), may_alias));
#define U RFA_NAME(rfa_word_vector)
#define MOVEMASK(v) RFA_JOIN(RFA, MOVEMASK, RFA_LEVEL)(v)

typedef float RFA_NAME(rfa_float) __attribute__((vector_size(4 * VL), aligned(4), may_alias));

#include "losses.h"

/* counts[j * stride] += the number of bits set in masks[j] & keep. */
static void RFA_NAME(rfa_count)(const uint64_t *masks, uint64_t keep, ptrdiff_t neurons,
                                ptrdiff_t stride, int32_t *counts)
{
    for (ptrdiff_t j = 0; j < neurons; ++j)
        counts[j * stride] += (int32_t)__builtin_popcountll(masks[j] & keep);
}

/* A word consists of parts of 2 half bits. Exchanges the upper halves of the parts of words[i] with
 * the lower halves of those of words[i + half]; keep has the bits of the lower halves. */
static inline __attribute__((always_inline)) void
RFA_NAME(rfa_swap_halves)(uint64_t *words, const int half, const uint64_t keep)
{
    for (int begin = 0; begin < 64; begin += 2 * half)
        for (int i = begin; i < begin + half; i += VL) {
            U low = *(U *)(words + i), high = *(U *)(words + i + half);
            U swap = (low >> half ^ high) & keep;
            *(U *)(words + i) = low ^ swap << half;
            *(U *)(words + i + half) = high ^ swap;
        }
}

/* Bit j of out[i] = bit i of words[j], 64 by 64. Bytes change places first; then a move-mask takes
 * a bit of each of 64 bytes at once. */
static void RFA_NAME(rfa_transpose)(const uint64_t *words, uint64_t *out)
{
    uint64_t bytes[64] __attribute__((aligned(RFA_BYTES)));
    /* in an order that leaves those of words[0], words[1], ... one after another */
    for (int i = 0; i < 8; ++i)
        for (int k = 0; k < 8; ++k)
            bytes[8 * k + i] = words[8 * i + RFA_BYTES_OF(k, 1)];
    RFA_NAME(rfa_swap_halves)(bytes, 32, 0x00000000FFFFFFFF);
    RFA_NAME(rfa_swap_halves)(bytes, 16, 0x0000FFFF0000FFFF);
    RFA_NAME(rfa_swap_halves)(bytes, 8, 0x00FF00FF00FF00FF);
    for (int k = 0; k < 8; ++k) {
        Y part[64 / RFA_BYTES];
        memcpy(part, bytes + 8 * k, sizeof part);
        for (int bit = 7; bit >= 0; --bit) {
            uint64_t bits = 0;
            for (int p = 0; p < 64 / RFA_BYTES; ++p) {
                bits |= (uint64_t)MOVEMASK(part[p]) << p * RFA_BYTES;
                part[p] += part[p];
            }
            out[8 * k + bit] = bits;
        }
    }
}

/* For a lane of samples: a bit for each neuron whose signs are open, that is, not certified by low
 * and high. to_low and to_high are what makes low and high of the pre-activations nearest to 0; see
 * rfa/engines/direct/certify.pyx. path has 2 k + 2 rows of neurons, lane has 2 k + 2 factors;
 * neurons is a multiple of 64. */
static void RFA_NAME(rfa_certify)(const float *low, const float *high, const double *path,
                                  const double *lane, ptrdiff_t k, ptrdiff_t neurons,
                                  double *to_low, double *to_high, uint64_t *open)
{
    for (ptrdiff_t j = 0; j < neurons; j += VL) {
        D change = {0};
        for (ptrdiff_t c = 0; c < k; ++c)
            change = FMA(SPLAT(lane[c]), LOAD(path + c * neurons + j), change);
        D outside = SPLAT(lane[2 * k]) * LOAD(path + 2 * k * neurons + j);
        D rounding = SPLAT(lane[2 * k + 1]) * LOAD(path + (2 * k + 1) * neurons + j);
        D loose = outside + rounding;
        for (ptrdiff_t c = k; c < 2 * k; ++c)
            loose = FMA(SPLAT(lane[c]), LOAD(path + c * neurons + j), loose);
        /* 2^-48 bounds what these sums lose by rounding, here and when they are compared */
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

/* The pattern of a neuron is bits shift, ..., shift + 31 of its mask; shift is 0 or 32. Lists in
 * some the neurons whose pattern is neither all zeros nor all ones, in patterns their patterns, and
 * in every the neurons whose pattern is all ones; counts has the lengths of the two lists. Each
 * list needs room for 16 neurons more, since 16 are written at once. */
static void RFA_NAME(rfa_list_patterns)(const uint64_t *masks, int shift, ptrdiff_t neurons,
                                        uint8_t *some, uint32_t *patterns, uint8_t *every,
                                        int32_t *counts)
{
    int32_t others = 0, ones = 0;
#if RFA_BYTES == 64
    const __m512i low = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i half = _mm512_add_epi32(low, _mm512_set1_epi32(shift / 32));
    __m512i numbers = _mm512_srli_epi32(low, 1);
    for (ptrdiff_t j = 0; j < neurons; j += 16) {
        unsigned there = neurons - j < 16 ? (1u << (neurons - j)) - 1 : 0xFFFF;
        __m512i bits = _mm512_permutex2var_epi32(
            _mm512_maskz_loadu_epi64((__mmask8)there, masks + j), half,
            _mm512_maskz_loadu_epi64((__mmask8)(there >> 8), masks + j + 8));
        __mmask16 full = _mm512_cmpeq_epi32_mask(bits, _mm512_set1_epi32(-1));
        __mmask16 part = _kandn_mask16(full, _mm512_test_epi32_mask(bits, bits));
        _mm_storeu_si128((__m128i *)(some + others),
                         _mm512_cvtepi32_epi8(_mm512_maskz_compress_epi32(part, numbers)));
        _mm512_storeu_si512(patterns + others, _mm512_maskz_compress_epi32(part, bits));
        _mm_storeu_si128((__m128i *)(every + ones),
                         _mm512_cvtepi32_epi8(_mm512_maskz_compress_epi32(full, numbers)));
        others += __builtin_popcount(rfa_mask_bits(part, 0xFFFF));
        ones += __builtin_popcount(rfa_mask_bits(full, 0xFFFF));
        numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(16));
    }
#else
    for (ptrdiff_t j = 0; j < neurons; ++j) {
        /* each neuron is written behind both lists, and stays in the one that then grows */
        uint32_t bits = (uint32_t)(masks[j] >> shift);
        some[others] = (uint8_t)j;
        patterns[others] = bits;
        every[ones] = (uint8_t)j;
        others += bits + 1 > 1;
        ones += bits + 1 == 0;
    }
#endif
    counts[0] = others;
    counts[1] = ones;
}

/* Numbers the distinct pairs (a[j], b[j]) other than (0, 0). A pair has the key a[j] base + b[j],
 * with b[j] < base, which is less than keys. In the order of keys the pairs get the numbers 1, 2,
 * ...; pairs lists them in this order, and out[j] is the number of pair j, 0 for (0, 0). Returns
 * how many pairs there are. keys and count are at most 256; O(keys count). */
static int32_t RFA_NAME(rfa_number_pairs)(const uint8_t *a, const uint8_t *b, int base, int keys,
                                          ptrdiff_t count, uint8_t *pairs, uint8_t *out)
{
    uint8_t keys_of[256] = {0};
    Y key[256 / RFA_BYTES], number[256 / RFA_BYTES];
    int32_t found = 0;
    for (ptrdiff_t j = 0; j < count; ++j)
        keys_of[j] = (uint8_t)(a[j] * base + b[j]);
    memcpy(key, keys_of, sizeof key);
    memset(number, 0, sizeof number);
    for (int k = 1; k < keys; ++k) {
        uint64_t words[RFA_BYTES / 8], there = 0;
        Y any = {0};
        for (int p = 0; p < 256 / RFA_BYTES; ++p) {
            Y same = (Y)(key[p] == (uint8_t)k);
            number[p] |= same & (uint8_t)(found + 1);
            any |= same;
        }
        memcpy(words, &any, sizeof words);
        for (int l = 0; l < RFA_BYTES / 8; ++l)
            there |= words[l];
        if (there) {
            pairs[2 * found] = (uint8_t)(k / base);
            pairs[2 * found + 1] = (uint8_t)(k % base);
            ++found;
        }
    }
    memcpy(out, number, (size_t)count);
    return found;
}

/* The number of bits in which masks and others differ. */
static int64_t RFA_NAME(rfa_differences)(const uint64_t *masks, const uint64_t *others,
                                         ptrdiff_t words)
{
    int64_t sum = 0;
    for (ptrdiff_t i = 0; i < words; ++i)
        sum += __builtin_popcountll(masks[i] ^ others[i]);
    return sum;
}

#include "ring.h"

#define RFA_WEIGHT_LOOP(name, weight, loss) RFA_NAME(weight),
#define RFA_LOSS_LOOP(name, weight, loss) RFA_NAME(loss),
static const rfa_leaves RFA_JOIN(rfa, common, RFA_LEVEL) = {
    {RFA_LOSSES(RFA_WEIGHT_LOOP)},
    {RFA_LOSSES(RFA_LOSS_LOOP)},
    RFA_NAME(rfa_count),
    RFA_NAME(rfa_transpose),
    RFA_NAME(rfa_certify),
    RFA_NAME(rfa_list_patterns),
    RFA_NAME(rfa_number_pairs),
    RFA_NAME(rfa_differences),
    RFA_NAME(rfa_ring_outputs),
    RFA_NAME(rfa_ring_step),
    RFA_NAME(rfa_positive_on_points),
    RFA_NAME(rfa_planar_range)};

#undef D
#undef I
#undef Y
#undef U
#undef MOVEMASK
#undef VL
#undef LOAD
#undef STORE
#undef SPLAT
#undef FMA
#undef WHERE
#undef POSITIVE
#undef RFA_WEIGHT_LOOP
#undef RFA_LOSS_LOOP
#undef RFA_REAL
#undef REAL
