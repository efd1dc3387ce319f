"""Section 4.2: how alignment and almost-orthogonality of J give the whole network a margin."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, setting
from rfa.setting import CLUSTER_LABELS, CLUSTER_NAMES
from rfa.theory.comparison import (
    Comparison,
    Constant,
    at_least,
    at_most,
    by_cluster,
    by_neuron,
    by_sample,
    by_step,
    inverse,
    of_lower_bound,
)
from rfa.theory.conditions import NO_NEURONS
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import E2, Evidence, Uses
from rfa.theory.hypotheses import GOOD_RUN, hypothesis
from rfa.theory.statement import statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

# float64 sums of a few hundred terms, relative to the bound: for inequalities without slack
ROUNDING = 1e-9


# ------------------------------------------------------------------ (16)


def _last_looked_at(e: Evidence, k: Terms) -> int:
    """The step at which a statement about T is checked, or the last step of a shorter run."""
    return min(k.t, e.steps)


@statement(
    "equation_16",
    "(16)",
    "(16)",
    "|f(x_i; W)| <= |W|_2 |x_i|",
    unit="|W|_2 |x_i|",
    uses=lambda e, k: Uses(clusters=False, weights=[_last_looked_at(e, k)]),
)
def _equation_16(e: Evidence, k: Terms) -> Comparison:
    t = _last_looked_at(e, k)
    f = e.output(t)
    limit = float(np.linalg.norm(e.a)) * spectral_norm(e.W(t)) * e.norm_x
    return at_most(
        np.divide(np.abs(f), limit, out=np.where(f == 0, 0.0, np.inf), where=limit > 0),
        1.0,
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


EQUATION_16 = (_equation_16,)


def equation_16(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
    return checks_of(EQUATION_16, run, delta, C0, rng)


# ------------------------------------------------------------------ Lemma 4.6


class Subnetwork(NamedTuple):
    """What Lemma 4.6 says of the neurons of J at T: b, the margin of f^J, and size(Jc)/m."""

    b: float
    missing: float


@once
def _subnetwork(e: Evidence, k: Terms) -> Subnetwork:
    margin = CLUSTER_LABELS[e.cluster] * e.dense(e.T, k.C0).f_J
    return Subnetwork(float(margin.min()), float((~e.J(k.C0).any(axis=1)).mean()))


@hypothesis("margin_of_J_below_1")
def _margin_of_J_below_1(e: Evidence, k: Terms) -> list[str]:
    b = _subnetwork(e, k).b
    return [] if 0 < b < 1 else [f"b = {b:.3g} is not in (0, 1)"]


@hypothesis("samples_at_most_2")
def _samples_at_most_2(e: Evidence, k: Terms) -> list[str]:
    longest = e.norm_x.max()
    return [f"norm(x) = {longest:.3g} is above 2"] if longest > 2 else []


@hypothesis("few_outside_J")
def _few_outside_J(e: Evidence, k: Terms) -> list[str]:
    b, missing = _subnetwork(e, k)
    return (
        [f"size(Jc)/m = {missing:.3g} is above b^2/16 = {b * b / 16:.3g}"]
        if missing > b * b / 16
        else []
    )


def _weights_at_T(e: Evidence, k: Terms) -> Uses:
    return Uses(last=e.T, steps=[0], weights=[e.T])


@statement(
    "lemma_4_6",
    "Lemma 4.6",
    "8",
    "y~_i f(x_i; W^T) >= 1/(2 Cf)",
    uses=_weights_at_T,
    needs=("second_layer",),
    premises=("margin_of_J_below_1", "norm_at_most_1", "samples_at_most_2", "few_outside_J"),
)
def _lemma_4_6(e: Evidence, k: Terms) -> Comparison:
    b, missing = _subnetwork(e, k)
    norm = float(np.linalg.norm(e.W(e.T)))
    return at_least(
        CLUSTER_LABELS[e.cluster] * e.dense(e.T, k.C0).f,
        b / 2,
        axes=by_sample(e),
        details={"b": b, "size_Jc_over_m": missing, "norm": norm},
        constant=Constant("Cf", inverse(b), inverse(b)),
    )


@statement(
    "lemma_4_6_norm",
    "Lemma 4.6",
    "8",
    "|f^Jc(x_i; W^T)| <= sqrt(|Jc|/m) |W_Jc|_F |x_i|",
    unit="the right side",
    uses=_weights_at_T,
)
def _lemma_4_6_norm(e: Evidence, k: Terms) -> Comparison:
    f, f_J = e.dense(e.T, k.C0)
    rest, W, outside = np.abs(f - f_J), e.W(e.T), ~e.J(k.C0).any(axis=1)
    limit = float(np.linalg.norm(e.a[outside])) * float(np.linalg.norm(W[outside])) * e.norm_x
    # f^Jc is a difference of two rounded sums of m products
    rounding = (e.m + e.d) * 2.0**-52 * float(np.linalg.norm(W)) * e.norm_x
    tolerance = np.divide(rounding, limit, out=np.zeros_like(limit), where=limit > 0)
    return at_most(
        # where the limit is 0 (or NaN), only a rest of 0 holds
        np.divide(rest, limit, out=np.where(rest == 0, 0.0, np.inf), where=limit > 0),
        1.0,
        axes=by_sample(e),
        tolerance=float(tolerance.max()),
    )


LEMMA_4_6 = (_lemma_4_6, _lemma_4_6_norm)


def lemma_4_6(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
    'size(Jc)/m = 0.06 is above b^2/16 = 9e-07'
    """
    return checks_of(LEMMA_4_6, run, delta, C0, rng)


