"""The decision boundary: Figure 1 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfa import _validate
from rfa.network import Network
from rfa.plot.canvas import axes_or_new, check, legend, pairs, thin
from rfa.plot.styles import NEGATIVE, POSITIVE
from rfa.training.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Number of reals, or of points of a grid, that are worked on at once.
PIECE = 2**20

# Largest number of grid points in each direction; no screen or page shows as many.
MAX_RESOLUTION = 10_000

# Clusters are magnified if all their samples are within this distance of their means.
NARROW = 0.2

# Side of the inset that magnifies a cluster, and number of its grid points in each direction.
INSET, INSET_RESOLUTION = 0.9, 80

# Names of the means, in the order of a data set's, and where they are in the plane.
NAMES = (r"$+\mu_1$", r"$-\mu_1$", r"$+\mu_2$", r"$-\mu_2$")
PLACES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])

# Label: its colour, the markers of its clean and of its noisy samples, and how strong the colour of
# its region is. Regions differ in grey, because the blue one is darker.
LABELS = {1: (POSITIVE, "o", "x", 0.3), -1: (NEGATIVE, "s", "+", 0.18)}


def _in_plane(rows: NDArray[Any], plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products of each row with mu1 and mu2, an array (rows, 2).

    They are computed in pieces, because NumPy makes a float64 copy of float32 rows.
    """
    step = max(1, PIECE // rows.shape[1])
    pieces = [rows[begin : begin + step] @ plane.T for begin in range(0, len(rows), step)]
    return np.concatenate(pieces)


def _on_grid(
    network: Network,
    plane: NDArray[np.float64],
    across: NDArray[np.float64],
    up: NDArray[np.float64],
) -> NDArray[np.float64]:
    """f at the points u mu1 + v mu2, with one row for each v.

    At such a point <w, x> = u <w, mu1> + v <w, mu2>. So a network of dimension 2, with weights
    <w, mu1> and <w, mu2>, has the same values.
    """
    flat = Network(_in_plane(network.W, plane), network.a)
    f = np.empty((len(up), len(across)))
    step = max(1, PIECE // len(across))
    for begin in range(0, len(up), step):
        rows = slice(begin, begin + step)
        grid = np.stack(np.meshgrid(across, up[rows]), axis=-1)
        f[rows] = flat.decision_function(grid.reshape(-1, 2)).reshape(-1, len(across))
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
    are projected onto it. If clusters are so narrow that their samples would hide each other, an
    inset beside each cluster magnifies it.

    Examples
    --------
    >>> import rfa
    >>> ax = rfa.plot.decision_boundary(rfa.preset("figure1").run(rng=0, record=None))
    >>> ax.get_xlabel()
    '$\\\\langle x, \\\\mu_1\\\\rangle$'
    """
    check(run, ax)
    resolution = _validate.integer(resolution, "resolution", 2)
    if resolution > MAX_RESOLUTION:
        raise ValueError(
            f"resolution must be at most {MAX_RESOLUTION}, got {_validate.shown(resolution)}"
        )
    means = pairs(run)
    plane = means[[0, 2]]
    axes = axes_or_new(ax, height=1.13)
    points, centres = _in_plane(run.data.X, plane), means @ plane.T
    width = float(np.abs(points - centres[run.data.cluster]).max())
    narrow = width < NARROW and np.allclose(centres, PLACES)
    reach = 1.05 * float(np.abs(points).max())
    if narrow:
        reach = 1 + 2 * width + INSET + 0.12
    ticks = np.linspace(-reach, reach, resolution)
    _draw_regions(axes, _on_grid(run.network, plane, ticks, ticks), ticks, ticks)
    size = float(np.clip(4e4 / run.data.n, 3, 30)) * _scale()
    _draw_samples(axes, run, points, 0.2 * size if narrow else size)
    if narrow:
        for k, name in enumerate(NAMES):
            _magnify(axes, run, plane, points, k, 1.25 * max(width, 1e-12), name)
    else:
        _draw_means(axes, centres)
    axes.set(
        xlabel=r"$\langle x, \mu_1\rangle$",
        ylabel=r"$\langle x, \mu_2\rangle$",
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        title=f"Decision boundary at $t = {run.t}$",
    )
    _legend(axes)
    return axes


def _scale() -> float:
    """How large areas are at the current style, compared with Matplotlib's own."""
    import matplotlib

    return (float(matplotlib.rcParams["lines.markersize"]) / 6) ** 2


def _draw_regions(
    axes: Axes,
    f: NDArray[np.float64],
    across: NDArray[np.float64],
    up: NDArray[np.float64],
) -> None:
    """The regions in which f is positive and negative, and the boundary between them."""
    for label, (colour, _, _, strength) in LABELS.items():
        levels = [0, 1.5] if label > 0 else [-1.5, 0]
        axes.contourf(across, up, np.sign(f), levels=levels, colors=[colour], alpha=strength)
    if f.min() < 0 < f.max():
        axes.contour(across, up, f, levels=[0], colors="black", linewidths=thin(0.8))


def _draw_samples(
    axes: Axes, run: Run, points: NDArray[np.float64], size: float, chosen: Any = True
) -> None:
    """Those of the samples that are chosen, all clean ones below all noisy ones."""
    from matplotlib.patheffects import withStroke

    data = run.data
    on_top = {"zorder": 3, "path_effects": [withStroke(linewidth=thin(1.1), foreground="white")]}
    for label, (colour, clean, noisy, _) in LABELS.items():
        looks: tuple[tuple[str, Any, dict[str, Any]], ...] = (
            ("clean", data.clean, {"s": size, "marker": clean, "linewidths": 0, "alpha": 0.6}),
            ("noisy", data.noisy, {"s": 1.8 * size, "marker": noisy, "linewidths": thin(0.55)}),
        )
        for kind, of_kind, look in looks:
            x, y = points[of_kind & (data.y == label) & chosen].T
            look |= on_top if kind == "noisy" else {}
            axes.scatter(x, y, color=colour, label=f"{kind}, $y = {label:+d}$", **look)


def _draw_means(axes: Axes, centres: NDArray[np.float64]) -> None:
    """Hollow stars, which hide no sample."""
    from matplotlib.patheffects import withStroke

    x, y = centres.T
    axes.scatter(
        x,
        y,
        s=70 * _scale(),
        marker="*",
        facecolors="none",
        edgecolors="black",
        linewidths=thin(0.5),
        zorder=4,
        label="cluster mean",
        path_effects=[withStroke(linewidth=thin(1.0), foreground="white")],
    )


def _magnify(
    axes: Axes,
    run: Run,
    plane: NDArray[np.float64],
    points: NDArray[np.float64],
    k: int,
    reach: float,
    name: str,
) -> None:
    """An inset outside cluster k, where its samples are seen one by one."""
    x, y = PLACES[k]
    middle = PLACES[k] * (1 + reach + 0.06 + INSET / 2)
    inset = axes.inset_axes((*(middle - INSET / 2), INSET, INSET), transform=axes.transData)
    across, up = (np.linspace(c - reach, c + reach, INSET_RESOLUTION) for c in (x, y))
    inset.set_facecolor("white")
    _draw_regions(inset, _on_grid(run.network, plane, across, up), across, up)
    chosen = np.asarray(run.data.cluster == k)
    size = float(np.clip(4e3 / chosen.sum(), 4, 30)) * _scale()
    _draw_samples(inset, run, points, size, chosen)
    _draw_means(inset, PLACES[k : k + 1])
    inset.set(xlim=across[[0, -1]], ylim=up[[0, -1]], xticks=[], yticks=[])
    # The rectangle around the cluster, and lines from its corners to those of the inset.
    thread: dict[str, Any] = {"color": "black", "linewidth": thin(0.5), "zorder": 4}
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1], [-1, -1]])
    axes.plot(*(PLACES[k] + reach * corners).T, **thread)
    side = np.array([-y, x])
    for end in (-1, 1):
        near = PLACES[k] * (1 + reach) + end * reach * side
        far = middle - PLACES[k] * INSET / 2 + end * INSET / 2 * side
        axes.plot(*np.transpose([near, far]), **thread)
    inward = PLACES[k] * (1 - reach - 0.24)
    axes.annotate(name, inward, ha="center", va="center")


def _legend(axes: Axes) -> None:
    """The samples, the means and the regions."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    for label, (colour, clean, noisy, strength) in LABELS.items():
        for kind, shape in (("clean", clean), ("noisy", noisy)):
            words = f"{kind}, $y = {label:+d}$"
            handles.append(Line2D([], [], color=colour, marker=shape, linestyle="", label=words))
        words = f"$f {'>' if label > 0 else '<'} 0$"
        handles.append(Patch(facecolor=colour, alpha=strength, label=words))
    star: dict[str, Any] = {
        "marker": "*",
        "markersize": 8 * _scale() ** 0.5,
        "markeredgewidth": thin(0.5),
        "markerfacecolor": "none",
        "markeredgecolor": "black",
    }
    handles.append(Line2D([], [], linestyle="", label="cluster mean", **star))
    handles.append(Line2D([], [], color="black", linewidth=thin(0.8), label="$f = 0$"))
    # The legend goes from top to bottom, and then to the next column.
    legend(axes, columns=3, beside=True, handles=handles)
