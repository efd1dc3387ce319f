"""Gradient descent: train() owns the loop, the recorded steps, stopping and progress."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rfa import _kernels, _runtime, _seeds, _validate
from rfa.data import Dataset
from rfa.engines import Extent, FloatArray, IntArray, Observations, Problem, auto
from rfa.engines.direct import DirectEngine
from rfa.engines.gram import GramEngine, products_out_of_range
from rfa.engines.planar import PlanarEngine
from rfa.engines.reference import ReferenceEngine
from rfa.history import Row, derive, nbytes
from rfa.network import Network
from rfa.run import Run
from rfa.theory._horizon import floored_horizon

if TYPE_CHECKING:
    from rfa.studies import Study

logger = logging.getLogger("rfa")

# Steps up to this one, or to the horizon if that comes first, are recorded by every setting but
# None, so that the theory's statements, which speak of every step, can be checked.
EARLY_STEPS = 1000

# No run takes this many; up to here steps are exact in every type they go through.
MAX_STEPS = 2**53

# What the engines and the history count, samples and neurons, they count in 32 bits.
MAX_COUNT = 2**31 - 1

# Bytes that what is recorded may take, and as many that the snapshots may.
MAX_HISTORY = 2**34

# An engine of up to so many bytes waits for the next run of its thread: in many small runs fresh
# memory costs as much as the steps.
KEPT_BYTES = 2**26
_waiting = threading.local()

# Progress is shown for runs that last longer than DELAY, in pieces of about INTERVAL seconds.
DELAY, INTERVAL = 2.0, 0.2


class Engine(Protocol):
    """The interface of the engines; see :mod:`rfa.engines`."""

    def __init__(self, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> None: ...
    @property
    def t(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def diverged(self) -> bool: ...
    @property
    def stats(self) -> dict[str, int]: ...
    def advance(self, until: int, at: IntArray, out: Observations, row: int) -> int: ...
    def weights(self) -> tuple[FloatArray, FloatArray]: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...


ENGINES: dict[str, type[Engine]] = {
    "direct": DirectEngine,
    "gram": GramEngine,
    "planar": PlanarEngine,
    "reference": ReferenceEngine,
}


class Interrupted(KeyboardInterrupt):
    """Training, or a study, was interrupted by Ctrl-C.

    Attributes
    ----------
    run : Run or None
        The run up to the last whole step, with status ``"interrupted"``.
    study : Study or None
        The study with the trials that were finished, if it was a study.

    Examples
    --------
    >>> import rfa
    >>> issubclass(rfa.Interrupted, KeyboardInterrupt)
    True
    """

    def __init__(self, run: Run | None = None, study: Study | None = None) -> None:
        done = (
            f"at t={run.t}"
            if run is not None
            else f"after {0 if study is None else len(study)} runs"
        )
        super().__init__(f"interrupted {done}")
        self.run, self.study = run, study

    def __reduce__(self) -> tuple[type[Interrupted], tuple[Run | None, Study | None]]:
        return Interrupted, (self.run, self.study)


def train(
    net: Network,
    data: Dataset,
    alpha: float = 0.05,
    steps: int | None = None,
    test: Dataset | None = None,
    engine: str = "auto",
    record: str | int | Iterable[int] | None = "log",
    snapshots: Iterable[int] | None = (),
    stop: Callable[[int, Row], bool] | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Run:
    """Train the first layer by full-batch gradient descent on the logistic loss.

    Parameters
    ----------
    net : Network
        The network at t = 0. Its second layer stays fixed.
    data : Dataset
        Training data of n samples in dimension d.
    alpha : float, default 0.05
        Step size; alpha / n must be a normal number of the type of X.
    steps : int, optional
        Number of steps; None: the theorem's horizon T = 1 + 1/(4 alpha). 0 records the initial
        state.
    test : Dataset, optional
        Data on which the error is recorded.
    engine : {"auto", "direct", "gram", "planar", "reference"}
        How a step is computed, see :mod:`rfa.engines`. All take the same steps up to rounding.
        "auto" is planar for d = 2, gram for n up to 2.4 d + 330 in float32 or 2.4 d + 165 in
        float64, 2.7 d + 400 or + 200 for more than 252 neurons (unless its arrays would take more
        than 2 GiB, or products of samples overflow or underflow), direct otherwise; see
        ``rfa.engines.auto`` for its constants.
    record : {"log", "all", None}, int or iterable of int
        Which steps go into the history. "log": t = round(10^(k/40)) and the last; "all"; k: every
        k-th and the last; a list of steps; None: the last only. Each but None also takes the steps
        0, ..., min(T, 1000), T-1 and T. With the paper's clusters a row takes about 72 m bytes, up
        to T 128 m more; all rows together may take 16 GiB.
    snapshots : iterable of int or None
        Further steps (beside 1 and T) whose W_t is kept, up to 16 GiB of them; steps beyond the
        last are an error. None: no W_t is kept but the last.
    stop : callable(t, row) -> bool, optional
        Called at recorded steps with the history entries of that step; the run ends there if the
        answer is true.
    n_threads : int, optional
        Number of threads, None: OMP_NUM_THREADS or the CPUs available, at most what threadpoolctl
        allows. It does not change a bit of the result.
    progress : bool, optional
        Whether to show a progress bar on stderr; None: if the run takes longer than about two
        seconds and stderr is a terminal.

    Returns
    -------
    Run
        The result; net and data are not changed.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type, before anything is computed.
    Interrupted
        After Ctrl-C, carrying the run so far; a bare KeyboardInterrupt while arrays are set up,
        before there is a run.

    Notes
    -----
    W_{t+1} = W_t - alpha * gradient of (1/n) sum_i log(1 + exp(-y_i f(x_i; W_t))), Section 2.1.
    X decides the type: float32 if X is float32, else float64; W_0 is rounded to it once. A step
    costs O(n m d), gram O(n^2 m), planar O(n + m + changes of A). What is recorded, snapshots, stop
    and progress never change W. A gram engine of up to 64 MiB is kept for the next run of its
    thread. Rounding errors of planar are relative to sums over all samples: if one sample is larger
    than the rest by ten orders of magnitude or more, take engine="direct".

    Examples
    --------
    >>> import rfa
    >>> data = rfa.XORClusters(d=2).sample(n=500, rng=0)
    >>> run = rfa.train(rfa.Network.random(m=50, d=2, rng=0), data, alpha=0.05, steps=500)
    >>> run.status, run.t, bool(run.history.loss[-1] < run.history.loss[0])
    ('finished', 500, True)
    """
    _validate.instance(net, "net", Network, "a rfa.Network")
    _validate.instance(data, "data", Dataset, "a rfa.Dataset")
    if test is not None:
        _validate.instance(test, "test", Dataset, "a rfa.Dataset or None")
    for name, other in (("net", net.d), ("test", data.d if test is None else test.d)):
        if other != data.d:
            raise ValueError(f"{name} has dimension d={other}, the data have d={data.d}")
    for name, size, what in (
        ("data", data.n, "samples"),
        ("test", 0 if test is None else test.n, "samples"),
        ("net", net.m, "neurons"),
    ):
        if size > MAX_COUNT:
            raise ValueError(f"{name} must have at most 2^31 - 1 {what} for a run, got {size}")
    alpha = _validate.positive_float(alpha, "alpha")
    K, rounded = floored_horizon(alpha)
    T = K + 1
    if steps is None:
        steps = T
        if rounded:
            warnings.warn(f"1/(4 alpha) is not an integer: T is rounded down to {T}", stacklevel=2)
    steps = _validate.nonnegative_int(steps, "steps")
    if steps > MAX_STEPS:
        raise ValueError(f"steps must be at most 2^53, got {_validate.shown(steps)}")
    name = choose_engine(engine, data, test, net.m)
    progress = _validate.flag(progress, "progress")
    if stop is not None and not callable(stop):
        raise TypeError(f"stop must be callable or None, got {type(stop).__name__}")
    problem = make_problem(data, test, alpha, min(T, steps))
    at = recorded_steps(record, steps, T, _most_rows(problem, net.m))
    _refuse_huge(problem, net.m, at)
    keep = kept_steps(snapshots, steps, T, data.X.dtype.itemsize * net.m * net.d)
    threads = _runtime.threads(n_threads)

    dtype = data.X.dtype
    W = _validate.in_range(net.W, dtype, "net.W")
    a = _validate.in_range(net.a, dtype, "net.a")
    if alpha / data.n < np.finfo(dtype).tiny:
        smallest = data.n * float(np.finfo(dtype).tiny)
        raise ValueError(
            f"alpha must be at least {smallest:.3g} for n={data.n} samples in {dtype}, got {alpha}"
        )
    with _kernels.OwnArithmetic():
        return _descend(
            net, data, test, problem, W, a, name, threads, steps, at, keep, stop, progress
        )


def _descend(
    net: Network,
    data: Dataset,
    test: Dataset | None,
    problem: Problem,
    W: FloatArray,
    a: FloatArray,
    name: str,
    threads: int,
    steps: int,
    at: IntArray,
    keep: set[int],
    stop: Callable[[int, Row], bool] | None,
    progress: bool | None,
) -> Run:
    """train for arguments that have been checked: the loop, and the Run."""
    dtype = problem.X.dtype
    seeds = {"data": _seeds.describe(data.seed), "init": _seeds.describe(net.seed)}
    provenance = _runtime.provenance(name, threads, seeds)
    out = Observations.allocate(problem, net.m, at)
    begin = time.perf_counter()
    running = _engine(name, problem, W, a, threads)
    kept: dict[int, FloatArray] = {}
    halts = {*keep, steps} if stop is None else {*keep, *at.tolist(), steps}
    bar = _Progress(progress, steps)
    status, row = "finished", 0

    def result_so_far() -> Run:
        seconds = time.perf_counter() - begin
        return Run(
            network=Network.of(running.weights()[0], net.a, net.omega_init, net.seed),
            initial=net if net.W.dtype == dtype else Network.of(W, net.a, net.omega_init, net.seed),
            data=data,
            test=test,
            alpha=problem.alpha,
            t=running.t,
            status=status,
            engine=name,
            history=derive(problem, out, at, 0, row),
            snapshots=kept,
            stats={"seconds": seconds, **running.stats},
            provenance=provenance,
        )

    def hand_over(result: Run) -> Run:
        if isinstance(running, GramEngine) and running.nbytes <= KEPT_BYTES:
            _waiting.engine = running
        logger.info("%r in %.3f s", result, result.stats["seconds"])
        return result

    try:
        for halt in sorted(halts):
            rows = np.searchsorted(at, halt, side="right")
            while running.t < halt or row < rows:
                row += running.advance(bar.next_halt(running.t, halt), at[row:], out, row)
                bar.show(running.t)
                if running.diverged:
                    break
            if running.diverged:
                status = "diverged"
                logger.warning(
                    "the run diverged at t=%d: <w, x>, f or the next W is beyond the range of %s; "
                    "try a smaller alpha",
                    running.t,
                    dtype,
                )
                break
            if halt in keep:
                kept[halt] = running.weights()[0]
                kept[halt].flags.writeable = False
            if stop is not None and row and at[row - 1] == halt:
                recorded = derive(problem, out, at, row - 1, row).row(halt)
                if _answer(stop(halt, recorded)):
                    status = "stopped" if halt < steps else status
                    break
        bar.close()
        return hand_over(result_so_far())
    except KeyboardInterrupt:
        status, row = "interrupted", running.rows
    except BaseException:
        bar.close()
        raise
    # nor must another Ctrl-C lose what has been done
    with contextlib.suppress(KeyboardInterrupt):
        bar.close()
    result = None
    while result is None:
        with contextlib.suppress(KeyboardInterrupt):
            result = result_so_far()
    with contextlib.suppress(KeyboardInterrupt):
        hand_over(result)
    raise Interrupted(result)


def _engine(name: str, problem: Problem, W: FloatArray, a: FloatArray, n_threads: int) -> Engine:
    """A new engine, or the one of this thread's last run if that has the same sizes."""
    # taken out, for a run within this one (in stop) must have another
    last = _waiting.__dict__.pop("engine", None)
    if name == "gram" and isinstance(last, GramEngine) and last.fits(problem, W, n_threads):
        last.load(problem, W, a)
        return last
    return ENGINES[name](problem, W, a, n_threads)


