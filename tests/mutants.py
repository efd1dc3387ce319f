"""Put small faults into the code, one at a time, and check that a test fails for each.

Works on a copy of the tree in a temporary folder: applies an edit, rebuilds, runs the tests that
have to notice. Prints a line a mutant and fails if one survives.

Use: python tests/mutants.py [--only WORD] [--from NUMBER] [--jobs N]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rfa.kernels.levels import SIMD_LEVEL

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["kernels/test_plans.py", "kernels/test_arrays.py", "engines", "training/test_history.py"]
TESTS += ["training/test_training.py", "test_determinism.py"]

# file, text that is in it exactly once, replacement; one of TESTS must fail
MUTANTS = [
    # a mask bit is dropped
    ("rfa/kernels/simd/real.h", "masks[j] |= (uint64_t)POSITIVE(v) << s;",
     "masks[j] |= (uint64_t)(POSITIVE(v) & ~1u) << s;"),
    ("rfa/kernels/simd/sums.h", "(t11, bits >> 11 & 31", "(t11, bits >> 11 & 15"),
    ("rfa/kernels/simd/sums.h",
     "positive |= above << p * VL;", "positive |= (above & ~1u) << p * VL;"),
    ("rfa/kernels/simd/sums.h", "FMA_WHERE(above, factor, v, outputs[p])",
     "FMA_WHERE(above, factor, v, (V){0})"),
    ("rfa/_kernels.pyx", "range(w * WORD, min((w + 1) * WORD, n))",
     "range(w * WORD, min((w + 1) * WORD - 1, n))"),
    # the wrong half of a mask word
    ("rfa/kernels/simd/sums.h", "bits = masks[list[l]] >> shift", "bits = masks[list[l]]"),
    ("rfa/_kernels.pyx", "made.sample = sample % WORD", "made.sample = 0"),
    # wrong signs
    ("rfa/kernels/simd/real.h", "sum = FMA(SPLAT(a[j])", "sum = FMA(SPLAT(-a[j])"),
    ("rfa/_kernels.pyx", "scale[j] = -a[j]", "scale[j] = a[j]"),
    ("rfa/engines/planar/loop.pyx", "d1[p] -= v1", "d1[p] += v1"),
    # edges off by one
    ("rfa/kernels/simd/sums.h", "b < top; ++b)", "b < top - (i == 5); ++b)"),
    ("rfa/kernels/simd/sums.h", "(8 * h + l) * COLUMNS + part, low[l] + high[h]",
     "(8 * h + l) * COLUMNS + part, low[l]"),
    ("rfa/kernels/simd/sums.h", "!whole && h < highs", "!whole && h < highs - 1"),
    ("rfa/kernels/simd/sums.h", "c + 11, 5, whole", "c + 12, 5, whole"),
    ("rfa/kernels/simd/sums.h", "index + 4 <= end; index += 4", "index + 4 <= end; index += 5"),
    ("rfa/kernels/simd/sums.h", "for (; index < end; ++index)", "for (; index < end - 1; ++index)"),
    # the sums of the spans before the last bundle, or a term of that, are left out
    ("rfa/kernels/simd/sums.h", "if (sums)", "if (0)"),
    ("rfa/kernels/simd/sums.h", "const int leaky)\n{\n    const REAL *sums = parts->sums,",
     "const int leaky)\n{\n    const REAL *sums = NULL,"),
    ("rfa/kernels/simd/sums.h", "REAL *products)\n{\n    const REAL *sums = parts->sums,",
     "REAL *products)\n{\n    const REAL *sums = NULL,"),
    ("rfa/kernels/simd/sums.h", "terms = parts->terms, neurons",
     "terms = parts->terms - (parts->terms > 0), neurons"),
    ("rfa/kernels/simd/sums.h", "terms = parts->terms;\n    for (ptrdiff_t i",
     "terms = parts->terms - (parts->terms > 0);\n    for (ptrdiff_t i"),
    ("rfa/_kernels.pyx", "if terms == 0 and parts.sums == NULL:", "if terms == 0:"),
    # a task is done by nobody
    ("rfa/kernels/tasks.pyx", "queue[1] = first + count * (k + 1) // queues.n_threads",
     "queue[1] = first + count * (k + 1) // queues.n_threads - (k > 0)"),
    ("rfa/_kernels.pyx", "memset(own + STORE_AT * width, 0, ENTRY)", "pass"),
    ("rfa/kernels/plans.pyx", "stored > STORE", "stored > 2 * STORE"),
    ("rfa/_kernels.pyx", "count = min(h.neurons - first, <Py_ssize_t>BLOCK)",
     "count = min(h.neurons - first, <Py_ssize_t>BLOCK - TILE)"),
    ("rfa/kernels/plans.pyx", "min(plan.neurons - number * BLOCK, <Py_ssize_t>BLOCK)",
     "min(plan.neurons - number * BLOCK, <Py_ssize_t>BLOCK - 1)"),
    ("rfa/_kernels.pyx", "min(plan.neurons - task * BLOCK, <Py_ssize_t>BLOCK)",
     "min(plan.neurons - task * BLOCK, <Py_ssize_t>BLOCK - 1)"),
    ("rfa/_kernels.pyx", "for b in range(blocks_of(neurons)):",
     "for b in range(min(1, neurons)):"),
    ("rfa/kernels/layouts.pyx", "(~<uint64_t>0 >> (WORD - (i - begin)))",
     "(~<uint64_t>0 >> (WORD - 1 - (i - begin)))"),
    ("rfa/engines/planar/loop.pyx", "if gap + v > N:", "if gap + v > N + 1:"),
    ("rfa/engines/direct/loop.pyx", "ranged = s.t <= s.horizon",
     "ranged = s.t < s.horizon"),
    ("rfa/kernels/simd/ring.h", "start += sums[l];", "start += l ? sums[l] : 0;"),
    # the second stretch of samples has the weights of the first
    ("rfa/kernels/simd/ring.h", "y + begin, weighted + begin", "y + begin, weighted"),
    # arcs that are said to stay as they were
    ("rfa/kernels/simd/ring.h", "positive &= POSITIVE(p + q);", "positive &= POSITIVE(p - q);"),
    ("rfa/kernels/simd/ring.h", "unsigned positive = 1;\n        for (int i = 0;",
     "unsigned positive = 1;\n        for (int i = 4;"),
    ("rfa/engines/planar/loop.pyx", "at[2] = before(start, N)",
     "at[2] = before(before(start, N), N)"),
    ("rfa/engines/planar/loop.pyx", "at[0] = start\n", "at[0] = around(start + 1, N)\n"),
    ("rfa/engines/planar/loop.pyx", "at[3] = around(start + length, N)",
     "at[3] = around(start + length + 1, N)"),
    ("rfa/engines/planar/loop.pyx", "at[1] = at[3] = (seam if seam > 0 else N) - 1",
     "at[1] = at[3] = at[0]"),
    ("rfa/engines/planar/loop.pyx", "for v in range(s.searched.shape[0] if s.ring.N else 0):",
     "for v in range(0):"),
    ("rfa/kernels/simd/level.h", "bytes[8 * k + i] = words", "bytes[8 * i + k] = words"),
    # a panel of columns forgets the ones before it, or is the first one again
    ("rfa/kernels/simd/real.h", "if (!first)", "if (0)"),
    ("rfa/_kernels.pyx", "_matmul_tile(lanes + k * LANE,", "_matmul_tile(lanes,"),
    ("rfa/_kernels.pyx", "if k + panel_depth(own) < d:", "if k + panel_depth(own) <= d:"),
    ("rfa/engines/gram/loop.pyx", "if k + depth >= s.n else 0", "if k + depth > s.n else 0"),
    ("rfa/engines/gram/loop.pyx", "s.n, k, C + common", "s.n, 0, C + common"),
    ("rfa/engines/gram/loop.pyx", "s.n, k, C + j", "s.n, 0, C + j"),
    # wrong groups
    ("rfa/_kernels.pyx", "masks[j, w] & keep[g])", "masks[j, w] & keep[0])"),
    ("rfa/training/history.py", "right[:, 1 : problem", "right[:, 0 : problem"),
    ("rfa/training/history.py",
     "sum() - seen.right[:, 0 :", "sum() - seen.right[:, 1 :"),
    ("rfa/engines/planar/loop.pyx",
     "s.counted[N, g] - s.counted[start, g] + s.counted[end - N, g]",
     "s.counted[N, g] - s.counted[start, g]"),
    # a part of a sum is lost, or its scale wrong
    ("rfa/engines/planar/loop.pyx", "(total1 - before1) + after1", "total1 - before1"),
    ("rfa/engines/direct/loop.pyx", "engine.alpha / engine.n", "engine.alpha / (engine.n + 1)"),
    ("rfa/training/history.py", "/ len(problem.y)", "/ (len(problem.y) + 1)"),
    ("rfa/training/history.py", "1 - seen.right", "seen.right"),
    # a variant forgets one of its factors, or a part of a norm
    ("rfa/engines/direct/loop.pyx", "common=self.slope / (1 - self.slope)", "common=self.slope"),
    ("rfa/engines/direct/loop.pyx", "(1 - slope) * f[i]", "f[i]"),
    ("rfa/kernels/simd/real.h", "(I)(slope * h) & other", "(I)h & other"),
    ("rfa/kernels/simd/sums.h", "(v, slope, 1)", "(v, slope, 0)"),
    ("rfa/engines/gram/loop.pyx", "/ (factor * s.shrink)", "/ factor"),
    ("rfa/engines/gram/loop.pyx",
     "common[i] += <floating>(s.common * c[i])", "common[i] += c[i]"),
    ("rfa/engines/gram/loop.pyx", "place, common = s.neurons,", "place, common = 0,"),
    ("rfa/kernels/simd/real.h", "LOAD_WIDE(common + IN_CHUNKS(0, k, chunk_stride))", "(WU){0}"),
    ("rfa/_kernels.pyx", "and not shared) or with_total", "and not shared)"),
    ("rfa/_kernels.pyx", "<floating>(summands.common * total[k])", "total[k]"),
    ("rfa/kernels/simd/sums.h", "FMA(SPLAT(-decay), old, factor * sum)", "factor * sum"),
    ("rfa/_kernels.pyx", "rows.keep = 1 if keeps_most else update.shrink", "rows.keep = 1"),
    ("rfa/engines/gram/loop.pyx", "norm[i] = factor *", "norm[i] ="),
    ("rfa/engines/planar/loop.pyx", "v1 *= 1 - slope", "pass"),
    ("rfa/engines/observing.pyx", "y[begin + i] * weighted[begin + i] * losses[i]", "losses[i]"),
    # flips against the wrong masks
    ("rfa/engines/observing.pyx", "differences(masks, previous,", "differences(masks, masks,"),
    ("rfa/engines/direct/loop.pyx", "s.masks_side = 1 - s.masks_side",
     "s.masks_side = s.masks_side"),
    # a diverging step is taken all the same
    ("rfa/_kernels.pyx", "infinite += 1", "infinite += 0"),
    ("rfa/kernels/simd/sums.h", "rest = FMA(v, (V){0}, rest)", "rest = FMA(v, (V){0}, (V){0})"),
    ("rfa/kernels/simd/ring.h", "rest += v - v", "rest = v - v"),
    ("rfa/engines/planar/loop.pyx", "if not all_finite(after, 2 * s.m):", "if False:"),
    # the two outermost samples of a half-plane are mistaken, or the gap before them overlooked
    ("rfa/engines/planar/loop.pyx", "length[0] = N if first_active else 0", "length[0] = 0"),
    ("rfa/engines/planar/loop.pyx", "return 0 if same_direction(x, 0, N - 1) else -1", "return -1"),
    # exponents of extreme products are mixed up
    ("rfa/engines/planar/loop.pyx", "shift = ea + eb - ec - ed", "shift = ea - ec"),
    # a span that is active everywhere is left out; two patterns are taken for one
    ("rfa/_kernels.pyx", "if counts[ADDED] > 0:", "if 0:"),
    ("rfa/kernels/plans.pyx", "and found[slots[slot]] != bits", "and found[slots[slot]] < 0"),
    ("rfa/kernels/plans.pyx", "lists[every[i]] = <uint8_t>distinct", "pass"),
    ("rfa/_kernels.pyx", "return counts[DISTINCT] if ends", "return counts[DISTINCT] - 1 if ends"),
    ("rfa/kernels/plans.pyx", "(numbers[j] + stored) * ENTRY if numbers[j] else 0",
     "(numbers[j] + stored) * ENTRY"),
    # runs: sums of the wrong span, of too many, or of neurons that are mistaken for one another;
    # a run that is not shared has another order
    ("rfa/_kernels.pyx", "side[0] = 1 - side[0]\n", "pass\n"),
    ("rfa/_kernels.pyx", "memset(store + width, 0, block.neurons",
     "memset(store + width, 0, (block.neurons - 1)"),
    ("rfa/kernels/plans.pyx", "before[j] * (patterns + 1) + lists[j]",
     "before[j] * patterns + lists[j]"),
    ("rfa/kernels/plans.pyx", "or last[DISTINCT] > most", "or last[DISTINCT] > RUN * RUN"),
    ("rfa/kernels/plans.pyx",
     "counts_of(block, span)[KIND] |= joined", "counts_of(block, span)[KIND] |= 0"),
    ("rfa/kernels/plans.pyx", "terms[0] = end > span + 1", "terms[0] = 0"),
    ("rfa/kernels/simd/level.h", "part = _kandn_mask16(full, _mm512_test_epi32_mask(bits, bits))",
     "part = _mm512_test_epi32_mask(bits, bits)"),
    ("rfa/kernels/simd/level.h", "others += bits + 1 > 1", "others += bits > 0"),
    ("rfa/kernels/simd/level.h",
     "for (int k = 1; k < keys; ++k)", "for (int k = 1; k < keys - 1; ++k)"),
    ("rfa/kernels/simd/level.h", "same & (uint8_t)(found + 1)", "same & (uint8_t)(found | 1)"),
    ("rfa/kernels/simd/level.h", "keys_of[256] = {0}", "keys_of[256] = {[255] = 1}"),
    ("rfa/kernels/plans.pyx", "if active == 1 and", "if active == 2 and"),
    ("rfa/kernels/plans.pyx", "counts[DISTINCT] = 0\n            list_neurons(",
     "counts[DISTINCT] = 1\n            list_neurons("),
    ("rfa/kernels/plans.pyx", "limit = 1   # a span without active neurons is shared", "limit = 0"),
    ("rfa/kernels/plans.pyx", "            else:\n                continue\n            term += 1",
     "            term += 1"),
    # the least pre-activation of a lane is mistaken
    ("rfa/kernels/simd/real.h", "PERMUTE(v[2 * l], even + 1, v[2 * l + 1])",
     "PERMUTE(v[2 * l], even, v[2 * l + 1])"),
    ("rfa/kernels/simd/real.h", "under[l] = MIN(under[l], WHERE(h, none, -h))",
     "under[l] = WHERE(h, none, -h)"),
    ("rfa/kernels/simd/real.h", "positive[r] |= (uint16_t)(POSITIVE(h) << p * VL)",
     "positive[r] = (uint16_t)(POSITIVE(h) << p * VL)"),
    ("rfa/kernels/simd/real.h", "high[r] = -most[r]", "high[r] = -least[r]"),
    # a step that is not counted in a path, and a radius that is too short
    ("rfa/engines/direct/certify.pyx",
     "(path[(k + c) * neurons] + fabs(dots[1 + c])",
     "(path[(k + c) * neurons] + 0 * fabs(dots[1 + c])"),
    ("rfa/engines/direct/signs.py", "np.maximum(last - centre, centre - first)",
     "0.3 * np.maximum(last - centre, centre - first)"),
    # signs: a part of the bound is missing, or something that it needs is not brought up to date
    ("rfa/kernels/simd/level.h", "outside = SPLAT(lane[2 * k]) *", "outside = SPLAT(0.0) *"),
    ("rfa/kernels/simd/level.h", "loose = FMA(SPLAT(lane[c]),", "loose = FMA(SPLAT(0.0),"),
    ("rfa/kernels/simd/level.h", "change = FMA(SPLAT(lane[c]),", "change = FMA(SPLAT(-lane[c]),"),
    ("rfa/kernels/simd/level.h", "below = -(most + change + loose)", "below = above"),
    ("rfa/engines/direct/certify.pyx", "transposed[p // WORD", "transposed[j // WORD"),
    ("rfa/engines/direct/certify.pyx", "signs.ordered = False\n        signs",
     "pass\n        signs"),
    ("rfa/engines/direct/certify.pyx", "signs.current = False\n    while", "pass\n    while"),
    ("rfa/engines/direct/certify.pyx", "low[j] = rounded_down(least[i] + to_low[j])", "pass"),
    ("rfa/engines/direct/certify.pyx", "1.1 * (signs.stride + 8) * unit / 2 + 2 * inexact(signs))",
     "0.0)"),
    ("rfa/engines/direct/loop.pyx", "s.stage = MASKS\n", "pass\n"),
    ("rfa/engines/direct/loop.pyx", "self.signs.current = False", "pass"),
    # gram: coefficients, norms, anchors and further columns
    ("rfa/kernels/simd/real.h", "ADD_WHERE(bits, sum[r],", "ADD_WHERE(bits, t ? sum[r] : (V){0},"),
    ("rfa/engines/gram/loop.pyx", "if due or s.kept", "if s.kept"),
    ("rfa/engines/gram/loop.pyx", "for j in range(2):\n        memcpy",
     "for j in range(1):\n        memcpy"),
    ("rfa/engines/gram/engine.py", "        loop.catch_up(self.state)\n        W = ",
     "        W = "),
    ("rfa/engines/gram/loop.pyx",
     "anchor_dots[i, 0] + a[i] * norm[i]", "anchor_dots[i, 0] + norm[i]"),
    ("rfa/kernels/simd/real.h", "dots[j] += sum", "dots[j] = sum"),
    ("rfa/kernels/simd/real.h", "c += DOTS;", "c += DOTS + 1;"),
    ("rfa/kernels/simd/real.h", "r < there ? r : 0", "0"),
    ("rfa/engines/gram/loop.pyx", "find_dots(anchor + j * stride, means, s.k,",
     "find_dots(<floating*>s.anchor + (s.anchor_side * s.neurons + j) * stride, means, s.k,"),
    # a projection is that of the anchor, or lacks what a leaky slope adds
    ("rfa/engines/gram/loop.pyx", "+ a[i] * (\n", "+ 0 * (\n"),
    ("rfa/engines/gram/loop.pyx", "s.dots[i, 1 + c] + s.dots[common, 1 + c]",
     "s.dots[i, 1 + c]"),
    ("rfa/engines/gram/loop.pyx", "s.anchor_side = side", "s.anchor_side = 1 - side"),
    ("rfa/engines/gram/loop.pyx",
     "memset(s.C, 0, (s.neurons + TILE) * s.words * WORD * sizeof(floating))\n    s.", "s."),
    ("rfa/engines/gram/loop.pyx", "s.t % s.period == 0", "s.t % s.period == 1"),
    ("rfa/engines/gram/loop.pyx", "common_H[q * TILE * width + p] if leaky else 0", "0"),
    ("rfa/engines/gram/loop.pyx", "a[j] * (H[i] + common)", "a[j] * common"),
    ("rfa/engines/gram/loop.pyx", "q * size + (begin - first) * width",
     "q * size + (begin - first + 1) * width"),
    # columns of a word, rows of a tile or chunks of padding are left out or mistaken
    ("rfa/kernels/simd/real.h",
     "for (; s < samples; s += VL)", "for (; s + VL < samples; s += VL)"),
    ("rfa/kernels/simd/real.h", "rows = fewer ? FEWER_ROWS : LANE_ROWS", "rows = LANE_ROWS"),
    ("rfa/_kernels.pyx", "lanes + w * d * WORD, n - w * WORD, d,",
     "lanes + w * d * WORD, n - w * WORD - 1, d,"),
    ("rfa/engines/gram/loop.pyx", "words + (tests.shape[0] + WORD - 1) // WORD",
     "words + tests.shape[0] // WORD"),
    ("rfa/_kernels.pyx", "if block.samples - span * SPAN <= SPAN // 2:",
     "if block.samples - span * SPAN <= SPAN // 2 + 1:"),
    ("rfa/engines/gram/loop.pyx", "j // width * size + j % width",
     "j // width * size + (j ^ 1) % width"),
    ("rfa/engines/gram/loop.pyx",
     "s.side = 1 - s.side\n    s.stage = NOTHING\n", "s.stage = NOTHING\n"),
    ("rfa/engines/gram/loop.pyx",
     "s.side = 1 - s.side\n    s.stage = NOTHING\n", "s.side = 1 - s.side\n"),
    # signs are certified where numbers leave the range
    ("rfa/engines/direct/signs.py", "/ 2 / longest if self.certified else np.inf", "* 2"),
    ("rfa/engines/direct/signs.py", "SHORTEST = 1e100, 1e-140", "SHORTEST = 1e100, 0.0"),
    # what an engine has computed before shows in the next run
    ("rfa/engines/gram/loop.pyx",
     "memset(s.C, 0, (s.neurons + TILE) * s.words * WORD * sizeof(floating))\n        for",
     "for"),
    ("rfa/engines/gram/loop.pyx", "self.tally = tally_t(steps=0, looked_up=0, added=0)", "pass"),
    ("rfa/engines/gram/engine.py", "self.test_partial = aligned_zeros(partial, dtype)",
     "self.test_partial = self.partial"),
    ("rfa/engines/registry.py",
     '_waiting.__dict__.pop("engine", None)', '_waiting.__dict__.get("engine")'),
    # signs decided by rounded products
    ("rfa/engines/planar/loop.pyx", "(a, b, c, d)\n    p, q = fma(a, b, -p), -fma(c, d, q)",
     "(a, b, c, d)\n    p, q = 0.0, 0.0"),
    # W is not rounded to its type
    ("rfa/engines/planar/loop.pyx", "<float>v0 if single else v0", "v0"),
    # f = 0 counts as an answer
    ("rfa/engines/observing.pyx", "right[g] += s[i] > 0", "right[g] += s[i] >= 0"),
    ("rfa/engines/observing.pyx", "norm[row, j] = sqrt(out[j * (k + 1)])",
     "norm[row, j] = out[j * (k + 1)]"),
    # a step that every record setting must have is missing
    ("rfa/training/recording.py", "[T - 1, T, steps]", "[T, steps]"),
    # the wrong engine, or one that cannot take the data
    ("rfa/engines/choice.py", "RATIO = (2.4, 2.7)", "RATIO = (2.45, 2.7)"),
    ("rfa/engines/choice.py", "RATIO = (2.4, 2.7)", "RATIO = (2.4, 2.6)"),
    ("rfa/engines/choice.py", "ROW_BYTES = (1320, 1600)", "ROW_BYTES = (1312, 1600)"),
    ("rfa/engines/choice.py", "ROW_BYTES = (1320, 1600)", "ROW_BYTES = (1320, 1608)"),
    ("rfa/engines/choice.py", "GRAM_BYTES = 2**31", "GRAM_BYTES = 2**31 + 2**24"),
    ("rfa/engines/choice.py", "n <= RATIO", "n < RATIO"),
    ("rfa/engines/choice.py", "m > SIZES", "m >= SIZES"),
    ("rfa/engines/choice.py", "n + 4 * m", "n + 3 * m"),
    ("rfa/engines/choice.py", "size <= GRAM_BYTES", "size < GRAM_BYTES"),
    ("rfa/engines/gram/engine.py", "if small.any() and P[small].any()", "if P[small].all()"),
    ("rfa/engines/gram/engine.py", "< d * limits.tiny", "< limits.tiny / d"),
    ("rfa/engines/gram/engine.py",
     "in zip(points, squares, strict=True)", "in zip(points[:1], squares)"),
    ("rfa/engines/gram/engine.py", "norms[0] * max(norms) <", "norms[0] * norms[0] <"),
    ("rfa/engines/gram/engine.py", "float(limits.max) / 2", "float(limits.max)"),
    ("rfa/training/loop.py",
     "if problem.alpha / n < np.finfo(dtype).tiny", "if problem.alpha / n == 0"),
    # a child waits for threads that it does not have
    ("rfa/kernels/threads.pyx", "os.register_at_fork(before=pause)", "pass"),
]  # fmt: skip


# the same for the code around the engines, by the tests of which one must fail
AROUND = {
    ("kernels/test_arithmetic.py",): [
        ("rfa/_kernels.pyx", "cdef Py_ssize_t _padded(", "cdef int _padded("),
        ("rfa/kernels/guards.pyx", "__builtin_mul_overflow(size, count, &entries)", "0"),
        ("rfa/kernels/guards.pyx",
         "fegetenv(self.callers + threadid())\n                fesetenv(FE_DFL_ENV)",
         "fegetenv(self.callers + threadid())"),
        ("rfa/kernels/guards.pyx", "        else:\n            fesetenv(self.callers)",
         "        else:\n            pass"),
        ("rfa/training/loop.py", "    with OwnArithmetic():\n        descent",
         "    with contextlib.nullcontext():\n        descent"),
        ("rfa/_validate.py", 'requirements="A"', "requirements=[]"),
        ("rfa/_validate.py", "slice(0, 1) if step == 0 else slice(None)", "slice(None)"),
        ("rfa/training/loop.py", "if size > MAX_COUNT:", "if False:"),
    ],
    ("test_packaging.py",): [
        ("setup.py", "[*link_flags, *IEEE]", "link_flags"),
        ("setup.py", 'IEEE = ["-O3", "-fno-fast-math"', 'IEEE = ["-O3", "-ffast-math"'),
    ],
    ("test_arguments.py", "studies/test_studies.py", "estimates/test_risk.py"): [
        ("rfa/kernels/arrays.py",
         'return _validate.in_range(second, weights.dtype, "a", "the type of X and W")',
         "return second.astype(weights.dtype)"),
        ("rfa/studies/grid.py",
         "            self.failed[cell, k] = error\n", "            del error\n"),
        ("rfa/studies/proportions.py", "sum(map(bool, values))", "sum(v is True for v in values)"),
        ("rfa/studies/grid.py", '(name == "trial" or plain(measured[name]) != own[name])',
         "plain(measured[name]) != own[name]"),
        ("rfa/studies/grid.py", "        if len(set(values)) < len(values):", "        if False:"),
        ("rfa/studies/grid.py", "repeat //= len(values)", "repeat = 1"),
        ("rfa/data/dataset.py", "if distribution.d != self.d:", "if False:"),
        ("rfa/data/dataset.py", "wrong = self.eta != distribution.eta",
         "wrong = self.eta < distribution.eta - 1"),
        ("rfa/estimates/intervals.py", "MAX_TRIALS = 2**40", "MAX_TRIALS = 2**53"),
        ("rfa/_seeds.py", "not isinstance(rng, (bool, np.timedelta64))",
         "not isinstance(rng, bool)"),
        ("rfa/training/recording.py", "        return value.ndim > 0\n", "        return True\n"),
    ],
    ("training/test_files.py", "training/test_run.py"): [
        ("rfa/_files.py", "if match[1] == HOST or silence > SILENCE:", "if True:"),
        ("rfa/_files.py", "fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
        ("rfa/_files.py", "if os.fstat(handle).st_nlink:", "if True:"),
        ("rfa/_files.py", "        self._left -= info.file_size\n", "        pass\n"),
        ("rfa/_files.py", "self._archive.open(self._members[file]).close()", "pass"),
        ("rfa/_files.py", "if any(info.comment for info", "if any(None for info"),
        ("rfa/_files.py", "if info.compress_type != zipfile.ZIP_STORED:", "if False:"),
        ("rfa/training/history.py", "np.where(run.t == 0, 0, len(run.problem.y) * run.m)",
         "len(run.problem.y) * run.m"),
        ("rfa/training/history.py", "wrong = ~((array >= least) & (array <= most))",
         "wrong = (array < least) | (array > most)"),
        ("rfa/training/history.py", "if finite or not entry.overflows", "if True"),
        ("rfa/training/loading.py", "if step == at and not np.array_equal(W, same):", "if False:"),
        ("rfa/training/loading.py", "stored.finish(PREFIXES, f", "stored.finish((), f"),
        ("rfa/training/run.py", "if self.test is not None and test:", "if self.test is not None:"),
        ("rfa/_seeds.py", "if pool_size > MAX_POOL:", "if False:"),
    ],
    ("kernels/test_runtime.py", "kernels/test_forks.py", "studies/test_studies.py"): [
        ("rfa/_runtime.py", "== me]\n        if not self.holders:", "== me]\n        if False:"),
        ("rfa/_runtime.py", "        self.lock = threading.RLock()\n        me", "        me"),
        ("rfa/_runtime.py", "if thread == me]", "if False]"),
        ("rfa/_runtime.py", "        self.found = []\n\n", "\n"),
        ("rfa/_runtime.py", "    os.register_at_fork(after_in_child",
         "    os.register_at_fork(before=one_blas_thread.lock.acquire,\n"
         "        after_in_parent=one_blas_thread.lock.release, after_in_child"),
        ("rfa/kernels/threads.pyx", "_stack = stack_size(os.environ)", "_stack = 0"),
        ("rfa/kernels/threads.pyx", "if (stack > 0)", "if (stack > 0 && stack < 65536)"),
        ("rfa/kernels/threads.pyx", '("OMP_STACKSIZE", "GOMP_STACKSIZE")',
         '("GOMP_STACKSIZE", "OMP_STACKSIZE")'),
        ("rfa/kernels/threads.pyx", "and size < SIZES", ""),
        ("rfa/_runtime.py", "else min(environment_threads(), limit)", "else limit"),
        ("rfa/_runtime.py", "found = openmp_threads.available(wanted)", "found = wanted"),
        ("rfa/_runtime.py", "        openmp.wait_briefly()", "        pass"),
        ("rfa/kernels/openmp.py", "bound = place >= 0 and mask == places[place]",
         "bound = place >= 0 and mask in places"),
        ("rfa/kernels/openmp.py", "(bound and allowed & set().union(*places))",
         "(bound and set().union(*places))"),
        ("rfa/kernels/openmp.py", "os.sched_setaffinity(0, affinity())", "pass"),
        ("rfa/kernels/openmp.py", "if bound in places:", "if False:"),
        ("rfa/kernels/openmp.py", "len(allowed) + 1", "2"),
        ("rfa/_runtime.py", "NOT_SHOWN = (OSError, ValueError, AttributeError)",
         "NOT_SHOWN = (ValueError, AttributeError)"),
        ("rfa/studies/grid.py",
         "        except BaseException as error:\n            self.failed[cell, k] = error",
         "        except Exception as error:\n            self.failed[cell, k] = error"),
        ("rfa/studies/grid.py", "        _attach(work.study(), error)\n", ""),
        ("rfa/studies/executors.py", "@atexit.register\n", ""),
        ("rfa/studies/executors.py", "        if exiting.is_set():\n", "        if False:\n"),
        ("rfa/studies/executors.py", "    except RuntimeError as error:",
         "    except ZeroDivisionError as error:"),
    ],
    ("cli/test_commands.py", "cli/test_cli.py"): [
        ("rfa/plot/styles.py", "            matplotlib.rcdefaults()\n", ""),
        ("rfa/cli/figures.py", 'backend = os.environ.pop("MPLBACKEND", None)', "backend = None"),
        ("rfa/cli/main.py", "        need_stdout()\n", ""),
        ("rfa/cli/main.py", "    except KeyboardInterrupt:\n        from",
         "    except UnicodeError:\n        from"),
        ("rfa/cli/parameters.py", 'removesuffix(" | None"), checked(_from_json))',
         'removesuffix(" | None"), str)'),
        ("rfa/cli/options.py", "if format_of(text) not in FORMATS:", "if False:"),
        ("rfa/cli/main.py", "            failure = failure or lost\n", ""),
        ("rfa/cli/console.py", "        warnings.showwarning = show\n", ""),
        ("rfa/cli/console.py", "        need_stdout()\n        print", "        print"),
    ],
    ("training/test_history.py",
     "training/test_training.py", "plot/test_pictures.py", "theory/test_statement_cases.py"): [
        ("rfa/training/history.py", "[*OBSERVED, *computed]", "OBSERVED"),
        ("rfa/training/history.py", "if 2 * (end - begin) < len(at):", "if end - begin < len(at):"),
        ("rfa/engines/observations.py",
         '; inf for an empty group.",\n        np.float64,\n        "mG",\n        early=True,',
         '; inf for an empty group.",\n        np.float64,\n        "mG",'),
        ("rfa/training/recording.py", "if size > MAX_HISTORY:", "if size >= MAX_HISTORY:"),
        ("rfa/training/recording.py", "if asked and len(keep) * nbytes > MAX_HISTORY:",
         "if asked and len(keep) * nbytes > 2 * MAX_HISTORY:"),
        ("rfa/plot/boundary.py", "np.meshgrid(across, up[rows])", "np.meshgrid(across, up[:step])"),
        ("rfa/theory/amplification.py", "PIECE_REALS // e.d", "PIECE_REALS"),
    ],
}  # fmt: skip


VERDICTS = {False: "caught", True: "SURVIVED", None: "NO ANSWER IN TIME"}
# seconds for the tests of one mutant, and for a build
LIMIT = 900

# mutants of code that runs on some processors only, with what such a processor has
AVX512 = [
    ("rfa/kernels/simd/losses.h", "_mm512_max_pd(low, x)", "_mm512_max_pd(x, low)"),
]

BUILD = [sys.executable, "setup.py", "build_ext", "--inplace"]
# random problems find most faults of compiled code sooner than the tests do
FUZZ = [sys.executable, "tests/fuzz.py", "--shapes", "30", "--first"]
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
PYTEST += ["-m", "slow or not slow"]


def run(command, folder, show=False, limit=LIMIT, **variables):
    """Whether a command succeeds; None if it exceeds the time limit, which proves nothing."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= variables
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as late:
        done, answer = late, None
    else:
        answer = done.returncode == 0
    if show and not answer:
        print((done.stdout or b"").decode(errors="replace")[-3000:])
    return answer


