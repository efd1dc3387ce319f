"""The style of all figures, who owns a new figure, and the files that figures become."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import rfa
from rfa.cli import reproduce
from rfa.cli.main import main
from rfa.plot import canvas, styles
from rfa.theory import audit

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def run():
    return rfa.preset("theorem").replace(steps=7, n_test=50).run(rng=0)


@pytest.fixture(scope="module")
def pictures(run):
    """Functions that draw every kind of figure into the given axes, or into a new figure."""
    study = rfa.study(rfa.preset("theorem"), trials=2, measure="check")
    kinds = ("decision_boundary", "amplification", "neurons", "alignment", "history", "overfitting")
    of_run = {kind: getattr(rfa.plot, kind) for kind in kinds}
    drawn = {kind: lambda ax=None, f=f: f(run, ax=ax) for kind, f in of_run.items()}
    drawn["assumptions"] = lambda ax=None: rfa.plot.assumptions(audit(rfa.preset("theorem")), ax)
    drawn["proportions"] = lambda ax=None: rfa.plot.proportions(study, ax)
    return drawn


def lightness(colour):
    """L* of CIELAB, from 0 for black to 100 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    Y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * Y ** (1 / 3) - 16 if Y > 0.008856 else 903.3 * Y


def test_labels_and_signs_differ_in_grey():
    assert abs(lightness(rfa.plot.POSITIVE) - lightness(rfa.plot.NEGATIVE)) > 20
    assert max(lightness(rfa.plot.POSITIVE), lightness(rfa.plot.NEGATIVE)) < 80  # white is 100


def test_curves_of_a_picture_differ_without_colours(run):
    for draw in (rfa.plot.history, rfa.plot.overfitting, rfa.plot.amplification):
        for panel in draw(run).figure.axes:
            looks = [
                (line.get_linestyle(), line.get_marker(), line.get_linewidth())
                for line in panel.get_lines()
            ]
            assert len({*looks}) == len(looks)


def words(figure):
    """All words of a figure, those of its legends and insets included."""
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


def test_greek_letters_are_greek(pictures):
    for draw in pictures.values():
        figure = draw().figure
        figure.draw_without_rendering()
        plain = " ".join(word for text in words(figure) for word in text.split("$")[::2])
        for letter in ("mu", "sigma", "omega", "alpha", "eta", "delta"):
            assert f" {letter} " not in f" {plain} " and f"{letter}1" not in plain


# ------------------------------------------------------------------------------------ sizes


def boxes_of(figure):
    """The words of a figure that are in sight, and their boxes."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    insets = [inset for panel in figure.axes for inset in panel.child_axes]
    for axes in (*figure.axes, *insets):
        found = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        if axes.get_legend() is not None:
            found += axes.get_legend().get_texts()
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = axis.get_major_ticks()
            found += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        for text in found:
            if text.get_text().strip() and text.get_visible():
                box = text.get_window_extent(renderer)
                if box.width:
                    yield text.get_text(), box


@pytest.mark.parametrize("size", styles.SIZES)
def test_every_word_is_inside_its_figure_and_overlaps_no_other(size, pictures):
    for name, draw in pictures.items():
        with rfa.plot.style(size):
            figure = draw().figure
            found = list(boxes_of(figure))
            page = figure.bbox.padded(1)
        assert len(found) > 8
        for label, box in found:
            assert page.x0 <= box.x0 and box.x1 <= page.x1, (name, label)
            assert page.y0 <= box.y0 and box.y1 <= page.y1, (name, label)
        for (one, box), (other, its) in itertools.combinations(found, 2):
            # The least that two lines of small words may share is the room for accents.
            assert not box.padded(-0.15 * box.height).overlaps(its), (name, one, other)


def test_the_sizes_are_those_of_a_column_and_of_a_slide(pictures):
    for draw in pictures.values():
        with rfa.plot.style():
            figure = draw().figure
            assert figure.get_figwidth() == 3.3 and figure.get_figheight() <= 9
        with rfa.plot.style("slide"):
            assert draw().figure.get_figwidth() == 10
            assert draw().figure.get_figheight() <= 5.6


def test_a_style_ends_with_its_block():
    before = dict(matplotlib.rcParams)
    with rfa.plot.style("slide"):
        assert matplotlib.rcParams["font.size"] == 18
        with rfa.plot.style("column"):
            assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["font.size"] == 18
    with pytest.raises(KeyError), rfa.plot.style("slide"):
        raise KeyError
    assert dict(matplotlib.rcParams) == before and styles.current() == (None, True)


def test_an_unknown_size_is_refused():
    with pytest.raises(ValueError, match=r"^size must be 'column' or 'slide', got 'poster'$"):
        rfa.plot.style("poster")


# ------------------------------------------------------------------------------------ new figures


def test_many_figures_raise_no_warning(run):
    """Without a screen the figures are not pyplot's, which warns of more than 20."""
    before = plt.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = [rfa.plot.history(run) for _ in range(30)]
    assert len({ax.figure for ax in kept}) == 30 and plt.get_fignums() == before


