"""The inverse of the audit: what (A1)-(A7) leave for the parameters that are not given."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rfa import _validate, setting
from rfa._tables import jsonable
from rfa.setting import Parameters
from rfa.theory.assumptions import (
    ASSUMPTIONS,
    TOLERANCE,
    Interval,
    allowed,
    allows,
    delta_unmet,
    omega_unmet,
    reaches,
    vacuous_at,
)
from rfa.theory.constants import probability

# Which assumption makes a missing size large.
FORCED_BY = {"m": "A2", "n": "A4", "d": "A1"}

# Larger sizes that are given are refused: as floats they would overflow.
LARGEST_SIZE = 10**300

# Ends of ranges of n, d and m above this count as infinite: no array can have so large a size.
ADDRESSABLE = 2**62

# The inverse solves for C in this range: C > 1 has no smallest value, and powers must stay finite.
# An assumption that allows every C above 1 allows the smallest one up to TOLERANCE / 2.
SMALLEST_C = 1 + TOLERANCE / 4
LARGEST_C = 1e100


class Clash(NamedTuple):
    """Two demands that cannot both be met.

    Attributes
    ----------
    assumptions : tuple of two str
        The pair; "C > 1" or "C", the value asked for, can take the place of an assumption.
    C : float
        The C at which they clash.
    limit : float
        The end of the C that the first of the two, the other given, allows.
    text : str
        The same as a sentence.
    """

    assumptions: tuple[str, str]
    C: float
    limit: float
    text: str


@dataclass(frozen=True)
class Feasible:
    """What (A1)-(A7) leave for the parameters that were not given; prints as a list.

    Attributes
    ----------
    given : dict
        The parameters that were given.
    delta : float
        As given.
    C : float
        The C for which the rest was solved.
    lo, hi : float
        The C that the given parameters allow, with the best choice of the others (hi to a relative
        1e-12); the given ones contradict each other if hi < lo.
    holds : bool
        Whether the given parameters can be completed at this C.
    ranges : dict of str to (float, float)
        For each missing parameter the values that it can have with a suitable choice of the other
        missing ones; empty if not ``holds``. An end "inf" of a size is beyond 2^62.
    corner : dict
        The choice that works throughout: the given parameters, the smallest n, d and m, and for
        these the largest sigma, omega_init, eta and alpha, so that ``Experiment(**corner)`` passes
        the audit; empty if not ``holds``.
    clashes : tuple of Clash
        If not ``holds``, what contradicts what, the worst first.
    notes : tuple of str
        Hypotheses of the theorem that the given parameters do not meet.
    """

    given: dict[str, Any]
    delta: float
    C: float
    lo: float
    hi: float
    holds: bool
    ranges: dict[str, Interval]
    corner: dict[str, Any]
    clashes: tuple[Clash, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON-able dictionary; infinite numbers become the string "inf".

        Returns
        -------
        dict
            The attributes by name.
        """
        clashes = [clash._asdict() for clash in self.clashes]
        result: dict[str, Any] = jsonable(asdict(self) | {"clashes": clashes})
        return result

    def __str__(self) -> str:
        listed = ", ".join(f"{name}={value}" for name, value in self.given.items())
        lines = [f"(A1)-(A7) at delta = {self.delta:g}, C = {self.C:.6g}, given {listed or 'none'}"]
        for name, (low, high) in self.ranges.items():
            # in full: rounding could carry a bound past what is allowed
            lines.append(f"  {name} in [{low}, {high}]")
        lines += [f"  {line}" for line in (*(c.text for c in self.clashes), *self.notes)]
        return "\n".join(lines)


