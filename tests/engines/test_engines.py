"""Every engine, type, thread count and SIMD level against the oracle; what engines observe."""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction

import bounds
import numpy as np
import problems
import pytest
from checks import bracketed, check_observations
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa import reference
from rfa.engines.gram import engine as gram
from rfa.engines.observations import Observations
from rfa.engines.planar import loop as planar_loop
from rfa.engines.planar.engine import Ring
from rfa.engines.problem import Problem
from rfa.engines.registry import ENGINES
from rfa.kernels import plans

CASES = {**problems.cases(), **problems.variants()}
NAMES = list(CASES)


@functools.cache
def trajectory(name, dtype):
    """The oracle's W_t (steps, m, d), rounded to the type after every step, and its steps."""
    case = CASES[name].rounded(dtype)
    W, visited, steps = case.W, [], []
    for _ in range(case.steps):
        step = bounds.oracle_step(case.X, case.y, W, case.a, case.alpha, case.variant)
        visited.append(W)
        steps.append(step)
        W = step.W.astype(dtype)
    return np.array(visited), steps


@functools.cache
def error_bounds(name, dtype, engine):
    case, u = CASES[name].rounded(dtype), bounds.unit_roundoff(dtype)
    return [
        bounds.difference_bound(case.X, W, case.a, case.alpha, step, engine, u)
        for W, step in zip(*trajectory(name, dtype), strict=True)
    ]


@pytest.fixture(scope="module")
def steps_at(tmp_path_factory):
    """level -> the steps that rfa takes at that level, from every W_t of every case."""
    folder = tmp_path_factory.mktemp("steps")
    source = folder / "trajectories.npz"
    np.savez(
        source,
        **{f"{n}|{dtype}": trajectory(n, dtype)[0] for n in NAMES for dtype in problems.DTYPES},
    )

    @functools.cache
    def steps(level):
        target = folder / f"{level}.npz"
        used = problems.in_fresh_python([problems.__file__], source, target, RFA_SIMD=level)
        assert used.strip() == level
        with np.load(target) as file:
            return dict(file)

    return steps


@pytest.mark.parametrize("level", problems.levels())
@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_each_step_is_the_oracles_to_rounding(name, dtype, level, steps_at):
    case = CASES[name]
    exact = trajectory(name, dtype)[1]
    n = len(case.X)
    for engine in case.engines:
        W = steps_at(level)[f"{name}|{dtype}|{engine}|W"]
        A = np.unpackbits(steps_at(level)[f"{name}|{dtype}|{engine}|A"], axis=-1, count=n)
        assert W.dtype == dtype
        worst = 0.0
        for t, error in enumerate(error_bounds(name, dtype, engine)):
            difference = np.abs(W[t] - exact[t].W).astype(np.float64)
            assert (difference <= error.bound).all(), f"{engine}, step {t}"
            # neurons whose activations can be wrong have bounds that only such an error comes near
            sure = (error.bound > 0) & ~error.uncertain.any(axis=0)[:, None]
            ratio = np.divide(difference, error.bound, out=np.zeros_like(difference), where=sure)
            worst = max(worst, float(ratio.max()))
            wrong = (A[t].T != (exact[t].H > 0)) & ~error.uncertain
            assert not wrong.any(), f"{engine}, step {t}: masks differ where they must not"
        key = f"largest difference / bound, {engine} {dtype} {level}"
        if worst > float(problems.FIGURES.get(key, "0").split()[0]):
            problems.FIGURES[key] = f"{worst:.3f} ({name})"


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_the_bounds_say_something(name, dtype):
    """A bound is no more than a thousandth of the step, and few activations are left open."""
    W, steps = trajectory(name, dtype)
    for engine in CASES[name].engines:
        for t, error in enumerate(error_bounds(name, dtype, engine)):
            size = np.linalg.norm((steps[t].W - W[t]).astype(np.float64))
            assert np.linalg.norm(error.smooth) < 1e-3 * size
            assert error.uncertain.mean() < 1e-3 or error.uncertain.sum() <= 1


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].steps >= 40])
def test_a_free_run_stays_with_the_oracle(name):
    case = CASES[name]
    W = reference.train(case.X, case.y, case.W, case.a, case.alpha, 200, **case.variant._asdict())
    for engine_name in case.engines:
        engine = case.engine(engine_name, "float64")
        at, out = case.rows(engine_name, "float64", [200])
        assert engine.advance(200, at, out, 0) == 1
        assert np.linalg.norm(engine.weights()[0] - W) <= 1e-9 * np.linalg.norm(W)


