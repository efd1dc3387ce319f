"""SHA-256 digests of a fixed list of runs, as JSON: `python digests.py [n_threads]`.

The bits of a run do not depend on the number of threads, nor on whether OpenMP was there at all:
two builds on one machine, at one SIMD level, print the same.
"""

from __future__ import annotations

import hashlib
import json
import sys

import problems

import rfa
from rfa.engines import packing
from rfa.engines.planar import engine as planar


def digest(run):
    """Name -> SHA-256 of the last W and of every history array."""
    arrays = {"W": run.network.W, **{name: run.history[name] for name in run.history}}
    return {
        name: hashlib.sha256(f"{a.dtype}{a.shape}".encode() + a.tobytes()).hexdigest()
        for name, a in arrays.items()
    }


def digests(n_threads):
    """Digests of runs with every engine, both types, odd shapes, with and without clusters."""
    exp = rfa.Experiment(n=313, d=17, m=46, alpha=0.05, steps=60, n_test=101)
    # large enough that the engine chooses several threads, with several blocks and panels
    large = rfa.Experiment(n=700, d=30, m=500, alpha=0.05, steps=12, n_test=65)
    deep = rfa.Experiment(n=70, d=1100, m=61, alpha=0.1, steps=6)
    found = {}
    for dtype in problems.DTYPES:
        for name, experiment in {"small": exp, "large": large, "deep": deep}.items():
            for engine in ("direct", "gram"):
                run = experiment.replace(dtype=dtype).run(rng=1, engine=engine, n_threads=n_threads)
                found[f"{engine} {name} {dtype}"] = digest(run)
        flat = exp.replace(d=2, dtype=dtype, steps=150, alpha=0.3)
        for engine in ("planar", "direct", "gram"):
            run = flat.run(rng=2, engine=engine, n_threads=n_threads)
            found[f"{engine} d=2 {dtype}"] = digest(run)
        for name, case in problems.cases().items():
            data = rfa.Dataset(case.X.astype(dtype), case.y)
            net = rfa.Network(case.W, case.a)
            run = rfa.train(net, data, alpha=0.25, steps=min(case.steps, 30), n_threads=n_threads)
            found[f"{name} {dtype}"] = digest(run)
    return found


if __name__ == "__main__":
    # let small runs, too, use several threads
    packing.PARALLEL_WORK = planar.PARALLEL_NEURONS = 1
    print(json.dumps(digests(int(sys.argv[1]) if len(sys.argv) > 1 else None), indent=1))
