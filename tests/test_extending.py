"""Other Cython code cimports the kernels of the installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import problems
import pytest

import rfa

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