def test_where_figures_can_be_shown_they_are_pyplots(run, monkeypatch):
    """As in a notebook, whose backend draws with Agg."""
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "module://matplotlib_inline")
    before = plt.get_fignums()
    axes = rfa.plot.history(run)
    try:
        assert [axes.figure.number] == [k for k in plt.get_fignums() if k not in before]
    finally:
        plt.close(axes.figure)
    with styles.for_files("column"):
        assert not hasattr(rfa.plot.history(run).figure, "number")


# ------------------------------------------------------------------------------------ given axes


def test_panels_take_the_place_of_the_given_axes(run):
    """In a grid with other axes, and in axes that are in no grid."""
    figure = Figure(figsize=(8, 4))
    left, right = figure.subplots(1, 2)
    before = left.get_position(), right.get_position()
    rfa.plot.history(run, ax=left)
    rfa.plot.alignment(run, ax=right)
    assert len(figure.axes) == 4
    free = figure.add_axes((0.1, 0.2, 0.3, 0.6))
    rfa.plot.history(run, ax=free)
    for upper, place in ((left, before[0]), (right, before[1]), (free, free.get_position())):
        (lower,) = [
            axes
            for axes in figure.axes
            if axes is not upper and axes.get_shared_x_axes().joined(axes, upper)
        ]
        above, below = upper.get_position(), lower.get_position()
        assert below.y1 < above.y0
        assert (above.x0, above.x1, below.x0, below.x1) == (place.x0, place.x1) * 2
        assert above.y1 == pytest.approx(place.y1)
    assert lower.get_position().y0 == pytest.approx(0.2)


def test_two_runs_can_be_drawn_into_one_axes(run):
    axes = Figure().add_subplot()
    rfa.plot.history(run, ax=axes)
    rfa.plot.history(run, ax=axes)
    upper, lower = axes.figure.axes
    assert [line.get_label() for line in upper.get_lines()].count("training loss") == 2
    assert [line.get_label() for line in lower.get_lines()].count("test error") == 2


def test_a_figure_that_was_cleared_gets_new_panels(run):
    figure = Figure()
    axes = figure.add_subplot()
    rfa.plot.history(run, ax=axes)
    old = figure.axes[1]
    old.remove()
    rfa.plot.history(run, ax=axes)
    assert len(figure.axes) == 2 and old not in figure.axes


# ------------------------------------------------------------------------------------ files


HEADS = {"png": b"\x89PNG\r\n", "pdf": b"%PDF-", "svg": b"<?xml"}


@pytest.mark.parametrize("ending", HEADS)
def test_the_ending_decides_the_format(ending, tmp_path):
    path = tmp_path / f"interval.{ending.upper() if ending == 'pdf' else ending}"
    assert main(["audit", "--preset", "theorem", "--figure", str(path)]) == 0
    assert path.read_bytes().startswith(HEADS[ending])


