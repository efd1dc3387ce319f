"""A law of one's own: samples on a sphere around the mean of their cluster."""

import numpy as np

import rfa


def sphere(rng, n, d):
    """n points (n, d) on the sphere of radius sqrt(d): their mean is 0, their covariance I."""
    z = rng.standard_normal((n, d))
    return np.sqrt(d) * z / np.linalg.norm(z, axis=1, keepdims=True)


if __name__ == "__main__":
    clusters = rfa.XORClusters(d=100, sigma=0.02, law=sphere)
    data = clusters.sample(n=1000, rng=0)
    z = (data.X - data.means[data.cluster]) / clusters.sigma
    print(f"largest norm {np.linalg.norm(z, axis=1).max():.6f}")
    print(f"variance in a direction {z.var():.2f}")
    run = rfa.train(rfa.Network.random(m=64, d=100, rng=0), data)
    print("clean samples wrong:", run.history.clean_wrong[-1])
