"""Sections 4.2 and 4.3: alignment, almost-orthogonality and the margin they give."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds
from rfa.setting import CLUSTER_LABELS, CLUSTER_NAMES, OPPOSITE, OTHER
from rfa.theory.comparison import absent, at_least, at_most, below, grid
from rfa.theory.evidence import E2, Constants, Evidence, evidence
from rfa.theory.initialization import COUNTS, unmet_on_a_good_run
from rfa.theory.report import Check
from rfa.training.run import Run

# float64 sums of a few hundred terms, relative to the bound: for inequalities without slack
ROUNDING = 1e-9

NO_NEURONS = "J is empty"


def lemma_A_1(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma A.1: weights grow at most linearly.

    Parameters
    ----------
    run : Run
        A run of at least one step.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_A_1_neurons`` and ``lemma_A_1_norm``, over the recorded steps 1, ..., T.

    Notes
    -----
    norm(w_j^t) <= 2 abs(a_j) alpha t and norm_F(W_t) <= 2 alpha t; the values are the ratios of
    both sides. Needs omega sqrt(md) <= alpha/3.

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_A_1(rfa.preset("theorem").run(rng=0))]
    [True, True]
    """
    e, k = evidence(run, delta, C0, rng)
    ids = ("lemma_A_1_neurons", "lemma_A_1_norm")
    steps = [t for t in e.recorded if 1 <= t <= e.T]
    why = e.lacks(clusters=False, last=1) or ("" if steps else "no step from 1 to T was recorded")
    if why:
        return absent(ids, why)
    unmet = unmet_on_a_good_run(e, k)
    if e.omega is not None and e.start > e.alpha / 3:
        unmet.append(f"omega sqrt(md) = {e.start:.3g} is above alpha/3")
    norm, times = e.norms(steps), np.array(steps)[:, None]
    moving = np.flatnonzero(e.a)
    relative = norm[:, moving] / (2 * np.abs(e.a[moving]) * e.alpha * times)
    whole = np.linalg.norm(norm, axis=1) / (2 * e.alpha * times[:, 0])
    return (
        at_most(
            ids[0],
            relative,
            1.0,
            k,
            axes=grid(steps, neuron=moving),
            unmet=unmet,
            empty="every a_j is 0",
        ),
        at_most(ids[1], whole, 1.0, k, axes={"step": times[:, 0]}, unmet=unmet),
    )


