"""Peak memory of some steps, each library in a process of its own; used by peers.py --memory."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import common

import rfa

LARGE = rfa.Experiment(n=200_000, d=100, m=1000, steps=20, dtype="float32")


def reading(name):
    """Bytes of this process, VmRSS now or VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def measure(peer, form, peers, options):
    """In a fresh process: a small problem first, then how far the large one raises the level.

    From the level with data and weights there, before anything is packed, copied or compiled for
    it. Written to stdout as JSON.
    """
    large = LARGE.replace(n=2000) if options.quick else LARGE

    def prepared(exp):
        case = common.Case("memory", exp)
        if peer == "rfa":
            data, net = exp.sample(0), exp.network(0)
            settings = {"engine": form, "record": None, "n_threads": options.threads}
            return lambda: rfa.train(net, data, exp.alpha, exp.steps, **settings)
        module, function, _ = peers[peer]
        make = getattr(importlib.import_module(module), function)(case)[form]
        start = case.start(options.threads)
        return lambda: make(start, options.threads)(exp.steps)

    prepared(large.replace(n=1000))()
    call = prepared(large)
    # sets VmHWM to the present level
    Path("/proc/self/clear_refs").write_text("5")
    level = reading("VmRSS")
    seconds = common.seconds(call)
    print(json.dumps({"level": level, "growth": reading("VmHWM") - level, "seconds": seconds}))


def compare(peers, options):
    """A table of all forms of all peers."""
    exp = LARGE.replace(n=2000) if options.quick else LARGE
    case = common.Case("memory", exp)
    wanted = [("rfa", "direct")]
    for peer in options.peers:
        module, function, _ = peers[peer]
        if not peer.startswith("ours"):
            found = getattr(importlib.import_module(module), function)(case)
            wanted += [(peer, form) for form in found]
    results, rows = [], []
    for peer, form in wanted:
        print(f"memory: {peer}, {form}", file=sys.stderr, flush=True)
        command = [sys.executable, str(Path(__file__).with_name("peers.py"))]
        command += ["--threads", str(options.threads), *["--quick"] * options.quick]
        command += ["--memory-of", peer, form]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        results.append({"library": peer, "form": form, **found})
        label = "rfa" if peer == "rfa" else peers[peer][2]
        rows.append([label, form, f"{found['growth'] / 1e6:.0f} MB", f"{found['seconds']:.3g} s"])
    inputs = exp.n * exp.d * 4
    bound = inputs + exp.m * exp.d * 4 + exp.n * exp.m // 2 + 10**8
    info = common.machine(("torch", "jax", "jaxlib"))
    lines = [
        *common.header(info, options.threads),
        "",
        f"{exp.n}, {exp.d}, {exp.m}, {exp.dtype}, {exp.steps} steps; X has {inputs / 1e6:.0f} MB, "
        f"X, W, n m / 2 bytes and 100 MB are {bound / 1e6:.0f} MB.",
        "",
        *common.table(["library", "form", "growth at the peak", "time, compiling included"], rows),
    ]
    out = options.out.with_name(options.out.name + "-memory")
    common.write(out, {"machine": info, "bound": bound, "results": results}, lines)
    print("\n".join(lines))
