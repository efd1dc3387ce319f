"""Training: gradient descent (train), what it records (History), and its result (Run)."""

from rfa.training.history import History, Row
from rfa.training.loading import load
from rfa.training.loop import Interrupted, train
from rfa.training.run import Run

__all__ = ["History", "Interrupted", "Row", "Run", "load", "train"]
