"""The paper's statements as computations on a run.

Map
---
constants       C0, C1, C2 and delta
needs           the inequalities that the proofs take for granted
assumptions     (A1)-(A7): the audit
inverse         what (A1)-(A7) leave for missing parameters

evidence        what statements read of a run, each quantity once
terms           the constants, the step and the seed of one call
hypotheses      what statements assume, by ids
comparison      what a statement compares
statement       a statement as one object, the paper's or a user's own
verdict         Check: one statement on one run
report          Report: all checks of a run
evaluation      from a statement and a run to a Check

initialization  Section 4.1: Lemmas 4.1, 4.2 and 4.4, Definition 4.5
samples         Section 4.1: Lemma 4.3
growth          Lemma A.1
conditions      Section 4.2: Conditions 4.7 and 4.8
margin          Section 4.2: (16), Lemmas 4.6 and 4.9
amplification   Section 4.3: Lemma 4.10, the first step
persistence     Section 4.3: Lemma 4.11
generalization  Theorem 3.1, Proposition B.1
features        Proposition 3.2
verification    all statements: check

A public function for each lemma takes ``(run, *, delta, C0, rng)`` and returns the checks of its
parts and inner steps. Each of these is a Statement in the module of its section. To add one, write
it there, and name it in the tuple of its lemma.
"""

from __future__ import annotations

from rfa.estimates.intervals import clopper_pearson
from rfa.estimates.rademacher import Complexity, rademacher_complexity
from rfa.estimates.risk import ErrorEstimate, test_error
from rfa.setting import horizon
from rfa.theory.amplification import lemma_4_10
from rfa.theory.assumptions import Audit, audit
from rfa.theory.conditions import condition_4_7, condition_4_8
from rfa.theory.features import proposition_3_2
from rfa.theory.generalization import proposition_B_1, theorem_3_1
from rfa.theory.growth import lemma_A_1
from rfa.theory.hypotheses import HYPOTHESES
from rfa.theory.initialization import definition_4_5, lemma_4_1, lemma_4_2, lemma_4_4
from rfa.theory.inverse import Feasible, feasible
from rfa.theory.margin import equation_16, lemma_4_6, lemma_4_9
from rfa.theory.persistence import lemma_4_11
from rfa.theory.report import Report
from rfa.theory.samples import lemma_4_3
from rfa.theory.statement import Statement
from rfa.theory.verdict import Check
from rfa.theory.verification import STATEMENTS, check

__all__ = [
    "HYPOTHESES",
    "STATEMENTS",
    "Audit",
    "Check",
    "Complexity",
    "ErrorEstimate",
    "Feasible",
    "Report",
    "Statement",
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
