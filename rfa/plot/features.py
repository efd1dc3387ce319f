"""What the neurons do over time: they turn to a mean, and align with its cluster."""

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
    mark_horizon,
    marker,
    means,
    mixed,
    recorded_of,
    rows_to_draw,
    split,
    thin,
    time_axis,
)
from rfa.plot.styles import BLUE, NEITHER
from rfa.setting import C0, DELTA
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def amplification(run: Run, ax: Axes | None = None) -> Axes:
    """The cosine between each neuron and its nearest mean, over time.

    Parameters
    ----------
    run : Run
        A run on data with clusters that recorded at least one step.
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
    The figure shows max over mu of <w_j, mu> / norm(w_j): a thin curve for each neuron j, and thick
    curves for the medians. It is of order 1/sqrt(d) at t = 0 and of order 1 from t = 1 on (Lemma
    4.10). The paper calls this growth random feature amplification. Of more than 300 recorded steps
    the figure shows 300.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.amplification(rfa.preset("theorem").run(rng=0))
    >>> ax.get_xlabel()
    'step $t$'
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    check(run, ax)
    means(run)
    recorded = recorded_of(run)
    axes = axes_or_new(ax, height=0.95)
    rows = rows_to_draw(recorded.t)
    t = recorded.t[rows]
    best = _cosine(recorded.projection[rows].max(axis=2), recorded.norm[rows])
    a = run.network.a
    order = mixed(a)
    curves = LineCollection(
        [np.column_stack([t, best[:, j]]) for j in order],
        colors=[SIGNS[int(np.sign(a[j]))][0] for j in order],
        linewidths=thin(0.35),
        alpha=0.3,
    )
    axes.add_collection(curves)
    handles: list[Line2D] = []
    for sign, (colour, line, shape) in SIGNS.items():
        chosen = best[:, np.sign(a) == sign]
        if not chosen.size:
            continue
        named = NEURONS[sign]
        style: dict[str, Any] = {"color": colour, "linestyle": line, **marker(shape, len(t))}
        style |= {"markeredgecolor": "white", "markeredgewidth": thin(0.3), "zorder": 3}
        middle = axes.plot(t, np.median(chosen, axis=1), label=f"median, {named}", **style)
        single = Line2D([], [], color=colour, linewidth=thin(0.35), label=f"each neuron, {named}")
        handles += [single, middle[0]]
    usual = 1 / np.sqrt(run.data.d)
    style = {"color": NEITHER, "linestyle": "-.", "linewidth": thin(0.7)}
    handles.append(axes.axhline(usual, **style, label=r"$1/\sqrt{d}$"))
    handles += mark_horizon(axes, run, int(t[-1]))
    time_axis(axes, t)
    known = ~np.isnan(best)
    low = float(np.min(best, initial=usual, where=known))
    high = float(np.max(best, initial=usual, where=known))
    room = 0.04 * (high - low) + 1e-3
    axes.set(
        ylim=(low - room, high + room),
        ylabel=r"$\max_\mu\ \langle w_j, \mu\rangle / \|w_j\|$",
        title="Random feature amplification",
    )
    # A legend goes from top to bottom, and then to the next column.
    legend(axes, columns=2, handles=handles[::2] + handles[1::2])
    return axes


def _cosine(projection: NDArray[Any], norm: NDArray[Any]) -> NDArray[Any]:
    """projection / norm, or NaN, which is not drawn, for a neuron that is zero."""
    return np.divide(projection, norm, out=np.full_like(norm, np.nan), where=norm > 0)


def alignment(run: Run, ax: Axes | None = None, C0: float = C0) -> Axes:
    """The share of neurons in J that are aligned (Condition 4.7), and their cosines, over time.

    Parameters
    ----------
    run : Run
        A run on the paper's clusters that recorded t = 0, as any ``record`` but None does.
    ax : matplotlib Axes, optional
        Where to draw. They become the upper one of two panels.
    C0 : float, default 5.0
        The constant of Lemma 4.2, with which J is chosen at t = 0.

    Returns
    -------
    matplotlib Axes
        The upper panel, with the share. The lower one has the cosines.

    Raises
    ------
    ValueError
        If the data do not have the paper's clusters, or t = 0 was not recorded.

    Notes
    -----
    A neuron of J is aligned if it is active on all samples of its cluster and on none of the
    opposite cluster. The lower panel shows the median, minimum and maximum of cos(w_j, mu) over J.
    The dotted line is the horizon T.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.alignment(rfa.preset("theorem").run(rng=0))
    >>> float(ax.get_lines()[0].get_ydata()[-1])
    1.0
    """
    from rfa.theory.evidence import evidence

    check(run, ax)
    found, constants = evidence(run, DELTA, C0)
    C0 = constants.C0
    why = found.lacks(steps=[0])
    if why:
        raise ValueError(f"not applicable: {why}")
    steps = list(found.recorded)
    j, c = found.pairs(C0)
    if len(j) == 0:
        raise ValueError("not applicable: no neuron is in J")
    axes = axes_or_new(ax, height=1.05)
    lower = split(axes)
    cosine = found.cosine(steps)[:, j, c]
    marked = marker("o", len(steps))
    share = found.aligned(steps, C0).mean(axis=1)
    axes.plot(steps, share, color=NEITHER, label="aligned share of $J$", **marked)
    style: dict[str, Any] = {"color": BLUE, "linestyle": "--", **marker("s", len(steps))}
    lower.plot(steps, np.median(cosine, axis=1), **style, label="median over $J$")
    lower.fill_between(
        steps,
        cosine.min(axis=1),
        cosine.max(axis=1),
        color=BLUE,
        alpha=0.2,
        linewidth=0,
        label="smallest to largest",
    )
    for panel in (axes, lower):
        mark_horizon(panel, run, steps[-1])
    time_axis(lower, np.array(steps))
    axes.set(
        ylim=(-0.04, 1.04), ylabel="aligned share", title=f"Alignment ({len(j)} neurons in $J$)"
    )
    lower.set(ylim=(None, 1.04), ylabel=r"$\cos(w_j, \mu)$")
    legend(lower, columns=2)
    return axes
