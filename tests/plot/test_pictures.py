"""The figures agree with values that NumPy computes from the weights."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import rfa
from rfa.plot import NEGATIVE, POSITIVE
from rfa.plot.canvas import rows_to_draw
from rfa.theory import STATEMENTS, audit
from rfa.theory.assumptions import ASSUMPTIONS

matplotlib.use("Agg")

OF_A_RUN = ("decision_boundary", "amplification", "neurons", "alignment", "history", "overfitting")


def new_axes():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def run():
    """Rotated means, an odd m, J not aligned at once, and every W kept."""
    exp = rfa.Experiment(n=120, d=6, m=21, steps=8, sigma=0.15, mu="random", n_test=50)
    return exp.run(rng=3, record="all", snapshots=range(9))


@pytest.fixture(scope="module")
def W(run):
    """W_t for every step (steps + 1, m, d)."""
    return np.stack([run.snapshots[t] for t in range(run.t + 1)])


def drawn(lines, label):
    (line,) = [line for line in lines if line.get_label() == label]
    return line.get_xdata(), line.get_ydata()


@pytest.mark.parametrize("name", OF_A_RUN)
def test_figures_are_drawn_into_given_axes_or_a_new_figure(name, run):
    draw = getattr(rfa.plot, name)
    axes = new_axes()
    assert draw(run, ax=axes) is axes
    assert axes.get_title()
    below = axes.figure.axes[-1]
    assert below.get_legend() is not None
    assert below.get_xlabel() and all(panel.get_ylabel() for panel in axes.figure.axes)
    new = draw(run)
    assert new.figure is not axes.figure and new.get_title() == axes.get_title()


def places(axes):
    return {entry.get_label(): entry.get_offsets() for entry in axes.collections}


def test_the_decision_boundary_has_the_samples_where_they_are(run):
    axes = rfa.plot.decision_boundary(run, ax=new_axes(), resolution=41)
    data = run.data
    assert not axes.child_axes  # an inset is for narrow clusters, and these are wide
    for label in (1, -1):
        for kind, chosen in (("clean", data.clean), ("noisy", data.noisy)):
            expected = data.X[chosen & (data.y == label)] @ data.means[[0, 2]].T
            drawn = places(axes)[f"{kind}, $y = {label:+d}$"]
            np.testing.assert_allclose(drawn, expected, atol=1e-12)
    stars = places(axes)["cluster mean"]
    np.testing.assert_allclose(stars, [[1, 0], [-1, 0], [0, 1], [0, -1]], atol=1e-12)
    assert axes.get_title() == f"Decision boundary at $t = {run.t}$"
    assert words_of(axes) == [
        *("clean, $y = +1$", "noisy, $y = +1$", "$f > 0$"),
        *("clean, $y = -1$", "noisy, $y = -1$", "$f < 0$"),
        *("cluster mean", "$f = 0$"),
    ]


def words_of(axes):
    """What the legend says."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("name", ["theorem", "assumptions"])
