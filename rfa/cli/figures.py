"""Figures that commands draw into files."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rfa import _files
from rfa.cli.console import say
from rfa.plot.styles import for_files

# Formats of files, by their endings, and what is left out of a file: its date. So equal figures
# make equal files.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {},
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
}


def format_of(path: str) -> str:
    """The format that the ending of a path names; PNG for one without an ending, as of a device."""
    # splitext takes a name such as .pdf for one without an ending
    name = os.path.basename(path)
    ending = name if name.count(".") == 1 and name[0] == "." else os.path.splitext(path)[1]
    return ending.lower().removeprefix(".") or "png"


def draw(figure: Callable[[], Any], path: str, size: str | None = None) -> None:
    """Draw a figure, a function that returns axes, into a file, in the format of its ending.

    Without a size it is that of a column. The style is rfa's own, whatever the matplotlibrc of the
    user says.
    """
    load_matplotlib()
    kind = format_of(path)
    with for_files(size or "column"):
        drawn = figure().figure
        _files.replace(path, functools.partial(drawn.savefig, format=kind, **FORMATS[kind]))
    say(f"wrote {path}")


def print_and_draw(
    text: str, figure: Callable[[], Any], path: str | None, size: str | None
) -> None:
    """Print a text and, if there is a path, draw a figure; if one fails the other is still made."""
    try:
        if path is not None:
            draw(figure, path, size)
    finally:
        print(text, end="")


def load_matplotlib() -> ModuleType:
    """Import Matplotlib, without MPLBACKEND: it may name a backend that is not installed here.

    Figures are drawn without pyplot, and so without a backend.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return matplotlib