def _answer(answer: Any) -> bool:
    """What stop says."""
    try:
        return bool(answer)
    except ValueError:
        raise TypeError(f"stop must return true or false, got {_validate.shown(answer)}") from None


def choose_engine(engine: str, data: Dataset, test: Dataset | None, m: int) -> str:
    """The engine's name; "auto" goes by sizes, so that a short run is a prefix of a long one.

    And by the data only where products of points overflow or underflow, which gram cannot take.
    """
    if not isinstance(engine, str) or engine != "auto":
        check_engine(engine, data.d)
        return engine
    name = auto.choose(data.n, data.d, m, 0 if test is None else test.n, data.X.dtype)
    if name == "gram" and products_out_of_range(data.X, None if test is None else test.X):
        return "direct"
    return name


def check_engine(engine: str, d: int) -> None:
    """Refuse what is not an engine, or not one for dimension d."""
    if not isinstance(engine, str) or engine not in ENGINES:
        raise ValueError(
            f"engine must be 'auto' or one of {sorted(ENGINES)}, got {_validate.shown(engine)}"
        )
    if engine == "planar" and d != 2:
        raise ValueError(f"engine 'planar' needs d=2, the data have d={d}: use 'direct'")


def _most_rows(problem: Problem, m: int) -> int:
    """Rows that a history can have at the most, steps up to the horizon apart."""
    one = Extent.of(problem, m, np.array([problem.horizon + 1]))
    return MAX_HISTORY // nbytes(one)


