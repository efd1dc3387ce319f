"""Check: one statement on one run. Report: all of them, as a table, JSON or Markdown."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rfa._tables import aligned, as_html, as_markdown, jsonable
from rfa.theory.hypotheses import SHARED, Unmet
from rfa.theory.statement import KNOWN

COMPARISONS = {
    ">=": lambda value, bound: value >= bound,
    "<=": lambda value, bound: value <= bound,
    "<": lambda value, bound: value < bound,
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statement of the paper, evaluated on a run.

    Attributes
    ----------
    id : str
        The statement, one of :data:`rfa.theory.STATEMENTS`.
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
    vacuous : bool
        Whether the statement says nothing here: a right side that any value satisfies, delta of
        1/4 or more, an empty set, or a trigger that is never met; ``reason`` says which.
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
    empty : bool
        Whether there is nothing to compare, so that value is NaN and the statement vacuous.
    reason : str
        Why the statement is not applicable or vacuous, or which hypotheses are not met.

    Examples
    --------
    >>> check = Check(id="lemma_4_9_norm", value=0.8, relation="<=", bound=1.0)
    >>> check.holds, round(check.slack, 3), check.statement
    (True, 0.2, '|W^T|_F <= 1')
    """

    id: str
    value: float = math.nan
    relation: str = ">="
    bound: float = math.nan
    tolerance: float = 0.0
    applicable: bool = True
    vacuous: bool = False
    unmet: tuple[str, ...] = ()
    where: dict[str, Any] = field(default_factory=dict)
    constant: str | None = None
    constant_used: float | None = None
    literal_constant: float | None = None
    empirical_constant: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    empty: bool = False

    @property
    def statement(self) -> str:
        """What is compared, in words and the paper's symbols."""
        return KNOWN[self.id].text

    @property
    def slack(self) -> float:
        """Distance of value from bound, positive inside."""
        return self.value - self.bound if self.relation == ">=" else self.bound - self.value

    @property
    def holds(self) -> bool:
        """Whether the inequality holds; true of an empty set, never of NaN, never if inapplicable.

        A statement about an empty set has no value, and is vacuous.
        """
        if not self.applicable:
            return False
        if self.empty:
            return True
        limit = self.bound + (-self.tolerance if self.relation == ">=" else self.tolerance)
        return bool(COMPARISONS[self.relation](self.value, limit))

    @property
    def hypotheses_met(self) -> bool:
        """Whether all hypotheses of the statement hold on this run."""
        return not self.unmet

    @property
    def reason(self) -> str:
        """Why the check is not applicable or vacuous, or which hypotheses are not met."""
        return "; ".join(filter(None, [self.why, *self.unmet]))

    @property
    def verdict(self) -> str:
        """``not applicable``, ``FAILS``, ``vacuous`` or ``holds``."""
        if not self.applicable:
            return "not applicable"
        if not self.holds:
            return "FAILS"
        return "vacuous" if self.vacuous else "holds"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; NaN and infinities as strings.

        Returns
        -------
        dict
        """
        number = KNOWN[self.id]
        values = {
            "id": self.id,
            "arxiv": number.arxiv,
            "jmlr": number.jmlr,
            "statement": number.text,
            "value": self.value,
            "relation": self.relation,
            "bound": self.bound,
            "slack": self.slack,
            "tolerance": self.tolerance,
            "holds": self.holds,
            "vacuous": self.vacuous,
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


def shown(value: float | None) -> str:
    """A number in a table."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.4g}"


TITLES = ("statement", "arXiv", "JMLR", "value", "", "bound", "result", "constant", "where", "note")


# A report says above its table which of these do not hold. Rows have a mark for them.
MARKS = dict.fromkeys(SHARED, "*") | {"good_run": "+"}


def mark_of(hypothesis: str) -> str:
    """The mark of an unmet hypothesis; empty if it has none."""
    return MARKS.get(hypothesis.id, "") if isinstance(hypothesis, Unmet) else ""


