"""The paper's statements as computations on a run."""

from __future__ import annotations

from rfa.theory.dynamics import horizon
from rfa.theory.generalization import ErrorEstimate, test_error

__all__ = ["ErrorEstimate", "horizon", "test_error"]