def verdict_of(mutant, tree, compiler):
    """Apply a mutant to a tree, run its tests there, and take it out again."""
    name, old, new, names = mutant
    path = tree / name
    text = path.read_text()
    path.write_text(text.replace(old, new))
    try:
        if not name.endswith(".py") and not run(BUILD, tree, CC=compiler):
            return "DOES NOT BUILD"
        if not name.endswith(".py") and run(FUZZ, tree) is False:
            return "caught"
        return VERDICTS[run([*PYTEST, *(f"tests/{name}" for name in names)], tree)]
    finally:
        path.write_text(text)


def quick_compiler(folder):
    """A script that runs the compiler with -O0, which takes a third of the time."""
    path = folder / "compiler"
    path.write_text(f'#!/bin/sh\nexec {os.environ.get("CC", "gcc")} "$@" -O0\n')
    path.chmod(0o755)
    return str(path)


def work(mutants, tree, compiler, survivors):
    """Try the mutants that are left, one after another, in a tree of one's own."""
    for number, mutant in mutants:
        start = time.perf_counter()
        verdict = verdict_of(mutant, tree, compiler)
        seconds = time.perf_counter() - start
        name, old, new, _ = mutant
        print(f"{number:3} {verdict}: {name}: {old} -> {new}  ({seconds:.0f} s)", flush=True)
        if verdict != "caught":
            survivors.append(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only mutants of files with this in their name")
    parser.add_argument("--from", type=int, default=1, dest="first", help="begin with this one")
    parser.add_argument("--jobs", type=int, default=1, help="number of mutants tried at once")
    arguments = parser.parse_args()
    everywhere = MUTANTS + AVX512 if SIMD_LEVEL == "avx512" else MUTANTS
    if everywhere is MUTANTS:
        print(f"{len(AVX512)} not tried: AVX-512 is not used here")
    groups = {tuple(TESTS): everywhere, **AROUND}
    chosen = [
        (*mutant, names)
        for names, mutants in groups.items()
        for mutant in mutants
        if arguments.only in mutant[0]
    ]
    for name, old, *_ in chosen:
        if (found := (ROOT / name).read_text().count(old)) != 1:
            sys.exit(f"{name} has {old!r} {found} times, not once")
    with tempfile.TemporaryDirectory() as scratch:
        compiler = quick_compiler(Path(scratch))
        trees = [Path(scratch, str(k), "rfa") for k in range(arguments.jobs)]
        leave = shutil.ignore_patterns(
            ".git", "build", "*.so", "*.egg-info", ".venv*", "__pycache__"
        )
        shutil.copytree(ROOT, trees[0], ignore=leave)
        used = sorted({name for *_, names in chosen for name in names})
        tests = [*PYTEST, "-n", "2", "--dist", "loadfile", *(f"tests/{name}" for name in used)]
        built = run(BUILD, trees[0], True, CC=compiler)
        if not (built and run(FUZZ, trees[0], True) and run(tests, trees[0], True, limit=None)):
            sys.exit("the tests fail without any fault")
        for tree in trees[1:]:
            shutil.copytree(trees[0], tree)
        mutants = Shared(list(enumerate(chosen, 1))[arguments.first - 1 :])
        survivors = []
        with ThreadPoolExecutor(len(trees)) as pool:
            list(pool.map(lambda tree: work(mutants, tree, compiler, survivors), trees))
    tried = len(chosen) - arguments.first + 1
    print(f"{tried - len(survivors)} caught, {len(survivors)} not: {sorted(survivors)}")
    return bool(survivors)


class Shared:
    """An iterator that several threads may share."""

    def __init__(self, values):
        self._iterator = iter(values)
        self._lock = threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self._lock:
            return next(self._iterator)


if __name__ == "__main__":
    sys.exit(main())
