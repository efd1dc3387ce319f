"""Statements and hypotheses as objects: ids are unique, and every id that is named exists."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import rfa
from rfa.theory import STATEMENTS
from rfa.theory.hypotheses import EVENTS, HYPOTHESES, SHARED, hypothesis
from rfa.theory.needs import NEEDS, derived_needs
from rfa.theory.statement import KNOWN, statement
from rfa.theory.verification import ALL

pytestmark = pytest.mark.filterwarnings("ignore:1/.4 alpha.*rounded down:UserWarning")

SMALL = rfa.Experiment(n=40, d=3, m=8, alpha=0.3, sigma=0.5, steps=2)


def test_every_statement_is_listed_once():
    assert [s.id for s in ALL] == list(STATEMENTS)
    assert set(ALL) == set(KNOWN.values()) and len(set(STATEMENTS)) == len(ALL)
    for s in ALL:
        assert KNOWN[s.id] is s and s.id.isidentifier()


def test_every_hypothesis_is_of_a_statement():
    assert {name for s in ALL for name in (*s.needs, *s.premises)} == set(HYPOTHESES)
    assert set(SHARED) <= set(HYPOTHESES) and EVENTS <= set(HYPOTHESES)
    for s in ALL:
        named = (*s.needs, *s.premises)
        assert len(set(named)) == len(named)


def test_a_need_of_the_proofs_is_a_hypothesis_of_its_name():
    needs = derived_needs(SMALL.parameters(), 0.1, 2.0, 5.0, 2.0)
    named = {name.removeprefix("need_") for name in HYPOTHESES if name.startswith("need_")}
    assert named == {need.id for need in needs if not need.literal} == set(NEEDS)


def test_a_hypothesis_that_is_a_statement_fails_with_it():
    """Lemma 4.9 assumes Lemma 4.2 and Conditions 4.7 and 4.8."""
    for seed in range(8):
        report = rfa.theory.check(SMALL.replace(alpha=0.125, steps=3).run(rng=seed))
        unmet = {u.id for u in report["lemma_4_9_clean"].unmet}
        for name in HYPOTHESES.keys() & KNOWN.keys():
            assert (name in unmet) == (not report[name].holds)


@pytest.mark.parametrize(
    ("id", "changes", "delta"),
    [
        ("delta_below_half", {}, 0.6),
        ("independent_flips", {"noise": "exact"}, 0.1),
        ("uniform_clusters", {"balance": "exact"}, 0.1),
        ("omega_positive", {"omega_init": 0.0}, 0.1),
    ],
)
def test_a_hypothesis_of_the_setting_fails_where_it_should(id, changes, delta):
    def found(exp, delta):
        return {u.id for u in rfa.theory.check(exp.run(rng=0), delta)["lemma_A_1_norm"].unmet}

    assert id not in found(SMALL, 0.1)
    assert id in found(SMALL.replace(**changes), delta)


def test_a_distribution_or_an_experiment_is_one_by_name():
    """Neither the class itself nor another class with the same members is taken."""
    with pytest.raises(TypeError, match="exp must be an Experiment"):
        rfa.theory.audit(rfa.Experiment)
    with pytest.raises(TypeError, match="distribution must be a rfa.XORClusters"):
        rfa.Dataset([[1.0, 0.0], [0.0, 1.0]], [1, -1], distribution=rfa.XORClusters)
    with pytest.raises(TypeError, match="distribution must be a rfa.XORClusters"):
        rfa.theory.test_error(rfa.Network.random(4, 2), rfa.XORClusters)
    like = SimpleNamespace(**{name: None for name in dir(rfa.XORClusters) if name[0] != "_"})
    with pytest.raises(TypeError, match="distribution must be a rfa.XORClusters"):
        rfa.Dataset([[1.0, 0.0], [0.0, 1.0]], [1, -1], distribution=like)


def test_ids_and_sentences_of_what_is_not_met():
    report = rfa.theory.check(SMALL.replace(m=9).run(rng=0))
    found = {u.id: str(u) for u in report["lemma_4_10_alignment"].unmet}
    assert found["A1_A7"] == "(A1)-(A7) hold for no C"
    assert found["need_lemma_4_9"] == "the proof needs alpha <= 1/4: 0.3 against 0.25"
    failing = report["definition_4_5"].details["failing"]
    assert found["good_run"] == "not a good run: " + ", ".join(failing)
    assert set(report["lemma_4_10_alignment"].unmet) >= set(found.values())
    # what the heading says is not said again in the row
    text = report.to_text(long=True)
    (row,) = (line for line in text.splitlines() if "lemma_4_10_alignment" in line)
    assert "alpha <= 1/4" in row and found["good_run"] in row
    assert found["A1_A7"] not in row and found["A1_A7"] in text


def test_an_id_that_is_taken_is_refused():
    entered = dict(HYPOTHESES), dict(KNOWN)
    with pytest.raises(ValueError, match="a hypothesis 'good_run' already"):
        hypothesis("good_run")(lambda e, k: [])
    with pytest.raises(ValueError, match="a statement 'equation_16' already"):
        statement("equation_16", "", "", "", uses=lambda e, k: {})(lambda e, k: None)
    assert (HYPOTHESES, KNOWN) == entered


def test_what_statements_share_is_shared_within_a_call_only():
    """A second call with the same Generator draws anew."""
    run = SMALL.replace(alpha=0.125, steps=3).run(rng=0)
    rng = np.random.default_rng(0)
    one, other = (rfa.theory.theorem_3_1(run, rng=rng) for _ in range(2))
    low, high = one[4].details["interval"]
    assert low <= one[5].value <= high
    assert one[5].value != other[5].value


def test_a_statement_is_not_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALL[0].text = "something else"
