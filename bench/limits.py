"""What limits the cases of peers.py: how long a run's work takes at the machine's peaks.

On one thread, one kind of work after the other, each at its own measured peak (peaks.py):
- products: of the set-up (H_0, half of K, W at the end) or of the signs that were evaluated;
- look-ups: the six cache lines of each sum that was looked up, twelve where tables are halves, at
  the rate of the bare loop that adds them up; a line for each existing sum that was added to that
  of a neuron, and two for each that was added to a sum of a run; of direct those of the gradient
  and of the outputs;
- tables: 32 lines loaded and 256, or 80 for halves, stored for each span, block and chunk;
- state: gram's H, read and written once in every step, and its coefficients, once in 16, from L2;
- weights: the losses' derivatives, at the rate of rfa's own function on an array in L2;
- scans: planar's two running sums over the ring, eight of them side by side, which wait for one
  another's additions, or the 10 lines of 8 samples that are loaded from L2, those to be stored
  among them, whichever takes longer;
- drawing: the data and the weights of a trial by NumPy, as every peer draws them.
What is left are plans, arcs, copies, fresh memory, Python and what does not run at its peak. A core
can do some of this at the same time, so that the sum is an estimate of what the algorithm costs and
no bound: the ratio of peers.py over the share is about where code without the rest would be.

Use: python bench/limits.py [--cases NAME ...] [--pairs K] [--quick]
"""

import common
import numpy as np
import peaks

import rfa
from rfa import _kernels, _runtime
from rfa.engines import choice
from rfa.engines.gram.engine import KEPT_STEPS
from rfa.engines.observations import Observations
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES
from rfa.kernels import levels, plans

LINE = 64  # bytes of a cache line, which is the width of a chunk
SPAN = levels.SIZES["span"]  # samples
# lines that are looked up for a sum over a span, and stored for its tables: whole, as halves
LOOKED_UP, STORED = (6, 12), (256, 80)
PLANAR_LOADS = 10

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


def sums_at_peak(exp, name, chunks, peak):
    """(Seconds of the look-ups and tables of a run with this many chunks, the engine after it)."""
    net = exp.network(0)
    problem = Problem.of(exp.sample(0), None, exp.alpha, 0)
    engine = ENGINES[name](problem, net.W.astype(exp.dtype), net.a.astype(exp.dtype), 1)
    never = np.empty(0, np.int64)
    out = Observations.allocate(problem, exp.m, never)
    looked_up, added, tables, stored = 0, 0, 0, 0
    for t in range(exp.steps):
        engine.advance(t + 1, never, out, 0)
        parts = [(engine.counts, exp.n)]
        if name == "direct":
            # of the outputs of step t, which are sums over neurons
            parts.append((plans.counts_for(engine.signs.transposed), exp.m))
        for counts, size in parts:
            sums, there, kinds, run = counts.reshape(-1, plans.COUNTS_OF_SPAN).T
            # half of a span has half of the tables
            left = size - SPAN * np.arange(2 * -(-size // levels.SIZES["word"]))
            share = np.repeat(np.where(left <= SPAN // 2, 0.5, 1), len(sums) // len(left))
            halves = (sums <= _kernels.FEW_SUMS).astype(int)
            made = share * ((sums > 0) | (there > 0) & (kinds == plans.KINDS["listed"]))
            looked_up += (share * sums * np.take(LOOKED_UP, halves)).sum()
            added += there.sum() + run[kinds & plans.KINDS["joined"] != 0].sum()
            tables += made.sum()
            stored += (made * np.take(STORED, halves)).sum()
    look_ups = looked_up / peak["L1_look_up_bytes"] + added / peak["L1_bytes"]
    making = SPAN * tables / peak["L1_bytes"] + stored / peak["L1_store_bytes"]
    return {"look-ups": LINE * chunks * look_ups, "tables": LINE * chunks * making}, engine


def gram_at_peak(exp, peak):
    size = np.dtype(exp.dtype).itemsize
    chunks = chunks_of(exp.n, exp.dtype)
    flops = 4 * exp.n * exp.m * exp.d + exp.n**2 * exp.d
    return {
        "products": flops / peak[f"flops_{exp.dtype}"],
        **sums_at_peak(exp, "gram", chunks, peak)[0],
        "state": (2 + 2 / KEPT_STEPS) * exp.steps * exp.n * exp.m * size / peak["L2_bytes"],
    }


def direct_at_peak(exp, peak):
    found, engine = sums_at_peak(exp, "direct", chunks_of(exp.d, exp.dtype), peak)
    flops = 2 * engine.stats["evaluated"] * exp.d
    return {"products": flops / peak[f"flops_{exp.dtype}"], **found}


def planar_at_peak(exp, peak):
    loads = PLANAR_LOADS * 8 * exp.n / peak["L2_bytes"]
    waits = 2 * exp.n / levels.SIZES["strands"] / peak["additions"]
    return {"scans": exp.steps * max(loads, waits)}


AT_PEAK = {"gram": gram_at_peak, "direct": direct_at_peak, "planar": planar_at_peak}


def at_peak(case, peak, weight):
    """(The engine, seconds of each kind of work) of a run of the case."""
    exp = case.experiment
    name = choice.by_cost(exp.n, exp.d, exp.m, 0, np.dtype(exp.dtype))[0]
    found = {"weights": exp.steps * exp.n * weight, **AT_PEAK[name](exp, peak)}
    if case.trials:
        batch = case.start(1)
        X, y, W = batch.empty(1)
        found["drawing"] = best_seconds(lambda: batch.draw(0, X[0], y[0], W[0]))
    return name, found


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
    engine, found = at_peak(case, peak, weight)
    taken = min(seconds(case) for _ in range(pairs))  # the peaks are the best of many, too
    total = sum(found.values())
    return {"case": case.key, "shape": case.shape, "engine": engine, "seconds": taken,
            "at_peak": found, "share": total / taken}  # fmt: skip


def report(rows):
    kinds = [kind for kind in KINDS if any(kind in row["at_peak"] for row in rows)]
    cells = [
        [
            f"{row['case']} ({row['engine']})",
            common.duration(row["seconds"]),
            *(common.duration(row["at_peak"][k]) if k in row["at_peak"] else "" for k in kinds),
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
