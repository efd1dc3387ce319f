"""Signs that direct does not evaluate are those that an evaluation would give."""

import dataclasses
import sys

import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfa.engines.direct.engine import DirectEngine
from rfa.engines.problem import Problem

STEPS = 60


def checked(engine):
    """The engine with its switch on: an activation that differs from a full evaluation raises."""
    engine.state.checked = np.zeros(engine.masks.shape[1:], np.uint64)
    return engine


def take(engine, steps=STEPS):
    """Take steps, as many as stay finite; no row is written, so that any rows will do."""
    rows = problems.cases()["n=313 d=17 m=46"].rows("direct", "float64", [0])[1]
    engine.advance(steps, np.empty(0, np.int64), rows, 0)
    return engine.stats


def check_all():
    """Pairs and pairs evaluated in steps of all cases and variants."""
    totals = np.zeros(2, np.int64)
    for case in (problems.cases() | problems.variants()).values():
        for dtype in problems.DTYPES:
            for n_threads in (1, 2):
                engine = case.engine("direct", dtype, n_threads)
                assert np.size(engine.state.checked)
                stats = take(engine)
                pairs = engine.t * engine.n * engine.m
                totals += [pairs, stats["evaluated"]]
    return totals


@pytest.mark.parametrize("level", problems.levels())
def test_every_activation_of_all_cases_is_that_of_a_full_evaluation(level):
    printed = problems.in_fresh_python([__file__], RFA_SIMD=level, RFA_CHECK_SIGNS="1")
    pairs, evaluated = map(int, printed.split())
    assert pairs > 1e6 and evaluated < 0.7 * pairs


def test_a_wrong_activation_is_noticed():
    engine = checked(problems.cases()["n=313 d=17 m=46"].engine("direct", "float64"))
    take(engine, 3)
    # as if nothing had moved since, wherever it went
    engine.signs.low[:], engine.signs.high[:] = np.inf, -np.inf
    with pytest.raises(RuntimeError, match="activations differ from a full evaluation"):
        take(engine)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e99, 1e101, 1e160, 1e300])
def test_numbers_whose_squares_overflow_are_evaluated(size):
    case = problems.cases()["n=313 d=17 m=46"]
    problem = dataclasses.replace(
        case.problem("float64"),
        X=size * case.X,
        means=size * case.means,
        alpha=1e-3 / min(size, 1e150) ** 2,
    )
    engine = checked(DirectEngine(problem, case.W / size, case.a, 2))
    assert engine.state.certifies == (size < 1e100)
    take(engine, 5)
    assert engine.t == 5


def test_a_number_that_is_not_finite_is_found_again():
    """Whoever goes on after a divergence is told again, at the same step."""
    case = problems.cases()["n=313 d=17 m=46"]
    W = case.W.copy()
    W[7] = 1.7e308 * np.sign(case.X[0])
    engine = DirectEngine(case.problem("float64"), W, case.a, 1)
    for _ in range(3):
        take(engine, 5)
        assert engine.diverged and engine.t == 0


@pytest.mark.parametrize("size", [1e-130, 1e-150, 1e-162, 1e-165])
def test_samples_whose_squares_underflow_are_evaluated(size):
    rng = np.random.default_rng(0)
    case = problems.cases()["n=313 d=17 m=46"]
    problem = dataclasses.replace(
        case.problem("float64"),
        X=size * rng.standard_normal(case.X.shape),
        means=np.empty((0, 17)),
        alpha=1e302,
    )
    # steps of about the size of the weights, so that signs change
    engine = checked(DirectEngine(problem, 1e302 * size * rng.standard_normal((46, 17)), case.a, 2))
    assert engine.state.certifies == (size > 1e-140)
    take(engine, 20)
    assert engine.t == 20


def test_a_sum_that_overflows_ends_the_run_whatever_is_evaluated():
    """<w, x> does, on long samples on which no neuron is active, so that f stays finite."""
    x = np.array([1e5, 1e5, 0], np.float32)
    problem = dataclasses.replace(
        problems.cases()["n=313 d=17 m=46"].problem("float32"),
        X=np.concatenate([np.tile(x, (48, 1)), np.tile(np.float32([-1e28, -1e25, 0]), (16, 1))]),
        y=np.ones(64, np.int64),
        groups=np.repeat([0, 1], [48, 16]),
        n_groups=2,
        means=np.array([[0, 0, 1.0], [0, 0, -1.0]]),
        test_X=np.empty((0, 3), np.float32),
        test_y=np.empty(0, np.int64),
        test_groups=np.empty(0, np.int64),
        n_test_groups=0,
        alpha=20.0,
    )
    W, a = np.float32([[3.399e10, 0, 0], [0, 1e12, 0]]), np.float32([1, -1])
    ends = []
    for certifies in (True, False):
        engine = DirectEngine(problem, W, a, 1)
        engine.state.certifies = certifies
        take(engine, 200)
        ends.append((engine.t, engine.diverged))
    assert ends[0][1] and 0 < ends[0][0] < 200
    assert ends[0] == ends[1]


