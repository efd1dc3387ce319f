"""engine="auto": which engine takes the steps.

By the sizes, the type and fixed constants alone: engines differ in bits, and the bits of a seed
must depend neither on a measurement nor on threads, records or the number of steps.
"""

from __future__ import annotations

import numpy as np

# gram if n + means is at most a ratio times d: a step of direct costs 3/8 n m d look-ups and the
# signs that it has to evaluate, one of gram 3/16 n (n + means) m. They break even between 2 d and
# 4 d, later if K stays in cache; and if K has short rows gram is faster for any d (bench/auto.py).
CACHED_RATIO, RATIO = 3.1, 2.7
CACHED_BYTES = 2**22
ROW_BYTES = 2**10

# and if its arrays, K, H three times and the coefficients, and what it keeps of test points, take
# at most this many bytes.
GRAM_BYTES = 2**31


def choose(n: int, d: int, m: int, means: int, tests: int, dtype: np.dtype[np.floating]) -> str:
    """The engine for n samples in dimension d, m neurons, and so many means and test points."""
    if d == 2:
        return "planar"
    points = n + means
    size = (n * points + 2 * points * m + 2 * n * m + tests * (n + 2 * m)) * dtype.itemsize
    ratio = CACHED_RATIO if n * points * dtype.itemsize <= CACHED_BYTES else RATIO
    few = points <= ratio * d or points * dtype.itemsize <= ROW_BYTES
    return "gram" if few and size <= GRAM_BYTES else "direct"
