"""Theorem 3.1 and Proposition B.1: what the trained network does on samples and fresh points."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfa import _seeds, setting
from rfa.estimates.rademacher import Complexity, expected_bound, rademacher_complexity
from rfa.estimates.risk import (
    ErrorEstimate,
    estimates,
    noise_is_drawn,
    reference_lines,
    stored_by_name,
)
from rfa.network import Network
from rfa.setting import CLUSTER_NAMES
from rfa.theory.comparison import (
    Absent,
    Comparison,
    Constant,
    at_least,
    at_most,
    value_alone,
)
from rfa.theory.evaluation import checks_of
from rfa.theory.evidence import E2, Evidence, Uses
from rfa.theory.hypotheses import SHARED, audit_of
from rfa.theory.margin import MARGIN_NEEDS
from rfa.theory.persistence import PERSISTENCE
from rfa.theory.statement import one_minus, statement
from rfa.theory.terms import Terms, once
from rfa.theory.verdict import Check
from rfa.training.run import Run

# The margin (45).
GAMMA = E2 / 16384

# The largest number of fresh points for the test error of a check, and of their coordinates.
MOST_POINTS, MOST_REALS = 200_000, 4 * 10**8

# Sign vectors for the Rademacher complexity of a check.
SIGN_DRAWS = 20

# The margin (45) rests on all of Section 4.
MARGIN = (*PERSISTENCE, *MARGIN_NEEDS, "need_eq_45")


# ------------------------------------------------------------------ Theorem 3.1, part 1


def _recorded(e: Evidence, k: Terms) -> Uses:
    return Uses(horizon=True, last=k.t, steps=[k.t])


def _count(e: Evidence, k: Terms, name: str) -> int:
    """A count that the history has for T."""
    return int(e.rows(name, [k.t])[0])


@statement(
    "theorem_3_1_1",
    "Theorem 3.1(1)",
    "1",
    "clean wrong + noisy fitted = 0 at T",
    uses=_recorded,
    needs=SHARED,
    probability=one_minus(4),
    refutable=False,
)
def _theorem_3_1_1(e: Evidence, k: Terms) -> Comparison:
    wrong, fitted = _count(e, k, "clean_wrong"), _count(e, k, "noisy_fitted")
    details = {"clean_wrong": wrong, "noisy_fitted": fitted}
    return at_most(float(wrong + fitted), 0.0, details=details)


@statement(
    "theorem_3_1_1_clean",
    "Theorem 3.1(1)",
    "1",
    "clean samples wrong at T = 0",
    uses=_recorded,
    needs=SHARED,
    probability=one_minus(4),
    refutable=False,
    inner=True,
)
def _theorem_3_1_1_clean(e: Evidence, k: Terms) -> Comparison:
    return _none_of(_count(e, k, "clean_wrong"), e.n - e.n_noisy, "no sample is clean")


@statement(
    "theorem_3_1_1_noisy",
    "Theorem 3.1(1)",
    "1",
    "noisy samples fitted at T = 0",
    uses=_recorded,
    needs=SHARED,
    probability=one_minus(4),
    refutable=False,
    inner=True,
)
def _theorem_3_1_1_noisy(e: Evidence, k: Terms) -> Comparison:
    return _none_of(_count(e, k, "noisy_fitted"), e.n_noisy, "no sample is noisy")


def _none_of(count: int, size: int, empty: str) -> Comparison:
    """The comparison of a count with 0. It is empty if there is nothing to count (size 0)."""
    return at_most(np.array([float(count)]) if size else np.empty(0), 0.0, empty=empty)


def _margin(e: Evidence, k: Terms) -> NDArray[np.float64]:
    """Smallest y~ f of each group: the margin of clean samples, its opposite for noisy ones."""
    low, high = e.rows("margin_low", [k.t])[0], e.rows("margin_high", [k.t])[0]
    return np.where(np.arange(8) % 2 == 0, low, -high)


@statement(
    "equation_45",
    "(45)",
    "(45)",
    "y~_i f(x_i; W^T) >= gamma = e^-2/16384",
    uses=_recorded,
    needs=MARGIN,
    refutable=False,
    inner=True,
)
def _equation_45(e: Evidence, k: Terms) -> Comparison:
    present = e.sizes > 0
    margin = _margin(e, k)[present]
    return at_least(
        margin,
        e.r * GAMMA,
        axes={"cluster": np.repeat(np.array(CLUSTER_NAMES), 2)[present]},
        constant=Constant("gamma", e.r * GAMMA, float(margin.min(initial=math.inf)), GAMMA),
    )


# ------------------------------------------------------------------ Theorem 3.1, part 2


def _followed(e: Evidence, k: Terms) -> Uses:
    return Uses(width=True, rate=True, horizon=True, last=k.t, steps=[k.t], weights=[k.t])


@statement(
    "theorem_3_1_2",
    "Theorem 3.1(2)",
    "1",
    "test error at T <= eta + C sqrt(log(1/delta)/n)",
    uses=_followed,
    needs=SHARED,
    probability=one_minus(4),
    refutable=False,
)
def _theorem_3_1_2(e: Evidence, k: Terms) -> Comparison | Absent:
    found = _test_error(e, k)
    if isinstance(found, Absent):
        return found
    assert found.error is not None
    assert found.excess is not None
    bound, C, tail = _stated_bound(e, k)
    details = _clean_details(e, found)
    details |= {"interval": [found.low, found.high], "excess": found.excess}
    if not C_is_allowed(e, k):
        return Absent(_no_C(e, k, found), details)
    decided = _decided(found, bound)
    return at_most(
        found.error,
        bound,
        trivial=bound >= 1,
        instead="" if decided else "undecided",
        why="" if decided else f"{found.n} fresh points do not decide",
        details=details,
        constant=Constant("C", C, max(0.0, found.excess) / tail),
    )


def _no_C(e: Evidence, k: Terms, found: ErrorEstimate) -> str:
    """Why the bound of part 2 has no constant."""
    why = "are not known to hold" if audit_of(e, k) is None else "allow no C"
    return (
        f"(A1)-(A7) {why}, so that the bound has no constant; the test error is {found.error:.4g}"
    )


def C_is_allowed(e: Evidence, k: Terms) -> bool:
    """Whether the audit knows a C for the bound of part 2."""
    audit = audit_of(e, k)
    return audit is not None and audit.holds


@statement(
    "theorem_3_1_2_proof",
    "Theorem 3.1(2)",
    "1",
    "test error <= |N|/n + Rademacher term + sqrt(2 log(2/delta)/n)",
    uses=_followed,
    needs=(*MARGIN, "norm_at_most_1"),
    probability=one_minus(4),
    refutable=False,
    inner=True,
)
def _theorem_3_1_2_proof(e: Evidence, k: Terms) -> Comparison | Absent:
    found = _test_error(e, k)
    if isinstance(found, Absent):
        return found
    assert found.error is not None
    margin = float(_margin(e, k)[e.sizes > 0].min())
    gap = math.sqrt(2 * math.log(2 / k.delta) / e.n)

    def proven(gamma: float, width: float) -> float:
        return e.n_noisy / e.n + 4 * width / (gamma * math.sqrt(e.n)) + gap

    width = math.hypot(1, e.spread)
    gamma = e.r * GAMMA
    bound = proven(gamma, width)
    return at_most(
        found.error,
        bound,
        trivial=bound >= 1,
        details={
            "paper": proven(gamma, 1.0),
            "post_hoc_not_a_bound": proven(margin, width) if margin > 0 else math.inf,
            "margin": margin,
        },
        constant=Constant("gamma", gamma, margin, GAMMA),
    )


class FreshPoints(NamedTuple):
    """What the network at T does on fresh points.

    Attributes
    ----------
    estimate : ErrorEstimate
        Its error.
    agree : int
        On how many of the points sgn f = sgn f*, with f* = abs<mu1, x> - abs<mu2, x> of (1).
        sgn(0) agrees with nothing.
    """

    estimate: ErrorEstimate
    agree: int


@once
def fresh_points(e: Evidence, k: Terms) -> FreshPoints | Absent:
    """Fresh points, drawn until it is clear on which side of its bound the test error is.

    The run must have a distribution, and W of step T.
    """
    distribution = e.run.data.distribution
    assert distribution is not None, "Uses(width=True) was met"
    name = stored_by_name(distribution)
    if name:
        return Absent(f"the callable {name!r} was stored by its name only")
    bound, _, _ = _stated_bound(e, k)
    network = Network.of(e.W(k.t), e.a, None, None)
    most = max(2, min(MOST_POINTS, MOST_REALS // e.d))
    generator = _seeds.generator(_seeds.root(k.rng), "check")
    agree = 0

    def compare(X: NDArray[np.floating], f: NDArray[np.floating]) -> None:
        nonlocal agree
        ideal = np.abs(X @ e.M[0]) - np.abs(X @ e.M[2])
        agree += int((np.sign(f) * np.sign(ideal) > 0).sum())

    try:
        for found in estimates(network, distribution, most, generator, listener=compare):
            if _decided(found, bound):
                break
    except Exception as error:
        if not (callable(distribution.law) or callable(distribution.eta)):
            raise
        said = " ".join(str(error).split())
        return Absent(f"fresh points cannot be drawn: {type(error).__name__}: {said}")
    return FreshPoints(found, agree)


def _test_error(e: Evidence, k: Terms) -> ErrorEstimate | Absent:
    """The error on fresh points; absent if labels are not flipped with a probability eta(x)."""
    found = fresh_points(e, k)
    if isinstance(found, Absent):
        return found
    distribution = e.run.data.distribution
    assert distribution is not None, "Uses(width=True) was met"
    if not noise_is_drawn(distribution):
        why = f"labels were flipped by the rule {distribution.noise!r}, not with probability eta(x)"
        return Absent(why, _clean_details(e, found.estimate))
    return found.estimate


def _stated_bound(e: Evidence, k: Terms) -> tuple[float, float, float]:
    """The right side of part 2, its C, and sqrt(log(1/delta)/n)."""
    assert e.eta is not None, "Uses(rate=True) was met"
    audit = audit_of(e, k)
    C = math.inf if audit is None else audit.hi
    tail = math.sqrt(math.log(1 / k.delta) / e.n)
    return e.eta + C * tail, C, tail


def _decided(estimate: ErrorEstimate, bound: float) -> bool:
    """Whether more points would hardly change on which side of the bound the error is."""
    if estimate.low is None or estimate.high is None:
        return True
    return not estimate.low <= bound <= estimate.high


def _clean_details(e: Evidence, estimate: ErrorEstimate) -> dict[str, Any]:
    """Details on fresh points that do not depend on the rule of the noise."""
    distribution = e.run.data.distribution
    assert distribution is not None, "Uses(width=True) was met"
    return {
        "clean_error": estimate.clean_error,
        "clean_interval": [estimate.clean_low, estimate.clean_high],
        "points": estimate.n,
        **reference_lines(distribution),
    }


@statement(
    "equation_46",
    "(46)",
    "(46)",
    "mean of min(1, max(0, 1 - y_i f(x_i; W^T)/gamma)) <= |N|/n",
    uses=lambda e, k: Uses(horizon=True, last=k.t, steps=[k.t], weights=[k.t]),
    needs=MARGIN,
    refutable=False,
    inner=True,
)
def _equation_46(e: Evidence, k: Terms) -> Comparison:
    # where (45) holds every sample counts 0 or 1, and both sides are equal, without rounding
    ramp = np.clip(1 - e.run.data.y * e.output(k.t) / (e.r * GAMMA), 0, 1)
    return at_most(float(ramp.sum()) / e.n, e.n_noisy / e.n)


@statement(
    "fresh_agreement",
    "Section 3",
    "Section 3",
    "share of fresh points with sgn f = sgn(|<mu1, x>| - |<mu2, x>|) at T",
    uses=_followed,
    probability="none",
    inner=True,
)
def _fresh_agreement(e: Evidence, k: Terms) -> Comparison | Absent:
    found = fresh_points(e, k)
    if isinstance(found, Absent):
        return found
    points = found.estimate.n
    return value_alone(found.agree / points, {"points": points})


THEOREM_3_1 = (
    _theorem_3_1_1,
    _theorem_3_1_1_clean,
    _theorem_3_1_1_noisy,
    _equation_45,
    _theorem_3_1_2,
    _theorem_3_1_2_proof,
    _equation_46,
    _fresh_agreement,
)


def theorem_3_1(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Theorem 3.1: at T the clean samples are right, the noisy ones are not, and it generalizes.

    Parameters
    ----------
    run : Run
        A run of T steps on XOR clusters.
    delta, C0
        See :func:`rfa.theory.check`.
    rng : int, SeedSequence, Generator or None
        Where the fresh points come from; None: stream ``check`` of the run's seed.

    Returns
    -------
    tuple of Check
        ``theorem_3_1_1`` (both counts), ``_1_clean``, ``_1_noisy``, ``equation_45``,
        ``theorem_3_1_2``, ``theorem_3_1_2_proof``, ``equation_46`` and ``fresh_agreement``.

    Notes
    -----
    Part 1: y f <= 0 on no clean and y f > 0 on no noisy sample; (45) y~ f >= e^-2/16384. Part 2:
    the test error, with the label noise integrated out, is at most eta + C sqrt(log(1/delta)/n),
    where C is the largest that (A1)-(A7) allow. Fresh points are drawn until their 99.9 percent
    interval leaves the bound on one side, 200000 (or 4 10^8/d) at the most.

    ``theorem_3_1_2_proof`` has the bound with which the paper's proof ends, with a factor 2 mended:
    size(N)/n + 4 sqrt(1 + sigma^2 d)/(gamma sqrt n) + sqrt(2 log(2/delta)/n). It is vacuous above
    1. The details have the same sum with the paper's 4/gamma, and with the margin that the run
    reached in place of gamma. The latter is not a bound, because that margin is known only after
    the run.

    (46), a step of that proof: the mean over the samples of the ramp loss r = min(1, max(0, 1 - y
    f/gamma)) is at most size(N)/n. Where (45) holds, both sides are equal.

    ``fresh_agreement`` is a value alone: the share of the same fresh points on which sgn f is that
    of abs<mu1, x> - abs<mu2, x>, as which, the paper says, the network essentially acts.

    Part 2 is applicable only if labels are flipped independently, each with probability eta(x).
    Otherwise the details have the clean error.

    Examples
    --------
    >>> import rfa
    >>> checks = theorem_3_1(rfa.preset("assumptions").run(rng=0))
    >>> [check.holds for check in checks[:-1]], checks[-1].verdict
    ([True, True, True, True, True, True, True], 'no claim')
    """
    return checks_of(THEOREM_3_1, run, delta, C0, rng)


