"""rfa beside NumPy, PyTorch and JAX: the same full-batch steps of gradient descent, in turn.

Same data, start, type, number of threads and of steps. rfa's time is that of the whole call:
sorting, packing, the Gram matrix, the steps, recovery of W. A peer's is that of the steps alone:
its arrays are allocated and what it compiles is compiled before; its gradient is written by hand.
Of several forms of a peer the fastest is taken, case by case. A ratio is the time of the fastest
peer over that of rfa in the same round, and the median over the rounds is what counts.

Before anything is timed, W_1, ..., W_10 of all are compared with steps of rfa.reference in
float64: they differ by at most 1e-12 of the largest entry in float64, 1e-5 in float32, there but
for at most 1% of the neurons, each of which had a pre-activation within rounding of 0, so that its
mask is open. In float64 the last W of all are compared, too: within 1e-9 of the largest entry.

Use: python bench/peers.py [--cases NAME ...] [--pairs K] [--threads N] [--quick]
     python bench/peers.py --shape N D M STEPS [--shape ...]
     python bench/peers.py --memory
"""

import argparse
import importlib
import os
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

import common
import memory
import numpy as np

import rfa
from rfa import reference

# name: (module, its function that gives the forms, heading)
PEERS = {
    "numpy": ("with_numpy", "forms", "NumPy"),
    "torch": ("with_torch", "forms", "PyTorch"),
    "compile": ("with_torch", "compiled_forms", "torch.compile"),
    "jax": ("with_jax", "forms", "JAX"),
    "ours-numpy": ("with_numpy", "our_forms", "our algorithm in NumPy"),
    "ours-jax": ("with_jax", "our_forms", "our algorithm in JAX"),
}
PACKAGES = ("scipy", "torch", "jax", "jaxlib")

# Largest difference of W_1, ..., W_10 from float64 steps, and of the last W from rfa's, both over
# the largest entry.
FIRST = {"float64": 1e-12, "float32": 1e-5}
LAST = 1e-9
# A neuron with a pre-activation so near 0, over the norms of both vectors, may have another mask in
# float32 and from there on another path: so large a share of the neurons may.
NEAR, OTHER_MASK = 1e-6, 0.01


class Runner(NamedTuple):
    """The fastest form of a peer."""

    form: str
    call: Callable[[int], np.ndarray]
    step: float
    first_call: float
    forms: dict[str, float]


def fastest(makers, case, start, options):
    """Time each form, compiled, on some steps; keep the fastest."""
    total, best, times = case.experiment.steps, None, {}
    for name, make in makers.items():
        call = make(start, options.threads)
        first_call = common.seconds(lambda call=call: call(1))
        few = total if case.trials else min(3, total)
        spent = common.seconds(lambda call=call, few=few: call(few))
        count = total if case.trials else int(np.clip(0.5 * few / (spent + 1e-9), 3, total))
        step = min(common.seconds(lambda: call(count)) for _ in range(3)) / count  # noqa: B023
        times[name] = step
        if best is None or step < best.step:
            best = Runner(name, call, step, first_call, times)
    return best


def start_of(batch, k):
    X, y, W = (array[0] for array in batch.empty(1))
    batch.draw(k, X, y, W)
    return common.Start(X, y, W, batch.a().astype(X.dtype), batch.experiment.alpha)


def oracle(start, steps):
    """W_1, ..., W_steps by rfa.reference in float64, from the given, maybe float32, numbers.

    And for each which neurons (steps, m) were so near a change of their masks that rounding in
    the type of the numbers decides it.
    """
    X, y, W, a = (array.astype(np.float64) for array in start[:4])
    length = np.linalg.norm(X, axis=1)[:, None]
    near = NEAR if start.X.dtype == np.float32 else 0.0
    found, undecided, before = [], [], np.zeros(len(W), dtype=bool)
    for _ in range(steps):
        H = np.abs(reference.preactivations(X, W))
        before = before | (H < near * length * np.linalg.norm(W, axis=1)).any(axis=0)
        W = reference.step(X, y, W, a, start.alpha)
        found.append(W)
        undecided.append(before)
    return np.array(found), np.array(undecided)


def differences(W, right):
    """Of each neuron, over the largest entry."""
    return np.abs(W - right).max(axis=-1) / np.abs(right).max()


def rfa_call(case, start, engine, options):
    """What is timed: the call of a user who has data and wants W, or the frequencies of a study."""
    exp = case.experiment
    if case.trials:
        return lambda: rfa.study(exp, trials=case.trials, rng=0, measure="final", progress=False)
    # as the peers: W_0 in the type of the run, and nothing but the last W
    data, net = exp.sample(0), rfa.Network(start.W, start.a)
    settings = {"engine": engine, "record": None, "snapshots": None, "progress": False}
    settings["n_threads"] = options.threads
    return lambda: rfa.train(net, data, exp.alpha, exp.steps, **settings)


