"""What the package says where it cannot be built or imported, and its version."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import rfa

ROOT = Path(__file__).resolve().parent.parent


def test_an_unbuilt_source_tree_says_so_in_one_line(tmp_path):
    package = Path(rfa.__file__).parent
    shutil.copytree(package, tmp_path / "rfa", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    # -S: without site-packages, where an editable install would lend its kernels
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import rfa"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: rfa's compiled kernels are missing")
    assert "pip install ." in last


@pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="not in a source tree")
def test_a_missing_compiler_is_one_line_with_the_packages(tmp_path):
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "rfa", tmp_path / "rfa", ignore=shutil.ignore_patterns("*.so"))
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, "CC": "/nonexistent/cc"},
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    for words in ("build-essential python3-dev", "gcc python3-devel", "xcode-select --install"):
        assert words in last


@pytest.mark.skipif(not (ROOT / "CITATION.cff").is_file(), reason="not in a source tree")
def test_one_version():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited[1] == metadata.version("rfa") == rfa.__version__
