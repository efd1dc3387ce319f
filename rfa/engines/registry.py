"""The engines by name: which one takes the steps, and those that wait for the next run."""

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

# An engine of up to this many bytes waits for the next run of its thread: in many small runs fresh
# memory costs as much as the steps.
KEPT_BYTES = 2**26
_waiting = threading.local()


def chosen(engine: str, problem: Problem, m: int) -> str:
    """The name of the engine that takes the steps.

    "auto" is the cheapest one, by sizes alone, that accepts the problem. So a short run is a prefix
    of a long one.
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
    """An engine at t = 0: a new one, or that of this thread's last run if it fits."""
    # taken out, for a run within this one (in stop) must have another
    last = _waiting.__dict__.pop("engine", None)
    made = ENGINES[name]
    if type(last) is made and isinstance(last, Reusable) and last.fits(problem, W, n_threads):
        last.load(problem, W, a)
        return last
    return made(problem, W, a, n_threads)


def keep(engine: Engine) -> None:
    """Let an engine whose run has ended wait for the next one, if it can be used again."""
    if isinstance(engine, Reusable) and engine.nbytes <= KEPT_BYTES:
        _waiting.engine = engine
