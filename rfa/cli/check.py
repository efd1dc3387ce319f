"""rfa check: check every statement of the paper, on one run or on many trials."""

from __future__ import annotations

import argparse
import functools
import json

from rfa import _files, _validate, plot
from rfa._tables import aligned, as_markdown
from rfa.cli.console import Parser, say, usage
from rfa.cli.figures import print_and_draw
from rfa.cli.options import (
    add_constants,
    add_forms,
    add_seed,
    add_threads,
    checked,
    constants,
    integer,
    png_file,
)
from rfa.cli.parameters import add_parameters, experiment, given
from rfa.experiment import Experiment
from rfa.setting import C0, DELTA, Horizon
from rfa.studies import Study, TrialError, checks, study
from rfa.theory import Report, check
from rfa.training.loading import load
from rfa.training.loop import Interrupted
from rfa.training.run import Run

SUMMARY = "check every statement of the paper"


@checked
def _trials(text: str) -> int:
    return _validate.positive_int(integer(text), "trials")


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's .npz file")
    add_parameters(parser)
    parser.add_argument(
        "--trials",
        type=_trials,
        help="run this many trials, with the seeds (SEED, 0), (SEED, 1), ..., and show how often "
        "each statement holds",
    )
    add_constants(parser)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 if a statement fails, or with --trials if one is refuted",
    )
    parser.add_argument(
        "--figure",
        type=png_file,
        metavar="FILE",
        help="with --trials: draw the frequencies to this .png file",
    )
    add_seed(
        parser,
        default=None,
        summary="seed of all random draws (default: 0; of the checks of RUN: the run's seed)",
    )
    add_threads(parser)
    add_forms(parser, markdown=True)


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    with usage(OSError):
        if options.figure is not None:
            if options.trials is None:
                raise ValueError("--figure needs --trials")
            _files.destination(options.figure)
        source = experiment(options) if options.run is None else _stored(options)
        if options.trials is not None and options.threads is not None:
            raise ValueError("--threads is for one run; of trials OMP_NUM_THREADS run at a time")
    if isinstance(source, Run):
        return _show_report(source, check(source, rng=options.seed, **constants(options)), options)
    seed = 0 if options.seed is None else options.seed
    if options.trials is not None:
        return _check_trials(source, seed, options)
    with usage():
        run = source.run(seed, n_threads=options.threads)
    return _show_report(run, check(run, **constants(options)), options)


def _stored(options: argparse.Namespace) -> Run:
    """The run in the file RUN."""
    others = (options.preset, options.trials, options.threads)
    if given(options) or any(value is not None for value in others):
        raise ValueError(
            "RUN is a run that has been made: no --preset, --trials, --threads, parameters"
        )
    found = load(options.run)
    if not isinstance(found, Run):
        raise ValueError(f"{options.run!r} holds a network, not a run")
    return found


def _show_report(run: Run, report: Report, options: argparse.Namespace) -> int:
    if options.json:
        print(report.to_json())
    elif options.markdown:
        print(report.to_markdown(), end="")
    else:
        print(report)
    return 1 if run.status == "diverged" or (options.strict and report.failed) else 0


def _check_trials(exp: Experiment, seed: int, options: argparse.Namespace) -> int:
    measure = functools.partial(checks, **constants(options))
    try:
        with usage():
            result = study(exp, trials=options.trials, rng=seed, measure=measure)
    except (Interrupted, TrialError) as end:
        if isinstance(end.study, Study) and len(end.study):
            _show_study(end.study, options, interrupted=True)
        raise
    say(f"{len(result)} trials in {result.seconds:.1f} s")
    return _show_study(result, options)


def _show_study(result: Study, options: argparse.Namespace, interrupted: bool = False) -> int:
    found = result.frequencies()
    T = Horizon.of(result.experiment.alpha).T
    used = {"delta": DELTA, "C0": C0, **constants(options)}
    target = 1 - 4 * used["delta"]
    if options.json:
        record = {
            "experiment": json.loads(result.experiment.to_json()),
            "seed": result.seed,
            **used,
            "T": T,
            "target": target,
            "trials": len(result),
            "trials_asked": options.trials,
            "interrupted": interrupted,
            "seconds": result.seconds,
            "statements": {name: p._asdict() for name, p in found.items()},
        }
        text = json.dumps(record, indent=2) + "\n"
    else:
        heading = (
            f"{len(result)} of {options.trials} trials{' (interrupted)' * interrupted}; T = {T}, "
            f"delta = {used['delta']:g}, C0 = {used['C0']:g}; "
            f"verdicts on 1 - 4 delta = {target:g}"
        )
        rows = [("statement", "holds", "of", "95% interval", "verdict", "n/a", "vacuous", "unmet")]
        for name, p in found.items():
            interval = f"[{p.low:.3f}, {p.high:.3f}]" if p.n else "-"
            counts = (str(p.not_applicable), str(p.vacuous), str(p.unmet))
            rows.append((name, str(p.k), str(p.n), interval, p.verdict, *counts))
        if options.markdown:
            text = f"{heading}\n\n{as_markdown(rows)}"
        else:
            text = f"{heading}\n{aligned(rows)}\n"
    print_and_draw(text, functools.partial(plot.proportions, result), options.figure, height=9.5)
    refuted = any(p.verdict == "refuted" for p in found.values())
    return 1 if options.strict and refuted else 0
