"""The documentation has all statements and public names, and shows real output."""

from __future__ import annotations

import csv
import importlib
import inspect
import re
import runpy
import tokenize
from itertools import pairwise
from pathlib import Path

import pytest

import rfa
from rfa.cli.main import main
from rfa.theory import STATEMENTS
from rfa.theory.statement import KNOWN

ROOT = Path(__file__).resolve().parent.parent
THEORY = (ROOT / "docs" / "theory.rst").read_text()


def test_the_table_of_statements_is_complete():
    table = THEORY.split(".. csv-table::")[1].split("\n\n")[1]
    rows = csv.reader(table.splitlines(), skipinitialspace=True)
    shown = [tuple(cell.strip("`") for cell in row) for row in rows]
    statements = [KNOWN[name] for name in STATEMENTS]
    assert shown == [(s.id, *s.numbers, s.text) for s in statements]


def console():
    """The commands of docs/theory.rst with the lines that are shown under each."""
    for block in re.findall(r"code-block:: console\n\n((?:   .*\n|\n)+)", THEORY):
        command, *lines = inspect.cleandoc(block).splitlines()
        yield command, [line for line in lines if line and line.strip() != "..."]


@pytest.mark.parametrize(("command", "lines"), list(console()))
def test_output_that_is_shown_is_what_is_printed(command, lines, capsys):
    prompt, program, *arguments = command.split()
    assert (prompt, program) == ("$", "rfa")
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert lines == [line for line in printed if line in lines]
    assert len(lines) > 1


def test_three_outputs_are_shown():
    assert len(list(console())) == 3


def python_blocks(text):
    """The Python code in blocks of Markdown or reStructuredText."""
    fenced = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    directives = re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", text)
    return "\n".join([*fenced, *map(inspect.cleandoc, directives)])


def test_the_examples_of_the_readme_run(capsys):
    exec(python_blocks((ROOT / "README.md").read_text()), {})
    printed = capsys.readouterr().out
    assert "(A1)-(A7) hold for C in [16, 16.67] at delta = 0.1" in printed
    assert re.search(r"^True \d+\.\d+$", printed, re.MULTILINE)
    assert f"all {len(STATEMENTS)} statements" in (ROOT / "README.md").read_text()


def test_the_examples_of_the_page_run(monkeypatch):
    drawn = []
    monkeypatch.setattr("rfa.plot.proportions", lambda study, **cell: drawn.append((study, cell)))
    code = python_blocks(THEORY)
    assert "trials=200" in code
    exec(code.replace("trials=200", "trials=2"), {})
    ((study, cell),) = drawn
    assert (len(study), cell) == (6, {"omega_init": 2.5e-4})


def documented():
    """The full names that the pages of the reference document."""
    names = set()
    for page in (ROOT / "docs" / "api").glob("*.rst"):
        text = page.read_text()
        names |= set(re.findall(r"^\.\. (?:auto|py:)[a-z]+:: (\S+)$", text, re.MULTILINE))
        for name in re.findall(r"^\.\. automodule:: rfa\.(\S+)\n   :members:$", text, re.MULTILINE):
            module = getattr(rfa, name)
            names |= {
                f"rfa.{name}.{member}"
                for member, value in inspect.getmembers(module, inspect.isfunction)
                if value.__module__ == module.__name__ and not member.startswith("_")
            }
    return names


def test_every_public_name_is_on_a_page_of_the_reference():
    packages = {"rfa.theory", "rfa.studies", "rfa.baselines"}
    public = {f"rfa.{name}" for name in rfa.__all__} - packages
    public |= {f"rfa.baselines.{name}" for name in rfa.baselines.__all__}
    public |= {f"rfa.theory.{name}" for name in rfa.theory.__all__}
    public |= {f"rfa.studies.{name}" for name in ("Proportion", "checks", "final", "refuted")}
    public |= {f"rfa.plot.{name}" for name in rfa.plot.__all__}
    assert public <= documented()
    assert {*rfa.studies.__all__} == {
        *("Proportion", "Study", "TrialError", "study", "checks", "final", "refuted")
    }


def test_what_is_on_a_page_exists():
    for name in documented():
        value = rfa
        for part in name.split(".")[1:]:
            value = getattr(value, part)


@pytest.mark.parametrize("folder", [".", "architecture", "extending"])
def test_every_page_is_in_the_index_of_its_folder(folder):
    folder = ROOT / "docs" / folder
    index = (folder / "index.rst").read_text()
    tree = index.split(".. toctree::\n   :maxdepth: 1\n\n")[1]
    listed = re.match(r"(?:   [a-z_/]+\n)+", tree)[0].split()
    pages = {page.stem for page in folder.glob("*.rst")} - {"index"}
    pages |= {f"api/{page.stem}" for page in folder.glob("api/*.rst")}
    pages |= {f"{page.parent.name}/index" for page in folder.glob("*/index.rst")}
    assert sorted(listed) == sorted(pages)


