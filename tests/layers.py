"""The layers of rfa, from top to bottom, and the imports between its modules."""

import ast
import re
from pathlib import Path

# The sources beside the tests: an installed package has no Cython sources.
PACKAGE = Path(__file__).resolve().parent.parent / "rfa"

# A module may import modules of lower lines, and also of its own line if this makes no circle. A
# package stands for all of its modules that have no line of their own.
LAYERS = (
    "rfa.__main__",
    "rfa.cli",
    "rfa.report",
    "rfa.plot",
    "rfa.baselines",
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
    "rfa.kernels.layouts",
    "rfa.kernels.tasks",
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

# A Cython import: the module, and the names, which may take several lines.
CYTHON = re.compile(r"^\s*(?:from ([\w.]+) c?import (\([^)]*\)|[^\n]*)|c?import (rfa[\w.]*))", re.M)


def layer(module):
    """The line of a module in LAYERS."""
    while module not in LAYERS:
        module = module.rpartition(".")[0]
        if not module:
            raise ValueError("the module has no layer")
    return LAYERS.index(module)


def imports():
    """Pairs of modules, the first of which imports the second, late or for type checkers included.

    rfa/__init__.py and .pyi are left out, because they have names from all layers. What a module
    takes from rfa itself is imported from the public name's module; ``import rfa`` stands for all.
    """
    public = public_names()
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
                if origin == "rfa":
                    taken |= {public[name] for name in names if name in public}
                    taken |= set() if names else {LAYERS[0]}
                found |= {(module, other) for other in taken if other != module}
    return sorted(found)


def public_names():
    """The module of each public name, by the table in rfa/__init__.py."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_PUBLIC":
            table = ast.literal_eval(node.value)
            return {name: f"rfa.{module}" for name, module in table.items()}
    raise ValueError("rfa/__init__.py has no table of public names")


def statements(path):
    """The imports of a file: each module, and the names imported from it."""
    text = path.read_text()
    if re.search(r"^\s*(from|cimport|import) \.|\b__import__\(", text, re.MULTILINE):
        raise ValueError(f"{path} has an import that this module cannot follow")
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
    """The modules in circles of imports, and those on a path from one circle to another."""
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
