"""The style of all figures: colours, and the sizes of a column and of a slide."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NamedTuple

from rfa import _validate

# Colours of Okabe and Ito, which colour-blind readers can tell apart. Blue and orange also differ
# in lightness, and so in grey. Where two colours are equally light, lines and markers differ.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"

# The label +1 and neurons with a_j > 0; the label -1 and neurons with a_j < 0.
POSITIVE, NEGATIVE = BLUE, ORANGE

# Samples with a clean label, samples with a flipped one, and what belongs to neither of them.
CLEAN, NOISY, NEITHER = GREEN, PURPLE, "black"


class Size(NamedTuple):
    """Width and largest height of a figure in inches, and settings of Matplotlib."""

    width: float
    tallest: float
    settings: Any


def _sized(width: float, tallest: float, font: float, line: float, dots: int) -> Size:
    """The settings that go with a size of the font and a width of lines, both in points."""
    settings = {
        "figure.figsize": (width, 0.75 * width),
        "figure.dpi": dots,
        "savefig.dpi": dots,
        "font.size": font,
        "axes.titlesize": font,
        "axes.labelsize": font,
        "legend.fontsize": 0.85 * font,
        "xtick.labelsize": 0.85 * font,
        "ytick.labelsize": 0.85 * font,
        "axes.linewidth": 0.6 * line,
        "lines.linewidth": line,
        "lines.markersize": 2.8 * line,
        "xtick.major.width": 0.6 * line,
        "ytick.major.width": 0.6 * line,
        "xtick.minor.width": 0.4 * line,
        "ytick.minor.width": 0.4 * line,
        "hatch.linewidth": 0.6 * line,
        # What journals ask for: fonts whose text can be selected and edited.
        "pdf.fonttype": 42,
        # Ids in an SVG file are hashes of their contents and of this word, so that equal figures
        # are equal files.
        "svg.hashsalt": "rfa",
    }
    return Size(width, tallest, settings)


SIZES = {
    "column": _sized(3.3, 9.0, font=8, line=1.2, dots=300),
    "slide": _sized(10.0, 5.6, font=18, line=2.6, dots=150),
}

# The size that is set, and whether figures may be shown.
_SIZE: ContextVar[Size | None] = ContextVar("size", default=None)
_SHOWN: ContextVar[bool] = ContextVar("shown", default=True)


def current() -> tuple[Size | None, bool]:
    """The size that :func:`style` set, or None, and whether figures may be shown."""
    return _SIZE.get(), _SHOWN.get()


def style(size: str = "column") -> AbstractContextManager[None]:
    """A context in which figures have the size of a column of a paper, or of a slide.

    Inside, Matplotlib's own style with the fonts and lines of that size replaces the user's. Save
    the figure inside, too.

    Parameters
    ----------
    size : {"column", "slide"}
        "column": 3.3 inches wide, with a font of 8 points. "slide": 10 inches wide and at most 5.6
        inches high, with a font of 18 points.

    Returns
    -------
    context manager

    Raises
    ------
    ValueError
        If there is no such size.

    Examples
    --------
    >>> import rfa
    >>> with rfa.plot.style("slide"):
    ...     ax = rfa.plot.history(rfa.preset("theorem").run(rng=0))
    >>> float(ax.figure.get_figwidth())
    10.0
    """
    _validate.choice(size, "size", *SIZES)
    return _set(SIZES[size], _SHOWN.get())


def for_files(size: str) -> AbstractContextManager[None]:
    """:func:`style` for figures that are only saved: nothing loads pyplot or a backend."""
    return _set(SIZES[size], shown=False)


@contextlib.contextmanager
def _set(size: Size, shown: bool) -> Iterator[None]:
    import matplotlib

    before = _SIZE.set(size), _SHOWN.set(shown)
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(size.settings)
            yield
    finally:
        _SIZE.reset(before[0])
        _SHOWN.reset(before[1])
