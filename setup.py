"""Builds rfa's extensions: Cython to C, with OpenMP if the compiler has it.

Two environment variables change the build: RFA_OPENMP=0 leaves out OpenMP, and RFA_CHECKS=1 puts in
Cython's run-time checks, for tests. The metadata are in pyproject.toml.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(Path("rfa").rglob("*.pyx"))
SIMD = "rfa/kernels/simd"
HEADERS = sorted(str(path) for path in Path("rfa").rglob("*.h"))
DECLARATIONS = sorted(str(path) for path in Path("rfa").rglob("*.pxd"))

# No flag names a machine (-march): each SIMD level is a set of functions with a target of their
# own, and one level is chosen at import.
# IEEE: these flags come after the user's CFLAGS, so that those cannot relax the arithmetic. The
# linker gets them, too, because gcc with -Ofast links code that makes the process flush subnormals.
# -ffp-contract=off: only multiply-adds that the code writes are fused. It comes last, since clang's
# -fno-fast-math allows fusing.
IEEE = ["-O3", "-fno-fast-math", "-fno-unsafe-math-optimizations", "-fno-finite-math-only"]
IEEE += ["-fno-associative-math", "-fno-reciprocal-math", "-fsigned-zeros", "-ffp-contract=off"]
FLAGS = [*IEEE, "-Wno-unused-function"]

# (compiler flags, linker flags) to try for OpenMP: gcc and clang, then Apple's clang with libomp.
OPENMP = [(["-fopenmp"], ["-fopenmp"])] + [
    (["-Xpreprocessor", "-fopenmp", *include], [*library, "-lomp"])
    for include, library in (
        ([], []),
        (["-I/opt/homebrew/opt/libomp/include"], ["-L/opt/homebrew/opt/libomp/lib"]),
        (["-I/usr/local/opt/libomp/include"], ["-L/usr/local/opt/libomp/lib"]),
    )
]

PROBE_PYTHON = "#include <Python.h>\nint main(void) { return 0; }\n"
PROBE_OPENMP = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
# This probe must run: libomp 14 has the function, but ends a process that calls it before the first
# parallel region. (libomp handles forks itself, so it needs no pause.)
PROBE_PAUSE = (
    "#include <omp.h>\nint main(void) { return omp_pause_resource_all(omp_pause_hard); }\n"
)

MISSING = (
    "rfa needs a C compiler and Python's headers to build: "
    "Debian, Ubuntu: apt install build-essential python3-dev; "
    "Fedora: dnf install gcc python3-devel; macOS: xcode-select --install"
)


class BuildExtensions(build_ext):
    """Tests what the compiler can do, then builds."""

    def build_extensions(self):
        if not self.works(PROBE_PYTHON, run=False):
            sys.exit(f"error: {MISSING}")
        compile_flags, link_flags, macros = self.openmp()
        stamp = self.stamp([*self.compiler.compiler_so, *FLAGS, *compile_flags, *map(str, macros)])
        for extension in self.extensions:
            extension.extra_compile_args = [*FLAGS, *compile_flags]
            extension.extra_link_args = [*link_flags, *IEEE]
            extension.define_macros = macros
            extension.depends = [*HEADERS, *DECLARATIONS, stamp]
        super().build_extensions()

    def openmp(self):
        """The flags and macros of OpenMP; none if it is missing, with a warning, or not wanted."""
        if os.environ.get("RFA_OPENMP") == "0":
            return [], [], []
        for compile_flags, link_flags in OPENMP:
            if self.works(PROBE_OPENMP, compile_flags, link_flags):
                paused = self.works(PROBE_PAUSE, compile_flags, link_flags)
                return compile_flags, link_flags, [("RFA_HAVE_OMP_PAUSE", None)] * paused
        self.warn("rfa: the compiler has no OpenMP: building for one thread")
        return [], [], []

    def works(self, source, compile_flags=(), link_flags=(), run=True):
        """Whether a program compiles and, if ``run`` is set, links and runs."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "probe.c")
            path.write_text(source)
            include = [f"-I{directory}" for directory in self.compiler.include_dirs]
            program = str(path.with_suffix(""))
            command = [*self.compiler.compiler_so, *compile_flags, *include, str(path)]
            # LDFLAGS may name the folder of a libomp
            link = [*shlex.split(os.environ.get("LDFLAGS", "")), *link_flags]
            command += ["-o", program, *(link if run else ["-c"])]
            if status(command) != 0:
                return False
            # None: the program is for another machine, so it cannot be started on this one
            return not run or status([program]) in (0, None)

    def stamp(self, flags):
        """A file that changes with the flags, since setuptools compares the ages of files only."""
        path = Path("build", f"flags-{sys.implementation.cache_tag}.txt")
        text = "\n".join(flags)
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return str(path)


def status(command):
    """Exit status of a command, or None if it cannot be started."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except OSError:
        return None


def extensions():
    """The extensions. Their C files are in build/, not beside the sources."""
    from Cython.Build import cythonize

    found = [
        Extension(".".join(path.with_suffix("").parts), [str(path)], include_dirs=[SIMD])
        for path in SOURCES
    ]
    checked = os.environ.get("RFA_CHECKS") == "1"
    directives = {
        "language_level": 3,
        "boundscheck": checked,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": checked,
    }
    return cythonize(found, build_dir="build/cython", compiler_directives=directives)


# Only commands that build need the C files. The sdist and the metadata do not.
building = any(
    argument.startswith(("build", "bdist", "install", "develop", "editable"))
    for argument in sys.argv[1:]
)
try:
    modules = extensions() if building else []
except OSError as problem:
    sys.exit(
        "error: rfa is built in its source tree, but files cannot be written there: build in a "
        f"copy of it ({problem})"
    )
setup(
    ext_modules=modules,
    cmdclass={"build_ext": BuildExtensions},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
