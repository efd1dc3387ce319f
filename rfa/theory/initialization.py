"""Section 4.1: random weights, Lemmas 4.1, 4.2 and 4.4; and good runs, Definition 4.5."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, setting
from rfa.setting import CLUSTER_LABELS, CLUSTER_NAMES, OPPOSITE
from rfa.theory.comparison import Absent, Comparison, Constant, at_least, at_most, by_cluster
from rfa.theory.evaluation import check_of, checks_of
from rfa.theory.evidence import Evidence, Floats, Uses
from rfa.theory.hypotheses import GOOD_RUN, SHARED, hypothesis
from rfa.theory.samples import LEMMA_4_3, NEEDS_4_3
from rfa.theory.statement import KNOWN, one_minus, statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

# Rounding of a bound on a count, in units of m: a bound that is a whole number must count as met.
COUNTS = 1e-12


def _random_start(e: Evidence, k: Terms) -> Uses:
    return Uses(omega=True, steps=[0])


# ------------------------------------------------------------------ Lemma 4.1


@statement(
    "lemma_4_1_a",
    "Lemma 4.1",
    "3",
    "| |w_j^0| / (omega sqrt d) - 1 | <= 1/2",
    uses=_random_start,
    needs=(*SHARED, "need_lemma_4_1"),
    probability=one_minus(1),
)
def _lemma_4_1_a(e: Evidence, k: Terms) -> Comparison:
    assert e.omega is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = e.norms([0])[0] / (e.omega * math.sqrt(e.d))
    return at_most(
        np.abs(ratio - 1),
        0.5,
        axes={"neuron": np.arange(e.m)},
        details={"smallest": float(ratio.min()), "largest": float(ratio.max())},
    )


@statement(
    "lemma_4_1_b_mu1",
    "Lemma 4.1",
    "3",
    "#{j: |<w_j^0, mu1>| >= omega/(2 C0)} >= m (1 - 1/(2 C0) - sqrt(2 log(4/delta)/m))",
    uses=_random_start,
    needs=SHARED,
    probability=one_minus(1),
)
def _lemma_4_1_b_mu1(e: Evidence, k: Terms) -> Comparison:
    return _correlated_with(CLUSTER_NAMES.index("+mu1"), e, k)


@statement(
    "lemma_4_1_b_mu2",
    "Lemma 4.1",
    "3",
    "#{j: |<w_j^0, mu2>| >= omega/(2 C0)} >= m (1 - 1/(2 C0) - sqrt(2 log(4/delta)/m))",
    uses=_random_start,
    needs=SHARED,
    probability=one_minus(1),
)
def _lemma_4_1_b_mu2(e: Evidence, k: Terms) -> Comparison:
    return _correlated_with(CLUSTER_NAMES.index("+mu2"), e, k)


def _correlated_with(cluster: int, e: Evidence, k: Terms) -> Comparison:
    assert e.omega is not None
    height = np.abs(e.projection([0])[0, :, cluster])
    return at_least(
        float((height >= e.omega / (2 * k.C0)).sum()),
        e.m * (1 - 1 / (2 * k.C0) - math.sqrt(2 * math.log(4 / k.delta) / e.m)),
        details={"expected": 2 * e.m * _upper_tail(1 / (2 * k.C0))},
    )


def _upper_tail(x: float) -> float:
    """P(Z > x) for a standard normal Z."""
    return 0.5 * math.erfc(x / math.sqrt(2))


LEMMA_4_1 = (_lemma_4_1_a, _lemma_4_1_b_mu1, _lemma_4_1_b_mu2)


def lemma_4_1(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
    return checks_of(LEMMA_4_1, run, delta, C0, rng)


# ------------------------------------------------------------------ Lemma 4.2

# Its proof uses the norms of Lemma 4.1.
NEEDS_4_2 = ("need_lemma_4_1", "need_lemma_4_2")


@statement(
    "lemma_4_2",
    "Lemma 4.2",
    "4",
    "each |J_mu| >= (m/4)(1 - 1/C0)^2",
    uses=_random_start,
    needs=(*SHARED, *NEEDS_4_2),
    probability=one_minus(1),
)
def _lemma_4_2(e: Evidence, k: Terms) -> Comparison:
    largest, _ = largest_C0(e, k)
    return at_least(
        _sizes(e, k),
        e.m / 4 * k.shrink,
        axes=by_cluster(),
        tolerance=COUNTS * e.m,
        details=_sizes_by_name(e, k),
        constant=Constant("C0", k.C0, largest, k.literal_C0),
    )


@statement(
    "lemma_4_2_sum",
    "Lemma 4.2",
    "4",
    "|J| >= m (1 - 1/C0)^2",
    uses=_random_start,
    needs=(*SHARED, *NEEDS_4_2),
    probability=one_minus(1),
)
def _lemma_4_2_sum(e: Evidence, k: Terms) -> Comparison:
    _, largest = largest_C0(e, k)
    return at_least(
        _sizes(e, k).sum(),
        e.m * k.shrink,
        tolerance=COUNTS * e.m,
        details=_sizes_by_name(e, k),
        constant=Constant("C0", k.C0, largest, k.literal_C0),
    )


@hypothesis("lemma_4_2")
def _large_enough(e: Evidence, k: Terms) -> list[str]:
    return [] if check_of(_lemma_4_2, e, k).holds else ["Lemma 4.2's counts are too small"]


def _sizes(e: Evidence, k: Terms) -> Floats:
    """size(J_mu) of each mean."""
    return e.J(k.C0).sum(axis=0).astype(float)


def _sizes_by_name(e: Evidence, k: Terms) -> dict[str, int]:
    return {name: int(size) for name, size in zip(CLUSTER_NAMES, _sizes(e, k), strict=True)}


@once
def largest_C0(e: Evidence, k: Terms) -> tuple[float, float]:
    """Suprema of the C0 > 1 with which Lemma 4.2 holds for all four means, and for the sum.

    Sort the cosines of the neurons of the right sign downwards. J_mu has i members for C0 in
    [1/(3 sqrt d cos_i), 1/(3 sqrt d cos_(i+1))), and i are enough for C0 <= 1/(1 - sqrt(4i/m)). For
    the sum, the same with the cosines of all four means together, and i/m. NaN if no C0 will do.
    """
    right = np.sign(e.a)[:, None] == CLUSTER_LABELS
    cosine = e.cosine([0])[0]
    scale = 1 / (3 * math.sqrt(e.d))
    each = [_passing(cosine[right[:, c], c], e.m / 4, scale) for c in range(len(CLUSTER_LABELS))]
    return _supremum(each), _supremum([_passing(cosine[right], e.m, scale)])


def _supremum(passing: list[list[tuple[float, float]]]) -> float:
    """Supremum of the numbers that lie in an interval [low, high) of every list; NaN if none do."""
    # candidates are the upper ends: the supremum of an intersection is one of them
    best = math.nan
    for end in sorted({high for intervals in passing for _, high in intervals}, reverse=True):
        below = math.nextafter(end, 1) if math.isfinite(end) else 1e300
        if all(any(low <= below < high for low, high in intervals) for intervals in passing):
            best = end
            break
    return best


def _passing(cosines: NDArray[np.float64], of: float, scale: float) -> list[tuple[float, float]]:
    """Intervals [low, high) of the C0 > 1 that leave a share of at least (1 - 1/C0)^2 in J."""
    positive = np.sort(cosines[cosines > 0])[::-1]  # drops NaN, of neurons that are zero
    starts = scale / positive
    intervals = []
    for k in range(1, len(positive) + 1):
        low = max(float(starts[k - 1]), 1.0)
        high = float(starts[k]) if k < len(positive) else math.inf
        # the interval is half-open, but the last C0 that passes belongs to it: so its end is the
        # next larger float
        limit = math.inf if k >= of else math.nextafter(1 / (1 - math.sqrt(k / of)), math.inf)
        if low < min(high, limit) and min(high, limit) > 1:
            intervals.append((low, min(high, limit)))
    return intervals


LEMMA_4_2 = (_lemma_4_2, _lemma_4_2_sum)


def lemma_4_2(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
    return checks_of(LEMMA_4_2, run, delta, C0, rng)


# ------------------------------------------------------------------ Lemma 4.4

# Its proof uses Lemma 4.3, (6) and the end of (12).
NEEDS_4_4 = (*NEEDS_4_3, "need_eq_6", "need_eq_12", "need_eq_12_noise")


@statement(
    "lemma_4_4",
    "Lemma 4.4",
    "6",
    "clean samples of mu minus of -mu on which w_j^0 is active >= n/C2",
    uses=_random_start,
    needs=(*SHARED, *NEEDS_4_4),
    probability=one_minus(2),
)
def _lemma_4_4(e: Evidence, k: Terms) -> Comparison:
    j, c = e.correlated(k.C0)
    active = e.rows("active", [0])[0]
    edge = (active[j, 2 * c] - active[j, 2 * OPPOSITE[c]]).astype(float)
    details = {}
    smallest = float(edge.min(initial=math.inf))
    if edge.size and e.sigma and e.eta is not None:
        worst = int(edge.argmin())
        cosine = float(e.cosine([0])[0, j[worst], c[worst]])
        details["expected"] = (1 - e.eta) * e.n / 4 * math.erf(cosine / (e.sigma * math.sqrt(2)))
    return at_least(
        edge,
        e.n / k.C2,
        axes={"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]},
        details=details,
        constant=Constant("C2", k.C2, e.n / smallest if smallest > 0 else math.inf, k.literal_C2),
    )


@statement(
    "equation_6",
    "(6)",
    "(6)",
    "clean samples of mu >= n/8",
    uses=lambda e, k: Uses(),
    needs=(*GOOD_RUN, "need_eq_6"),
    inner=True,
)
def _equation_6(e: Evidence, k: Terms) -> Comparison:
    return at_least(e.sizes[0::2].astype(float), e.n / 8, axes=by_cluster())


@statement(
    "equation_11",
    "(11)",
    "(11)",
    "Phi(cos(w_j^0, mu)/sigma) >= 1/2 + 1/(3 C0 sqrt(2 pi e))",
    uses=lambda e, k: Uses(width=True, omega=True, steps=[0]),
    needs=SHARED,
    inner=True,
)
def _equation_11(e: Evidence, k: Terms) -> Comparison | Absent:
    distribution = e.run.data.distribution
    assert distribution is not None, "Uses(width=True) was met"
    if distribution.law != "gaussian":
        return Absent("p of (10) is that of Gaussian clusters")
    assert e.sigma is not None
    j, c = e.correlated(k.C0)
    with np.errstate(divide="ignore"):
        height = e.cosine([0])[0, j, c] / e.sigma
    return at_least(
        np.array([1 - _upper_tail(x) for x in height]),
        0.5 + 1 / (3 * k.C0 * math.sqrt(2 * math.pi * math.e)),
        axes={"neuron": j, "cluster": np.array(CLUSTER_NAMES)[c]},
        empty="no neuron is correlated with a mean",
    )


LEMMA_4_4 = (_lemma_4_4, _equation_6, _equation_11)


def lemma_4_4(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
        The empirical constant is C2 = n / min E, infinite if min E <= 0. ``equation_6``, over the
        clusters, and ``equation_11``, over the same neurons and means, are steps of the proof.

    Notes
    -----
    E = sum over clean ``I_mu`` of A^0 - sum over clean ``I_-mu`` of A^0 >= n/C2. For Gaussian
    clusters E is about (1 - eta) (n/4) erf(cos/(sigma sqrt 2)), in the details for the smallest.

    Steps of the proof:

    - (6): every cluster has at least n/8 clean samples.
    - (11): p >= 1/2 + 1/(3 C0 sqrt(2 pi e)), where p = Phi(cos/sigma) of (10) is the probability
      that the neuron is active on a fresh sample of mu. Applicable to Gaussian clusters alone.

    O(m).

    Examples
    --------
    >>> import rfa
    >>> lemma_4_4(rfa.preset("assumptions").run(rng=0))[0].holds
    True
    """
    return checks_of(LEMMA_4_4, run, delta, C0, rng)


