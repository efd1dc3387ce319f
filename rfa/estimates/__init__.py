"""Estimates of a network on data: its risk, with confidence intervals, and its complexity."""

from rfa.estimates.intervals import clopper_pearson
from rfa.estimates.rademacher import Complexity, rademacher_complexity
from rfa.estimates.risk import ErrorEstimate, test_error

__all__ = [
    "Complexity",
    "ErrorEstimate",
    "clopper_pearson",
    "rademacher_complexity",
    "test_error",
]
