"""Hypotheses, each with an id: whether they hold on a run, and a sentence for those that do not.

A hypothesis is a function of the evidence and the terms. It returns a sentence for each way in
which it does not hold, and an empty list if it holds.

Here stand the hypotheses of the setting (Section 2.1), and others that several modules use. A
hypothesis that a single module uses stands in that module. One that is itself a lemma or a
condition stands in the module of that, and has its id. Definition 4.5 is ``good_run``, in
initialization.py. If a need of the proofs (:class:`rfa.theory.needs.Need`) is a hypothesis, its id
is ``need_`` and the id of the need. HYPOTHESES has all of them once ``rfa.theory`` is imported. To
find them in the source, search for ``@hypothesis(``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from rfa.setting import CLUSTER_NAMES
from rfa.theory.assumptions import (
    Audit,
    balance_unmet,
    delta_unmet,
    law_unmet,
    noise_unmet,
    omega_unmet,
)
from rfa.theory.evidence import Evidence
from rfa.theory.needs import NEEDS
from rfa.theory.terms import Terms, once


class Unmet(str):
    """The sentence on a hypothesis that does not hold on a run.

    Attributes
    ----------
    id : str
        The hypothesis, one of HYPOTHESES.
    """

    id: str

    def __new__(cls, id: str, text: str) -> Unmet:
        """A sentence on the hypothesis of this id."""
        self = super().__new__(cls, text)
        self.id = id
        return self

    def __reduce__(self) -> tuple[type[Unmet], tuple[str, str]]:
        return Unmet, (self.id, str(self))


Hypothesis = Callable[[Evidence, Terms], list[str]]

HYPOTHESES: dict[str, Hypothesis] = {}

# What nearly all statements assume, Section 2.1. A report says once, above its table, which of
# these do not hold.
SHARED = (
    "second_layer",
    "A1_A7",
    "omega_positive",
    "delta_below_half",
    "independent_flips",
    "uniform_clusters",
    "law",
    "samples_of_each_cluster",
)


def hypothesis(id: str) -> Callable[[Hypothesis], Hypothesis]:
    """Enter a function into HYPOTHESES; it then runs once in a call."""

    def entered(function: Hypothesis) -> Hypothesis:
        if id in HYPOTHESES:
            raise ValueError(f"there is a hypothesis {id!r} already")
        HYPOTHESES[id] = once(function)
        return HYPOTHESES[id]

    return entered


# These depend on what was drawn. All others depend on the parameters: they hold in every trial of
# an experiment or in none.
EVENTS = {
    "samples_of_each_cluster",
    "neurons_of_each_cluster",
    "good_run",
    "lemma_4_2",
    "condition_4_7",
    "condition_4_8",
    "norm_at_most_1",
    "margin_of_J_below_1",
    "samples_at_most_2",
    "few_outside_J",
}


def unmet(ids: Iterable[str], e: Evidence, k: Terms) -> tuple[Unmet, ...]:
    """Which of some hypotheses do not hold."""
    return tuple(Unmet(id, text) for id in ids for text in HYPOTHESES[id](e, k))


def if_any(sentence: str) -> list[str]:
    """A list of the sentence; of nothing if the sentence is empty."""
    return [sentence] if sentence else []


# ------------------------------------------------------------------ Section 2.1


@hypothesis("second_layer")
def _second_layer(e: Evidence, k: Terms) -> list[str]:
    return [] if e.paper_a else ["a_j is not +-1/sqrt(m), half of each"]


@hypothesis("A1_A7")
def _assumptions(e: Evidence, k: Terms) -> list[str]:
    """One C has to satisfy all seven, so that they hold or fail together."""
    audit = audit_of(e, k)
    if audit is None:
        return ["(A1)-(A7) cannot be checked: parameters of the run are not known"]
    return [] if audit.holds else ["(A1)-(A7) hold for no C"]


@hypothesis("omega_positive")
def _omega_positive(e: Evidence, k: Terms) -> list[str]:
    return [] if e.omega is None else if_any(omega_unmet(e.omega))


@hypothesis("delta_below_half")
def _delta_below_half(e: Evidence, k: Terms) -> list[str]:
    return if_any(delta_unmet(k.delta))


@hypothesis("independent_flips")
def _independent_flips(e: Evidence, k: Terms) -> list[str]:
    distribution = e.run.data.distribution
    if distribution is None:
        return []
    noise = distribution.noise
    return if_any(noise_unmet(noise if isinstance(noise, str) else "a function"))


@hypothesis("uniform_clusters")
def _uniform_clusters(e: Evidence, k: Terms) -> list[str]:
    distribution = e.run.data.distribution
    return [] if distribution is None else if_any(balance_unmet(distribution.balance))


@hypothesis("law")
def _law(e: Evidence, k: Terms) -> list[str]:
    """Laws with a name are log-concave with mean 0 and covariance I; others are tested."""
    distribution = e.run.data.distribution
    if distribution is None or isinstance(distribution.law, str) or not distribution.sigma:
        return []
    return [law_unmet("a function"), *e.law_defects]


@hypothesis("samples_of_each_cluster")
def _samples_of_each_cluster(e: Evidence, k: Terms) -> list[str]:
    if not e.is_xor:
        return []
    sizes = np.bincount(e.cluster, minlength=4)
    return [f"no sample is of {CLUSTER_NAMES[c]}" for c in np.flatnonzero(sizes == 0)]


# ------------------------------------------------------------------ of several lemmas


@hypothesis("neurons_of_each_cluster")
def _neurons_of_each_cluster(e: Evidence, k: Terms) -> list[str]:
    """Which J_mu are empty. If all are, there is nothing to compare, and the statement says so."""
    if 0 not in e.recorded:
        return ["the J_mu are not known, since step 0 was not recorded"]
    members = e.J(k.C0).any(axis=0)
    if not members.any():
        return []
    return [f"J_{CLUSTER_NAMES[c]} is empty" for c in np.flatnonzero(~members)]


@hypothesis("norm_at_most_1")
def _norm_at_most_1(e: Evidence, k: Terms) -> list[str]:
    norm = float(np.linalg.norm(e.W(k.t)))
    return [] if norm <= 1 else [f"norm_F(W_T) = {norm:.3g} is above 1"]


# ------------------------------------------------------------------ needs of the proofs


@once
def audit_of(e: Evidence, k: Terms) -> Audit | None:
    """The audit of the run's parameters, if they are known."""
    return e.audit(k.delta, k.C0)


def _enter_need(id: str) -> None:
    """Enter the hypothesis that a need of the proofs holds."""

    @hypothesis("need_" + id)
    def need_holds(e: Evidence, k: Terms) -> list[str]:
        audit = audit_of(e, k)
        if audit is None:
            return ["the proofs' needs cannot be checked: parameters of the run are not known"]
        (need,) = (need for need in audit.needs if need.id == id)
        if need.holds:
            return []
        if math.isnan(need.value):
            return [f"the proof needs {need.statement}, and (A1)-(A7) hold for no C"]
        return [f"the proof needs {need.statement}: {need.value:.3g} against {need.bound:.3g}"]


for _id in NEEDS:
    _enter_need(_id)

# A good run, and the needs of Lemmas 4.2 and 4.3 that rest on our choice of C0 and C1. What Lemmas
# 4.1 and 4.4 need besides decides how likely a good run is. On a run that is one, that is settled.
GOOD_RUN = (*SHARED, "good_run", "need_lemma_4_2", "need_lemma_4_3")