def _refuse_huge(problem: Problem, m: int, at: IntArray) -> None:
    """Refuse rows of a history that no memory holds, before they are allocated."""
    size = nbytes(Extent.of(problem, m, at))
    if size > MAX_HISTORY:
        raise ValueError(
            f"record asks for {len(at)} rows of m={m} neurons, {size / 2**30:.3g} GiB: at most "
            f"{MAX_HISTORY // 2**30} GiB are recorded, so record fewer steps"
        )


def recorded_steps(
    record: str | int | Iterable[int] | None, steps: int, T: int, most: int
) -> IntArray:
    """The steps to record, ascending; refused before there is a list of them if far above most."""
    if record is None:
        return np.array([steps], np.int64)
    early = np.arange(min(T, EARLY_STEPS, steps) + 1)
    chosen: NDArray[Any]
    if isinstance(record, str):
        if record == "all":
            return _every(1, steps, most)
        if record != "log":
            raise ValueError(
                f"record must be 'log', 'all', None, a positive int or steps, got {record!r}"
            )
        decades = np.log10(max(steps, 1))
        chosen = np.round(10 ** (np.arange(int(40 * decades) + 1) / 40))
    elif _holds_several(record):
        chosen = np.array(_steps(record, "record", steps), np.int64)
        return _ascending([early, chosen, [T - 1, T]], steps)
    else:
        chosen = _every(_validate.positive_int(record, "record"), steps, most)
    return _ascending([early, chosen, [T - 1, T, steps]], steps)


