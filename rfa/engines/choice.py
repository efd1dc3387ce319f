"""engine="auto": which engine takes the steps.

By the sizes, the type and fixed constants alone: engines differ in bits, and the bits of a seed
must depend neither on a measurement nor on threads, records or the number of steps.
"""

from __future__ import annotations

import numpy as np

from rfa.kernels.levels import SIZES

# gram if n is at most RATIO d, and so many more as ROW_BYTES have room for: a step of direct costs
# 3/8 n m d look-ups, the signs that it has to evaluate, and, whatever d, what gram spends on 1320
# bytes of each row of K; one of gram costs 3/16 n^2 m look-ups. The second of each is for more than
# one block of neurons, which share what gram does once a step. Fitted to the times of 1000 steps,
# see bench/auto.py; the first ones alone, of which direct evaluates more signs, would have gram up
# to larger n.
RATIO = (2.4, 2.7)
ROW_BYTES = (1320, 1600)

# and if what it has beside copies of X and W, K, H three times and the coefficients, and what it
# keeps of test points, takes at most this many bytes.
GRAM_BYTES = 2**31


def by_cost(n: int, d: int, m: int, tests: int, dtype: np.dtype[np.floating]) -> tuple[str, ...]:
    """The engines for n samples in dimension d, m neurons and this many test points.

    The cheapest comes first, and the last one accepts every problem.
    """
    if d == 2:
        return "planar", "direct"
    size = (n * (n + 4 * m) + tests * (n + 2 * m)) * dtype.itemsize
    several = int(m > SIZES["block"])
    few = n <= RATIO[several] * d + ROW_BYTES[several] / dtype.itemsize
    return ("gram", "direct") if few and size <= GRAM_BYTES else ("direct",)
