"""The commands: rfa reproduce, rfa train, rfa check, rfa audit, rfa info.

Each is a function of the parsed options that returns the exit status. What the options say is
checked before anything is computed: each by itself in rfa.cli.options, the rest within cli.usage.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from rfa import _files, _runtime, plot
from rfa._tables import aligned, as_markdown
from rfa.cli.console import described, need_stdout, report, say, usage
from rfa.cli.parser import parser
from rfa.data.dataset import Dataset
from rfa.engines import registry
from rfa.engines.problem import Problem
from rfa.experiment import Experiment
from rfa.presets import preset
from rfa.report import summary as _summary
from rfa.setting import Horizon
from rfa.studies import Study, TrialError, checks, study
from rfa.theory import Audit, Feasible, Report, audit, check, feasible
from rfa.theory.assumptions import above_one, probability
from rfa.training.loading import load
from rfa.training.loop import Interrupted
from rfa.training.run import Run

# The figures of a run: how the name of the file ends, and what draws it.
FIGURES: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("", plot.decision_boundary),
    ("-amplification", plot.amplification),
    ("-neurons", plot.neurons),
    ("-alignment", plot.alignment),
    ("-history", plot.history),
)

# What the inverse of the audit can be given.
INVERSE = ("n", "d", "m", "alpha", "sigma", "omega_init", "eta")


def execute(arguments: list[str] | None) -> int:
    """Parse the arguments and carry the command out; returns the exit status."""
    options = parser().parse_args(arguments)
    need_stdout()
    commands = {
        "reproduce": _reproduce,
        "train": _train,
        "check": _check,
        "audit": _audit,
        "info": _info,
    }
    return commands[options.command](options)


def _info(options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(_runtime.configuration()))
    else:
        _runtime.show_config()
    return 0


def _train(options: argparse.Namespace) -> int:
    with usage(OSError):
        experiment = _experiment(options)
        # before data are drawn: a sample of zeros has their dimension
        sample = Dataset(np.zeros((1, experiment.d)), [1])
        registry.chosen(options.engine, Problem.of(sample, None, 1.0, 0), experiment.m)
        if options.out is not None:
            _files.destination(options.out)
    try:
        # what train refuses it refuses before the first step
        with usage():
            run = experiment.run(
                options.seed,
                engine=options.engine,
                record=options.record,
                n_threads=options.threads,
            )
    except Interrupted as interruption:
        if options.out is not None and interruption.run is not None:
            interruption.run.save(options.out)
            say(f"the run so far is in {options.out}")
        raise
    if options.out is not None:
        run.save(options.out)
    _summary.show([_summary.summarize("run", experiment, run, options.threads)], options.json)
    # where and why is in the warning of train
    return 1 if run.status == "diverged" else 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the experiment that the options give."""
    prefix = "experiment_"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix)
    }


def _experiment(options: argparse.Namespace) -> Experiment:
    """The experiment of the options."""
    given = _given(options)
    if options.preset is not None:
        return preset(options.preset).replace(**given)
    missing = [f"--{name}" for name in ("n", "d", "m") if name not in given]
    if missing:
        raise ValueError(f"without --preset, {' and '.join(missing)} must be given")
    return Experiment(**given)


def _reproduce(options: argparse.Namespace) -> int:
    experiments = {name: preset(name) for name in options.presets}
    if options.steps is not None:
        experiments = {k: e.replace(steps=options.steps) for k, e in experiments.items()}
    ends = [f"{end}.png" for end, _ in FIGURES] + ["-assumptions.png", "-report.md", "-report.json"]

    def path(name: str) -> str:
        return os.path.join(options.out, name)

    with usage(OSError):
        _make_folder(options.out)
        for file in ("summary.json", *(name + end for name in experiments for end in ends)):
            _files.destination(path(file))
    _matplotlib()
    summaries: list[dict[str, Any]] = []
    for name, experiment in experiments.items():
        summary: dict[str, Any] = {
            "preset": name,
            "experiment": json.loads(experiment.to_json()),
            "status": "unfinished",
            "steps": [],
            "failures": {},
        }
        summaries.append(summary)
        try:
            _reproduce_one(experiment, options, path, summary)
        finally:
            # after each preset: whatever ends the process costs the others nothing
            with _attempt("summary.json", summary["failures"]):
                _write(path("summary.json"), json.dumps(summaries, indent=2) + "\n")
    _summary.show(summaries, options.json)
    failed = [one for one in summaries if one["failures"] or one["status"] == "diverged"]
    return 1 if failed else 0


