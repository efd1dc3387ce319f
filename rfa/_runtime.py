"""The surroundings of a run: version, commit, SIMD level, threads, BLAS, progress bars."""

from __future__ import annotations

import contextlib
import functools
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

# With more threads the OpenMP runtime may end the process if it lacks resources, without an error
# that Python could catch.
MAX_THREADS = 1024

# See keep_freed_memory. glibc adapts to freed blocks of up to 32 MiB only.
FREED_BYTES = 2**24

PACKAGE = Path(__file__).resolve().parent

# The folder of Linux's cgroups. Version 1 has a folder for each controller in it.
CGROUPS = Path("/sys/fs/cgroup")

# File names of OpenMP's and BLAS's shared libraries, as systems and wheels call them.
RUNTIMES = re.compile(
    r"lib(gomp|i?omp|nvomp|(scipy_)?openblas|mkl_|c?blas|blis|flexiblas|[st]?atlas|armpl|nvpl_blas)"
)


def threads(n_threads: int | None = None) -> int:
    """The number of threads for the parallel regions that this thread is about to run.

    This is :func:`wanted_threads`, or fewer, with a warning, if the system does not start more.
    """
    wanted = wanted_threads(n_threads)
    found = openmp_threads.available(wanted)
    if found < wanted:
        warn_of_fewer(found, wanted)
    if found > 1:
        openmp.wait_briefly()
    return found


def wanted_threads(n_threads: int | None = None) -> int:
    """The number of threads to use: n_threads, or :func:`default_threads` for None.

    It is always 1 in a build without OpenMP.
    """
    if n_threads is not None:
        n_threads = _validate.positive_int(n_threads, "n_threads")
        if n_threads > MAX_THREADS:
            raise ValueError(
                f"n_threads must be at most {MAX_THREADS}, got {_validate.shown(n_threads)}"
            )
    return 1 if not openmp_threads.OPENMP else n_threads or default_threads()


def warn_of_fewer(found: int, wanted: int) -> None:
    """Warn that the system starts fewer threads than were asked for."""
    warnings.warn(
        f"rfa uses {found} of {wanted} threads, because the system starts no more: there is a "
        "limit on processes (ulimit -u, or pids.max of a cgroup) or on memory, or OMP_STACKSIZE "
        "is large",
        RuntimeWarning,
        stacklevel=3,
    )


def default_threads() -> int:
    """:func:`environment_threads`, or threadpoolctl's limit for this thread if that is less."""
    limit = openmp_threads.limit()
    return environment_threads() if limit is None else min(environment_threads(), limit)


def environment_threads() -> int:
    """OMP_NUM_THREADS (its first number, up to MAX_THREADS), or :func:`usable_cpus`."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    # not isdigit: it accepts superscripts, which int refuses
    if asked.isdecimal() and asked.strip("0"):
        # nine digits suffice for min, and int refuses very long numbers
        return min(int(asked.lstrip("0")[:9]), MAX_THREADS)
    return usable_cpus()


def usable_cpus() -> int:
    """The number of CPUs in the affinity mask, or fewer if cgroups (v2 or v1) grant less CPU time.

    The mask is read at every call, since a process can pin itself or its forked workers at any
    time. If the OpenMP runtime has bound this thread, the mask from before counts.
    """
    pins = hasattr(os, "sched_getaffinity")
    cpus = len(openmp.affinity()) if pins else os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, min(cpus, math.ceil(quota) if math.isfinite(quota) else cpus))


@functools.cache
def cgroup_quota() -> float:
    """The CPU time, in CPUs, of this process's cgroup or one above it, whichever grants least."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:  # another system than Linux has no cgroups
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
    """The CPU time, in CPUs, that one cgroup grants; infinite if it sets no limit."""
    if (group / "cpu.max").exists():
        limit, period = (group / "cpu.max").read_text().split()
    elif (group / "cpu.cfs_quota_us").exists():
        limit = (group / "cpu.cfs_quota_us").read_text().strip()
        period = (group / "cpu.cfs_period_us").read_text()
    else:
        return math.inf
    return math.inf if limit in ("max", "-1") else int(limit) / int(period)


@functools.cache
def commit() -> tuple[str | None, str]:
    """The commit of this rfa, None if it is not known, and a note: what it leaves out, or why.

    A build notes both in a file, see setup.py. A package in a source tree has no such file, and
    reads the commit from the repository.
    """
    try:
        known, note = (PACKAGE / "_commit.txt").read_text().splitlines()
        return known or None, note
    except FileNotFoundError:
        pass
    try:
        return _checked_out(PACKAGE.parent / ".git"), "a source tree: changes since are not known"
    except OSError:
        return None, "a source tree without a git repository that can be read"


def _checked_out(git: Path) -> str:
    """The commit that is checked out, by the files of the repository; OSError if there is none."""
    if git.is_file():  # a worktree has its own HEAD, and shares the rest
        git = git.parent / git.read_text().strip().removeprefix("gitdir: ")
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = git / "commondir"
    common = git / shared.read_text().strip() if shared.is_file() else git
    if (common / name).is_file():
        return (common / name).read_text().strip()
    for line in (common / "packed-refs").read_text().splitlines():
        if line.endswith(" " + name):
            return line.split()[0]
    raise FileNotFoundError(f"{name} has no commit")


