"""The paper's statements as computations on a run.

Map
---
statements      every statement that is checked: id, numbers, text
assumptions     (A1)-(A7): the audit; inverse: what they leave for missing parameters
initialization  Section 4.1: Lemmas 4.1 to 4.4, Definition 4.5
amplification   Lemma 4.10, the first step
dynamics        Sections 4.2 and 4.3: Lemmas 4.6, 4.9, 4.11, A.1, Conditions 4.7 and 4.8, (16)
generalization  Theorem 3.1, Propositions 3.2 and B.1
risk            the error on fresh points; rademacher: the complexity; intervals: of frequencies
report          Check and Report

A function per statement takes ``(run, *, delta, C0, rng)`` and returns its checks; ``check`` runs
all of them. What they read of a run is computed once, in ``_evidence``.
"""

from __future__ import annotations

from rfa.estimates.intervals import clopper_pearson
from rfa.estimates.rademacher import Complexity, rademacher_complexity
from rfa.estimates.risk import ErrorEstimate, test_error
from rfa.setting import horizon
from rfa.theory.amplification import lemma_4_10
from rfa.theory.assumptions import Audit, audit
from rfa.theory.dynamics import (
    condition_4_7,
    condition_4_8,
    equation_16,
    lemma_4_6,
    lemma_4_9,
    lemma_4_11,
    lemma_A_1,
)
from rfa.theory.generalization import proposition_3_2, proposition_B_1, theorem_3_1
from rfa.theory.initialization import definition_4_5, lemma_4_1, lemma_4_2, lemma_4_3, lemma_4_4
from rfa.theory.inverse import Feasible, feasible
from rfa.theory.report import Check, Report
from rfa.theory.statement import STATEMENTS
from rfa.theory.verification import check

__all__ = [
    "STATEMENTS",
    "Audit",
    "Check",
    "Complexity",
    "ErrorEstimate",
    "Feasible",
    "Report",
    "audit",
    "check",
    "clopper_pearson",
    "condition_4_7",
    "condition_4_8",
    "definition_4_5",
    "equation_16",
    "feasible",
    "horizon",
    "lemma_4_1",
    "lemma_4_2",
    "lemma_4_3",
    "lemma_4_4",
    "lemma_4_6",
    "lemma_4_9",
    "lemma_4_10",
    "lemma_4_11",
    "lemma_A_1",
    "proposition_3_2",
    "proposition_B_1",
    "rademacher_complexity",
    "test_error",
    "theorem_3_1",
]