def rfa_last(case, engine, options, steps=None):
    """The last W, of all trials if there are several."""
    exp = case.experiment.replace(steps=case.experiment.steps if steps is None else steps)
    if case.trials:
        study = rfa.study(exp, trials=case.trials, rng=0, measure=lambda run: {"W": run.network.W})
        return np.stack([record["W"] for record in study.records])
    return exp.run(0, engine=engine, record=None, n_threads=options.threads).network.W


def first_steps(case, start, runners, engines, options):
    """The largest difference of each in the first ten steps; ends the program if one is large."""
    count = min(10, case.experiment.steps)
    trials = min(case.trials, 5)
    if trials:
        for k in range(trials):
            data, net = (
                case.experiment.sample(start.seed(k)),
                case.experiment.network(start.seed(k)),
            )
            drawn = start_of(start, k)
            same = np.array_equal(data.X, drawn.X) and np.array_equal(data.y, drawn.y)
            if not (same and np.array_equal(net.W.astype(drawn.W.dtype), drawn.W)):
                raise SystemExit(f"{case.key}: the peers' data of trial {k} are not rfa's")
        paths = [oracle(start_of(start, k), count) for k in range(trials)]
        right, undecided = (np.stack(part, axis=1) for part in zip(*paths, strict=True))
    else:
        right, undecided = oracle(start, count)
    calls = {name: runner.call for name, runner in runners.items()} | {
        f"rfa {engine}": lambda steps, engine=engine: rfa_last(case, engine, options, steps)
        for engine in engines
    }
    limit, found = FIRST[case.experiment.dtype], {}
    for name, call in calls.items():
        error, others = 0.0, 0
        for t in range(1, count + 1):
            found_W = call(t)[: trials or None]
            by_neuron = differences(found_W, right[t - 1])
            other = undecided[t - 1] & (by_neuron > limit)
            error = max(error, float(by_neuron[~other].max()))
            others = max(others, int(other.sum()))
        if not (error <= limit and others <= OTHER_MASK * other.size):
            raise SystemExit(
                f"{case.key}: {name}'s first steps differ by {error:.2g}, limit {limit}, and in "
                f"{others} of {other.size} neurons by a mask"
            )
        found[name] = {"error": error, "neurons_with_another_mask": others}
    return found


def last_steps(case, runners, engines, options):
    """The difference of each from rfa's last W; ends the program if one is large."""
    right = rfa_last(case, engines[0], options)
    found = {
        f"rfa {engine}": float(differences(rfa_last(case, engine, options), right).max())
        for engine in engines[1:]
    }
    for name, runner in runners.items():
        found[name] = float(differences(runner.call(case.experiment.steps), right).max())
    for name, error in found.items():
        if not error <= LAST:
            raise SystemExit(f"{case.key}: {name} ends {error:.2g} from rfa's W, limit {LAST}")
    return found


def compare(case, options):
    """All that is measured of one case, JSON-able."""
    steps, start = case.experiment.steps, case.start(options.threads)
    engines = ["auto"] if case.trials else ["auto", *options.engines]
    runners = {}
    for name in options.peers:
        module, function, _ = PEERS[name]
        makers = getattr(importlib.import_module(module), function)(case)
        if makers:
            print(f"{case.key}: {name}", file=sys.stderr, flush=True)
            runners[name] = fastest(makers, case, start, options)
    print(f"{case.key}: first and last steps", file=sys.stderr, flush=True)
    first = first_steps(case, start, runners, engines, options)
    last = last_steps(case, runners, engines, options) if case.experiment.dtype == "float64" else {}
    # a turn of a slow peer has fewer steps, and its time is scaled up; ours has a set-up
    turns = {
        name: steps
        if case.trials or name.startswith("ours") or steps * runner.step <= options.turn
        else max(3, int(options.turn / runner.step))
        for name, runner in runners.items()
    }
    calls = {engine: rfa_call(case, start, engine, options) for engine in engines}
    engine_used = case.experiment.replace(steps=0).run(0).engine
    times = {name: [] for name in [*(f"rfa {engine}" for engine in engines), *runners]}
    for k in range(options.pairs):
        print(f"{case.key}: round {k + 1} of {options.pairs}", file=sys.stderr, flush=True)
        for engine, call in calls.items():
            times[f"rfa {engine}"].append(common.seconds(call))
        for name, runner in runners.items():
            taken = common.seconds(lambda name=name, runner=runner: runner.call(turns[name]))
            times[name].append(taken * steps / turns[name])
    rivals = [name for name in runners if not name.startswith("ours")]
    best = min(rivals, key=lambda name: statistics.median(times[name]), default=None)
    ratios = [b / a for a, b in zip(times["rfa auto"], times[best], strict=True)] if best else []
    return {
        "case": case.name,
        "n, d, m": case.shape,
        "steps": steps,
        "trials": case.trials or 1,
        "dtype": case.experiment.dtype,
        "engine": engine_used,
        "seconds": times,
        "best_peer": best,
        "ratios": ratios,
        "ratio": statistics.median(ratios) if best else None,
        "at_least": case.at_least,
        "steps_of_a_turn": turns,
        "form": {name: runner.form for name, runner in runners.items()},
        "first_call_seconds": {name: runner.first_call for name, runner in runners.items()},
        "step_seconds_of_forms": {name: runner.forms for name, runner in runners.items()},
        "first_steps_differ_by": first,
        "last_W_differs_by": last,
    }


