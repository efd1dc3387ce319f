"""Section 4.1: properties of the random initialisation and of the samples, Lemmas 4.1 to 4.4."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds
from rfa.setting import CLUSTER_LABELS, CLUSTER_NAMES, OPPOSITE
from rfa.theory.comparison import absent, at_least, at_most
from rfa.theory.evidence import Constants, Evidence, evidence
from rfa.theory.report import Check
from rfa.training.run import Run

# Rounding of a bound on a count, in units of m: a bound that is a whole number must count as met.
COUNTS = 1e-12


def lemma_4_1(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.1: norms of the neurons at t = 0, and how many are correlated with a mean.

    Parameters
    ----------
    run : Run
        A run whose network was drawn at random.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_1_a`` (all neurons, those with a_j = 0 too), ``lemma_4_1_b_mu1`` and ``_mu2``.

    Notes
    -----
    (a) norm(w_j^0)/(omega sqrt d) is in [1/2, 3/2]; the value is the largest distance from 1.
    (b) #{j : abs<w_j^0, mu> >= omega/(2 C0)} >= m (1 - 1/(2 C0) - sqrt(2 log(4/delta)/m)).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_1(rfa.preset("theorem").run(rng=0))]
    [True, True, True]
    """
    e, k = evidence(run, delta, C0, rng)
    ids = ("lemma_4_1_a", "lemma_4_1_b_mu1", "lemma_4_1_b_mu2")
    why = e.lacks(omega=True, steps=[0])
    if why:
        return absent(ids, why)
    assert e.omega is not None
    unmet = [] if e.omega > 0 else ["omega_init is 0"]
    unmet += e.unmet(k)
    norm = e.norms([0])[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = norm / (e.omega * math.sqrt(e.d))
    checks = [
        at_most(
            "lemma_4_1_a",
            np.abs(ratio - 1),
            0.5,
            k,
            axes={"neuron": np.arange(e.m)},
            unmet=unmet,
            details={"smallest": float(ratio.min()), "largest": float(ratio.max())},
        )
    ]
    bound = e.m * (1 - 1 / (2 * k.C0) - math.sqrt(2 * math.log(4 / k.delta) / e.m))
    for name, column in (("mu1", 0), ("mu2", 2)):
        height = np.abs(e.projection([0])[0, :, column])
        count = int((height >= e.omega / (2 * k.C0)).sum())
        expected = 2 * e.m * _upper_tail(1 / (2 * k.C0))
        checks.append(
            at_least(
                f"lemma_4_1_b_{name}",
                float(count),
                bound,
                k,
                unmet=unmet,
                details={"expected": expected},
            )
        )
    return tuple(checks)


def _upper_tail(x: float) -> float:
    """P(Z > x) for a standard normal Z."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def lemma_4_2(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.2: the sets J_mu of neurons that are correlated with a mean are large.

    Parameters
    ----------
    run : Run
        A run on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_2`` (the smallest of the four counts) and ``lemma_4_2_sum``. The empirical
        constants are the suprema of the C0 for which all four counts, and their sum, pass.

    Notes
    -----
    J_mu: sgn(a_j) is the label of mu and cos(w_j^0, mu) >= 1/(3 C0 sqrt d). size(J_mu) >=
    (m/4)(1 - 1/C0)^2.

    Examples
    --------
    >>> import rfa
    >>> lemma_4_2(rfa.preset("theorem").run(rng=0))[0].holds
    True
    """
    e, k = evidence(run, delta, C0, rng)
    ids = ("lemma_4_2", "lemma_4_2_sum")
    why = e.lacks(steps=[0])
    if why:
        return absent(ids, why)
    counts = e.J(k.C0).sum(axis=0).astype(float)
    unmet = e.unmet(k)
    constant: dict[str, Any] = {
        "constant": "C0",
        "constant_used": k.C0,
        "literal_constant": k.literal_C0,
    }
    largest, largest_of_sum = largest_C0(e)
    sizes = {name: int(count) for name, count in zip(CLUSTER_NAMES, counts, strict=True)}
    return (
        at_least(
            "lemma_4_2",
            counts,
            e.m / 4 * k.shrink,
            k,
            axes={"cluster": np.array(CLUSTER_NAMES)},
            tolerance=COUNTS * e.m,
            unmet=unmet,
            details=sizes,
            empirical_constant=largest,
            **constant,
        ),
        at_least(
            "lemma_4_2_sum",
            counts.sum(),
            e.m * k.shrink,
            k,
            tolerance=COUNTS * e.m,
            unmet=unmet,
            details=sizes,
            empirical_constant=largest_of_sum,
            **constant,
        ),
    )


def largest_C0(e: Evidence) -> tuple[float, float]:
    """Suprema of the C0 > 1 with which Lemma 4.2 holds for all four means, and for the sum.

    With the cosines of the neurons of the right sign sorted downwards, J_mu has k members for C0 in
    [1/(3 sqrt d cos_k), 1/(3 sqrt d cos_(k+1))), and k are enough for C0 <= 1/(1 - sqrt(4k/m)). The
    same with the cosines of all four means together, and k/m. NaN if no C0 will do.
    """
    right = np.sign(e.a)[:, None] == CLUSTER_LABELS
    cosine = e.cosine([0])[0]
    scale = 1 / (3 * math.sqrt(e.d))
    each = [_passing(cosine[right[:, c], c], e.m / 4, scale) for c in range(len(CLUSTER_LABELS))]
    return _supremum(each), _supremum([_passing(cosine[right], e.m, scale)])


def _supremum(passing: list[list[tuple[float, float]]]) -> float:
    """Supremum of what lies in one of each list of intervals [low, high), NaN if nothing does."""
    # candidates are the upper ends: the supremum of an intersection is one of them
    best = math.nan
    for end in sorted({high for intervals in passing for _, high in intervals}, reverse=True):
        below = math.nextafter(end, 1) if math.isfinite(end) else 1e300
        if all(any(low <= below < high for low, high in intervals) for intervals in passing):
            best = end
            break
    return best


def _passing(cosines: NDArray[np.float64], of: float, scale: float) -> list[tuple[float, float]]:
    """Intervals [low, high) of C0 > 1 with at least (1 - 1/C0)^2 of so many neurons."""
    positive = np.sort(cosines[cosines > 0])[::-1]  # drops NaN, of neurons that are zero
    starts = scale / positive
    intervals = []
    for k in range(1, len(positive) + 1):
        low = max(float(starts[k - 1]), 1.0)
        high = float(starts[k]) if k < len(positive) else math.inf
        # the last C0 that passes belongs to the interval, so the end is the number after it
        limit = math.inf if k >= of else math.nextafter(1 / (1 - math.sqrt(k / of)), math.inf)
        if low < min(high, limit) and min(high, limit) > 1:
            intervals.append((low, min(high, limit)))
    return intervals


def lemma_4_3(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.3: samples are close to their means, few are noisy, and clusters are balanced.

    Parameters
    ----------
    run : Run
        A run on XOR clusters of known width.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_3_a_own``, ``_a_other``, ``_a_orthogonal``, ``lemma_4_3_b``, ``_c``, ``_d``. Their
        empirical constants are C1.

    Notes
    -----
    With u_i = <x_i, mu_c>: (a) u_i >= 1 - C1 sigma sqrt d, abs<x_i, mu_other> and, for every unit
    vector orthogonal to mu_c, norm(x_i - u_i mu_c) <= C1 sigma sqrt d. (b) norm(x_i - mu_c)^2 <=
    C1 sigma^2 d. (c) size(N)/n <= eta + C1 sqrt(log(1/delta)/n). (d) cluster fractions are within
    the same of 1/4. C1 is chosen so that each right side is at most 1/C1 beyond its centre, which
    the lemma also says. O(n d).

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in lemma_4_3(rfa.preset("theorem").run(rng=0))]
    [True, True, True, True, True, True]
    """
    e, k = evidence(run, delta, C0, rng)
    ids = (
        "lemma_4_3_a_own",
        "lemma_4_3_a_other",
        "lemma_4_3_a_orthogonal",
        "lemma_4_3_b",
        "lemma_4_3_c",
        "lemma_4_3_d",
    )
    why = e.lacks(width=True, rate=True)
    if why:
        return absent(ids, why)
    assert e.eta is not None
    u, v, rest, square = e.own_and_other
    unmet = e.unmet(k, C1=True)
    axes = {"sample": np.arange(e.n), "cluster": np.array(CLUSTER_NAMES)[e.cluster]}
    # X is rounded to its type, and so are the sums of d products
    rounding = (e.d + 8) * float(np.finfo(run.data.X.dtype).eps)
    tail = math.sqrt(math.log(1 / k.delta) / e.n)
    fractions = np.bincount(e.cluster, minlength=4) / e.n

    def constant(excess: float, unit: float) -> dict[str, Any]:
        nothing = math.inf if excess > rounding else 0.0
        empirical = excess / unit if unit > 0 else nothing
        return {"constant": "C1", "constant_used": k.C1, "empirical_constant": empirical}

    radius = k.C1 * e.spread
    return (
        at_least(
            "lemma_4_3_a_own",
            u,
            1 - radius,
            k,
            axes=axes,
            unmet=unmet,
            tolerance=rounding,
            **constant(float((1 - u).max()), e.spread),
        ),
        at_most(
            "lemma_4_3_a_other",
            v,
            radius,
            k,
            axes=axes,
            unmet=unmet,
            tolerance=rounding,
            **constant(float(v.max()), e.spread),
        ),
        at_most(
            "lemma_4_3_a_orthogonal",
            rest,
            radius,
            k,
            axes=axes,
            unmet=unmet,
            tolerance=rounding,
            **constant(float(rest.max()), e.spread),
        ),
        at_most(
            "lemma_4_3_b",
            square,
            k.C1 * e.spread * e.spread,
            k,
            axes=axes,
            unmet=unmet,
            tolerance=rounding * rounding,
            **constant(float(square.max()), e.spread * e.spread),
        ),
        at_most(
            "lemma_4_3_c",
            e.n_noisy / e.n,
            e.eta + k.C1 * tail,
            k,
            unmet=unmet,
            **constant(max(0.0, e.n_noisy / e.n - e.eta), tail),
        ),
        at_most(
            "lemma_4_3_d",
            np.abs(fractions - 0.25),
            k.C1 * tail,
            k,
            axes={"cluster": np.array(CLUSTER_NAMES)},
            unmet=unmet,
            **constant(float(np.abs(fractions - 0.25).max()), tail),
        ),
    )


def lemma_4_4(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Lemma 4.4: a correlated neuron is active on more clean samples of mu than of -mu.

    Parameters
    ----------
    run : Run
        A run on XOR clusters.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``lemma_4_4``, over every neuron and mean with cos >= 1/(3 C0 sqrt d), of any sign of a_j.
        The empirical constant is C2 = n / min E, infinite if min E <= 0.

    Notes
    -----
    E = sum over clean ``I_mu`` of A^0 - sum over clean ``I_-mu`` of A^0 >= n/C2. For Gaussian
    clusters E is about (1 - eta) (n/4) erf(cos/(sigma sqrt 2)), in the details for the smallest.
    O(m).

    Examples
    --------
    >>> import rfa
    >>> lemma_4_4(rfa.preset("assumptions").run(rng=0))[0].holds
    True
    """
    e, k = evidence(run, delta, C0, rng)
    why = e.lacks(steps=[0])
    if why:
        return absent(("lemma_4_4",), why)
    j, c = e.correlated(k.C0)
    active = e.rows("active", [0])[0]
    edge = (active[j, 2 * c] - active[j, 2 * OPPOSITE[c]]).astype(float)
    details = {}
    smallest = float(edge.min(initial=math.inf))
    if edge.size and e.sigma and e.eta is not None:
        worst = int(edge.argmin())
        cosine = float(e.cosine([0])[0, j[worst], c[worst]])
        details["expected"] = (1 - e.eta) * e.n / 4 * math.erf(cosine / (e.sigma * math.sqrt(2)))
    return (
        at_least(
            "lemma_4_4",
            edge,
            e.n / k.C2,
            k,
            axes={"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]},
            unmet=e.unmet(k),
            details=details,
            constant="C2",
            constant_used=k.C2,
            literal_constant=k.literal_C2,
            empirical_constant=e.n / smallest if smallest > 0 else math.inf,
        ),
    )


def definition_4_5(
    run: Run, *, delta: float = 0.1, C0: float = 5.0, rng: _seeds.Seed = None
) -> tuple[Check, ...]:
    """Definition 4.5: a good run, on which all of Lemmas 4.1 to 4.4 hold.

    Parameters
    ----------
    run : Run
        A run on XOR clusters whose parameters are known.
    delta, C0, rng
        See :func:`rfa.theory.check`; rng is not used.

    Returns
    -------
    tuple of Check
        ``definition_4_5``; the value is the number of parts that fail, which the details name.

    Notes
    -----
    With the fixed constants; the paper's C0 is 4^5 1024^2 e^4 = 5.9e10.

    Examples
    --------
    >>> import rfa
    >>> definition_4_5(rfa.preset("assumptions").run(rng=0))[0].holds
    True
    """
    e, k = evidence(run, delta, C0, rng)
    why = e.lacks(width=True, rate=True, omega=True, steps=[0])
    if why:
        return absent(("definition_4_5",), why)
    failing = failing_parts(e, k)
    return (
        at_most(
            "definition_4_5",
            float(len(failing)),
            0.0,
            k,
            unmet=e.unmet(k, C1=True),
            details={"failing": failing},
            constant="C0",
            constant_used=k.C0,
            literal_constant=k.literal_C0,
        ),
    )


def failing_parts(e: Evidence, k: Constants) -> list[str]:
    """The parts of Lemmas 4.1 to 4.4 that do not hold, or are not applicable."""
    if k not in e.failing:
        e.failing[k] = [
            check.id
            for lemma in (lemma_4_1, lemma_4_2, lemma_4_3, lemma_4_4)
            for check in lemma(e.run, delta=k.delta, C0=k.C0)
            if not check.holds
        ]
    return e.failing[k]


def unmet_on_a_good_run(e: Evidence, k: Constants) -> list[str]:
    """What does not hold of the hypotheses of a lemma that speaks of a good run."""
    failing = failing_parts(e, k)
    return e.unmet(k) + (["not a good run: " + ", ".join(failing)] if failing else [])
