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
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

SOURCES = sorted(Path("rfa").rglob("*.pyx"))
SIMD = "rfa/kernels/simd"
HEADERS = sorted(str(path) for path in Path("rfa").rglob("*.h"))
DECLARATIONS = sorted(str(path) for path in Path("rfa").rglob("*.pxd"))

# Its two lines are the commit, empty if it is not known, and a note. It stands in what is built and
# in the sdist, never in a checkout.
COMMIT = "rfa/_commit.txt"
# With these git would speak of another repository than the one around this file.
GIT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")

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


class BuildModules(build_py):
    """Copies the modules, and notes the commit."""

    def run(self):
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


class SourceArchive(sdist):
    """Collects the sources, and notes the commit: the archive has no repository."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


def write_commit(folder):
    """Write the file COMMIT below a folder."""
    path = Path(folder, COMMIT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a hard link to a file of the sources
    path.write_text(noted)


def commit():
    """The content of COMMIT, from git or, in an unpacked sdist, from its own file."""
    if Path(COMMIT).is_file() and not Path(".git").exists():
        return Path(COMMIT).read_text()
    if not Path(".git").exists():
        return "\nbuilt from files without a git repository\n"
    try:
        head, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "\ngit did not tell the commit when rfa was built\n"
    return f"{head}\n{'built with changes that were not committed' if changes else ''}\n"


def git(*arguments):
    """What git says of this tree."""
    environment = {name: value for name, value in os.environ.items() if name not in GIT}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    command = ["git", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


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
noted = commit()  # before the build makes files, which git would see as changes
try:
    modules = extensions() if building else []
except OSError as problem:
    sys.exit(
        "error: rfa is built in its source tree, but files cannot be written there: build in a "
        f"copy of it ({problem})"
    )
setup(
    ext_modules=modules,
    cmdclass={"build_ext": BuildExtensions, "build_py": BuildModules, "sdist": SourceArchive},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
