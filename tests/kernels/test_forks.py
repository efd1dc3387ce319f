"""Children that are forked while other threads are in the middle of something."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import pkgutil
import signal
import subprocess
import sys
import threading

import problems
import pytest
import threadpoolctl

import rfa
from rfa import _forks, _runtime
from rfa.engines.problem import Problem

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def in_child(work):
    """The exit status of a forked child: 0 if work is done, 14 (the alarm) if it hangs."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def meanwhile(work):
    """Another thread is within work(begun, end), which sets begun and waits for end."""
    begun, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(begun, end))
    thread.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_property_that_another_thread_computes():
    problem = problems.cases()["n=313 d=17 m=46"].problem("float64")

    class Slow:
        """Labels that take their time."""

        def __len__(self):
            return 1

        def __mul__(self, other):
            self.begun.set()
            self.end.wait(20)
            return other

    def compute(begun, end):
        labels = Slow()
        labels.begun, labels.end = begun, end
        assert Problem(**{**vars(problem), "y": labels}).weighted_y == [1.0]

    with meanwhile(compute):
        assert in_child(lambda: problem.weighted_y) == 0
    assert problem.weighted_y is problem.weighted_y


def test_no_property_has_a_lock():
    found = {}
    for module in pkgutil.walk_packages(rfa.__path__, "rfa."):
        if module.name == "rfa.__main__":
            continue
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if cls.__module__.startswith("rfa"):
                found.update({(cls, name): thing for name, thing in vars(cls).items()})
    cached = [thing for thing in found.values() if isinstance(thing, functools.cached_property)]
    assert len(cached) >= 12
    assert {type(thing) for thing in cached} == {_forks.cached_property}


@pytest.mark.parametrize("held", [True, False])
def test_a_fork_while_another_thread_imports(held):
    """It waits for no import, which may need a lock that logging's hook holds meanwhile.

    Nor is half of a pair of hooks called, where the import registers it during the fork.
    """
    slow = "os.register_at_fork(before=lambda: time.sleep(0.5))"
    program = (
        "import os, threading, time, rfa; rfa.Dataset\n"
        # hooks are called in the reverse order
        + "\n".join([slow, "import logging"] if held else ["import logging", slow])
        + "\nthread = threading.Thread(target=lambda: rfa.train)\n"
        "thread.start(); time.sleep(0.004)\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "thread.join(); rfa.train; os.fork() or os._exit(0); os.wait()"
    )
    command = [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", program]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_what_runs_and_studies_need_is_imported_before():
    program = (
        "import sys, rfa; rfa.study, rfa.Experiment; before = set(sys.modules)\n"
        "exp = rfa.Experiment(n=40, d=3, m=8)\n"
        "exp.run(0, progress=True), rfa.study(exp, trials=2, progress=True)\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*names & {'rfa', 'numpy', 'tqdm', 'threadpoolctl'})"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"


def test_a_bar_that_another_thread_draws(capfd):
    from tqdm import tqdm

    exp = rfa.Experiment(n=40, d=3, m=8, steps=4)

    def draw(begun, end):
        with tqdm.get_lock():
            begun.set()
            end.wait(20)

    with meanwhile(draw):
        assert in_child(lambda: exp.run(0, progress=True)) == 0
        assert in_child(lambda: rfa.study(exp, trials=2, progress=True)) == 0
    assert "step" in capfd.readouterr().err


def test_other_threads_that_train():
    """Regions of several threads, properties and the waiting engine, forked at any moment."""
    exp = rfa.Experiment(n=300, d=200, m=64, steps=3)  # gram
    expected = exp.run(0, n_threads=2).network
    over = threading.Event()

    def train():
        while not over.is_set():
            exp.run(1, n_threads=2)

    def work():
        assert exp.run(0, n_threads=2).network == expected

    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(work) for _ in range(12)] == [0] * 12
    finally:
        over.set()
        for thread in threads:
            thread.join()


def blas_threads():
    return {
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    }


def a_study(begun, end):
    def measure(run):
        begun.set()
        end.wait(20)
        return {"threads": blas_threads(), "child": in_child(in_trial)}

    def in_trial():
        assert blas_threads() == {1}  # it goes on as the trial that it was forked from

    records = rfa.study(rfa.Experiment(n=40, d=3, m=8, steps=1), trials=1, measure=measure).records
    assert [(record["threads"], record["child"]) for record in records] == [({1}, 0)]


@pytest.fixture
def unlimited():
    """Threads of BLAS: two, where it can have two."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        yield blas_threads()


def test_a_child_has_the_limits_of_its_own_studies(unlimited):
    def study_of_its_own():
        end = threading.Event()
        end.set()
        assert blas_threads() == unlimited
        a_study(threading.Event(), end)
        assert blas_threads() == unlimited

    with meanwhile(a_study):
        assert in_child(study_of_its_own) == 0
        assert blas_threads() == {1}
    assert blas_threads() == unlimited


def test_studies_that_overlap_put_the_limit_back(unlimited):
    with meanwhile(a_study):
        first = contextlib.ExitStack()
        first.enter_context(meanwhile(a_study))
        assert blas_threads() == {1}
    # one of the two has ended
    assert blas_threads() == {1}
    first.close()
    assert blas_threads() == unlimited


@pytest.mark.parametrize("holder", ["who sets it", "who takes it away"])
def test_a_limit_that_another_thread_changes(unlimited, monkeypatch, holder):
    """A child does not find it half changed, nor its lock taken, and no fork waits for it."""
    limit, change = _runtime.one_blas_thread, _runtime._limit
    calls, waited = [], []

    def change_slowly(library, number):
        change(library, number)
        calls.append(number)
        if threading.current_thread() is not threading.main_thread() and (
            (number == 1) == (holder == "who sets it")
        ):
            calls[0].set()
            waited.append(calls[1].wait(20))

    def take(begun, end):
        calls[:] = [begun, end]
        with limit:
            pass

    def work():
        assert blas_threads() == unlimited
        with limit:
            assert blas_threads() == {1}
        assert blas_threads() == unlimited
        threadpoolctl.threadpool_limits(1, user_api="blas")
        assert in_child(grandchild) == 0

    def grandchild():
        assert blas_threads() == {1}  # nobody's to put back

    monkeypatch.setattr(_runtime, "_limit", change_slowly)
    with meanwhile(take):
        assert in_child(work) == 0
    assert waited and all(waited)
    assert blas_threads() == unlimited
