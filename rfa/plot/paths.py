"""The paths of the neurons in the plane of the cluster means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfa.plot.canvas import (
    NEURONS,
    SIGNS,
    axes_or_new,
    check,
    legend,
    mixed,
    pairs,
    recorded_of,
    rows_to_draw,
    thin,
)
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The start is magnified if it takes less than this part of the picture.
SMALL_START = 0.35

# The means and their directions in the plane.
DIRECTIONS = {
    r"$+\mu_1$": (1, 0),
    r"$-\mu_1$": (-1, 0),
    r"$+\mu_2$": (0, 1),
    r"$-\mu_2$": (0, -1),
}


def neurons(run: Run, ax: Axes | None = None) -> Axes:
    """The paths of the neurons in the plane of mu1 and mu2, from first to last recorded step.

    Parameters
    ----------
    run : Run
        A run on data with clusters.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the data have no cluster means, or no step was recorded.

    Notes
    -----
    Arrows show the directions of +-mu1 and +-mu2. If the neurons start close to 0, compared with
    where they end, an inset magnifies their start. Of more than 300 recorded steps the
    paths show 300.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.neurons(rfa.preset("theorem").run(rng=0))
    >>> ax.get_ylabel()
    '$\\\\langle w_j, \\\\mu_2\\\\rangle$'
    """
    check(run, ax)
    pairs(run)
    recorded = recorded_of(run)
    axes = axes_or_new(ax, height=1.11)
    rows = rows_to_draw(recorded.t)
    paths = np.asarray(recorded.projection[rows][:, :, [0, 2]], np.float64)
    first, last = recorded.t[0], recorded.t[-1]
    reach = _reach(paths)
    for name, direction in DIRECTIONS.items():
        x, y = np.array(direction) * reach
        arrow = {"arrowstyle": "->", "linewidth": thin(0.6), "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (1.18 * x, 1.18 * y), (0, 0), arrowprops=arrow, zorder=0.5)
        beside: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "center"}
        if x:
            beside |= {"ha": "center", "va": "bottom"}
        axes.annotate(name, (1.1 * x, 1.1 * y), (0, 4) if x else (5, 0), **beside)
    _draw(axes, paths, run.network.a, first, last)
    start = _reach(paths[:1])
    if 0 < start < SMALL_START * reach and last > first:
        _magnify(axes, paths, run.network.a, 1.15 * start, first)
    axes.set(
        xlabel=r"$\langle w_j, \mu_1\rangle$",
        ylabel=r"$\langle w_j, \mu_2\rangle$",
        aspect="equal",
        xlim=(-1.32 * reach, 1.32 * reach),
        ylim=(-1.32 * reach, 1.32 * reach),
        title=f"Paths of the neurons from $t = {first}$ to $t = {last}$",
    )
    axes.ticklabel_format(style="plain", useOffset=False)
    axes.locator_params(nbins=5)
    legend(axes, columns=2, beside=True)
    return axes


def _reach(points: NDArray[np.float64]) -> float:
    """The largest finite coordinate, or 1 if there is none other than 0."""
    sizes = np.abs(points)
    return float(np.max(sizes, initial=0, where=np.isfinite(sizes))) or 1.0


def _draw(
    axes: Axes, paths: NDArray[np.float64], a: NDArray[np.float64], first: int, last: int
) -> None:
    """Paths (R, m, 2), with their last points and, on top of all, their first points."""
    from matplotlib.collections import LineCollection

    order = mixed(a)
    lines = LineCollection(
        list(paths[:, order].swapaxes(0, 1)),
        colors=[SIGNS[int(np.sign(a[j]))][0] for j in order],
        linewidths=thin(0.35),
        alpha=0.35,
    )
    axes.add_collection(lines)
    size = _dot()
    for sign, (colour, _, shape) in SIGNS.items():
        chosen = np.sign(a) == sign
        if not chosen.any():
            continue
        named = NEURONS[sign]
        marks: dict[str, Any] = {"marker": shape, "s": 0.6 * size, "linewidths": 0}
        end = paths[-1, chosen]
        axes.scatter(
            end[:, 0], end[:, 1], color=colour, alpha=0.7, label=f"$t = {last}$, {named}", **marks
        )
        marks |= {"s": 0.3 * size, "linewidths": thin(0.2), "edgecolors": "white", "zorder": 3}
        begin = paths[0, chosen]
        face = "black" if sign > 0 else "#777777"
        axes.scatter(
            begin[:, 0], begin[:, 1], facecolors=face, label=f"$t = {first}$, {named}", **marks
        )


def _dot() -> float:
    """The area of a dot, which grows with the markers of the style."""
    import matplotlib

    return float(matplotlib.rcParams["lines.markersize"]) ** 2


def _magnify(
    axes: Axes, paths: NDArray[np.float64], a: NDArray[np.float64], reach: float, first: int
) -> None:
    """Draw the start into the upper right corner, where no neuron is that moves along a mean."""
    inset = axes.inset_axes((0.67, 0.62, 0.31, 0.31))
    _draw(inset, paths, a, first, first)
    inset.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    inset.set_title(f"$t = {first}$", fontsize="small", pad=2)
    axes.indicate_inset_zoom(inset, edgecolor="black", alpha=0.6, linewidth=thin(0.5))
