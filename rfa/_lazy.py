"""Packages that import a public name when it is first asked for.

`import rfa` takes little time and memory, because it loads a part of the package only with the
first use of one of its names.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def attach(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Full name of the package.
    modules : mapping of str to str
        For each public name, the module inside the package that defines it. If the two are equal,
        the name is that of the module itself.
    """

    def public(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        value = module if name == modules[name] else getattr(module, name)
        setattr(sys.modules[package], name, value)  # the next access does not come here
        return value

    def names() -> list[str]:
        # modules that were imported meanwhile are attributes of the package, but not public
        return sorted(modules)

    return public, names
