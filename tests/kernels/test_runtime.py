"""What rfa says of itself and of what it runs on."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

import rfa
from rfa import _runtime
from rfa.kernels import openmp, threads


def test_dir_lists_what_is_public():
    for name in ("data", "_files", "cli.main", "setting"):
        importlib.import_module(f"rfa.{name}")  # now an attribute of rfa, and yet not public
    listed = dir(rfa)
    assert [name for name in listed if not name.startswith("_")] == sorted(rfa.__all__)
    assert "__version__" in listed
    for name in listed:
        assert getattr(rfa, name) is not None
    with pytest.raises(AttributeError, match="'nothing'"):
        rfa.nothing


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3),
        (" 3 , 2", 3),
        ("1024", 1024),
        ("100000", 1024),
        ("1" + "0" * 40, 1024),
        # not numbers that OpenMP takes: the CPUs, as without the variable
        *[(value, None) for value in ("", "0", "-2", "two", "²", "1²", "3.5", ",4")],
    ],
)
def test_the_number_of_threads_asked_for_by_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    asked = _runtime.usable_cpus() if expected is None else expected
    assert _runtime.default_threads() == asked
    assert _runtime.threads() == (asked if threads.OPENMP else 1)


@pytest.mark.parametrize(
    ("entries", "files", "quota"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "cpu.max": "200000 100000"}, 0.5),
        ("0::/", {"cpu.max": "300000 100000"}, 3.0),
        ("0::/elsewhere", {}, np.inf),
        ("3:cpuset:/c\n2:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "250000\n",
         "cpu/a/cpu.cfs_period_us": "100000\n", "cpu/cpu.cfs_quota_us": "-1\n",
         "cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
    ],
)  # fmt: skip
def test_the_least_quota_of_a_cgroup_and_those_above_it(
    monkeypatch, tmp_path, entries, files, quota
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    read = Path.read_text
    monkeypatch.setattr(_runtime, "CGROUPS", tmp_path)
    monkeypatch.setattr(
        Path, "read_text",
        lambda path: entries if path == Path("/proc/self/cgroup") else read(path),
    )  # fmt: skip
    assert _runtime.cgroup_quota.__wrapped__() == quota  # not the one that is kept


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_pins_itself_has_fewer_cpus_from_then_on():
    program = (
        "import os; from rfa import _runtime; _runtime.usable_cpus(); "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(_runtime.usable_cpus())"
    )
    command = [sys.executable, "-P", "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"


def printed(program, **environment):
    """What a program prints in a fresh Python, for which nothing binds threads but environment."""
    kept = {key: value for key, value in os.environ.items() if key not in openmp.BINDING}
    kept.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**kept, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def cpus():
    return sorted(os.sched_getaffinity(0))


needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no affinity on this system"
)
needs_libgomp = pytest.mark.skipif(
    "libgomp" not in _runtime.runtimes(), reason="another OpenMP than libgomp, or none"
)

BINDINGS = [{"OMP_PROC_BIND": "true"}, {"OMP_PLACES": "cores"}, {"GOMP_CPU_AFFINITY": "0-1023"}]
bindings = pytest.mark.parametrize("binding", BINDINGS, ids=str)


@needs_affinity
@bindings
def test_cpus_where_the_runtime_binds_threads(binding):
    """The initial thread, one that it starts, the threads of a study and a forked child."""
    program = (
        "import os, sys, threading, rfa; from rfa._runtime import usable_cpus\n"
        "def tell(): sys.stdout.write(f'{usable_cpus()}\\n'); sys.stdout.flush()\n"
        "tell(); thread = threading.Thread(target=tell); thread.start(); thread.join()\n"
        "cpus = lambda run: {'cpus': len(os.sched_getaffinity(0))}\n"
        "exp = rfa.Experiment(n=40, d=3, m=8)\n"
        "print({r['cpus'] for r in rfa.study(exp, trials=4, measure=cpus).records}.pop())\n"
        "pid = os.fork()\n"
        "tell() if pid == 0 else os.waitpid(pid, 0)"
    )
    first, thread, trial, child = map(int, printed(program, **binding))
    # a quota of time may allow fewer than the affinity does
    assert first == thread == child == _runtime.usable_cpus()
    assert trial == len(cpus())


@needs_affinity
@needs_libgomp
def test_a_place_is_what_the_runtime_may_use():
    program = "from rfa import _runtime; print(_runtime.usable_cpus())"
    assert printed(program, GOMP_CPU_AFFINITY=str(cpus()[-1])) == ["1"]
    assert printed(program, OMP_PLACES=f"{{{cpus()[0]}}}") == ["1"]


@needs_affinity
@bindings
def test_a_process_that_pins_itself_where_the_runtime_binds_threads(binding):
    program = (
        "import os; last = max(os.sched_getaffinity(0)); from rfa import _runtime\n"
        "_runtime.usable_cpus(); os.sched_setaffinity(0, {last}); print(_runtime.usable_cpus())\n"
        "print(*os.sched_getaffinity(0)); import threading\n"
        "def tell(): print(_runtime.usable_cpus(), *os.sched_getaffinity(0))\n"
        "thread = threading.Thread(target=tell); thread.start(); thread.join()"
    )
    assert printed(program, **binding) == ["1", str(cpus()[-1])] * 2


@pytest.fixture
def other_libgomp(tmp_path):
    """Path of a libgomp that is another library than rfa's, as wheels bring one along."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    path = next(line.split()[-1] for line in maps if "libgomp.so" in line)
    other = tmp_path / "libgomp-0123abcd.so.1"
    other.write_bytes(Path(path).read_bytes().replace(b"libgomp.so.1\0", b"libgomq.so.1\0"))
    return other


