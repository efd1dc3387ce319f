"""The compiled array functions against rfa.reference; what they accept and what they refuse."""

from __future__ import annotations

import multiprocessing
import threading

import bounds
import numpy as np
import problems
import pytest
from checks import check_kernels
from hypothesis import given, settings
from hypothesis import strategies as st

import rfa
from rfa import _kernels, kernels, reference
from rfa.kernels import levels, plans

SIZES = st.sampled_from([1, 2, 3, 5, 6, 7, 48, 49, 63, 64, 65, 127, 130])


@st.composite
def networks(draw):
    """X, y, W, a of one type, with some rows of zeros, equal rows or none, in any layout."""
    rng = problems.own_rng(draw(st.integers(0, 2**32)))
    n, m, d = draw(SIZES), draw(SIZES), draw(st.sampled_from([1, 2, 3, 8, 16, 17, 33]))
    dtype = draw(st.sampled_from(problems.DTYPES))
    X, W = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    if draw(st.booleans()):
        X, W = X[rng.integers(0, min(n, 3), n)], W[rng.integers(0, min(m, 5), m)]
    X[rng.random(n) < 0.1] = 0
    W[rng.random(m) < 0.1] = 0
    layouts = st.sampled_from(
        [
            np.ascontiguousarray,
            np.asfortranarray,
            lambda array: np.repeat(array, 2, axis=0)[::2],
            lambda array: np.repeat(array, 3, axis=1)[:, ::3],
            lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
        ]
    )
    X, W = (draw(layouts)(array.astype(dtype)) for array in (X, W))
    return X, rng.choice([-1, 1], n), W, rng.standard_normal(m).astype(dtype)


@settings(max_examples=100, deadline=None)
@given(networks(), st.integers(1, 5))
def test_kernels_are_the_reference_to_rounding(network, n_threads):
    check_kernels(*network, n_threads)


@pytest.mark.parametrize("dtype", problems.DTYPES)
def test_a_span_without_active_neurons_between_spans_of_too_many_patterns_for_a_run(dtype):
    rng = problems.own_rng(8)
    rows = rng.standard_normal((100, 17))
    X = rng.standard_normal((128, 17))
    rows[:, 0], X[:, 0], X[32:64] = 1, 0, 0
    X[32:64, 0] = -1
    X, W = X.astype(dtype), rows[rng.integers(0, 100, 252)].astype(dtype)
    y, a = rng.choice([-1, 1], 128), rng.standard_normal(252).astype(dtype)

    masks = kernels.activation_masks(X, W)
    counts = plans.counts_for(np.ascontiguousarray(masks.T))
    assert counts[:, 0, 2].tolist() == 4 * [plans.KINDS["shared"]]
    assert counts[1, 0, 3] == 0 and (counts[[0, 2, 3], 0, 3] > 63).all()
    exact = bounds.oracle_step(X, y, W, a, 0.5)
    error = bounds.difference_bound(X, W, a, 0.5, exact, "direct", bounds.unit_roundoff(X.dtype))
    assert (np.abs(kernels.step(X, y, W, a, 0.5) - exact.W) <= error.bound).all()


def test_several_panels_and_blocks():
    """d beyond a panel of the matrix multiply, m beyond the blocks of both loops."""
    rng = problems.own_rng(0)
    for n, d, m in [(70, 1100, 20), (70, 1024, 20), (40, 3, 1000), (5000, 2, 3)]:
        for dtype in problems.DTYPES:
            X = rng.standard_normal((n, d)).astype(dtype)
            W = rng.standard_normal((m, d)).astype(dtype)
            y, a = rng.choice([-1, 1], n), rng.standard_normal(m).astype(dtype)
            exact = bounds.oracle_step(X, y, W, a, 0.5)
            u = bounds.unit_roundoff(dtype)
            error = bounds.difference_bound(X, W, a, 0.5, exact, "direct", u)
            stepped = {kernels.step(X, y, W, a, 0.5, n_threads=k).tobytes() for k in (1, 2, 7)}
            assert len(stepped) == 1
            found = np.frombuffer(stepped.pop(), dtype).reshape(m, d)
            assert (np.abs(found - exact.W) <= error.bound).all()


