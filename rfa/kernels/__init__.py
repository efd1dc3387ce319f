"""The hot loops as array functions, compiled and multi-threaded.

The functions have the names and signatures of those in :mod:`rfa.reference`, plus ``n_threads``.

- Arguments may have any strides, and may be read-only or memory-mapped. They must be finite, and in
  the range of the type of the computation.
- The computation is in float32 if X and W both are, else in float64. A result that overflows is inf
  or NaN, without a warning.
- The number of threads does not change a bit of the result.
- Each call packs its own copies of X and W. For many steps use :func:`rfa.train`, which packs once.
"""

from rfa import _lazy

# The functions stand in arrays.py, which imports compiled modules. These import other modules of
# this package, so the package itself must not import arrays.py before a function is asked for.
# __init__.pyi tells type checkers.
__all__ = ["activation_masks", "active_counts", "forward", "gradient", "step"]
__getattr__, __dir__ = _lazy.attach(__name__, dict.fromkeys(__all__, "arrays"))
