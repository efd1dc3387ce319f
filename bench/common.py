"""What the benchmarks share: the cases, the machine, timing, tables."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rfa
import rfa.setting
from rfa import _runtime, _seeds

# The idle threads of each library go on spinning for a while after its last call.
SETTLE = 0.1


class Start(NamedTuple):
    """Where a run starts: what every library is given, all of one type."""

    X: np.ndarray
    y: np.ndarray
    W: np.ndarray
    a: np.ndarray
    alpha: float


class Batch(NamedTuple):
    """Many runs from their seeds: the data are drawn in the time that is measured."""

    experiment: rfa.Experiment
    trials: int
    threads: int

    def seed(self, k: int) -> np.random.SeedSequence:
        """The seed that rfa.study gives trial k."""
        return _seeds.child(np.random.SeedSequence(0), k)

    def draw(self, k: int, X: np.ndarray, y: np.ndarray, W: np.ndarray) -> None:
        """The data and weights of trial k, as rfa draws them and with nothing else done."""
        exp, seed = self.experiment, self.seed(k)
        rng = _seeds.generator(seed, "data")
        n, d = X.shape
        cluster = rng.integers(0, 4, n)
        z = rng.standard_normal((n, d))
        z *= 1 / (5 * np.sqrt(d))  # the experiment's sigma is None
        z[np.arange(n), cluster // 2] += 1 - 2 * (cluster % 2)
        X[:] = z
        y[:] = 1 - 2 * (cluster // 2)
        y[_seeds.generator(seed, "noise").random(n) < exp.eta] *= -1
        omega_init = 1 / (4 * np.sqrt(W.size))
        W[:] = omega_init * _seeds.generator(seed, "init").standard_normal(W.shape)

    def a(self) -> np.ndarray:
        """The second layer, of the type of the runs."""
        return rfa.setting.second_layer(self.experiment.m).astype(self.experiment.dtype)

    def empty(self, trials: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Room for X, y and W of so many trials."""
        exp = self.experiment
        shapes = (trials, exp.n, exp.d), (trials, exp.n), (trials, exp.m, exp.d)
        return tuple(np.empty(shape, exp.dtype) for shape in shapes)

    def draw_all(self, X: np.ndarray, y: np.ndarray, W: np.ndarray, first: int = 0) -> None:
        """Trials from first on, in threads: NumPy draws without the GIL."""
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda k: self.draw(first + k, X[k], y[k], W[k]), range(len(X))))