# ------------------------------------------------------------------------------- observations


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("d=600")])
def test_observations_are_those_of_the_weights(name, dtype):
    """Each observed row against a few lines of NumPy on W_t, in the oracle's type."""
    case = CASES[name].rounded(dtype)
    for engine_name in case.engines:
        check_observations(case, engine_name, dtype)


def test_no_observation_is_left_open_in_double_precision():
    """The brackets above close: in the main case no activation or answer is within its error."""
    for name in ("n=313 d=17 m=46", "n=313 d=2 m=45"):
        for W, step in zip(*trajectory(name, "float64"), strict=True):
            error = bounds.preactivation_error(CASES[name].X, W, bounds.FLOAT64)
            assert (np.abs(step.H) > error).all()


def test_flips_and_rows_do_not_depend_on_what_else_is_recorded():
    for name in ("n=313 d=17 m=46", "n=313 d=2 m=45"):
        case = CASES[name]
        for engine_name in case.engines:
            all_at, full = case.rows(engine_name, "float64", np.arange(41))
            case.engine(engine_name, "float64").advance(40, all_at, full, 0)
            some_at, some = case.rows(engine_name, "float64", [0, 7, 8, 25, 40])
            assert case.engine(engine_name, "float64").advance(40, some_at, some, 0) == 5
            assert full.flips[1:].any()
            assert some.flips.tolist() == full.flips[some_at].tolist()
            assert some.active.tobytes() == full.active[some_at].tobytes()
            assert some.loss.tobytes() == full.loss[some_at].tobytes()


@pytest.mark.parametrize("engine_name", ["direct", "gram", "planar"])
@pytest.mark.parametrize("variant", [bounds.PLAIN, bounds.Variant(slope=0.25, shrink=0.98)])
def test_test_points_are_observed_like_training_points(engine_name, variant, monkeypatch):
    """The same points as test data, in another order, give the same observations."""
    # so that gram has anchors on the way
    monkeypatch.setattr("rfa.engines.gram.engine.ANCHOR_PERIOD", 25)
    case = CASES["n=313 d=2 m=45"]
    n, order = len(case.X), problems.own_rng(5).permutation(313)[:200]
    problem = replace(
        case.problem("float64"),
        test_X=case.X[order],
        test_y=case.y[order],
        test_groups=case.groups[order] // 2,
        n_test_groups=5,
        **variant._asdict(),
    )
    engine = ENGINES[engine_name](problem, case.W, case.a, 2)
    at = np.arange(0, 60, 6)
    out = Observations.allocate(problem, len(case.W), at)
    for row, t in enumerate(at):
        engine.advance(t, at[row:], out, row)
        W = engine.weights()[0]
        f = reference.forward(case.X, W, case.a, variant.slope)
        H = reference.preactivations(case.X, W)
        error = 2 * bounds.output_error(
            case.X, W, case.a, H, engine_name, bounds.FLOAT64, variant.slope
        )
        s, e = (case.y * f)[order], error[order]
        for g in range(4):
            mine = case.groups[order] // 2 == g
            assert bracketed(out.right[row, 8 + g], s[mine], e[mine])
            assert abs(out.margin_low[row, 8 + g] - s[mine].min()) <= e.max()
            assert abs(out.margin_high[row, 8 + g] - s[mine].max()) <= e.max()
            losses = np.logaddexp(0, -s[mine])
            allowed = e.sum() + bounds.gamma(n, bounds.FLOAT64) * losses.sum()
            assert abs(out.loss[row, 8 + g] - losses.sum()) <= allowed
        assert out.right[row, 12] == 0 and out.margin_low[row, 12] == np.inf


@pytest.mark.parametrize("engine_name", ["direct", "gram"])
def test_a_zero_of_a_range_has_no_sign(engine_name):
    """It would be that of the thread that met it first: products below the range have both."""
    case = CASES["n=313 d=17 m=46"]
    case = replace(case, X=case.X * 1e-17, W=case.W * 1e-33)
    engine = case.engine(engine_name, "float32", horizon=2)
    at, out = case.rows(engine_name, "float32", np.arange(3))
    engine.advance(2, at, out, 0)
    for ends in (out.h_low, out.h_high):
        assert (ends == 0).any() and not np.signbit(ends[ends == 0]).any()


# ------------------------------------------------------------------- geometry of the planar engine


