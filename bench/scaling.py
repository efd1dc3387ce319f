"""How the time of a step grows with n, d, m and threads; the kernels beside the machine's peak.

The time of a step is that of stretches of one run, without its set-up, over their steps. Exponents
are fitted by least squares to logarithms.

The roofline's peaks are measured on one core (peaks.py): multiply-adds in registers, loads from L1,
look-ups, loads from L2. The kernels run on one thread on shapes whose loops are long:
- matrix multiply: rfa.kernels.activation_masks, 2 n m d flops, packing of its arguments included,
  which is little for so many neurons;
- masked sums: a step of gram that looks up the sums of every neuron; its other
  work is O(n m) beside O(n^2 m). Counted are the six entries of tables that each neuron loads for
  each span of 32 samples and each cache line of columns, beside loads of this kind and beside the
  bare loop that adds them up;
- planar step: 14 loads of float64 a sample (running sums, f, loss weights), arrays in L2.

Use: python bench/scaling.py [--engines NAME ...] [--threads N] [--pairs K] [--quick]
"""

import statistics

import common
import numpy as np
import peaks

import rfa
from rfa import _runtime
from rfa.engines.observations import Observations
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES
from rfa.kernels import plans

ENTRIES = 6  # cache lines that are looked up for a neuron and a span
PLANAR_LOADS = 14

# the shape from which one size at a time is varied, its type, and the factors
BASES = {
    "direct": ((4000, 100, 400), "float32", {"n": 4, "d": 4, "m": 4}),
    "gram": ((400, 1000, 400), "float32", {"n": 4, "d": 4, "m": 4}),
    "planar": ((20_000, 2, 2000), "float64", {"n": 16, "m": 16}),
}
# what the algorithms promise: gram's step does not see d, planar's is a sum of n and m
EXPECTED = {
    "direct": {"n": "1", "d": "1", "m": "1"},
    "gram": {"n": "2", "d": "0", "m": "1"},
    "planar": {"n": "at most 1", "m": "at most 1"},
}


def step_seconds(name, shape, dtype, threads, pairs, budget, look_ups="alike"):
    """(median of a step over `pairs` stretches of a run, the engine after them)."""
    n, d, m = shape
    exp = rfa.Experiment(n=n, d=d, m=m, dtype=dtype)
    net = exp.network(0)
    problem = Problem.of(exp.sample(0), None, exp.alpha, 0)
    engine = ENGINES[name](problem, net.W.astype(dtype), net.a.astype(dtype), threads)
    if name != "planar":
        engine.state.look_ups = plans.LOOK_UPS[look_ups]
    never = np.empty(0, np.int64)
    out = Observations.allocate(problem, m, never)

    def stretch(steps):
        return common.seconds(lambda: engine.advance(engine.t + steps, never, out, 0)) / steps

    steps = int(np.clip(budget / stretch(5), 5, 20_000))
    return statistics.median(stretch(steps) for _ in range(pairs)), engine


def series(engine, options):
    """Times over each size, with the fitted exponents, and over the number of threads."""
    base, dtype, factors = BASES[engine]
    if options.quick:
        base = tuple(min(size, 128) for size in base)
    found, budget = [], 0.01 if options.quick else 0.3
    for axis, factor in factors.items():
        place = "ndm".index(axis)
        exponents = (-1, 0, 1) if options.quick else (-2, -1, 0, 1, 2)
        sizes, times = [], []
        for k in exponents:
            size = max(1, round(base[place] * factor ** (k / 2)))
            shape = (*base[:place], size, *base[place + 1 :])
            taken, _ = step_seconds(engine, shape, dtype, options.threads, options.pairs, budget)
            sizes.append(size)
            times.append(taken)
        # a difference of two noisy times can come out below 0 where a step is nothing
        slope = np.polyfit(np.log(sizes), np.log(np.maximum(times, 1e-9)), 1)[0]
        found.append(
            {"axis": axis, "sizes": sizes, "seconds": times, "exponent": float(slope),
             "expected": EXPECTED[engine][axis]}
        )  # fmt: skip
    by_threads = {
        threads: step_seconds(engine, base, dtype, threads, options.pairs, budget)[0]
        for threads in range(1, options.threads + 1)
    }
    return {
        "engine": engine, "base": base, "dtype": dtype, "series": found,
        "seconds_by_threads": by_threads,
        "efficiency": {t: by_threads[1] / (t * taken) for t, taken in by_threads.items()},
    }  # fmt: skip