def test_the_picture_of_the_house():
    if not (ROOT / "rfa").is_dir():
        pytest.skip("the tests do not stand in a source tree")
    house = runpy.run_path(str(ROOT / "docs" / "house.py"))
    below = house["graph"]()
    drawn = house["arrows"](below)
    floor = house["floors"](drawn)
    assert all(floor[upper] < floor[lower] for upper, lower in drawn)

    # whatever a room imports can be reached by arrows, and no arrow is spared by the others
    def reached(room, arrows):
        lower = {end for start, end in arrows if start == room}
        return lower.union(*(reached(other, arrows) for other in lower))

    for room in house["ROOMS"]:
        assert below[room] <= reached(room, drawn)
    for upper, lower in drawn:
        assert lower in below[upper]
        assert lower not in reached(upper, [arrow for arrow in drawn if arrow != (upper, lower)])
    # boxes do not overlap, and arrows keep away from the boxes of the floors that they pass
    ways, x = house["placed"](drawn, floor)
    for row in range(max(floor.values()) + 1):
        boxes = sorted(x[room] for room in floor if floor[room] == row)
        assert all(b - a > house["BOX"] for a, b in pairwise(boxes))
        passing = [x[place] for way in ways.values() for place in way[1:-1] if place[2] == row]
        assert all(abs(p - box) > house["BOX"] / 2 for p in passing for box in boxes)
    picture = house["picture"]()
    assert picture.count("<rect ") == len(house["ROOMS"])
    assert picture.count('class="arrow"') == len(drawn)
    with pytest.raises(ValueError, match="rfa.attic belongs to no room"):
        house["room_of"]("rfa.attic")


def test_every_command_is_in_the_documentation():
    usage = (ROOT / "docs" / "usage.rst").read_text()
    readme = (ROOT / "README.md").read_text()
    for command in ("reproduce", "train", "check", "audit", "info"):
        assert f"``rfa {command}" in usage and f"`rfa {command}" in readme


# Names in prose: of files, of folders behind one of these words, and of modules with their members.
# NAME stands for any name (rfa/cli/NAME.py), and a header in angle brackets is not of rfa.
FILE = re.compile(
    r"(?<![\w./<-])(?:\.\./)*((?:[\w.-]+/)*\w[\w-]*\.(?:pyx|pxd|pyi|py|rst|md|toml|patch|h))\b"
)
FOLDER = re.compile(
    r"(?<![\w./:-])((?:rfa|tests|docs|bench|cli|data|engines|estimates|kernels|simd|studies|theory"
    r"|training)/(?:[a-z_]+/?)*)(?![\w.*])"
)
MODULE = re.compile(r"(?<![\w./-])rfa(?:\.\w+)+(?!\w|\.\w)")
# Of other packages, of the reader's own, of the OpenMP runtime.
FOREIGN = {"extending.pyx", "omp.h", "path.md"}


def prose(path):
    """Comments and docstrings of a Python file, all of another one but what it includes."""
    if path.suffix != ".py":
        return re.sub(r"(#include|cdef extern from) .*", "", path.read_text())
    with path.open("rb") as file:
        parts = [
            part.string for part in tokenize.tokenize(file.readline)
            if part.type == tokenize.COMMENT or part.string.startswith(('"""', 'r"""'))
        ]  # fmt: skip
    return "\n".join(parts)


def sources():
    """All files of the source tree that people write."""
    folders = ("rfa", "tests", "docs", "bench")
    kinds = (".py", ".pyi", ".pyx", ".pxd", ".h", ".rst", ".md", ".patch")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found = [path for path in found if path.suffix in kinds and "_build" not in path.parts]
    return [
        *found,
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "pyproject.toml", "setup.py")),
    ]


def is_a_name(name):
    """Whether a name with dots is a module, or a member of a module or of a class."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:k]))
        except ImportError:
            continue
        for part in parts[k:]:
            if part in getattr(value, "__annotations__", {}) and not hasattr(value, part):
                return True
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def test_files_and_modules_that_are_named_exist():
    if not (ROOT / "rfa").is_dir():
        pytest.skip("the tests do not stand in a source tree")
    files = [f"/{path.relative_to(ROOT).as_posix()}" for path in sources()]
    unknown, read = [], 0
    for path in sources():
        text = prose(path) if path.suffix not in (".patch", ".toml") else ""
        names = {name for name in FILE.findall(text) if "NAME" not in name}
        wrong = [n for n in names - FOREIGN if not any(file.endswith(f"/{n}") for file in files)]
        folders = {name.rstrip("/") for name in FOLDER.findall(text)}
        wrong += [name for name in folders if not any(f"/{name}/" in file for file in files)]
        modules = set(MODULE.findall(text))
        wrong += [name for name in modules if not is_a_name(name)]
        unknown += [f"{path.relative_to(ROOT)}: {name}" for name in wrong]
        read += len(names) + len(folders) + len(modules)
    assert unknown == []
    assert read > 300
