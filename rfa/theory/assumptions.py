"""Section 2.1's assumptions (A1)-(A7): the C that satisfy them, and what they ask of the rest."""

from __future__ import annotations

import html
import math
import operator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rfa import _validate
from rfa._tables import aligned, as_html, as_markdown, jsonable
from rfa.setting import HasParameters, Parameters

Interval = tuple[float, float]
Block = tuple[str, list[tuple[str, ...]]]  # title, rows of which the first is the header

# Bounds count as met within this relative distance, which is rounding.
TOLERANCE = 1e-12


# The C0 of Definition 4.5, with which the paper's proof of Theorem 3.1 closes.
LITERAL_C0 = 4**5 * 1024**2 * math.exp(4)

# Number in the paper -> (number in the journal version, what it says).
ASSUMPTIONS = {
    "A1": ("A1", "d >= C max(log^2(n/delta), log(m/delta))"),
    "A2": ("A5", "m >= C log(1/delta)"),
    "A3": ("A2", "sigma^2 <= 1/(C^2 d)"),
    "A4": ("A3", "n >= C log(m/delta)"),
    "A5": ("A4", "eta <= 1/C"),
    "A6": ("A6", "omega_init^2 <= 1/(C^4 m d)"),
    "A7": ("A7", "1/(2 sqrt C) <= alpha <= 1/sqrt C"),
}


RELATIONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Need(NamedTuple):
    """An inequality that a proof takes for granted where it says "for C large enough".

    Attributes
    ----------
    id : str
        Its name; those that end in ``_literal`` are evaluated with the paper's literal C0.
    statement : str
        The inequality.
    value, bound : float
        Its left and right side.
    holds : bool
        Whether it is true.
    source : str
        Where the paper uses it, in the arXiv numbering (the journal version's in brackets).
    """

    id: str
    statement: str
    value: float
    bound: float
    holds: bool
    source: str


