"""The paper's statements as computations on a run."""

from __future__ import annotations

from rfa.theory.dynamics import horizon
from rfa.theory.generalization import TestError, test_error

__all__ = ["TestError", "horizon", "test_error"]
