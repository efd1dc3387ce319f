"""What recording costs: time of a run with a history over one that records the last step only.

In turn, from the same start; the ratio is the median over the pairs.

Use: python bench/recording.py [--pairs K] [--threads N]
"""

import argparse
import statistics
import time

import common

import rfa

SQUARE = rfa.Experiment(n=1000, d=500, m=500, steps=200)
TALL = rfa.Experiment(n=10_000, d=100, m=1000, steps=200, dtype="float32")
CASES = [
    ("(1000, 500, 500), 200 steps", SQUARE, "all"),
    ("(1000, 500, 500), 200 steps", SQUARE.replace(dtype="float32"), "all"),
    ("(10000, 100, 1000), 200 steps", TALL, "all"),
    ("figure1, 3000 steps", rfa.preset("figure1"), "log"),
    ("figure1, 3000 steps", rfa.preset("figure1").replace(dtype="float32"), "log"),
    ("figure1, 3000 steps", rfa.preset("figure1"), "all"),
]


def seconds(experiment, net, data, record, threads):
    time.sleep(common.SETTLE)
    run = rfa.train(net, data, experiment.alpha, experiment.steps, record=record, n_threads=threads)
    return run.stats["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| case | type | record | over record=None (min - max) |")
    print("|---|---|---|---|")
    for name, experiment, record in CASES:
        start = experiment.network(0), experiment.sample(0), record, options.threads
        without = *start[:2], None, options.threads
        pairs = [
            (seconds(experiment, *start), seconds(experiment, *without))
            for _ in range(options.pairs + 1)
        ][1:]
        ratios = sorted(a / b for a, b in pairs)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})"
        print(f"| {name} | {experiment.dtype} | {record} | {spread} |")


if __name__ == "__main__":
    main()
