"""The SIMD level in use, the leaves of simd/ at that level, and the sizes that they work on."""
import os

LEVELS = ("baseline", "avx2", "avx512")


def _chosen_level():
    """The best level that the CPU supports, or a lower one that RFA_SIMD names."""
    best = rfa_supported_level()
    name = os.environ.get("RFA_SIMD", "")
    if not name:
        return best
    if name not in LEVELS:
        raise ImportError(f"RFA_SIMD must be one of {', '.join(LEVELS)}; got {name!r}")
    return min(best, LEVELS.index(name))


cdef int _level = _chosen_level()
SIMD_LEVEL = LEVELS[_level]
# the losses: each one's place is its number in the kernels, its row in rfa.losses says what it is
LOSSES = tuple([rfa_loss_name(number).decode() for number in range(LOSS_COUNT)])
# for those who allocate
SIZES = {
    "word": WORD, "lane": LANE, "tile": TILE, "block": BLOCK, "span": SPAN, "strands": STRANDS,
}


cdef int level() noexcept nogil:
    return _level
