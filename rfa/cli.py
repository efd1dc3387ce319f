"""The command line: what is around the commands of rfa._commands.

Data go to stdout, messages to stderr. Exit status: 0; 1 for a failure, said in one line; 2 for a
wrong use, found before anything is computed; 130 if interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn


class UsageError(Exception):
    """What was asked for cannot be done."""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line and takes no abbreviations, which would not last."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(f"{message}; see {self.prog} --help")


@contextlib.contextmanager
def usage(*further: type[Exception]) -> Iterator[None]:
    """Take what refuses an argument, and further exceptions, for a wrong use."""
    refusals: tuple[type[Exception], ...] = (ValueError, TypeError, *further)
    try:
        yield
    except refusals as error:
        raise UsageError(str(error)) from error


def say(message: str) -> None:
    """Write a message of one line to stderr."""
    # no stderr, a closed one or one that is full: there is nobody to tell
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            line = " ".join(message.splitlines())
            print(f"rfa: {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        # here, since it loads the kernels, which refuse to load with an unknown RFA_SIMD
        from rfa import _commands

        status = _commands.execute(None if arguments is None else list(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        say(f"error: {error}")
        status = 2
    except KeyboardInterrupt as interruption:
        say(str(interruption) or "interrupted")
        status = 130
    except (ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        # whoever read stdout has had enough: not worth a word; a pipe of --out has a name
        if not isinstance(error, BrokenPipeError) or error.filename is not None:
            say(f"error: {str(error) or type(error).__name__}")
        status = 1
    _drop_what_cannot_be_written()
    return status


def _drop_what_cannot_be_written() -> None:
    """Let no output that is still buffered raise once more when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
