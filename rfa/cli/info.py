"""rfa info: the version and the configuration."""

from __future__ import annotations

import argparse
import json

from rfa import _runtime
from rfa.cli.console import Parser

SUMMARY = "print version, SIMD level, OpenMP, threads, libraries"


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    if options.json:
        print(json.dumps(_runtime.configuration()))
    else:
        _runtime.show_config()
    return 0
