"""Why rfa has few locks: a forked child must not wait for a lock that nobody gives back.

A forked child has one thread, the copy of the thread that forked. If another thread held a lock at
that moment, the lock stays taken in the child for ever. A hook that takes the lock before the fork
is no remedy: the thread that holds it may itself wait for a lock that another library's hook has
already taken (logging has such a hook). So rfa does without locks that a child may need, or
replaces them in the child.

One lock remains, and it is Python's. Python locks a module while it imports it. A child hangs if it
imports a module that another thread was importing during the fork; this is so in every package. So
rfa imports whatever runs and studies need before they begin.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

T = TypeVar("T")


class cached_property(functools.cached_property[T]):  # noqa: N801
    """functools.cached_property without its lock, which all instances share before CPython 3.12.

    If two threads ask at the same time, both may compute the value, and one of the two is kept.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        assert self.attrname is not None, "the class body sets the name"
        if self.attrname not in instance.__dict__:
            instance.__dict__[self.attrname] = self.func(instance)
        return instance.__dict__[self.attrname]