def test_types():
    X, W = np.ones((3, 2), np.float32), np.ones((4, 2))
    a = np.ones(4)
    assert kernels.forward(X, W, a).dtype == np.float64
    assert kernels.forward(X, W.astype(np.float32), a).dtype == np.float32
    for kind in (np.int64, np.float16, np.uint8, bool):
        assert kernels.forward(X.astype(kind), W, a).dtype == np.float64
    assert kernels.forward(X.tolist(), W.tolist(), [1, 1, 1, 1]).tolist() == [8.0] * 3
    assert kernels.forward(X.astype(">f4"), W.astype(">f8"), a).tolist() == [8.0] * 3


def test_every_loss_has_its_leaf():
    assert sorted(levels.LOSSES) == sorted(reference.LOSSES)
    # rfa.kernels takes the first one
    assert levels.LOSSES[0] == "logistic"


@pytest.mark.parametrize("loss", list(reference.LOSSES))
@pytest.mark.parametrize("leaf", ["loss_weights", "losses"])
def test_leaves_have_the_error_that_the_bounds_assume(leaf, loss):
    """Relative error of g = -l'(s) at most 4 v, of the loss 8 v, at any size of s."""
    rng = problems.own_rng(1)
    s = np.concatenate([rng.uniform(-745, 745, 40_000), rng.uniform(-3, 3, 40_000)])
    s = np.concatenate([s, 10.0 ** rng.uniform(-300, 2.8, 10_000), [0.0, -0.0, 5e-324, 2.0**-1074]])
    s = np.concatenate([s, -s])
    s = np.append(s, np.zeros(-len(s) % 8))
    found = np.empty_like(s)
    if loss == "exponential":
        s = np.maximum(s, -709)
    getattr(_kernels, leaf)(s, found, levels.LOSSES.index(loss))
    exact = reference.LOSSES[loss][leaf == "loss_weights"](s.astype(np.longdouble))
    allowed = (4 if leaf == "loss_weights" else 8) * bounds.FLOAT64
    # below the normal range a result, or twice it, is rounded to a multiple of 2^-1074
    assert (
        np.abs(found - exact) <= (allowed + 6 * bounds.ORACLE) * np.abs(exact) + 2.0**-1073
    ).all()
    normal = exact > 1e-300
    worst = float(np.max(np.abs(found - exact)[normal] / exact[normal]))
    problems.FIGURES[f"relative error of {leaf}, {loss}, in 2^-53"] = f"{worst * 2**53:.2f}"


def test_leaves_at_huge_margins():
    s = np.array([1e3, -1e3, 1e16, -1e16, 1e308, -1e308, 800.5, -800.5])
    found = np.empty_like(s)
    _kernels.loss_weights(s, found)
    assert found.tolist() == [0, 1] * 4
    _kernels.losses(s, found)
    assert found.tolist() == [0, 1e3, 0, 1e16, 0, 1e308, 0, 800.5]
    _kernels.loss_weights(s, found, levels.LOSSES.index("exponential"))
    assert found.tolist() == [0, np.inf] * 4


@pytest.mark.parametrize("loss", ["logistic", "exponential", "square"])
@pytest.mark.parametrize("leaf", ["loss_weights", "losses"])
def test_leaves_keep_what_is_not_a_number(leaf, loss):
    s = np.where(np.arange(24) % 3 == 1, np.nan, np.linspace(-3, 3, 24))
    found = np.zeros(24)
    getattr(_kernels, leaf)(s, found, levels.LOSSES.index(loss))
    assert (np.isnan(found) == np.isnan(s)).all()


GOOD = {
    "X": np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]),
    "y": np.array([1, -1, 1]),
    "W": np.array([[1.0, 0.0], [0.0, -1.0]]),
    "a": np.array([0.5, -0.5]),
    "groups": np.array([0, 1, 1]),
    "alpha": 0.1,
}
FUNCTIONS = {
    "activation_masks": ("X", "W"),
    "active_counts": ("X", "W", "groups"),
    "forward": ("X", "W", "a"),
    "gradient": ("X", "y", "W", "a"),
    "step": ("X", "y", "W", "a", "alpha"),
}


def with_entry(name, index, value):
    array = GOOD[name].astype(float)
    array[index] = value
    return array


