"""Loads the OpenMP runtime, and tells the CPUs that it may use.

`import rfa` loads it, not what needs it first: so that threadpoolctl finds it, and that a library
which is imported after rfa shares it as rfa has set it up.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# What makes a runtime bind threads to places, the thread that loads it at once.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")

# Whether another library has loaded libgomp before, so that threads wait as it likes, and whether
# that could be changed (None: not yet tried).
shared = False
brief: bool | None = None
SHARED = (
    "another library loaded libgomp before rfa, so that its waiting threads keep their CPUs: "
    "import rfa first, or set GOMP_SPINCOUNT=1000 before Python starts"
)

# The CPUs of the affinity when the runtime was loaded, before any bound this thread.
allowed: set[int] = set()


def load() -> None:
    """Load the runtime, whose waiting threads are to sleep soon.

    libgomp reads when it is loaded for how many rounds a thread that waits keeps its CPU. Its own
    300000 gain nothing on idle CPUs, and beside other work the thread that is waited for gets no
    CPU meanwhile, so that a short step can take many times as long. 1000 is what libgomp takes
    where it has more threads than CPUs.
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
            os.environ.pop("GOMP_SPINCOUNT", None)  # not for other libraries, nor for children


def wait_briefly() -> None:
    """Make threads sleep soon where libgomp was loaded with its own spin count.

    libgomp takes a short one while it has more threads than there are CPUs. Nothing else changes it
    any more, so a team of as many threads is started that never has work.
    """
    global brief
    if shared and brief is None:
        from rfa.kernels import threads

        brief = False  # no other thread tries too
        brief = threads.keep_idle(len(allowed) + 1)


def _is_loaded() -> bool:
    """Whether there is a libgomp that ours will be, since it goes by the same name.

    The copies that wheels rename, such as libgomp-e985bcbb.so.1, are libraries of their own.
    """
    try:
        return b"/libgomp.so" in Path("/proc/self/maps").read_bytes()
    except OSError:  # another system
        return False


@contextlib.contextmanager
def _affinity_as_it_was() -> Iterator[None]:
    """Undo for a moment what another library's runtime has bound this thread to.

    Ours, if it is another one, would take that for all CPUs there are.
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
    """The sets of CPUs that a runtime binds threads to."""
    if not hasattr(library, "omp_get_num_places"):  # older than OpenMP 4.5
        return []
    found = []
    for place in range(library.omp_get_num_places() if library.omp_get_proc_bind() else 0):
        ids = (ctypes.c_int * library.omp_get_place_num_procs(place))()
        library.omp_get_place_proc_ids(place, ids)
        found.append(set(ids))
    return found


def affinity() -> set[int]:
    """The CPUs that this thread's affinity allows, or did before the runtime bound the thread.

    A thread whose affinity is the place that it is bound to may use all places of the affinity
    that the process began with; any other affinity is somebody's own choice. (Who chooses that
    very place cannot be told from the runtime.)
    """
    from rfa.kernels import threads

    mask = os.sched_getaffinity(0)
    places = threads.places()
    if not places:
        return mask
    place = threads.place()
    if os.sched_getaffinity(0) != mask:  # libgomp has bound the thread for having been asked
        os.sched_setaffinity(0, mask)
    bound = place >= 0 and mask == places[place]
    # (libgomp binds threads to a place outside of it, too, if it is told to)
    return (bound and allowed & set().union(*places)) or mask


def unbind() -> None:
    """Let this thread use all CPUs: libgomp binds every thread that calls it to the first place."""
    from rfa.kernels import threads

    if threads.places():
        os.sched_setaffinity(0, affinity())
