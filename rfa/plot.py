"""Figures. Each function draws into ``ax``, or into a new figure, and returns the Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.network import Network
from rfa.setting import C0, DELTA, Horizon
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rfa.studies import Study
    from rfa.theory import Audit

# Colours of the label +1 and of neurons with a_j > 0, and of -1 and a_j < 0; readable in print.
POSITIVE, NEGATIVE = "#2f6db3", "#c7522a"

# Number of reals, or of points of a grid, that are worked on at once.
PIECE = 2**20

# Largest number of grid points in each direction; no screen or page shows as many.
MAX_RESOLUTION = 10_000


def _check_axes(ax: Axes | None) -> None:
    """Refuse an ``ax`` that is not matplotlib's, before anything is computed."""
    from matplotlib.axes import Axes

    if ax is not None:
        _validate.instance(ax, "ax", Axes, "matplotlib Axes or None")


def _axes(ax: Axes | None) -> Axes:
    """The given axes, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _scale_time(axes: Axes, steps: Sequence[int] | NDArray[np.int64]) -> None:
    """Make the axis of many steps logarithmic from t = 1 on, so that the first ones are visible."""
    if max(steps, default=0) > 30:
        axes.set_xscale("symlog", linthresh=1)


def _check(run: Run, ax: Axes | None) -> None:
    """Check the arguments that all figures of a run have."""
    _validate.instance(run, "run", Run, "a rfa.Run")
    _check_axes(ax)


def _means(run: Run) -> NDArray[np.float64]:
    means = run.data.means
    if means is None:
        raise ValueError(
            "not applicable: the run's data have no cluster means; "
            "give Dataset y_clean, cluster and means"
        )
    return means


def _pairs(run: Run) -> NDArray[np.float64]:
    """The means +mu1, -mu1, +mu2, -mu2."""
    means = _means(run)
    if len(means) != 4:
        raise ValueError(f"not applicable: the figure needs means +-mu1, +-mu2, got {len(means)}")
    return means


def _in_plane(rows: NDArray[Any], plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products of each row with mu1 and mu2, an array (rows, 2).

    They are computed in pieces, because NumPy makes a float64 copy of float32 rows.
    """
    step = max(1, PIECE // rows.shape[1])
    pieces = [rows[begin : begin + step] @ plane.T for begin in range(0, len(rows), step)]
    return np.concatenate(pieces)


def _on_grid(
    network: Network, plane: NDArray[np.float64], ticks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """f at the points u mu1 + v mu2, with one row for each v.

    At such a point <w, x> = u <w, mu1> + v <w, mu2>. So a network of dimension 2, with weights
    <w, mu1> and <w, mu2>, has the same values.
    """
    flat = Network(_in_plane(network.W, plane), network.a)
    f = np.empty((len(ticks), len(ticks)))
    step = max(1, PIECE // len(ticks))
    for begin in range(0, len(ticks), step):
        rows = slice(begin, begin + step)
        grid = np.stack(np.meshgrid(ticks, ticks[rows]), axis=-1)
        f[rows] = flat.decision_function(grid.reshape(-1, 2)).reshape(-1, len(ticks))
    return f


def decision_boundary(run: Run, ax: Axes | None = None, resolution: int = 300) -> Axes:
    """The data, and the regions in which the last network predicts +1 and -1 (Figure 1).

    Parameters
    ----------
    run : Run
        A run on data with clusters.
    ax : matplotlib Axes, optional
        Where to draw.
    resolution : int, default 300
        Number of grid points in each direction.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the data have no cluster means.

    Notes
    -----
    In more than two dimensions the figure shows the plane spanned by mu1 and mu2, and the samples
    are projected onto it.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.decision_boundary(rfa.preset("figure1").run(rng=0, record=None))
    >>> ax.get_xlabel()
    '$\\\\langle x, \\\\mu_1\\\\rangle$'
    """
    _check(run, ax)
    resolution = _validate.integer(resolution, "resolution", 2)
    if resolution > MAX_RESOLUTION:
        raise ValueError(
            f"resolution must be at most {MAX_RESOLUTION}, got {_validate.shown(resolution)}"
        )
    plane, data = _pairs(run)[[0, 2]], run.data
    axes = _axes(ax)
    points = _in_plane(data.X, plane)
    reach = 1.05 * float(np.abs(points).max())
    ticks = np.linspace(-reach, reach, resolution)
    f = _on_grid(run.network, plane, ticks)
    axes.contourf(
        ticks, ticks, np.sign(f), levels=[-1.5, 0, 1.5], colors=[NEGATIVE, POSITIVE], alpha=0.18
    )
    if f.min() < 0 < f.max():
        axes.contour(ticks, ticks, f, levels=[0], colors="black", linewidths=1.2)
    size = float(np.clip(4e4 / data.n, 3, 30))
    for label, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        clean = data.clean & (data.y == label)
        noisy = data.noisy & (data.y == label)
        axes.scatter(
            points[clean, 0],
            points[clean, 1],
            s=size,
            color=colour,
            linewidths=0,
            alpha=0.6,
            label=f"clean, y = {label:+d}",
        )
        axes.scatter(
            points[noisy, 0],
            points[noisy, 1],
            s=2.5 * size,
            color=colour,
            marker="x",
            linewidths=0.8,
            label=f"noisy, y = {label:+d}",
            zorder=3,
        )
    stars = _means(run) @ plane.T
    axes.scatter(
        stars[:, 0],
        stars[:, 1],
        s=130,
        marker="*",
        color="gold",
        edgecolors="black",
        linewidths=0.8,
        zorder=4,
        label="cluster means",
    )
    axes.set(
        xlabel=r"$\langle x, \mu_1\rangle$",
        ylabel=r"$\langle x, \mu_2\rangle$",
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        title=f"Decision boundary at t = {run.t}",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize="small")
    return axes


def amplification(run: Run, ax: Axes | None = None) -> Axes:
    """Each neuron's normalized correlation with its best mean at t = 0, 1 and T.

    Parameters
    ----------
    run : Run
        A run on data with clusters that recorded these steps, as any ``record`` but None does.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the data have no cluster means, or none of the steps was recorded.

    Notes
    -----
    The figure shows max over mu of <w_j, mu> / norm(w_j) for each neuron j. It is of order
    1/sqrt(d) at t = 0 and of order 1 from t = 1 on (Lemma 4.10). The paper calls this growth random
    feature amplification.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.amplification(rfa.preset("theorem").run(rng=0))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['$t = 0$', '$t = 1$', '$t = T = 6$']
    """
    _check(run, ax)
    _means(run)
    T = Horizon.of(run.alpha).T
    steps = [t for t in dict.fromkeys((0, 1, T)) if t in run.history.t]
    if not steps:
        raise ValueError("not applicable: the run recorded none of the steps 0, 1 and T")
    axes = _axes(ax)
    rows = [run.history.row(t) for t in steps]
    best = np.stack([_cosine(row.projection.max(axis=1), row.norm) for row in rows])
    place = np.arange(len(steps))
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        chosen = best[:, np.sign(run.network.a) == sign]
        if not chosen.size:
            continue
        axes.plot(place, chosen, color=colour, linewidth=0.5, alpha=0.25)
        axes.plot(
            place,
            np.median(chosen, axis=1),
            color=colour,
            linewidth=2.5,
            marker="o",
            label=f"median of the neurons with $a_j {'>' if sign > 0 else '<'} 0$",
        )
    names = {T: f"$t = T = {T}$", 0: "$t = 0$", 1: "$t = 1$"}
    axes.axhline(1 / np.sqrt(run.data.d), color="black", linestyle=":", linewidth=1)
    axes.annotate(
        r"$1/\sqrt{d}$",
        (place[-1], 1 / np.sqrt(run.data.d)),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
    )
    axes.set_xticks(place, [names[t] for t in steps])
    axes.set(
        ylim=(float(np.min(best, initial=0, where=~np.isnan(best))), 1.03),
        ylabel=r"$\max_\mu \langle w_j, \mu\rangle / \|w_j\|$",
        title="Random feature amplification, one line per neuron",
    )
    if run.network.a.any():
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.07),
            ncols=2,
            frameon=False,
            fontsize="small",
        )
    return axes


def _cosine(projection: NDArray[Any], norm: NDArray[Any]) -> NDArray[Any]:
    """projection / norm, or NaN, which is not drawn, for a neuron that is zero."""
    return np.divide(projection, norm, out=np.full_like(norm, np.nan), where=norm > 0)


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
        If the data have no cluster means.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.neurons(rfa.preset("theorem").run(rng=0))
    >>> ax.get_ylabel()
    '$\\\\langle w_j, \\\\mu_2\\\\rangle$'
    """
    _check(run, ax)
    _pairs(run)
    if not len(run.history):
        raise ValueError("not applicable: the run recorded no step")
    axes = _axes(ax)
    paths = run.history.projection[:, :, [0, 2]]
    first, last = run.history.projection[0], run.history.projection[-1]
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        chosen = np.sign(run.network.a) == sign
        for path in paths[:, chosen].swapaxes(0, 1):
            axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.5, alpha=0.25)
        axes.scatter(
            last[chosen, 0],
            last[chosen, 2],
            s=14,
            color=colour,
            alpha=0.7,
            linewidths=0,
            label=f"$t = {run.history.t[-1]}$, $a_j {'>' if sign > 0 else '<'} 0$",
        )
    label = f"$t = {run.history.t[0]}$"
    axes.scatter(first[:, 0], first[:, 2], s=6, color="black", linewidths=0, label=label)
    axes.set(
        xlabel=r"$\langle w_j, \mu_1\rangle$",
        ylabel=r"$\langle w_j, \mu_2\rangle$",
        aspect="equal",
        title="Neurons",
    )
    axes.legend(fontsize="small")
    return axes


def history(run: Run, ax: Axes | None = None) -> Axes:
    """Loss and error rates over time, on a logarithmic axis from t = 1.

    Parameters
    ----------
    run : Run
        Any run. Quantities that its history lacks are left out.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.history(rfa.preset("theorem").run(rng=0))
    >>> [line.get_label() for line in ax.get_lines()]
    ['loss', 'clean samples wrong', 'noisy samples fitted']
    """
    _check(run, ax)
    recorded = run.history
    axes = _axes(ax)
    lines = {"loss": recorded.loss}
    if "clean_wrong" in recorded:
        lines["clean samples wrong"] = recorded.clean_wrong / max(1, run.data.clean.sum())
        lines["noisy samples fitted"] = recorded.noisy_fitted / max(1, run.data.noisy.sum())
    if "test_error" in recorded:
        lines["test error"] = recorded.test_error
    for label, values in lines.items():
        axes.plot(recorded.t, values, label=label, marker="." if len(recorded) < 30 else None)
    _scale_time(axes, recorded.t)
    axes.set(xlabel="t", ylabel="loss, fractions", ylim=(-0.02, None), title="Training")
    axes.legend(fontsize="small")
    return axes


def alignment(run: Run, ax: Axes | None = None, C0: float = C0) -> Axes:
    """The share of neurons in J that are aligned (Condition 4.7), and their cosines, over time.

    Parameters
    ----------
    run : Run
        A run on the paper's clusters that recorded t = 0, as any ``record`` but None does.
    ax : matplotlib Axes, optional
        Where to draw.
    C0 : float, default 5.0
        The constant of Lemma 4.2, with which J is chosen at t = 0.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the data do not have the paper's clusters, or t = 0 was not recorded.

    Notes
    -----
    A neuron of J is aligned if it is active on all samples of its cluster and on none of the
    opposite cluster. The figure also shows the median, minimum and maximum of cos(w_j, mu) over J.
    The dotted line is the horizon T.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.alignment(rfa.preset("theorem").run(rng=0))
    >>> float(ax.get_lines()[0].get_ydata()[-1])
    1.0
    """
    from rfa.theory.evidence import evidence

    _check(run, ax)
    found, constants = evidence(run, DELTA, C0)
    C0 = constants.C0
    why = found.lacks(steps=[0])
    if why:
        raise ValueError(f"not applicable: {why}")
    steps = list(found.recorded)
    j, c = found.pairs(C0)
    if len(j) == 0:
        raise ValueError("not applicable: no neuron is in J")
    axes = _axes(ax)
    cosine = found.cosine(steps)[:, j, c]
    marker = "." if len(steps) < 30 else None
    axes.plot(
        steps,
        found.aligned(steps, C0).mean(axis=1),
        color="black",
        marker=marker,
        label="share of J aligned",
    )
    axes.plot(
        steps,
        np.median(cosine, axis=1),
        color=POSITIVE,
        marker=marker,
        label=r"$\cos(w_j, \mu)$ over J: median",
    )
    axes.fill_between(
        steps,
        cosine.min(axis=1),
        cosine.max(axis=1),
        color=POSITIVE,
        alpha=0.15,
        linewidth=0,
        label="smallest to largest",
    )
    axes.axvline(found.T, color="black", linestyle=":", linewidth=1)
    _scale_time(axes, steps)
    axes.set(
        xlabel="t",
        xlim=(0, None),
        ylim=(None, 1.03),
        title=f"Neuron alignment ({len(j)} neurons in J)",
    )
    axes.legend(fontsize="small", loc="lower right")
    return axes


def assumptions(audit: Audit, ax: Axes | None = None) -> Axes:
    """The values of C that each of (A1)-(A7) allows, and those that all of them allow.

    Parameters
    ----------
    audit : Audit
        From :func:`rfa.theory.audit`.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.assumptions(rfa.theory.audit(rfa.preset("assumptions")))
    >>> [label.get_text() for label in ax.get_yticklabels()][0]
    'A1'
    """
    from rfa.theory import Audit

    _validate.instance(audit, "audit", Audit, "a rfa.theory.Audit")
    _check_axes(ax)
    axes = _axes(ax)
    names = list(audit.constants)
    ends = [end for interval in audit.constants.values() for end in interval]
    finite = [end for end in (*ends, audit.lo, audit.hi, 1.0) if 0 < end < np.inf]
    left, right = min(finite) / 3, max(finite) * 3
    for row, (name, (low, high)) in enumerate(audit.constants.items()):
        binding = name in (*audit.binding.lo, *audit.binding.hi)
        begin, end = max(low, left), min(high, right)
        colour = NEGATIVE if binding else POSITIVE
        if end < begin:
            axes.plot([end], [row], marker="<", color=colour)
        else:
            axes.barh(row, end - begin, left=begin, height=0.55, color=colour, alpha=0.75)
        axes.annotate(
            f"{low:.3g} to {high:.3g}" if low > 1 else f"up to {high:.3g}",
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
        )
    if audit.holds:
        axes.axvspan(audit.lo, audit.hi, color="gold", alpha=0.5, linewidth=0, zorder=0)
    axes.axvline(1, color="black", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    verdict = f"C in [{audit.lo:.4g}, {audit.hi:.4g}]" if audit.holds else "no C"
    axes.set(
        xlim=(left, right),
        xlabel="C",
        title=f"Allowed by (A1)-(A7) together at $\\delta$ = {audit.delta:g}: {verdict}",
    )
    return axes


def proportions(study: Study, ax: Axes | None = None, **cell: Any) -> Axes:
    """A forest plot: how often each statement held in the trials of a study, with intervals.

    Parameters
    ----------
    study : Study
        From :func:`rfa.study` with ``measure="check"``.
    ax : matplotlib Axes, optional
        Where to draw. The figure needs about 6 by 10 inches.
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
    The lines are 95 percent Clopper-Pearson intervals. The dotted line is 1 - 4 delta, the
    probability that the theorem claims. A statement is red if its whole interval is below this
    line, and grey if it had no case or was trivial in every trial. Statements that were never
    applicable are left out.

    Examples
    --------
    >>> import rfa
    >>> found = rfa.study(rfa.preset("theorem"), trials=5, rng=0, measure="check")
    >>> ax = rfa.plot.proportions(found)
    >>> ax.get_xlabel()
    'share of trials in which it holds, 95% interval'
    """
    from rfa.studies import Study

    _validate.instance(study, "study", Study, "a rfa.Study")
    _check_axes(ax)
    found = {name: p for name, p in study.frequencies(**cell).items() if p.n}
    records = study.select(**cell)
    trials, target = len(records), 1 - 4 * records[0]["delta"]
    axes = _axes(ax)
    for row, p in enumerate(found.values()):
        colour = NEGATIVE if p.high < target else POSITIVE
        if p.no_case + p.trivial == p.trials:
            colour = "grey"
        axes.plot([p.low, p.high], [row, row], color=colour, linewidth=1.5)
        axes.plot([p.k / p.n], [row], marker="o", markersize=4, color=colour)
    axes.axvline(target, color="black", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(found)), list(found), fontsize="x-small")
    axes.set(
        xlim=(-0.02, 1.02),
        ylim=(len(found), -1),
        xlabel="share of trials in which it holds, 95% interval",
        title=f"{trials} trials; grey: no case or trivial; dotted: $1 - 4\\delta$ = {target:g}",
    )
    return axes