class Binding(NamedTuple):
    """What makes the ends of the interval of C: names of assumptions, or "C > 1"."""

    lo: tuple[str, ...]
    hi: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """Which C satisfy (A1)-(A7) for an experiment; prints as a table.

    Attributes
    ----------
    parameters : dict
        n, d, m, alpha, sigma, omega_init, eta, with the experiment's defaults filled in.
    delta, C0 : float
        As given.
    C1, C2 : float
        The constants of Lemmas 4.3 and 4.4 with which ``needs`` are evaluated.
    lo, hi : float
        The feasible C are those in [lo, hi] above 1; none if hi < lo.
    holds : bool
        Whether there are any: hi > 1 and hi >= lo, the latter within a relative 1e-12. That is
        necessary for the theorem and not sufficient, since the paper asks for a C "large enough"
        and never says how large.
    binding : Binding
        Names of what makes ``lo`` and ``hi``.
    constants : dict of str to (float, float)
        For each of "A1", ..., "A7" the interval of C that it allows.
    needs : tuple of Need
        What the proofs need besides, with C = hi.
    unmet : tuple of str
        Hypotheses of the theorem other than (A1)-(A7) that the experiment does not meet.
    notes : tuple of str
        What else to know.
    """

    parameters: dict[str, Any]
    delta: float
    C0: float
    C1: float
    C2: float
    lo: float
    hi: float
    holds: bool
    binding: Binding
    constants: dict[str, Interval]
    needs: tuple[Need, ...]
    unmet: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def hypotheses_met(self) -> bool:
        """Whether (A1)-(A7) hold for some C and no other hypothesis of the theorem is unmet."""
        return self.holds and not self.unmet

    def to_dict(self) -> dict[str, Any]:
        """The audit as a JSON-able dictionary; infinite numbers become the string "inf".

        Returns
        -------
        dict
            The attributes by name, and hypotheses_met.
        """
        values = asdict(self) | {
            "binding": self.binding._asdict(),
            "needs": [need._asdict() for need in self.needs],
            "hypotheses_met": self.hypotheses_met,
        }
        result: dict[str, Any] = jsonable(values)
        return result

    def to_markdown(self) -> str:
        """The tables in Markdown.

        Returns
        -------
        str
        """
        parts = [f"**{self._verdict()}**", *(f"- {line}" for line in self._remarks())]
        for title, rows in self._blocks():
            parts += ["", f"{title}:", "", as_markdown(rows)]
        return "\n".join(parts)

    def __str__(self) -> str:
        parts = [self._verdict(), *(f"  {line}" for line in self._remarks())]
        for title, rows in self._blocks():
            parts += ["", title, aligned(rows)]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{html.escape(self._verdict())}</b></p>"]
        parts += [f"<p>{html.escape(line)}</p>" for line in self._remarks()]
        parts += [as_html(rows, title) for title, rows in self._blocks()]
        return "\n".join(parts)

    def _verdict(self) -> str:
        found = f"hold for C in [{self.lo:.4g}, {self.hi:.4g}]" if self.holds else "hold for no C"
        return f"(A1)-(A7) {found} at delta = {self.delta:g}"

    def _remarks(self) -> list[str]:
        ends = (
            f"C >= {self.lo:.4g} by {' and '.join(self.binding.lo)}, "
            f"C <= {self.hi:.4g} by {' and '.join(self.binding.hi)}"
        )
        listed = ", ".join(f"{name}={value:.4g}" for name, value in self.parameters.items())
        constants = f"C0={self.C0:.4g}, C1={self.C1:.4g}, C2={self.C2:.4g}"
        unmet = [f"hypothesis not met: {line}" for line in self.unmet]
        return [ends, listed, constants, *unmet, *self.notes]

    def _blocks(self) -> list[Block]:
        assumptions: list[tuple[str, ...]] = []
        for name, (low, high) in self.constants.items():
            number, statement = ASSUMPTIONS[name]
            mark = "binding" if name in self.binding.lo + self.binding.hi else ""
            assumptions.append((name, number, statement, f"{low:.4g}", f"{high:.4g}", mark))
        needs: list[tuple[str, ...]] = [
            (
                need.statement + (", literal C0" if need.id.endswith("_literal") else ""),
                f"{need.value:.4g}",
                f"{need.bound:.4g}",
                "yes" if need.holds else "NO",
                need.source,
            )
            for need in self.needs
        ]
        return [
            ("Allowed C", [("arXiv", "JMLR", "assumption", "from", "up to", ""), *assumptions]),
            ("Derived needs, at C = hi", [("need", "value", "bound", "holds", "source"), *needs]),
        ]


def audit(exp: HasParameters, delta: float = 0.1, C0: float = 5.0) -> Audit:
    """Which C satisfy the assumptions (A1)-(A7), and what the proofs need besides.

    Parameters
    ----------
    exp : Experiment
        The parameters.
    delta : float, default 0.1
        Failure probability, in (0, 1); from 1/4 on the theorem's 1 - 4 delta says nothing.
    C0 : float, default 5.0
        The constant of Lemma 4.2 for the needs, above 1. Those that depend on it are evaluated with
        the paper's literal C0 = 4^5 1024^2 e^4 too.

    Returns
    -------
    Audit

    Raises
    ------
    TypeError
        If exp is not an Experiment.
    ValueError
        If delta or C0 is out of range.

    Notes
    -----
    Section 2.1. The proofs leave C1 and C2 open. Here C1 = min((sigma sqrt d)^(-1/2),
    1/(sigma sqrt d), (n/log(1/delta))^(1/4)), the largest for which the second inequalities of
    Lemma 4.3 hold, under both C0; and C2 = 12 C0 sqrt(2 pi e), from (12). size(N)/n is taken to be
    the largest that Lemma 4.3(c) allows, eta + C1 sqrt(log(1/delta)/n), and 0 if eta = 0. Costs
    O(1).

    Examples
    --------
    >>> from rfa import preset
    >>> result = audit(preset("assumptions"))
    >>> result.holds, round(result.lo, 2), round(result.hi, 2), result.binding.hi
    (True, 16.0, 16.67, ('A3', 'A5'))
    >>> audit(preset("figure1")).constants["A6"]
    (1.0, 2.0)
    """
    if not isinstance(exp, HasParameters):
        raise TypeError(f"exp must be an Experiment, got {_validate.shown(exp)}")
    return audit_parameters(
        exp.parameters(), delta, C0, noise=exp.noise, law=exp.law, balance=exp.balance
    )


