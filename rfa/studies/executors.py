"""Runs the trials of a study in threads of this process, one run per thread."""

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

# Seconds after which the waiting thread looks for Ctrl-C again.
LOOK = 0.1

# Seconds that the end of the process waits for the runs of a study to end.
PARTING = 2.0

# One function for each study in progress. It ends the study when the process ends.
_at_exit: set[Callable[[], None]] = set()


def in_threads(
    trial: Callable[[int, int], Record],
    keys: Iterable[tuple[int, int]],
    total: int,
    found: dict[tuple[int, int], Record],
    progress: bool | None,
) -> None:
    """Fill ``found`` with the record of every key, a cell and a trial.

    An exception of a trial, or Ctrl-C, ends all runs at their next step and is raised.
    """
    wanted = min(_runtime.wanted_threads(), total)
    shown = at_a_terminal() if progress is None else progress
    delay = DELAY if progress is None else 0
    cancelled, exiting = threading.Event(), threading.Event()
    remaining, taking = iter(keys), threading.Lock()
    threads: list[threading.Thread] = []
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def trials() -> None:
        # the matrix products of a run get one thread, as the run itself
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
        # before the others are cancelled: the first end in the queue must be the reason
        ends.put(end)
        if end is not None:
            # here and not in the waiting thread: until that wakes up, others would begin new trials
            cancelled.set()

    def at_exit() -> None:
        # The thread that called study is a daemon, since Python waits for all others before it
        # calls this. It ends with the process, so it needs no result.
        exiting.set()
        end = time.perf_counter() + PARTING
        for thread in threads:
            if thread.is_alive():  # not in a forked child, where the lock of the event may be taken
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
                # with a timeout: a signal that another thread receives does not end the wait
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
                if thread.is_alive():  # not if Ctrl-C came before the thread was started
                    thread.join()
            _at_exit.discard(at_exit)


@atexit.register
def _end_all() -> None:
    """End the studies of daemon threads. Python has already waited for those of other threads."""
    for end in list(_at_exit):
        end()


def _start(work: Callable[[], None], count: int, threads: list[threading.Thread]) -> None:
    """Start ``work`` in ``count`` threads, or in fewer if the system starts no more."""
    try:
        while len(threads) < count:
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        threads.pop()
        # if none could be started, in_threads itself does the work
        if count > 1:
            _runtime.warn_of_fewer(max(len(threads), 1), count)
