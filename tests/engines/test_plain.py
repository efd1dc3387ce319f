"""The readable twins of the engines' algorithms against the oracle, and against the engines."""

from __future__ import annotations

import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfa import reference
from rfa.engines.direct import plain as direct
from rfa.engines.gram import plain as gram
from rfa.engines.planar import plain as planar
from rfa.engines.registry import ENGINES

TWINS = {"direct": direct.train, "gram": gram.train, "planar": planar.train}
CASES = {
    name: case
    for name, case in {**problems.cases(), **problems.variants()}.items()
    if case.variant.weights is None
}
PAIRS = [(name, case) for case in CASES for name in CASES[case].engines]


def arguments(case):
    variant = case.variant._asdict()
    del variant["weights"]
    return (case.X, case.y, case.W, case.a, case.alpha, case.steps), variant


def close(found, expected):
    """In float64 both are off by some 1e-16 a step, of numbers of that size; a fault is not."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() <= 1e-11 * max(1, np.abs(expected).max())


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_twins_take_the_steps_of_the_oracle_and_of_the_engine(name, case):
    case = CASES[case]
    positional, variant = arguments(case)
    given = [array.tobytes() for array in positional[:4]]
    found = TWINS[name](*positional, **variant)
    assert [array.tobytes() for array in positional[:4]] == given
    assert close(found, reference.train(*positional, **variant))
    engine = case.engine(name, np.float64)
    at, out = np.empty(0, np.int64), case.rows(name, np.float64, [0])[1]
    engine.advance(case.steps, at, out, 0)
    assert engine.t == case.steps
    assert close(found, engine.weights()[0])


@pytest.mark.parametrize("name", [name for name in ENGINES if name in TWINS])
@pytest.mark.parametrize("loss", list(reference.LOSSES))
def test_every_loss(name, loss):
    positional, _ = arguments(problems.make_case("", 60, 2, 12, 3, steps=30))
    variant = {"loss": loss, "slope": 0.125, "shrink": 0.99}
    assert close(TWINS[name](*positional, **variant), reference.train(*positional, **variant))


def test_direct_settles_most_signs_by_bounds(monkeypatch):
    """Along the means few signs are computed again, and these are enough."""
    case = problems.make_case("", 200, 40, 30, 9, steps=30)
    computed = []
    nonzero = np.nonzero

    def counted(mask):
        found = nonzero(mask)
        computed.append(len(found[0]))
        return found

    monkeypatch.setattr(np, "nonzero", counted)
    positional, variant = arguments(case)
    found = direct.train(*positional, **variant, directions=np.eye(40)[:2])
    assert close(found, reference.train(*positional, **variant))
    along, steps = sum(computed), len(computed)
    assert steps == 30 and along < 0.2 * steps * 200 * 30
    computed.clear()
    assert close(direct.train(*positional, **variant), found)
    assert along < sum(computed) < 0.8 * steps * 200 * 30


def test_gram_with_and_without_anchors():
    positional, variant = arguments(CASES["logistic slope=0.0 shrink=0.96875 d=5"])
    expected = reference.train(*positional, **variant)
    for period in (1, 7, 1000):
        assert close(gram.train(*positional, **variant, period=period), expected)


# whole numbers: samples of one direction, opposite ones, and neurons at right angles to samples
whole = st.integers(-2, 2)
points = st.lists(st.tuples(whole, whole), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(points.filter(lambda X: any(map(any, X))), points, st.integers(0, 2**32 - 1))
def test_planar_with_ties(X, W, seed):
    rng = np.random.default_rng(seed)
    # 16 samples, the rest of them at the origin
    X, W = np.array([*X, *[(0, 0)] * (16 - len(X))], float), np.array(W, float)
    y, a = rng.choice([-1, 1], len(X)), rng.choice([-1.0, 1.0], len(W))
    # all numbers are small multiples of a power of two, so that no sum is rounded
    for steps in range(4):
        positional = (X, y, W, a, 0.25, steps)
        expected = reference.train(*positional, loss="hinge", slope=0.25)
        assert planar.train(*positional, loss="hinge", slope=0.25).tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(points.filter(lambda X: any(map(any, X))), st.data())
def test_planar_arcs_from_any_others(X, data):
    """Ends that start anywhere reach the arc of the active samples."""
    X = np.array([x for x in X if any(x)], float)
    x = X[np.argsort(np.arctan2(X[:, 1], X[:, 0]))].T
    N = x.shape[1]
    w = np.array(data.draw(st.tuples(whole, whole)), float)[:, None]
    first = data.draw(st.integers(0, N - 1))
    end = first + data.draw(st.integers(0, N))
    first, end = planar.move_ends(x, w, np.array([first]), np.array([end]))
    on_arc = np.zeros(N, bool)
    on_arc[np.arange(first[0], end[0]) % N] = True
    assert on_arc.tolist() == (w[:, 0] @ x > 0).tolist()
    assert 0 <= first[0] < N and first[0] <= end[0] <= first[0] + N
