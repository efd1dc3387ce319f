"""Time of a step of gradient descent beside the same step in NumPy.

Both take full-batch steps from the same start, in turn, and the ratio is the median over the
pairs. NumPy runs the oracle's step (rfa.reference) with its BLAS on the same number of threads.

Use: python bench/step.py [--pairs K] [--threads N]
"""

import argparse
import platform
import statistics
import time

import common
import numpy as np

import rfa
from rfa import reference

# (n, d, m), steps of rfa and of NumPy in a turn
CASES = {
    "figure1": ((5000, 2, 500), 3000, 20),
    "square": ((1000, 500, 500), 50, 20),
    "tall": ((10000, 100, 1000), 20, 3),
}


def numpy_steps(data, net, steps):
    W, a = net.W.astype(data.X.dtype), net.a.astype(data.X.dtype)
    y = data.y.astype(data.X.dtype)
    time.sleep(common.SETTLE)
    start = time.perf_counter()
    for _ in range(steps):
        W = reference.step(data.X, y, W, a, data.X.dtype.type(0.05))
    return (time.perf_counter() - start) / steps, W


def rfa_steps(data, net, steps, threads):
    time.sleep(common.SETTLE)
    start = time.perf_counter()
    run = rfa.train(net, data, steps=steps, record=None, n_threads=threads)
    return (time.perf_counter() - start) / steps, run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"{platform.machine()}, {options.threads} threads, NumPy {np.__version__}, ", end="")
    print(f"rfa {rfa.__version__}")
    try:
        from threadpoolctl import threadpool_info, threadpool_limits

        threadpool_limits(options.threads)
        print("BLAS:", [(i["internal_api"], i.get("architecture")) for i in threadpool_info()])
    except ImportError:
        print("BLAS: threads as the environment says (threadpoolctl is not installed)")
    print("| n, d, m | type | engine | rfa, us a step | NumPy, us a step | ratio (min - max) |")
    print("|---|---|---|---|---|---|")
    for (n, d, m), ours, theirs in CASES.values():
        for dtype in (np.float64, np.float32):
            data = rfa.XORClusters(d=d).sample(n, rng=0, dtype=dtype)
            net = rfa.Network.random(m, d, rng=0)
            # the same first ten steps
            _, W = numpy_steps(data, net, 10)
            _, run = rfa_steps(data, net, 10, options.threads)
            error = np.abs(W - run.network.W).max() / np.abs(W).max()
            limit = 1e-12 if dtype == np.float64 else 1e-3
            if error > limit:
                raise SystemExit(f"{n, d, m}: ten steps differ by {error:.2g}, limit {limit}")
            pairs = []
            for _ in range(options.pairs):
                one = rfa_steps(data, net, ours, options.threads)[0]
                pairs.append((one, numpy_steps(data, net, theirs)[0]))
            mine, theirs_us = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
            ratios = sorted(b / a for a, b in pairs)
            print(
                f"| {n}, {d}, {m} | {np.dtype(dtype).name} | {run.engine} | {mine:.1f} "
                f"| {theirs_us:.0f} | {statistics.median(ratios):.1f} "
                f"({ratios[0]:.1f} - {ratios[-1]:.1f}) |"
            )


if __name__ == "__main__":
    main()
