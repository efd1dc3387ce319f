"""Loads the OpenMP runtime, and finds the CPUs that it may use.

`import rfa` loads the runtime, before anything needs it. So threadpoolctl finds it, and a library
that is imported after rfa shares it as rfa has set it up.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Variables that make a runtime bind threads to places; it binds the thread that loads it at once.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")

# Whether another library loaded libgomp before rfa, so that its threads wait in that library's way;
# and whether that could be changed (None: not tried yet).
shared = False
brief: bool | None = None
SHARED = (
    "another library loaded libgomp before rfa, so that its waiting threads keep their CPUs: "
    "import rfa first, or set GOMP_SPINCOUNT=1000 before Python starts"
)

# The CPUs of this thread's affinity before any runtime bound it.
allowed: set[int] = set()


def load() -> None:
    """Load the runtime so that its waiting threads sleep soon.

    When libgomp is loaded, it reads for how many rounds a waiting thread keeps its CPU. Its
    default, 300000, gains nothing on idle CPUs. Beside other work it keeps the CPU from the thread
    that is waited for, so that a short step can take many times as long. 1000 is libgomp's own
    choice if it has more threads than CPUs.
    """
    global shared, allowed
    told = "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not told:
        shared = "rfa.kernels.threads" not in sys.modules and _is_loaded()
        os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        with _affinity_as_it_was():
            if "rfa.kernels.threads" not in sys.modules and hasattr(os, "sched_getaffinity"):
                allowed = os.sched_getaffinity(0)
            importlib.import_module("rfa.kernels.threads")
    finally:
        if not told:
            os.environ.pop("GOMP_SPINCOUNT", None)  # other libraries and children do not get it


def wait_briefly() -> None:
    """Make threads sleep soon if libgomp was loaded with its own spin count.

    Once it is loaded, libgomp takes a short spin count only while it has more threads than there
    are CPUs. So this starts a team of that size which never has work.
    """
    global brief
    if shared and brief is None:
        from rfa.kernels import threads

        brief = False  # so that no other thread tries, too
        brief = threads.keep_idle(len(allowed) + 1)


def _is_loaded() -> bool:
    """Whether the process has a libgomp of the usual name, which rfa will then share.

    Renamed copies in wheels, such as libgomp-e985bcbb.so.1, are libraries of their own.
    """
    try:
        return b"/libgomp.so" in Path("/proc/self/maps").read_bytes()
    except OSError:  # another system
        return False


@contextlib.contextmanager
def _affinity_as_it_was() -> Iterator[None]:
    """For a moment, let this thread use the CPUs that it had before another runtime bound it.

    The runtime that rfa loads, if it is not the same one, takes this thread's CPUs for all CPUs.
    """
    if not (hasattr(os, "sched_setaffinity") and any(name in os.environ for name in BINDING)):
        yield
        return
    from threadpoolctl import ThreadpoolController

    bound = os.sched_getaffinity(0)
    for library in ThreadpoolController().lib_controllers:
        if library.user_api == "openmp":
            places = _places(library.dynlib)
            if bound in places:
                os.sched_setaffinity(0, set().union(*places))
                break
    else:
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)


def _places(library: ctypes.CDLL) -> list[set[int]]:
    """The sets of CPUs to which a runtime binds threads."""
    if not hasattr(library, "omp_get_num_places"):  # older than OpenMP 4.5
        return []
    found = []
    for place in range(library.omp_get_num_places() if library.omp_get_proc_bind() else 0):
        ids = (ctypes.c_int * library.omp_get_place_num_procs(place))()
        library.omp_get_place_proc_ids(place, ids)
        found.append(set(ids))
    return found


def affinity() -> set[int]:
    """The CPUs of this thread's affinity, or those of before the runtime bound the thread.

    If the affinity of a thread is the place to which the runtime has bound it, the thread may use
    the CPUs of all places within the affinity at the beginning of the process. Any other affinity
    is the user's choice. (If the user chooses that very place, this cannot be seen.)
    """
    from rfa.kernels import threads

    mask = os.sched_getaffinity(0)
    places = threads.places()
    if not places:
        return mask
    place = threads.place()
    if os.sched_getaffinity(0) != mask:  # the question has made libgomp bind the thread
        os.sched_setaffinity(0, mask)
    bound = place >= 0 and mask == places[place]
    # (if it is told to, libgomp binds threads to places outside of the affinity, too)
    return (bound and allowed & set().union(*places)) or mask


def unbind() -> None:
    """Let this thread use all CPUs again: libgomp binds a thread that calls it to a place."""
    from rfa.kernels import threads

    if threads.places():
        os.sched_setaffinity(0, affinity())
