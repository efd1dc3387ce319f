"""The oracle against plainer computations: differences, longer numbers, loops over bits."""

from __future__ import annotations

import ast
import inspect
import math
from decimal import Decimal, localcontext

import numpy as np
import problems
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfa import reference


@pytest.mark.parametrize("loss", list(reference.LOSSES))
@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (7, 3, 5), (20, 2, 9)])
def test_gradient_is_that_of_the_loss(n, d, m, slope, loss):
    """Central differences, at points where no sign can change within the difference."""
    h, rng = 1e-5, problems.own_rng(n)
    X, y = rng.standard_normal((n, d)), rng.choice([-1, 1], n)
    W, a = rng.standard_normal((m, d)), rng.standard_normal(m)
    variant = {"weights": rng.uniform(0, 2, n), "loss": loss, "slope": slope}
    assert np.abs(X @ W.T).min() > h * np.abs(X).max()
    s = y * reference.forward(X, W, a, slope)
    # the hinge's kink
    assert np.abs(s - 1).min() > h * np.abs(a).max() * np.abs(X).max()
    found = np.empty((m, d))
    for index in np.ndindex(m, d):
        forth, back = W.copy(), W.copy()
        forth[index] += h
        back[index] -= h
        difference = reference.loss(X, y, forth, a, **variant)
        difference -= reference.loss(X, y, back, a, **variant)
        found[index] = difference / (forth[index] - back[index])
    # h^2/6 times the third derivative (at most 1, or that of exp(-s)), and rounding of the loss / h
    third = max(1, np.exp(-s).max()) * (np.abs(a).max() * np.abs(X).max()) ** 3
    risk = reference.loss(X, y, W, a, **variant)
    error = np.abs(found - reference.gradient(X, y, W, a, **variant)).max()
    assert error <= third * h**2 + 1e-13 * risk / h


def test_gradient_written_out():
    X, y = [[1.0, 2.0], [-1.0, 1.0]], [1, -1]
    W, a = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.5, -0.25, 2.0]
    expected = [[0.0, 0.0] for _ in W]
    for x, label in zip(X, y, strict=True):
        h = [sum(p * q for p, q in zip(x, w, strict=True)) for w in W]
        f = sum(s * max(v, 0.0) for s, v in zip(a, h, strict=True))
        g = 1 / (1 + math.exp(label * f))
        for j in range(3):
            for k in range(2):
                expected[j][k] -= (h[j] > 0) * g * label * a[j] * x[k] / 2
    arrays = (np.array(X), np.array(y), np.array(W), np.array(a))
    assert reference.gradient(*arrays) == pytest.approx(np.array(expected), rel=1e-15)
    stepped = reference.step(*arrays, 0.1)
    assert stepped == pytest.approx(np.array(W) - 0.1 * np.array(expected), rel=1e-15)
    assert reference.train(*arrays, 0.1, 1).tolist() == stepped.tolist()
    assert reference.train(*arrays, 0.1, 0).tolist() == W


def test_variants_written_out():
    """Losses by hand; a step with sample weights, a leaky slope and weight decay by loops."""
    by_hand = {
        "logistic": (lambda s: math.log1p(math.exp(-s)), lambda s: 1 / (1 + math.exp(s))),
        "exponential": (lambda s: math.exp(-s), lambda s: math.exp(-s)),
        "hinge": (lambda s: max(0.0, 1 - s), lambda s: float(s < 1)),
        "square": (lambda s: (1 - s) ** 2 / 2, lambda s: 1 - s),
    }
    X, y, v = [[1.0, 2.0], [-1.0, 1.0]], [1, -1], [0.5, 3.0]
    W, a = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.5, -0.25, 2.0]
    for loss, (value, weight) in by_hand.items():
        expected, risk = [[0.75 * w for w in row] for row in W], 0.0
        for x, label, vi in zip(X, y, v, strict=True):
            h = [sum(p * q for p, q in zip(x, w, strict=True)) for w in W]
            s = label * sum(aj * (hj if hj > 0 else 0.25 * hj) for aj, hj in zip(a, h, strict=True))
            risk += vi * value(s) / 2
            for j in range(3):
                for k in range(2):
                    slope = 1 if h[j] > 0 else 0.25
                    expected[j][k] += 0.1 * slope * vi * weight(s) * label * a[j] * x[k] / 2
        arrays = (np.array(X), np.array(y), np.array(W), np.array(a))
        variant = {"weights": np.array(v), "loss": loss, "slope": 0.25}
        assert reference.loss(*arrays, **variant) == pytest.approx(risk, rel=1e-15)
        stepped = reference.step(*arrays, 0.1, **variant, shrink=0.75)
        assert stepped == pytest.approx(np.array(expected), rel=1e-15)
        trained = reference.train(*arrays, 0.1, 1, **variant, shrink=0.75)
        assert trained.tolist() == stepped.tolist()