class Case(NamedTuple):
    """A row of the comparison; trials > 0: so many runs in place of one; at_least: wanted ratio."""

    name: str
    experiment: rfa.Experiment
    at_least: float = 0
    trials: int = 0

    @property
    def key(self) -> str:
        """Name and type."""
        return f"{self.name}-{self.experiment.dtype}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """n, d, m."""
        return self.experiment.n, self.experiment.d, self.experiment.m

    def start(self, threads: int) -> Start | Batch:
        """What a form of a peer is given."""
        exp = self.experiment
        if self.trials:
            return Batch(exp, self.trials, threads)
        data, net = exp.sample(0), exp.network(0)
        y, W, a = (array.astype(exp.dtype) for array in (data.y, net.W, net.a))
        return Start(np.array(data.X), y, W, a, exp.alpha)


def _cases() -> list[Case]:
    both = ("float64", "float32")
    low, high = rfa.preset("figure2-low"), rfa.preset("figure2-high")
    tall = rfa.Experiment(n=10_000, d=100, m=1000)
    rows = [
        ("figure1", rfa.preset("figure1"), 150, ("float64",), 0),
        ("small-n", rfa.Experiment(n=200, d=2000, m=500, steps=200), 25, both, 0),
        ("figure2-high", high.replace(steps=1000, n_test=0), 80, ("float32",), 0),
        ("square", rfa.Experiment(n=1000, d=500, m=500, steps=200), 6, both, 0),
        ("tall-first", tall.replace(steps=30), 2, both, 0),
        ("tall-long", tall.replace(steps=1000), 4, both, 0),
        ("figure2-low", low.replace(steps=1000, n_test=0), 4, ("float32",), 0),
        ("many-small", rfa.Experiment(n=200, d=100, m=128, steps=21), 6, both, 1000),
    ]
    return [
        Case(name, exp.replace(dtype=dtype), at_least, trials)
        for name, exp, at_least, dtypes, trials in rows
        for dtype in dtypes
    ]


CASES = _cases()


def quick(case: Case) -> Case:
    """The case made small, to try the code and not to measure."""
    n, d, m = (max(2, min(size, 150)) for size in case.shape)
    exp = case.experiment.replace(n=n, d=d, m=m, sigma=None, omega_init=None)
    steps = min(exp.steps or 20, 20)
    return case._replace(experiment=exp.replace(steps=steps), trials=min(case.trials, 30))


def seconds(call: Callable[[], object]) -> float:
    time.sleep(SETTLE)
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def use_cpus(threads: int) -> None:
    """Leave this process as many CPUs as threads: some libraries can be told in no other way.

    To be called before they are imported.
    """
    available = sorted(os.sched_getaffinity(0))
    if threads > len(available):
        raise SystemExit(f"--threads must be at most {len(available)}, the CPUs of this process")
    os.sched_setaffinity(0, available[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)


def machine(packages: tuple[str, ...]) -> dict[str, object]:
    """Where and with what the measurement is made."""
    from threadpoolctl import threadpool_info

    root = Path(__file__).resolve().parent.parent
    git = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    config = _runtime.configuration()
    caches = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (
            (cache / name).read_text().strip() for name in ("type", "level", "size")
        )
        caches[f"L{level} {kind.lower()}"] = size
    blas = [
        f"{info['internal_api']} {info.get('version')} ({info.get('architecture', 'unknown')})"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "caches": caches,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "simd": config["simd"],
        "openmp": config["openmp"],
        "commit": config["commit"] or (git.stdout.strip() if git.returncode == 0 else None),
        "blas": blas,
        "versions": {name: _version(name) for name in ("rfa", "numpy", *packages)},
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("OPENBLAS_", "OMP_", "GOMP_", "XLA_", "RFA_", "MKL_", "KMP_"))
        },
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    name = found.get("model name", platform.machine())
    numbers = [found[key] for key in ("cpu family", "model") if key in found]
    return f"{name} (family {numbers[0]}, model {numbers[1]})" if len(numbers) == 2 else name


def header(info: dict[str, object], threads: int) -> list[str]:
    """The machine in Markdown."""
    versions = ", ".join(f"{name} {v}" for name, v in info["versions"].items() if v)
    caches = ", ".join(f"{name} {size}" for name, size in info["caches"].items())
    lines = [
        f"{info['cpu']}, {info['cpus']} CPUs for {threads} threads; {caches}.",
        f"{info['system']}, CPython {info['python']}, {versions}.",
        f"SIMD level {info['simd']}, OpenMP: {info['openmp'] or 'none'}; "
        f"BLAS: {', '.join(info['blas']) or 'unknown'}.",
        f"Commit {info['commit'] or 'unknown'}, {info['date']}.",
    ]
    if info["environment"]:
        settings = " ".join(f"{key}={value}" for key, value in info["environment"].items())
        lines.append(f"Environment: {settings}.")
    return lines


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def spread(values: list[float], form: str = ".3g") -> str:
    """Median (least - largest)."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} - {high:{form}})"


def duration(s: float) -> str:
    unit, scale = next(
        ((u, k) for u, k in (("s", 1), ("ms", 1e3)) if s * k >= 1), ("us", 1e6)
    )  # fmt: skip
    return f"{s * scale:.3g} {unit}"


def write(path: Path, result: dict[str, object], lines: list[str]) -> None:
    """path.json and path.md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


def parser(description: str, out: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description.splitlines()[0])
    result.add_argument("--threads", type=int, default=2)
    result.add_argument("--quick", action="store_true", help="tiny sizes: tries the code only")
    result.add_argument(
        "--out", type=Path, default=Path("rfa-output", out), help="OUT.json and OUT.md are written"
    )
    return result
