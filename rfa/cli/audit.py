"""rfa audit: for which C the assumptions (A1)-(A7) hold, and the inverse of this question."""

from __future__ import annotations

import argparse
import functools
import json
from typing import Any

from rfa import plot
from rfa.cli.console import Parser, usage
from rfa.cli.figures import print_and_draw
from rfa.cli.options import add_constants, add_figure, add_forms, check_figure, constants, real
from rfa.cli.parameters import add_parameters, experiment, given
from rfa.setting import Parameters
from rfa.theory import Audit, Feasible, audit, feasible

SUMMARY = "for which C do the assumptions (A1)-(A7) hold"


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    add_parameters(parser)
    *names, last = (name.replace("_", "-") for name in Parameters._fields)
    parser.add_argument(
        "--inverse",
        action="store_true",
        help="show which values the assumptions leave for those parameters among "
        f"{', '.join(names)} and {last} that are not given",
    )
    parser.add_argument("--C", type=real, help="with --inverse: the constant C")
    add_constants(parser)
    add_figure(parser, "draw the interval")
    add_forms(parser, markdown=True)


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    with usage(OSError):
        # An Audit or a Feasible: of the latter there is no Markdown and no figure.
        found: Any = _inverse(options) if options.inverse else _audit(options)
    if options.json:
        text = json.dumps(found.to_dict(), indent=2) + "\n"
    elif options.markdown:
        text = found.to_markdown()
    else:
        text = f"{found}\n"
    print_and_draw(text, functools.partial(plot.assumptions, found), options.figure, options.size)
    return 0


def _audit(options: argparse.Namespace) -> Audit:
    check_figure(options)
    if options.C is not None:
        raise ValueError("--C needs --inverse")
    return audit(experiment(options), **constants(options))


def _inverse(options: argparse.Namespace) -> Feasible:
    for option in ("figure", "size"):
        if getattr(options, option) is not None:
            raise ValueError(f"--{option} is for an audit, not its inverse")
    if options.preset is not None:
        raise ValueError("--inverse takes the parameters that are given, not a preset's")
    fixed = given(options)
    wrong = [name for name in fixed if name not in Parameters._fields]
    if wrong:
        raise ValueError(f"--inverse knows {', '.join(Parameters._fields)}, not {wrong[0]}")
    if "C0" in constants(options):
        raise ValueError("--C0 is not in the assumptions, and so not for --inverse")
    if options.markdown:
        raise ValueError("--markdown shows an audit, not its inverse")
    return feasible(C=options.C, **constants(options), **fixed)