def exact_logistic(s):
    """(loss, weight) of one margin with 360 digits (1 + exp(-745) needs 340)."""
    with localcontext() as context:
        context.prec = 360
        e = (-abs(Decimal(float(s)))).exp()
        loss = max(Decimal(0), -Decimal(float(s))) + (1 + e).ln()
        return loss, (e if s >= 0 else Decimal(1)) / (1 + e)


margins = st.floats(-745, 745) | st.floats(-40, 40) | st.sampled_from([0.0, -0.0, 1e-300, -5e-324])


@settings(max_examples=200, deadline=None)
@given(margins)
def test_logistic_against_many_digits(s):
    loss, weight = exact_logistic(s)
    found = reference.logistic_loss(np.array([s])), reference.loss_weights(np.array([s]))
    for value, exact in zip(found, (loss, weight), strict=True):
        allowed = 8 * 2.0**-53 * float(exact) + 5e-324
        assert abs(Decimal(float(value[0])) - exact) <= Decimal(allowed)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e3, 1e16, 1e308, np.finfo(float).max])
def test_logistic_of_huge_margins(size):
    s = np.array([size, -size])
    assert reference.logistic_loss(s).tolist() == [0, size]
    assert reference.loss_weights(s).tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200).flatmap(
        lambda n: hnp.arrays(bool, st.tuples(st.just(n), st.integers(1, 5)))
    )
)
def test_masks_hold_each_sample_at_its_bit(A):
    n, m = A.shape
    # neuron j on sample i: x_i = row i of +-1, w_j = e_j
    masks = reference.activation_masks(np.where(A, 1.0, -1.0), np.eye(m))
    assert masks.shape == (m, (n + 63) // 64)
    assert masks.dtype == np.uint64
    for j in range(m):
        bits = sum(int(word) << (64 * w) for w, word in enumerate(masks[j]))
        assert bits == sum(1 << i for i in range(n) if A[i, j])
    assert (reference.unpack_masks(masks, n) == A).all()


def test_the_derivative_at_zero_is_zero():
    assert reference.activation_masks(np.array([[0.0], [-0.0], [5e-324]]), np.ones((1, 1))) == 4


def test_counts_and_outputs_by_loops():
    rng = problems.own_rng(3)
    X, W, a = rng.standard_normal((50, 3)), rng.standard_normal((6, 3)), rng.standard_normal(6)
    groups = rng.integers(0, 4, 50)
    counts, f = np.zeros((6, 4), int), np.zeros(50)
    for i in range(50):
        for j in range(6):
            h = float(X[i] @ W[j])
            counts[j, groups[i]] += h > 0
            f[i] += a[j] * max(h, 0.0)
    assert reference.active_counts(X, W, groups).tolist() == counts.tolist()
    assert reference.forward(X, W, a) == pytest.approx(f, rel=1e-12)
    y = np.where(groups > 1, 1, -1)
    expected = np.logaddexp(0, -y * f).mean()
    assert reference.loss(X, y, W, a) == pytest.approx(expected, rel=1e-14)


def test_imports_numpy_and_losses_alone():
    tree = ast.parse(inspect.getsource(reference))
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported == {"__future__", "numpy", "numpy.typing", "rfa.losses"}