def cells(check: Check) -> tuple[str, ...]:
    """A check as a row of a table."""
    number = KNOWN[check.id]
    own = [hypothesis for hypothesis in check.unmet if not mark_of(hypothesis)]
    marks = {mark_of(hypothesis) for hypothesis in check.unmet} - {""}
    constants = ""
    if check.constant is not None:
        constants = f"{check.constant}: {shown(check.empirical_constant)}"
        if check.literal_constant is not None:
            constants += f" (paper {shown(check.literal_constant)})"
    where = " ".join(f"{name} {value}" for name, value in check.where.items())
    relation = check.relation if check.applicable else ""
    return (
        check.id,
        number.arxiv,
        number.jmlr,
        shown(check.value),
        relation,
        shown(check.bound),
        check.verdict + "".join(sorted(marks)),
        constants,
        where,
        "; ".join(filter(None, [check.why, *own])),
    )


@dataclass(frozen=True, eq=False)
class Report:
    """All checks of one state of a run; prints as a table, in a terminal and in a notebook.

    Attributes
    ----------
    checks : tuple of Check
        In the order of :data:`rfa.theory.STATEMENTS`.
    settings : dict
        ``delta``, the constants ``C0``, ``C1``, ``C2``, the horizon ``T``, ``rounded`` (whether
        1/(4 alpha) had to be rounded down to T - 1), the run's ``steps``, the ``seed`` of what is
        drawn, the ``parameters`` of the run, the interval ``feasible_C`` that (A1)-(A7) leave for
        C, whether the run's parameters meet the theorem's hypotheses (``assumptions_met``), whether
        it is a ``good_run`` (None if that cannot be said), and ``unmet``, the hypotheses that no
        statement finds met.
    beyond : tuple of Check
        What the last step gives where the run is longer than T: beyond the theorem.

    Examples
    --------
    >>> import rfa
    >>> report = rfa.theory.check(rfa.preset("theorem").run(rng=0), rng=0)
    >>> report["theorem_3_1_1"].holds
    True
    """

    checks: tuple[Check, ...]
    settings: dict[str, Any]
    beyond: tuple[Check, ...] = ()

    def __getitem__(self, statement: str) -> Check:
        for check in self.checks:
            if check.id == statement:
                return check
        raise KeyError(f"the report has no {statement!r}; it has {', '.join(self.ids)}")

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the checks."""
        return tuple(check.id for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that are applicable and do not hold, whether or not hypotheses are met."""
        return tuple(check for check in self.checks if check.applicable and not check.holds)

    def heading(self) -> str:
        """The settings, and what the marks in the table mean."""
        keep = ("delta", "C0", "C1", "C2")
        constants = ", ".join(f"{name} = {shown(self.settings[name])}" for name in keep)
        rounded = " (rounded T)" if self.settings["rounded"] else ""
        line = f"T = {self.settings['T']}{rounded} of {self.settings['steps']} steps; {constants}"
        unmet = "; ".join(self.settings["unmet"])
        line += f"\n* hypotheses not met: {unmet}" if unmet else ""
        if self.settings["good_run"] is False:
            line += "\n+ not a good run (Definition 4.5)"
        return line

    def summary(self) -> str:
        """One line about the results."""
        verdicts = [check.verdict for check in self.checks]
        kinds = ("holds", "FAILS", "vacuous", "not applicable")
        return ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds)

    def rows(self) -> list[tuple[str, ...]]:
        """The table: titles, then a row a check."""
        later = [cells(check) for check in self.beyond]
        marked = [(f"beyond the theorem: {row[0]}", *row[1:]) for row in later]
        return [TITLES, *map(cells, self.checks), *marked]

    def __str__(self) -> str:
        return "\n".join([self.heading(), aligned(self.rows()), self.summary()])

    def __repr__(self) -> str:
        return f"Report({self.summary()})"

    def _repr_html_(self) -> str:
        rows = self.rows()
        heading = html.escape(self.heading()).replace("\n", "<br>")
        return f"<p>{heading}</p>{as_html(rows)}<p>{self.summary()}</p>"

    def to_markdown(self) -> str:
        """The report as a Markdown table.

        Returns
        -------
        str
        """
        heading = self.heading().replace("\n", "\n\n")
        return f"{heading}\n\n{as_markdown(self.rows())}\n{self.summary()}\n"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values.

        Returns
        -------
        dict
            ``settings``, ``checks``, ``beyond``.
        """
        return {
            "settings": jsonable(self.settings),
            "checks": [check.to_dict() for check in self.checks],
            "beyond": [check.to_dict() for check in self.beyond],
        }

    def to_json(self) -> str:
        """The report as JSON.

        Returns
        -------
        str
        """
        return json.dumps(self.to_dict(), indent=2)