def audit_parameters(
    parameters: Parameters, delta: float, C0: float, *, noise: str, law: str, balance: Any
) -> Audit:
    """The audit of parameters; noise, law and balance as in XORClusters."""
    delta = probability(delta)
    C0 = above_one(C0)
    constants = allowed(parameters, delta)
    lo, hi = feasible_interval(constants)
    C1 = largest_C1(parameters.spread, parameters.n, delta)
    unmet = unmet_hypotheses(parameters, delta)
    if C1 < 2:
        unmet.append(f"C1 of Lemma 4.3 must be at least 2, the parameters allow {C1:.4g}")
    if noise != "independent":
        unmet.append(f"labels must flip independently of each other, not by {noise!r}")
    if balance not in (None, (0.25,) * 4):
        unmet.append(f"clusters must be drawn uniformly at random, not by {balance!r}")
    notes = vacuous_at(delta)
    if law != "gaussian":
        notes.append("Lemma 4.4 is proved for Gaussian clusters only")
    notes.append('"C large enough" is never quantified: to pass is necessary, not sufficient')
    return Audit(
        parameters=parameters._asdict(),
        delta=delta,
        C0=C0,
        C1=C1,
        C2=C2_of(C0),
        lo=lo,
        hi=hi,
        holds=hi > 1 and reaches(hi, lo),
        binding=Binding(
            lo=("A7",) if lo > 1 else ("C > 1",),
            hi=tuple(k for k, (_, high) in constants.items() if reaches(hi, high)),
        ),
        constants=constants,
        needs=_needs(parameters, delta, hi, C0, C1),
        unmet=tuple(unmet),
        notes=tuple(notes),
    )


def above_one(C0: float) -> float:
    """A valid C0."""
    C0 = _validate.real(C0, "C0")
    if C0 <= 1:
        raise ValueError(f"C0 must be above 1, got {C0!r}")
    return C0


def probability(delta: float) -> float:
    """A valid delta."""
    return _validate.open_fraction(delta, "delta")


def unmet_hypotheses(p: Parameters, delta: float) -> list[str]:
    """Hypotheses besides (A1)-(A7) that the parameters do not meet."""
    unmet = []
    if p.omega_init == 0:
        unmet.append("omega_init must be positive: with 0 no neuron is in any J_mu")
    if delta >= 0.5:
        unmet.append(f"delta must be below 1/2, it is {delta:g}")
    return unmet


def vacuous_at(delta: float) -> list[str]:
    """What to note where delta makes the theorem say nothing."""
    if delta < 0.25:
        return []
    return [
        f"the theorem is vacuous at this delta: its probability 1 - 4 delta = {1 - 4 * delta:g}"
    ]


def over(x: float, y: float) -> float:
    """x / y for x > 0, infinite at y = 0."""
    return x / y if y else math.inf


def reaches(high: float, low: float, tolerance: float = TOLERANCE) -> bool:
    """Whether high >= low, up to rounding."""
    return high >= low * (1 - tolerance)


def allows(interval: Interval, C: float) -> bool:
    """Whether C is in the interval: half the tolerance at either end, so that the audit passes."""
    low, high = interval
    return high > 1 and reaches(high, C, TOLERANCE / 2) and reaches(C, low, TOLERANCE / 2)


def feasible_interval(constants: dict[str, Interval]) -> Interval:
    """The C that all assumptions allow."""
    return max(low for low, _ in constants.values()), min(high for _, high in constants.values())


def allowed(p: Parameters, delta: float) -> dict[str, Interval]:
    """The C that each assumption allows; products where a power would raise on overflow."""
    log_delta = -math.log(delta)
    log_n, log_m = math.log(p.n) + log_delta, math.log(p.m) + log_delta
    upper = {
        "A1": p.d / max(log_n * log_n, log_m),
        "A2": p.m / log_delta,
        "A3": over(1, p.spread),
        "A4": p.n / log_m,
        "A5": over(1, p.eta),
        "A6": over(1, math.sqrt(p.start)),
    }
    whole, half = 1 / p.alpha, 0.5 / p.alpha
    return {k: (1.0, high) for k, high in upper.items()} | {"A7": (half * half, whole * whole)}