@st.composite
def planar_problems(draw):
    """Points (n, 2) with ties of every kind, and neurons (m, 2) that are orthogonal to some."""
    whole = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
    real = st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32))
    # products below the normal range and beyond the range of float64 among them
    scale = st.sampled_from([1.0, 1.0, 1 / 3, 1e-60, 1e60, 1e-160, 1e-307, 5e-324, 1e160, 1e300])
    directions = np.array(draw(st.lists(whole | real, min_size=1, max_size=25)), float)
    X = directions * np.array([[draw(scale)] for _ in directions])
    nudged = draw(st.lists(st.integers(0, len(X) - 1), max_size=5))
    X = np.vstack([X, np.nextafter(X[nudged], 2 * X[nudged]), -X[nudged]])
    turned = np.stack([-X[:, 1], X[:, 0]], axis=1)
    free = np.array(draw(st.lists(whole | real, min_size=1, max_size=6)), float)
    W = np.vstack([turned, -turned[:5], X[:5], -X[:5], np.nextafter(turned[:5], 1), free])
    return X, W * draw(st.sampled_from([1.0, 1e-5, 1e-200]))


def arcs_as_masks(ring, arcs, n):
    A = np.zeros((n, arcs.shape[1]), bool)
    for j, (start, length) in enumerate(arcs.T):
        A[ring.order[(start + np.arange(length)) % max(ring.n_nonzero, 1)], j] = True
    return A


def exactly_active(X, W):
    def fractions(array):
        return [[Fraction(float(entry)) for entry in row] for row in array]

    return np.array(
        [[x[0] * w[0] + x[1] * w[1] > 0 for w in fractions(W)] for x in fractions(X)], dtype=bool
    )


@settings(max_examples=150, deadline=None)
@given(planar_problems(), st.randoms(use_true_random=False))
def test_arcs_are_the_exact_signs_from_any_guess(problem, random):
    X, W = problem
    n, m = len(X), len(W)
    ring = Ring(X, np.ones(n, np.int64), np.zeros(n, np.int64))
    assert sorted(ring.order) == list(range(n))
    assert ring.n_nonzero == X.any(axis=1).sum()
    columns = np.ascontiguousarray(W.T)
    arcs = ring.arcs(columns)
    assert (arcs_as_masks(ring, arcs, n) == exactly_active(X, W)).all()
    N = ring.n_nonzero
    for _ in range(3):
        guess = np.array(
            [[random.randrange(max(N, 1)), random.randint(0, N)] for _ in range(m)], np.int64
        ).T.copy()
        planar_loop.find_arcs(ring.x, N, ring.seam, columns, guess)
        assert guess.tolist() == arcs.tolist()


@settings(max_examples=150, deadline=None)
@given(planar_problems())
def test_the_seam_is_where_an_open_half_plane_begins(problem):
    """A seam is found exactly where some direction is active on all samples, at the gap."""
    X = problem[0][problem[0].any(axis=1)]
    ring = Ring(X, np.ones(len(X), np.int64), np.zeros(len(X), np.int64))
    points = [[Fraction(float(entry)) for entry in X[i]] for i in ring.order]
    if ring.seam < 0:
        # the open half-planes to the left of each sample, turned by less than any angle, are all
        # there are; sample q is in it if it is to the left, or in the same direction
        for p in points:
            left = [p[0] * q[1] - p[1] * q[0] for q in points]
            along = [p[0] * q[0] + p[1] * q[1] for q in points]
            assert not all(x > 0 or (x == 0 and y > 0) for x, y in zip(left, along, strict=True))
    else:
        first = points[ring.seam]
        for q in points:
            left = first[0] * q[1] - first[1] * q[0]
            assert left > 0 or (left == 0 and first[0] * q[0] + first[1] * q[1] > 0)


@pytest.mark.parametrize("n", [1, 2, 3, 200, 40_000])
def test_samples_whose_angles_round_to_one_are_sorted_all_the_same(n):
    """A billion times narrower than float64's angles: 40000 in random order, in no long time."""
    rng = problems.own_rng(n)
    heights = rng.integers(-(2**40), 2**40, n)
    X = np.stack([np.ones(n), heights * 2.0**-120], axis=1)
    ring = Ring(X, np.ones(n, np.int64), np.zeros(n, np.int64))
    # angles just below 2 pi come last; equal heights keep their order
    expected = np.lexsort((heights, heights < 0))
    assert ring.order.tolist() == expected.tolist()