def report(results, options):
    """The measurements as Markdown."""
    heads = ["case", "n, d, m", "steps", "type", "rfa"]
    heads += [f"rfa {engine}" for engine in options.engines]
    heads += [PEERS[name][2] for name in options.peers]
    heads += ["best peer / rfa (min - max)", "at least"]
    rows = []
    for r in results:
        names = [*(f"rfa {engine}" for engine in ["auto", *options.engines]), *options.peers]
        cells = {
            name: common.duration(statistics.median(taken)) for name, taken in r["seconds"].items()
        }
        cells["rfa auto"] += f" ({r['engine']})"
        rows.append(
            [
                r["case"] if r["trials"] == 1 else f"{r['case']}, {r['trials']} runs",
                ", ".join(map(str, r["n, d, m"])),
                str(r["steps"]),
                r["dtype"],
                *(cells.get(name, "-") for name in names),
                common.spread(r["ratios"]) if r["ratios"] else "-",
                f"{r['at_least']:g}" if r["at_least"] else "-",
            ]
        )
    lines = common.table(heads, rows)
    details = []
    for r in results:
        for name, first in r["first_steps_differ_by"].items():
            form = r["form"].get(name)
            last = r["last_W_differs_by"].get(name)
            others = first["neurons_with_another_mask"]
            details.append(
                [
                    f"{r['case']}, {r['dtype']}",
                    PEERS[name][2] if form else name,
                    form or "-",
                    f"{r['steps_of_a_turn'].get(name, r['steps'])}",
                    common.duration(r["first_call_seconds"][name]) if form else "-",
                    f"{first['error']:.1e}" + (f", {others} neurons aside" if others else ""),
                    "-" if last is None else f"{last:.1e}",
                ]
            )
    heads = ["case", "library", "form taken", "steps timed", "first call, compiling"]
    heads += ["W_1, ..., W_10 differ by", "last W differs by"]
    return [*lines, "", *common.table(heads, details)]


def main():
    parser = common.parser(__doc__, "peers")
    names = list(dict.fromkeys(case.name for case in common.CASES))
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument(
        "--shape", nargs=4, type=int, action="append", metavar=("N", "D", "M", "STEPS"),
        help="a shape of your own in place of the cases; more of them by repeating it",
    )  # fmt: skip
    parser.add_argument("--dtypes", nargs="+", choices=list(FIRST), default=list(FIRST))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument(
        "--engines", nargs="+", choices=("direct", "gram", "planar"), default=[],
        help="further columns: rfa with these engines",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--turn", type=float, default=5.0, metavar="SECONDS",
        help="a peer that needs longer takes fewer steps in a turn; the time is scaled",
    )  # fmt: skip
    parser.add_argument("--memory", action="store_true", help="peak memory, not time")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if "OPENBLAS_CORETYPE" in os.environ and not options.quick:
        raise SystemExit(
            "OPENBLAS_CORETYPE is set and may give NumPy kernels made for another CPU: unset it"
        )
    common.use_cpus(options.threads)
    if options.memory_of:
        memory.measure(*options.memory_of, PEERS, options)
        return
    if options.memory:
        memory.compare(PEERS, options)
        return
    from threadpoolctl import threadpool_limits

    threadpool_limits(options.threads)
    cases = [c for c in common.CASES if c.name in options.cases]
    if options.shape:
        cases = [
            common.Case("shape", rfa.Experiment(n=n, d=d, m=m, steps=steps, dtype=dtype))
            for n, d, m, steps in options.shape
            for dtype in FIRST
        ]
    cases = [c for c in cases if c.experiment.dtype in options.dtypes]
    results, info = [], common.machine(PACKAGES)
    lines = []
    for case in cases:
        results.append(compare(common.quick(case) if options.quick else case, options))
        # after every case, so that what has been measured is not lost
        result = {"machine": info, "threads": options.threads, "results": results}
        lines = [*common.header(info, options.threads), "", *report(results, options)]
        common.write(options.out, result, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