def equation_16(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """(16): the output is bounded by the spectral norm of the weights; true of every network.

    Parameters
    ----------
    run : Run
        Any run.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``equation_16`` at T, or at the last step of a shorter run.

    Notes
    -----
    abs(f(x_i; W)) <= norm(a) norm_2(W) norm(x_i), with norm(a) = 1 in the paper; the value is the
    largest ratio, f being evaluated at every sample. O(n m d).

    Examples
    --------
    >>> import rfa
    >>> equation_16(rfa.preset("theorem").run(rng=0))[0].holds
    True
    """
    e, k = evidence(run, delta, C0, rng)
    t = min(e.T, e.steps)
    why = e.lacks(clusters=False, weights=[t])
    return absent(("equation_16",), why) if why else (output_at(e, k, t),)


def output_at(e: Evidence, k: Constants, t: int) -> Check:
    """(16) on the network at t = 0, T or the last step."""
    f = e.output(t)
    limit = float(np.linalg.norm(e.a)) * spectral_norm(e.W(t)) * e.norm_x
    ratio = np.divide(np.abs(f), limit, out=np.where(f == 0, 0.0, np.inf), where=limit > 0)
    return at_most(
        "equation_16",
        ratio,
        1.0,
        k,
        axes={"sample": np.arange(e.n), "step": np.full(e.n, t)},
        tolerance=ROUNDING,
    )


def spectral_norm(W: NDArray[np.float64]) -> float:
    """norm_2(W), from the smaller of W W^T and W^T W."""
    scale = float(np.abs(W).max())
    if not 0 < scale < math.inf:
        return scale
    unit = W / scale  # the squares of a diverged run's weights would overflow
    gram = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit
    return scale * math.sqrt(max(0.0, float(np.linalg.eigvalsh(gram)[-1])))


def lemma_4_6(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.6: a large subnetwork with a margin gives the whole network a margin.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_6``, and ``lemma_4_6_norm``, which is true of every network.

    Notes
    -----
    With b = min_i y~_i f^J(x_i; W_T) = 1/Cf: y~_i f(x_i; W_T) >= b/2 if 0 < b < 1, size(Jc)/m <=
    b^2/16, norm_F(W_T) <= 1 and norm(x) <= 2. Always abs f^Jc(x) <= norm(a_Jc) norm_F(W_Jc)
    norm(x); norm(a_Jc) = sqrt(size(Jc)/m) in the paper. O(n m d).

    Examples
    --------
    >>> import rfa
    >>> lemma_4_6(rfa.preset("theorem").run(rng=0))[0].reason.split("; ")[-1]
    'size(Jc)/m = 0.06 is above b^2/16'
    """
    e, k = evidence(run, delta, C0, rng)
    ids = ("lemma_4_6", "lemma_4_6_norm")
    why = e.lacks(last=e.T, steps=[0], weights=[e.T])
    if why:
        return absent(ids, why)
    dense, inside = e.dense(e.T, k.C0), e.J(k.C0).any(axis=1)
    clean_label = CLUSTER_LABELS[e.cluster]
    b = float((clean_label * dense.f_J).min())
    missing = float((~inside).mean())
    W = e.W(e.T)
    norm = float(np.linalg.norm(W))
    unmet = [] if e.paper_a else ["a_j is not +-1/sqrt(m), half of each"]
    if not 0 < b < 1:
        unmet.append(f"b = {b:.3g} is not in (0, 1)")
    if norm > 1:
        unmet.append(f"norm_F(W_T) = {norm:.3g} is above 1")
    if e.norm_x.max() > 2:
        unmet.append(f"norm(x) = {e.norm_x.max():.3g} is above 2")
    if missing > b * b / 16:
        unmet.append(f"size(Jc)/m = {missing:.3g} is above b^2/16")
    limit = float(np.linalg.norm(e.a[~inside])) * float(np.linalg.norm(W[~inside])) * e.norm_x
    rest = np.abs(dense.f - dense.f_J)
    # against a limit of 0 (or NaN) nothing but 0 holds
    ratio = np.divide(rest, limit, out=np.where(rest == 0, 0.0, np.inf), where=limit > 0)
    # f^Jc is a difference of two rounded sums of m products
    rounding = (e.m + e.d) * 2.0**-52 * float(np.linalg.norm(W)) * e.norm_x
    tolerance = float(np.divide(rounding, limit, out=np.zeros_like(limit), where=limit > 0).max())
    axes = {"sample": np.arange(e.n), "cluster": np.array(CLUSTER_NAMES)[e.cluster]}
    return (
        at_least(
            ids[0],
            clean_label * dense.f,
            b / 2,
            k,
            axes=axes,
            unmet=unmet,
            details={"b": b, "size_Jc_over_m": missing, "norm": norm},
            constant="Cf",
            constant_used=1 / b if b > 0 else math.inf,
            empirical_constant=1 / b if b > 0 else math.inf,
        ),
        at_most(ids[1], ratio, 1.0, k, axes=axes, tolerance=tolerance),
    )


def condition_4_7(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Condition 4.7, neuron alignment, at t = 1, ..., T-1.

    Parameters
    ----------
    run : Run
        A run of T-1 steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``condition_4_7``; the value is the smallest share of aligned neurons of J. The details have
        the shares, the first time at which all are aligned, and the margins: the smallest
        <w_j, x>/norm(w_j) on ``I_mu`` and -<w_j, x>/norm(w_j) on ``I_-mu``.

    Notes
    -----
    For j in J_mu: all samples of ``I_mu``, clean and noisy, active, and none of ``I_-mu``.

    Examples
    --------
    >>> import rfa
    >>> condition_4_7(rfa.preset("assumptions").run(rng=0))[0].details["first"]
    1
    """
    e, k = evidence(run, delta, C0, rng)
    steps = range(1, e.T)
    why = e.lacks(horizon=True, last=e.T - 1, steps=itertools.chain([0], steps))
    if why:
        return absent(("condition_4_7",), why)
    aligned = e.aligned(steps, k.C0)
    details: dict[str, Any] = {}
    share = np.empty(0)
    if aligned.size:
        share = aligned.mean(axis=1)
        whole = np.flatnonzero(share == 1)
        margins = [e.reach(t, k.C0) for t in steps]
        details = {
            "share": share.tolist(),
            "first": int(steps[whole[0]]) if whole.size else None,
            "margin_own": [float(own.min()) for own, _ in margins],
            "margin_opposite": [float(-against.max()) for _, against in margins],
        }
    return (
        at_least(
            "condition_4_7",
            share,
            1.0,
            k,
            axes={"step": np.array(steps)},
            unmet=e.unmet(k) + e.lonely(k.C0),
            empty=NO_NEURONS,
            details=details,
        ),
    )


def condition_4_8(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Condition 4.8, almost-orthogonality, up to T.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``condition_4_8``; the value is the largest abs<w_j^t, mu_other>/(alpha abs(a_j)).

    Notes
    -----
    At most 3, for j in J and t = 0, ..., T.

    Examples
    --------
    >>> import rfa
    >>> condition_4_8(rfa.preset("theorem").run(rng=0))[0].holds
    True
    """
    e, k = evidence(run, delta, C0, rng)
    steps = range(e.T + 1)
    why = e.lacks(horizon=True, last=e.T, steps=steps)
    if why:
        return absent(("condition_4_8",), why)
    return (_orthogonality("condition_4_8", e, k, steps, e.unmet(k) + e.lonely(k.C0)),)


def _sideways(e: Evidence, steps: range, C0: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """o_t/(alpha abs(a_j)) (steps, pairs), o_t = <w_j^t, mu_other>."""
    j, c = e.pairs(C0)
    return e.projection(steps)[:, j, OTHER[c]] / (e.alpha * np.abs(e.a[j]))


def _orthogonality(name: str, e: Evidence, k: Constants, steps: range, unmet: list[str]) -> Check:
    j, c = e.pairs(k.C0)
    return at_most(
        name,
        np.abs(_sideways(e, steps, k.C0)),
        3.0,
        k,
        axes=grid(steps, neuron=j, cluster=np.array(CLUSTER_NAMES)[c]),
        unmet=unmet,
        empty=NO_NEURONS,
    )


def lemma_4_9(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.9: aligned and almost orthogonal neurons have a margin at T; and its inner steps.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_9_norm``, ``_clean``, ``_noisy``, ``equation_17``, ``equation_18``,
        ``equation_20``.

    Notes
    -----
    norm_F(W_T) <= 1; y_i f^J(x_i; W_T) >= 1/C3 on clean samples and <= -1/C3 on noisy ones, C3 =
    4096 e^2/(1 - 1/C0)^2. Inside: (17) g_i >= e^-2/2 for t < T; (18) <w_j^(t+1) - w_j^t, mu> >=
    alpha abs(a_j) e^-2/64 for t = 1, ..., T-1; (20) f^J at the means. Where K = T-1 was rounded
    down, f^J(mu) >= alpha (K e^-2 (1-1/C0)^2/256 - 3) takes the place of (20), half of it that of
    1/C3. O(n m d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_9(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True, True, True]
    """
    e, k = evidence(run, delta, C0, rng)
    ids = (
        "lemma_4_9_norm",
        "lemma_4_9_clean",
        "lemma_4_9_noisy",
        "equation_17",
        "equation_18",
        "equation_20",
    )
    steps = range(e.T + 1)
    why = e.lacks(horizon=True, last=e.T, steps=steps, weights=[e.T])
    if why:
        return absent(ids, why)
    unmet = unmet_on_a_good_run(e, k) + e.lonely(k.C0) + _sufficient(e, k)
    j, c = e.pairs(k.C0)
    y, noisy = run.data.y, run.data.noisy
    margin = y * e.dense(e.T, k.C0).f_J
    at_means = E2 * k.shrink / 2048
    constant: dict[str, Any] = {"constant": "C3", "literal_constant": 4096 / E2}
    if e.rounded:
        at_means = e.alpha * (e.K * E2 * k.shrink / 256 - 3)
        unmet.append(f"rounded T: 1/(4 alpha) is not an integer, K = {e.K}")
    C3 = 2 / at_means if at_means > 0 else math.inf
    trivial = at_means <= 0
    constant |= {"constant_used": C3}

    def sample_axes(chosen: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        index = np.flatnonzero(chosen)
        return {"sample": index, "cluster": np.array(CLUSTER_NAMES)[e.cluster[index]]}

    def empirical(extreme: float) -> float:
        return 1 / extreme if extreme > 0 else math.inf

    clean_margin, noisy_margin = margin[~noisy], margin[noisy]
    growth = np.diff(e.projection(range(1, e.T + 1))[:, j, c], axis=0)
    growth = growth / (e.alpha * np.abs(e.a[j]))
    highest = e.rows("margin_high", range(e.T))
    with np.errstate(over="ignore"):
        weights = 1 / (1 + np.exp(highest))  # 1 for an empty group, whose highest is -inf
    a_J = np.where(e.J(k.C0).any(axis=1), e.a, 0.0)
    f_means = CLUSTER_LABELS * (np.maximum(e.M @ e.W(e.T).T, 0) @ a_J)
    rows = np.array(range(e.T))[:, None]
    no_neurons = {"empty": NO_NEURONS}
    pair_axes = {"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]}
    return (
        at_most(ids[0], float(np.linalg.norm(e.W(e.T))), 1.0, k, unmet=unmet),
        at_least(
            ids[1],
            clean_margin,
            at_means / 2,
            k,
            axes=sample_axes(~noisy),
            unmet=unmet,
            empty="no sample is clean",
            empirical_constant=empirical(float(clean_margin.min(initial=math.inf))),
            **constant,
        ),
        at_most(
            ids[2],
            noisy_margin,
            -at_means / 2,
            k,
            axes=sample_axes(noisy),
            unmet=unmet,
            trivial=trivial,
            empty="no sample is noisy",
            empirical_constant=empirical(float(-noisy_margin.max(initial=-math.inf))),
            **constant,
        ),
        at_least(
            ids[3],
            weights,
            E2 / 2,
            k,
            axes={"step": np.broadcast_to(rows, weights.shape)},
            unmet=unmet,
            constant="e^-2/2",
            constant_used=E2 / 2,
            literal_constant=E2 / 2,
            empirical_constant=float(weights.min()),
        ),
        at_least(
            ids[4],
            growth,
            E2 / 64,
            k,
            axes=grid(range(1, e.T), **pair_axes),
            unmet=unmet,
            **no_neurons,
            constant="e^-2/64",
            constant_used=E2 / 64,
            literal_constant=E2 / 64,
            empirical_constant=float(growth.min(initial=math.inf)),
        ),
        at_least(
            ids[5],
            f_means,
            at_means,
            k,
            axes={"cluster": np.array(CLUSTER_NAMES)},
            unmet=unmet,
            constant="right side of (20)",
            constant_used=at_means,
            literal_constant=E2 / 2048,
            empirical_constant=float(f_means.min()),
        ),
    )


def _sufficient(e: Evidence, k: Constants) -> list[str]:
    """What Lemma 4.9 assumes and does not hold: 4.2, 4.7 at 1..T-1, 4.8 up to T."""
    unmet = []
    if (e.J(k.C0).sum(axis=0) < e.m / 4 * k.shrink - COUNTS * e.m).any():
        unmet.append("Lemma 4.2's counts are too small")
    if not e.aligned(range(1, e.T), k.C0).all():
        unmet.append("Condition 4.7 does not hold at 1..T-1")
    if not (np.abs(_sideways(e, range(e.T + 1), k.C0)) <= 3).all():
        unmet.append("Condition 4.8 does not hold up to T")
    return unmet


def lemma_4_11(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.11: alignment and almost-orthogonality persist until T-1; and its inner steps.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_11_alignment``, ``lemma_4_11_orthogonality``, ``equation_38``, ``equation_41``,
        ``equation_42``, ``equation_43``. (41) and (42) speak of the neurons and steps with abs(o_t)
        >= alpha abs(a_j), whose number is in their details; without any they are vacuous.

    Notes
    -----
    With o_t = <w_j^t, mu_other>: (38) cos_t >= e^-2/256 for t = 2, ..., T; (41) where o_t >= alpha
    abs(a_j), t = 1, ..., T-1, the neuron is active on all clean samples of +mu_other and on none of
    -mu_other, and the other way round where o_t <= -alpha abs(a_j); (42) there o moves towards 0;
    (43) abs(o_(t+1) - o_t) <= 2 alpha abs(a_j).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_11(rfa.preset("theorem").run(rng=2))]
    [True, True, True, True, True, True]
    """
    e, k = evidence(run, delta, C0, rng)
    ids = (
        "lemma_4_11_alignment",
        "lemma_4_11_orthogonality",
        "equation_38",
        "equation_41",
        "equation_42",
        "equation_43",
    )
    steps = range(e.T + 1)
    why = e.lacks(horizon=True, last=e.T, steps=steps)
    if why:
        return absent(ids, why)
    unmet = unmet_on_a_good_run(e, k) + e.lonely(k.C0)
    j, c = e.pairs(k.C0)
    pair_axes = {"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]}
    share = e.aligned(range(1, e.T), k.C0).mean(axis=1) if len(j) else np.empty(0)
    o = _sideways(e, steps, k.C0)
    change = np.diff(o, axis=0)
    cosine = e.cosine(range(2, e.T + 1))[:, j, c]
    # entries (t, pair), t = 1, ..., T-1
    side = np.sign(o[1:-1]) * (np.abs(o[1:-1]) >= 1)
    step, pair = np.nonzero(side)
    towards = side[step, pair] * change[1:][step, pair]
    plus = np.where(side[step, pair] > 0, OTHER[c[pair]], OPPOSITE[OTHER[c[pair]]])
    active = e.rows("active", range(1, e.T))
    on = active[step, j[pair], 2 * plus] == e.sizes[2 * plus]
    off = active[step, j[pair], 2 * OPPOSITE[plus]] == 0
    triggers = {"neuron": j[pair], "cluster": np.array(CLUSTER_NAMES)[c[pair]], "step": step + 1}
    count = {"triggers": len(step), "of": side.size}
    never = "no neuron of J has abs<w_j, mu_other> >= alpha abs(a_j)"
    return (
        at_least(
            ids[0],
            share,
            1.0,
            k,
            axes={"step": np.arange(1, e.T)},
            unmet=unmet,
            empty=NO_NEURONS,
        ),
        _orthogonality(ids[1], e, k, range(e.T), unmet),
        at_least(
            ids[2],
            cosine,
            E2 / 256,
            k,
            axes=grid(range(2, e.T + 1), **pair_axes),
            unmet=unmet,
            empty=NO_NEURONS,
            constant="e^-2/256",
            constant_used=E2 / 256,
            literal_constant=E2 / 256,
            empirical_constant=float(cosine.min(initial=math.inf)),
        ),
        at_least(
            ids[3],
            (on & off).astype(float),
            1.0,
            k,
            axes=triggers,
            unmet=unmet,
            empty=never,
            details=count,
        ),
        below(ids[4], towards, 0.0, k, axes=triggers, unmet=unmet, empty=never, details=count),
        at_most(
            ids[5],
            np.abs(change),
            2.0,
            k,
            axes=grid(range(e.T), **pair_axes),
            unmet=unmet,
            empty=NO_NEURONS,
        ),
    )
