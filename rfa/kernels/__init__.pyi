# What type checkers see of rfa.kernels: the names of __all__ in __init__.py.

from rfa.kernels.arrays import activation_masks as activation_masks
from rfa.kernels.arrays import active_counts as active_counts
from rfa.kernels.arrays import forward as forward
from rfa.kernels.arrays import gradient as gradient
from rfa.kernels.arrays import step as step
