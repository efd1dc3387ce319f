"""Data: the four clusters with noisy labels of Section 2.1, and the user's own data."""

from rfa.data.clusters import StoredCallable, XORClusters, random_means
from rfa.data.dataset import Dataset, Distribution
from rfa.data.laws import LAWS
from rfa.data.noise import NOISE_RULES
from rfa.setting import CLUSTER_LABELS

__all__ = [
    "CLUSTER_LABELS",
    "LAWS",
    "NOISE_RULES",
    "Dataset",
    "Distribution",
    "StoredCallable",
    "XORClusters",
    "random_means",
]
