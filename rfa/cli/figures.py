"""Figures that commands draw into files."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rfa import _files
from rfa.cli.console import say


def draw(figure: Callable[..., Any], path: str, height: float = 5.2) -> None:
    """Draw a figure, a function of axes, into a PNG file; the height is in inches.

    The style is Matplotlib's own, whatever the matplotlibrc of the user says.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        canvas = Figure(figsize=(7.2, height), layout="constrained")
        figure(canvas.add_subplot())
        _files.replace(path, functools.partial(canvas.savefig, format="png", dpi=150))
    say(f"wrote {path}")


def print_and_draw(
    text: str, figure: Callable[..., Any], path: str | None, height: float = 5.2
) -> None:
    """Print a text and, if there is a path, draw a figure; if one fails the other is still made."""
    try:
        if path is not None:
            draw(figure, path, height)
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