def _every(k: int, steps: int, most: int) -> IntArray:
    """The steps 0, k, 2k, ...; more of them than a history can hold are refused."""
    if steps // k > most:
        raise ValueError(
            f"record asks for {steps // k} rows: at most {most}, {MAX_HISTORY // 2**30} GiB, are "
            "recorded of these sizes, so record fewer steps"
        )
    return np.arange(0, steps + 1, min(k, steps + 1), dtype=np.int64)


def _ascending(parts: list[Any], steps: int) -> IntArray:
    """The steps of all parts that the run has, each once; T may be far beyond any integer type."""
    reached = [
        [t for t in part if t <= steps] if isinstance(part, list) else part for part in parts
    ]
    merged = np.unique(np.concatenate(reached)).astype(np.int64)
    return merged[merged <= steps]


def kept_steps(snapshots: Any, steps: int, T: int, nbytes: int) -> set[int]:
    """The steps whose W is kept: 1, T and those asked for; none if snapshots is None.

    nbytes is the size of one W.
    """
    if snapshots is None:
        return set()
    if not _holds_several(snapshots):
        raise TypeError(f"snapshots must be steps, got {_validate.shown(snapshots)}")
    asked = _steps(snapshots, "snapshots", steps)
    keep = {t for t in (1, T, *asked) if t <= steps}
    if asked and len(keep) * nbytes > MAX_HISTORY:
        raise ValueError(
            f"snapshots asks for {len(keep)} W, {len(keep) * nbytes / 2**30:.3g} GiB: at most "
            f"{MAX_HISTORY // 2**30} GiB are kept, so keep fewer of them"
        )
    return keep


