"""The machine's measured peak on one core: multiply-adds, loads from the L1 and the L2 cache.

A few loops in C, compiled for the vector length of the SIMD level that rfa uses.
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
"""


def measure(simd: str) -> dict[str, float]:
    """flops_float32, flops_float64, L1_bytes and L2_bytes a second; best of twenty."""
    size, flags = LEVELS[simd]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "peaks.c")
        source.write_text(SOURCE)
        library = str(Path(folder, "peaks.so"))
        compiler = shlex.split(os.environ.get("CC", "cc"))
        options = ["-O2", "-ffp-contract=fast", "-shared", "-fPIC", f"-DBYTES={size}", *flags]
        subprocess.run([*compiler, *options, str(source), "-o", library], check=True)
        code = ctypes.CDLL(library)
    found = {}
    for name in ("flops_float32", "flops_float64"):
        function = getattr(code, name)
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_ssize_t]
        repeats = int(function(100_000) * SECONDS / (24 * size / 4))
        found[name] = max(function(repeats) for _ in range(20))
    code.bytes.restype = ctypes.c_double
    code.bytes.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t]
    # half of an L1 of 32 KiB; well beyond any L1 and within an L2 of 512 KiB
    for name, total in (("L1_bytes", 2**14), ("L2_bytes", 3 * 2**17)):
        buffer = np.zeros(total + 64, np.uint8)
        start = buffer.ctypes.data
        start += -start % 64
        repeats = int(code.bytes(start, total, 1000) * SECONDS / total)
        found[name] = max(code.bytes(start, total, repeats) for _ in range(20))
    return found