def test_arcs_of_all_samples_and_of_none():
    angles = np.linspace(-1, 1, 9)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring = Ring(X, np.ones(9, np.int64), np.zeros(9, np.int64))
    assert ring.arcs(np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])).T.tolist() == [
        [0, 9],
        [0, 0],
        [0, 0],
    ]


@pytest.mark.parametrize("where", ["half-plane", "circle", "origin"])
def test_a_neuron_that_turns_around_completely(where):
    """A step so long that neurons end up opposite to where they were; flips counts every change."""
    rng = problems.own_rng(7)
    angles = rng.uniform(-1, 1, 40) if where == "half-plane" else rng.uniform(-np.pi, np.pi, 40)
    X = (where != "origin") * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    a = np.array([-1.0, 1.0, -1.0, 1.0])
    W = np.array([[1e-9, 0.0], [-1e-9, 0.0], [0.0, 1e-9], [0.0, 0.0]])
    case = problems.Case("turn", X, np.ones(40, int), W, a, steps=4, alpha=50.0)
    for dtype in problems.DTYPES:
        rounded = case.rounded(dtype)
        engine = case.engine("planar", dtype)
        at, out = case.rows("planar", dtype, np.arange(5))
        before = rounded.W
        engine.advance(0, at[:1], out, 0)
        for t in range(1, 5):
            engine.advance(t, at[t:], out, t)
            W = engine.weights()[0]
            changed = exactly_active(rounded.X, W) != exactly_active(rounded.X, before)
            assert out.flips[t] == changed.sum()
            assert out.active[t, :, 0].tolist() == exactly_active(rounded.X, W).sum(axis=0).tolist()
            before = W
        if where == "half-plane":
            assert out.active[0, 0, 0] == 40 and out.active[1, 0, 0] == 0


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([0.05, 1.0, 3.0, 6.28]),
    st.integers(1, 30),
    st.integers(1, 70),
    st.sampled_from([0.5, 30.0, 300.0]),
    st.integers(0, 10**6),
)
def test_arcs_after_many_steps_in_one_call(width, n, m, alpha, seed):
    """A call keeps what tells whether arcs stay, and makes it anew at its beginning: the same arcs
    step by step, and those of W. Samples in a half-plane, and steps that leave and return."""
    rng = problems.own_rng(seed)
    angles = rng.uniform(0, width, n)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    y, a = rng.choice([-1, 1], n), rng.choice([-1.0, 1.0], m)
    case = problems.Case("steps", X, y, 0.1 * rng.standard_normal((m, 2)), a, alpha=alpha)
    at, out = case.rows("planar", "float64", [25])
    once, stepwise = (case.engine("planar", "float64") for _ in range(2))
    once.advance(25, at, out, 0)
    for t in range(26):
        stepwise.advance(t, at, out, 0)
    arcs, same = (engine.arcs[engine.state.side] for engine in (once, stepwise))
    assert once.weights()[0].tobytes() == stepwise.weights()[0].tobytes()
    assert arcs.tolist() == same.tolist()
    assert arcs.tolist() == once.ring.arcs(np.ascontiguousarray(once.weights()[0].T)).tolist()