# ------------------------------------------------------------------ Proposition B.1


@once
def _complexity(e: Evidence, k: Terms) -> Complexity:
    return rademacher_complexity(e.run.data.X, e.a, 1.0, k.rng, draws=SIGN_DRAWS)


def _complexity_details(found: Complexity) -> dict[str, Any]:
    return {
        "standard_error": found.standard_error,
        "draws": found.draws,
        "maximum": "exact" if found.exact_maximum else "a lower estimate",
    }


def _estimated(found: Complexity) -> str:
    return (
        ""
        if found.exact_maximum
        else "the value is a lower estimate of the complexity, so that the verdict is not certain"
    )


@statement(
    "proposition_B_1",
    "Proposition B.1",
    "15",
    "Rademacher complexity <= 2 R sqrt(mean |x_i|^2)/sqrt n, R = 1",
    uses=lambda e, k: Uses(clusters=False),
)
def _proposition_B_1(e: Evidence, k: Terms) -> Comparison:
    found = _complexity(e, k)
    return at_most(
        found.value, found.bound, why=_estimated(found), details=_complexity_details(found)
    )


@statement(
    "proposition_B_1_expected",
    "Proposition B.1",
    "15",
    "Rademacher complexity <= 2 R sqrt(1 + sigma^2 d)/sqrt n, R = 1",
    uses=lambda e, k: Uses(width=True),
    needs=("second_layer",),
    probability="none",
)
def _proposition_B_1_expected(e: Evidence, k: Terms) -> Comparison:
    assert e.sigma is not None, "Uses(width=True) was met"
    found = _complexity(e, k)
    bound = expected_bound(1.0, e.sigma, e.d, e.n)
    return at_most(found.value, bound, why=_estimated(found), details=_complexity_details(found))


