"""What docs/extending shows works; other Cython code cimports the kernels."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import problems
import pytest

import rfa

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "extending" / "examples"
FROM_OUTSIDE = ("law", "measure", "noise_rule", "own_statement")
INSIDE = ("command", "engine", "loss", "quantity", "statement")

MODULE = """
# cython: language_level=3
from libc.stdint cimport int64_t, uint64_t
from rfa._kernels cimport activation_masks_out, active_counts_out, forward_out, gradient_out
from rfa.kernels.levels cimport WORD

def word():
    return WORD

def masks(const double[:, :] X, const double[:, :] W, uint64_t[:, ::1] masks):
    with nogil:
        activation_masks_out(X, W, masks, 2)

def counts(const uint64_t[:, ::1] masks, const int64_t[:] groups, int64_t[:, ::1] counts):
    with nogil:
        active_counts_out(masks, groups, counts)

def forward(const double[:, :] X, const double[:, :] W, const double[:] a, double[::1] f):
    with nogil:
        forward_out(X, W, a, f, 1)

def gradient(const float[:, :] X, const double[:] y, const float[:, :] W, const float[:] a,
             float[:, ::1] gradient):
    with nogil:
        gradient_out(X, y, W, a, gradient, 2)
"""

SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

extension = Extension("extending", ["extending.pyx"], include_dirs=[sys.argv.pop()])
setup(
    name="extending",
    ext_modules=cythonize([extension], include_path=[sys.argv.pop()]),
    script_args=["build_ext", "--inplace"],
)
"""


def has_compiler():
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(command) is not None


@pytest.fixture(scope="module")
def extending(tmp_path_factory):
    # users who test an installed wheel may have no compiler; .ci/run fails on unlisted skips
    if not has_compiler():
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("extending")
    (folder / "extending.pyx").write_text(MODULE)
    (folder / "setup.py").write_text(SETUP)
    package = Path(rfa.__file__).parent
    built = subprocess.run(
        [sys.executable, "setup.py", str(package.parent), str(package / "kernels" / "simd")],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    sys.path.insert(0, str(folder))
    try:
        import extending
    finally:
        sys.path.remove(str(folder))
    return extending


def test_cimported_kernels_are_the_public_ones(extending):
    rng = problems.own_rng(0)
    X, W, a = rng.standard_normal((101, 5)), rng.standard_normal((13, 5)), rng.standard_normal(13)
    y, groups = rng.choice([-1, 1], 101), rng.integers(0, 3, 101)
    assert extending.word() == 64

    masks = np.empty((13, 2), np.uint64)
    extending.masks(X, W, masks)
    assert (masks == rfa.kernels.activation_masks(X, W)).all()
    counts = np.empty((13, 3), np.int64)
    extending.counts(masks, groups, counts)
    assert (counts == rfa.kernels.active_counts(X, W, groups)).all()
    f = np.empty(101)
    extending.forward(X, W, a, f)
    assert f.tobytes() == rfa.kernels.forward(X, W, a).tobytes()
    X, W, a = (array.astype(np.float32) for array in (X, W, a))
    gradient = np.empty((13, 5), np.float32)
    extending.gradient(X, y.astype(float), W, a, gradient)
    assert gradient.tobytes() == rfa.kernels.gradient(X, y, W, a).tobytes()


# ------------------------------------------------------------------ the pages of docs/extending


def shown(name):
    """What the page says that an example prints."""
    return (EXAMPLES / f"{name}.txt").read_text()


def is_compiled(name):
    """Whether the patch changes what has to be compiled."""
    return re.search(r"^\+\+\+ \S+\.(pyx|pxd|h)$", patch(name), re.MULTILINE) is not None


def patch(name):
    return (EXAMPLES / f"{name}.patch").read_text()


def printed_with_patch(name, tree):
    """What an example prints with the package in the tree, to which its patch is applied."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    # a tree within a repository would be taken for a part of it
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    # other files are of the source tree: the list of packages, and what is built from it
    command = ["git", "apply", "--include=rfa/*", str(EXAMPLES / f"{name}.patch")]
    subprocess.run(command, cwd=tree, env=environment, check=True, timeout=60)
    if is_compiled(name):
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        built = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=1800)
        assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tree,
        env={**environment, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    kinds = dict.fromkeys(FROM_OUTSIDE, ("py", "txt"))
    kinds |= dict.fromkeys(INSIDE, ("patch", "py", "txt"))
    assert files == {f"{name}.{kind}" for name in kinds for kind in kinds[name]}
    for name in kinds:
        page = (ROOT / "docs" / "extending" / f"{name}.rst").read_text()
        for kind in kinds[name]:
            assert f".. literalinclude:: examples/{name}.{kind}" in page


@pytest.mark.parametrize("name", FROM_OUTSIDE)
def test_an_example_prints_what_its_page_shows(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out == shown(name)


@pytest.mark.parametrize("name", [name for name in INSIDE if not is_compiled(name)])
def test_a_patch_adds_what_its_page_shows(name, tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(rfa.__file__).parent, tmp_path / "rfa", ignore=ignored)
    assert printed_with_patch(name, tmp_path) == shown(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in INSIDE if is_compiled(name)])
def test_a_patch_adds_what_its_page_shows_once_it_is_built(name, tmp_path):
    if not (ROOT / "setup.py").is_file():
        pytest.skip("the tests do not stand in a source tree")
    if not has_compiler():
        pytest.skip("no C compiler")
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c")
    shutil.copytree(ROOT / "rfa", tmp_path / "rfa", ignore=ignored)
    assert printed_with_patch(name, tmp_path) == shown(name)
