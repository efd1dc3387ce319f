"""Checks that hold for every problem: tests use them on chosen problems, fuzz.py on random ones."""

from __future__ import annotations

import bounds
import numpy as np

from rfa import kernels, reference
from rfa.engines.observations import Observations
from rfa.losses import LOSSES


def bracketed(count, values, error):
    """Whether count can be the number of positive values, if each is known up to ``error``."""
    return ((values > error).sum(axis=0) <= count) & (count <= (values > -error).sum(axis=0))


def check_observations(case, engine_name, dtype, last=12, horizon=9):
    """Each observed row against a few lines of NumPy on W_t, in the oracle's type.

    The case is rounded to the type, has eight groups, and its numbers stay in range.
    """
    u, groups = bounds.unit_roundoff(dtype), case.groups
    variant = case.variant
    slope, extra = variant.slope, variant.extra
    v = np.ones(len(case.X)) if variant.weights is None else variant.weights
    engine = case.engine(engine_name, dtype, n_threads=2, horizon=horizon)
    at = np.arange(last + 1)
    out = Observations.allocate(case.problem(dtype, horizon), len(case.W), at)
    assert len(out.h_low) == horizon + 1
    before, open_before, largest = None, 0, 1.0
    for t in range(last + 1):
        assert engine.advance(t, at[t:], out, t) == 1
        W = engine.weights()[0].astype(np.longdouble)
        X, a = case.X.astype(np.longdouble), case.a.astype(np.longdouble)
        H = X @ W.T
        s = case.y * (np.where(H > 0, H, slope * H) @ a)
        W, H, s = (array.astype(float) for array in (W, H, s))
        e_s = bounds.output_error(case.X, W, case.a, H, engine_name, u, slope)
        e_s += bounds.output_error(case.X, W, case.a, H, "oracle", bounds.ORACLE, slope)
        # planar computes h again, in float64, if its range is observed
        u_h = bounds.FLOAT64 if engine_name == "planar" else u
        # H was rounded above
        e_h = bounds.preactivation_error(case.X, W, u_h) + bounds.FLOAT64 * np.abs(H)
        if engine_name == "planar":
            e_A = bounds.gamma(2, bounds.ORACLE) * (np.abs(case.X) @ np.abs(W).T).astype(float)
        else:
            e_A = e_h
        e_w = 0.0
        if engine_name == "gram":
            # numbers that are divided by shrink^t were larger before
            factor = variant.shrink**t
            alpha = case.alpha * largest
            sizes = np.abs(H) / factor
            apart = bounds.drift(case.X, case.X, case.a, alpha, t, sizes, u, extra)
            e_h, e_A, e_s = e_h + apart, e_A + apart, e_s + apart @ np.abs(case.a)
            # the squared norms change by a_j c_i A_ij (h + h') a step, in float64
            c = alpha / len(case.X) * np.abs(case.a)
            off = bounds.gamma(len(case.X) + t + 2 + extra, u) * t * c * np.abs(case.X).sum()
            size = np.linalg.norm(W, axis=1) / factor + t * c * np.abs(case.X).sum()
            squared = 2 * t * c * apart.sum(axis=0) + (2 * size + off) * off
            squared += bounds.gamma(2 * len(case.X) * (t + 1), bounds.FLOAT64) * size**2
            # and W is rounded to its type when it is recovered, unlike the norms
            e_w = np.sqrt(squared) + bounds.gamma(2, u) * np.linalg.norm(W, axis=1)
        # f is 0, and so predicts no label, if no neuron with a_j != 0 is active
        if not slope:
            e_s[~((H > -e_A) & (a != 0)).any(axis=1)] = 0
        largest = max(largest, float((v * np.abs(LOSSES[variant.loss].weight(s))).max()))
        for g in range(8):
            members = groups == g
            if not members.any():
                assert (out.right[t, g], out.loss[t, g]) == (0, 0)
                assert (out.margin_low[t, g], out.margin_high[t, g]) == (np.inf, -np.inf)
                assert not out.active[t, :, g].any()
                continue
            size, e = members.sum(), e_s[members]
            assert bracketed(out.right[t, g], s[members], e)
            assert abs(out.margin_low[t, g] - s[members].min()) <= e.max()
            assert abs(out.margin_high[t, g] - s[members].max()) <= e.max()
            # the leaf of the loss has 8 v and the sum gamma(size, v)
            losses = v[members] * LOSSES[variant.loss].value(s[members])
            off = v[members] * bounds.loss_error(variant.loss, s[members], e)
            allowed = off.sum() + bounds.gamma(size + 8, bounds.FLOAT64) * (losses + off).sum()
            assert abs(out.loss[t, g] - losses.sum()) <= allowed
            assert bracketed(out.active[t, :, g], H[members], e_A[members]).all()
            if t <= horizon:
                lowest, highest = H[members].min(axis=0), H[members].max(axis=0)
                assert (abs(out.h_low[t, :, g] - lowest) <= e_h[members].max(axis=0)).all()
                assert (abs(out.h_high[t, :, g] - highest) <= e_h[members].max(axis=0)).all()
        d = W.shape[1]
        length = np.sqrt((W**2).sum(axis=1))
        e_n = bounds.gamma(d + 4, bounds.FLOAT64) * length + e_w
        assert (abs(out.norm[t] - length) <= e_n).all()
        e_p = bounds.gamma(2 * d, bounds.FLOAT64) * (np.abs(W) @ np.abs(case.means).T)
        if engine_name == "gram":
            e_p = e_p + bounds.preactivation_error(case.means, W, u).T
            far = np.abs(W @ case.means.T).T
            far = far / factor
            e_p = e_p + bounds.drift(case.means, case.X, case.a, alpha, t, far, u, extra).T
        assert (abs(out.projection[t] - W @ case.means.T) <= e_p).all()
        A, open_now = H > 0, ((np.abs(H) <= e_A) & (e_A > 0)).sum()
        changed = 0 if t == 0 else (A != before).sum()
        assert abs(out.flips[t] - changed) <= (open_now + open_before if t else 0)
        before, open_before = A, open_now


