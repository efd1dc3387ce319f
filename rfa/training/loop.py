"""Gradient descent: train() checks its arguments, takes the steps and returns a Run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Sized

import numpy as np

from rfa import _runtime, _seeds, _validate
from rfa.data.dataset import Dataset
from rfa.engines import registry
from rfa.engines.observations import Observations
from rfa.engines.problem import FloatArray, IntArray, Problem
from rfa.kernels.guards import OwnArithmetic
from rfa.network import Network
from rfa.setting import Horizon
from rfa.training.history import Row, derive
from rfa.training.progress import Progress
from rfa.training.recording import (
    MAX_STEPS,
    kept_steps,
    most_rows,
    recorded_steps,
    refuse_huge,
)
from rfa.training.run import Run

logger = logging.getLogger("rfa")

# Engines and history count samples and neurons in 32 bits.
MAX_COUNT = 2**31 - 1

Stop = Callable[[int, Row], bool]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C interrupted a run or a study.

    Attributes
    ----------
    run : Run or None
        The run up to its last whole step, with status ``"interrupted"``; None for a study.
    study : Study or None
        The study with its finished trials; None for a run.

    Examples
    --------
    >>> import rfa
    >>> issubclass(rfa.Interrupted, KeyboardInterrupt)
    True
    """

    def __init__(self, run: Run | None = None, study: Sized | None = None) -> None:
        done = (
            f"at t={run.t}"
            if run is not None
            else f"after {0 if study is None else len(study)} runs"
        )
        super().__init__(f"interrupted {done}")
        self.run, self.study = run, study

    def __reduce__(self) -> tuple[type[Interrupted], tuple[Run | None, Sized | None]]:
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
        Step size. alpha / n must be a normal number of the type of X.
    steps : int, optional
        Number of steps; None: the theorem's horizon T = 1 + 1/(4 alpha). With 0 steps only the
        initial state is recorded.
    test : Dataset, optional
        Test data, whose error is recorded.
    engine : {"auto", "direct", "gram", "planar", "reference"}
        How a step is computed, see :mod:`rfa.engines`. All engines take the same steps, up to
        rounding. "auto" chooses by the sizes:

        - planar for d = 2.
        - gram for n up to 2.4 d + 330 in float32, or 2.4 d + 165 in float64. With more than 252
          neurons the limit is 2.7 d + 400 in float32, or 2.7 d + 200 in float64. gram is not
          chosen if its arrays would take more than 2 GiB, or if products of samples overflow or
          underflow.
        - direct otherwise.

        The constants are in ``rfa.engines.choice``.
    record : {"log", "all", None}, int or iterable of int
        The steps that the history records. "log": t = round(10^(k/40)) for k = 0, 1, ..., and the
        last step. "all": every step. An integer k: every k-th step, and the last. A list: its
        steps. None: the last step only. Except with None, the steps 0, ..., min(T, 1000), T-1 and T
        are recorded, too. With the paper's clusters a step takes about 72 m bytes, and a step up to
        T takes 128 m bytes more. All steps together may take 16 GiB.
    snapshots : iterable of int or None
        Steps whose W_t is kept, in addition to 1 and T. All of them together may take 16 GiB. A
        step beyond the last one is an error. None: only the last W_t is kept.
    stop : callable(t, row) -> bool, optional
        A function that is called at each recorded step with the history entries of that step. If
        it returns true, the run ends there.
    n_threads : int, optional
        Number of threads; None: OMP_NUM_THREADS or, if it is not set, the number of CPUs available,
        but at most the limit that threadpoolctl has set. The number of threads does not change a
        bit of the result.
    progress : bool, optional
        Whether to show a progress bar on stderr. None: it is shown if stderr is a terminal and the
        run takes longer than about two seconds.

    Returns
    -------
    Run
        The result. net and data are not changed. After a step or more, its ``network`` has
        omega_init and seed None, since its W was not drawn at random.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type. Nothing has been computed then.
    Interrupted
        After Ctrl-C; its ``run`` is the run so far. A Ctrl-C before the first step, while arrays
        are set up, raises a plain KeyboardInterrupt.

    Notes
    -----
    W_{t+1} = W_t - alpha * gradient of (1/n) sum_i log(1 + exp(-y_i f(x_i; W_t))), Section 2.1.

    The computation is in the type of X, float32 or float64. W_0 is rounded to this type once.
    Recording, snapshots, stop and progress never change W.

    A step costs O(n m d) with direct, O(n^2 m) with gram, and O(n + m + changes of A) with planar.
    After a run with gram, its thread keeps the engine's arrays for the next run, if they take at
    most 64 MiB.

    Rounding errors of planar are relative to sums over all samples. If one sample is larger than
    the others by ten orders of magnitude or more, take engine="direct".

    Examples
    --------
    >>> import rfa
    >>> data = rfa.XORClusters(d=2).sample(n=500, rng=0)
    >>> run = rfa.train(rfa.Network.random(m=50, d=2, rng=0), data, alpha=0.05, steps=500)
    >>> run.status, run.t, bool(run.history.loss[-1] < run.history.loss[0])
    ('finished', 500, True)
    """
    alpha = _checked(net, data, alpha, test)
    horizon = Horizon.of(alpha)
    if steps is None:
        steps = horizon.T
        if horizon.rounded:
            warnings.warn(horizon.warning(alpha), stacklevel=2)
    steps = _validate.nonnegative_int(steps, "steps")
    if steps > MAX_STEPS:
        raise ValueError(f"steps must be at most 2^53, got {_validate.shown(steps)}")
    progress = _validate.flag(progress, "progress")
    if stop is not None and not callable(stop):
        raise TypeError(f"stop must be callable or None, got {type(stop).__name__}")
    problem = Problem.of(data, test, alpha, min(horizon.T, steps))
    name = registry.chosen(engine, problem, net.m)
    at = recorded_steps(record, steps, horizon.T, most_rows(problem, net.m))
    refuse_huge(problem, net.m, at)
    keep = kept_steps(snapshots, steps, horizon.T, data.X.dtype.itemsize * net.m * net.d)
    threads = _runtime.threads(n_threads)
    W, a = _layers(net, problem)
    with OwnArithmetic():
        descent = _Descent(net, data, test, problem, W, a, name, threads, at)
        return descent.to(steps, keep, stop, progress)


def _checked(net: Network, data: Dataset, alpha: float, test: Dataset | None) -> float:
    """Check network, data and test data against one another; return the step size as a float."""
    _validate.instance(net, "net", Network, "a rfa.Network")
    _validate.instance(data, "data", Dataset, "a rfa.Dataset")
    if test is not None:
        _validate.instance(test, "test", Dataset, "a rfa.Dataset or None")
    for name, other in (("net", net.d), ("test", data.d if test is None else test.d)):
        if other != data.d:
            raise ValueError(f"{name} has dimension d={other}, but the data have d={data.d}")
    for name, size, what in (
        ("data", data.n, "samples"),
        ("test", 0 if test is None else test.n, "samples"),
        ("net", net.m, "neurons"),
    ):
        if size > MAX_COUNT:
            raise ValueError(f"{name} must have at most 2^31 - 1 {what} for a run, got {size}")
    return _validate.positive_float(alpha, "alpha")


def _layers(net: Network, problem: Problem) -> tuple[FloatArray, FloatArray]:
    """W and a in the type of the data; alpha / n must be a normal number of that type."""
    dtype, n = problem.X.dtype, len(problem.X)
    W = _validate.in_range(net.W, dtype, "net.W")
    a = _validate.in_range(net.a, dtype, "net.a")
    if problem.alpha / n < np.finfo(dtype).tiny:
        smallest = n * float(np.finfo(dtype).tiny)
        raise ValueError(
            f"alpha must be at least {smallest:.3g} for n={n} samples in {dtype}, "
            f"got {problem.alpha}"
        )
    return W, a


class _Descent:
    """A run in progress: its engine, the recorded rows, the kept snapshots and the status."""

    def __init__(
        self,
        net: Network,
        data: Dataset,
        test: Dataset | None,
        problem: Problem,
        W: FloatArray,
        a: FloatArray,
        engine: str,
        n_threads: int,
        at: IntArray,
    ) -> None:
        self.net, self.data, self.test, self.problem = net, data, test, problem
        self.initial = net
        if net.W.dtype != problem.X.dtype:
            self.initial = net.trained(W, 0)
        self.name, self.at = engine, at
        seeds = {"data": _seeds.describe(data.seed), "init": _seeds.describe(net.seed)}
        self.provenance = _runtime.provenance(engine, n_threads, seeds)
        if net.trained_steps:
            digest = hashlib.sha256(np.ascontiguousarray(net.W).data).hexdigest()
            self.provenance["trained_from"] = {"steps": net.trained_steps, "sha256": digest}
        self.out = Observations.allocate(problem, net.m, at)
        self.begin = time.perf_counter()
        self.engine = registry.make(engine, problem, W, a, n_threads)
        self.kept: dict[int, FloatArray] = {}
        self.status, self.row = "finished", 0

    def to(self, steps: int, keep: set[int], stop: Stop | None, progress: bool | None) -> Run:
        """Take all steps, unless stop, divergence or Ctrl-C ends the run before; return the run."""
        bar = Progress(progress, steps)
        try:
            for halt in sorted({*keep, steps, *(() if stop is None else self.at.tolist())}):
                self._advance(halt, bar)
                if self.engine.diverged:
                    self._diverge()
                    break
                if halt in keep:
                    self.kept[halt] = self.engine.weights()[0]
                    self.kept[halt].flags.writeable = False
                if stop is not None and self._stops(stop, halt):
                    self.status = "stopped" if halt < steps else self.status
                    break
            bar.close()
            return self._hand_over(self._result())
        except KeyboardInterrupt:
            self.status, self.row = "interrupted", self.engine.rows
        except BaseException:
            bar.close()
            raise
        # a second Ctrl-C, during what follows, must not lose the steps taken
        with contextlib.suppress(KeyboardInterrupt):
            bar.close()
        result = None
        while result is None:
            with contextlib.suppress(KeyboardInterrupt):
                result = self._result()
        with contextlib.suppress(KeyboardInterrupt):
            self._hand_over(result)
        raise Interrupted(result)

    def _advance(self, halt: int, bar: Progress) -> None:
        """Step to t = halt and record the steps of ``at`` up to it; return early on divergence."""
        engine = self.engine
        rows = np.searchsorted(self.at, halt, side="right")
        while engine.t < halt or self.row < rows:
            until = bar.next_halt(engine.t, halt)
            self.row += engine.advance(until, self.at[self.row :], self.out, self.row)
            bar.show(engine.t)
            if engine.diverged:
                return

    def _diverge(self) -> None:
        self.status = "diverged"
        logger.warning(
            "the run diverged at t=%d, because <w, x>, f or the next W is beyond the range of %s: "
            "try a smaller alpha",
            self.engine.t,
            self.problem.X.dtype,
        )

    def _stops(self, stop: Stop, t: int) -> bool:
        """Whether stop returns true at step t; it is called only if step t was recorded."""
        if not self.row or self.at[self.row - 1] != t:
            return False
        recorded = derive(self.problem, self.out, self.at, self.row - 1, self.row).row(t)
        answer = stop(t, recorded)
        try:
            return bool(answer)
        except ValueError:
            raise TypeError(
                f"stop must return a true or false value, got {_validate.shown(answer)}"
            ) from None

    def _result(self) -> Run:
        """The run so far."""
        seconds = time.perf_counter() - self.begin
        net, engine = self.net, self.engine
        return Run(
            network=net.trained(engine.weights()[0], engine.t),
            initial=self.initial,
            data=self.data,
            test=self.test,
            alpha=self.problem.alpha,
            t=engine.t,
            status=self.status,
            engine=self.name,
            history=derive(self.problem, self.out, self.at, 0, self.row),
            snapshots=self.kept,
            stats={"seconds": seconds, **engine.stats},
            provenance=self.provenance,
        )

    def _hand_over(self, result: Run) -> Run:
        registry.keep(self.engine)
        logger.info("%r in %.3f s", result, result.stats["seconds"])
        return result