def _holds_several(value: Any) -> TypeGuard[Iterable[Any]]:
    """Whether it can be gone through; an array of no dimension cannot, though it has iter."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray))


def _steps(values: Iterable[Any], name: str, steps: int) -> list[int]:
    """Steps that the run has; what goes on for ever ends at the first beyond it."""
    found = []
    for value in values:
        t = _validate.nonnegative_int(value, name)
        if t > steps:
            raise ValueError(f"{name} has step {_validate.shown(t)}, the run ends at {steps}")
        found.append(t)
    return found


def make_problem(data: Dataset, test: Dataset | None, alpha: float, T: int) -> Problem:
    """The data as an engine takes them; groups are 2 * cluster + noisy."""
    groups, n_groups = _groups(data)
    test_groups, n_test_groups = _groups(test) if test is not None else (groups[:0], 0)
    return Problem(
        X=data.X,
        y=data.y,
        groups=groups,
        n_groups=n_groups,
        means=data.means if data.means is not None else np.empty((0, data.d)),
        test_X=data.X[:0] if test is None else _validate.in_range(test.X, data.X.dtype, "test.X"),
        test_y=data.y[:0] if test is None else test.y,
        test_groups=test_groups,
        n_test_groups=n_test_groups,
        alpha=alpha,
        horizon=T,
    )


def _groups(data: Dataset) -> tuple[IntArray, int]:
    if data.cluster is None or data.y_clean is None or data.means is None:
        return np.zeros(data.n, np.int64), 1
    return 2 * data.cluster + data.noisy, 2 * len(data.means)


def at_a_terminal() -> bool:
    """Whether somebody can see stderr, which may be closed, absent or of another kind."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class _Progress:
    """A tqdm bar, made only if it will be shown.

    Then alone the run is cut in pieces, of about INTERVAL seconds each.
    """

    def __init__(self, wanted: bool | None, steps: int) -> None:
        self.wanted = at_a_terminal() if wanted is None else wanted and sys.stderr is not None
        self.delay = DELAY if wanted is None else 0.0
        self.steps = steps
        self.piece, self.t = 1, 0
        self.begin = self.last = time.perf_counter()
        self.bar: _runtime.ProgressBar | None = None

    def next_halt(self, t: int, halt: int) -> int:
        return min(halt, t + self.piece) if self.wanted else halt

    def show(self, t: int) -> None:
        if not self.wanted:
            return
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        done, self.t = t - self.t, t
        # so many as INTERVAL is enough for, by what few steps took not far more than these
        self.piece = max(1, int(done * min(INTERVAL / max(spent, 1e-9), 32)))
        if self.bar is None and self.last - self.begin >= self.delay:
            self.bar = _runtime.ProgressBar(total=self.steps, unit="step", initial=0, leave=False)
        if self.bar is not None:
            self.bar.show(t)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
