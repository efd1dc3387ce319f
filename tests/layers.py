"""The layers of rfa, from top to bottom, and the imports between its modules."""

import ast
import re
from pathlib import Path

import rfa

PACKAGE = Path(rfa.__file__).parent

# A module may import those of the lines below its own, and those of its own line if no circle comes
# of it. A package stands for all of its modules that have no line of their own.
LAYERS = (
    "rfa.__main__",
    "rfa.cli",
    "rfa.report",
    "rfa.plot",
    "rfa.studies",
    "rfa.presets",
    "rfa.experiment",
    "rfa.theory",
    "rfa.training",
    "rfa.estimates",
    "rfa.engines",
    "rfa.network",
    "rfa.data",
    "rfa.kernels",
    "rfa.reference",
    "rfa.setting",
    "rfa.losses",
    "rfa._runtime",
    "rfa._kernels",
    "rfa.kernels.plans",
    "rfa.kernels.guards",
    "rfa.kernels.levels",
    "rfa.kernels.openmp",
    "rfa.kernels.threads",
    "rfa._seeds",
    "rfa._files",
    "rfa._tables",
    "rfa._forks",
    "rfa._validate",
    "rfa._lazy",
)

# An import of Cython's: the module, and what is taken from it, which may go on for several lines.
CYTHON = re.compile(r"^\s*(?:from ([\w.]+) c?import (\([^)]*\)|[^\n]*)|c?import (rfa[\w.]*))", re.M)


def layer(module):
    """The line of a module in LAYERS."""
    while module not in LAYERS:
        module = module.rpartition(".")[0]
        if not module:
            raise ValueError("the module has no layer")
    return LAYERS.index(module)


def imports():
    """Pairs of modules of which the first imports the second: late, and for type checkers, too.

    rfa/__init__.py is left out: it has names of all layers, each of which it imports when asked.
    """
    modules = {}
    for kind in ("pyi", "pxd", "pyx", "py"):
        for path in PACKAGE.rglob(f"*.{kind}"):
            name = ".".join(("rfa", *path.relative_to(PACKAGE).with_suffix("").parts))
            modules.setdefault(name.removesuffix(".__init__"), []).append(path)
    del modules["rfa"]
    found = set()
    for module, paths in modules.items():
        for path in paths:
            for origin, names in statements(path):
                inner = {f"{origin}.{name}" for name in names} & modules.keys()
                taken = inner or {origin} & modules.keys()
                found |= {(module, other) for other in taken if other != module}
    return sorted(found)


def statements(path):
    """The imports of a file: a module, and the names that are taken from it."""
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        for match in CYTHON.finditer(text):
            yield match[1] or match[3], re.findall(r"\w+", match[2] or "")
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def upwards(pairs):
    """The imports that point upwards."""
    return [(module, other) for module, other in pairs if layer(module) > layer(other)]


def circle(pairs):
    """The modules that are in a circle of imports, or stand above one and below another."""
    below = {}
    for module, other in pairs:
        below.setdefault(module, set()).add(other)
    for edges in (below, {m: {o for o in below if m in below[o]} for m in below}):
        ended = True
        while ended:
            ended = [m for m in below if not edges[m] & below.keys()]
            for module in ended:
                del below[module]
    return sorted(below)
