"""What limits the cases of peers.py: the time that a run's work would take at the machine's peaks.

On one thread, one case after the other. Counted is what the algorithm cannot do without, from
run.stats where it depends on the data, each kind of work at its own measured peak (peaks.py):
- products: of the set-up (H_0, half of K, W at the end) or of the signs that were evaluated;
- look-ups: six cache lines for each sum that was looked up, at the rate of the bare loop that adds
  them up; a line for each sum that was there and was added; direct's outputs: a line for each
  sample, batch of neurons and chunk of columns;
- tables: for each batch, block and chunk 32 lines loaded and 80 stored, or 256 where more than 40
  sums a table were looked up;
- state: gram's H and coefficients, read and written once in every step, from L2;
- weights: the losses' derivatives, at the rate of rfa's own function on an array in L2;
- scans: planar's two running sums over the ring, eight of them side by side, which wait for one
  another's additions, and its 14 loads a sample, from L2;
- drawing: the data and the weights of a trial by NumPy, as every peer draws them.
What is left are bits, plans, arcs, copies, Python and what does not run at its peak. The ratio of
peers.py over the share of its case is what this algorithm could reach if nothing were left.

Use: python bench/limits.py [--cases NAME ...] [--pairs K] [--quick]
"""

import statistics

import common
import numpy as np
import peaks

import rfa
from rfa import _kernels, _runtime

LINE = 64  # bytes of a cache line, which is the width of a chunk
BATCH = 32  # samples, or neurons, to a batch
ENTRIES = 6  # lines that are looked up for a sum over a batch
# stored for a batch: the tables of halves, and whole ones, which more sums than FEW need
HALF_TABLES, WHOLE_TABLES, FEW = 80, 256, 40
PLANAR_LOADS = 14

KINDS = ("products", "look-ups", "tables", "state", "weights", "scans", "drawing")


def best_seconds(call):
    """Of one call, in the best of five stretches that last long enough for the clock to be up."""
    repeats = 1 + int(0.02 / common.seconds(call))

    def stretch():
        for _ in range(repeats):
            call()

    return min(common.seconds(stretch) for _ in range(5)) / repeats


def weights_seconds():
    """Of the derivative of the logistic loss of one sample."""
    margins = np.linspace(-4, 4, 2**13)
    out = np.empty_like(margins)
    return best_seconds(lambda: _kernels.loss_weights(margins, out)) / margins.size


def chunks_of(size, dtype):
    return -(-size * np.dtype(dtype).itemsize // LINE)


def sums_floor(stats, m, chunks, peak):
    """Look-ups and tables of the masked sums that the stats count, for so many chunks."""
    batches = stats["batches"] / m * -(-m // _kernels.SIZES["block"])
    stored = WHOLE_TABLES if stats["looked_up"] > FEW * batches else HALF_TABLES
    look_ups = ENTRIES * stats["looked_up"] / peak["L1_look_up_bytes"]
    look_ups += stats["added"] / peak["L1_bytes"]
    tables = batches * (BATCH / peak["L1_bytes"] + stored / peak["L1_store_bytes"])
    return {"look-ups": LINE * chunks * look_ups, "tables": LINE * chunks * tables}


def gram_floor(exp, run, peak):
    size = np.dtype(exp.dtype).itemsize
    means = 0 if run.data.means is None else len(run.data.means)
    chunks = chunks_of(exp.n, exp.dtype) + chunks_of(means, exp.dtype)
    flops = 4 * exp.n * exp.m * exp.d + exp.n**2 * exp.d
    return {
        "products": flops / peak[f"flops_{exp.dtype}"],
        **sums_floor(run.stats, exp.m, chunks, peak),
        "state": 4 * run.t * exp.n * exp.m * size / peak["L2_bytes"],
    }


def direct_floor(exp, run, peak):
    chunks = chunks_of(exp.d, exp.dtype)
    found = sums_floor(run.stats, exp.m, chunks, peak)
    outputs = run.t * exp.n * -(-exp.m // BATCH) * chunks
    found["look-ups"] += LINE * outputs / peak["L1_bytes"]
    found["products"] = 2 * run.stats["evaluated"] * exp.d / peak[f"flops_{exp.dtype}"]
    return found


def planar_floor(exp, run, peak):
    loads = PLANAR_LOADS * 8 * exp.n / peak["L2_bytes"]
    waits = 2 * exp.n / _kernels.SIZES["lanes"] / peak["additions"]
    return {"scans": run.t * (loads + waits)}


FLOORS = {"gram": gram_floor, "direct": direct_floor, "planar": planar_floor}


def floor(case, peak, weight):
    """Seconds of each kind of work of a run of the case."""
    exp = case.experiment
    data, net = exp.sample(0), exp.network(0)
    settings = {"record": None, "snapshots": None, "n_threads": 1}
    run = rfa.train(net, data, exp.alpha, exp.steps, **settings)
    found = {"weights": run.t * exp.n * weight, **FLOORS[run.engine](exp, run, peak)}
    if case.trials:
        batch = case.start(1)
        X, y, W = batch.empty(1)
        found["drawing"] = best_seconds(lambda: batch.draw(0, X[0], y[0], W[0]))
    return run.engine, found


def seconds(case):
    """Of a run of the case, one of many if it has trials."""
    exp = case.experiment
    if case.trials:
        settings = {"trials": case.trials, "rng": 0, "measure": "final", "progress": False}
        return common.seconds(lambda: rfa.study(exp, **settings)) / case.trials
    data, net = exp.sample(0), exp.network(0)
    settings = {"record": None, "snapshots": None, "n_threads": 1}
    return common.seconds(lambda: rfa.train(net, data, exp.alpha, exp.steps, **settings))


def measure(case, pairs, peak, weight):
    engine, found = floor(case, peak, weight)
    taken = statistics.median(seconds(case) for _ in range(pairs))
    total = sum(found.values())
    return {"case": case.key, "shape": case.shape, "engine": engine, "seconds": taken,
            "floor": found, "share": total / taken}  # fmt: skip


def report(rows):
    kinds = [kind for kind in KINDS if any(kind in row["floor"] for row in rows)]
    cells = [
        [
            f"{row['case']} ({row['engine']})",
            common.duration(row["seconds"]),
            *(common.duration(row["floor"][k]) if k in row["floor"] else "" for k in kinds),
            f"{100 * row['share']:.0f}%",
        ]
        for row in rows
    ]
    return common.table(["case, one thread", "takes", *kinds, "share"], cells)


def main():
    parser = common.parser(__doc__, "limits")
    names = list(dict.fromkeys(case.name for case in common.CASES))
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    common.use_cpus(1)
    peak, weight = peaks.measure(_runtime.configuration()["simd"]), weights_seconds()
    rows = []
    for case in common.CASES:
        if case.name in options.cases:
            chosen = common.quick(case) if options.quick else case
            rows.append(measure(chosen, options.pairs, peak, weight))
    info = common.machine(())
    rates = ", ".join(f"{name.replace('_', ' ')} {rate / 1e9:.3g} G" for name, rate in peak.items())
    lines = [*common.header(info, 1), f"Peaks, a second: {rates}.", "", *report(rows)]
    common.write(options.out, {"machine": info, "peaks": peak, "cases": rows}, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
