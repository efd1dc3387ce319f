"""What direct and gram, the engines that keep activations as masks, share of their set-up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa import _kernels
from rfa.engines import FloatArray, IntArray

WORD, TILE, LANE = (_kernels.SIZES[name] for name in ("word", "tile", "lane"))
PER_WORD = WORD // LANE

# Multiply-adds of a step from which a second thread pays for itself. Bits do not depend on it.
PARALLEL_WORK = 2**20


def room_for_plans(batches: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """How so many batches of a block of neurons are summed: their plans and counts."""
    plan = np.zeros(batches * 4 * _kernels.SIZES["block"], np.uint8)
    return plan, np.zeros(batches * _kernels.SIZES["counts"], np.int32)


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
