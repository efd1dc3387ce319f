"""The hot loops as array functions, compiled and multi-threaded.

Same names and signatures as in :mod:`rfa.reference`, plus ``n_threads``. Inputs of any strides,
read-only or memory-mapped, are accepted; the computation is in float32 if X and W both are, else in
float64; results are the same bits for any number of threads. Each call packs its own copies of X
and W: for many steps use :func:`rfa.train`, which packs once. Arguments must be finite and in the
range of the type of the computation; what overflows on the way is inf or NaN, without a warning.

The functions are those of arrays.py, imported when one is asked for: nothing compiled is imported
with this package, since the compiled modules stand on others of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfa.kernels.arrays import (
        activation_masks,
        active_counts,
        forward,
        gradient,
        step,
    )

__all__ = ["activation_masks", "active_counts", "forward", "gradient", "step"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rfa.kernels' has no attribute {name!r}")
    value = getattr(importlib.import_module("rfa.kernels.arrays"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
