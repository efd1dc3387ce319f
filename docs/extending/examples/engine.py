"""The engine "textbook" takes the steps of the engine "direct"."""

import numpy as np

import rfa

data = rfa.XORClusters(d=30).sample(n=300, rng=0)
net = rfa.Network.random(m=40, d=30, rng=0)
own, other = (rfa.train(net, data, steps=50, engine=name) for name in ("textbook", "direct"))
print("steps:", own.t)
print("same weights:", np.allclose(own.network.W, other.network.W, rtol=0, atol=1e-12))
print("same activations:", (own.history.active == other.history.active).all())
single = rfa.XORClusters(d=30).sample(n=300, rng=0, dtype="float32")
try:
    rfa.train(net, single, engine="textbook")
except ValueError as error:
    print(error)
