"""What trained networks are compared with: linear classifiers, and the linearisation at W_0."""

from rfa.baselines.comparing import contrasts
from rfa.baselines.linear import LinearOptimum, best_linear, linear_optimum
from rfa.baselines.linearised import linearisation
from rfa.baselines.result import Baseline

__all__ = [
    "Baseline",
    "LinearOptimum",
    "best_linear",
    "contrasts",
    "linear_optimum",
    "linearisation",
]
