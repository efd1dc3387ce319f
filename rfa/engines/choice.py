"""Which engine takes the steps if engine="auto".

The choice depends on sizes, the type and fixed constants alone. Engines differ in bits, and the
bits that belong to a seed must depend neither on a measurement nor on threads, records or the
number of steps.
"""

from __future__ import annotations

import numpy as np

from rfa.kernels.levels import SIZES

# gram is cheaper than direct if n is at most RATIO d plus the reals in ROW_BYTES bytes. A step of
# gram takes 3/16 n^2 m look-ups. A step of direct takes 3/8 n m d look-ups, evaluates some signs,
# and has further costs that do not depend on d: as much as gram spends on ROW_BYTES bytes of each
# row of K. Both constants are fitted to the times of 1000 steps (bench/auto.py). In the first steps
# direct evaluates more signs, so that for these alone gram would be cheaper up to a larger n.
# The first number of each pair is for one block of neurons. The second is for several blocks, which
# share the work that gram does once a step.
RATIO = (2.4, 2.7)
ROW_BYTES = (1320, 1600)

# gram is taken only if K, H three times, the coefficients and what it keeps of test points take at
# most this many bytes. (Copies of X and W, which every engine has, are not counted.)
GRAM_BYTES = 2**31


def by_cost(n: int, d: int, m: int, tests: int, dtype: np.dtype[np.floating]) -> tuple[str, ...]:
    """Names of the engines that suit n samples in dimension d, m neurons and the test points.

    The cheapest comes first, and the last one accepts every problem.
    """
    if d == 2:
        return "planar", "direct"
    size = (n * (n + 4 * m) + tests * (n + 2 * m)) * dtype.itemsize
    several = int(m > SIZES["block"])
    few = n <= RATIO[several] * d + ROW_BYTES[several] / dtype.itemsize
    return ("gram", "direct") if few and size <= GRAM_BYTES else ("direct",)
