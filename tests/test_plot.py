"""The figures agree with values that NumPy computes from the weights."""

from __future__ import annotations

import dataclasses
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
from rfa.theory import STATEMENTS, audit

matplotlib.use("Agg")

GOLD = to_hex("gold")
OF_A_RUN = ("decision_boundary", "amplification", "neurons", "alignment", "history")


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
    assert axes.get_legend() is not None and axes.get_title()
    before = plt.get_fignums()
    try:
        new = draw(run)
        assert [new.figure.number] == [k for k in plt.get_fignums() if k not in before]
    finally:
        plt.close(new.figure)


def test_the_decision_boundary_has_the_samples_where_they_are(run):
    axes = rfa.plot.decision_boundary(run, ax=new_axes(), resolution=41)
    data = run.data
    places = {entry.get_label(): entry.get_offsets() for entry in axes.collections}
    for label in (1, -1):
        for kind, chosen in (("clean", data.clean), ("noisy", data.noisy)):
            expected = data.X[chosen & (data.y == label)] @ data.means[[0, 2]].T
            np.testing.assert_allclose(places[f"{kind}, y = {label:+d}"], expected, atol=1e-12)
    stars = places["cluster means"]
    np.testing.assert_allclose(stars, [[1, 0], [-1, 0], [0, 1], [0, -1]], atol=1e-12)
    assert axes.get_title() == f"Decision boundary at t = {run.t}"


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
    monkeypatch.setattr(rfa.plot, "PIECE", 100)  # several pieces of each array
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
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert ticks == ["$t = 0$", "$t = 1$", "$t = T = 6$"]
    means, a = run.data.means, run.network.a
    cosine = (W @ means.T / np.linalg.norm(W, axis=2)[:, :, None]).max(axis=2)[[0, 1, 6]]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 3]
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        mine = [line.get_ydata() for line in lines if to_hex(line.get_color()) == colour]
        *single, median = mine
        expected = cosine[:, np.sign(a) == sign]
        np.testing.assert_allclose(np.sort(single, axis=0), np.sort(expected.T, axis=0), atol=1e-9)
        np.testing.assert_allclose(median, np.median(expected, axis=1), atol=1e-9)
    (level,) = {
        line.get_ydata()[0] for line in axes.get_lines() if to_hex(line.get_color()) == "#000000"
    }
    assert level == pytest.approx(1 / np.sqrt(6))


def test_neurons_are_where_their_projections_say(run, W):
    axes = rfa.plot.neurons(run, ax=new_axes())
    plane = W @ run.data.means[[0, 2]].T
    moving = np.flatnonzero(run.network.a)  # the last a_j is 0
    assert len(moving) == 20
    order = [*moving[run.network.a[moving] > 0], *moving[run.network.a[moving] < 0]]
    for line, j in zip(axes.get_lines(), order, strict=True):
        np.testing.assert_allclose(line.get_xydata(), plane[:, j], atol=1e-12)
    *last, first = axes.collections
    for marks, sign in zip(last, (1, -1), strict=True):
        chosen = np.sign(run.network.a) == sign
        np.testing.assert_allclose(marks.get_offsets(), plane[-1, chosen], atol=1e-12)
        assert to_hex(marks.get_facecolor()[0]) == (POSITIVE if sign > 0 else NEGATIVE)
    assert first.get_label() == "$t = 0$"
    np.testing.assert_allclose(first.get_offsets(), plane[0], atol=1e-12)


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
    times, shown = drawn(axes.get_lines(), "share of J aligned")
    assert list(times) == list(range(9))
    np.testing.assert_allclose(shown, share)
    over_J = np.array([[step[j, c] for j, c in members] for step in cosine])
    _, median = drawn(axes.get_lines(), r"$\cos(w_j, \mu)$ over J: median")
    np.testing.assert_allclose(median, np.median(over_J, axis=1), atol=1e-9)
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(over_J.min())
    assert heights.max() == pytest.approx(over_J.max())
    assert f"({len(members)} neurons in J)" in axes.get_title()
    assert 6 in [line.get_xdata()[0] for line in axes.get_lines()]  # T


def test_history_is_that_of_the_outputs(run, W):
    axes = rfa.plot.history(run, ax=new_axes())
    data, a = run.data, run.network.a
    s = np.stack([data.y * (np.maximum(data.X @ weights.T, 0) @ a) for weights in W])
    lines = axes.get_lines()
    for label, expected in (
        ("loss", np.log1p(np.exp(-s)).mean(axis=1)),
        ("clean samples wrong", (s[:, data.clean] <= 0).mean(axis=1)),
        ("noisy samples fitted", (s[:, data.noisy] > 0).mean(axis=1)),
    ):
        times, values = drawn(lines, label)
        assert list(times) == list(range(9))
        np.testing.assert_allclose(values, expected, atol=1e-12)
    assert drawn(lines, "test error")[1][-1] == run.history.test_error[-1]


