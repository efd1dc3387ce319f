"""Section 2.1's assumptions (A1)-(A7): the C that satisfy them, and what they ask of the rest."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rfa import _validate, setting
from rfa._tables import aligned, as_html, as_markdown, jsonable
from rfa.data.laws import LAWS
from rfa.setting import HasParameters, Parameters
from rfa.theory.constants import C2_of, above_one, largest_C1, over, probability
from rfa.theory.needs import Need, derived_needs

Interval = tuple[float, float]
Block = tuple[str, list[tuple[str, ...]]]  # title, rows of which the first is the header

# Bounds count as met within this relative distance, which is rounding.
TOLERANCE = 1e-12

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


class Binding(NamedTuple):
    """What determines the ends of the interval of C: names of assumptions, or "C > 1"."""

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
        Whether there are feasible C: hi > 1 and hi >= lo, the latter within a relative 1e-12. That
        is necessary for the theorem and not sufficient, since the paper asks for a C "large enough"
        and never says how large.
    binding : Binding
        The assumptions that determine ``lo`` and ``hi``.
    constants : dict of str to (float, float)
        For each of "A1", ..., "A7" the interval of C that it allows.
    needs : tuple of Need
        What the proofs need besides, with C = hi if that is feasible.
    unmet : tuple of str
        Hypotheses of the theorem other than (A1)-(A7) that the experiment does not meet.
    notes : tuple of str
        Reservations, as sentences.
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

    def ends(self) -> str:
        """The ends of the interval of C, and the assumptions that determine them.

        Returns
        -------
        str
        """
        return (
            f"C >= {self.lo:.4g} by {' and '.join(self.binding.lo)}, "
            f"C <= {self.hi:.4g} by {' and '.join(self.binding.hi)}"
        )

    def _remarks(self) -> list[str]:
        listed = ", ".join(f"{name}={value:.4g}" for name, value in self.parameters.items())
        constants = f"C0={self.C0:.4g}, C1={self.C1:.4g}, C2={self.C2:.4g}"
        unmet = [f"hypothesis not met: {line}" for line in self.unmet]
        return [self.ends(), listed, constants, *unmet, *self.notes]

    def _blocks(self) -> list[Block]:
        assumptions: list[tuple[str, ...]] = []
        for name, (low, high) in self.constants.items():
            number, statement = ASSUMPTIONS[name]
            mark = "binding" if name in self.binding.lo + self.binding.hi else ""
            assumptions.append((name, number, statement, f"{low:.4g}", f"{high:.4g}", mark))
        needs: list[tuple[str, ...]] = [
            (
                need.statement + (", literal C0" if need.literal else ""),
                "no C" if math.isnan(need.value) else f"{need.value:.4g}",
                "no C" if math.isnan(need.bound) else f"{need.bound:.4g}",
                "yes" if need.holds else "NO",
                need.source,
            )
            for need in self.needs
        ]
        return [
            ("Allowed C", [("arXiv", "JMLR", "assumption", "from", "up to", ""), *assumptions]),
            ("Derived needs, at C = hi", [("need", "value", "bound", "holds", "source"), *needs]),
        ]


def audit(exp: HasParameters, delta: float = setting.DELTA, C0: float = setting.C0) -> Audit:
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
    Lemma 4.3 hold, whatever C0 is. C2 = 12 C0 sqrt(2 pi e), from (12). For size(N)/n the needs have
    the largest that Lemma 4.3(c) allows, eta + C1 sqrt(log(1/delta)/n), and 0 if eta = 0. The c of
    (7), which the paper leaves open, is taken to be 1, which is less than the proof takes. O(1).

    Examples
    --------
    >>> from rfa import preset
    >>> result = audit(preset("assumptions"))
    >>> result.holds, round(result.lo, 2), round(result.hi, 2), result.binding.hi
    (True, 16.0, 16.67, ('A3', 'A5'))
    >>> audit(preset("figure1")).constants["A6"]
    (1.0, 2.0)
    """
    _validate.instance(exp, "exp", HasParameters, "an Experiment")
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
    holds = hi > 1 and reaches(hi, lo)
    C1 = largest_C1(parameters.spread, parameters.n, delta)
    unmet = (
        omega_unmet(parameters.omega_init),
        delta_unmet(delta),
        f"C1 of Lemma 4.3 must be at least 2, the parameters allow {C1:.4g}" if C1 < 2 else "",
        noise_unmet(noise),
        balance_unmet(balance),
        law_unmet(law),
    )
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
        holds=holds,
        binding=Binding(
            lo=("A7",) if lo > 1 else ("C > 1",),
            hi=tuple(k for k, (_, high) in constants.items() if reaches(hi, high)),
        ),
        constants=constants,
        needs=derived_needs(parameters, delta, hi if holds else math.nan, C0, C1),
        unmet=tuple(filter(None, unmet)),
        notes=tuple(notes),
    )


def omega_unmet(omega_init: float) -> str:
    """A sentence on an omega_init that is not positive; "" for a positive one."""
    return "" if omega_init else "omega_init must be positive: with 0 no neuron is in any J_mu"


def delta_unmet(delta: float) -> str:
    """A sentence on a delta that is too large; "" for another delta."""
    return "" if delta < 0.5 else f"delta must be below 1/2, it is {delta:g}"


def noise_unmet(noise: str) -> str:
    """A sentence on noise whose flips depend on each other; "" for independent flips."""
    if noise == "independent":
        return ""
    return f"labels must flip independently of each other, not by {noise!r}"


def balance_unmet(balance: Any) -> str:
    """A sentence on clusters that are not drawn uniformly; "" for uniform ones."""
    if balance in (None, (0.25,) * 4):
        return ""
    return f"clusters must be drawn uniformly at random, not by {balance!r}"


def law_unmet(law: str) -> str:
    """A sentence on a law given as a function; "" for a law that has a name."""
    return "" if law in LAWS else f"the law must be log-concave, which is not known of {law}"


def vacuous_at(delta: float) -> list[str]:
    """A sentence on a delta at which the theorem says nothing, in a list; else an empty list."""
    if delta < 0.25:
        return []
    return [
        f"the theorem is vacuous at this delta: its probability 1 - 4 delta = {1 - 4 * delta:g}"
    ]


def reaches(high: float, low: float, tolerance: float = TOLERANCE) -> bool:
    """Whether high >= low, up to rounding."""
    return high >= low * (1 - tolerance)


def allows(interval: Interval, C: float) -> bool:
    """Whether C is in the interval, up to half the tolerance of the audit, so that it passes."""
    low, high = interval
    return high > 1 and reaches(high, C, TOLERANCE / 2) and reaches(C, low, TOLERANCE / 2)


def feasible_interval(constants: dict[str, Interval]) -> Interval:
    """The C that all assumptions allow."""
    return max(low for low, _ in constants.values()), min(high for _, high in constants.values())


def allowed(p: Parameters, delta: float) -> dict[str, Interval]:
    """The C that each assumption allows. Products stand where a power would raise on overflow."""
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
