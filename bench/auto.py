"""Does engine="auto" take the faster engine: its time over the best one's, on a grid of shapes.

Each engine takes the same steps from the same start, set-up and recovery of W included, in turn. No
shape gets fewer steps than asked for: the first ones cost more than those after them, most of all
in direct, whose signs become certain, and so they would tell something else.

With --border: for which n both take the same time, from times around the n where auto changes over;
its constants are fitted to that.

Use: python bench/auto.py [--border] [--steps K] [--pairs K] [--turn SECONDS] [--threads N]
                          [--dtype TYPE]
"""

import argparse
import functools
import itertools
import statistics
import time

import common
import numpy as np

import rfa
from rfa.engines import choice

SHAPES = [
    (n, d, m)
    for (n, d), m in itertools.product(
        [(100, 20), (100, 100), (200, 40), (200, 2000), (400, 100), (400, 200), (1000, 100),
         (1000, 250), (1000, 500), (1000, 2000), (3000, 300), (3000, 1000), (5000, 300),
         (200, 5), (2000, 5000)],
        (100, 500),
    )
]  # fmt: skip

BORDERS = list(itertools.product((5, 40, 100, 250, 500, 1000), (60, 100, 200, 300, 500)))
AROUND = (0.65, 0.8, 1, 1.25)


def times_in_turn(n, d, m, options):
    """Seconds of runs of direct and gram: one of each, and more while they are short."""
    data = rfa.XORClusters(d=d).sample(n, rng=0, dtype=np.dtype(options.dtype))
    net = rfa.Network.random(m, d, rng=0)

    def run(engine):
        threads = options.threads
        rfa.train(net, data, steps=options.steps, engine=engine, record=None, n_threads=threads)

    times = {"direct": [], "gram": []}
    begin = time.perf_counter()
    for pair in range(options.pairs):
        if pair > 0 and time.perf_counter() - begin > options.turn:
            break
        for engine, taken in times.items():
            taken.append(common.seconds(functools.partial(run, engine)))
    return times


def grid(options):
    print("| n, d, m | direct, us a step | gram, us a step | auto | over the best | pairs |")
    print("|---|---|---|---|---|---|")
    worst = 0.0
    for n, d, m in SHAPES:
        times = times_in_turn(n, d, m, options)
        medians = {engine: statistics.median(taken) for engine, taken in times.items()}
        chosen = choice.by_cost(n, d, m, 0, np.dtype(options.dtype))[0]
        over = medians[chosen] / min(medians.values())
        worst = max(worst, over)
        cells = (f"{1e6 * medians[engine] / options.steps:.1f}" for engine in ("direct", "gram"))
        row = [f"{n}, {d}, {m}", *cells, chosen, f"{over:.2f}", str(len(times["gram"]))]
        print(f"| {' | '.join(row)} |", flush=True)
    print(f"\nworst: {worst:.2f}")


def change_over(d, m, dtype):
    """The largest n for which auto takes gram."""
    n = 1
    while choice.by_cost(n + 1, d, m, 0, np.dtype(dtype))[0] == "gram":
        n += 1
    return n


def borders(options):
    print("| d, m | auto changes at n | both take as long at n | gram over direct at the first |")
    print("|---|---|---|---|")
    for d, m in BORDERS:
        last = change_over(d, m, options.dtype)
        sizes, quotients = [int(factor * last) for factor in AROUND], []
        for n in sizes:
            times = times_in_turn(n, d, m, options)
            pairs = zip(times["gram"], times["direct"], strict=True)
            quotients.append(statistics.median(gram / direct for gram, direct in pairs))
        # log quotient as a straight line in log n
        slope, at_1 = np.polyfit(np.log(sizes), np.log(quotients), 1)
        row = [f"{d}, {m}", str(last), f"{np.exp(-at_1 / slope):.0f}"]
        row.append(f"{np.exp(at_1 + slope * np.log(last)):.2f}")
        print(f"| {' | '.join(row)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--border", action="store_true", help="where both take as long")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5, help="at most, and at least one")
    parser.add_argument("--turn", type=float, default=10, help="seconds a shape for all but one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    (borders if options.border else grid)(options)


if __name__ == "__main__":
    main()
