"""The machine's measured peaks on one core: what the kernels' rates are put beside.

Multiply-adds, and additions that wait for one another; loads from L1 and L2 in order; loads from L1
where the bits of words say of which cache lines, as masked sums do, alone and with the additions;
stores to L1. A few loops in C, compiled for the vector length of the SIMD level that rfa uses.
"""

import ctypes
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np

# (bytes to a vector, flags); the baseline has no fused multiply-add
LEVELS = {
    "baseline": (16, []),
    "avx2": (32, ["-mavx2", "-mfma"]),
    "avx512": (64, ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]),
}

# of a single measurement
SECONDS = 0.05

SOURCE = r"""#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef float F __attribute__((vector_size(BYTES)));
typedef double D __attribute__((vector_size(BYTES)));

#define SUMS 12

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Twelve sums that do not depend on one another, so that it is the rate and not the latency; the
 * empty asm keeps the compiler from merging or dropping any. */
#define MULTIPLY_ADDS(NAME, V, REAL)                                        \
    double NAME(ptrdiff_t repeats)                                          \
    {                                                                       \
        V sums[SUMS], x = (V){0} + (REAL)0.999, y = (V){0} + (REAL)1e-3;    \
        _Pragma("GCC unroll 12") for (int k = 0; k < SUMS; ++k)             \
            sums[k] = (V){0} + (REAL)k;                                     \
        double begin = now();                                               \
        for (ptrdiff_t i = 0; i < repeats; ++i) {                           \
            _Pragma("GCC unroll 12") for (int k = 0; k < SUMS; ++k)         \
            {                                                               \
                sums[k] = sums[k] * x + y;                                  \
                __asm__ volatile("" : "+x"(sums[k]));                       \
            }                                                               \
        }                                                                   \
        double seconds = now() - begin;                                     \
        return 2.0 * SUMS * (BYTES / sizeof(REAL)) * repeats / seconds;     \
    }

MULTIPLY_ADDS(flops_float32, F, float)
MULTIPLY_ADDS(flops_float64, D, double)

/* Bytes a second; size is a multiple of 16 vectors. */
double bytes(const char *buffer, ptrdiff_t size, ptrdiff_t repeats)
{
    double begin = now();
    for (ptrdiff_t r = 0; r < repeats; ++r)
        for (ptrdiff_t i = 0; i < size; i += 16 * BYTES)
            _Pragma("GCC unroll 16") for (int k = 0; k < 16; ++k)
            {
                D loaded = *(const D *)(buffer + i + k * BYTES);
                __asm__ volatile("" : : "x"(loaded));
            }
    return (double)size * repeats / (now() - begin);
}

/* Bytes a second of the six cache lines that each of 252 words selects in tables of 16 KiB: loaded
 * only, or added up and to one of 252 running sums, which the count leaves out. */
#define LINE(bits, samples) (*(const D *)(line + ((bits) & ((1 << samples) - 1)) * 64 + part))
#define LOOK_UP(NAME, WITH_SIX)                                                             \
    double NAME(const char *tables, const uint32_t *words, char *sums, ptrdiff_t repeats)   \
    {                                                                                       \
        double begin = now();                                                               \
        for (ptrdiff_t r = 0; r < repeats; ++r)                                             \
            for (int j = 0; j < 252; ++j) {                                                 \
                uint64_t bits = words[j];                                                   \
                _Pragma("GCC unroll 4") for (int part = 0; part < 64; part += BYTES)        \
                {                                                                           \
                    const char *line = tables;                                              \
                    D t0 = LINE(bits, 6);                                                   \
                    line += 64 * 64;                                                        \
                    D t1 = LINE(bits >> 6, 5);                                              \
                    line += 32 * 64;                                                        \
                    D t2 = LINE(bits >> 11, 5);                                             \
                    line += 32 * 64;                                                        \
                    D t3 = LINE(bits >> 16, 6);                                             \
                    line += 64 * 64;                                                        \
                    D t4 = LINE(bits >> 22, 5);                                             \
                    line += 32 * 64;                                                        \
                    D t5 = LINE(bits >> 27, 5);                                             \
                    WITH_SIX                                                                \
                }                                                                           \
            }                                                                               \
        return 6 * 64 * 252.0 * repeats / (now() - begin);                                  \
    }

LOOK_UP(random_bytes,
        __asm__ volatile("" : : "x"(t0), "x"(t1), "x"(t2), "x"(t3), "x"(t4), "x"(t5));)
LOOK_UP(look_up_bytes, *(D *)(sums + j * 64 + part) += ((t0 + t1) + t2) + ((t3 + t4) + t5);
        __asm__ volatile("" : : : "memory");)

double store_bytes(char *buffer, ptrdiff_t size, ptrdiff_t repeats)
{
    D value = {0};
    double begin = now();
    for (ptrdiff_t r = 0; r < repeats; ++r)
        for (ptrdiff_t i = 0; i < size; i += 16 * BYTES)
            _Pragma("GCC unroll 16") for (int k = 0; k < 16; ++k)
            {
                *(D *)(buffer + i + k * BYTES) = value;
                __asm__ volatile("" : : : "memory");
            }
    return (double)size * repeats / (now() - begin);
}

/* Additions a second that wait for one another. */
double additions(ptrdiff_t repeats)
{
    D sum = {0}, one = sum + 1.0;
    double begin = now();
    for (ptrdiff_t i = 0; i < repeats; ++i) {
        sum += one;
        __asm__ volatile("" : "+x"(sum));
    }
    return repeats / (now() - begin);
}
"""


