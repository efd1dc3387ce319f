"""What the figures share: new axes, panels, legends, the axis of time, and checks of arguments."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.plot.styles import NEGATIVE, POSITIVE, current
from rfa.setting import Horizon
from rfa.training.history import History
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Backends of Matplotlib that cannot show a figure.
NOT_SHOWN = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}

# Most steps at which a path or a curve of each neuron is drawn.
MOST_STEPS = 300

# Up to this number of points of a curve each has a marker.
FEW = 30

# Colour, style of lines and marker of neurons by the sign of a_j, and of samples by their label.
SIGNS = {1: (POSITIVE, "-", "o"), -1: (NEGATIVE, "--", "s")}

# What legends call the neurons of each sign.
NEURONS = {1: "$a_j > 0$", -1: "$a_j < 0$"}


# ------------------------------------------------------------------ arguments


def check_axes(ax: Axes | None) -> None:
    """Refuse an ``ax`` that is not Matplotlib's, before anything is computed."""
    from matplotlib.axes import Axes

    if ax is not None:
        _validate.instance(ax, "ax", Axes, "matplotlib Axes or None")


def check(run: Run, ax: Axes | None) -> None:
    """Check the arguments that all figures of a run have."""
    _validate.instance(run, "run", Run, "a rfa.Run")
    check_axes(ax)


def recorded_of(run: Run) -> History:
    """The history of a run that recorded something."""
    if not len(run.history):
        raise ValueError("not applicable: the run recorded no step")
    return run.history


def means(run: Run) -> NDArray[np.float64]:
    """The cluster means of the run's data."""
    found = run.data.means
    if found is None:
        raise ValueError(
            "not applicable: the run's data have no cluster means; "
            "give Dataset y_clean, cluster and means"
        )
    return found


def pairs(run: Run) -> NDArray[np.float64]:
    """The means +mu1, -mu1, +mu2, -mu2."""
    found = means(run)
    if len(found) != 4:
        raise ValueError(f"not applicable: the figure needs means +-mu1, +-mu2, got {len(found)}")
    return found


# ------------------------------------------------------------------ axes


def axes_or_new(ax: Axes | None, height: float) -> Axes:
    """The given axes, or those of a new figure; the height is a multiple of the width."""
    if ax is not None:
        return ax
    import matplotlib
    from matplotlib.figure import Figure

    size, shown = current()
    width = matplotlib.rcParams["figure.figsize"][0]
    inches = (width, min(height * width, size.tallest if size else math.inf))
    if not shown or matplotlib.get_backend().lower() in NOT_SHOWN:
        return Figure(figsize=inches, layout="constrained").add_subplot()
    import matplotlib.pyplot as plt

    return plt.figure(figsize=inches, layout="constrained").add_subplot()


# The lower panels of axes that were split.
_LOWER: weakref.WeakKeyDictionary[Axes, Axes] = weakref.WeakKeyDictionary()


def split(axes: Axes) -> Axes:
    """Make axes the upper half of their place; returns axes in the lower half, with the same x.

    Axes that were split before keep their lower half, so that two runs can be drawn into them.
    """
    lower = _LOWER.get(axes)
    if lower is not None and lower.figure is axes.figure is not None:
        return lower
    figure, spec = axes.figure, axes.get_subplotspec()
    if spec is not None:
        halves = spec.subgridspec(2, 1)
        axes.set_subplotspec(halves[0])
        lower = figure.add_subplot(halves[1], sharex=axes)
    else:
        box = axes.get_position()
        half = 0.46 * box.height
        axes.set_position((box.x0, box.y1 - half, box.width, half))
        lower = figure.add_axes((box.x0, box.y0, box.width, half), sharex=axes)
    axes.tick_params(labelbottom=False)
    _LOWER[axes] = lower
    return lower


def legend(
    axes: Axes, columns: int, beside: bool = False, anchor: float = 0.5, **named: Any
) -> None:
    """A legend below the axes, under the label of x; or on their right if there is more room.

    Below, its centre is that of the axes, or with anchor = 1 its right edge is theirs.
    """
    from matplotlib.transforms import ScaledTranslation

    named |= {"frameon": False, "borderaxespad": 0.0, "handlelength": 2.2, "columnspacing": 1.2}
    box = axes.get_window_extent()
    if beside and box.width > 1.25 * box.height:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), **named)
        return
    words, numbers = axes.xaxis.label, axes.get_xticklabels()[0]
    points = float(words.get_fontsize()) + 1.2 * float(numbers.get_fontsize()) + 12
    down = ScaledTranslation(0, -points / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper center" if anchor == 0.5 else "upper right",
        bbox_to_anchor=(anchor, 0),
        bbox_transform=axes.transAxes + down,
        ncols=columns,
        **named,
    )


# ------------------------------------------------------------------ time


def rows_to_draw(t: NDArray[np.int64], most: int = MOST_STEPS) -> NDArray[np.intp]:
    """Rows of the recorded steps t: all, or if they are many, those nearest to a log scale.

    The first and the last row are among them.
    """
    if len(t) <= most:
        return np.arange(len(t))
    wanted = np.geomspace(1, t[-1] - t[0] + 1, most) - 1 + t[0]
    return np.unique(np.searchsorted(t, np.floor(wanted)))


def time_axis(axes: Axes, steps: NDArray[np.int64], log: bool = False) -> None:
    """Label the axis of time, and make it logarithmic from t = 1 on if there are many steps.

    With log the axis begins at 1, or for a long run at 10, as Figure 2 of the journal version does.
    """
    from matplotlib.ticker import MaxNLocator

    last = int(max(steps, default=0))
    if log:
        axes.set_xscale("log")
        axes.set_xlim(10 if last >= 1000 else 1, 1.15 * max(last, 2))
    elif last > 30:
        axes.set_xscale("symlog", linthresh=1, linscale=0.4)
        axes.set_xlim(0, 1.15 * last)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if log or last > 30:
        axes.xaxis.set_major_formatter(_short)
    axes.set_xlabel("step $t$")


def _short(t: float, _: object = None) -> str:
    """1, 10 or 100, and a power of ten from there on."""
    return f"{t:g}" if t < 1000 else f"$10^{{{round(math.log10(t))}}}$"


def horizon(run: Run) -> int | None:
    """The horizon T of a run, or None if its step size has no finite one."""
    try:
        return Horizon.of(run.alpha).T
    except ValueError:
        return None


def mark_horizon(axes: Axes, run: Run, last: int, first: float = 0) -> list[Line2D]:
    """A dotted line at the horizon T, in a list; none if T is not between the steps shown."""
    T = horizon(run)
    if T is None or not first <= T <= last:
        return []
    style: dict[str, Any] = {
        "color": "black",
        "linestyle": ":",
        "linewidth": thin(0.8),
        "zorder": 1,
    }
    return [axes.axvline(T, label=f"horizon $T = {T}$", **style)]


def thin(part: float) -> float:
    """A width of lines that is this part of the style's."""
    import matplotlib

    return part * float(matplotlib.rcParams["lines.linewidth"])


def mixed(a: NDArray[np.float64]) -> NDArray[np.intp]:
    """Neurons with a_j > 0 and a_j < 0 by turns, so that neither kind hides the other."""
    rank = np.where(a > 0, np.cumsum(a > 0), np.cumsum(a < 0))
    order = np.argsort(rank, kind="stable")
    return order[a[order] != 0]


def marker(shape: str, count: int) -> dict[str, Any]:
    """The marker of a curve with few points, and no marker on one with many."""
    return {"marker": shape} if count < FEW else {}
