"""Loss, errors and accuracies over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfa.data.dataset import Dataset
from rfa.plot.canvas import axes_or_new, check, legend, mark_horizon, marker, split, thin, time_axis
from rfa.plot.styles import BLUE, CLEAN, NEITHER, NOISY
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colour, the style of the line and the marker of a curve, by the samples that it is about.
ON_CLEAN = (CLEAN, "-", "o")
ON_NOISY = (NOISY, "--", "X")
ON_TEST = (BLUE, "-.", "s")
ON_ALL = (NEITHER, "-", "^")


def history(run: Run, ax: Axes | None = None) -> Axes:
    """Loss and error rates over time, on a logarithmic axis from t = 1 if there are many steps.

    Parameters
    ----------
    run : Run
        Any run. Quantities that its history lacks are left out.
    ax : matplotlib Axes, optional
        Where to draw. They become the upper one of two panels, if the data have clean labels or
        there are test data.

    Returns
    -------
    matplotlib Axes
        The upper panel, with the loss. The lower one has the share of clean samples that are wrong,
        that of noisy samples that are fitted, and the test error.

    Notes
    -----
    The dotted line is the horizon T, the grey one the noise rate eta.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.history(rfa.preset("theorem").run(rng=0))
    >>> ax.get_ylabel()
    'training loss'
    """
    check(run, ax)
    recorded, data = run.history, run.data
    shares = {}
    if "clean_wrong" in recorded:
        shares["clean samples wrong"] = recorded.clean_wrong / max(1, data.clean.sum()), ON_CLEAN
        shares["noisy samples fitted"] = recorded.noisy_fitted / max(1, data.noisy.sum()), ON_NOISY
    if "test_error" in recorded:
        shares["test error"] = recorded.test_error, ON_TEST
    axes = axes_or_new(ax, height=1.05 if shares else 0.75)
    panels = [axes, split(axes)] if shares else [axes]
    _curve(axes, recorded.t, recorded.loss, (NEITHER, "-", "o"), "training loss")
    for label, (values, style) in shares.items():
        _curve(panels[-1], recorded.t, values, style, label)
    if shares:
        _mark_noise(panels[-1], data)
        panels[-1].set(ylabel="share", ylim=(-0.03, None))
    for panel in panels:
        mark_horizon(panel, run, int(max(recorded.t, default=0)))
    time_axis(panels[-1], recorded.t)
    axes.set(ylabel="training loss", title="Training: loss and errors" if shares else "Training")
    legend(panels[-1], columns=2)
    return axes


def overfitting(run: Run, ax: Axes | None = None) -> Axes:
    """Accuracy on clean, noisy and fresh samples over time: Figure 2 of the journal version.

    Parameters
    ----------
    run : Run
        A run on data with clean labels that recorded a step after t = 0. Without test data the
        accuracy on fresh samples is left out.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the data have no clean labels, or no step after t = 0 was recorded.

    Notes
    -----
    The axis of time is logarithmic, from 1 on, and from 10 on if the run has 1000 steps or more. It
    has no place for t = 0. Accuracies are those on the observed labels, so that a network which
    predicts all clean labels has 1 - eta, the grey line. The network overfits where it fits noisy
    labels. The figure in JMLR 24(303) lasts 10^7 steps.

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("figure2-high").replace(n=60, d=400, steps=200, n_test=500).run(rng=0)
    >>> ax = rfa.plot.overfitting(run)
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'accuracy')
    """
    check(run, ax)
    recorded, data = run.history, run.data
    if "clean_wrong" not in recorded:
        raise ValueError("not applicable: the run's data have no clean labels")
    later = recorded.t > 0
    if not later.any():
        raise ValueError("not applicable: the run recorded no step after t = 0")
    t, clean, noisy = recorded.t[later], int(data.clean.sum()), int(data.noisy.sum())
    right, fitted = clean - recorded.clean_wrong[later], recorded.noisy_fitted[later]
    axes = axes_or_new(ax, height=0.95)
    _curve(axes, t, (right + fitted) / data.n, ON_ALL, "all training labels", width=0.6)
    _curve(axes, t, right / max(1, clean), ON_CLEAN, "clean labels")
    if noisy:
        _curve(axes, t, fitted / noisy, ON_NOISY, "noisy labels")
    if "test_error" in recorded:
        _curve(axes, t, 1 - recorded.test_error[later], ON_TEST, "test labels")
    _mark_noise(axes, data, below_one=True)
    time_axis(axes, t, log=True)
    mark_horizon(axes, run, int(t[-1]), first=axes.get_xlim()[0])
    axes.set(
        ylabel="accuracy",
        ylim=(-0.04, 1.04),
        title=f"Fitted labels and test accuracy ($n = {data.n}$, $d = {data.d}$)",
    )
    legend(axes, columns=2)
    return axes


def _curve(
    axes: Axes,
    t: NDArray[np.int64],
    values: NDArray[np.floating],
    style: tuple[str, str, str],
    label: str,
    width: float = 1.0,
) -> None:
    """A curve with the label; its width is a multiple of the style's."""
    colour, line, shape = style
    drawn: dict[str, Any] = {"color": colour, "linestyle": line, **marker(shape, len(t))}
    axes.plot(t, values, label=label, linewidth=thin(width), **drawn)


def _mark_noise(axes: Axes, data: Dataset, below_one: bool = False) -> None:
    """A line at the noise rate eta, or at 1 - eta; at the mean rate if it varies."""
    if data.eta is None:
        return
    eta = float(data.eta[0] if np.ptp(data.eta) == 0 else np.mean(data.eta))
    value = 1 - eta if below_one else eta
    name = r"1 - \eta" if below_one else r"\eta"
    style: dict[str, Any] = {"color": "#777777", "linewidth": thin(0.8), "zorder": 1}
    axes.axhline(value, **style, linestyle=(0, (1, 1)), label=f"${name} = {value:.3g}$")
