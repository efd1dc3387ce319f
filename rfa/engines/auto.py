"""engine="auto": which engine takes the steps.

By the sizes, the type and fixed constants alone: engines differ in bits, and the bits of a seed
must depend neither on a measurement nor on threads, records or the number of steps.
"""

from __future__ import annotations

import numpy as np

# gram if n + probes <= GRAM_RATIO * d: a step of direct costs n m d multiply-adds and 3/16 n m d
# look-ups, one of gram 3/16 n (n + probes) m. They break even between 2 d and 4 d
# (bench/auto.py).
GRAM_RATIO = 2.5

# and if its arrays, K, H three times and the coefficients, take at most this many bytes.
GRAM_BYTES = 2**31


def choose(n: int, d: int, m: int, probes: int, dtype: np.dtype[np.floating]) -> str:
    """The engine for n samples in dimension d, m neurons, and so many means and test points."""
    if d == 2:
        return "planar"
    points = n + probes
    size = (n * points + 2 * points * m + 2 * n * m) * dtype.itemsize
    return "gram" if points <= GRAM_RATIO * d and size <= GRAM_BYTES else "direct"
