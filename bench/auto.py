"""Does engine="auto" take the faster engine: its time over the best one's, on a grid of shapes.

Each engine takes the same steps from the same start, set-up and recovery of W included, in turn. As
many as are asked for: later steps cost less than the first, more so of direct, whose signs become
certain, and so fewer of them would tell something else.

Use: python bench/auto.py [--steps K] [--pairs K] [--turn SECONDS] [--threads N] [--dtype TYPE]
"""

import argparse
import itertools
import statistics
import time

import common
import numpy as np

import rfa
from rfa.engines import auto

SHAPES = [
    (n, d, m)
    for (n, d), m in itertools.product(
        [(100, 20), (100, 100), (200, 40), (200, 2000), (400, 100), (400, 200), (1000, 100),
         (1000, 250), (1000, 500), (1000, 2000), (3000, 300), (3000, 1000), (5000, 300),
         (200, 5), (2000, 5000)],
        (100, 500),
    )
]  # fmt: skip


def seconds(net, data, steps, engine, threads):
    return common.seconds(
        lambda: rfa.train(net, data, steps=steps, engine=engine, record=None, n_threads=threads)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5, help="at most, and at least one")
    parser.add_argument("--turn", type=float, default=10, help="seconds a shape for all but one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    print("| n, d, m | direct, us a step | gram, us a step | auto | over the best | pairs |")
    print("|---|---|---|---|---|---|")
    worst = 0.0
    for n, d, m in SHAPES:
        data = rfa.XORClusters(d=d).sample(n, rng=0, dtype=np.dtype(options.dtype))
        net = rfa.Network.random(m, d, rng=0)
        times = {"direct": [], "gram": []}
        begin = time.perf_counter()
        for pair in range(options.pairs):
            if pair > 0 and time.perf_counter() - begin > options.turn:
                break
            for engine, taken in times.items():
                taken.append(seconds(net, data, options.steps, engine, options.threads))
        medians = {engine: statistics.median(taken) for engine, taken in times.items()}
        chosen = auto.choose(n, d, m, 0, np.dtype(options.dtype))
        over = medians[chosen] / min(medians.values())
        worst = max(worst, over)
        cells = (f"{1e6 * medians[engine] / options.steps:.1f}" for engine in ("direct", "gram"))
        row = [f"{n}, {d}, {m}", *cells, chosen, f"{over:.2f}", str(len(times["gram"]))]
        print(f"| {' | '.join(row)} |", flush=True)
    print(f"\nworst: {worst:.2f}")


if __name__ == "__main__":
    main()