@needs_affinity
@needs_libgomp
@bindings
@pytest.mark.parametrize("same", [False, True])
def test_cpus_that_another_library_has_bound_the_thread_to(binding, same, other_libgomp):
    library = "libgomp.so.1" if same else str(other_libgomp)
    program = (
        f"import ctypes, os; ctypes.CDLL({library!r}); bound = os.sched_getaffinity(0)\n"
        "from rfa import _runtime; print(_runtime.usable_cpus())\n"
        "assert bound == os.sched_getaffinity(0)"
    )
    assert printed(program, **binding) == [str(_runtime.usable_cpus())]


@needs_affinity
@needs_libgomp
@pytest.mark.parametrize("before", ["", "import rfa"])
def test_threads_that_wait_on_a_libgomp_that_was_there_before(before, monkeypatch):
    """It has read its spin count, and takes a short one while it has more threads than CPUs."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    program = (
        f"import ctypes, os, numpy; {before}\n"
        "ctypes.CDLL('libgomp.so.1'); import rfa.kernels as k\n"
        "tasks = lambda: len(os.listdir('/proc/self/task')); begun = tasks()\n"
        "k.forward(numpy.ones((9, 9)), numpy.ones((9, 9)), numpy.ones(9), n_threads=1)\n"
        "step = lambda: k.forward(numpy.ones((999, 9)), numpy.ones((99, 9)), numpy.ones(99), 2)\n"
        "print(tasks() - begun); step(); step(); print(tasks() - begun)\n"
        "pid = os.fork()\n"
        "if pid == 0: step(); os._exit(0)\n"
        "print(os.waitpid(pid, 0)[1])"
    )
    # its own second thread, and where it came second a thread with its team of sleeping ones
    sleeping = 0 if before else len(cpus()) + 1
    assert printed(program) == ["0", str(1 + sleeping), "0"]


@needs_libgomp
def test_a_libgomp_that_goes_on_waiting_long_is_told(other_libgomp, monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    program = "import ctypes; ctypes.CDLL('libgomp.so.1'); import rfa; rfa.show_config()"
    assert "GOMP_SPINCOUNT=1000" in printed(program, OMP_NUM_THREADS="2", OMP_THREAD_LIMIT="1")
    assert "note" not in printed(program, OMP_NUM_THREADS="2")
    assert "note" not in printed(program, OMP_WAIT_POLICY="passive", OMP_THREAD_LIMIT="1")
    other = program.replace("libgomp.so.1", str(other_libgomp))
    assert "note" not in printed(other, OMP_THREAD_LIMIT="1")


def test_the_limit_of_threadpoolctl(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    most = 5 if threads.OPENMP else 1
    assert _runtime.wanted_threads() == most
    with threadpoolctl.threadpool_limits(3):
        assert _runtime.wanted_threads() == min(most, 3)
        with threadpoolctl.threadpool_limits(1, user_api="openmp"):
            assert _runtime.wanted_threads() == 1
            assert _runtime.wanted_threads(4) == min(most, 4)  # it is said
            assert rfa.preset("theorem").replace(steps=1).run(0).provenance["threads"] == 1
        with threadpoolctl.threadpool_limits(7):
            assert _runtime.wanted_threads() == most
    assert _runtime.wanted_threads() == most
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert _runtime.wanted_threads() == most


def test_the_limit_of_threadpoolctl_at_first_use():
    program = (
        "import rfa, threadpoolctl\nwith threadpoolctl.threadpool_limits(1):\n    rfa.show_config()"
    )
    told = printed(program, OMP_NUM_THREADS="3")
    assert told[told.index("threads") + 1] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="systems count processes in their own ways")
def test_a_limit_on_processes():
    """Fewer threads than asked for, said once; none that cannot be started ends the process."""
    program = (
        "import os, resource, warnings, rfa, rfa.kernels\n"
        "exp = rfa.Experiment(n=2000, d=20, m=64, steps=2)\n"
        "small = rfa.Experiment(n=40, d=3, m=8)\n"
        "exp.run(0, n_threads=1), rfa.study(small, trials=1)\n"  # imports: files may be hidden
        "if os.getuid() == 0: os.setuid(65534)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    runs = [exp.run(0, n_threads=4).provenance['threads'] for _ in range(2)]\n"
        "    rfa.kernels.forward(exp.sample(0).X, exp.network(0).W, exp.network(0).a)\n"
        "    found = rfa.study(small, trials=3)\n"
        "print(*runs, len(found.records), len(said))\n"
        "for warning in said: assert 'rfa uses 1 of' in str(warning)"
    )
    warnings = "3" if threads.OPENMP else "0"  # one each of train, forward and study
    assert printed(program, OMP_NUM_THREADS="3") == ["1", "1", "3", warnings]


@pytest.mark.skipif(sys.platform != "linux", reason="systems grant stacks in their own ways")
@pytest.mark.parametrize("name", ["OMP_STACKSIZE", "GOMP_STACKSIZE"])
def test_stacks_that_the_system_does_not_grant(name, monkeypatch):
    """No threads that the OpenMP runtime would end the process for."""
    for other in ("OMP_STACKSIZE", "GOMP_STACKSIZE"):
        monkeypatch.delenv(other, raising=False)
    program = (
        "import os, warnings, numpy, rfa.kernels as k\n"
        "from rfa import _runtime\n"
        "step = lambda: k.forward(numpy.ones((999, 9)), numpy.ones((99, 9)), numpy.ones(99), 2)\n"
        "with warnings.catch_warnings(record=True) as said: step()\n"
        "print(_runtime.threads(1), len(said))\n"
        "for warning in said: assert 'uses 1 of 2 threads' in str(warning)"
    )
    # more than there are addresses; less than a stack may have, for which the usual size is taken
    fewer = "1" if threads.OPENMP else "0"
    assert printed(program, **{name: "200000g"}) == ["1", fewer]
    assert printed(program, **{name: "7 b"}) == ["1", "0"]
    assert printed(program, **{name: "1M"}) == ["1", "0"]


@needs_libgomp
@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("5", 5 * 2**10), ("4M", 2**22), (" \t3 g ", 3 * 2**30), ("+7K", 7 * 2**10), ("9b", 9),
        ("18014398509481983", 2**64 - 2**10),
        # not sizes: the other variable counts
        *[(value, 2**21) for value in ("", "x", "5T", "5KB", "1.5M", "18014398509481984",
          "18446744073709551616B", "9" * 5000, "-5", "\u0663", "3\u212a")],
    ],
)  # fmt: skip
def test_the_size_of_stacks_is_what_libgomp_takes(value, size, monkeypatch):
    environment = {"OMP_STACKSIZE": value, "GOMP_STACKSIZE": "2048"}
    assert threads.stack_size(environment) == size
    assert threads.stack_size({"GOMP_STACKSIZE": value}) == (0 if size == 2**21 else size)
    assert threads.stack_size({}) == 0
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import rfa"],
        env={**os.environ, **environment, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f" OMP_STACKSIZE = '{size}'" in done.stderr


@pytest.mark.parametrize("given", [None, "7"])
def test_threads_that_wait_do_not_hold_their_cpu_for_long(given):
    """libgomp says what it was told; what the user has set is left alone, nothing is left set."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment.pop("GOMP_SPINCOUNT", None)
    environment["OMP_DISPLAY_ENV"] = "verbose"
    if given is not None:
        environment["GOMP_SPINCOUNT"] = given
    program = "import os, rfa; rfa.train; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{given}\n"
    said = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    # one libgomp says it once; other OpenMP runtimes do not know the variable
    assert set(said) == ({given or "1000"} if "libgomp" in _runtime.runtimes() else set())


