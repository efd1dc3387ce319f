"""A noise rule of one's own: the labels nearest to the mean of their cluster are flipped."""

import numpy as np

import rfa

clusters = rfa.XORClusters(d=2, eta=0.1)


def nearest(X, y_clean, cluster, k, rng):
    """The indices of the k samples that are nearest to the mean of their cluster."""
    distance = np.linalg.norm(X - clusters.means[cluster], axis=1)
    return np.argsort(distance, kind="stable")[:k]


if __name__ == "__main__":
    data = rfa.XORClusters(d=2, eta=0.1, noise=nearest).sample(n=500, rng=0)
    distance = np.linalg.norm(data.X - data.means[data.cluster], axis=1)
    print("labels flipped:", data.noisy.sum())
    print("the nearest ones:", distance[data.noisy].max() <= distance[~data.noisy].min())
