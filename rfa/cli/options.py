"""Options that several commands share, and the types of options.

A type turns the text of an option into a value, or refuses it; argparse calls it.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from rfa import _files, _runtime, _validate
from rfa.cli.console import Parser
from rfa.cli.figures import FORMATS, format_of
from rfa.plot.styles import SIZES
from rfa.presets import preset
from rfa.setting import C0, DELTA
from rfa.theory.constants import above_one, probability

Value = TypeVar("Value")


# ------------------------------------------------------------------ types


def checked(convert: Callable[[str], Value]) -> Callable[[str], Value]:
    """A type that refuses a text in the words of convert, which argparse would not show."""

    @functools.wraps(convert)
    def converted(text: str) -> Value:
        try:
            return convert(text)
        except (ValueError, TypeError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


@checked
def integer(text: str) -> int:
    """An integer."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be an integer, got {_validate.shown(text)}") from None


@checked
def real(text: str) -> float:
    """A real number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number, got {_validate.shown(text)}") from None


@checked
def preset_name(text: str) -> str:
    """The name of a preset."""
    preset(text)
    return text


@checked
def figure_file(text: str) -> str:
    """The path of a figure, whose ending is the format; PNG without one, such as of a device."""
    if format_of(text) not in FORMATS:
        *others, last = (f".{name}" for name in FORMATS)
        raise ValueError(f"must end in {', '.join(others)} or {last}, got {_validate.shown(text)}")
    return text


@checked
def figure_format(text: str) -> str:
    """The format of figures."""
    return _validate.choice(text, "the format", *FORMATS)


@checked
def figure_size(text: str) -> str:
    """The size of figures."""
    return _validate.choice(text, "the size", *SIZES)


@checked
def _seed(text: str) -> int:
    return _validate.nonnegative_int(integer(text), "seed")


@checked
def _threads(text: str) -> int:
    n_threads = integer(text)
    _runtime.threads(n_threads)
    return n_threads


@checked
def _delta(text: str) -> float:
    return probability(real(text))


@checked
def _C0(text: str) -> float:
    return above_one(real(text))


# ------------------------------------------------------------------ shared options


def add_seed(
    parser: Parser, default: int | None = 0, summary: str = "seed of all random draws (default: 0)"
) -> None:
    """Add --seed."""
    parser.add_argument("--seed", type=_seed, default=default, help=summary)


def add_threads(parser: Parser) -> None:
    """Add --threads."""
    parser.add_argument(
        "--threads", type=_threads, help="number of threads; the results do not depend on it"
    )


def add_figure(parser: Parser, what: str) -> None:
    """Add --figure, which draws what is said, and --size."""
    parser.add_argument(
        "--figure",
        type=figure_file,
        metavar="FILE",
        help=f"{what} to this file, a .png, .pdf or .svg",
    )
    add_size(parser)


def check_figure(options: argparse.Namespace) -> None:
    """Refuse a --figure that cannot be written, and a --size of no figure."""
    if options.figure is not None:
        _files.destination(options.figure)
    elif options.size is not None:
        raise ValueError("--size needs --figure")


def add_size(parser: Parser) -> None:
    """Add --size, which is None if it is not given: the size is then that of a column."""
    parser.add_argument(
        "--size",
        type=figure_size,
        metavar="SIZE",
        help="size of figures: column (of a paper, 3.3 inches wide) or slide (default: column)",
    )


def add_constants(parser: Parser) -> None:
    """Add --delta and --C0, which are absent from the parsed options if they are not given."""
    parser.add_argument(
        "--delta",
        type=_delta,
        default=argparse.SUPPRESS,
        help=f"failure probability (default: {DELTA:g})",
    )
    parser.add_argument(
        "--C0",
        type=_C0,
        default=argparse.SUPPRESS,
        help=f"the constant of Lemma 4.2 (default: {C0:g})",
    )


def constants(options: argparse.Namespace) -> dict[str, Any]:
    """Those of delta and C0 that are given."""
    return {name: value for name, value in vars(options).items() if name in ("delta", "C0")}


def add_forms(parser: Parser, markdown: bool = False) -> None:
    """Add --json, and --markdown if the command has it, which exclude each other."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON in place of a table")
    if markdown:
        forms.add_argument("--markdown", action="store_true", help="print a Markdown table")