@pytest.mark.parametrize("size", ["column", "slide"])
def test_a_file_has_the_size_that_is_asked_for(size, tmp_path):
    path = tmp_path / "interval.png"
    assert main(["audit", "--preset", "theorem", "--figure", str(path), "--size", size]) == 0
    height, width = matplotlib.image.imread(path).shape[:2]
    expected = styles.SIZES[size]
    assert width == pytest.approx(expected.width * expected.settings["savefig.dpi"], abs=1)
    assert height <= expected.tallest * expected.settings["savefig.dpi"]


@pytest.mark.slow
def test_equal_figures_are_equal_files(tmp_path):
    """In processes with other hash seeds, and with other dates."""
    found = {}
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "SOURCE_DATE_EPOCH": seed,
            "PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__)),
        }
        names = [f"{seed}.{ending}" for ending in HEADS]
        draw = "import sys; from rfa.cli.main import main; sys.exit(max(main(['audit', '--preset', "
        draw += "'theorem', '--figure', name]) for name in sys.argv[1:]))"
        subprocess.run(
            [sys.executable, "-P", "-c", draw, *names],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=120,
            check=True,
        )
        found[seed] = [(tmp_path / name).read_bytes() for name in names]
    assert found["1"] == found["2"]


@pytest.mark.slow
def test_reproduce_takes_a_format(tmp_path):
    arguments = ["reproduce", "theorem", "--format", "svg", "--size", "slide"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    ends = ("", "-amplification", "-neurons", "-alignment", "-history", "-assumptions")
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"theorem{end}.svg" for end in ends}
    assert not [*tmp_path.glob("*.png"), *tmp_path.glob("*.pdf")]


@pytest.mark.slow
def test_reproduce_draws_figure_2_for_its_presets(tmp_path, monkeypatch):
    small = rfa.preset("figure2-high").replace(n=60, d=80, m=20, n_test=60, alpha=0.125)
    monkeypatch.setitem(rfa.presets.PRESETS, "figure2-high", small)
    titles = {}
    works = reproduce.draw

    def noted(figure, path, size):
        def drawn():
            axes = figure()
            titles[os.path.basename(path)] = axes.get_title()
            return axes

        works(drawn, path, size)

    monkeypatch.setattr("rfa.cli.reproduce.draw", noted)
    arguments = ["reproduce", "figure2-high", "--steps", "40", "--format", "svg"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert titles["figure2-high.svg"] == "Figure 2 of JMLR 24(303): $n = 60$, $d = 80$"
    assert titles["figure2-high-boundary.svg"] == "Decision boundary at $t = 40$"
    assert len(titles) == 7 == len([*tmp_path.glob("*.svg")])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("audit --figure f.eps", "argument --figure: must end in .png, .pdf or .svg, got 'f.eps'"),
        ("check --trials 2 --figure f.pdf.gz", "argument --figure: must end in .png, .pdf or .svg"),
        ("reproduce --format eps", "argument --format: the format must be 'png' or 'pdf' or 'svg'"),
        ("reproduce --size poster", "argument --size: the size must be 'column' or 'slide', got"),
    ],
)
def test_an_unknown_ending_is_refused_before_anything_is_computed(
    command, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("rfa.cli.audit.audit", "rfa.experiment.train", "rfa.cli.reproduce.audit"):
        monkeypatch.setattr(name, lambda *given, **named: pytest.fail("computed"))
    preset = ["theorem"] if command.startswith("reproduce") else ["--preset", "theorem"]
    name, *options = command.split()
    assert main([name, *preset, *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "argument" in line]
    assert words in line and os.listdir(tmp_path) == []


def test_importing_the_figures_loads_no_matplotlib():
    code = "import rfa.plot, sys; print('matplotlib' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_every_backend_that_shows_nothing_is_known():
    from matplotlib.backends import BackendFilter, backend_registry

    quiet = backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)
    assert set(quiet) == canvas.NOT_SHOWN