# ------------------------------------------------------------------ Definition 4.5


@once
def failing_parts(e: Evidence, k: Terms) -> list[str]:
    """The parts of Lemmas 4.1 to 4.4 that do not hold, or are not applicable."""
    # (6) and (11) are steps of a proof, and no part of Lemma 4.4
    parts = (*LEMMA_4_1, *LEMMA_4_2, *LEMMA_4_3, _lemma_4_4)
    return [part.id for part in parts if not check_of(part, e, k).holds]


@hypothesis("good_run")
def _good_run(e: Evidence, k: Terms) -> list[str]:
    failing = failing_parts(e, k)
    return ["not a good run: " + ", ".join(failing)] if failing else []


@statement(
    "definition_4_5",
    "Definition 4.5",
    "7",
    "good run at this C0: parts of 4.1-4.4 that fail",
    uses=lambda e, k: Uses(width=True, rate=True, omega=True, steps=[0]),
    needs=(*SHARED, *NEEDS_4_2, *NEEDS_4_4),
    probability=one_minus(4),
)
def _definition_4_5(e: Evidence, k: Terms) -> Comparison:
    failing = failing_parts(e, k)
    return at_most(
        float(len(failing)),
        0.0,
        why=", ".join(dict.fromkeys(KNOWN[id].numbers[0] for id in failing)),
        details={"failing": failing},
        constant=Constant("C0", k.C0, None, k.literal_C0),
    )


DEFINITION_4_5 = (_definition_4_5,)


def definition_4_5(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
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
    return checks_of(DEFINITION_4_5, run, delta, C0, rng)
