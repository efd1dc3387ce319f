"""The options of every command; what they say is checked in rfa.cli.options, each by itself."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from rfa import _runtime
from rfa.cli import options as _options
from rfa.cli.console import Parser
from rfa.engines.registry import ENGINES
from rfa.experiment import Experiment
from rfa.presets import PRESETS

DEFAULT_PRESETS = ("figure1", "theorem")


def parser() -> Parser:
    """The parser of all commands; the command's name is in its options."""
    result = Parser(
        prog="rfa",
        description="Train two-layer ReLU networks on XOR-cluster data and compare with the "
        "theory of random feature amplification.",
        epilog="With RFA_DEBUG=1 in the environment a failure shows its traceback.",
    )
    result.add_argument("--version", action="version", version=_runtime.version())
    commands = result.add_subparsers(required=True, metavar="COMMAND")

    reproduce = _command(
        commands, "reproduce", "run presets, draw the paper's figures, check the theorem"
    )
    reproduce.add_argument(
        "presets",
        nargs="*",
        type=_options.preset_name,
        metavar="PRESET",
        default=DEFAULT_PRESETS,
        help=f"one of {', '.join(PRESETS)} (default: {' '.join(DEFAULT_PRESETS)})",
    )
    reproduce.add_argument(
        "--out",
        default="rfa-output",
        metavar="DIR",
        help="folder for figures, reports and summary.json (default: %(default)s)",
    )
    reproduce.add_argument(
        "--steps",
        type=_options.steps,
        help="number of steps, in place of the preset's",
    )
    _add_common(reproduce)
    _add_forms(reproduce)

    train = _command(commands, "train", "train one network")
    _add_experiment(train)
    train.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="how a step is computed (default: %(default)s)",
    )
    train.add_argument(
        "--record",
        type=_options.record,
        default="log",
        help="log, all, none or k for every k-th step (default: %(default)s)",
    )
    train.add_argument("--out", metavar="FILE", help="write the run to this .npz file")
    _add_common(train)
    _add_forms(train)

    check = _command(commands, "check", "check every statement of the paper")
    check.add_argument("run", nargs="?", metavar="RUN", help="a run's .npz file")
    _add_experiment(check)
    check.add_argument(
        "--trials",
        type=_options.trials,
        help="run this many trials, seeds (SEED, 0), (SEED, 1), ..., and show frequencies",
    )
    _add_constants(check)
    check.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 if a statement fails, or with --trials if one is refuted",
    )
    check.add_argument(
        "--figure", metavar="FILE", help="with --trials: draw the frequencies to this .png file"
    )
    _add_common(check)
    # that none was given can be told: a run that has been made has its own
    check.set_defaults(seed=None)
    _add_forms(check, markdown=True)

    audit = _command(commands, "audit", "for which C do the assumptions (A1)-(A7) hold")
    _add_experiment(audit)
    audit.add_argument(
        "--inverse",
        action="store_true",
        help="what the assumptions leave for those of n, d, m, alpha, sigma, omega-init and eta "
        "that are not given",
    )
    audit.add_argument("--C", type=_options.real, help="with --inverse: the constant C")
    _add_constants(audit)
    audit.add_argument("--figure", metavar="FILE", help="draw the interval to this .png file")
    _add_forms(audit, markdown=True)

    info = _command(commands, "info", "print version, SIMD level, OpenMP, threads, libraries")
    info.add_argument("--json", action="store_true", help="print JSON")
    return result


def _command(commands: Any, name: str, summary: str) -> Parser:
    result: Parser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    result.set_defaults(command=name)
    return result


def _add_common(command: Parser) -> None:
    command.add_argument(
        "--seed",
        type=_options.seed,
        default=0,
        help="seed (default: 0)",
    )
    command.add_argument(
        "--threads",
        type=_options.threads,
        help="number of threads; changes no result",
    )


def _add_parameter(command: Parser, field: dataclasses.Field[Any]) -> None:
    """An option for a parameter of Experiment, absent from the parsed options if not given."""
    convert = _options.PARAMETERS[field.name]
    has_default = field.default is not dataclasses.MISSING
    shown = "none" if field.default is None else field.default
    command.add_argument(
        f"--{field.name.replace('_', '-')}",
        dest=f"experiment_{field.name}",
        type=_options.or_none(convert) if field.default is None else convert,
        default=argparse.SUPPRESS,
        metavar=field.name.upper(),
        help="see rfa.Experiment" + f" (default: {shown})" * has_default,
    )


def _add_experiment(command: Parser) -> None:
    command.add_argument(
        "--preset",
        type=_options.preset_name,
        help=f"start from a preset: {', '.join(PRESETS)}; options below replace its",
    )
    for field in dataclasses.fields(Experiment):
        _add_parameter(command, field)


def _add_constants(command: Parser) -> None:
    """Options for delta and C0, absent from the parsed options if not given."""
    for name, summary in (
        ("delta", "failure probability (default: 0.1)"),
        ("C0", "Lemma 4.2's constant (default: 5)"),
    ):
        command.add_argument(
            f"--{name}", type=_options.real, default=argparse.SUPPRESS, help=summary
        )


def _add_forms(command: Parser, markdown: bool = False) -> None:
    forms = command.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON in place of a table")
    if markdown:
        forms.add_argument("--markdown", action="store_true", help="print a Markdown table")
