"""rfa train: train one network."""

from __future__ import annotations

import argparse

import numpy as np

from rfa import _files, _validate
from rfa.cli.console import Parser, say, usage
from rfa.cli.options import add_forms, add_seed, add_threads, checked
from rfa.cli.parameters import add_parameters, experiment
from rfa.data.dataset import Dataset
from rfa.engines import registry
from rfa.engines.problem import Problem
from rfa.experiment import Experiment
from rfa.report.summary import show, summarize
from rfa.training.loop import Interrupted

SUMMARY = "train one network"


@checked
def _record(text: str) -> str | int | None:
    if text in ("log", "all"):
        return text
    if text == "none":
        return None
    try:
        every = int(text)
    except ValueError:
        raise ValueError(
            f"must be log, all, none or a positive integer, got {_validate.shown(text)}"
        ) from None
    return _validate.positive_int(every, "record")


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    add_parameters(parser)
    parser.add_argument(
        "--engine",
        choices=("auto", *registry.ENGINES),
        default="auto",
        help="how a step is computed (default: %(default)s)",
    )
    parser.add_argument(
        "--record",
        type=_record,
        default="log",
        help="which steps are recorded: log, all, none or k for every k-th step "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the run to this file, in the format .npz; no ending is added to its name",
    )
    add_seed(parser)
    add_threads(parser)
    add_forms(parser)


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    with usage(OSError):
        exp = experiment(options)
        _check_engine(options.engine, exp)
        if options.out is not None:
            _files.destination(options.out)
    try:
        # If train refuses an argument, it does so before the first step.
        with usage():
            run = exp.run(
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
        say(f"wrote {options.out}")
    show([summarize(options.preset or "own", exp, run, options.threads)], options.json)
    # If the run diverged, a warning of train has said where.
    return 1 if run.status == "diverged" else 0


def _check_engine(engine: str, exp: Experiment) -> None:
    """Refuse an engine that does not take the dimension, before the data are drawn."""
    stand_in = Dataset(np.zeros((1, exp.d), exp.dtype), [1])
    registry.chosen(engine, Problem.of(stand_in, None, exp.alpha, 0), exp.m)
