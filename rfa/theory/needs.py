"""The inequalities that the proofs need besides (A1)-(A7), which they take for granted."""

from __future__ import annotations

import math
import operator
from typing import NamedTuple

from rfa.setting import Horizon, Parameters
from rfa.theory.constants import LITERAL_C0, C2_of, over

RELATIONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}

# Their ids, apart from those with the paper's literal C0, which end in ``_literal``; and where the
# paper uses them.
NEEDS = {
    "lemma_4_1": "4.1",
    "lemma_4_3": "4.3",
    "lemma_4_3_b": "4.3(b)",
    "eq_6": "(6)",
    "lemma_a_1": "A.1",
    "lemma_4_9": "4.9",
    "eq_37_noise": "(37)",
    "eq_37_sigma": "(37)",
    "after_38": "after (38)",
    "after_40": "after (40)",
    "eq_49": "(49)",
    "eq_50": "(50)",
    "eq_52": "before (52)",
    "lemma_4_2": "4.2",
    "eq_12": "(12)",
    "eq_12_noise": "(12)",
    "eq_20": "(20)",
    "lemma_4_9_margins": "after (20)",
    "eq_45": "(45)",
    "eq_31_noise": "(31)",
    "eq_31_eta": "(31)",
    "eq_32": "(32)",
    "eq_34": "(34)",
}


class Need(NamedTuple):
    """An inequality that a proof takes for granted where it says "for C large enough".

    Attributes
    ----------
    id : str
        Its name; needs whose id ends in ``_literal`` are evaluated with the paper's literal C0.
    statement : str
        The inequality.
    value, bound : float
        Its left and right side. The value is NaN if it is C, and (A1)-(A7) hold for no C.
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

    @property
    def literal(self) -> bool:
        """Whether it is evaluated with the paper's literal C0."""
        return self.id not in NEEDS


def derived_needs(p: Parameters, delta: float, C: float, C0: float, C1: float) -> tuple[Need, ...]:
    """The inequalities of the proofs, with C the largest feasible one; NaN if none is."""
    needs: list[Need] = []

    def need(id: str, statement: str, value: float, bound: float, source: str) -> None:
        (sign,) = RELATIONS.keys() & statement.split()
        needs.append(Need(id, statement, value, bound, RELATIONS[sign](value, bound), source))

    e2 = math.exp(-2)
    start, near = p.start, C1 * p.spread
    K, r, rounded = _rounding(p.alpha)
    of_r = "r " if rounded else ""
    log_m = math.log(p.m) - math.log(delta)
    # size(N)/n by Lemma 4.3(c), and as (6) needs it
    tail = C1 * math.sqrt(-math.log(delta) / p.n)
    noisy, noise = p.eta + tail, "eta + C1 sqrt(log(1/delta)/n)"
    sixth = "eta + 2 C1 sqrt(log(1/delta)/n) <= 1/8"
    if not p.eta:
        noisy, noise, sixth = 0.0, "eta", "C1 sqrt(log(1/delta)/n) <= 1/8"
    twice_root = over(0.5, math.sqrt(C))
    need("lemma_4_1", "d >= 32 log(4m/delta)", p.d, 32 * (math.log(4) + log_m), "4.1 [3]")
    need("lemma_4_3", "C1 >= 2", C1, 2.0, "4.3 [5]")
    # the proof of 4.3(b) has C1 = c^2
    log_n = math.log(32) + math.log(p.n) - math.log(delta)
    need("lemma_4_3_b", "d >= log^2(32n/delta)/C1", p.d, over(log_n * log_n, C1), "4.3(b) [5]")
    need("eq_6", sixth, noisy + tail, 0.125, "(6), 4.4 [6]")
    need("lemma_a_1", "omega_init sqrt(md) <= alpha/3", start, p.alpha / 3, "A.1 [14]")
    need("lemma_4_9", "alpha <= 1/4", p.alpha, 0.25, "4.9 [11], norm of W_T")
    need("eq_37_noise", f"2 ({noise}) <= e^-2/128", 2 * noisy, e2 / 128, "(37), 4.11 [13]")
    need("eq_37_sigma", "2 C1 sigma sqrt(d) <= e^-2/128", 2 * near, e2 / 128, "(37), 4.11 [13]")
    need("after_38", "C > 512 C1 e^2", C, 512 * C1 / e2, "after (38), 4.11 [13]")
    need("after_40", "C1/C < 1/(2 sqrt C)", over(C1, C), twice_root, "after (40), 4.11 [13]")
    need("eq_49", "alpha <= 1/10", p.alpha, 0.1, "(49), 3.2 [2]")
    need("eq_50", f"8 C1 sigma sqrt(d) <= {of_r}e^-2/512", 8 * near, r * e2 / 512, "(50), 3.2 [2]")
    text = f"omega_init sqrt(md) <= {of_r}e^-2/4096"
    need("eq_52", text, start, r * e2 / 4096, "before (52), 3.2 [2]")
    for lit, c0 in (("", C0), ("_literal", LITERAL_C0)):
        C2, share = C2_of(c0), (1 - 1 / c0) * (1 - 1 / c0)
        width = 16 * c0 * c0 * (math.log(32) - math.log(delta))
        need("lemma_4_2" + lit, "m >= 16 C0^2 log(32/delta)", p.m, width, "4.2 [4]")
        # (7)'s c is at least 1: the second line of (12) takes it to be at least 2 C1 (1 - p)
        samples = 14400 * c0 * c0 * math.pi * math.e * (math.log(64) + log_m)
        text = "n >= 14400 C0^2 pi e log(64m/delta)"
        need("eq_12" + lit, text, p.n, samples, "(12), 4.4 [6]")
        text, most = f"{noise} <= (4 - sqrt 2)/C2", (4 - math.sqrt(2)) / C2
        need("eq_12_noise" + lit, text, noisy, most, "(12), 4.4 [6]")
        if rounded:
            text, value, bound = "K >= 1536 e^2/(1-1/C0)^2", K, 1536 / e2 / share
        else:
            text, value, bound = "alpha <= e^-2 (1-1/C0)^2/6144", p.alpha, e2 * share / 6144
        need("eq_20" + lit, text, value, bound, "(20), 4.9 [11]")
        text = f"C1 sigma sqrt(d) <= {of_r}e^-2 (1-1/C0)^2/4096"
        need("lemma_4_9_margins" + lit, text, near, r * e2 * share / 4096, "after (20), 4.9 [11]")
        need("eq_45" + lit, "(1-1/C0)^2 >= 1/2", share, 0.5, "(45), (53)")
        need("eq_31_noise" + lit, f"{noise} <= 1/(2 C2)", noisy, 0.5 / C2, "(31), 4.10 [12]")
        need("eq_31_eta" + lit, "eta <= 1/(4 C2)", p.eta, 0.25 / C2, "(31), 4.10 [12]")
        text = "omega_init sqrt(md) <= 1/(16 C2)"
        need("eq_32" + lit, text, start, 1 / C2 / 16, "(32), 4.10 [12]")
        need("eq_34" + lit, "C1 sigma sqrt(d) <= 1/(64 C2)", near, 1 / C2 / 64, "(34), 4.10 [12]")
    return tuple(needs)


def _rounding(alpha: float) -> tuple[float, float, bool]:
    """K, r = 4 alpha K and whether K was rounded down; r is 1 if it was not."""
    try:
        _, K, rounded = Horizon.of(alpha)
    except ValueError:  # alpha is so small that 1/(4 alpha) overflows
        return math.inf, 1.0, False
    return K, 4 * alpha * K if rounded else 1.0, rounded
