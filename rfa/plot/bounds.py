"""The constants that the assumptions of the theorem allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rfa import _validate
from rfa.plot.canvas import axes_or_new, check_axes, legend, thin
from rfa.plot.styles import BLUE, GREEN, NEITHER, ORANGE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from rfa.theory import Audit

# What each assumption says (Section 2.1).
INEQUALITIES = {
    "A1": r"$d \geq C\,\max(\log^2(n/\delta), \log(m/\delta))$",
    "A2": r"$m \geq C\,\log(1/\delta)$",
    "A3": r"$\sigma^2 \leq 1/(C^2 d)$",
    "A4": r"$n \geq C\,\log(m/\delta)$",
    "A5": r"$\eta \leq 1/C$",
    "A6": r"$\omega^2 \leq 1/(C^4 m d)$",
    "A7": r"$1/(2\sqrt{C}) \leq \alpha \leq 1/\sqrt{C}$",
}

# Colours and hatches of the C that an assumption allows, those of an assumption that sets an end of
# the interval, and those that all of them allow.
ALLOWED: dict[str, Any] = {"facecolor": BLUE, "edgecolor": "white", "linewidth": 0}
BINDING: dict[str, Any] = {
    "facecolor": ORANGE,
    "edgecolor": "white",
    "linewidth": 0,
    "hatch": "////",
}
TOGETHER: dict[str, Any] = {"facecolor": GREEN, "alpha": 0.35, "linewidth": 0, "zorder": 0}

# How far the bar of an assumption is below the middle of its row, whose upper half has words.
BELOW = 0.16


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

    Notes
    -----
    An assumption is binding if it sets an end of the interval of C that all of them allow.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.assumptions(rfa.theory.audit(rfa.preset("assumptions")))
    >>> [label.get_text() for label in ax.get_yticklabels()][0]
    '(A1)'
    """
    from matplotlib.patches import Patch

    from rfa.theory import Audit

    _validate.instance(audit, "audit", Audit, "a rfa.theory.Audit")
    check_axes(ax)
    axes = axes_or_new(ax, height=1.2)
    ends = [end for interval in audit.constants.values() for end in interval]
    finite = [end for end in (*ends, audit.lo, audit.hi, 1.0) if 0 < end < np.inf]
    left, right = min(finite) / 3, max(finite) * 3
    handles: dict[str, Artist] = {}
    for row, (name, (low, high)) in enumerate(audit.constants.items()):
        binding = name in (*audit.binding.lo, *audit.binding.hi)
        look, meaning = (
            (BINDING, "allowed by one, binding") if binding else (ALLOWED, "allowed by one")
        )
        begin, end = max(low, left), min(high, right)
        if end < begin:
            mark = axes.plot(
                [end], [row + BELOW], marker="<", linestyle="", color=look["facecolor"]
            )
            handles["allows no $C > 1$"] = mark[0]
        else:
            axes.barh(row + BELOW, end - begin, left=begin, height=0.4, zorder=4, **look)
            handles.setdefault(meaning, Patch(**look))
        axes.text(
            0.012,
            row - 0.26,
            INEQUALITIES[name],
            va="center",
            fontsize="small",
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.6},
            transform=axes.get_yaxis_transform(),
        )
        axes.annotate(
            f"{_short(low)} to {_short(high)}" if low > 1 else f"to {_short(high)}",
            (1.02, row + BELOW),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
        )
    if audit.holds:
        handles["allowed by all"] = axes.axvspan(audit.lo, audit.hi, **TOGETHER)
    handles["$C = 1$"] = axes.axvline(
        1, color=NEITHER, linestyle=":", linewidth=thin(0.8), zorder=0
    )
    verdict = f"[{audit.lo:.4g}, {audit.hi:.4g}]" if audit.holds else "none"
    axes.set_xscale("log")
    axes.set_yticks(range(len(audit.constants)), [f"({name})" for name in audit.constants])
    axes.set(
        xlim=(left, right),
        ylim=(len(audit.constants) - 0.4, -0.6),
        xlabel="$C$",
        title=f"Allowed $C$ at $\\delta = {audit.delta:g}$: {verdict}",
    )
    legend(axes, columns=2, handles=list(handles.values()), labels=list(handles))
    return axes


def _short(C: float) -> str:
    """Three digits, with an exponent for large numbers alone."""
    three = float(f"{C:.3g}")
    return f"{three:.0f}" if 1000 <= three < 1e6 else f"{three:g}"
