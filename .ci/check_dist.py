"""Check which files the sdist and the wheel in a folder hold."""

import sys
import tarfile
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
(sdist,) = folder.glob("*.tar.gz")
(wheel,) = folder.glob("*.whl")
with tarfile.open(sdist) as archive:
    source = [name.partition("/")[2] for name in archive.getnames()]
with zipfile.ZipFile(wheel) as archive:
    built = archive.namelist()

faults = []
for name in (
    "rfa/_kernels.pyx", "rfa/_kernels.pxd", "rfa/_leaves.h", "rfa/_leaves_level.h",
    "rfa/_leaves_losses.h", "rfa/_leaves_real.h", "rfa/_leaves_ring.h", "rfa/_leaves_sums.h",
    "rfa/_plans.pyx", "rfa/_threads.pyx", "rfa/engines/_direct.pyx",
    "rfa/engines/_gram.pyx", "rfa/engines/_planar.pyx", "rfa/engines/_signs.pyx",
    "rfa/engines/_observe.pyx", "rfa/engines/_observe.pxd",
    "setup.py", "pyproject.toml",
    "README.md", "LICENSE", "CITATION.cff", "tests/test_engines.py", "tests/fuzz.py",
    "tests/first_edition/run.npz", "bench/step.py",
    "docs/index.rst",
):  # fmt: skip
    if name not in source:
        faults.append(f"the sdist lacks {name}")
for name in (
    "rfa/_kernels.pyi", "rfa/_kernels.pxd", "rfa/_leaves.h", "rfa/py.typed",
    "rfa/engines/_direct.pyi", "rfa/theory/__init__.py",
):  # fmt: skip
    if name not in built:
        faults.append(f"the wheel lacks {name}")
modules = sum(name.endswith(".pyx") and name.startswith("rfa/") for name in source)
if sum(name.endswith(".so") for name in built) != modules:
    faults.append(f"the wheel does not have {modules} extension modules")
for where, names in (("sdist", source), ("wheel", built)):
    faults += [f"the {where} has {name}" for name in names if name.endswith((".c", ".pyc", ".o"))]
faults += [f"the wheel has {name}" for name in built if name.endswith(".pyx") or "tests" in name]
print(f"{len(source)} files in the sdist, {len(built)} in the wheel")
sys.exit("\n".join(faults) or 0)
