"""What the commands share of the terminal: the parser, messages on stderr, refusals."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

# Exceptions whose messages say what is wrong; of others the name is needed too, and not all of what
# may be pages.
TELLING = (ValueError, TypeError, OSError, ImportError, MemoryError)
LONGEST = 300


class UsageError(Exception):
    """What was asked for cannot be done."""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line and takes no abbreviations, which would not last."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        # of --help and --version, which are data: argparse's own drops what cannot be written
        need_stdout()
        print(message, end="")


@contextlib.contextmanager
def usage(*further: type[Exception]) -> Iterator[None]:
    """Take what refuses an argument, and further exceptions, for a wrong use."""
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError, *further)
    try:
        yield
    except refusals as error:
        raise UsageError(str(error)) from error


def need_stdout() -> None:
    """Refuse to begin what would end in printing where there is no stdout."""
    if sys.stdout is None:
        raise OSError("stdout is closed: there is nowhere to print to")


def say(message: str) -> None:
    """Write a message of one line to stderr."""
    # no stderr, a closed one or one that is full: there is nobody to tell
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            line = " ".join(message.splitlines())
            print(f"rfa: {line}", file=sys.stderr, flush=True)


def report(error: BaseException, what: str = "") -> None:
    """Say in one line what failed and why, after the traceback if RFA_DEBUG is set."""
    if os.environ.get("RFA_DEBUG"):
        # as in say: nobody to tell
        with contextlib.suppress(OSError, ValueError, AttributeError):
            traceback.print_exception(error)
    say(f"error: {what}{': ' if what else ''}{described(error)}")


def described(error: BaseException) -> str:
    """What an exception says, with its name if that is needed."""
    if isinstance(error, (*TELLING, UsageError)) and str(error):
        return str(error)
    text = " ".join([type(error).__name__ + ":", *str(error).split()]).removesuffix(":")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
