"""Lemma 4.10: one step amplifies random features; with the inner steps of its proof."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds
from rfa.setting import CLUSTER_LABELS, CLUSTER_NAMES, OPPOSITE
from rfa.theory.comparison import absent, at_least, at_most
from rfa.theory.evidence import Evidence, evidence
from rfa.theory.initialization import unmet_on_a_good_run
from rfa.theory.report import Check
from rfa.training.run import Run

Floats = NDArray[np.float64]

# Reals of W of a piece of neurons; ten arrays of that size are held at once.
PIECE_REALS = 2**18


class FirstStep(NamedTuple):
    """What (24), (26) and (28) say of the first step, a number for each neuron.

    zeta1, zeta2: lengths of these parts of the step, without the factor alpha a_j. rounding: the
    largest difference of an entry of the step that rounding explains. difference: the largest
    between the step that was taken and the sum of its parts, in units of what rounding explains.
    """

    zeta1: Floats
    zeta2: Floats
    difference: Floats
    rounding: Floats


def first_step(e: Evidence) -> FirstStep:
    """The decomposition (28) of W_1 - W_0, evaluated densely at t = 0. O(n m d).

    With A = 1[<w_j^0, x_i> > 0] and g_i = 1/(1 + exp(y_i f(x_i; W_0))): signal (1/2n) sum_i y_i
    A_ij mu_{c_i}, zeta1 (1/n) sum_i g_i y_i A_ij (x_i - mu_{c_i}), zeta2 (1/n) sum_i (g_i - 1/2)
    y_i A_ij mu_{c_i}. Neurons are taken in pieces, so that no array is as large as W.
    """
    u = float(np.finfo(e.run.data.X.dtype).eps) / 2
    # sums of n products whose weights g carry the rounding of f (Lipschitz 1/4) and their own
    f_error = (e.d + e.m + 8) * u * float(np.linalg.norm(e.W(0))) * float(e.norm_x.max())
    relative = (e.n + 16) * u + f_error
    size = max(1, PIECE_REALS // e.d)
    pieces = [_of_neurons(e, slice(k, k + size), u, relative) for k in range(0, e.m, size)]
    return FirstStep(*(np.concatenate(part) for part in zip(*pieces, strict=True)))


def _of_neurons(e: Evidence, some: slice, u: float, relative: float) -> FirstStep:
    """The first step of some neurons; the rounding of a sum of n products is relative to them."""
    data, W, a = e.run.data, e.W(0, some), e.a[some, None]
    m = len(W)
    signal, zeta2 = np.zeros((m, 4)), np.zeros((m, 4))
    zeta1, doubtful, size = np.zeros((m, e.d)), np.zeros((m, e.d)), np.zeros((m, e.d))
    norm_w = np.linalg.norm(W, axis=1)
    f = e.output(0)
    for block in e.blocks(max(e.m, e.d)):
        X, y, c = data.X[block].astype(np.float64, copy=False), data.y[block], e.cluster[block]
        with np.errstate(over="ignore"):
            g = 1 / (1 + np.exp(y * f[block]))
        H = X @ W.T
        A = (H > 0).astype(np.float64)
        member = (c[:, None] == np.arange(4)).astype(np.float64)
        signal += A.T @ (0.5 * y[:, None] * member)
        zeta2 += A.T @ (((g - 0.5) * y)[:, None] * member)
        zeta1 += A.T @ ((g * y)[:, None] * (X - e.M[c]))
        # a sign within the rounding of the inner product may have been decided either way
        error = (e.d + 1) * 2 * u * e.norm_x[block][:, None] * norm_w
        unsure = (np.abs(H) <= error) & (error > 0)
        doubtful += unsure.T @ np.abs(X)
        size += A.T @ np.abs(X)
    scale = e.alpha * np.abs(a) / e.n
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(scale > 0, np.abs(W) * 4 * u / (scale * e.n), 0.0)
        taken = (e.W(1, some) - W) / (e.alpha * a)  # NaN if a_j is 0
    rounding = (relative * size + doubtful) / e.n + own + 4 * u
    zeta1, zeta2 = zeta1 / e.n, zeta2 @ e.M / e.n
    difference = np.abs(taken - (signal @ e.M / e.n + zeta1 + zeta2))
    return FirstStep(
        np.linalg.norm(zeta1, axis=1),
        np.linalg.norm(zeta2, axis=1),
        (difference / rounding).max(axis=1),
        rounding.max(axis=1),
    )


def lemma_4_10(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.10: after one step all neurons of J are aligned; and the proof's inner steps.

    Parameters
    ----------
    run : Run
        A run of at least one step on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_10_alignment``, ``lemma_4_10_correlation``, ``equation_23``, ``equation_24``,
        ``equation_26``, ``equation_28``, ``equation_31``, ``equation_32``, ``equation_34_own``,
        ``equation_34_opposite``. The details of the correlation have the median amplification
        cos_1/cos_0.

    Notes
    -----
    The values of (24), (26) and (32) are in units of alpha abs(a_j), that of (31) of n. (28) is an
    identity: its value is the largest difference of both sides in units of the rounding that it
    allows. zeta2 is taken with the signs of mu2 that make (28) true, which the paper's definition
    has swapped. O(n m d).

    Examples
    --------
    >>> import rfa
    >>> checks = lemma_4_10(rfa.preset("assumptions").run(rng=0))
    >>> [check.id for check in checks if not check.holds]
    []
    """
    e, k = evidence(run, delta, C0, rng)
    ids = (
        "lemma_4_10_alignment",
        "lemma_4_10_correlation",
        "equation_23",
        "equation_24",
        "equation_26",
        "equation_28",
        "equation_31",
        "equation_32",
        "equation_34_own",
        "equation_34_opposite",
    )
    why = e.lacks(width=True, omega=True, last=1, steps=[0, 1], weights=[1])
    if why:
        return absent(ids, why)
    unmet = unmet_on_a_good_run(e, k) + e.lonely(k.C0)
    if not k.C1 >= 2:
        unmet.append(f"C1 = {k.C1:.3g} is below 2")
    if e.K < 1:
        # (33) uses Lemma A.1, whose step 1 is beyond 1/(4 alpha)
        unmet.append("alpha is above 1/4")
    j, c = e.pairs(k.C0)
    names = np.array(CLUSTER_NAMES)
    pairs: dict[str, Any] = {
        "axes": {"neuron": j, "cluster": names[c]},
        "empty": "J is empty",
        "unmet": unmet,
    }
    C2: dict[str, Any] = {
        "constant": "C2",
        "constant_used": k.C2,
        "literal_constant": k.literal_C2,
    }

    def empirical(smallest: float, factor: float) -> float:
        return 1 / (factor * smallest) if smallest > 0 else math.inf

    aligned = e.aligned([1], k.C0)
    before, after = (row[j, c] for row in e.cosine([0, 1]))
    growth = np.diff(e.projection([0, 1])[:, j, c], axis=0)[0] / (e.alpha * np.abs(e.a[j]))
    active = e.rows("active", [0])[0]
    votes = (active[:, 0::2] - active[:, 1::2]) * CLUSTER_LABELS  # N_mu(j) of (27)
    edge = np.sign(e.a[j]) * (votes[j, c] - votes[j, OPPOSITE[c]]) / e.n
    own, against = e.reach(1, k.C0)
    step = first_step(e)
    moving = np.flatnonzero(e.a)
    neurons: dict[str, Any] = {"axes": {"neuron": moving}, "unmet": unmet}
    rounding = float(step.rounding.max())
    size = step.zeta1[moving]
    output = np.abs(e.output(0))
    amplification = float(np.median(after / before)) if len(j) else math.nan
    return (
        at_least(
            ids[0],
            aligned.mean(axis=1) if len(j) else np.empty(0),
            1.0,
            k,
            unmet=unmet,
            empty="J is empty",
        ),
        at_least(
            ids[1],
            after,
            1 / (16 * k.C2),
            k,
            **pairs,
            details={"amplification": amplification},
            **C2,
            empirical_constant=empirical(float(after.min(initial=math.inf)), 16),
        ),
        at_most(ids[2], output, 3 * e.start, k, axes={"sample": np.arange(e.n)}, unmet=unmet),
        at_most(
            ids[3],
            size,
            k.C1 * e.spread,
            k,
            tolerance=rounding,
            **neurons,
            constant="C1",
            constant_used=k.C1,
            empirical_constant=_ratio(size, e.spread, rounding),
        ),
        at_most(
            ids[4],
            step.zeta2[moving],
            e.start,
            k,
            tolerance=rounding,
            **neurons,
        ),
        at_most(ids[5], step.difference[moving], 1.0, k, **neurons),
        at_least(
            ids[6],
            edge,
            1 / (2 * k.C2),
            k,
            **pairs,
            **C2,
            empirical_constant=empirical(float(edge.min(initial=math.inf)), 2),
        ),
        at_least(
            ids[7],
            growth,
            1 / (8 * k.C2),
            k,
            **pairs,
            **C2,
            empirical_constant=empirical(float(growth.min(initial=math.inf)), 8),
        ),
        at_least(
            ids[8],
            own,
            1 / (32 * k.C2),
            k,
            **pairs,
            **C2,
            empirical_constant=empirical(float(own.min(initial=math.inf)), 32),
        ),
        at_most(
            ids[9],
            against,
            -1 / (32 * k.C2),
            k,
            **pairs,
            **C2,
            empirical_constant=empirical(float(-against.max(initial=-math.inf)), 32),
        ),
    )


def _ratio(values: Floats, unit: float, rounding: float) -> float:
    """The largest value in a unit that may be 0; up to its rounding a value is then 0 too."""
    largest = float(values.max(initial=0.0))
    return largest / unit if unit > 0 else (math.inf if largest > rounding else 0.0)