def keep_freed_memory() -> None:
    """Make glibc keep freed memory, up to twice FREED_BYTES for each thread.

    By default glibc returns the arrays of a run to the system, and the page faults of the next run
    then cost as much as many steps. glibc keeps up to twice the largest block that was ever freed,
    unless the user has set another limit: so this frees one block. With another C library it has
    no effect.
    """
    np.empty(FREED_BYTES, np.uint8)


class OneBlasThread:
    """A context in which NumPy's matrix products run on one thread.

    Several threads may be in it at once, with a study each. If each restored the number of threads
    that it found, it could restore the 1 of another study. So the first one to enter sets the
    limit, and the last one to leave restores the numbers that the first one found. A child that is
    forked in between restores them from ``found``.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.holders: list[tuple[int, Any]] = []  # a thread, and its own limit
        self.found: list[tuple[Any, int]] = []  # a library, and its number of threads before

    def __enter__(self) -> None:
        with self.lock:
            if not self.holders:
                libraries = threadpoolctl.ThreadpoolController().lib_controllers
                shared = [each for each in libraries if _is_shared(each) and each.num_threads]
                self.found = [(each, each.num_threads) for each in shared]
                for library, _ in self.found:
                    _limit(library, 1)
            # for libraries in which each thread has a limit of its own
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
        """Forget the other threads: none of them is in the forked child.

        One of them may have held the lock during the fork, so the child gets a new lock.
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
    """Set the number of threads of a library in which all threads share it.

    A newer threadpoolctl lets only one thread set the number for OpenBLAS, so that threads do not
    undo each other's settings. OneBlasThread already prevents that, so it goes around the check.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(number)


one_blas_thread = OneBlasThread()
# No hook before the fork: it would have to wait for other threads, and a hook that is registered
# during a fork is not called.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_blas_thread.in_child)


class _NoLock:
    """A lock that is always free."""

    def acquire(self, *args: Any) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


# Raised by a write to a stream on a full disk, to a closed stream, and to None.
NOT_SHOWN = (OSError, ValueError, AttributeError)


class ProgressBar:
    """A tqdm bar without a lock, without a monitor thread, and without errors.

    All bars of tqdm share a lock. It stays taken after a drawing that failed or was interrupted,
    and in a child that was forked while another thread drew. Each bar of rfa is drawn by one
    thread, so it needs no lock. tqdm's monitor thread redraws bars that are updated too rarely;
    rfa updates its bars often enough. If the stream cannot be written (a full disk, a closed pipe,
    no stream), the bar is not shown and the run goes on.
    """

    def __init__(self, **options: Any) -> None:
        self._bar: Any = None
        # without __del__, or a bar that could not be drawn would try again when it is freed
        own = {"monitor_interval": 0, "_lock": _NoLock(), "__del__": lambda bar: None}
        with contextlib.suppress(*NOT_SHOWN):
            self._bar = type("Bar", (tqdm.tqdm,), own)(**options)

    def show(self, done: int) -> None:
        """Show the number of units that are done."""
        if self._bar is not None:
            with contextlib.suppress(*NOT_SHOWN):
                self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            with contextlib.suppress(*NOT_SHOWN):
                self._bar.close()


def provenance(engine: str, n_threads: int, seeds: dict[str, Any]) -> dict[str, Any]:
    """What produced a run, as values that JSON can express."""
    known, note = commit()
    return {
        "rfa": __version__,
        "commit": known,
        "commit_note": note,
        "seeds": seeds,
        "engine": engine,
        "simd": levels.SIMD_LEVEL,
        "openmp": bool(openmp_threads.OPENMP),
        "threads": n_threads,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def configuration() -> dict[str, Any]:
    """What :func:`show_config` prints, as values that JSON can express."""
    known, note = commit()
    return {
        "rfa": __version__,
        "commit": known,
        **({"commit_note": note} if note else {}),
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
    """The names of the OpenMP and BLAS libraries in this process; "unknown" except on Linux.

    A name that comes twice stands for two libraries, which may slow each other down.
    """
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return "unknown"
    # a line: address, rights, offset, device, inode, and the path if a file is mapped
    mapped = {os.fsdecode(line.split(maxsplit=5)[-1]) for line in lines}
    names = sorted(os.path.basename(path) for path in mapped)
    return ", ".join(name for name in names if RUNTIMES.match(name)) or "none"


def show_config() -> None:
    """Print version, SIMD level, OpenMP and the number of threads in use.

    Notes
    -----
    The SIMD level (baseline, avx2 or avx512) is the best that the CPU and the operating system
    support. The environment variable ``RFA_SIMD`` lowers it. Results have the same bits for any
    number of threads, with and without OpenMP. Between SIMD levels they may differ in rounding.

    Examples
    --------
    >>> import rfa
    >>> rfa.show_config()  # doctest: +ELLIPSIS
    rfa      ...
    """
    for name, value in configuration().items():
        print(f"{name:8} {'none' if value is None else value}")