# ------------------------------------------------------------------ Lemma 4.9

NORM = (*GOOD_RUN, "need_lemma_a_1", "need_lemma_4_9")
MARGIN_NEEDS = ("need_eq_20", "need_lemma_4_9_margins")
ASSUMED = (*NORM, "neurons_of_each_cluster", *MARGIN_NEEDS)
PREMISES = ("lemma_4_2", "condition_4_7", "condition_4_8")


def _followed_to_T(e: Evidence, k: Terms) -> Uses:
    return Uses(horizon=True, last=e.T, steps=range(e.T + 1), weights=[e.T])


def _margin_at_means(e: Evidence, k: Terms) -> float:
    """The right side of (20)."""
    return e.r * E2 * k.shrink / 2048


def _C3(e: Evidence, k: Terms, margin: float) -> Constant:
    """C3 with an empirical value of 1/margin."""
    return Constant("C3", inverse(_margin_at_means(e, k) / 2), inverse(margin), 4096 / E2)


@statement(
    "lemma_4_9_norm",
    "Lemma 4.9",
    "11",
    "|W^T|_F <= 1",
    uses=_followed_to_T,
    needs=NORM,
)
def _lemma_4_9_norm(e: Evidence, k: Terms) -> Comparison:
    return at_most(float(np.linalg.norm(e.W(k.t))), 1.0)


@statement(
    "lemma_4_9_clean",
    "Lemma 4.9",
    "11",
    "y_i f^J(x_i; W^T) >= 1/C3, i clean",
    uses=_followed_to_T,
    needs=ASSUMED,
    premises=PREMISES,
)
def _lemma_4_9_clean(e: Evidence, k: Terms) -> Comparison:
    data = e.run.data
    margin = (data.y * e.dense(e.T, k.C0).f_J)[~data.noisy]
    return at_least(
        margin,
        _margin_at_means(e, k) / 2,
        axes={name: labels[~data.noisy] for name, labels in by_sample(e).items()},
        empty="no sample is clean",
        constant=_C3(e, k, float(margin.min(initial=math.inf))),
    )


@statement(
    "lemma_4_9_noisy",
    "Lemma 4.9",
    "11",
    "y_i f^J(x_i; W^T) <= -1/C3, i noisy",
    uses=_followed_to_T,
    needs=ASSUMED,
    premises=PREMISES,
)
def _lemma_4_9_noisy(e: Evidence, k: Terms) -> Comparison:
    data = e.run.data
    margin = (data.y * e.dense(e.T, k.C0).f_J)[data.noisy]
    return at_most(
        margin,
        -_margin_at_means(e, k) / 2,
        axes={name: labels[data.noisy] for name, labels in by_sample(e).items()},
        empty="no sample is noisy",
        constant=_C3(e, k, float(-margin.max(initial=-math.inf))),
    )


