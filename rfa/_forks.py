"""What another thread may be in the middle of when a process forks, so that no child waits for it.

In a forked child there is only the thread that forked: what another thread held then, a lock of
Python's, nobody gives back.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Packages that rfa imports only when they are needed, in whatever thread that is.
LATE = ("rfa", "numpy", "scipy", "matplotlib", "tqdm", "threadpoolctl")


class cached_property(functools.cached_property[T]):  # noqa: N801
    """functools' own without its lock, which before CPython 3.12 is one for all instances.

    Two threads that ask at the same time may both compute the value; one of the two is kept.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        assert self.attrname is not None, "made by the class's body"
        if self.attrname not in instance.__dict__:
            instance.__dict__[self.attrname] = self.func(instance)
        return instance.__dict__[self.attrname]


def at_fork(
    before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
    in_child: Callable[[], object] | None = None,
) -> None:
    """os.register_at_fork, where the system has forks."""
    if hasattr(os, "register_at_fork"):
        hooks = {"before": before, "after_in_parent": in_parent, "after_in_child": in_child}
        os.register_at_fork(**{name: hook for name, hook in hooks.items() if hook is not None})


def finish_imports() -> None:
    """Wait for the imports of rfa, and of what it imports late, that other threads have begun.

    A module has a lock while it is imported, which a child that imports it would wait for.
    """
    for name, module in list(sys.modules.items()):
        begun = getattr(getattr(module, "__spec__", None), "_initializing", False)
        if begun and name.partition(".")[0] in LATE:
            # waits for that lock; an import that fails tells so where it was asked for
            with contextlib.suppress(Exception):
                importlib.import_module(name)


at_fork(before=finish_imports)
