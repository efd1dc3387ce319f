"""Set-up that is common to direct and gram, the engines that keep activations as masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rfa.engines.problem import FloatArray, IntArray
from rfa.kernels import levels, plans

WORD, TILE, LANE = (levels.SIZES[name] for name in ("word", "tile", "lane"))
BLOCK, SPAN, STRANDS = (levels.SIZES[name] for name in ("block", "span", "strands"))
PER_WORD = WORD // LANE

# Multiply-adds of a step from which a second thread pays for itself. Bits do not depend on it.
PARALLEL_WORK = 2**20


def room_for_plans(words: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Room for lists and counts of plans.

    ``words`` counts every word once for each block of neurons.
    """
    spans = words * (WORD // SPAN)
    return np.zeros(spans * 4 * BLOCK, np.uint8), np.zeros(spans * plans.COUNTS_OF_SPAN, np.int32)


def threads_for(work: int, pieces: int, n_threads: int) -> int:
    """Threads for a step of ``work`` multiply-adds: one if work is small, at most one a piece."""
    return min(n_threads, pieces) if work >= PARALLEL_WORK else 1


def stats_of(steps: int, looked_up: int, added: int, words: int) -> dict[str, int]:
    """Stats of the masked sums of a run whose masks have ``words`` words; see :class:`rfa.Run`."""
    spans = steps * words * (WORD // SPAN)
    return {"batches": spans, "looked_up": looked_up, "added": added}


def padded(y: IntArray | FloatArray, groups: IntArray) -> tuple[FloatArray, np.ndarray[Any, Any]]:
    """Labels and groups, filled up to whole words of samples with label 0 and group -1."""
    size = max(1, -(-len(y) // WORD)) * WORD
    labels, group = np.zeros(size), np.full(size, -1, np.int32)
    labels[: len(y)] = y
    group[: len(y)] = groups
    return labels, group


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that begin at a multiple of 64 bytes, so that no vector lies on two cache lines."""
    itemsize = np.dtype(dtype).itemsize
    size = shape if isinstance(shape, int) else math.prod(shape)
    buffer = np.zeros(size + 64 // itemsize, dtype)
    offset = -buffer.__array_interface__["data"][0] % 64 // itemsize
    return buffer[offset : offset + size].reshape(shape)
