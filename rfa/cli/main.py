"""The entry of the command line: the list of commands, and the exit status.

Data go to stdout, messages to stderr. The exit status is 0; 1 after a failure, told in one line;
2 after a wrong use, found before anything is computed; 130 after Ctrl-C. If the environment
variable RFA_DEBUG is set, the traceback of a failure is shown too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rfa.cli.console import Parser

# This file imports modules of rfa in its functions: Ctrl-C must be caught while Python imports.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        from rfa.cli.console import messages_of_one_line, report

        with messages_of_one_line():
            status, failure = _outcome(arguments)
            lost = _flush(sys.stdout)
            failure = failure or lost
            if isinstance(failure, BrokenPipeError) and failure.filename is None:
                # The reader of stdout has gone, as head does: this is no failure.
                failure = None
            elif failure is not None:
                status = status or 1
                nameless = isinstance(failure, OSError) and failure.errno and not failure.filename
                report(failure, "stdout" if nameless else "")
            _flush(sys.stderr)
            return status
    except KeyboardInterrupt:
        from rfa.cli.console import say

        say("interrupted")
        return 130


def _outcome(arguments: Sequence[str] | None) -> tuple[int, Exception | None]:
    """The exit status of a command and its failure; with a failure the status may still be 0."""
    from rfa.cli.console import UsageError, need_stdout, say

    try:
        options = _parser().parse_args(arguments)
        need_stdout()
        return options.execute(options), None
    except SystemExit:  # argparse ends --help and --version with it
        return 0, None
    except UsageError as error:
        return 2, error
    except KeyboardInterrupt as interruption:
        say(str(interruption) or "interrupted")
        return 130, None
    except Exception as error:
        return 0, error


def _parser() -> Parser:
    """The parser of all commands; the parsed options have the command's execute."""
    # Importing a command loads the kernels; with an unknown RFA_SIMD this fails, in one line.
    from rfa import _runtime
    from rfa.cli import audit, check, info, reproduce, train
    from rfa.cli.console import Parser

    commands = {
        "reproduce": reproduce,
        "train": train,
        "check": check,
        "audit": audit,
        "info": info,
    }
    parser = Parser(
        prog="rfa",
        description="Train two-layer ReLU networks on XOR-cluster data and compare with the "
        "theory of random feature amplification.",
        epilog="With RFA_DEBUG=1 in the environment a failure shows its traceback.",
    )
    parser.add_argument("--version", action="version", version=_runtime.__version__)
    choices = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in commands.items():
        summary = command.SUMMARY
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = choices.add_parser(name, help=summary, description=description)
        subparser.set_defaults(execute=command.execute)
        command.add_options(subparser)
    return parser


def _flush(stream: IO[str] | None) -> OSError | None:
    """Write what a stream has buffered; if that fails, drop it and return the error."""
    if stream is None or stream.closed:
        return None
    try:
        stream.flush()
    except OSError as error:
        # Python flushes once more as it ends, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