def check_kernels(X, y, W, a, n_threads):
    """The array functions agree with rfa.reference, up to rounding."""
    n, m, u = len(X), len(W), bounds.unit_roundoff(X.dtype)
    exact = bounds.oracle_step(X, y, W, a, 0.5)
    error = bounds.difference_bound(X, W, a, 0.5, exact, "direct", u)

    masks = kernels.activation_masks(X, W, n_threads=n_threads)
    assert masks.shape == (m, (n + 63) // 64) and masks.dtype == np.uint64
    A = reference.unpack_masks(masks, n)
    assert (A == (exact.H > 0))[~error.uncertain].all()
    assert (masks == reference.activation_masks(np.where(A, 1.0, -1.0), np.eye(m))).all()

    f = kernels.forward(X, W, a, n_threads=n_threads)
    assert f.shape == (n,) and f.dtype == X.dtype
    exact_f = reference.forward(*(array.astype(np.longdouble) for array in (X, W, a)))
    allowed = bounds.output_error(X, W, a, exact.H, "direct", u)
    allowed += bounds.output_error(X, W, a, exact.H, "direct", bounds.ORACLE)
    assert (np.abs(f - exact_f) <= allowed).all()

    stepped = kernels.step(X, y, W, a, 0.5, n_threads=n_threads)
    assert stepped.dtype == X.dtype
    assert (np.abs(stepped - exact.W) <= error.bound).all()
    gradient = kernels.gradient(X, y, W, a, n_threads=n_threads)
    assert gradient.shape == W.shape and gradient.dtype == X.dtype
    assert stepped.tobytes() == (W - X.dtype.type(0.5) * gradient).tobytes()

    groups = (np.arange(n) * 7 // 5) % 4
    counts = kernels.active_counts(X, W, groups, n_threads=n_threads)
    assert counts.dtype == np.int64
    expected = [[A[groups == g, j].sum() for g in range(groups.max() + 1)] for j in range(m)]
    assert counts.tolist() == expected