def largest_C1(spread: float, n: int, delta: float) -> float:
    """The largest C1 for which the second inequalities of Lemma 4.3 hold; spread: sigma sqrt(d)."""
    fourth_root = math.sqrt(math.sqrt(n / -math.log(delta)))
    return min(over(1, math.sqrt(spread)), over(1, spread), fourth_root)


def C2_of(C0: float) -> float:
    """C2 from C0, by (12)."""
    return 12 * C0 * math.sqrt(2 * math.pi * math.e)


def _needs(p: Parameters, delta: float, C: float, C0: float, C1: float) -> tuple[Need, ...]:
    """The inequalities of the proofs, with C the largest feasible one."""
    needs: list[Need] = []

    def need(id: str, statement: str, value: float, bound: float, source: str) -> None:
        (sign,) = RELATIONS.keys() & statement.split()
        needs.append(Need(id, statement, value, bound, RELATIONS[sign](value, bound), source))

    e2 = math.exp(-2)
    start, near = p.start, C1 * p.spread
    noisy = min(1.0, p.eta + C1 * math.sqrt(-math.log(delta) / p.n)) if p.eta else 0.0
    twice_root = over(0.5, math.sqrt(C))
    need("lemma_4_3", "C1 >= 2", C1, 2.0, "Lemma 4.3 [5]")
    need("lemma_a_1", "omega_init sqrt(md) <= alpha/3", start, p.alpha / 3, "Lemma A.1 [14]")
    need("lemma_4_9", "alpha <= 1/4", p.alpha, 0.25, "Lemma 4.9 [11], norm of W_T")
    need("eq_37_noise", "2 size(N)/n <= e^-2/128", 2 * noisy, e2 / 128, "(37), Lemma 4.11 [13]")
    need("eq_37_sigma", "2 C1 sigma sqrt(d) <= e^-2/128", 2 * near, e2 / 128, "(37), 4.11 [13]")
    need("after_38", "C > 512 C1 e^2", C, 512 * C1 / e2, "after (38), Lemma 4.11 [13]")
    need("after_40", "C1/C < 1/(2 sqrt C)", over(C1, C), twice_root, "after (40), 4.11 [13]")
    need("eq_49", "alpha <= 1/10", p.alpha, 0.1, "(49), Proposition 3.2 [2]")
    need("eq_50", "8 C1 sigma sqrt(d) <= e^-2/512", 8 * near, e2 / 512, "(50), 3.2 [2]")
    need("eq_52", "omega_init sqrt(md) <= e^-2/4096", start, e2 / 4096, "before (52), 3.2 [2]")
    for lit, c0 in (("", C0), ("_literal", LITERAL_C0)):
        C2, share = C2_of(c0), (1 - 1 / c0) * (1 - 1 / c0)
        width, margin = 16 * c0 * c0 * (math.log(32) - math.log(delta)), e2 * share / 6144
        need("lemma_4_2" + lit, "m >= 16 C0^2 log(32/delta)", p.m, width, "Lemma 4.2 [4]")
        need("eq_20" + lit, "alpha <= e^-2 (1-1/C0)^2/6144", p.alpha, margin, "(20), 4.9 [11]")
        need("eq_31_noise" + lit, "size(N)/n <= 1/(2 C2)", noisy, 0.5 / C2, "(31), 4.10 [12]")
        need("eq_31_eta" + lit, "eta <= 1/(4 C2)", p.eta, 0.25 / C2, "(31), 4.10 [12]")
        need(
            "eq_32" + lit, "omega_init sqrt(md) <= 1/(16 C2)", start, 1 / C2 / 16, "(32), 4.10 [12]"
        )
        need("eq_34" + lit, "C1 sigma sqrt(d) <= 1/(64 C2)", near, 1 / C2 / 64, "(34), 4.10 [12]")
    return tuple(needs)