def roofline(options):
    """Each kernel's rate on one thread, and its share of the measured peak."""
    peak = peaks.measure(_runtime.configuration()["simd"])
    rows = []

    def row(kernel, shape, dtype, work, seconds, limit):
        rows.append(
            {"kernel": kernel, "shape": shape, "dtype": dtype, "seconds": seconds,
             "rate": work / seconds, "limit": limit, "peak": peak[limit],
             "share": work / seconds / peak[limit]}
        )  # fmt: skip

    budget = 0.01 if options.quick else 0.3
    for dtype in ("float32", "float64"):
        n, d, m = (256, 64, 64) if options.quick else (4096, 512, 4092)
        exp = rfa.Experiment(n=n, d=d, m=m, dtype=dtype)
        X, W = exp.sample(0).X, exp.network(0).W.astype(dtype)
        taken = [
            common.seconds(lambda X=X, W=W: rfa.kernels.activation_masks(X, W, n_threads=1))
            for _ in range(max(3, options.pairs))
        ]
        seconds = statistics.median(taken)
        row("matrix multiply", (n, d, m), dtype, 2 * n * d * m, seconds, f"flops_{dtype}")
        n, d, m = (128, 128, 64) if options.quick else (768, 768, 480)
        seconds, engine = step_seconds("gram", (n, d, m), dtype, 1, options.pairs, budget, "every")
        for limit in ("L1_random_bytes", "L1_look_up_bytes"):
            work = bytes_of_sums(engine)
            row("masked sums (step of gram)", (n, d, m), dtype, work, seconds, limit)
    shape = (1000, 2, 50) if options.quick else (5000, 2, 500)
    seconds, _ = step_seconds("planar", shape, "float64", 1, options.pairs, budget)
    work = PLANAR_LOADS * 8 * shape[0]
    row("running sums (step of planar)", shape, "float64", work, seconds, "L2_bytes")
    return {"peaks": peak, "kernels": rows}


def bytes_of_sums(engine):
    """Bytes of entries that a step of gram loads where every sum is looked up."""
    chunks, samples, width = engine.rows_of_K.shape
    lines = ENTRIES * engine.masks.shape[2]
    return chunks * samples // 32 * lines * width * engine.rows_of_K.itemsize


def report(engines, roof):
    lines = []
    rows = [
        [
            e["engine"],
            f"{', '.join(map(str, e['base']))}, {e['dtype']}",
            s["axis"],
            ", ".join(map(str, s["sizes"])),
            ", ".join(f"{1e6 * t:.3g}" for t in s["seconds"]),
            f"{s['exponent']:.2f}",
            s["expected"],
        ]
        for e in engines
        for s in e["series"]
    ]
    heads = ["engine", "n, d, m", "varied", "sizes", "us a step", "exponent", "expected"]
    lines += [*common.table(heads, rows), ""]
    rows = [
        [e["engine"], str(t), f"{1e6 * taken:.3g}", f"{e['efficiency'][t]:.2f}"]
        for e in engines
        for t, taken in e["seconds_by_threads"].items()
    ]
    heads = ["engine", "threads", "us a step", "efficiency"]
    lines += [*common.table(heads, rows), ""]
    rows = [
        [
            k["kernel"],
            ", ".join(map(str, k["shape"])),
            k["dtype"],
            f"{k['rate'] / 1e9:.0f} G {'flops' if 'flops' in k['limit'] else 'bytes'}",
            f"{k['peak'] / 1e9:.0f} G ({k['limit'].replace('_', ' ')})",
            f"{100 * k['share']:.0f}%",
        ]
        for k in roof["kernels"]
    ]
    heads = ["kernel, one thread", "n, d, m", "type", "a second", "peak of one core", "share"]
    return [*lines, *common.table(heads, rows)]


def main():
    parser = common.parser(__doc__, "scaling")
    parser.add_argument("--engines", nargs="+", choices=list(BASES), default=list(BASES))
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    common.use_cpus(options.threads)
    engines = [series(engine, options) for engine in options.engines]
    roof = roofline(options)
    info = common.machine(())
    lines = [*common.header(info, options.threads), "", *report(engines, roof)]
    result = {"machine": info, "threads": options.threads, "engines": engines, "roofline": roof}
    common.write(options.out, result, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
