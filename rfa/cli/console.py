"""What commands share of the terminal: the parser, messages on stderr, refusals."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

# The messages of these exceptions say what is wrong. A message of another one is shown after its
# type, and cut at LONGEST characters, since it may be pages long.
TELLING = (ValueError, TypeError, OSError, ImportError, MemoryError)
LONGEST = 300


class UsageError(Exception):
    """The command line asks for something that cannot be done."""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line.

    It takes no abbreviations: a new option could make an abbreviation of an old one ambiguous.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments; one that is unknown is refused by the parser of its command."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse prints --help and --version with this method, and hides failures to write.
        need_stdout()
        print(message, end="")


@contextlib.contextmanager
def usage(*further: type[Exception]) -> Iterator[None]:
    """Turn an exception that refuses an argument, or one of the further types, into UsageError."""
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError, *further)
    try:
        yield
    except refusals as error:
        raise UsageError(str(error)) from error


def need_stdout() -> None:
    """Fail if stdout is closed, before a computation whose result could not be printed."""
    if sys.stdout is None:
        raise OSError("stdout is closed: there is nowhere to print to")


def say(message: str) -> None:
    """Write a message to stderr, in one line."""
    # If stderr is absent, closed or full, nobody can be told.
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            line = " ".join(message.splitlines())
            print(f"rfa: {line}", file=sys.stderr, flush=True)


def report(error: BaseException, what: str = "") -> None:
    """Say in one line what failed and why; if RFA_DEBUG is set, after the traceback."""
    if os.environ.get("RFA_DEBUG"):
        # As in say: nobody can be told.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            traceback.print_exception(error)
    say(f"error: {what}{': ' if what else ''}{described(error)}")


def described(error: BaseException) -> str:
    """The message of an exception, after its type unless the message suffices."""
    if isinstance(error, (*TELLING, UsageError)) and str(error):
        return str(error)
    text = " ".join([type(error).__name__ + ":", *str(error).split()]).removesuffix(":")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class _Log(logging.Handler):
    """Says a log record, with its level in front."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def messages_of_one_line() -> Iterator[None]:
    """Say each warning once, and log records that no handler takes, in one line each."""
    told: set[str] = set()

    def show(message: Warning | str, *place: Any, **named: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            say(f"warning: {message}")

    last_resort = logging.lastResort
    with warnings.catch_warnings():
        warnings.showwarning = show
        logging.lastResort = _Log(logging.WARNING)
        try:
            yield
        finally:
            logging.lastResort = last_resort