def _reproduce_one(
    experiment: Experiment,
    options: argparse.Namespace,
    path: Callable[[str], str],
    summary: dict[str, Any],
) -> None:
    """Train, draw and check a preset; what fails is in its summary and costs nothing else."""
    name, failures = summary["preset"], summary["failures"]

    def draw(file: str, figure: Callable[..., Any], *of: Any) -> None:
        with _attempt(file, failures):
            _draw(functools.partial(figure, *of), path(file))

    say(f"{name}: {experiment.to_json()}")
    draw(f"{name}-assumptions.png", plot.assumptions, audit(experiment))
    with _attempt(f"the run of {name}", failures):
        run = experiment.run(options.seed, n_threads=options.threads)
        summary["status"] = run.status
    if summary["status"] == "unfinished":
        return
    with _attempt(f"the summary of {name}", failures):
        summary |= _summary.summarize(name, experiment, run, options.threads)
    for end, figure in FIGURES:
        draw(f"{name}{end}.png", figure, run)
    with _attempt(f"the report of {name}", failures):
        found = check(run)
        _write(path(f"{name}-report.md"), found.to_markdown())
        _write(path(f"{name}-report.json"), found.to_json())
        say(f"{name}: of the statements at T {found.summary()}")


@contextlib.contextmanager
def _attempt(what: str, failures: dict[str, str]) -> Iterator[None]:
    """Let an exception fail this part alone: it is said, and noted in failures."""
    try:
        yield
    except Exception as error:
        report(error, what)
        failures[what] = described(error)


def _matplotlib() -> ModuleType:
    """Matplotlib, whatever MPLBACKEND says: it may name a notebook's, which is not installed here.

    Figures are drawn without pyplot, so that no backend is chosen.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return matplotlib


def _make_folder(path: str) -> None:
    """Make the folder of --out, unless it is there."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--out must be a folder that is there or can be made, got {path!r}: {error.strerror}"
        ) from error


def _draw(draw: Callable[..., Any], path: str, height: float = 5.2) -> None:
    """Draw a figure into a file, its height in inches, in Matplotlib's own style."""
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not those of the user's matplotlibrc
        figure = Figure(figsize=(7.2, height), layout="constrained")
        draw(figure.add_subplot())
        _files.replace(path, functools.partial(figure.savefig, format="png", dpi=150))
    say(f"wrote {path}")


def _show_beside_figure(
    text: str, draw: Callable[..., Any] | None, options: argparse.Namespace, height: float = 5.2
) -> None:
    """Print a text and draw the figure that --figure asks for; neither is lost with the other."""
    try:
        if draw is not None and options.figure is not None:
            _draw(draw, options.figure, height)
    finally:
        print(text, end="")


def _write(path: str, text: str) -> None:
    _files.replace(path, lambda file: file.write(text.encode()))
    say(f"wrote {path}")


def _constants(options: argparse.Namespace) -> dict[str, Any]:
    """Those of delta and C0 that the options give."""
    validate = {"delta": probability, "C0": above_one}
    return {k: valid(vars(options)[k]) for k, valid in validate.items() if k in vars(options)}


def _check(options: argparse.Namespace) -> int:
    with usage(OSError):
        constants = _constants(options)
        if options.figure is not None:
            if options.trials is None:
                raise ValueError("--figure needs --trials")
            _files.destination(options.figure)
        if options.run is not None:
            stored = _stored(options)
        else:
            stored, experiment = None, _experiment(options)
        if options.trials is not None and options.threads is not None:
            raise ValueError("--threads is for one run; of trials OMP_NUM_THREADS run at a time")
    if stored is not None:
        return _show_report(stored, check(stored, rng=options.seed, **constants), options)
    seed = 0 if options.seed is None else options.seed
    if options.trials is not None:
        return _check_trials(experiment, seed, constants, options)
    with usage():
        run = experiment.run(seed, n_threads=options.threads)
    return _show_report(run, check(run, **constants), options)


