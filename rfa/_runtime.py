"""What rfa runs on: version, commit, SIMD level, threads."""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from rfa import _kernels, _validate

# Beyond this the OpenMP runtime may end the process, for want of threads, in place of failing.
MAX_THREADS = 1024

# Free memory that many small runs are to find again; glibc looks at blocks of up to 32 MiB only.
FREED_BYTES = 2**24

# Where Linux shows its cgroups; those of v1 by controller.
CGROUPS = Path("/sys/fs/cgroup")

# File names of OpenMP's and BLAS's shared libraries, as systems and wheels call them.
RUNTIMES = re.compile(
    r"lib(gomp|i?omp|nvomp|(scipy_)?openblas|mkl_|c?blas|blis|flexiblas|[st]?atlas|armpl|nvpl_blas)"
)


def threads(n_threads: int | None = None) -> int:
    """The number of threads to use.

    As given; None: OMP_NUM_THREADS if it is set, else the CPUs that this process may use by its
    affinity and its cgroup's quota. Always 1 without OpenMP.
    """
    if n_threads is not None:
        n_threads = _validate.positive_int(n_threads, "n_threads")
        if n_threads > MAX_THREADS:
            raise ValueError(
                f"n_threads must be at most {MAX_THREADS}, got {_validate.shown(n_threads)}"
            )
    return 1 if not _kernels.OPENMP else n_threads or default_threads()


def default_threads() -> int:
    """OMP_NUM_THREADS (its first number, up to MAX_THREADS) or the CPUs this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    # isdigit would take a superscript, which int refuses
    if asked.isdecimal() and asked.strip("0"):
        # a number of more digits is larger than any that is allowed
        return min(int(asked.lstrip("0")[:9]), MAX_THREADS)
    return usable_cpus()


def usable_cpus() -> int:
    """CPUs of the affinity mask, or fewer if cgroups (v2 or v1) grant less time than that.

    The mask is read anew, since a process pins itself, or the workers it forks, when it likes.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, min(cpus, math.ceil(quota) if math.isfinite(quota) else cpus))


@functools.cache
def cgroup_quota() -> float:
    """CPUs' worth of time that this process's cgroup and those above it grant: the least."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux: no cgroups, not a fault
        return math.inf
    quotas = [math.inf]
    for entry in entries:
        _, controllers, path = entry.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / "cpu" if controllers else CGROUPS
        group = root / path.lstrip("/")
        quotas += [
            quota_of(level) for level in (group, *group.parents) if level.is_relative_to(root)
        ]
    return min(quotas)


def quota_of(group: Path) -> float:
    """CPUs' worth of time that one cgroup grants, infinite if it sets no limit."""
    if (group / "cpu.max").exists():
        limit, period = (group / "cpu.max").read_text().split()
    elif (group / "cpu.cfs_quota_us").exists():
        limit = (group / "cpu.cfs_quota_us").read_text().strip()
        period = (group / "cpu.cfs_period_us").read_text()
    else:
        return math.inf
    return math.inf if limit in ("max", "-1") else int(limit) / int(period)


@functools.cache
def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("rfa")
    except metadata.PackageNotFoundError:
        return "unknown: not installed"


@functools.cache
def commit() -> str | None:
    """The commit rfa was installed from, where it can be known.

    pip notes it for a repository's address; a package that is run from a checkout finds it there.
    """
    try:
        return _installed_commit() or _checkout_commit()
    except OSError:
        return None


def _installed_commit() -> str | None:
    try:
        noted = metadata.distribution("rfa").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    if noted:
        revision = json.loads(noted).get("vcs_info", {}).get("commit_id")
        if revision:
            return str(revision)
    return None


def _checkout_commit() -> str | None:
    git = Path(__file__).resolve().parent.parent / ".git"
    if not (git / "HEAD").is_file():
        return None
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text().strip()
    packed = git / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(" " + name)), None)


def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed, up to twice FREED_BYTES for each thread.

    glibc gives the arrays of a run back to the system when they are freed, and page faults of the
    next run's cost as much as many steps. How much it keeps follows the largest block that it has
    seen freed, unless the user has set it; elsewhere this has no effect.
    """
    np.empty(FREED_BYTES, np.uint8)


def provenance(engine: str, n_threads: int, seeds: dict[str, Any]) -> dict[str, Any]:
    """What produced a run, JSON-able."""
    return {
        "rfa": version(),
        "commit": commit(),
        "seeds": seeds,
        "engine": engine,
        "simd": _kernels.SIMD_LEVEL,
        "openmp": bool(_kernels.OPENMP),
        "threads": n_threads,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def configuration() -> dict[str, Any]:
    """What show_config prints, JSON-able."""
    return {
        "rfa": version(),
        "commit": commit(),
        "simd": _kernels.SIMD_LEVEL,
        "openmp": f"specification of {_kernels.OPENMP}" if _kernels.OPENMP else None,
        "threads": threads(),
        "cpus": usable_cpus(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "runtimes": runtimes(),
    }


def runtimes() -> str:
    """The OpenMP and BLAS libraries in this process, as far as the system tells (Linux does).

    A name that comes twice is two libraries, which may get in each other's way.
    """
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:  # another system, or one that hides it
        return "unknown"
    # address, rights, offset, device, inode, and the path of a mapped file
    mapped = {os.fsdecode(line.split(maxsplit=5)[-1]) for line in lines}
    names = sorted(os.path.basename(path) for path in mapped)
    return ", ".join(name for name in names if RUNTIMES.match(name)) or "none"


def show_config() -> None:
    """Print version, SIMD level, OpenMP and the number of threads in use.

    Notes
    -----
    The SIMD level (baseline, avx2 or avx512) is the best that CPU and operating system support;
    the environment variable ``RFA_SIMD`` lowers it. Results are the same bits for any number of
    threads, with and without OpenMP, but may differ in rounding between SIMD levels.

    Examples
    --------
    >>> import rfa
    >>> rfa.show_config()  # doctest: +ELLIPSIS
    rfa      ...
    """
    for name, value in configuration().items():
        print(f"{name:8} {'none' if value is None else value}")
