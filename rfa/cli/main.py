"""The command line: what is around the commands.

Data go to stdout, messages to stderr. Exit status: 0; 1 for a failure, said in one line; 2 for a
wrong use, found before anything is computed; 130 if interrupted. Where a failure comes from is
shown if the environment variable RFA_DEBUG is set.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any

from rfa.cli.console import UsageError, report, say


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
        from rfa.cli import commands

        return commands.execute(None if arguments is None else list(arguments)), None
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
