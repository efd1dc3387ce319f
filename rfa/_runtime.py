"""What rfa runs on: version, commit, SIMD level, threads."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import platform
import re
import threading
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import tqdm

from rfa import _validate
from rfa.kernels import levels, openmp
from rfa.kernels import threads as openmp_threads

try:
    __version__ = metadata.version("rfa")
except metadata.PackageNotFoundError:
    __version__ = "unknown: not installed"

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
    """The number of threads for parallel regions that this thread is about to run.

    As wanted_threads has it, or fewer, with a warning, if the system starts no more.
    """
    wanted = wanted_threads(n_threads)
    found = openmp_threads.available(wanted)
    if found < wanted:
        warn_of_fewer(found, wanted)
    if found > 1:
        openmp.wait_briefly()
    return found


def wanted_threads(n_threads: int | None = None) -> int:
    """The number of threads to use.

    As given; None: OMP_NUM_THREADS if it is set, else the CPUs that this process may use by its
    affinity and its cgroup's quota, and in either case at most the limit that threadpoolctl has set
    in this thread. Always 1 without OpenMP.
    """
    if n_threads is not None:
        n_threads = _validate.positive_int(n_threads, "n_threads")
        if n_threads > MAX_THREADS:
            raise ValueError(
                f"n_threads must be at most {MAX_THREADS}, got {_validate.shown(n_threads)}"
            )
    return 1 if not openmp_threads.OPENMP else n_threads or default_threads()


def warn_of_fewer(found: int, wanted: int) -> None:
    """Say that the system does not start the threads that were asked for."""
    warnings.warn(
        f"the system lets this process have {found} of {wanted} threads (a limit on processes, "
        "ulimit -u or a cgroup's pids.max, or on memory, or a large OMP_STACKSIZE), so that is how "
        "many are used",
        RuntimeWarning,
        stacklevel=3,
    )


def default_threads() -> int:
    """OMP_NUM_THREADS or the CPUs this process may use, at most threadpoolctl's limit if any."""
    limit = openmp_threads.limit()
    return environment_threads() if limit is None else min(environment_threads(), limit)


def environment_threads() -> int:
    """OMP_NUM_THREADS (its first number, up to MAX_THREADS) or the CPUs this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    # isdigit would take a superscript, which int refuses
    if asked.isdecimal() and asked.strip("0"):
        # a number of more digits is larger than any that is allowed
        return min(int(asked.lstrip("0")[:9]), MAX_THREADS)
    return usable_cpus()


def usable_cpus() -> int:
    """CPUs of the affinity mask, or fewer if cgroups (v2 or v1) grant less time than that.

    The mask is read anew, since a process pins itself, or the workers it forks, when it likes; what
    the OpenMP runtime has bound the thread to is no such choice.
    """
    pins = hasattr(os, "sched_getaffinity")
    cpus = len(openmp.affinity()) if pins else os.cpu_count() or 1
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


class OneBlasThread:
    """NumPy's matrix products on one thread, while anybody in the process wants that.

    Several studies may want it at once, in threads, and one that put back what it had found would
    put back the limit of another: so the first sets the limit, and the last takes it away. What it
    has found is kept until all of it is put back, for a child that is forked in between.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.holders: list[tuple[int, Any]] = []  # threads and their own limits
        self.found: list[tuple[Any, int]] = []  # libraries and how many threads they had

    def __enter__(self) -> None:
        with self.lock:
            if not self.holders:
                libraries = threadpoolctl.ThreadpoolController().lib_controllers
                shared = [each for each in libraries if _is_shared(each) and each.num_threads]
                self.found = [(each, each.num_threads) for each in shared]
                for library, _ in self.found:
                    _limit(library, 1)
            # a library may have a limit for each thread instead
            own = threadpoolctl.threadpool_limits(1, user_api="blas")
            self.holders.append((threading.get_ident(), own))

    def __exit__(self, *raised: object) -> None:
        with self.lock:
            me = threading.get_ident()
            last = max(k for k, (thread, _) in enumerate(self.holders) if thread == me)
            self.holders.pop(last)[1].restore_original_limits()
            if not self.holders:
                self._restore()

    def _restore(self) -> None:
        for library, number in self.found:
            _limit(library, number)
        self.found = []

    def in_child(self) -> None:
        """After a fork: the studies of other threads are not in the child.

        Nor is the thread that may hold the lock, in the middle of setting or taking away the limit.
        """
        self.lock = threading.RLock()
        me = threading.get_ident()
        self.holders = [(thread, own) for thread, own in self.holders if thread == me]
        if not self.holders:
            self._restore()


def _is_shared(library: Any) -> bool:
    """Whether the number of threads of a BLAS is one number for all threads of the process."""
    own = library.internal_api == "mkl" or getattr(library, "threading_layer", "") == "openmp"
    return bool(library.user_api == "blas" and not own)


def _limit(library: Any, number: int) -> None:
    """Set the number of threads of a shared library.

    Newer threadpoolctl lets only one thread, the first as long as it lives, set that of OpenBLAS,
    lest several fight over it; here it is agreed upon.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(number)


one_blas_thread = OneBlasThread()
# no hook before the fork: it would wait for other threads, and one that is registered while a fork
# is under way is not called
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_blas_thread.in_child)


class _NoLock:
    """Stands for a lock that nobody waits for."""

    def acquire(self, *args: Any) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


# What writing to a stream raises that is full, closed, or None.
NOT_SHOWN = (OSError, ValueError, AttributeError)


class ProgressBar:
    """A tqdm bar that waits for no lock, has no thread that watches it, and ends no run.

    The lock that tqdm's bars share stays taken where drawing has failed or was interrupted, and in
    a child that was forked while another thread drew. One of rfa's bars is drawn by one thread, so
    it needs none. What the thread that is left out would do, draw again after a while, happens
    anyway. What cannot be shown, on a full disk, a closed pipe or no stream at all, is not shown.
    """

    def __init__(self, **options: Any) -> None:
        self._bar: Any = None
        # nor does a bar that could not be drawn try once more when it is freed
        own = {"monitor_interval": 0, "_lock": _NoLock(), "__del__": lambda bar: None}
        with contextlib.suppress(*NOT_SHOWN):
            self._bar = type("Bar", (tqdm.tqdm,), own)(**options)

    def show(self, done: int) -> None:
        """Show that so much is done."""
        if self._bar is not None:
            with contextlib.suppress(*NOT_SHOWN):
                self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            with contextlib.suppress(*NOT_SHOWN):
                self._bar.close()


def provenance(engine: str, n_threads: int, seeds: dict[str, Any]) -> dict[str, Any]:
    """What produced a run, JSON-able."""
    return {
        "rfa": __version__,
        "commit": commit(),
        "seeds": seeds,
        "engine": engine,
        "simd": levels.SIMD_LEVEL,
        "openmp": bool(openmp_threads.OPENMP),
        "threads": n_threads,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def configuration() -> dict[str, Any]:
    """What show_config prints, JSON-able."""
    return {
        "rfa": __version__,
        "commit": commit(),
        "simd": levels.SIMD_LEVEL,
        "openmp": f"specification of {openmp_threads.OPENMP}" if openmp_threads.OPENMP else None,
        "threads": threads(),
        "cpus": usable_cpus(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "runtimes": runtimes(),
        **({"note": openmp.SHARED} if openmp.shared and not openmp.brief else {}),
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
