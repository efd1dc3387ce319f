"""Check: one statement on one run, with its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rfa._tables import jsonable
from rfa.theory.statement import KNOWN

COMPARISONS = {
    ">=": lambda value, bound: value >= bound,
    "<=": lambda value, bound: value <= bound,
    "<": lambda value, bound: value < bound,
}

# Verdicts that stand in place of that of the inequality.
INSTEAD = ("trivial", "no case", "no claim", "undecided")

# With one of these verdicts a statement is true of the run.
TRUE = ("holds", "true", "trivial", "no case")

# All verdicts, in the order in which a report counts them.
VERDICTS = (
    "holds",
    "FAILS",
    "true",
    "false",
    *INSTEAD,
    "not applicable",
    "failed to run",
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statement, evaluated on a run.

    Attributes
    ----------
    id : str
        The statement, one of :data:`rfa.theory.STATEMENTS` or a user's own.
    value : float
        The extreme value over everything that the statement speaks of; NaN if there is none.
    relation : {">=", "<=", "<"}
        How value has to compare with bound.
    bound : float
        The right side, with the constants of :func:`rfa.theory.check`.
    tolerance : float
        What rounding can have added to value; the comparison allows for it.
    applicable : bool
        Whether the run has what the statement needs. If not, ``reason`` says what is missing.
    claims : bool
        Whether the statement claims anything by itself. Conditions 4.7 and 4.8 do not.
    instead : str
        The verdict in place of that of the inequality, if there is one: "trivial", "no case", "no
        claim" or "undecided"; otherwise empty.
    unmet : tuple of str
        The hypotheses of the statement that do not hold on this run, as sentences.
    where : dict
        Where the extreme is: ``neuron``, ``sample``, ``cluster``, ``step``.
    constant : str
        The name of the paper's constant in the bound, with its value in the bound
        (``constant_used``), in the paper (``literal_constant``) and where the inequality would be
        an equality on this run (``empirical_constant``); None where there is none.
    details : dict
        Further numbers, JSON-able.
    why : str
        A remark on the verdict, or why the statement is not applicable.
    failed_to_run : str
        Type and message of the exception that a user's statement raised; otherwise empty.
    text : str
        What is compared, in words and the paper's symbols; that of the paper's statement if empty.
    numbers : tuple of str
        The numbers in arXiv 2202.07626 and JMLR 24(303).

    Examples
    --------
    >>> check = Check(id="lemma_4_9_norm", value=0.8, relation="<=", bound=1.0)
    >>> check.holds, check.verdict, round(check.slack, 3), check.statement
    (True, 'holds', 0.2, '|W^T|_F <= 1')
    """

    id: str
    value: float = math.nan
    relation: str = ">="
    bound: float = math.nan
    tolerance: float = 0.0
    applicable: bool = True
    claims: bool = True
    instead: str = ""
    unmet: tuple[str, ...] = ()
    where: dict[str, Any] = field(default_factory=dict)
    constant: str | None = None
    constant_used: float | None = None
    literal_constant: float | None = None
    empirical_constant: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    failed_to_run: str = ""
    text: str = ""
    numbers: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if self.id in KNOWN:
            object.__setattr__(self, "text", self.text or KNOWN[self.id].text)
            object.__setattr__(self, "numbers", KNOWN[self.id].numbers)

    @property
    def statement(self) -> str:
        """What is compared, in words and the paper's symbols."""
        return self.text

    @property
    def slack(self) -> float:
        """Distance of value from bound, positive inside."""
        return self.value - self.bound if self.relation == ">=" else self.bound - self.value

    @property
    def holds(self) -> bool:
        """Whether the inequality holds; true if there is nothing to compare, never of NaN.

        It is false if the statement is not applicable.
        """
        if not self.applicable:
            return False
        if self.instead == "no case":
            return True
        limit = self.bound + (-self.tolerance if self.relation == ">=" else self.tolerance)
        return bool(COMPARISONS[self.relation](self.value, limit))

    @property
    def silent(self) -> str:
        """Why the inequality says nothing: "trivial" or "no case"; otherwise empty.

        "trivial": any value satisfies the bound. "no case": there is nothing to compare, since a
        set is empty or a trigger is never met.
        """
        return self.instead if self.instead in ("trivial", "no case") else ""

    @property
    def hypotheses_met(self) -> bool:
        """Whether all hypotheses of the statement hold on this run."""
        return not self.unmet

    @property
    def reason(self) -> str:
        """Why the check is not applicable or has its verdict, and which hypotheses are unmet."""
        return "; ".join(filter(None, [self.failed_to_run, self.why, *dict.fromkeys(self.unmet)]))

    @property
    def verdict(self) -> str:
        """What the check says, in one of these words.

        - "holds", "FAILS": the hypotheses are met, so that the claim is tested on this run.
        - "true", "false": the inequality, where the paper claims nothing about this run: hypotheses
          are not met, or the statement claims nothing by itself.
        - "no claim": the statement has an "if" of its own, which is not met; or it is a value
          without a bound.
        - "trivial": any value satisfies the bound.
        - "no case": there is nothing to compare.
        - "undecided": the drawn points leave it open.
        - "not applicable": the run lacks what the statement needs.
        - "failed to run": a user's statement raised an exception.
        """
        if self.failed_to_run:
            return "failed to run"
        if not self.applicable:
            return "not applicable"
        if self.instead and (self.holds or self.instead != "trivial"):
            return self.instead
        if self.claims and not self.unmet:
            return "holds" if self.holds else "FAILS"
        return "true" if self.holds else "false"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; NaN and infinities as strings.

        Returns
        -------
        dict
        """
        values = {
            "id": self.id,
            "arxiv": self.numbers[0],
            "jmlr": self.numbers[1],
            "statement": self.text,
            "value": self.value,
            "relation": self.relation,
            "bound": self.bound,
            "slack": self.slack,
            "tolerance": self.tolerance,
            "holds": self.holds,
            "verdict": self.verdict,
            "silent": self.silent,
            "applicable": self.applicable,
            "hypotheses_met": self.hypotheses_met,
            "reason": self.reason,
            "where": self.where,
            "constant": self.constant,
            "constant_used": self.constant_used,
            "literal_constant": self.literal_constant,
            "empirical_constant": self.empirical_constant,
            "details": self.details,
        }
        return {name: jsonable(value) for name, value in values.items()}
