"""The loss "squared hinge" is minimised by every engine."""

import dataclasses

import numpy as np

import rfa
from rfa.engines.observations import Observations
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES

data = rfa.XORClusters(d=2).sample(n=200, rng=0)
net = rfa.Network.random(m=50, d=2, rng=0)
problem = Problem.of(data, None, alpha=0.05, horizon=0)
problem = dataclasses.replace(problem, loss="squared hinge")
at = np.array([100])
reached = {}
for name, engine in ENGINES.items():
    out = Observations.allocate(problem, net.m, at)
    descent = engine(problem, net.W, net.a, n_threads=1)
    descent.advance(100, at, out, 0)
    reached[name] = descent.weights()[0], out.loss[0].sum() / data.n
    print(f"{name}: {reached[name][1]:.4f}")
W, risk = reached["reference"]
for other, other_risk in reached.values():
    assert np.allclose(other, W, rtol=0, atol=1e-12) and abs(other_risk - risk) < 1e-12