@pytest.mark.parametrize("d", [3, 6, 30])
@pytest.mark.parametrize("size", [1e-14, 1e-13, 1e-12, 1e-10])
def test_steps_of_the_size_of_rounding_errors(d, size):
    """All samples are one, almost along the mean; its steps carry the neurons over their kinks.

    The part of a step outside of the mean is what rounding leaves of it, thousands of times.
    """
    rng = np.random.default_rng(d)
    Q = np.linalg.qr(rng.standard_normal((d, 2)))[0].T.copy()
    x = Q[0] + 3 * np.sqrt(2e-16 / size) * Q[1]
    m, steps = 40, 6000
    W = rng.standard_normal((m, d))
    W -= W @ Q.T @ Q
    W += np.outer(np.linspace(0.2, 0.9, m) * steps * size, x)
    problem = Problem(
        X=np.tile(x, (16, 1)),
        y=-np.ones(16, np.int64),
        groups=np.zeros(16, np.int64),
        n_groups=1,
        means=Q[:1],
        test_X=np.empty((0, d)),
        test_y=np.empty(0, np.int64),
        test_groups=np.empty(0, np.int64),
        n_test_groups=0,
        alpha=2 * size,
        horizon=0,
    )
    stats = take(checked(DirectEngine(problem, W, np.ones(m), 1)), steps)
    assert stats["evaluated"] < 0.9 * steps * 16 * m


def test_signs_that_rounding_decides():
    """h is 0 but for what its sum rounds off, which a step changes by more than it moves h."""
    rng = np.random.default_rng(0)
    d, m = 2000, 64
    x = np.abs(rng.standard_normal(d)) / np.sqrt(d)
    W = np.abs(rng.standard_normal((m, d))) / np.sqrt(d)
    # the first half of a sum rises to a half, the second falls to 0
    W[:, d // 2 :] *= -1
    W -= np.outer(W @ x, x) / (x @ x)
    problem = Problem(
        X=np.tile(x, (16, 1)).astype(np.float32),
        y=-np.ones(16, np.int64),
        groups=np.zeros(16, np.int64),
        n_groups=1,
        means=np.empty((0, d)),
        test_X=np.empty((0, d), np.float32),
        test_y=np.empty(0, np.int64),
        test_groups=np.empty(0, np.int64),
        n_test_groups=0,
        alpha=2e-7,
        horizon=0,
    )
    engine = checked(DirectEngine(problem, W.astype(np.float32), np.ones(m, np.float32), 1))
    take(engine, 200)
    assert engine.t == 200


def test_the_transposed_masks_are_compared_too():
    engine = checked(problems.cases()["n=313 d=17 m=46"].engine("direct", "float64"))
    # few activations change any more, so that the words are mended and not made anew
    take(engine, 150)
    engine.signs.transposed[0] ^= np.uint64(1)
    with pytest.raises(RuntimeError, match="transposed"):
        take(engine, 151)


@st.composite
def any_problem(draw):
    """Clusters, or not; few or many samples, dimensions and directions; all sizes of numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d, m = draw(st.integers(1, 90)), draw(st.integers(1, 40)), draw(st.integers(1, 70))
    k = draw(st.integers(0, 10))
    means = rng.standard_normal((k, d)) * draw(st.sampled_from([0.0, 1e-3, 1.0]))
    X = rng.standard_normal((n, d)) * draw(st.sampled_from([0.0, 1e-2, 1.0]))
    if k:
        X += means[rng.integers(0, k, n)]
    X[rng.random(n) < 0.1] = 0
    size = draw(st.sampled_from([1e-30, 1e-12, 1e-3, 1.0, 1e8, 1e18]))
    W = rng.standard_normal((m, d)) / np.sqrt(d) * draw(st.sampled_from([0.0, 1e-6, 1.0, 1e3]))
    dtype = draw(st.sampled_from(problems.DTYPES))
    problem = Problem(
        X=(size * X).astype(dtype),
        y=rng.choice([-1, 1], n),
        groups=rng.integers(0, 3, n),
        n_groups=3,
        means=size * means,
        test_X=np.empty((0, d), dtype),
        test_y=np.empty(0, np.int64),
        test_groups=np.empty(0, np.int64),
        n_test_groups=0,
        alpha=draw(st.sampled_from([1e-3, 0.3, 100.0])) / max(size, 1e-3) ** 2,
        horizon=0,
        slope=draw(st.sampled_from([0.0, 0.0, 0.2])),
        shrink=draw(st.sampled_from([1.0, 1.0, 0.9])),
    )
    return problem, (W / size).astype(dtype), rng.choice([-0.3, 0.0, 0.5], m).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(any_problem())
def test_activations_of_any_problem_are_those_of_a_full_evaluation(drawn):
    take(checked(DirectEngine(*drawn, 1)), 40)


if __name__ == "__main__":
    print(*check_all(), file=sys.stdout)
