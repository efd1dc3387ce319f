"""What direct and gram, the engines that keep activations as masks, share of their set-up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rfa.engines.problem import FloatArray, IntArray
from rfa.kernels import levels, plans

WORD, TILE, LANE = (levels.SIZES[name] for name in ("word", "tile", "lane"))
BLOCK, LANES = (levels.SIZES[name] for name in ("block", "lanes"))
PER_WORD = WORD // LANE

# Multiply-adds of a step from which a second thread pays for itself. Bits do not depend on it.
PARALLEL_WORK = 2**20


def room_for_plans(batches: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """How so many batches of a block of neurons are summed: their plans and counts."""
    plan = np.zeros(batches * 4 * BLOCK, np.uint8)
    return plan, np.zeros(batches * plans.COUNTS_OF_BATCH, np.int32)


def threads_for(work: int, pieces: int, n_threads: int) -> int:
    """Threads for a step of so many multiply-adds: one if small, never more than its pieces."""
    return min(n_threads, pieces) if work >= PARALLEL_WORK else 1


def batch_stats(tally: IntArray, words: int) -> dict[str, int]:
    """The counts of a run whose neurons have so many words of masks together, two batches each."""
    steps, looked_up, added, *_ = tally.tolist()
    every = 2 * steps * words
    return {"batches": every, "looked_up": looked_up, "added": added}


def padded(y: IntArray | FloatArray, groups: IntArray) -> tuple[FloatArray, np.ndarray[Any, Any]]:
    """Labels and groups to whole words of samples: label 0 and group -1 beyond the last."""
    size = max(1, -(-len(y) // WORD)) * WORD
    labels, group = np.zeros(size), np.full(size, -1, np.int32)
    labels[: len(y)] = y
    group[: len(y)] = groups
    return labels, group


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros whose first entry is at a multiple of 64 bytes, so that no vector straddles a line."""
    itemsize = np.dtype(dtype).itemsize
    size = shape if isinstance(shape, int) else math.prod(shape)
    buffer = np.zeros(size + 64 // itemsize, dtype)
    offset = -buffer.__array_interface__["data"][0] % 64 // itemsize
    return buffer[offset : offset + size].reshape(shape)
