"""How often a claim held in trials: its interval, its verdict, and which claims are refuted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rfa import _validate
from rfa.estimates.intervals import clopper_pearson

# Claims are refuted together at this level, by Holm's procedure.
LEVEL = 0.05

# What a record of rfa.studies.checks has for a statement, behind its id and a colon.
ASPECTS = ("verdict", "hypotheses_met", "target", "bears", "case")


class Proportion(NamedTuple):
    """How often a statement, or another truth value, held in the trials of a cell.

    Attributes
    ----------
    k : int
        Number of trials in which the inequality held.
    n : int
        Number of trials in which it was applicable and decided. If a user's statement claims a
        probability, only those in which all that it needs is met.
    low, high : float
        95 percent Clopper-Pearson interval of the probability; 0 and 1 if n = 0. It is not adjusted
        for the number of statements, and assumes that the number of trials was chosen before.
    trials : int
        Number of all trials of the cell.
    not_applicable, failed, undecided, trivial, no_case, no_claim : int
        Number of trials with this verdict of :class:`rfa.theory.Check`, where ``failed`` is "failed
        to run".
    unmet : int
        Number of trials in which some hypotheses of the statement were not met.
    target : float, str or None
        What is claimed: a probability, "never false", "never false on a good run", or "none".
        None if the truth value is not that of a statement.
    cases, counterexamples : int
        For a claim never to be false: the number of trials of which it speaks, and the number of
        those in which it was false. Otherwise 0.
    bears : bool
        Whether the trials bear on the claim. On the paper's they do if the parameters meet
        (A1)-(A7) and what the proof of the statement needs, and the claim is not about a C that is
        "large enough"; on a user's, if it claims something and speaks of some trial.
    p_value : float
        One-sided exact binomial p-value of k or fewer against a target that is a probability above
        0; NaN otherwise.
    verdict : str
        In one of these forms:

        - "at least 0.9": low is at least the target.
        - "below 0.9": high is below the target.
        - "undecided": neither.
        - "trivial": the target is at most 0.
        - "never false", or "false in 26 of 291": counterexamples, of the cases.
        - "no trial": there was no trial of which the claim speaks.
        - "claims nothing": the statement claims nothing by itself.
        - empty: the truth value is not that of a statement.
    """

    k: int
    n: int
    low: float
    high: float
    trials: int
    not_applicable: int
    failed: int
    undecided: int
    trivial: int
    no_case: int
    no_claim: int
    unmet: int
    target: float | str | None
    cases: int
    counterexamples: int
    bears: bool
    p_value: float
    verdict: str

    @property
    def refutes(self) -> bool:
        """Whether a counterexample was counted and the trials bear on the claim."""
        return self.bears and self.counterexamples > 0


def proportion_of(statement: str, records: Sequence[Mapping[str, Any]]) -> Proportion:
    """The proportion of a truth value in records; each has it, and may have its aspects."""
    about = all(f"{statement}:{aspect}" in record for record in records for aspect in ASPECTS)
    verdicts = [record[f"{statement}:verdict"] if about else "" for record in records]
    target = records[0][f"{statement}:target"] if about else None
    probability = isinstance(target, float)
    spoken = [record[f"{statement}:case"] if about else True for record in records]
    # a claim of a probability is about the trials of which it speaks alone
    values = [
        None if verdict == "undecided" or (probability and not case) else record[statement]
        for record, verdict, case in zip(records, verdicts, spoken, strict=True)
    ]
    n, k = sum(value is not None for value in values), sum(map(bool, values))
    low, high = clopper_pearson(k, n) if n else (0.0, 1.0)
    counted = Counter(verdicts)
    bears = about and all(
        record[f"{statement}:bears"] for record in records if record[statement] is not None
    )
    cases = false = 0
    p_value = math.nan
    if isinstance(target, str) and target != "none":
        told = [x for x, case in zip(values, spoken, strict=True) if case and x is not None]
        cases, false = len(told), sum(not value for value in told)
    elif isinstance(target, float) and n and target > 0:
        p_value = _p_value(k, n, target)
    return Proportion(
        k=k,
        n=n,
        low=low,
        high=high,
        trials=len(records),
        not_applicable=counted["not applicable"] if about else len(records) - n,
        failed=counted["failed to run"],
        undecided=counted["undecided"],
        trivial=counted["trivial"],
        no_case=counted["no case"],
        no_claim=counted["no claim"],
        unmet=sum(not record[f"{statement}:hypotheses_met"] for record in records) if about else 0,
        target=target,
        cases=cases,
        counterexamples=false,
        bears=bears and n > 0 and any(spoken),
        p_value=p_value,
        verdict=_verdict(low, high, n, target, cases, false),
    )


def refuted(found: Mapping[str, Proportion]) -> list[str]:
    """The claims that trials refute, of those on which they bear.

    Parameters
    ----------
    found : dict of str to Proportion
        Statements of one cell, as :meth:`rfa.Study.frequencies` gives them.

    Returns
    -------
    list of str
        Ids of claims with a counterexample, and of claims of a probability whose p-value is below
        0.05 by Holm's procedure, over all claims of a probability on which the trials bear.

    Raises
    ------
    TypeError
        If found is not such a dict.

    Examples
    --------
    >>> import rfa
    >>> found = rfa.study(rfa.preset("assumptions"), trials=5, measure="check").frequencies()
    >>> refuted(found)
    []
    """
    if not isinstance(found, Mapping) or not all(isinstance(p, Proportion) for p in found.values()):
        raise TypeError(f"found must be a dict of Proportions, got {_validate.shown(found)}")
    wrong = {name for name, p in found.items() if p.refutes}
    tested = {name: p.p_value for name, p in found.items() if p.bears and not math.isnan(p.p_value)}
    for rank, name in enumerate(sorted(tested, key=tested.__getitem__)):
        if tested[name] * (len(tested) - rank) >= LEVEL:
            break
        wrong.add(name)
    return [name for name in found if name in wrong]


def _p_value(k: int, n: int, target: float) -> float:
    """The probability of k or fewer of n, if each has the probability target."""
    from scipy.stats import binom

    return float(binom.cdf(k, n, target))


def _verdict(
    low: float, high: float, n: int, target: float | str | None, cases: int, false: int
) -> str:
    if target is None:
        return ""
    if target == "none":
        return "claims nothing"
    if isinstance(target, str):
        if not cases:
            return "no trial"
        return f"false in {false} of {cases}" if false else "never false"
    if target <= 0:
        return "trivial"
    if not n:
        return "no trial"
    if low >= target:
        return f"at least {target:.4g}"
    return f"below {target:.4g}" if high < target else "undecided"