@statement(
    "lemma_4_9_output",
    "Lemma 4.9",
    "11",
    "|f(x_i; W^t)| <= 2, t = 0..T-1",
    uses=_followed_to_T,
    needs=NORM,
    inner=True,
)
def _lemma_4_9_output(e: Evidence, k: Terms) -> Comparison:
    steps = range(e.T)
    # -inf for an empty group
    largest = np.maximum(-e.rows("margin_low", steps), e.rows("margin_high", steps))
    names = np.repeat(np.array(CLUSTER_NAMES), 2)
    return at_most(largest, 2.0, axes=by_step(steps, cluster=names))


def least_slopes(e: Evidence, steps: range) -> NDArray[np.float64]:
    """The smallest g_i of each group (steps, groups); 1 for an empty group."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(e.rows("margin_high", steps)))  # -inf for an empty group


@statement(
    "equation_17",
    "(17)",
    "(17)",
    "g_i^t >= e^-2/2, t = 0..T-1",
    uses=_followed_to_T,
    needs=NORM,
    inner=True,
)
def _equation_17(e: Evidence, k: Terms) -> Comparison:
    g = least_slopes(e, range(e.T))
    return at_least(
        g,
        E2 / 2,
        axes={"step": np.broadcast_to(np.arange(e.T)[:, None], g.shape)},
        constant=of_lower_bound("e^-2/2", E2 / 2, g),
    )


@statement(
    "equation_18",
    "(18)",
    "(18)",
    "<w_j^(t+1) - w_j^t, mu> >= alpha |a_j| e^-2/64",
    unit="alpha |a_j|",
    uses=_followed_to_T,
    needs=ASSUMED,
    premises=("condition_4_7",),
    inner=True,
)
def _equation_18(e: Evidence, k: Terms) -> Comparison:
    j, c = e.pairs(k.C0)
    growth = np.diff(e.projection(range(1, e.T + 1))[:, j, c], axis=0)
    growth = growth / (e.alpha * np.abs(e.a[j]))
    return at_least(
        growth,
        E2 / 64,
        axes=by_step(range(1, e.T), **by_neuron(e, k)),
        empty=NO_NEURONS,
        constant=of_lower_bound("e^-2/64", E2 / 64, growth),
    )


@statement(
    "equation_20",
    "(20)",
    "(20)",
    "|f^J(mu; W^T)| >= e^-2 (1 - 1/C0)^2/2048",
    uses=_followed_to_T,
    needs=ASSUMED,
    premises=PREMISES,
    inner=True,
)
def _equation_20(e: Evidence, k: Terms) -> Comparison:
    a_J = np.where(e.J(k.C0).any(axis=1), e.a, 0.0)
    f_means = CLUSTER_LABELS * (np.maximum(e.M @ e.W(e.T).T, 0) @ a_J)
    bound = _margin_at_means(e, k)
    return at_least(
        f_means,
        bound,
        axes=by_cluster(),
        constant=Constant("right side of (20)", bound, float(f_means.min()), E2 / 2048),
    )


LEMMA_4_9 = (
    _lemma_4_9_norm,
    _lemma_4_9_clean,
    _lemma_4_9_noisy,
    _lemma_4_9_output,
    _equation_17,
    _equation_18,
    _equation_20,
)


def lemma_4_9(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
        ``lemma_4_9_norm``, ``_clean``, ``_noisy``, ``_output``, ``equation_17``, ``equation_18``,
        ``equation_20``.

    Notes
    -----
    With C3 = 4096 e^2/(1 - 1/C0)^2 the statements are

    - norm_F(W_T) <= 1,
    - y_i f^J(x_i; W_T) >= 1/C3 on clean samples,
    - y_i f^J(x_i; W_T) <= -1/C3 on noisy samples.

    Steps of the proof:

    - Before (17): abs(f(x_i; W_t)) <= 2 for t < T (``lemma_4_9_output``).
    - (17): g_i >= e^-2/2 for t < T.
    - (18): <w_j^(t+1) - w_j^t, mu> >= alpha abs(a_j) e^-2/64 for t = 1, ..., T-1.
    - (20): abs(f^J(mu; W_T)) >= e^-2 (1 - 1/C0)^2/2048 at the means.

    If K = T-1 was rounded down, the right sides of (20) and of the margins are multiplied by
    r = 4 alpha K.

    O(n m d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_9(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True, True, True, True]
    """
    return checks_of(LEMMA_4_9, run, delta, C0, rng)
