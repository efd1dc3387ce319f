"""What another thread may be in the middle of when a process forks, so that no child waits for it.

In a forked child there is only the thread that forked: what another thread held then, a lock of
Python's, nobody gives back. The fork itself waits for no other thread either, since that one may
wait for a lock that other libraries' hooks hold meanwhile (logging's do). So locks that a child may
need are left out, or replaced in it.

One that remains is Python's own: a module has a lock while it is imported, and a child that imports
a module which another thread was just importing hangs, in any package. So what runs and studies
need is imported before they begin.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

T = TypeVar("T")


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