def feasible(
    delta: float = setting.DELTA,
    C: float | None = None,
    *,
    n: int | None = None,
    d: int | None = None,
    m: int | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
    omega_init: float | None = None,
    eta: float | None = None,
) -> Feasible:
    """What (A1)-(A7) leave for the parameters that are not given: the inverse of the audit.

    Parameters
    ----------
    delta : float, default 0.1
        Failure probability, in (0, 1).
    C : float, optional
        The constant, above 1 and at most 1e100; None: the smallest that the given parameters allow,
        1/(4 alpha^2), or 1 + 2.5e-13 where that is at most 1 or alpha is not given.
    n, d, m, alpha, sigma, omega_init, eta : optional
        The parameters that are fixed; None: to be found. (In an Experiment, None is a default.)

    Returns
    -------
    Feasible

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Notes
    -----
    For one C, (A2), (A4) and (A1) bound m, then n by m, then d by both from below, and everything
    that bounds a size from above is easiest to meet at the smallest sizes. So the given parameters
    can be completed if and only if they can with the smallest m, n and d. The other ends of the
    ranges are found by bisection. Costs some thousand evaluations of the assumptions.

    Examples
    --------
    >>> result = feasible(C=16, alpha=0.125)
    >>> result.ranges["m"], result.corner["n"], result.corner["d"]
    ((37, inf), 95, 753)
    >>> print(feasible(alpha=0.05, eta=0.15))
    (A1)-(A7) at delta = 0.1, C = 100, given alpha=0.05, eta=0.15
      A5 and A7 clash at C = 100: A7 wants C >= 100, A5 allows C <= 6.667
    """
    delta = probability(delta)
    given: dict[str, Any] = {}
    for name, value, check in (
        ("n", n, _validate.positive_int),
        ("d", d, lambda value, name: _validate.integer(value, name, 2)),
        ("m", m, _validate.positive_int),
        ("alpha", alpha, _validate.positive_float),
        ("sigma", sigma, _validate.nonnegative_float),
        ("omega_init", omega_init, _validate.nonnegative_float),
        ("eta", eta, _validate.fraction),
    ):
        if value is not None:
            given[name] = check(value, name)
    for name in FORCED_BY.keys() & given.keys():
        if given[name] > LARGEST_SIZE:
            raise ValueError(f"{name} must be at most 1e300")
    lo = max(1.0, (0.5 / given["alpha"]) * (0.5 / given["alpha"])) if "alpha" in given else 1.0
    if lo > LARGEST_C:
        raise ValueError(f"alpha must be at least 5e-51, got {given['alpha']!r}")
    if C is None:
        chosen, lower = max(lo, SMALLEST_C), "A7" if lo > 1 else "C > 1"
    else:
        chosen, lower = _validate.real(C, "C"), "C"
        if not SMALLEST_C <= chosen <= LARGEST_C:
            raise ValueError(f"C must be above 1 and at most 1e100, got {chosen!r}")
    corner = _least(chosen, delta, given)
    constants = allowed(corner, delta)
    failing = [k for k in constants if not allows(constants[k], chosen)]
    clashes = [_clash(k, chosen, lower, delta, given) for k in failing]
    holds = not failing
    unmet = omega_unmet(corner.omega_init), delta_unmet(delta)
    return Feasible(
        given=given,
        delta=delta,
        C=chosen,
        lo=lo,
        hi=min(_limit(k, delta, given) for k in ASSUMPTIONS),
        holds=holds,
        ranges=_ranges(corner, chosen, delta, given) if holds else {},
        corner=corner._asdict() if holds else {},
        clashes=tuple(sorted(clashes, key=lambda clash: clash.limit)),
        notes=tuple(filter(None, (*unmet, *vacuous_at(delta)))),
    )


def _least(C: float, delta: float, given: dict[str, Any]) -> Parameters:
    """The given parameters, with the smallest n, d, m and the largest other values for the rest."""
    log_delta = -math.log(delta)
    m = given.get("m", max(1, math.ceil(C * log_delta)))
    log_m = math.log(m) + log_delta
    n = given.get("n", max(1, math.ceil(C * log_m)))
    log_n = math.log(n) + log_delta
    d = given.get("d", max(2, math.ceil(C * max(log_n * log_n, log_m))))
    largest = {
        "alpha": 1 / math.sqrt(C),
        "sigma": 1 / (C * math.sqrt(d)),
        "omega_init": 1 / (C * C * math.sqrt(m) * math.sqrt(d)),
        "eta": 1 / C,
    }
    return Parameters(**(largest | given | {"n": n, "d": d, "m": m}))


