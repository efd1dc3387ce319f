"""Building and installing: versions, messages of builds that fail, rebuilding."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import rfa
from rfa import _runtime

ROOT = Path(__file__).resolve().parent.parent
CC = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")

needs_setup = pytest.mark.skipif(
    not (ROOT / "setup.py").is_file(), reason="the tests do not stand in a source tree"
)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")
needs_compiler = pytest.mark.skipif(shutil.which(CC[0]) is None, reason="no C compiler")

# an extension that tells whether it was built with OpenMP, and with relaxed arithmetic
PYX = """
cdef extern from *:
    '''
    #ifdef _OPENMP
    #define WITH_OPENMP 1
    #else
    #define WITH_OPENMP 0
    #endif
    '''
    const int WITH_OPENMP

OPENMP = bool(WITH_OPENMP)


def relaxed():
    # true if this process flushes subnormals to zero, or if inf - inf is not NaN
    cdef double[2] numbers
    numbers[0], numbers[1] = float("1e-310"), float("inf")
    return numbers[0] * 1.0 == 0 or not numbers[1] - numbers[1] != numbers[1] - numbers[1]
"""


def run(folder, *command, **environment):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def setup(folder, *arguments, **environment):
    return run(folder, sys.executable, "setup.py", *arguments, **environment)


@needs_setup
def test_a_tree_that_cannot_be_written_is_one_line(tree):
    (tree / "build").touch()  # a file, not a folder: the build fails even for root
    done = setup(tree, "build_ext", "--inplace")
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("error: rfa is built in its source tree") and "'build" in line


def compiler_has_openmp(folder):
    (folder / "probe.c").write_text("#include <omp.h>\nint main(void) { return 0; }\n")
    return run(folder, *CC, "-fopenmp", "probe.c", "-o", "probe").returncode == 0


@pytest.fixture
def tree(tmp_path):
    """A tree with rfa's build scripts, and extensions that compile quickly."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in (ROOT / "rfa").rglob("__init__.py"):
        copy = tmp_path / package.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    for source in (ROOT / "rfa").rglob("*.pyx"):
        (tmp_path / source.relative_to(ROOT)).write_text(PYX)
    return tmp_path


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    (cited,) = [line.split(":")[1].strip() for line in lines if line.startswith("version:")]
    assert project["version"] == cited == metadata.version("rfa") == rfa.__version__


def test_an_unbuilt_tree_says_so_in_one_line(tmp_path):
    package = Path(rfa.__file__).parent
    for path in package.rglob("*.py"):
        copy = tmp_path / "rfa" / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    # -S: an editable install has a finder, which would find its kernels
    done = run(tmp_path, sys.executable, "-S", "-c", "import rfa", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: rfa's compiled kernels are missing")
    assert "pip install ." in last


@needs_setup
@pytest.mark.parametrize("compiler", ["/nonexistent/cc", "false"])
def test_a_build_without_compiler_or_headers_names_the_packages(tree, compiler):
    done = setup(tree, "build_ext", CC=compiler)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    for packages in ("build-essential python3-dev", "gcc python3-devel", "xcode-select --install"):
        assert packages in line


@needs_setup
def test_metadata_need_no_compiler(tree):
    done = setup(tree, "egg_info", CC="/nonexistent/cc")
    assert done.returncode == 0, done.stderr
    assert not (tree / "build").exists()


@pytest.mark.slow
@needs_setup
@needs_compiler
def test_a_change_of_flags_rebuilds_and_nothing_else_does(tree):
    available = compiler_has_openmp(tree)

    def build(choice):
        done = setup(tree, "build_ext", "--inplace", RFA_OPENMP=choice)
        assert done.returncode == 0, done.stderr
        (built,) = (tree / "rfa").glob("_kernels*.so")
        code = "import rfa._kernels as k, rfa.engines.planar.loop as p; print(k.OPENMP, p.OPENMP)"
        found = run(tree, sys.executable, "-c", code, PYTHONPATH=str(tree)).stdout.split()
        return found, built.stat().st_mtime_ns, done.stderr

    found, _, complaint = build("0")
    assert found == ["False", "False"]
    assert "no OpenMP" not in complaint
    found, first, complaint = build("1")
    assert found == [str(available)] * 2
    assert ("the compiler has no OpenMP" in complaint) == (not available)
    assert build("1")[:2] == (found, first)
    assert not list((tree / "rfa").rglob("*.c"))


@pytest.mark.slow
@needs_setup
@needs_compiler
def test_flags_of_the_user_do_not_relax_arithmetic(tree):
    flags = "-Ofast -ffast-math -funsafe-math-optimizations"
    done = setup(tree, "build_ext", "--inplace", CFLAGS=flags, LDFLAGS=flags)
    assert done.returncode == 0, done.stderr
    code = "import rfa._kernels, rfa.engines.planar.loop as p; print(p.relaxed())"
    assert run(tree, sys.executable, "-c", code, PYTHONPATH=str(tree)).stdout.split() == ["False"]


@needs_compiler
@pytest.mark.parametrize(
    "flag",
    ["-Ofast", "-ffinite-math-only", "-fno-signed-zeros", "-fsingle-precision-constant", None],
)
def test_leaves_are_not_compiled_with_relaxed_arithmetic(flag, tmp_path):
    headers = Path(rfa.__file__).parent / "kernels" / "simd"
    (tmp_path / "leaves.c").write_text('#include "leaves.h"\nint main(void) { return 0; }\n')
    flags = [flag] * (flag is not None)
    done = run(tmp_path, *CC, *flags, f"-I{headers}", "-fsyntax-only", "leaves.c")
    if flag is None:
        assert done.returncode == 0, done.stderr
    else:
        assert "rfa needs" in done.stderr or "not supported" in done.stderr


@pytest.mark.slow
@needs_setup
@needs_compiler
@pytest.mark.parametrize(("flags", "found"), [("", False), ("-L/prefix", True)])
def test_openmp_in_a_prefix_is_found_by_ldflags(tree, flags, found):
    # a compiler with which OpenMP links only if its folder is given
    wrapper = tree / "cc"
    wrapper.write_text(
        "#!/bin/sh\ncase \"$*\" in *' -c '*|*' -c'|*-L/prefix*) ;; *-fopenmp*) exit 1 ;; esac\n"
        f'exec {shlex.join(CC)} "$@"\n'
    )
    wrapper.chmod(0o755)
    available = compiler_has_openmp(tree)
    done = setup(tree, "build_ext", CC=str(wrapper), LDFLAGS=flags)
    assert done.returncode == 0, done.stderr
    assert ("the compiler has no OpenMP" in done.stderr) == (not (found and available))


# ------------------------------------------------------------------ the commit


def git(folder, *command):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    done = run(folder, "git", *who, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tree):
    """The tree as a repository, with its commit."""
    shutil.copy(ROOT / ".gitignore", tree)
    for source in (tree / "rfa").rglob("*.pyx"):
        source.unlink()  # the commit is not a matter of extensions
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "first")
    return tree, git(tree, "rev-parse", "HEAD")