def test_runtimes_are_the_libraries_in_the_process(monkeypatch):
    maps = b"""\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 131 /usr/bin/python3.11
7f0000000000-7f0000001000 r-xp 00000000 08:01 132 /usr/lib/libgomp.so.1.0.0
7f0000001000-7f0000002000 r--p 00001000 08:01 132 /usr/lib/libgomp.so.1.0.0
7f0000002000-7f0000003000 r-xp 00000000 08:01 133 /opt/my \xff wheel.libs/libgomp-a49a.so.1.0.0
7f0000003000-7f0000004000 r-xp 00000000 08:01 134 /opt/numpy.libs/libscipy_openblas64_-56d6.so
7f0000004000-7f0000005000 r-xp 00000000 08:01 135 /opt/mkl/libmkl_rt.so.2
7f0000005000-7f0000006000 r-xp 00000000 08:01 136 /usr/lib/libomp.so.5
7f0000006000-7f0000007000 r-xp 00000000 08:01 137 /usr/lib/libopenblas/notes.txt
7f0000007000-7f0000008000 r-xp 00000000 08:01 138 /usr/lib/libmpi.so.40
7f0000008000-7f0000009000 r-xp 00000000 08:01 139 /other/libomp.so.5
7f0000009000-7f000000a000 rw-p 00000000 00:00 0
7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0 [stack]
"""
    monkeypatch.setattr(Path, "read_bytes", lambda path: maps)
    assert _runtime.runtimes() == (
        "libgomp-a49a.so.1.0.0, libgomp.so.1.0.0, libmkl_rt.so.2, libomp.so.5, libomp.so.5, "
        "libscipy_openblas64_-56d6.so"
    )
    monkeypatch.setattr(Path, "read_bytes", lambda path: maps.splitlines()[0])
    assert _runtime.runtimes() == "none"

    def hidden(path):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_bytes", hidden)
    assert _runtime.runtimes() == "unknown"


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are listed in Linux's /proc")
def test_the_configuration_tells_openmps_library(capsys):
    rfa.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    told = _runtime.configuration()
    assert lines["runtimes"] == told["runtimes"]
    assert ("omp" in told["runtimes"]) or not threads.OPENMP
    assert json.loads(json.dumps(told)) == told
