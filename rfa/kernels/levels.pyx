"""The SIMD level in use, the leaves of simd/ that are built for it, and the sizes they work on."""
import os

LEVELS = ("baseline", "avx2", "avx512")


def _chosen_level():
    """The SIMD level in use: the best supported one, or the lower one that RFA_SIMD names."""
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
SIZES = {"word": WORD, "lane": LANE, "tile": TILE, "lanes": LANES, "block": BLOCK}


cdef int level() noexcept nogil:
    return _level


cdef Py_ssize_t columns(const floating* real) noexcept nogil:
    """Columns in a chunk of the rows that masked_sum adds up (the pointer only tells the type)."""
    return ENTRY // sizeof(floating)
