"""The commands: rfa reproduce, rfa train, rfa info.

Each is a function of the parsed options that returns the exit status. What the options say is
checked before anything is computed: each by itself in rfa._options, the rest within cli.usage.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

from rfa import _files, _options, _runtime, _summary, plot
from rfa.cli import Parser, say, usage
from rfa.experiment import PRESETS, Experiment, preset
from rfa.training import ENGINES, Interrupted, choose_engine

DEFAULT_PRESETS = ("figure1", "theorem")

# The figures of a run: how the name of the file ends, and what draws it.
FIGURES: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("", plot.decision_boundary),
    ("-amplification", plot.amplification),
    ("-history", plot.history),
)


def parser() -> Parser:
    """The parser of all commands; the function of a command is in its options."""
    result = Parser(
        prog="rfa",
        description="Train two-layer ReLU networks on XOR-cluster data and compare with the "
        "theory of random feature amplification.",
    )
    result.add_argument("--version", action="version", version=_runtime.version())
    commands = result.add_subparsers(required=True, metavar="COMMAND")

    reproduce = _command(
        commands, "reproduce", _reproduce, "run presets and draw the paper's figures"
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
        help="folder for figures and summary.json (default: %(default)s)",
    )
    reproduce.add_argument(
        "--steps",
        type=_options.steps,
        help="number of steps, in place of the preset's",
    )
    _add_common(reproduce)

    train = _command(commands, "train", _train, "train one network")
    train.add_argument(
        "--preset",
        type=_options.preset_name,
        help=f"start from a preset: {', '.join(PRESETS)}; options below replace its",
    )
    for field in dataclasses.fields(Experiment):
        _add_parameter(train, field)
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

    info = _command(
        commands, "info", _info, "print version, SIMD level, OpenMP, threads, libraries"
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    return result


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], summary: str
) -> Parser:
    result: Parser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    result.set_defaults(command=function)
    return result


def _add_common(command: Parser) -> None:
    command.add_argument(
        "--seed",
        type=_options.seed,
        default=0,
        help="seed (default: %(default)s)",
    )
    command.add_argument(
        "--threads",
        type=_options.threads,
        help="number of threads; changes no result",
    )
    command.add_argument("--json", action="store_true", help="print JSON in place of a table")


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


# ------------------------------------------------------------------------- commands


def _info(options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(_runtime.configuration()))
    else:
        _runtime.show_config()
    return 0


def _train(options: argparse.Namespace) -> int:
    with usage(OSError):
        experiment = _experiment(options)
        choose_engine(options.engine, experiment.d)
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
        if options.out is not None:
            interruption.run.save(options.out)
            say(f"the run so far is in {options.out}")
        raise
    if options.out is not None:
        run.save(options.out)
    _summary.show([_summary.summarize("run", experiment, run, options.threads)], options.json)
    # where and why is in the warning of train
    return 1 if run.status == "diverged" else 0


def _experiment(options: argparse.Namespace) -> Experiment:
    """The experiment of the options."""
    prefix = "experiment_"
    given = {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix)
    }
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
    path = os.path.join(options.out, "summary.json")
    figures = {
        name: [(draw, os.path.join(options.out, f"{name}{end}.png")) for end, draw in FIGURES]
        for name in experiments
    }
    with usage(OSError):
        os.makedirs(options.out, exist_ok=True)
        for file in (path, *(file for drawn in figures.values() for _, file in drawn)):
            _files.destination(file)
    summaries = []
    for name, experiment in experiments.items():
        say(f"{name}: {experiment.to_json()}")
        run = experiment.run(options.seed, n_threads=options.threads)
        summaries.append(_summary.summarize(name, experiment, run, options.threads))
        for draw, file in figures[name]:
            _draw(functools.partial(draw, run), file)
    text = json.dumps(summaries, indent=2) + "\n"
    _files.replace(path, lambda file: file.write(text.encode()))
    say(f"wrote {path}")
    _summary.show(summaries, options.json)
    return 0


def _draw(draw: Callable[..., Any], path: str) -> None:
    """Draw a figure into a file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    draw(figure.add_subplot())
    _files.replace(path, functools.partial(figure.savefig, format="png", dpi=150))
    say(f"wrote {path}")
