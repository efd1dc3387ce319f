"""How often each statement held in the trials of a study."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rfa import _validate
from rfa.plot.canvas import axes_or_new, check_axes, legend, thin
from rfa.plot.styles import BLUE, NEITHER, ORANGE
from rfa.theory.statement import KNOWN

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from rfa.studies import Proportion, Study

# What the words of an id say that stand behind the number of the statement.
WORDS = {
    "b": "(b)",
    "a": "(a)",
    "mu1": r"$\mu_1$",
    "mu2": r"$\mu_2$",
    "own": "own cluster",
    "other": "other mean",
    "sum": "all of $J$",
}


class Look(NamedTuple):
    """How a verdict is drawn, and what the legend calls it."""

    words: str
    colour: str
    marker: str
    filled: bool


AT_LEAST = Look("at least as claimed", BLUE, "o", filled=True)
UNDECIDED = Look("undecided", BLUE, "o", filled=False)
BELOW = Look("below the claim", ORANGE, "v", filled=True)
NEVER_FALSE = Look("never false where claimed", BLUE, "s", filled=True)
FALSE = Look("counterexamples", ORANGE, "X", filled=True)
SILENT = Look("claims nothing here", "#777777", "D", filled=False)

# The height of what stands around the rows, in sizes of the font.
AROUND = 12.0

NONE_BEARS = "none bears on the paper"


def proportions(study: Study, ax: Axes | None = None, **cell: Any) -> Axes:
    """A forest plot: how often each statement held in the trials of a study, with intervals.

    Parameters
    ----------
    study : Study
        From :func:`rfa.study` with ``measure="check"``.
    ax : matplotlib Axes, optional
        Where to draw. Each statement needs about 0.13 inches of height at a font of 8 points.
    **cell
        The cell: a value for every parameter of the grid.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the study did not check statements, or if a parameter of the grid has no value.

    Notes
    -----
    The lines are 95 percent Clopper-Pearson intervals. A vertical dash in a row is the probability
    that the statement claims. Colours and markers are the verdicts of
    :class:`rfa.studies.Proportion`; a statement claims nothing here if it had no case or was
    trivial in every trial. A star marks statements on which the trials bear. Statements that were
    never applicable are left out. Numbers are those of arXiv 2202.07626.

    Examples
    --------
    >>> import rfa
    >>> found = rfa.study(rfa.preset("theorem"), trials=5, rng=0, measure="check")
    >>> ax = rfa.plot.proportions(found)
    >>> [label.get_text() for label in ax.get_yticklabels()][0]
    'Lemma 4.1(a)'
    """
    import matplotlib
    from matplotlib.lines import Line2D

    from rfa.studies import Study

    _validate.instance(study, "study", Study, "a rfa.Study")
    check_axes(ax)
    found = {name: p for name, p in study.frequencies(**cell).items() if p.n}
    trials = len(study.select(**cell))
    font = float(matplotlib.rcParams["font.size"])
    # rows, and what stands around them: title, numbers, label and legend
    inches = (1.2 * 0.8 * (len(found) + 1) + AROUND) * font / 72
    axes = axes_or_new(ax, height=inches / matplotlib.rcParams["figure.figsize"][0])
    # Room for a row in points: title, numbers, label and legend of a new figure take the rest.
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    if ax is None:
        height = axes.figure.bbox.height / axes.figure.dpi * 72 - AROUND * font
    room = height / (len(found) + 1)
    line = min(thin(1.0), 0.25 * room)
    handles: dict[str, Artist] = {}
    for row, p in enumerate(found.values()):
        look = _look(p)
        axes.plot([p.low, p.high], [row, row], color=look.colour, linewidth=line)
        point = axes.plot(
            [p.k / p.n],
            [row],
            marker=look.marker,
            markersize=2.8 * line,
            markeredgewidth=0.6 * line,
            color=look.colour,
            linestyle="",
            markerfacecolor=look.colour if look.filled else "white",
            markeredgecolor=look.colour,
        )
        handles.setdefault(look.words, point[0])
    targets = {row: p.target for row, p in enumerate(found.values()) if isinstance(p.target, float)}
    if targets:
        dashes: dict[str, Any] = {"marker": "|", "linestyle": "", "color": NEITHER}
        dashes |= {"markersize": min(0.9 * room, 6 * line), "markeredgewidth": line}
        claims = axes.plot([*targets.values()], [*targets], **dashes)
        handles["claimed probability"] = claims[0]
    low = min([*targets.values(), *(p.low for p in found.values())], default=0)
    bearing = [f"{_name(name)}{'*' * p.bears}" for name, p in found.items()]
    remark = "* bears on the paper" if any(p.bears for p in found.values()) else NONE_BEARS
    handles[remark] = Line2D([], [], linestyle="")
    axes.set_yticks(range(len(found)), bearing)
    axes.grid(axis="y", color="#e4e4e4", linewidth=thin(0.4))
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelsize=min(0.8 * font, 0.9 * room), length=0)
    axes.set(
        xlim=(max(-0.02, low - 0.08), 1.02),
        ylim=(len(found) - 0.3, -0.7),
        xlabel="share of trials, 95% interval",
        title=f"Statements that hold, {trials} trials",
    )
    legend(axes, columns=2, anchor=1.0, handles=list(handles.values()), labels=list(handles))
    return axes


def _look(p: Proportion) -> Look:
    """How a proportion is drawn, which is its verdict."""
    if p.target in (None, "none") or p.no_case + p.trivial + p.no_claim == p.trials:
        return SILENT
    if isinstance(p.target, float):
        if p.low >= p.target:
            return AT_LEAST
        return BELOW if p.high < p.target else UNDECIDED
    if not p.cases:
        return SILENT
    return FALSE if p.counterexamples else NEVER_FALSE


def _name(id: str) -> str:
    """The number of a statement in the paper and its part in words; of another statement its id."""
    known = KNOWN.get(id)
    if known is None or not known.numbers[0]:
        return id
    number = known.numbers[0]
    shared = sum(other.numbers[0] == number for other in KNOWN.values()) > 1
    words, spelt = id.split("_"), re.findall(r"\w+", number.lower())
    if number.startswith("("):
        number, words = f"Eq. {number}", words[1:]
    while words and spelt and words[0].lower() == spelt[0]:
        words, spelt = words[1:], spelt[1:]
    part = [WORDS.get(word, word) for word in words if shared]
    if part and part[0] in ("(a)", "(b)"):
        number, part = number + part[0], part[1:]
    return f"{number}, {' '.join(part)}" if part else number
