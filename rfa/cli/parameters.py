"""An option for each parameter of an experiment, made from the fields of Experiment.

The name, the default and the type of the option are those of the field; its help is the first
sentence of the docstring of Experiment on the parameter.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from rfa import _validate
from rfa.cli.console import Parser
from rfa.cli.options import checked, integer, preset_name, real
from rfa.experiment import Experiment
from rfa.presets import PRESETS, preset

# The parsed options have each parameter under its name with this prefix, apart from other options.
PREFIX = "experiment_"


def add_parameters(parser: Parser) -> None:
    """Add --preset, and an option for each parameter of Experiment."""
    parser.add_argument(
        "--preset",
        type=preset_name,
        help=f"start from a preset: {', '.join(PRESETS)}; the options below replace its values",
    )
    sentences = first_sentences(Experiment.__doc__)
    for field in dataclasses.fields(Experiment):
        default = "" if _required(field) else f" (default: {_as_text(field.default)})"
        summary = sentences.get(field.name, "").replace("None", "none") + default
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=PREFIX + field.name,
            type=_type(field),
            default=argparse.SUPPRESS,
            metavar=field.name.upper(),
            help=summary.replace("%", "%%"),
        )


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters that the options give."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(PREFIX)
    }


def experiment(options: argparse.Namespace) -> Experiment:
    """The experiment that the options give."""
    values = given(options)
    if options.preset is not None:
        return preset(options.preset).replace(**values)
    required = [field.name for field in dataclasses.fields(Experiment) if _required(field)]
    missing = [f"--{name}" for name in required if name not in values]
    if missing:
        raise ValueError(f"without --preset, {' and '.join(missing)} must be given")
    return Experiment(**values)


def first_sentences(docstring: str | None) -> dict[str, str]:
    """The first sentence on each parameter in a numpydoc docstring, as argparse writes help.

    python -OO drops docstrings: there are no sentences then.
    """
    _, _, parameters = inspect.cleandoc(docstring or "").partition("Parameters\n----------\n")
    # The section ends at a blank line. Each name begins a line, and the lines on it are indented.
    section = parameters.partition("\n\n")[0]
    found = {}
    for name, lines in re.findall(r"^(\w+) :.*((?:\n .*)+)", section, re.MULTILINE):
        sentence = re.split(r"\.(?: |$)", " ".join(lines.split()))[0]
        found[name] = sentence[:1].lower() + sentence[1:]
    return found


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def _as_text(value: Any) -> str:
    return "none" if value is None else str(value)


def _type(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """The type of a parameter's option; "none" stands for None where None is the default."""
    by_annotation: dict[str, Callable[[str], Any]] = {"int": integer, "float": real, "str": str}
    if "from_text" in field.metadata:
        convert = checked(field.metadata["from_text"])
    else:
        convert = by_annotation.get(str(field.type).removesuffix(" | None"), checked(_from_json))
    if field.default is not None:
        return convert
    return lambda text: None if text == "none" else convert(text)


def _from_json(text: str) -> Any:
    """A value in JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"must be JSON, got {_validate.shown(text)}") from None
