"""The command line: what is around the commands of rfa._commands.

Data go to stdout, messages to stderr. Exit status: 0; 1 for a failure, said in one line; 2 for a
wrong use, found before anything is computed; 130 if interrupted. Where a failure comes from is
shown if the environment variable RFA_DEBUG is set.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, NoReturn

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


class _Log(logging.Handler):
    """Says what is logged, as Python's handler of last resort does, but in a line of rfa's."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def _messages_of_one_line() -> Iterator[None]:
    """Let warnings and logs that nobody else handles be messages of one line."""

    def show(message: Warning | str, *place: Any, **named: Any) -> None:
        say(f"warning: {message}")

    last_resort = logging.lastResort
    with warnings.catch_warnings():
        warnings.showwarning = show
        logging.lastResort = _Log(logging.WARNING)
        try:
            yield
        finally:
            logging.lastResort = last_resort


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    with _messages_of_one_line():
        status, failure = _outcome(arguments)
        lost = _flush(sys.stdout)
        failure = failure or lost
        if isinstance(failure, BrokenPipeError) and failure.filename is None:
            # whoever read stdout has had enough: neither worth a word nor a failure
            failure = None
        elif failure is not None:
            status = status or 1
            nameless = isinstance(failure, OSError) and failure.errno and not failure.filename
            report(failure, "stdout" if nameless else "")
        _flush(sys.stderr)
        return status


def _outcome(arguments: Sequence[str] | None) -> tuple[int, Exception | None]:
    """The exit status of a command, 0 if it failed, and what it failed with."""
    try:
        # here, since it loads the kernels, which refuse to load with an unknown RFA_SIMD
        from rfa import _commands

        return _commands.execute(None if arguments is None else list(arguments)), None
    except SystemExit:  # after --help or --version, which argparse ends with
        return 0, None
    except UsageError as error:
        return 2, error
    except KeyboardInterrupt as interruption:
        say(str(interruption) or "interrupted")
        return 130, None
    except Exception as error:
        return 0, error


def _flush(stream: IO[str] | None) -> OSError | None:
    """Write what is buffered; what cannot be is dropped, or it would fail again as Python ends."""
    if stream is None or stream.closed:
        return None
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