def test_arcs_where_the_rounded_products_cancel():
    """<w, x> below the rounding of its products, which makes it 0 where it is not."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((300, 2))
    X = np.stack([-W[:, 1], W[:, 0]], axis=1) * rng.uniform(0.5, 2, (300, 1))
    ring = Ring(X, np.ones(300, np.int64), np.zeros(300, np.int64))
    start, length = ring.arcs(np.ascontiguousarray(W.T))
    undecided = 0
    for j, (w0, w1) in enumerate(W.tolist()):
        on_arc = np.zeros(300, bool)
        on_arc[ring.order[(start[j] + np.arange(length[j])) % 300]] = True
        exact = [Fraction(w0) * Fraction(x0) + Fraction(w1) * Fraction(x1) for x0, x1 in X.tolist()]
        assert on_arc.tolist() == [value > 0 for value in exact]
        undecided += exact[j] > 0 and w0 * X[j, 0] + w1 * X[j, 1] == 0
    assert undecided > 50


# --------------------------------------------------------------------------- work that disappears


# The share of pairs that need an inner product in the first steps, at most.
SHARE = {"theorem": 0.65, "assumptions": 0.55}
# The share of the sums over spans that exist already and are added: at least, at most.
ADDED = {"theorem": (0.2, 0.35), "assumptions": (0.05, 0.15)}
# and the largest shares of sums looked up, and of sums that exist and are added, in the first six
# steps of Figure 2: few patterns are shared while neurons still differ
FIGURE2 = {("figure2-low", "direct"): (0.7, 0.2), ("figure2-high", "gram"): (0.2, 0.25)}


# whose sums are looked up, and whether signs are certified (in direct)
SWITCHES = [("alike", True), ("alike", False), ("partial", False), ("every", False)]


def switch(engine, look_ups, certifies):
    """Turn off what saves an engine work."""
    engine.state.look_ups = plans.LOOK_UPS[look_ups]
    if hasattr(engine.state, "certifies"):
        engine.state.certifies = certifies


@pytest.mark.parametrize("engine_name", ["direct", "gram"])
@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize("preset", ["theorem", "assumptions"])
def test_switches_change_counts_and_no_bit(engine_name, dtype, preset):
    exp = rfa.preset(preset).replace(dtype=dtype)
    problem = Problem.of(exp.sample(rng=0), None, exp.alpha, 0)
    net, at = exp.network(rng=0), np.arange(12)
    runs = []
    for look_ups, certifies in SWITCHES:
        engine = ENGINES[engine_name](problem, net.W.astype(dtype), net.a.astype(dtype), 2)
        switch(engine, look_ups, certifies)
        out = Observations.allocate(problem, net.m, at)
        engine.advance(11, at, out, 0)
        runs.append((engine.weights()[0].tobytes(), [x.tobytes() for x in vars(out).values()]))
        stats = engine.stats
        # 400 samples are 7 words of two spans of 32
        assert stats["batches"] == 11 * 14 * net.m
        if engine_name == "direct":
            # f is evaluated at t = 0, ..., 11; the 400 samples are 25 full lanes
            pairs = 12 * exp.n * net.m
            share = stats["evaluated"] / pairs
            assert share < SHARE[preset] if certifies else share == 1
        if look_ups == "alike":
            # the sum of each distinct pattern is looked up once, and added to many neurons, or to
            # the sums of a run, of which there are few
            assert stats["looked_up"] < 0.15 * stats["batches"]
            few, many = ADDED[preset]
            assert few * stats["batches"] < stats["added"] < many * stats["batches"]
        elif look_ups == "partial":
            # once aligned, a neuron of J is active on all of one cluster and on none of another
            assert 0.2 * stats["batches"] < stats["added"] < 0.4 * stats["batches"]
            assert stats["looked_up"] < 0.6 * stats["batches"]
        else:
            assert stats["added"] == 0 and stats["looked_up"] >= stats["batches"]
    assert all(run == runs[0] for run in runs)


@pytest.mark.parametrize(("preset", "engine_name"), FIGURE2)
def test_switches_change_counts_and_no_bit_in_figure_2(preset, engine_name):
    exp = rfa.preset(preset)
    problem = Problem.of(exp.sample(rng=0), None, exp.alpha, 0)
    net, at, runs = exp.network(rng=0), np.arange(7), []
    for look_ups, certifies in (("alike", True), ("every", False)):
        engine = ENGINES[engine_name](problem, net.W.astype("f4"), net.a.astype("f4"), 2)
        switch(engine, look_ups, certifies)
        out = Observations.allocate(problem, net.m, at)
        engine.advance(6, at, out, 0)
        runs.append((engine.weights()[0].tobytes(), [x.tobytes() for x in vars(out).values()]))
        stats = engine.stats
        assert stats["batches"] == 6 * 2 * -(-exp.n // 64) * net.m
        if look_ups == "every":
            assert stats["added"] == 0 and stats["looked_up"] >= stats["batches"]
        else:
            looked_up, added = FIGURE2[preset, engine_name]
            assert stats["looked_up"] < looked_up * stats["batches"]
            assert stats["added"] < added * stats["batches"]
        if engine_name == "direct" and certifies:
            assert stats["evaluated"] < 0.7 * 7 * exp.n * net.m
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", [name for name in NAMES if "alike" in name or "leaky d" in name])
@pytest.mark.parametrize("engine_name", ["direct", "gram"])
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_switches_change_no_bit_where_neurons_are_alike(engine_name, dtype, name):
    runs = []
    for look_ups, certifies in SWITCHES:
        engine = CASES[name].engine(engine_name, dtype, horizon=3)
        switch(engine, look_ups, certifies)
        at, out = CASES[name].rows(engine_name, dtype, [0, 1, 3])
        engine.advance(4, at, out, 0)
        runs.append((engine.weights()[0].tobytes(), [x.tobytes() for x in vars(out).values()]))
    assert all(run == runs[0] for run in runs)


def test_sums_are_looked_up_and_added_as_the_activation_matrix_says():
    """The counts of one step against the activation matrix."""
    case = CASES["n=313 d=17 m=46"]
    for engine_name in ("direct", "gram"):
        engine = case.engine(engine_name, "float64")
        A = ((case.X @ case.W.T) > 0)[engine.order]
        # the last span has 25 samples, and padding that is never active
        spans = [A[begin : begin + 32] for begin in range(0, len(A), 32)]
        whole = sum((len(span) == 32) * span.all(axis=0).sum() for span in spans)
        none = sum((~span.any(axis=0)).sum() for span in spans)
        switch(engine, "partial", True)
        engine.advance(1, np.empty(0, np.int64), case.rows(engine_name, "float64", [0])[1], 0)
        stats = engine.stats
        assert stats["batches"] == 10 * 46 and stats["added"] == whole
        assert stats["looked_up"] == 10 * 46 - whole - none


def test_the_ends_of_arcs_pass_what_changes():
    """A sample whose activation changes is passed; few others are."""
    run = rfa.preset("figure1").run(rng=0, record="all", engine="planar")
    flips = int(run.history.flips.sum())
    assert flips <= run.stats["passed"] <= 2 * flips


@pytest.mark.parametrize("variant", [bounds.PLAIN, bounds.Variant(slope=0.25, shrink=0.995)])
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_gram_steps_alike_in_place_and_aside(dtype, variant):
    """Large problems, whose steps can be interrupted, leave H_t until the step is done."""
    exp = rfa.Experiment(n=210, d=80, m=270, alpha=0.05, dtype=dtype)
    problem, net = Problem.of(exp.sample(rng=1), None, 0.05, 3), exp.network(rng=1)
    problem = replace(problem, **variant._asdict())
    W, a = net.W.astype(dtype), net.a.astype(dtype)
    at = np.array([0, 1, 2, 7, 20])
    found = []
    for in_place in (True, False):
        engine = ENGINES["gram"](problem, W, a, 2)
        assert engine.state.in_place
        engine.state.in_place = in_place
        rows = Observations.allocate(problem, net.m, at)
        engine.advance(20, at, rows, 0)
        state = engine.get_state()
        found.append([*vars(rows).values(), *(state[k] for k in ("W", "previous", "C", "H"))])
    assert all(one.tobytes() == other.tobytes() for one, other in zip(*found, strict=True))
    assert 0 < rows.flips[1] and 0 < (state["H"] > 0).mean() < 1


def test_gram_has_no_rows_of_a_state_that_a_diverging_step_has_lost():
    """What is asked for after it is not made from half a step, and W_t is still there."""
    exp = rfa.Experiment(n=40, d=7, m=5, dtype="float32")
    problem, net = Problem.of(exp.sample(rng=1), None, 1e30, 0), exp.network(rng=1)
    problem = replace(problem, loss="square")
    never = np.empty(0, np.int64)
    engine = ENGINES["gram"](problem, net.W.astype(np.float32), net.a.astype(np.float32), 1)
    engine.advance(30, never, Observations.allocate(problem, net.m, never), 0)
    t, W = engine.t, engine.weights()[0]
    assert engine.diverged and 0 <= t < 30
    rows = Observations.allocate(problem, net.m, np.array([t]))
    for _ in range(2):
        assert engine.advance(t + 1, np.array([t]), rows, 0) == 0
        assert (engine.diverged, engine.t) == (True, t)
        assert engine.weights()[0].tobytes() == W.tobytes() and np.isfinite(W).all()


def test_outputs_of_test_points_beyond_the_range_change_no_step():
    """n = 10: chunks of the word are padding, which a step does not write."""
    X = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    X[:, 2] = 0
    data = rfa.Dataset(X, np.where(X[:, 0] > 0, 1, -1))
    test = rfa.Dataset(np.full((64, 3), [0, 0, 1e10], np.float32), np.ones(64, int))
    W = np.random.default_rng(1).standard_normal((6, 3))
    W[:, 2] = 1e30
    net = rfa.Network(W, np.full(6, 1 / np.sqrt(6)))
    runs = [
        rfa.train(net, data, steps=10, test=test, engine="gram", record=record)
        for record in (None, "all")
    ]
    assert [run.status for run in runs] == ["finished"] * 2
    assert runs[0].network.W.tobytes() == runs[1].network.W.tobytes()


@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_gram_does_not_drift(dtype, monkeypatch):
    """4000 steps anchored every 64, as it is, and never, against W stepped in float64.

    A pre-activation within rounding of 0 sends a run on another way whatever the period: the
    median of five tells.
    """
    exp = rfa.Experiment(n=70, d=40, m=12, alpha=0.05, steps=4000, dtype=dtype)
    differences = np.empty((5, 3))
    for seed in range(5):
        data, net = exp.sample(rng=seed), exp.network(rng=seed)
        W = reference.train(data.X.astype(float), data.y, net.W, net.a, 0.05, 4000)
        for k, period in enumerate((64, gram.ANCHOR_PERIOD, 10**9)):
            with monkeypatch.context() as patch:
                patch.setattr(gram, "ANCHOR_PERIOD", period)
                run = rfa.train(net, data, alpha=0.05, steps=4000, engine="gram", record=100)
            differences[seed, k] = np.abs(run.network.W - W).max() / np.abs(W).max()
            expected = np.linalg.norm(run.network.W.astype(float), axis=1)
            assert run.history.norm[-1] == pytest.approx(
                expected, rel=1e-3 if dtype == "float32" else 1e-9
            )
    often, usual, never = np.median(differences, axis=0)
    problems.FIGURES[f"gram after 4000 steps, {dtype}, anchored every 64, 1024 or never"] = (
        f"{often:.1e}, {usual:.1e}, {never:.1e}"
    )
    # a rounding error in each of the 4000 steps, all of one sign
    assert differences.max() < 4000 * np.finfo(dtype).eps
    # in float64 both are what a few operations round off
    assert dtype == "float64" or often < never / 5


@pytest.mark.parametrize("variant", [bounds.PLAIN, bounds.Variant(slope=0.25, shrink=0.995)])
def test_gram_is_anchored_at_steps_of_its_own(variant):
    """Where a run is cut, or starts again from a state, anchors stay where they are."""
    period = gram.ANCHOR_PERIOD

    exp = rfa.Experiment(n=70, d=40, m=12, alpha=0.05)
    problem, net = Problem.of(exp.sample(rng=1), None, 0.05, 0), exp.network(rng=1)
    problem = replace(problem, **variant._asdict())
    at = np.arange(0, 2 * period + 50, 100)
    whole = ENGINES["gram"](problem, net.W, net.a, 1)
    expected = Observations.allocate(problem, net.m, at)
    whole.advance(2 * period + 50, at, expected, 0)
    parts = ENGINES["gram"](problem, net.W, net.a, 1)
    rows, row = Observations.allocate(problem, net.m, at), 0
    for until in (period - 1, period, period + 1, 2 * period, 2 * period + 50):
        row += parts.advance(until, at[row:], rows, row)
        state, parts = parts.get_state(), ENGINES["gram"](problem, net.W, net.a, 2)
        parts.set_state(state)
    assert whole.get_state()["anchored"] == parts.get_state()["anchored"] == 2 * period
    assert parts.weights()[0].tobytes() == whole.weights()[0].tobytes()
    for name, array in vars(expected).items():
        assert array.tobytes() == getattr(rows, name).tobytes(), name


@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_gram_refuses_points_whose_products_overflow(dtype):
    limit = float(np.finfo(dtype).max)
    exp = rfa.Experiment(n=20, d=12, m=5, dtype=dtype, n_test=9)
    data, test, net = exp.sample(0), exp.sample(0, "test"), exp.network(0)
    longest = float(np.linalg.norm(data.X.astype(np.float64), axis=1).max())
    for share, engine in ((0.45, "gram"), (0.55, "direct"), (30, "direct")):
        large = rfa.Dataset(data.X * float(np.sqrt(share) * np.sqrt(limit) / longest), data.y)
        run = rfa.train(net, large, alpha=1e-30, steps=3)
        assert (run.engine, run.status) == (engine, "finished")
    with pytest.raises(ValueError, match='^engine must not be "gram" for points whose'):
        rfa.train(net, large, steps=3, engine="gram")
    beyond = rfa.Dataset(test.X * (0.5 * limit / np.abs(test.X).max()), test.y)
    with pytest.raises(ValueError, match="^engine must not be"):
        rfa.train(net, data, steps=3, test=beyond, engine="gram")


@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_gram_refuses_points_whose_products_underflow(dtype):
    """Down to the limit gram is as exact as ever; below it auto takes direct, which always is."""
    exp = rfa.Experiment(n=60, d=16, m=20, dtype=dtype, n_test=9)
    data, test, net = exp.sample(0), exp.sample(0, "test"), exp.network(0)
    limit = np.sqrt(exp.d * float(np.finfo(dtype).tiny)) / np.linalg.norm(data.X, axis=1).min()
    largest = float(np.abs(net.W).max())
    for factor, engine in ((1.01, "gram"), (0.99, "direct"), (1e-3, "direct")):
        # a sample at the origin is none of the small ones
        X = np.concatenate([data.X * factor * limit, np.zeros((1, exp.d))]).astype(dtype)
        small = rfa.Dataset(X, np.append(data.y, 1))
        options = {"alpha": 10 * largest / float(np.abs(X).max()), "steps": 20, "record": None}
        run = rfa.train(net, small, **options)
        oracle = rfa.train(net, small, engine="reference", **options)
        assert run.engine == engine
        W, expected = run.network.W, oracle.network.W
        assert np.abs(expected - net.W).max() > 0.1 * largest
        bound = 20 * (exp.n + exp.d) * np.finfo(dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(W, expected, rtol=0, atol=bound)
        if engine == "direct":
            with pytest.raises(ValueError, match="inner products overflow or underflow float"):
                rfa.train(net, small, engine="gram", **options)
    below = rfa.Dataset((test.X * limit / 100).astype(dtype), test.y)
    with pytest.raises(ValueError, match="^engine must not be"):
        rfa.train(net, data, steps=3, test=below, engine="gram")


@pytest.mark.parametrize("variant", [bounds.PLAIN, bounds.Variant(slope=0.25, shrink=0.995)])
@pytest.mark.parametrize("n_test", [0, 70])
@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_gram_with_another_problem_is_as_good_as_new(dtype, n_test, variant):
    """Arrays that have been used leave no trace, not even after NaN: bits are those of new ones.

    A network that is not leaky follows one that is, and the other way round.
    """
    exp = rfa.Experiment(n=71, d=40, m=13, dtype=dtype, n_test=n_test, law="laplace")
    other = bounds.PLAIN if variant != bounds.PLAIN else bounds.Variant(slope=0.25, shrink=0.995)

    def problem(seed, variant=variant, **changes):
        drawn = exp.replace(**changes)
        test = drawn.sample(seed, "test") if n_test else None
        made = Problem.of(drawn.sample(seed), test, drawn.alpha, 3)
        net = drawn.network(seed)
        return replace(made, **variant._asdict()), net.W.astype(dtype), net.a.astype(dtype)

    at = np.arange(0, 45, 4)
    used = ENGINES["gram"](*problem(0), 1)
    large = float(np.sqrt(np.finfo(dtype).max)) / 1000
    for seed, (before, diverges) in enumerate(
        [(problem(1, other), False), (problem(2, other, sigma=large, alpha=1e6), True)]
    ):
        used.load(*before)
        used.advance(20, at[:3], Observations.allocate(before[0], exp.m, at), 0)
        assert used.diverged == diverges
        arguments = problem(10 + seed)
        assert used.fits(*arguments[:2], 1)
        used.load(*arguments)
        new = ENGINES["gram"](*arguments, 1)
        found = {}
        for name, engine in (("used", used), ("new", new)):
            rows = Observations.allocate(arguments[0], exp.m, at)
            assert engine.t == 0 and engine.advance(at[-1], at, rows, 0) == len(at)
            found[name] = [*vars(rows).values(), engine.weights()[0], engine.stats]
        assert all(
            a == b if isinstance(a, dict) else a.tobytes() == b.tobytes()
            for a, b in zip(found["used"], found["new"], strict=True)
        )
    for changes in ({"n": 72}, {"d": 41}, {"m": 14}):
        assert not used.fits(*problem(0, **changes)[:2], 1)


# --------------------------------------------------------------------------------- variants


@pytest.mark.parametrize(
    ("field", "value"),
    [("loss", "absolute"), ("slope", 1.0), ("slope", -0.1), ("shrink", 0.0), ("shrink", 1.1)],
)
def test_variants_out_of_range_are_refused(field, value):
    problem = CASES["one sample d=2"].problem("float64")
    with pytest.raises(ValueError, match=f"^{field} must be .* got {value!r}$"):
        replace(problem, **{field: value})
