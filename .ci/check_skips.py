"""Print the skipped tests in JUnit reports, and fail if one of them is not in a list.

Use: check_skips.py LIST REPORT ...
     check_skips.py --count REPORT ...   prints the numbers of passed, failed and skipped tests
A line of the list has the beginning of a test's name, two spaces, # and the reason for the skip.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

listed, *reports = sys.argv[1:]
cases = [case for report in reports for case in ElementTree.parse(report).iter("testcase")]
skipped = [case for case in cases if case.find("skipped") is not None]
if listed == "--count":
    failed = sum(case.find(kind) is not None for case in cases for kind in ("failure", "error"))
    print(f"{len(cases) - len(skipped) - failed} passed, {failed} failed, {len(skipped)} skipped")
    sys.exit(failed > 0)
allowed = [line.split("  #")[0] for line in Path(listed).read_text().splitlines() if "  #" in line]
unlisted = []
for case in skipped:
    name = f"{case.get('classname')}::{case.get('name')}"
    print(f"skipped: {name}: {case.find('skipped').get('message')}")
    if not name.startswith(tuple(allowed)):
        unlisted.append(name)
sys.exit("\n".join(f"skipped, but not in {listed}: {name}" for name in unlisted) or 0)