def _limit(assumption: str, delta: float, given: dict[str, Any]) -> float:
    """The largest C that an assumption allows, with the best choice of the missing parameters."""

    def at(C: float) -> float:
        return allowed(_least(C, delta, given), delta)[assumption][1]

    if at(1 / LARGEST_C) == at(LARGEST_C):
        return at(1.0)
    if reaches(at(LARGEST_C), LARGEST_C):
        return math.inf
    # a larger C forces larger sizes, with which the assumption allows less
    low, high = -math.log(LARGEST_C), math.log(LARGEST_C)
    for _ in range(60):
        middle = (low + high) / 2
        C = math.exp(middle)
        low, high = (middle, high) if reaches(at(C), C) else (low, middle)
    return math.exp(low)


def _clash(k: str, C: float, lower: str, delta: float, given: dict[str, Any]) -> Clash:
    """The demand that contradicts an assumption which fails at C."""
    point = _least(C, delta, given)
    low, _ = allowed(point, delta)[k]
    if not reaches(C, low, TOLERANCE / 2):  # (A7), where a C is asked for
        text = f"{k} clashes with C = {C:.6g}: it wants C >= {low:.4g}"
        return Clash((k, "C"), C, low, text)
    limit = _limit(k, delta, given)
    by_n = (math.log(point.n) - math.log(delta)) ** 2 >= math.log(point.m) - math.log(delta)
    sizes = {"A1": ["n" if by_n else "m"], "A3": ["d"], "A4": ["m"], "A6": ["d", "m"]}
    missing = [name for name in sizes.get(k, []) if name not in given]
    if missing:
        pair = sorted((k, FORCED_BY[missing[0]]))
        grown = f"{missing[0]} >= {getattr(point, missing[0])}"
        text = (
            f"{pair[0]} and {pair[1]} clash at C = {C:.6g}: {FORCED_BY[missing[0]]} makes {grown}, "
            f"and with it {k} allows C <= {limit:.4g} only"
        )
        return Clash((k, FORCED_BY[missing[0]]), C, limit, text)
    wants = {"A7": f"A7 wants C >= {C:.6g}", "C > 1": "C must be above 1", "C": "C was given"}
    text = (
        f"{' and '.join(sorted((k, lower)))} clash at C = {C:.6g}: {wants[lower]}, "
        f"{k} allows C <= {limit:.4g}"
    )
    return Clash((k, lower), C, limit, text)


def _ranges(
    corner: Parameters, C: float, delta: float, given: dict[str, Any]
) -> dict[str, Interval]:
    """The values that each missing parameter can have, with a suitable choice of the others."""
    ranges: dict[str, Interval] = {}
    for name, value in corner._asdict().items():
        if name in given:
            continue
        if name in FORCED_BY:
            ranges[name] = (value, _greatest(name, value, C, delta, given))
        elif name == "alpha":
            ranges[name] = (0.5 / math.sqrt(C), value)
        else:
            ranges[name] = (0.0, value)
    return ranges


def _greatest(name: str, low: int, C: float, delta: float, given: dict[str, Any]) -> float:
    """The largest n, d or m for which the others can be chosen such that (A1)-(A7) hold.

    ``low`` is one such value.
    """

    def fits(size: int) -> bool:
        constants = allowed(_least(C, delta, given | {name: size}), delta)
        return all(allows(interval, C) for interval in constants.values())

    high = low
    while fits(2 * high):
        high *= 2
        if high > ADDRESSABLE:
            return math.inf
    low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
