"""The quantity "active_share" is recorded by every engine, saved, and documented."""

import tempfile
from pathlib import Path

import rfa

data = rfa.XORClusters(d=2).sample(n=200, rng=0)
net = rfa.Network.random(m=50, d=2, rng=0)
for engine in ("direct", "gram", "planar", "reference"):
    run = rfa.train(net, data, engine=engine)
    print(f"{engine}: {run.history.active_share.round(3)}")
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "run.npz"
    run.save(file)
    stored = rfa.load(file).history.active_share
print("saved:", (stored == run.history.active_share).all())
print("documented:", "active_share : ndarray of float64, shape (R,)" in rfa.History.__doc__)
