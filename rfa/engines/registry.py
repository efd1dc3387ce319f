"""The engines by name, which one takes the steps, and the one that waits for the next run."""

from __future__ import annotations

import threading

from rfa import _validate
from rfa.engines import choice
from rfa.engines.direct.engine import DirectEngine
from rfa.engines.gram.engine import GramEngine
from rfa.engines.interface import Engine, Reusable
from rfa.engines.planar.engine import PlanarEngine
from rfa.engines.problem import FloatArray, Problem
from rfa.engines.reference import ReferenceEngine

ENGINES: dict[str, type[Engine]] = {
    "direct": DirectEngine,
    "gram": GramEngine,
    "planar": PlanarEngine,
    "reference": ReferenceEngine,
}

# The pool: each thread keeps the engine of its last run, if that engine can be reused and has at
# most KEPT_BYTES bytes. In many small runs fresh memory would cost as much as the steps.
KEPT_BYTES = 2**26
_waiting = threading.local()


def chosen(engine: str, problem: Problem, m: int) -> str:
    """The name of the engine that takes the steps; ValueError if that engine refuses the problem.

    "auto" is the cheapest engine that accepts the problem. This choice does not depend on the
    number of steps, so that the steps of a short run are the first ones of a long run.
    """
    if isinstance(engine, str) and engine == "auto":
        n, d = problem.X.shape
        by_cost = choice.by_cost(n, d, m, len(problem.test_X), problem.X.dtype)
        return next(name for name in by_cost if not ENGINES[name].refuses(problem))
    if not isinstance(engine, str) or engine not in ENGINES:
        raise ValueError(
            f"engine must be 'auto' or one of {sorted(ENGINES)}, got {_validate.shown(engine)}"
        )
    why = ENGINES[engine].refuses(problem)
    if why:
        raise ValueError(why)
    return engine


def make(name: str, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> Engine:
    """An engine at t = 0: that of this thread's last run if it fits, else a new one."""
    # out of the pool: stop may train, within this run, and that run must have another engine
    last = _waiting.__dict__.pop("engine", None)
    made = ENGINES[name]
    if type(last) is made and isinstance(last, Reusable) and last.fits(problem, W, n_threads):
        last.load(problem, W, a)
        return last
    return made(problem, W, a, n_threads)


def keep(engine: Engine) -> None:
    """Put an engine whose run has ended into the pool, if it belongs there."""
    if isinstance(engine, Reusable) and engine.nbytes <= KEPT_BYTES:
        _waiting.engine = engine