def test_narrow_clusters_are_magnified(name):
    """Each sample is in the inset of its cluster, in sight, beside its cluster and inside ax."""
    run = rfa.preset(name).run(rng=0)
    axes = rfa.plot.decision_boundary(run, ax=new_axes(), resolution=41)
    data, plane = run.data, run.data.means[[0, 2]]
    insets = axes.child_axes
    assert len(insets) == 4
    axes.figure.draw_without_rendering()
    for k, inset in enumerate(insets):
        for label in (1, -1):
            for kind, chosen in (("clean", data.clean), ("noisy", data.noisy)):
                mine = chosen & (data.y == label) & (data.cluster == k)
                shown = places(inset)[f"{kind}, $y = {label:+d}$"]
                np.testing.assert_allclose(shown, data.X[mine] @ plane.T, atol=1e-12)
                (left, right), (low, high) = inset.get_xlim(), inset.get_ylim()
                assert ((left < shown[:, 0]) & (shown[:, 0] < right)).all()
                assert ((low < shown[:, 1]) & (shown[:, 1] < high)).all()
        box, mean = inset.get_window_extent(), data.means[k] @ plane.T
        centre = axes.transData.inverted().transform([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        assert centre @ mean > 1.3 and np.allclose(centre, mean * (centre @ mean))
        assert axes.get_window_extent().padded(1).contains(box.x0, box.y0)
        assert axes.get_window_extent().padded(1).contains(box.x1, box.y1)
        # A star is hollow: it hides no sample.
        (star,) = [entry for entry in inset.collections if entry.get_label() == "cluster mean"]
        assert not len(star.get_facecolor())
    texts = {text.get_text() for text in axes.texts}
    assert texts == {rf"${sign}\mu_{k}$" for sign in "+-" for k in (1, 2)}


def test_the_decision_boundary_is_where_f_changes_its_sign():
    """The colours of the figure for f = relu(<w, x>) - relu(<w', x>), with w and w' by hand."""
    means = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    labels = [1, 1, -1, -1]
    data = rfa.Dataset(means, labels, y_clean=labels, cluster=range(4), means=means)
    network = rfa.Network(np.array([[1.0, 0.0], [0.0, 1.0]]), a=np.array([1.0, -1.0]))
    run = rfa.train(network, data, steps=0)
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = rfa.plot.decision_boundary(run, ax=figure.add_subplot())
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)

    def colour(x, y):
        column, row = axes.transData.transform((x, y))
        return pixels[len(pixels) - 1 - int(row), int(column)]

    # f > 0 to the right of the diagonal, < 0 above it, 0 where both neurons are off
    right, above = colour(0.6, 0.3), colour(0.3, 0.6)
    assert right[2] > right[0] and above[0] > above[2]
    assert (colour(0.8, -0.5) == right).all() and (colour(-0.5, 0.8) == above).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_decision_boundary_is_that_of_f_in_all_dimensions(dtype, monkeypatch):
    monkeypatch.setattr("rfa.plot.boundary.PIECE", 100)  # several pieces of each array
    exp = rfa.Experiment(n=60, d=17, m=21, steps=30, alpha=0.3, mu="random", dtype=dtype)
    run, axes, drawn = exp.run(rng=1), new_axes(), []
    monkeypatch.setattr(axes, "contour", lambda *given, **named: drawn.extend(given))
    rfa.plot.decision_boundary(run, ax=axes, resolution=30)
    u, v, f = drawn
    points = np.array([[x, y] for y in v for x in u]) @ run.data.means[[0, 2]]
    expected = np.maximum(points @ run.network.W.T.astype(float), 0) @ run.network.a
    np.testing.assert_allclose(f.ravel(), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_the_decision_boundary_takes_no_grid_in_all_dimensions():
    exp = rfa.Experiment(n=20, d=500, m=10, steps=0, omega_init=1.0)
    run = exp.run(rng=0)
    rfa.plot.decision_boundary(run, ax=new_axes())  # loads matplotlib, which must not count
    tracemalloc.start()
    rfa.plot.decision_boundary(run, ax=new_axes())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 300 * exp.d * 8 / 10


def test_amplification_is_the_best_cosine_of_every_neuron(run, W):
    axes = rfa.plot.amplification(run, ax=new_axes())
    means, a = run.data.means, run.network.a
    cosine = (W @ means.T / np.linalg.norm(W, axis=2)[:, :, None]).max(axis=2)
    (curves,) = axes.collections
    segments = np.stack(curves.get_segments())
    assert (segments[:, :, 0] == np.arange(9)).all()  # the axis is that of time
    colours = [to_hex(colour, keep_alpha=False) for colour in curves.get_colors()]
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        mine = np.array(colours) == colour.lower()
        expected = cosine[:, np.sign(a) == sign]
        np.testing.assert_allclose(
            np.sort(segments[mine, :, 1], axis=0), np.sort(expected.T, axis=0), atol=1e-9
        )
        times, median = drawn(axes.get_lines(), f"median, $a_j {'>' if sign > 0 else '<'} 0$")
        assert list(times) == list(range(9))
        np.testing.assert_allclose(median, np.median(expected, axis=1), atol=1e-9)
    # The curves of neither sign are above all of the other's.
    assert colours[0] != colours[1] and colours[-2] != colours[-1]
    assert drawn(axes.get_lines(), r"$1/\sqrt{d}$")[1][0] == pytest.approx(1 / np.sqrt(6))
    assert drawn(axes.get_lines(), "horizon $T = 6$")[0][0] == 6
    assert words_of(axes)[:2] == ["each neuron, $a_j > 0$", "each neuron, $a_j < 0$"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "step $t$",
        r"$\max_\mu\ \langle w_j, \mu\rangle / \|w_j\|$",
    )


@pytest.mark.parametrize("d", [2, 200])
def test_amplification_leaves_no_space_empty(d):
    """Of the height of the axes at least 90% are between the smallest and the largest value."""
    run = rfa.preset("theorem").replace(d=d).run(rng=0)
    axes = rfa.plot.amplification(run, ax=new_axes())
    heights = np.concatenate([segment[:, 1] for segment in axes.collections[0].get_segments()])
    low, high = axes.get_ylim()
    assert np.ptp([*heights, 1 / np.sqrt(d)]) >= 0.9 * (high - low)


def test_neurons_are_where_their_projections_say(run, W):
    axes = rfa.plot.neurons(run, ax=new_axes())
    plane, a = W @ run.data.means[[0, 2]].T, run.network.a
    moving = np.flatnonzero(a)  # the last a_j is 0
    assert len(moving) == 20
    paths = axes.collections[0]
    order = [j for pair in zip(moving[:10], moving[10:], strict=True) for j in pair]
    for segment, colour, j in zip(paths.get_segments(), paths.get_colors(), order, strict=True):
        np.testing.assert_allclose(segment, plane[:, j], atol=1e-12)
        assert to_hex(colour) == (POSITIVE if a[j] > 0 else NEGATIVE).lower()
    for sign in (1, -1):
        named = f"$a_j {'>' if sign > 0 else '<'} 0$"
        for t in (0, 8):
            marks = places(axes)[f"$t = {t}$, {named}"]
            np.testing.assert_allclose(marks, plane[t, np.sign(a) == sign], atol=1e-12)
    assert axes.get_title() == "Paths of the neurons from $t = 0$ to $t = 8$"
    # The first points are above everything else.
    order = {entry.get_label(): entry.get_zorder() for entry in axes.collections}
    assert order["$t = 0$, $a_j > 0$"] > max(order["$t = 8$, $a_j < 0$"], paths.get_zorder())


def test_neurons_are_shown_with_the_directions_of_the_means(run):
    axes = rfa.plot.neurons(run, ax=new_axes())
    named = {text.get_text(): text.xy for text in axes.texts if text.get_text()}
    size = {name: np.abs(place).max() for name, place in named.items()}
    assert {name: list(place / size[name]) for name, place in named.items()} == {
        r"$+\mu_1$": [1, 0],
        r"$-\mu_1$": [-1, 0],
        r"$+\mu_2$": [0, 1],
        r"$-\mu_2$": [0, -1],
    }
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert len(arrows) == 4


def test_a_narrow_start_is_magnified():
    run = rfa.preset("theorem").run(rng=0)
    axes = rfa.plot.neurons(run, ax=new_axes())
    (inset,) = axes.child_axes
    assert inset.get_title() == "$t = 0$"
    start = run.history.projection[0][:, [0, 2]]
    shown = np.concatenate(list(places(inset).values())[-3:])
    assert {tuple(row) for row in start} <= {tuple(row) for row in shown}
    assert inset.get_xlim()[1] >= np.abs(start).max() > axes.get_xlim()[1] / 100
    assert inset.get_xlim()[1] < 0.5 * axes.get_xlim()[1]


@pytest.mark.parametrize("steps", [299, 300, 100_000])
def test_of_many_steps_some_are_drawn(steps):
    t = np.arange(steps + 1)
    rows = rows_to_draw(t)
    assert len(rows) <= 301 and (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, steps)
    # Near a step t there is another one that is drawn, at a distance of a few percent.
    assert (np.diff(rows) <= 1 + 0.04 * rows[1:]).all()


def test_alignment_is_that_of_condition_4_7(run, W):
    C0 = 3.0
    axes = rfa.plot.alignment(run, ax=new_axes(), C0=C0)
    data, a = run.data, run.network.a
    cosine = W @ data.means.T / np.linalg.norm(W, axis=2)[:, :, None]
    members = [
        (j, c)
        for c, label in enumerate((1, 1, -1, -1))
        for j in range(run.network.m)
        if np.sign(a[j]) == label and cosine[0, j, c] >= 1 / (3 * C0 * np.sqrt(data.d))
    ]
    opposite = (1, 0, 3, 2)
    share = []
    for weights in W:
        H = data.X @ weights.T
        aligned = [
            (H[data.cluster == c, j] > 0).all() and (H[data.cluster == opposite[c], j] <= 0).all()
            for j, c in members
        ]
        share.append(np.mean(aligned))
    assert 0 < share[0] < share[-1]
    times, shown = drawn(axes.get_lines(), "aligned share of $J$")
    assert list(times) == list(range(9))
    np.testing.assert_allclose(shown, share)
    over_J = np.array([[step[j, c] for j, c in members] for step in cosine])
    upper, lower = axes.figure.axes
    assert upper is axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("aligned share", r"$\cos(w_j, \mu)$")
    _, median = drawn(lower.get_lines(), "median over $J$")
    np.testing.assert_allclose(median, np.median(over_J, axis=1), atol=1e-9)
    (band,) = lower.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(over_J.min())
    assert heights.max() == pytest.approx(over_J.max())
    assert f"({len(members)} neurons in $J$)" in axes.get_title()
    for panel in (upper, lower):
        assert drawn(panel.get_lines(), "horizon $T = 6$")[0][0] == 6


def test_history_is_that_of_the_outputs(run, W):
    axes = rfa.plot.history(run, ax=new_axes())
    data, a = run.data, run.network.a
    s = np.stack([data.y * (np.maximum(data.X @ weights.T, 0) @ a) for weights in W])
    upper, lower = axes.figure.axes
    assert upper is axes
    for panel, label, expected in (
        (upper, "training loss", np.log1p(np.exp(-s)).mean(axis=1)),
        (lower, "clean samples wrong", (s[:, data.clean] <= 0).mean(axis=1)),
        (lower, "noisy samples fitted", (s[:, data.noisy] > 0).mean(axis=1)),
    ):
        times, values = drawn(panel.get_lines(), label)
        assert list(times) == list(range(9))
        np.testing.assert_allclose(values, expected, atol=1e-12)
    assert drawn(lower.get_lines(), "test error")[1][-1] == run.history.test_error[-1]
    assert drawn(lower.get_lines(), r"$\eta = 0.15$")[1][0] == 0.15
    for panel in (upper, lower):
        assert drawn(panel.get_lines(), "horizon $T = 6$")[0][0] == 6
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("training loss", "share")


def test_overfitting_has_the_accuracies_on_the_observed_labels(run, W):
    axes = rfa.plot.overfitting(run, ax=new_axes())
    data, a = run.data, run.network.a
    right = np.stack([data.y * (np.maximum(data.X @ w.T, 0) @ a) > 0 for w in W[1:]])
    for label, expected in (
        ("all training labels", right.mean(axis=1)),
        ("clean labels", right[:, data.clean].mean(axis=1)),
        ("noisy labels", right[:, data.noisy].mean(axis=1)),
        ("test labels", 1 - run.history.test_error[1:]),
    ):
        times, values = drawn(axes.get_lines(), label)
        assert list(times) == list(range(1, 9))  # a logarithmic axis has no 0
        np.testing.assert_allclose(values, expected, atol=1e-12)
    assert drawn(axes.get_lines(), r"$1 - \eta = 0.85$")[1][0] == 1 - 0.15
    assert (axes.get_xscale(), axes.get_ylabel()) == ("log", "accuracy")
    assert axes.get_xlim()[0] == 1 and axes.get_ylim()[0] < 0 < 1 < axes.get_ylim()[1]
    assert "$n = 120$, $d = 6$" in axes.get_title()


def test_the_axis_of_figure_2_begins_at_10():
    run = rfa.preset("theorem").replace(steps=1000).run(rng=0)
    axes = rfa.plot.overfitting(run, ax=new_axes())
    assert axes.get_xlim()[0] == 10
    assert not any("horizon" in words for words in words_of(axes))  # T = 6 is not in sight
    axes.figure.draw_without_rendering()
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert {"10", "100", "$10^{3}$"} <= set(ticks)


@pytest.mark.parametrize("draw", [rfa.plot.history, rfa.plot.alignment])
@pytest.mark.parametrize(("steps", "scale"), [(9, "linear"), (300, "symlog")])
def test_time_is_logarithmic_where_there_are_many_steps(draw, steps, scale):
    experiment = dataclasses.replace(rfa.preset("theorem"), steps=steps)
    run = experiment.run(rng=0, record=[0, steps])
    assert draw(run, ax=new_axes()).get_xscale() == scale


def bars_of(axes):
    """The bars of the assumptions, by their row."""
    bars = [patch for container in axes.containers for patch in container]
    return {round(bar.get_y() + bar.get_height() / 2): bar for bar in bars}


@pytest.mark.parametrize("name", ["figure1", "assumptions", "theorem"])
def test_assumptions_are_drawn_from_end_to_end(name):
    found = audit(rfa.preset(name))
    axes = rfa.plot.assumptions(found, ax=new_axes())
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"(A{k})" for k in range(1, 8)]
    bars = bars_of(axes)
    binding = found.binding.lo + found.binding.hi
    for row, key in enumerate(f"A{k}" for k in range(1, 8)):
        low, high = found.constants[key]
        colour = (NEGATIVE if key in binding else POSITIVE).lower()
        if high < low:
            (mark,) = [line for line in axes.get_lines() if line.get_marker() == "<"]
            assert round(mark.get_ydata()[0]) == row
            assert mark.get_xdata()[0] == high and to_hex(mark.get_color()) == colour
            continue
        bar = bars[row]
        assert bar.get_x() == pytest.approx(low)
        assert bar.get_x() + bar.get_width() == pytest.approx(high)
        assert to_hex(bar.get_facecolor()) == colour
        assert bool(bar.get_hatch()) == (key in binding)  # they differ in grey, too
    words = words_of(axes)
    assert words[-1] == "$C = 1$" and {"allowed by one", "allowed by one, binding"} <= set(words)
    spans = [patch for patch in axes.patches if patch not in bars.values()]
    if found.holds:
        (span,) = spans
        assert span.get_x() == pytest.approx(found.lo)
        assert span.get_x() + span.get_width() == pytest.approx(found.hi)
        assert axes.get_title().endswith("[16, 16.67]") and "allowed by all" in words
    else:
        assert not spans and axes.get_title().endswith("none")
    assert ("allows no $C > 1$" in words) == (name == "figure1")


def test_the_inequalities_are_those_of_the_audit():
    """Read as plain text they are the table of the audit."""
    axes = rfa.plot.assumptions(audit(rfa.preset("theorem")), ax=new_axes())
    shown = [text.get_text() for text in axes.texts if text.get_text().startswith("$")]
    plain = {r"\geq": ">=", r"\leq": "<=", r"\omega": "omega_init", r"\,": " ", "$": "", "\\": ""}
    for text, (_, statement) in zip(shown, ASSUMPTIONS.values(), strict=True):
        for sign, words in plain.items():
            text = text.replace(sign, words)
        text = re.sub(r"sqrt\{(\w)\}", r"sqrt \1", text)
        assert text.replace("2sqrt", "2 sqrt") == statement


def test_an_assumption_that_bounds_nothing_reaches_the_edge():
    axes = rfa.plot.assumptions(audit(rfa.preset("theorem").replace(eta=0.0)), ax=new_axes())
    bar = bars_of(axes)[4]
    assert bar.get_x() + bar.get_width() == pytest.approx(axes.get_xlim()[1])
    assert "to inf" in [text.get_text() for text in axes.texts]


def made_up(outcomes, **cell):
    """Records of a study in which each named statement had these outcomes; the others held."""
    records = []
    for k in range(20):
        record = {"delta": 0.05, "assumptions_met": True, "good_run": True, **cell}
        for name in STATEMENTS:
            record |= {name: True, f"{name}:verdict": "holds", f"{name}:hypotheses_met": True}
            record |= {f"{name}:target": 0.8, f"{name}:bears": True, f"{name}:case": True}
        for name in ("equation_16", "equation_20"):
            record[f"{name}:target"] = "never false on a good run"
        for name, values in outcomes.items():
            record[name] = values[k]
        record["equation_41:verdict"] = "no case"
        records.append(record)
    return records


def test_proportions_are_a_forest_plot():
    outcomes = {
        "theorem_3_1_1": [k < 4 for k in range(20)],
        "lemma_4_4": [k < 15 for k in range(20)],
        "lemma_4_6": [None] * 20,
        "equation_20": [k > 0 for k in range(20)],
    }
    records = made_up(outcomes)
    study = rfa.Study(rfa.preset("theorem"), {}, 20, {}, records, 1.0)
    axes = rfa.plot.proportions(study, ax=new_axes())
    shown = [name for name in STATEMENTS if name != "lemma_4_6"]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert len(names) == len(shown)
    lines = axes.get_lines()
    targets = dict(zip(lines[-1].get_ydata(), lines[-1].get_xdata(), strict=True))
    never_false = {shown.index(id) for id in ("equation_16", "equation_20")}
    assert targets == dict.fromkeys(set(range(len(shown))) - never_false, 0.8)
    for id, name, k, colour, mark in (
        ("theorem_3_1_1", "Theorem 3.1(1)", 4, NEGATIVE, "v"),  # below the target
        ("lemma_4_4", "Lemma 4.4", 15, POSITIVE, "o"),  # undecided: the target is in [.51, .91]
        ("lemma_4_2", "Lemma 4.2", 20, POSITIVE, "o"),
        ("equation_16", "Eq. (16)", 20, POSITIVE, "s"),  # never false
        ("equation_20", "Eq. (20)", 19, NEGATIVE, "X"),  # a counterexample
        ("equation_41", "Eq. (41)", 20, "#777777", "D"),  # no case
    ):
        row = shown.index(id)
        assert names[row] == f"{name}*"
        interval, point = [line for line in lines[:-1] if line.get_ydata()[0] == row][-2:]
        low, high = rfa.theory.clopper_pearson(k, 20)
        assert list(interval.get_xdata()) == pytest.approx([low, high])
        assert list(interval.get_ydata()) == [row, row]
        assert point.get_xdata()[0] == pytest.approx(k / 20)
        assert {to_hex(line.get_color()) for line in (interval, point)} == {colour.lower()}
        assert point.get_marker() == mark
        filled = to_hex(point.get_markerfacecolor()) != "#ffffff"
        assert filled == (name not in ("Lemma 4.4", "Eq. (41)"))
    assert set(words_of(axes)) == {
        *("at least as claimed", "undecided", "below the claim", "claimed probability"),
        *("never false where claimed", "counterexamples", "claims nothing here"),
        "* bears on the paper",
    }
    assert axes.get_title().endswith("20 trials")
    # from top to bottom in the paper's order, and nothing is cut off
    low, high = axes.get_ylim()
    assert low > len(names) - 1 and high < 0


def test_statements_have_the_names_that_the_paper_gives_them():
    records = [
        {name: False if name.endswith(":bears") else value for name, value in record.items()}
        for record in made_up({})
    ]
    study = rfa.Study(rfa.preset("theorem"), {}, 20, {}, records, 1.0)
    axes = rfa.plot.proportions(study, ax=new_axes())
    assert words_of(axes)[-1] == "none bears on the paper"
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert len({*names}) == len(STATEMENTS)
    assert not any("_" in name.replace(r"\mu_", "") for name in names)
    named = dict(zip(STATEMENTS, names, strict=True))
    assert named["lemma_4_1_b_mu1"] == r"Lemma 4.1(b), $\mu_1$"
    assert named["lemma_4_3_a_own"] == "Lemma 4.3(a), own cluster"
    assert named["lemma_A_1_neurons"] == "Lemma A.1(1)"
    assert named["lemma_4_10_alignment"] == "Lemma 4.10, alignment"
    assert named["equation_34_opposite"] == "Eq. (34), opposite"
    assert named["theorem_3_1_2_proof"] == "Theorem 3.1(2), proof"
    assert named["proposition_B_1"] == "Proposition B.1"


def test_proportions_of_one_cell():
    records = made_up({}, m=4) + made_up({"lemma_4_2": [False] * 20}, m=8)
    study = rfa.Study(rfa.preset("theorem"), {"m": (4, 8)}, 20, {}, records, 1.0)
    row = STATEMENTS.index("lemma_4_2")
    for m, share in ((4, 1), (8, 0)):
        axes = rfa.plot.proportions(study, ax=new_axes(), m=m)
        marks = [line for line in axes.get_lines() if list(line.get_ydata()) == [row]]
        assert [line.get_xdata()[0] for line in marks] == [share]
    with pytest.raises(ValueError, match="a value of m must be given to choose one cell"):
        rfa.plot.proportions(study, ax=new_axes())


# ------------------------------------------------------------------------------------ refusals


def own_data():
    return rfa.train(rfa.Network.random(m=4, d=2), rfa.Dataset([[1.0, 2.0]], [1]), steps=2)


def two_means():
    means = np.eye(2)
    data = rfa.Dataset(means, [1, -1], y_clean=[1, -1], cluster=[0, 1], means=means)
    return rfa.train(rfa.Network.random(m=4, d=2), data, steps=2)


def nobody_in_J():
    return rfa.preset("theorem").replace(omega_init=0.0).run(rng=0)


def no_step():
    """A run with an empty history."""
    run = rfa.preset("theorem").run(rng=0)
    history = rfa.History({name: run.history[name][:0] for name in run.history})
    return dataclasses.replace(run, history=history)


def only_the_last_step():
    return rfa.preset("theorem").replace(steps=8).run(rng=0, record=None)


@pytest.mark.parametrize(
    ("make", "names", "words"),
    [
        (
            own_data,
            ("decision_boundary", "amplification", "neurons"),
            "means; give Dataset y_clean",
        ),
        (own_data, ("alignment",), "the data have no clusters"),
        (two_means, ("decision_boundary", "neurons"), r"needs means \+-mu1, \+-mu2, got 2"),
        (two_means, ("alignment",), "the clusters are not those of"),
        (nobody_in_J, ("alignment",), "no neuron is in J"),
        (only_the_last_step, ("alignment",), "step 0 was not recorded"),
        (no_step, ("amplification", "neurons"), "the run recorded no step"),
        (no_step, ("overfitting",), "recorded no step after t = 0"),
        (own_data, ("overfitting",), "the run's data have no clean labels"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_no_figure(make, names, words):
    run, before = make(), plt.get_fignums()
    for name in names:
        with pytest.raises(ValueError, match=f"^not applicable: .*{words}"):
            getattr(rfa.plot, name)(run)
    assert plt.get_fignums() == before


def test_what_has_no_frequencies_leaves_no_figure():
    study = rfa.study(rfa.Experiment(n=9, d=3, m=4), trials=1)
    before = plt.get_fignums()
    with pytest.raises(ValueError, match="was not measured in this study"):
        rfa.plot.proportions(study)
    assert plt.get_fignums() == before


def test_history_needs_nothing_of_the_data():
    axes = rfa.plot.history(own_data(), ax=new_axes())
    assert [line.get_label() for line in axes.get_lines()] == ["training loss"]
    assert axes.figure.axes == [axes]


def test_a_network_without_a_sign_has_an_empty_figure():
    axes = rfa.plot.amplification(rfa.preset("theorem").replace(m=1).run(rng=0), ax=new_axes())
    assert words_of(axes) == [r"$1/\sqrt{d}$", "horizon $T = 6$"]  # its a_1 is 0


@pytest.mark.parametrize("name", OF_A_RUN)
def test_wrong_types_are_named(name):
    with pytest.raises(TypeError, match=r"^run must be a rfa\.Run, got str$"):
        getattr(rfa.plot, name)("run")