PROPOSITION_B_1 = (_proposition_B_1, _proposition_B_1_expected)


def proposition_B_1(
    run: Run,
    *,
    delta: float = setting.DELTA,
    C0: float = setting.C0,
    rng: _seeds.Seed = None,
) -> tuple[Check, ...]:
    """Proposition B.1: the Rademacher complexity of networks with norm_F(W) <= 1, on the samples.

    Parameters
    ----------
    run : Run
        Any run; only its samples and second layer matter.
    delta, C0
        See :func:`rfa.theory.check`.
    rng : int, SeedSequence, Generator or None
        Where the signs come from; None: stream ``check`` of the run's seed.

    Returns
    -------
    tuple of Check
        ``proposition_B_1`` and ``proposition_B_1_expected``, whose bound is that of the expectation
        over samples. Both scale with R, which is 1 here.

    Notes
    -----
    See :func:`rfa.theory.rademacher_complexity`: exact for d <= 2, a lower estimate otherwise, with
    the standard error of the drawn signs in the details. The first is true of every network.

    Examples
    --------
    >>> import rfa
    >>> [check.holds for check in proposition_B_1(rfa.preset("theorem").run(rng=0))]
    [True, True]
    """
    return checks_of(PROPOSITION_B_1, run, delta, C0, rng)