def measure(simd: str) -> dict[str, float]:
    """flops_float32, flops_float64, additions, and bytes a second; best of twenty."""
    size, flags = LEVELS[simd]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "peaks.c")
        source.write_text(SOURCE)
        library = str(Path(folder, "peaks.so"))
        compiler = shlex.split(os.environ.get("CC", "cc"))
        options = ["-O2", "-ffp-contract=fast", "-shared", "-fPIC", f"-DBYTES={size}", *flags]
        subprocess.run([*compiler, *options, str(source), "-o", library], check=True)
        code = ctypes.CDLL(library)
    pointer = ctypes.c_void_p
    # well beyond any L1 and within an L2 of 512 KiB; 16 KiB are half of an L1 of 32 KiB, to which
    # look-ups add sums of nearly as much
    small, large = 2**14, 3 * 2**17
    buffer = np.zeros(large + 64, np.uint8)
    start = buffer.ctypes.data
    start += -start % 64
    words = np.random.default_rng(0).integers(0, 2**32, 252, dtype=np.uint32)
    tables = pointer(start), pointer(words.ctypes.data), pointer(start + small)
    # name: (function, its arguments before the repeats, work of a repeat)
    loops = {
        "flops_float32": ("flops_float32", (), 24 * size / 4),
        "flops_float64": ("flops_float64", (), 24 * size / 8),
        "additions": ("additions", (), 1),
        "L1_bytes": ("bytes", (pointer(start), ctypes.c_ssize_t(small)), small),
        "L2_bytes": ("bytes", (pointer(start), ctypes.c_ssize_t(large)), large),
        "L1_random_bytes": ("random_bytes", tables, 6 * 64 * 252),
        "L1_look_up_bytes": ("look_up_bytes", tables, 6 * 64 * 252),
        "L1_store_bytes": ("store_bytes", (pointer(start), ctypes.c_ssize_t(small)), small),
    }  # fmt: skip
    found = {}
    for name, (symbol, arguments, work) in loops.items():
        function = getattr(code, symbol)
        function.restype = ctypes.c_double
        repeats = int(function(*arguments, ctypes.c_ssize_t(1000)) * SECONDS / work)
        found[name] = max(function(*arguments, ctypes.c_ssize_t(repeats)) for _ in range(20))
    return found