BAD = [
    ("X", with_entry("X", (1, 0), np.nan), ValueError, r"X\[1, 0\] is nan"),
    ("X", with_entry("X", (2, 1), np.inf), ValueError, r"X\[2, 1\] is inf"),
    ("X", GOOD["X"] + 0j, TypeError, "complex"),
    ("X", GOOD["X"].astype(object), TypeError, "object"),
    ("X", GOOD["X"][0], ValueError, "2 dimensions"),
    ("X", np.empty((0, 2)), ValueError, "empty"),
    ("X", np.empty((3, 0)), ValueError, "empty"),
    ("W", with_entry("W", (0, 1), -np.inf), ValueError, r"W\[0, 1\] is -inf"),
    ("W", np.ones((2, 3)), ValueError, "W must have 2 columns, got 3"),
    ("W", np.array([["a", "b"]]), TypeError, "W must be"),
    ("a", np.ones(3), ValueError, "a must have 2 entries, got 3"),
    ("a", with_entry("a", 1, np.nan), ValueError, r"a\[1\] is nan"),
    ("y", np.array([1, 0, 1]), ValueError, r"y\[1\] is 0; .*2 \* y - 1"),
    ("y", np.array([True, False, True]), ValueError, "astype"),
    ("y", np.array([1, -1, 2]), ValueError, r"y\[2\] is 2"),
    ("y", np.array([1, -1]), ValueError, "y must have one label for each of the 3 samples"),
    ("y", np.array([1.0, np.nan, 1.0]), ValueError, r"y\[1\] is nan"),
    ("groups", np.array([0, -1, 1]), ValueError, r"groups\[1\] is -1"),
    ("groups", np.array([0.0, 1.0, 1.0]), TypeError, "groups must be"),
    ("groups", np.array([0, 1]), ValueError, r"groups must have shape \(3,\)"),
    ("alpha", 0.0, ValueError, "alpha must be positive"),
    ("alpha", -0.1, ValueError, "alpha must be positive"),
    ("alpha", np.inf, ValueError, "alpha must be finite"),
    ("alpha", "0.1", TypeError, "alpha must be"),
    ("n_threads", 0, ValueError, "n_threads must be at least 1, got 0"),
    ("n_threads", -2, ValueError, "n_threads"),
    ("n_threads", 1.5, TypeError, "n_threads must be an integer"),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("name", "value", "error", "message"), BAD)
def test_bad_input_is_named(function, name, value, error, message):
    if name != "n_threads" and name not in FUNCTIONS[function]:
        return
    arguments = {key: GOOD[key] for key in FUNCTIONS[function]} | {name: value}
    with pytest.raises(error, match=message) as caught:
        getattr(kernels, function)(**arguments)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_arguments_are_left_as_they_were():
    given = {name: np.array(value) for name, value in GOOD.items() if name not in ("alpha",)}
    for function, names in FUNCTIONS.items():
        arguments = {name: given.get(name, 0.1) for name in names}
        getattr(kernels, function)(**arguments)
    for name, array in given.items():
        assert array.flags.writeable and (array == GOOD[name]).all()


def big_step(n_threads=2):
    rng = problems.own_rng(2)
    X, W = rng.standard_normal((2000, 20)), rng.standard_normal((60, 20))
    return kernels.step(X, np.ones(2000), W, np.ones(60), 0.1, n_threads=n_threads).tobytes()


def child(queue):
    queue.put(big_step())


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_works_after_a_parallel_region():
    expected = big_step()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,), daemon=True)
    process.start()
    try:
        assert queue.get(timeout=30) == expected
    finally:
        process.kill()
        process.join()
    assert big_step() == expected


def test_threads_that_train_at_once_get_the_bits_of_one():
    case = problems.cases()["n=313 d=17 m=46"]
    data, net = rfa.Dataset(case.X, case.y), rfa.Network(case.W, case.a)
    wide = rfa.Dataset(np.tile(case.X, (5, 1)), np.tile(case.y, 5))

    def train():
        return rfa.train(net, wide, steps=20, n_threads=2).network.W.tobytes()

    expected, found = train(), []
    workers = [threading.Thread(target=lambda: found.append(train())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 4
    assert rfa.train(net, data, steps=3).t == 3
