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

import rfa
from rfa import _kernels, _runtime


def test_dir_lists_what_is_public():
    for name in ("data", "_files", "cli", "theory._horizon"):
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
    assert _runtime.threads() == (asked if _kernels.OPENMP else 1)


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
    assert ("omp" in told["runtimes"]) or not _kernels.OPENMP
    assert json.loads(json.dumps(told)) == told
