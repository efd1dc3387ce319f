"""Check which files are in the sdist and in the wheel of a folder.

Use: check_dist.py FOLDER
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# the build writes it, so it is not tracked
COMMIT = "rfa/_commit.txt"

folder = Path(sys.argv[1])
(sdist,) = folder.glob("*.tar.gz")
(wheel,) = folder.glob("*.whl")
with tarfile.open(sdist) as archive:
    source = [name.partition("/")[2] for name in archive.getnames()]
with zipfile.ZipFile(wheel) as archive:
    built = archive.namelist()
    noted = archive.read(COMMIT).decode().splitlines() if COMMIT in built else []

# compared with the tracked files, since a list of names would go stale when files move
tree = Path(__file__).parents[1]
tracked = subprocess.run(["git", "ls-files"], cwd=tree, capture_output=True, text=True, check=True)
files = [name for name in tracked.stdout.splitlines() if not name.startswith(".git")]
faults = [f"the sdist lacks {name}" for name in files if name not in source]
package = [name for name in files if name.startswith("rfa/") and not name.endswith(".pyx")]
faults += [f"the wheel lacks {name}" for name in package if name not in built]
modules = sum(name.endswith(".pyx") and name.startswith("rfa/") for name in source)
if sum(name.endswith(".so") for name in built) != modules:
    faults.append(f"the wheel does not have {modules} extension modules")
head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True)
if noted != [head.stdout.strip(), ""]:
    faults.append(f"the wheel notes {noted}, but the commit is {head.stdout.strip()}")
for where, names in (("sdist", source), ("wheel", built)):
    faults += [f"the {where} has {name}" for name in names if name.endswith((".c", ".pyc", ".o"))]
faults += [f"the wheel has {name}" for name in built if name.endswith(".pyx") or "tests" in name]
print(f"{len(source)} files in the sdist, {len(built)} in the wheel")
sys.exit("\n".join(faults) or 0)