def noted(tree, **environment):
    """What a build notes, and the files that git then sees."""
    shutil.rmtree(tree / "build", ignore_errors=True)
    done = setup(tree, "build_py", **environment)
    assert done.returncode == 0, done.stderr
    (file,) = (tree / "build").rglob("_commit.txt")
    return file.read_text().splitlines()


@pytest.mark.slow
@needs_setup
@needs_git
def test_a_build_notes_the_commit(repository, tmp_path):
    tree, commit = repository
    assert noted(tree, GIT_DIR="/nonexistent") == [commit, ""]
    assert git(tree, "status", "--porcelain") == ""
    (tree / "rfa" / "new.py").touch()
    assert noted(tree) == [commit, "built with changes that were not committed"]
    assert noted(tree, PATH="") == ["", "git did not tell the commit when rfa was built"]
    shutil.rmtree(tree / ".git")
    git(tmp_path.parent, "init", "-q")  # the repository of another project, around the tree
    try:
        assert noted(tree) == ["", "built from files without a git repository"]
    finally:
        shutil.rmtree(tmp_path.parent / ".git")


@pytest.mark.slow
@needs_setup
@needs_git
def test_an_sdist_notes_the_commit_for_the_wheel_built_from_it(repository, tmp_path):
    tree, commit = repository
    done = setup(tree, "sdist")
    assert done.returncode == 0, done.stderr
    assert git(tree, "status", "--porcelain") == ""
    (archive,) = (tree / "dist").glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path / "unpacked", filter="data")
    (sources,) = (tmp_path / "unpacked").iterdir()
    assert noted(sources) == [commit, ""]
    done = setup(sources, "sdist")  # its files may be hard links to those of the sources
    assert done.returncode == 0, done.stderr
    assert (sources / "rfa" / "_commit.txt").read_text().splitlines() == [commit, ""]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A package in a folder of its own, as _runtime sees it."""
    (tmp_path / "rfa").mkdir()
    monkeypatch.setattr(_runtime, "PACKAGE", tmp_path / "rfa")
    _runtime.commit.cache_clear()
    yield tmp_path
    _runtime.commit.cache_clear()


@pytest.mark.parametrize(
    ("text", "known"), [("abc\n\n", ("abc", "")), ("\nno git\n", (None, "no git"))]
)
def test_what_the_build_noted_is_in_the_provenance(text, known, place):
    (place / "rfa" / "_commit.txt").write_text(text)
    made = rfa.Experiment(n=4, d=2, m=2, steps=0).run(0).provenance
    assert (made["commit"], made["commit_note"]) == known
    told = _runtime.configuration()
    assert (told["commit"], told.get("commit_note", "")) == known


@needs_git
def test_a_source_tree_reads_the_commit(place, tmp_path):
    assert _runtime.commit()[0] is None and "without a git repository" in _runtime.commit()[1]
    git(place, "init", "-q")
    _runtime.commit.cache_clear()
    assert _runtime.commit()[0] is None  # there is no commit yet
    git(place, "commit", "-q", "--allow-empty", "-m", "first")
    commit = git(place, "rev-parse", "HEAD")
    for change in (("pack-refs", "--all"), ("checkout", "-q", "--detach")):
        _runtime.commit.cache_clear()
        assert _runtime.commit() == (commit, "a source tree: changes since are not known")
        git(place, *change)
    _runtime.commit.cache_clear()
    assert _runtime.commit()[0] == commit


@needs_git
def test_a_worktree_reads_the_commit_of_its_own_branch(place, tmp_path, monkeypatch):
    git(place, "init", "-q")
    git(place, "commit", "-q", "--allow-empty", "-m", "first")
    git(place, "worktree", "add", "-q", "-b", "other", "beside")
    git(place / "beside", "commit", "-q", "--allow-empty", "-m", "second")
    monkeypatch.setattr(_runtime, "PACKAGE", place / "beside" / "rfa")
    assert _runtime.commit()[0] == git(place / "beside", "rev-parse", "HEAD")
    assert _runtime.commit()[0] != git(place, "rev-parse", "HEAD")
