"""Every statement of the paper by its definition: a line or two of NumPy on a run's dense matrices.

``define(run, delta, C0)`` needs a run of at least T steps with all its snapshots. Written from the
paper, with the constants that theory.check puts in place of those that the paper leaves open.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from dense import AGAINST, E2, LABEL, NAMES, OTHER, Dense, V

# The paper's C0 and C2.
LITERAL_C0 = 4**5 * 1024**2 * math.exp(4)
LITERAL_C2 = 12 * LITERAL_C0 * math.sqrt(2 * math.pi * math.e)

# Texts of the needs of two proofs.
NEEDS_4_2 = ("d >= 32 log(4m/delta)", "m >= 16 C0^2 log(32/delta)")
NEEDS_4_3 = ("C1 >= 2", "d >= log^2(32n/delta)/C1")
NEEDS_4_4 = (*NEEDS_4_3, "<= 1/8", "14400 C0^2 pi e log(64m/delta)", "/n) <= (4 - sqrt 2)/C2")

# Fresh points for the test error: the largest number, and the reals held at once.
FRESH, FRESH_REALS = 20_000, 4_000_000


def itself(extreme):
    """The empirical constant of value >= constant."""
    return extreme


def inverse(factor):
    """The empirical constant of value >= 1/(factor constant), or of value <= that if factor < 0."""
    return lambda extreme: 1 / (factor * extreme) if factor * extreme > 0 else math.inf


def initialisation(it):
    """Lemmas 4.1 and 4.2."""
    m, d, C0 = it.m, it.d, it.C0
    v = (d + 8) * V
    ratio = it.norm[0] / (it.omega * math.sqrt(d))
    ends = {"smallest": (ratio.min(), v * 2), "largest": (ratio.max(), v * 2)}
    neurons = {"neuron": np.arange(m)}
    rest = {"details": ends, "unmet": it.lack("d >= 32 log(4m/delta)")}
    it.say("lemma_4_1_a", "<=", np.abs(ratio - 1), 0.5, 2 * v, axes=neurons, **rest)
    bound = m * (1 - 1 / (2 * C0) - math.sqrt(2 * math.log(4 / it.delta) / m))
    normal = 2 * m * (1 - 0.5 * (1 + math.erf(1 / (2 * C0) / math.sqrt(2))))
    for name, column in (("mu1", 0), ("mu2", 2)):
        count = (np.abs(it.P[0, :, column]) >= it.omega / (2 * C0)).sum()
        details = {"expected": (normal, 1e-12 * m)}
        it.say(f"lemma_4_1_b_{name}", ">=", count, bound, details=details)
    counts = it.J.sum(axis=0)
    sizes = {name: (count, 0) for name, count in zip(NAMES, counts, strict=True)}
    # another test is about the largest C0
    constant = ("C0", C0, LITERAL_C0, None)
    unmet = it.lack(*NEEDS_4_2)
    rest = {"details": sizes, "constant": constant, "unmet": unmet}
    it.say("lemma_4_2", ">=", counts, m / 4 * it.shrink, axes={"cluster": NAMES}, **rest)
    it.say("lemma_4_2_sum", ">=", counts.sum(), m * it.shrink, **rest)


def sampling(it):
    """Lemma 4.3."""
    n, d = it.n, it.d
    mu, other = it.M[it.c], it.M[OTHER[it.c]]
    u, v = (it.X * mu).sum(1), np.abs((it.X * other).sum(1))
    rest = np.linalg.norm(it.X - u[:, None] * mu, axis=1)
    square = ((it.X - mu) ** 2).sum(1)
    shares = np.bincount(it.c, minlength=4) / n
    error, limit, tail = 4 * (d + 8) * V + it.x_error, it.C1 * it.spread, it.tail

    def C1(name, unit):
        """A part; its empirical constant is excess/unit if it depends on the extreme."""
        excess = {"a_own": lambda x: 1 - x, "c": lambda x: max(0.0, x - it.eta)}
        take = excess.get(name, lambda x: x)
        constant = ("C1", it.C1, None, lambda x: take(x) / unit if unit else 0.0)
        return {"constant": constant, "unmet": it.lack(*NEEDS_4_3[: 1 if name in "cd" else 2])}

    axes = {"axes": it.samples()}
    a, b = it.spread, it.spread**2
    it.say("lemma_4_3_a_own", ">=", u, 1 - limit, error, **axes, **C1("a_own", a))
    it.say("lemma_4_3_a_other", "<=", v, limit, error, **axes, **C1("a_other", a))
    # a small difference of squares loses half of its digits
    root = np.minimum(np.sqrt(error), error / np.maximum(rest, 1e-300))
    part = C1("a_orthogonal", a)
    it.say("lemma_4_3_a_orthogonal", "<=", rest, limit, root, **axes, **part)
    it.say("lemma_4_3_b", "<=", square, it.C1 * b, error, **axes, **C1("b", b))
    bound = it.eta + it.C1 * tail
    it.say("lemma_4_3_c", "<=", it.noisy.mean(), bound, V, **C1("c", tail))
    off = np.abs(shares - 0.25)
    axes = {"axes": {"cluster": NAMES}}
    it.say("lemma_4_3_d", "<=", off, it.C1 * tail, V, **axes, **C1("d", tail))


def edge(it):
    """Lemma 4.4, and (31), which counts noisy samples too and only for J."""
    clean = ~it.noisy
    A, unsure, n, C2 = it.A[0], it.unsure[0].sum(axis=0), it.n, it.C2
    on = np.array([A[clean & (it.c == c)].sum(axis=0) for c in range(4)]).T
    j, c = np.nonzero(it.correlated)
    E = (on - on[:, AGAINST])[j, c]
    constant = ("C2", C2, LITERAL_C2, inverse(1 / n))
    axes = {"neuron": j, "cluster": NAMES[c]}
    details = {}
    if len(E) and it.sigma and not unsure[j].any():
        cosine = it.cos[0][j[E.argmin()], c[E.argmin()]]
        expected = (1 - it.eta) / 4 * n * math.erf(cosine / (math.sqrt(2) * it.sigma))
        details = {"expected": (expected, 1e-9 * n)}
    rest = {"axes": axes, "constant": constant, "details": details}
    it.say("lemma_4_4", ">=", E, n / C2, unsure[j], unmet=it.lack(*NEEDS_4_4), **rest)
    votes = np.array([it.y[it.c == c] @ A[it.c == c] for c in range(4)]).T
    value = (np.sign(it.a)[:, None] * (votes - votes[:, AGAINST]))[it.j, it.mu] / n
    constant = ("C2", C2, LITERAL_C2, inverse(2))
    it.votes = ">=", value, 1 / (2 * C2), unsure[it.j] / n + V
    it.votes_constant = constant


def good_run(it):
    """Definition 4.5."""
    names = ["lemma_4_1_a", "lemma_4_1_b_mu1", "lemma_4_1_b_mu2", "lemma_4_2", "lemma_4_2_sum"]
    names += [f"lemma_4_3_{part}" for part in ("a_own", "a_other", "a_orthogonal", *"bcd")]
    failing = [name for name in [*names, "lemma_4_4"] if not it.found[name].holds]
    it.good = {"not a good run": bool(failing)}
    it.good |= it.lack("m >= 16 C0^2 log(32/delta)", "C1 >= 2")
    constant = ("C0", it.C0, LITERAL_C0, None)
    details = {"failing": (failing, None)}
    rest = {"unmet": it.lack(*NEEDS_4_2, *NEEDS_4_4), "details": details, "constant": constant}
    it.say("definition_4_5", "<=", len(failing), 0, **rest)


def clean_parts(it):
    """(6), and (11) with the p of (10), which is that of Gaussian clusters."""
    counts = [((it.c == c) & ~it.noisy).sum() for c in range(4)]
    unmet = it.good | it.lack("<= 1/8")
    it.say("equation_6", ">=", counts, it.n / 8, axes={"cluster": NAMES}, unmet=unmet)
    if it.run.data.distribution.law != "gaussian":
        return
    j, c = np.nonzero(it.correlated)
    with np.errstate(divide="ignore"):
        p = [NormalDist().cdf(x) for x in it.cos[0][j, c] / it.sigma]
    bound = 0.5 + 1 / (3 * it.C0 * math.sqrt(2 * math.pi * math.e))
    # Phi(x + e) - Phi(x) <= phi(1) e/x for a relative e/x of x, and phi(1) < 1
    error = (4 * it.d + 40) * V
    it.say("equation_11", ">=", p, bound, error, axes={"neuron": j, "cluster": NAMES[c]})


# ------------------------------------------------------------------------- the first step


def first_step(it):
    """(28) without alpha a_j, in float64: signal, zeta1, zeta2 (m, d)."""
    A, g, mu = it.A[0].T, it.g[0], it.M[it.c]
    signal = A @ (it.y[:, None] * mu) / (2 * it.n)
    zeta1 = A @ ((g * it.y)[:, None] * (it.X - mu)) / it.n
    zeta2 = A @ (((g - 0.5) * it.y)[:, None] * mu) / it.n
    return signal, zeta1, zeta2


def amplification(it):
    """Lemma 4.10 and its inner steps, but (28) and (31)."""
    C2, j, mu = it.C2, it.j, it.mu
    first = it.good | it.lack("<= alpha/3", "alpha <= 1/4")
    votes = first | it.lack("/n) <= 1/(2 C2)", "eta <= 1/(4 C2)")
    growing = votes | it.lack("<= 1/(16 C2)")
    it.amplified = growing | it.lack("<= 1/(64 C2)")

    def say(name, relation, values, bound, error, factor=None, unmet=first, **rest):
        if factor:
            rest["constant"] = ("C2", C2, LITERAL_C2, inverse(factor))
        it.say(name, relation, values, bound, error, unmet=unmet, **rest)

    rest = {"axes": it.pairs(), "constant": it.votes_constant}
    say("equation_31", *it.votes, unmet=votes, **rest)

    share, error = it.shares([1])
    say("lemma_4_10_alignment", ">=", share, 1, error, unmet=it.amplified)
    after, before = it.cos[1][j, mu], it.cos[0][j, mu]
    v = (it.d + 8) * V
    amplification = float(np.median(after / before)) if len(j) else math.nan
    relative = 10 * v / np.abs(before).min(initial=1.0) ** 2
    say(
        "lemma_4_10_correlation",
        ">=",
        after,
        1 / (16 * C2),
        4 * v,
        16,
        unmet=growing,
        axes=it.pairs(),
        details={"amplification": (amplification, relative)},
    )
    rounding = 8 * (it.n + it.d + it.m) * V * it.norm_x.max() + it.x_error
    _, zeta1, zeta2 = first_step(it)
    moving = np.flatnonzero(it.a)
    axes = {"axes": {"neuron": moving}}
    size1, size2 = (np.linalg.norm(z[moving], axis=1) for z in (zeta1, zeta2))
    samples = {"sample": np.arange(it.n)}
    f_0 = np.abs(it.f[0])
    say("equation_23", "<=", f_0, 3 * it.start, 2 * it.dense_error[0], axes=samples)
    spread = it.spread
    constant = ("C1", it.C1, None, lambda x: x / spread if spread else 0.0)
    limit = it.C1 * spread
    say("equation_24", "<=", size1, limit, rounding, constant=constant, **axes)
    say("equation_26", "<=", size2, it.start, rounding, **axes)
    growth = (it.P[1] - it.P[0])[j, mu] / it.unit
    error = 4 * it.projection_error / it.unit
    say("equation_32", ">=", growth, 1 / (8 * C2), error, 8, growing, axes=it.pairs())
    own, off = it.reach(1)
    e = it.cos_error
    say("equation_34_own", ">=", own, 1 / (32 * C2), e, 32, it.amplified, axes=it.pairs())
    rest = {"unmet": it.amplified, "axes": it.pairs()}
    say("equation_34_opposite", "<=", off, -1 / (32 * C2), e, -32, **rest)


# ------------------------------------------------------------------------- dynamics


def growth(it):
    """Lemma A.1 and its inner steps."""
    t = np.arange(1, it.T + 1)
    v, moving = 4 * (it.d + 8) * V, np.flatnonzero(it.a)
    relative = it.norm[1 : it.T + 1, moving] / (2 * it.alpha * np.abs(it.a[moving]))
    relative /= t[:, None]
    whole = np.sqrt((it.W[1 : it.T + 1] ** 2).sum(axis=(1, 2))) / (2 * it.alpha * t)
    axes = {
        "neuron": np.broadcast_to(moving, relative.shape),
        "step": np.repeat(t, len(moving)),
    }
    unmet = it.good | it.lack("<= alpha/3")
    error = v * relative
    it.say("lemma_A_1_neurons", "<=", relative, 1, error, axes=axes, unmet=unmet)
    it.say("lemma_A_1_norm", "<=", whole, 1, v * whole, axes={"step": t}, unmet=unmet)
    root = math.sqrt(2)
    samples = {"sample": np.arange(it.n)}
    unmet = it.good | it.lack("C1 >= 2")
    it.say("equation_14", "<=", it.norm_x, root, v * it.norm_x, axes=samples, unmet=unmet)
    unit = it.alpha * np.abs(it.a[moving]) * t[:, None]
    moved = np.sqrt(((it.W[1 : it.T + 1] - it.W[0]) ** 2).sum(axis=2))[:, moving] / unit
    it.say(
        "equation_15",
        "<=",
        moved,
        root,
        v * moved,
        axes=axes,
        unmet=unmet,
        constant=("sqrt 2", root, root, itself),
        details={"steps": (list(t), None)},
    )


def always(it, t):
    """(16) at a step; norm(a) is 1 in the paper, and a little less with an odd m."""
    limit = np.linalg.norm(it.a) * np.linalg.svd(it.W[t], compute_uv=False)[0]
    ratio = np.abs(it.f[t]) / (limit * it.norm_x)
    error = 2 * it.dense_error[t] / (limit * it.norm_x) + 10 * it.m * V
    axes = {"sample": np.arange(it.n), "step": np.full(it.n, t)}
    it.say("equation_16", "<=", ratio, 1, error, axes=axes, always=True)


def subnetwork(it):
    """Lemma 4.6; norm(a_Jc) is sqrt(size(Jc)/m) in the paper, and less with an odd m."""
    t, W = it.T, it.W[it.T]
    f_J, out = np.maximum(it.H[t], 0) @ it.a_J, ~it.J.any(axis=1)
    b, share = (it.clean_y * f_J).min(), out.mean()
    norm = np.linalg.norm(W)
    premises = {
        "b = ": not 0 < b < 1,
        "norm_F(W_T) = ": norm > 1,
        "norm(x) = ": it.norm_x.max() > 2,
        "size(Jc)/m = ": share > b**2 / 16,
    }
    e = 2 * it.dense_error[t]
    Cf = 1 / b if b > 0 else math.inf
    it.say(
        "lemma_4_6",
        ">=",
        it.clean_y * it.f[t],
        b / 2,
        e,
        axes=it.samples(),
        always=True,
        unmet={"a_j is not": not it.paper_a},
        premises=premises,
        constant=("Cf", Cf, None, lambda _: Cf),
        details={"b": (b, e), "size_Jc_over_m": (share, V), "norm": (norm, 1e-12)},
    )
    rest = np.abs(np.maximum(it.H[t][:, out], 0) @ it.a[out])
    limit = np.linalg.norm(it.a[out]) * np.linalg.norm(W[out]) * it.norm_x
    ratio = np.divide(rest, limit, out=np.zeros(it.n), where=limit > 0)
    error = np.divide(e, limit, out=np.zeros(it.n), where=limit > 0)
    it.say("lemma_4_6_norm", "<=", ratio, 1, error, axes=it.samples(), always=True)


def conditions(it):
    """Conditions 4.7 and 4.8, also in the form that they have in Lemma 4.11."""
    steps = range(1, it.T)
    share, error = it.shares(steps)
    details = {}
    if len(it.j):
        reach = [it.reach(t) for t in steps]
        details = {
            "share": (share, error.max()),
            "margin_own": ([own.min() for own, _ in reach], it.cos_error),
            "margin_opposite": ([-off.max() for _, off in reach], it.cos_error),
        }
        if not error.any():
            first = next((t for t, x in zip(steps, share, strict=True) if x == 1), None)
            details["first"] = (first, None)
    axes = {"step": np.array(steps)[: len(share)]}
    rest = {"details": details, "claims": False}
    it.say("condition_4_7", ">=", share, 1, error, axes=axes, **rest)
    it.kept = it.amplified | it.lack(
        "/n)) <= e^-2/128",
        "2 C1 sigma sqrt(d) <= e^-2/128",
        "C > 512 C1 e^2",
        "C1/C < 1/(2 sqrt C)",
    )
    it.say("lemma_4_11_alignment", ">=", share, 1, error, axes=axes, unmet=it.kept)
    it.o = it.P[:, it.j, OTHER[it.mu]] / it.unit
    it.o_error = 4 * it.projection_error / it.unit.min(initial=1.0)
    for name, end, unmet in (
        ("condition_4_8", it.T, {}),
        ("lemma_4_11_orthogonality", it.T - 1, it.kept),
    ):
        values, axes = np.abs(it.o[: end + 1]), it.pairs(range(end + 1))
        later = (values[1:].max(initial=0), it.o_error.max())
        rest = {"claims": name == "lemma_4_11_orthogonality", "details": {"from_step_1": later}}
        it.say(name, "<=", values, 3, it.o_error, axes=axes, unmet=unmet, **rest)
    it.few = bool((it.J.sum(axis=0) < it.m / 4 * it.shrink).any())
    it.unaligned = bool((share < 1).any())
    it.astray = bool((np.abs(it.o[: it.T + 1]) > 3).any())


def margin(it):
    """Lemma 4.9 and its inner steps; it.few, unaligned and astray are what it assumes."""
    T, W = it.T, it.W[it.T]
    aligned = {"Condition 4.7 does not": it.unaligned}
    premises = aligned | {
        "Lemma 4.2's counts": it.few,
        "Condition 4.8 does not": it.astray,
    }
    it.bounded = it.good | it.lack("<= alpha/3", "alpha <= 1/4")
    it.small = it.lack("K >= 1536 e^2" if it.rounded else "(1-1/C0)^2/6144", "(1-1/C0)^2/4096")
    unmet = it.bounded | it.small
    at_means = it.r * E2 * it.shrink / 2048
    C3 = 2 / at_means
    norm = np.sqrt((W**2).sum())
    it.say("lemma_4_9_norm", "<=", norm, 1, 1e-12, unmet=it.bounded)
    y_f_J, e = it.y * (np.maximum(it.H[T], 0) @ it.a_J), 2 * it.dense_error[T]
    for name, chosen, relation, sign in (
        ("clean", ~it.noisy, ">=", 1),
        ("noisy", it.noisy, "<=", -1),
    ):
        it.say(
            f"lemma_4_9_{name}",
            relation,
            y_f_J[chosen],
            sign * at_means / 2,
            e,
            axes=it.samples(chosen),
            unmet=unmet,
            premises=premises,
            constant=("C3", C3, 4096 * math.exp(2), inverse(sign)),
        )

    steps = np.repeat(np.arange(T), it.n)
    axes = {"cluster": np.tile(NAMES[it.c], T), "step": steps}
    error = np.repeat(it.engine_error[:T], it.n)
    largest = np.abs(it.f[:T])
    it.say("lemma_4_9_output", "<=", largest, 2, error, axes=axes, unmet=it.bounded)
    error = np.repeat(it.engine_error[:T] / 4 + 8 * V, it.n)
    constant = ("e^-2/2", E2 / 2, E2 / 2, itself)
    rest = {"axes": {"step": steps}, "constant": constant, "unmet": it.bounded}
    it.say("equation_17", ">=", it.g[:T], E2 / 2, error, **rest)
    c = it.P[1 : T + 1, it.j, it.mu]
    rest = {"axes": it.pairs(range(1, T)), "unmet": unmet, "premises": aligned}
    rest["constant"] = ("e^-2/64", E2 / 64, E2 / 64, itself)
    growth = (c[1:] - c[:-1]) / it.unit
    it.say("equation_18", ">=", growth, E2 / 64, it.o_error, **rest)
    f_means = LABEL * (np.maximum(it.M @ W.T, 0) @ it.a_J)
    rest = {"axes": {"cluster": NAMES}, "unmet": unmet, "premises": premises}
    rest["constant"] = ("right side of (20)", at_means, E2 / 2048, itself)
    it.say("equation_20", ">=", f_means, at_means, e, **rest)


def persistence(it):
    """The inner steps of Lemma 4.11."""
    T, o, e = it.T, it.o[: it.T + 1], it.o_error
    axes = {"cluster": np.tile(NAMES[it.c], T - 1), "step": np.repeat(np.arange(1, T), it.n)}
    error = np.repeat(it.engine_error[1:T] / 4 + 8 * V, it.n)
    constant = ("e^-2/2", E2 / 2, E2 / 2, itself)
    rest = {"axes": axes, "constant": constant, "unmet": it.bounded}
    it.say("equation_35", ">=", it.g[1:T], E2 / 2, error, **rest)
    cosines = it.cos[2 : T + 1, it.j, it.mu]
    constant = ("e^-2/256", E2 / 256, E2 / 256, itself)
    axes = it.pairs(range(2, T + 1))
    error = 4 * (it.d + 8) * V
    rest = {"axes": axes, "constant": constant, "unmet": it.kept}
    it.say("equation_38", ">=", cosines, E2 / 256, error, **rest)
    triggers, near, on_off, unsure, towards = [], [], [], [], []
    for t in range(1, T):
        for p in np.flatnonzero(np.abs(o[t]) >= 1):
            j, side = it.j[p], np.sign(o[t, p])
            plus = OTHER[it.mu[p]] if side > 0 else AGAINST[OTHER[it.mu[p]]]
            on = it.A[t][(it.c == plus) & ~it.noisy, j]
            off = it.A[t][(it.c == AGAINST[plus]) & ~it.noisy, j]
            triggers.append((j, NAMES[it.mu[p]], t))
            near.append(it.W[t, j] @ it.M[plus] / np.linalg.norm(it.W[t, j]))
            on_off.append(on.all() and not off.any())
            unsure.append(it.unsure[t][:, j].any())
            towards.append(side * (o[t + 1, p] - o[t, p]))
    axes = dict(zip(("neuron", "cluster", "step"), np.array(triggers).T, strict=False))
    details = {"triggers": (len(triggers), 0), "of": ((T - 1) * len(it.j), 0)}
    rest = {"axes": axes, "details": details, "unmet": it.bounded}
    constant = ("C", 1 / (4 * it.alpha**2), None, lambda x: 1 / (4 * x * x))
    it.say("equation_40", ">=", near, it.alpha, error, constant=constant, **rest)
    rest = {"axes": axes, "details": details, "unmet": it.kept}
    it.say("equation_41", ">=", np.array(on_off, float), 1, np.array(unsure, float), **rest)
    it.say("equation_42", "<", towards, 0, 2 * e, **rest)
    rest = {"axes": it.pairs(range(T)), "unmet": it.kept}
    it.say("equation_43", "<=", np.abs(np.diff(o, axis=0)), 2, 2 * e, **rest)


# ------------------------------------------------------------------------- main results


def theorem(it, t):
    """Theorem 3.1, (45) and (46)."""
    s, e = it.s[t], it.engine_error[t]
    clean, close = ~it.noisy, np.abs(it.s[t]) <= it.engine_error[t]
    wrong, fitted = (s[clean] <= 0).sum(), (s[it.noisy] > 0).sum()
    it.whole = it.kept | it.small | it.lack("(1-1/C0)^2 >= 1/2")
    details = {"clean_wrong": (wrong, close.sum()), "noisy_fitted": (fitted, close.sum())}
    both = wrong + fitted
    it.say("theorem_3_1_1", "<=", both, 0, close.sum(), details=details)
    for name, count, chosen in (("clean", wrong, clean), ("noisy", fitted, it.noisy)):
        values = [count] if chosen.any() else []
        it.say(f"theorem_3_1_1_{name}", "<=", values, 0, close.sum())
    margin, gamma = it.clean_y * it.f[t], it.r * E2 / 16384
    constant = ("gamma", gamma, E2 / 16384, itself)
    rest = {"axes": {"cluster": NAMES[it.c]}, "constant": constant, "unmet": it.whole}
    it.say("equation_45", ">=", margin, gamma, e, **rest)

    # 1 below 0, 0 above gamma, and the line between; each sample is off by at most e/gamma
    ramp = [1.0 if s <= 0 else max(0.0, 1 - s / gamma) for s in it.s[t]]
    error = it.n * V + 2 * it.dense_error[t] / gamma
    it.say("equation_46", "<=", np.mean(ramp), it.noisy.mean(), error, unmet=it.whole)

    distribution, tail = it.run.data.distribution, it.tail
    fresh = min(FRESH, FRESH_REALS // it.d)
    X, y_clean = fresh_points(distribution, fresh, np.random.default_rng(12345))
    f, eta = y_clean * (np.maximum(X @ it.W[t].T, 0) @ it.a), distribution.noise_rate(X)
    errors = np.where(f <= 0, 1 - eta, 0) + np.where(f >= 0, eta, 0)
    error = radius(errors, fresh) + radius(errors, 2000)
    bound = it.eta + it.hi * tail
    constant = ("C", it.hi, None, lambda x: max(0.0, x - it.eta) / tail)
    details = {}
    if not callable(distribution.eta):
        details = {"bayes_lower_bound": (min(it.eta, 1 - it.eta), V)}
        if distribution.law == "gaussian" and it.eta < 0.5:
            normal, x = NormalDist(), 1 / (math.sqrt(2) * max(it.sigma, 1e-9))
            ideal = 2 * normal.cdf(x) * normal.cdf(-x)
            bayes = it.eta + (1 - 2 * it.eta) * ideal
            details = {"ideal_clean_error": (ideal, 1e-15), "bayes_error": (bayes, 1e-15)}
    rest = {"trivial": bound >= 1, "constant": constant, "details": details}
    if it.feasible:
        it.say("theorem_3_1_2", "<=", errors.mean(), bound, error, **rest)
    norm, least = np.linalg.norm(it.W[t]), margin.min()

    def proven(gamma, factor):
        gap = math.sqrt(2 * math.log(2 / it.delta) / it.n)
        return it.noisy.mean() + 4 * factor / (gamma * math.sqrt(it.n)) + gap

    root = math.sqrt(1 + it.spread**2)
    post_hoc = proven(least, root) if least > 0 else math.inf
    details = {
        "paper": (proven(gamma, 1), 1e-9),
        "post_hoc_not_a_bound": (post_hoc, 2 * e / least * post_hoc if least > 0 else 0),
        "margin": (least, e),
    }
    it.say(
        "theorem_3_1_2_proof",
        "<=",
        errors.mean(),
        proven(gamma, root),
        error,
        trivial=proven(gamma, root) >= 1,
        unmet=it.whole | {"norm_F(W_T) = ": norm > 1},
        constant=("gamma", gamma, E2 / 16384, lambda _: least),
        constant_error=e,
        details=details,
    )


def features(it, t):
    """Proposition 3.2 and its inner steps."""
    inner = it.whole | it.lack("alpha <= 1/10")
    before, change = np.maximum(it.H[0], 0), np.maximum(it.H[t], 0)
    numerator = np.linalg.norm(change - before, axis=1)
    denominator = np.linalg.norm(before, axis=1)
    some = (numerator > 0) | (denominator > 0)
    v = (it.d + it.m + 8) * V * it.norm_x
    e_0, e_t = v * np.linalg.norm(it.W[0]), v * np.linalg.norm(it.W[t])
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = (numerator / denominator)[some]
        error = rho * ((e_0 + e_t) / numerator + e_0 / denominator)[some]
    error = np.where(np.isfinite(error), error, 0)
    C, scale = 16 * 1024 * math.exp(2) / it.r, it.start
    constant = ("C of 3.2", C, 16 * 1024 * math.exp(2), inverse(scale))
    samples = {"sample": np.arange(it.n)}
    it.say(
        "proposition_3_2",
        ">=",
        rho,
        1 / (C * scale),
        error,
        axes={"sample": np.flatnonzero(some)},
        constant=constant,
        details={"left_out": ((~some).sum(), 0)},
    )
    growth = (it.P[t] - it.P[0])[it.j, it.mu] / np.abs(it.a[it.j])
    least = it.r * E2 / 256
    constant = ("e^-2/256", least, E2 / 256, itself)
    rest = {"axes": it.pairs(), "constant": constant, "unmet": inner | it.lack("e^-2/4096")}
    it.say("equation_48", ">=", growth, least, it.alpha * it.o_error, **rest)
    change = (it.W[t] - it.W[0])[it.j] / np.abs(it.a[it.j])[:, None]
    length = np.linalg.norm(change, axis=1)
    details = {"from_15": (math.sqrt(2) * it.alpha * t, V)}
    unmet = it.good | it.lack("C1 >= 2", "alpha <= 1/10")
    rest = {"axes": it.pairs(), "details": details, "unmet": unmet}
    it.say("equation_49", "<=", length, 8, 4 * (it.d + 8) * V * length, **rest)
    rise = [(it.X[it.c == c] @ w).min(initial=math.inf) for c, w in zip(it.mu, change, strict=True)]
    least = it.r * E2 / 512
    constant = ("e^-2/512", least, E2 / 512, itself)
    error = (e_0 + e_t).max() / np.abs(it.a[it.j]).min(initial=1.0)
    unmet = inner | it.lack("e^-2/4096", "8 C1 sigma sqrt(d) <= ")
    rest = {"axes": it.pairs(), "constant": constant, "unmet": unmet}
    it.say("equation_50", ">=", rise, least, error, **rest)
    square, bound = numerator**2, (it.r * E2) ** 2 / (8 * 1024**2)
    error = 2 * numerator * (e_0 + e_t)
    it.say("equation_53", ">=", square, bound, error, axes=samples, unmet=unmet)
    rest = {"axes": samples, "unmet": it.good}
    it.say("proposition_3_2_denominator", "<=", denominator, 3 * scale, e_0, **rest)


def fresh_points(distribution, n, rng):
    """Samples of the distribution with their clean labels."""
    unit = {
        "gaussian": lambda: rng.standard_normal((n, distribution.d)),
        "uniform": lambda: math.sqrt(3) * (2 * rng.random((n, distribution.d)) - 1),
        "exponential": lambda: -np.log1p(-rng.random((n, distribution.d))) - 1,
    }[distribution.law]()
    mu1, mu2 = distribution.mu
    cluster = np.searchsorted([0.25, 0.5, 0.75], rng.random(n), side="right")
    mean = np.array([mu1, -mu1, mu2, -mu2])[cluster]
    return mean + distribution.sigma * unit, LABEL[cluster]


def radius(values, n):
    """A bound on the error of a mean of n values in [0, 1]; it fails with probability 1e-6."""
    level = math.log(4 / 1e-6)
    return math.sqrt(2 * values.var() * level / n) + 7 * level / (3 * (n - 1))


def define(run, delta=0.1, C0=5.0):
    """All statements but (28) and B.1, whose values are not numbers of the paper's."""
    it = Dense(run, delta, C0)
    initialisation(it)
    sampling(it)
    edge(it)
    good_run(it)
    clean_parts(it)
    growth(it)
    always(it, it.T)
    amplification(it)
    subnetwork(it)
    if it.K:
        conditions(it)
        margin(it)
        persistence(it)
        theorem(it, it.T)
        features(it, it.T)
    return it