def _stored(options: argparse.Namespace) -> Run:
    """The run in the file RUN."""
    others = (options.preset, options.trials, options.threads)
    if _given(options) or any(value is not None for value in others):
        raise ValueError(
            "RUN is a run that has been made: no --preset, --trials, --threads, parameters"
        )
    found = load(options.run)
    if not isinstance(found, Run):
        raise ValueError(f"{options.run!r} holds a network, not a run")
    return found


def _check_trials(
    experiment: Experiment, seed: int, constants: dict[str, Any], options: argparse.Namespace
) -> int:
    measure = functools.partial(checks, **constants)
    try:
        with usage():
            result = study(experiment, trials=options.trials, rng=seed, measure=measure)
    except (Interrupted, TrialError) as end:
        if isinstance(end.study, Study) and len(end.study):
            _show_study(end.study, options, interrupted=True)
        raise
    say(f"{len(result)} trials in {result.seconds:.1f} s")
    return _show_study(result, options)


def _show_report(run: Run, report: Report, options: argparse.Namespace) -> int:
    if options.json:
        print(report.to_json())
    elif options.markdown:
        print(report.to_markdown(), end="")
    else:
        print(report)
    return 1 if run.status == "diverged" or (options.strict and report.failed) else 0


def _show_study(result: Study, options: argparse.Namespace, interrupted: bool = False) -> int:
    found = result.frequencies()
    T = Horizon.of(result.experiment.alpha).T
    constants = {"delta": 0.1, "C0": 5.0, **_constants(options)}
    target = 1 - 4 * constants["delta"]
    heading = (
        f"{len(result)} of {options.trials} trials{' (interrupted)' * interrupted}; T = {T}, "
        f"delta = {constants['delta']:g}, C0 = {constants['C0']:g}; "
        f"verdicts on 1 - 4 delta = {target:g}"
    )
    rows = [("statement", "holds", "of", "95% interval", "verdict", "n/a", "vacuous", "unmet")]
    for name, p in found.items():
        interval = f"[{p.low:.3f}, {p.high:.3f}]" if p.n else "-"
        counts = (str(p.not_applicable), str(p.vacuous), str(p.unmet))
        rows.append((name, str(p.k), str(p.n), interval, p.verdict, *counts))
    if options.json:
        table = {name: p._asdict() for name, p in found.items()}
        record = {"experiment": json.loads(result.experiment.to_json()), "seed": result.seed}
        record |= {**constants, "T": T, "target": target}
        record |= {"trials": len(result), "trials_asked": options.trials}
        record |= {"interrupted": interrupted, "seconds": result.seconds, "statements": table}
        text = json.dumps(record, indent=2) + "\n"
    elif options.markdown:
        text = f"{heading}\n\n{as_markdown(rows)}"
    else:
        text = f"{heading}\n{aligned(rows)}\n"
    _show_beside_figure(text, functools.partial(plot.proportions, result), options, height=9.5)
    refuted = any(p.verdict == "refuted" for p in found.values())
    return 1 if options.strict and refuted else 0


def _audit(options: argparse.Namespace) -> int:
    with usage(OSError):
        if options.figure is not None:
            if options.inverse:
                raise ValueError("--figure shows an audit, not its inverse")
            _files.destination(options.figure)
        constants = _constants(options)
        if options.C is not None and not options.inverse:
            raise ValueError("--C needs --inverse")
        found: Audit | Feasible
        if options.inverse:
            found = _inverse(constants, options)
        else:
            found = audit(_experiment(options), **constants)
    if options.json:
        text = json.dumps(found.to_dict(), indent=2) + "\n"
    elif options.markdown and isinstance(found, Audit):
        text = found.to_markdown()
    else:
        text = f"{found}\n"
    draw = functools.partial(plot.assumptions, found) if isinstance(found, Audit) else None
    _show_beside_figure(text, draw, options)
    return 0


def _inverse(constants: dict[str, Any], options: argparse.Namespace) -> Feasible:
    given = _given(options)
    if options.preset is not None:
        raise ValueError("--inverse takes the parameters that are given, not a preset's")
    wrong = [name for name in given if name not in INVERSE]
    if wrong:
        raise ValueError(f"--inverse knows {', '.join(INVERSE)}, not {wrong[0]}")
    if "C0" in constants:
        raise ValueError("--C0 is not in the assumptions, and so not for --inverse")
    if options.markdown:
        raise ValueError("--markdown shows an audit, not its inverse")
    return feasible(C=options.C, **constants, **given)
