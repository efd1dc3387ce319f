"""What the command line's options say, from text: each function takes one and refuses a wrong one.

They are the types of argparse's arguments.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

from rfa import _runtime, _validate
from rfa.presets import preset
from rfa.training.recording import MAX_STEPS

Value = TypeVar("Value")


def checked(convert: Callable[[str], Value]) -> Callable[[str], Value]:
    """Let argparse print convert's own words of refusal."""

    @functools.wraps(convert)
    def converted(text: str) -> Value:
        try:
            return convert(text)
        except (ValueError, TypeError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def or_none(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same, where "none" stands for None."""
    return lambda text: None if text == "none" else convert(text)


@checked
def integer(text: str) -> int:
    """An integer."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be an integer, got {_validate.shown(text)}") from None


@checked
def real(text: str) -> float:
    """A number."""
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
def seed(text: str) -> int:
    """A seed."""
    return _validate.nonnegative_int(integer(text), "seed")


@checked
def trials(text: str) -> int:
    """A number of trials."""
    return _validate.positive_int(integer(text), "trials")


@checked
def threads(text: str) -> int:
    """A number of threads."""
    n_threads = integer(text)
    _runtime.threads(n_threads)
    return n_threads


@checked
def steps(text: str) -> int:
    """A number of steps."""
    steps = _validate.nonnegative_int(integer(text), "steps")
    if steps > MAX_STEPS:
        raise ValueError(f"steps must be at most 2^53, got {text}")
    return steps


@checked
def record(text: str) -> str | int | None:
    """Which steps to record."""
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


@checked
def balance(text: str) -> str | tuple[float, ...]:
    """How clusters are drawn."""
    if text == "exact":
        return text
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            "must be none, exact or four probabilities such as 0.1,0.2,0.3,0.4, "
            f"got {_validate.shown(text)}"
        ) from None


@checked
def mu(text: str) -> Any:
    """The cluster means."""
    if text == "random":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(
            "must be none, random or two vectors in JSON such as [[0, 1], [1, 0]], "
            f"got {_validate.shown(text)}"
        ) from None


# The types of Experiment's parameters; what is in range Experiment decides.
PARAMETERS: dict[str, Callable[[str], Any]] = {
    "n": integer,
    "d": integer,
    "m": integer,
    "alpha": real,
    "steps": steps,
    "sigma": real,
    "omega_init": real,
    "eta": real,
    "noise": str,
    "law": str,
    "balance": balance,
    "mu": mu,
    "n_test": integer,
    "dtype": str,
}
