"""Where the trials of a study run: in the threads of this process, one run a thread."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable

from rfa import _runtime
from rfa.kernels import guards, openmp
from rfa.studies.trials import Record
from rfa.training.progress import DELAY, at_a_terminal

# Seconds between two looks for Ctrl-C.
LOOK = 0.1

# Seconds that the end of the process waits for runs of a study to notice it.
PARTING = 2.0

# What ends the studies that are under way, when the process ends.
_at_exit: set[Callable[[], None]] = set()


def in_threads(
    trial: Callable[[int, int], Record],
    keys: Iterable[tuple[int, int]],
    total: int,
    found: dict[tuple[int, int], Record],
    progress: bool | None,
) -> None:
    """Fill found with the record of every key; a Ctrl-C ends the runs that have begun, too."""
    wanted = min(_runtime.wanted_threads(), total)
    shown = at_a_terminal() if progress is None else progress
    delay = DELAY if progress is None else 0
    cancelled, exiting = threading.Event(), threading.Event()
    remaining, taking = iter(keys), threading.Lock()
    threads: list[threading.Thread] = []
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def trials() -> None:
        # a run has one thread, and so have NumPy's matrix products within it
        with _runtime.one_blas_thread:
            while not cancelled.is_set():
                with taking:
                    key = next(remaining, None)
                if key is None:
                    return
                found[key] = trial(*key)

    def in_thread() -> None:
        end = None
        try:
            guards.cancel_by(cancelled)
            openmp.unbind()
            trials()
        except BaseException as error:
            end = error
        if exiting.is_set():
            return
        # before the others are cancelled, whose ends are not the reason
        ends.put(end)
        if end is not None:
            # at once, or others begin further trials until it is noticed
            cancelled.set()

    def at_exit() -> None:
        # the thread that waits is a daemon, or the process would wait for it: it is told nothing
        exiting.set()
        end = time.perf_counter() + PARTING
        for thread in threads:
            if thread.is_alive():  # in a forked child none is, and the event may be locked
                cancelled.set()
                thread.join(max(end - time.perf_counter(), 0))

    _runtime.keep_freed_memory()
    bar = _runtime.ProgressBar(total=total, unit="run", delay=delay, disable=not shown, leave=False)
    with contextlib.closing(bar), _runtime.one_blas_thread:
        try:
            _at_exit.add(at_exit)
            _start(in_thread, wanted, threads)
            if not threads:
                trials()
            running = len(threads)
            while running:
                # a signal that another thread receives does not end this thread's wait
                try:
                    end = ends.get(timeout=LOOK)
                except queue.Empty:
                    pass
                else:
                    running -= 1
                    if end is not None:
                        raise end
                bar.show(len(found))
        finally:
            cancelled.set()
            for thread in threads:
                if thread.is_alive():  # a Ctrl-C may have come before its start
                    thread.join()
            _at_exit.discard(at_exit)


@atexit.register
def _end_all() -> None:
    """End the studies of daemon threads; for those of others Python has waited before."""
    for end in list(_at_exit):
        end()


def _start(work: Callable[[], None], count: int, threads: list[threading.Thread]) -> None:
    """Start work in count threads, or in as many as the system lets this process start."""
    try:
        while len(threads) < count:
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        threads.pop()
        # without any, this thread does the work
        if count > 1:
            _runtime.warn_of_fewer(max(len(threads), 1), count)