@pytest.mark.parametrize("draw", [rfa.plot.history, rfa.plot.alignment])
@pytest.mark.parametrize(("steps", "scale"), [(9, "linear"), (300, "symlog")])
def test_time_is_logarithmic_where_there_are_many_steps(draw, steps, scale):
    experiment = dataclasses.replace(rfa.preset("theorem"), steps=steps)
    run = experiment.run(rng=0, record=[0, steps])
    assert draw(run, ax=new_axes()).get_xscale() == scale


@pytest.mark.parametrize("name", ["figure1", "assumptions", "theorem"])
def test_assumptions_are_drawn_from_end_to_end(name):
    found = audit(rfa.preset(name))
    axes = rfa.plot.assumptions(found, ax=new_axes())
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"A{k}" for k in range(1, 8)]
    spans = [patch for patch in axes.patches if to_hex(patch.get_facecolor()) == GOLD]
    rest = [patch for patch in axes.patches if patch not in spans]
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in rest}
    binding = found.binding.lo + found.binding.hi
    for row, key in enumerate(names):
        low, high = found.constants[key]
        colour = NEGATIVE if key in binding else POSITIVE
        if high < low:
            (mark,) = [line for line in axes.get_lines() if list(line.get_ydata()) == [row]]
            assert mark.get_xdata()[0] == high and to_hex(mark.get_color()) == colour
            continue
        bar = bars[row]
        assert bar.get_x() == pytest.approx(low)
        assert bar.get_x() + bar.get_width() == pytest.approx(high)
        assert to_hex(bar.get_facecolor()) == colour
    if found.holds:
        (span,) = spans
        assert span.get_x() == pytest.approx(found.lo)
        assert span.get_x() + span.get_width() == pytest.approx(found.hi)
        assert "C in [16, 16.67]" in axes.get_title()
    else:
        assert not spans and axes.get_title().endswith("no C")


def test_an_assumption_that_bounds_nothing_reaches_the_edge():
    axes = rfa.plot.assumptions(audit(rfa.preset("theorem").replace(eta=0.0)), ax=new_axes())
    (bar,) = [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == 4]
    assert bar.get_x() + bar.get_width() == pytest.approx(axes.get_xlim()[1])
    assert "up to inf" in [text.get_text() for text in axes.texts]


def made_up(outcomes, **cell):
    """Records of a study in which each named statement had these outcomes; the others held."""
    records = []
    for k in range(20):
        record = {"delta": 0.05, "assumptions_met": True, "good_run": True, **cell}
        for name in STATEMENTS:
            record |= {name: True, f"{name}:verdict": "holds", f"{name}:hypotheses_met": True}
            record |= {f"{name}:target": 0.8, f"{name}:bears": True}
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
    }
    records = made_up(outcomes)
    study = rfa.Study(rfa.preset("theorem"), {}, 20, {}, records, 1.0)
    axes = rfa.plot.proportions(study, ax=new_axes())
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [name for name in STATEMENTS if name != "lemma_4_6"]
    lines = axes.get_lines()
    target = 1 - 4 * 0.05
    for name, k, colour in (
        ("theorem_3_1_1", 4, NEGATIVE),  # refuted
        ("lemma_4_4", 15, POSITIVE),  # undecided: the target is in [.51, .91]
        ("lemma_4_2", 20, POSITIVE),
        ("equation_41", 20, to_hex("grey")),  # no case
    ):
        row = names.index(name)
        interval, point = [line for line in lines if line.get_ydata()[0] == row][-2:]
        low, high = rfa.theory.clopper_pearson(k, 20)
        assert list(interval.get_xdata()) == pytest.approx([low, high])
        assert list(interval.get_ydata()) == [row, row]
        assert point.get_xdata()[0] == pytest.approx(k / 20)
        assert {to_hex(line.get_color()) for line in (interval, point)} == {colour}
    assert lines[-1].get_xdata()[0] == pytest.approx(target)
    assert axes.get_title().startswith("20 trials")
    # from top to bottom in the paper's order, and nothing is cut off
    assert axes.get_ylim() == (len(names), -1)


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
        (only_the_last_step, ("amplification",), "recorded none of the steps 0, 1 and T"),
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
    labels = [line.get_label() for line in rfa.plot.history(own_data(), ax=new_axes()).get_lines()]
    assert labels == ["loss"]


def test_a_network_without_a_sign_has_an_empty_figure():
    axes = rfa.plot.amplification(rfa.preset("theorem").replace(m=1).run(rng=0), ax=new_axes())
    assert axes.get_legend() is None  # its a_1 is 0


@pytest.mark.parametrize("name", OF_A_RUN)
def test_wrong_types_are_named(name):
    with pytest.raises(TypeError, match=r"^run must be a rfa\.Run, got str$"):
        getattr(rfa.plot, name)("run")
