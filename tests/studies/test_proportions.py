"""How often a claim held: verdicts over trials, counterexamples, and what is refuted."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import rfa
from rfa.studies import proportions, refuted

SMALL = rfa.Experiment(n=40, d=3, m=8)
ON_GOOD = "never false on a good run"


def made_up(values, verdicts=None, target=0.6, bears=True, cases=None):
    """A study in which one statement had these outcomes."""
    verdicts = verdicts or ["not applicable" if v is None else "holds" for v in values]
    records = [
        {
            "lemma_4_2": value,
            "lemma_4_2:verdict": verdict,
            "lemma_4_2:hypotheses_met": k % 2 == 0,
            "lemma_4_2:target": target,
            "lemma_4_2:bears": bears,
            "lemma_4_2:case": True if cases is None else cases[k],
        }
        for k, (value, verdict) in enumerate(zip(values, verdicts, strict=True))
    ]
    return rfa.Study(SMALL, {}, len(values), {}, records, 0.0).proportion("lemma_4_2")


@pytest.mark.parametrize(
    ("outcomes", "target", "verdict"),
    [
        # the interval of 40 of 50 is [.663, .900], of 20 of 50 [.264, .548]
        ([True] * 40 + [False] * 10, 0.6, "at least 0.6"),
        ([True] * 20 + [False] * 30, 0.6, "below 0.6"),
        ([True] * 30 + [False] * 20, 0.6, "undecided"),
        ([True] * 49 + [None], 0.9, "at least 0.9"),
        ([None] * 5, 0.6, "no trial"),
        ([True] * 2, 0.2, "undecided"),  # [.158, 1]
        ([False] * 50, -0.2, "trivial"),
        ([False] * 50, "none", "claims nothing"),
    ],
)
def test_verdicts_on_a_probability(outcomes, target, verdict):
    found = made_up(outcomes, target=target)
    k, n = outcomes.count(True), len(outcomes) - outcomes.count(None)
    assert (found.k, found.n, found.trials) == (k, n, len(outcomes))
    assert found.not_applicable == outcomes.count(None)
    assert found.unmet == len(outcomes) // 2
    assert (found.verdict, found.target) == (verdict, target)
    assert (found.cases, found.counterexamples) == (0, 0)
    if n:
        interval = stats.binomtest(k, n).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-9)


def test_trials_that_say_little_are_counted_apart():
    verdicts = ["trivial"] * 3 + ["no case"] * 2 + ["undecided"] * 4 + ["holds"]
    found = made_up([True] * 10, verdicts)
    assert (found.k, found.n) == (6, 6)  # undecided trials are left out
    assert (found.trivial, found.no_case, found.undecided) == (3, 2, 4)
    assert found.not_applicable == 0


@pytest.mark.parametrize(
    ("outcomes", "cases", "target", "counted", "false", "verdict"),
    [
        ([True] * 5, [True] * 5, ON_GOOD, 5, 0, "never false"),
        ([True, False, False], [True, True, False], ON_GOOD, 2, 1, "false in 1 of 2"),
        ([True, False, False], [True] * 3, "never false", 3, 2, "false in 2 of 3"),
        ([False] * 3, [False] * 3, ON_GOOD, 0, 0, "no trial"),
        ([None] * 3, [True] * 3, ON_GOOD, 0, 0, "no trial"),
    ],
)
def test_counterexamples_of_a_claim_never_to_be_false(
    outcomes, cases, target, counted, false, verdict
):
    found = made_up(outcomes, target=target, cases=cases)
    assert (found.cases, found.counterexamples, found.verdict) == (counted, false, verdict)
    # how often it held is told of all trials
    assert (found.k, found.n) == (outcomes.count(True), 3 if None not in outcomes else 0) or counted
    assert math.isnan(found.p_value)
    assert found.refutes == (false > 0)
    assert not made_up(outcomes, target=target, cases=cases, bears=False).refutes


def test_a_claim_of_a_probability_is_about_its_cases_alone():
    found = made_up([True, False, False], cases=[True, True, False])
    assert (found.k, found.n, found.not_applicable) == (1, 2, 0)


def test_a_target_that_says_nothing_is_not_tested():
    found = made_up([False] * 50, target=-0.2)
    assert math.isnan(found.p_value) and found.verdict == "trivial"
    assert refuted({"a": found, "b": proportion(0.04)}) == ["b"]


@given(st.integers(1, 60), st.data())
def test_the_p_value_is_the_exact_tail(n, data):
    k = data.draw(st.integers(0, n))
    target = data.draw(st.sampled_from([0.5, 0.6, 0.9]))
    found = made_up([True] * k + [False] * (n - k), target=target)
    p = Fraction(target)
    tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
    assert found.p_value == pytest.approx(float(tail), rel=1e-9)


def proportion(p_value=math.nan, bears=True, false=0):
    """A proportion of which only these matter."""
    fields = dict.fromkeys(rfa.studies.Proportion._fields, 0)
    return rfa.studies.Proportion(
        **{**fields, "p_value": p_value, "bears": bears, "counterexamples": false}
    )


@given(st.lists(st.floats(0, 0.2), max_size=8))
def test_refuted_is_holms_procedure(p_values):
    """Against its definition: the smallest first, each against .05 over those that are left."""
    found = {f"s{i}": proportion(p) for i, p in enumerate(p_values)}
    order = np.argsort(p_values, kind="stable")
    wanted = set()
    for rank, i in enumerate(order):
        if p_values[i] * (len(p_values) - rank) >= proportions.LEVEL:
            break
        wanted.add(f"s{i}")
    assert set(refuted(found)) == wanted


def test_only_claims_that_bear_are_refuted():
    found = {
        "a": proportion(1e-9, bears=False),
        "b": proportion(0.04),
        "c": proportion(false=1),
        "d": proportion(false=3, bears=False),
        "e": proportion(0.03),
    }
    # of the two p-values that bear, the smaller one is .03 > .05/2
    assert refuted(found) == ["c"]
    assert refuted({"b": found["b"], "a": found["a"]}) == ["b"]


def test_nothing_bears_where_the_assumptions_do_not_hold():
    exp = rfa.preset("assumptions")
    unbalanced = exp.replace(balance=[0.6, 0.2, 0.1, 0.1])
    study = rfa.study(unbalanced, trials=8, rng=0, measure="check")
    found = study.frequencies()
    part = found["lemma_4_3_d"]
    assert (part.k, part.unmet, part.verdict, part.bears) == (0, 8, "below 0.9", False)
    # Lemma 4.6 would, too, but its own "if" is never true
    always = {"equation_16", "lemma_4_6_norm", "proposition_B_1"}
    assert (found["lemma_4_6"].verdict, found["lemma_4_6"].no_claim) == ("no trial", 8)
    assert {name for name, p in found.items() if p.bears} == always
    assert refuted(found) == []
    assert all(r["assumptions_met"] for r in rfa.study(exp, trials=2, measure="check").records)


def test_what_bears_on_the_paper():
    """Lemma 4.2 from m = 2308 on at C0 = 5; Theorem 3.1 and what rests on it never."""
    exp = rfa.preset("assumptions")
    narrow, wide = (
        rfa.study(e, trials=1, measure="check").frequencies()
        for e in (exp, exp.replace(m=2308, omega_init=0.0035 / math.sqrt(2308 * 1200)))
    )
    more = {name for name in wide if wide[name].bears} - {n for n in narrow if narrow[n].bears}
    assert more == {
        "lemma_4_2",
        "lemma_4_2_sum",
        "lemma_A_1_neurons",
        "lemma_A_1_norm",
        "lemma_4_9_norm",
        "lemma_4_9_output",
        "equation_14",
        "equation_15",
        "equation_17",
        "equation_23",
        "equation_24",
        "equation_26",
        "equation_28",
        "equation_35",
        "equation_40",
    }
    assert not wide["theorem_3_1_1"].bears and not wide["equation_45"].bears


def test_a_list_of_statements_is_a_measure():
    mine = rfa.theory.Statement(
        "my_steps",
        "the run has at most 6 steps",
        lambda run, **rest: {"value": run.t, "bound": 6, "relation": "<="},
        probability=lambda delta: 1 - delta,
    )
    whole = rfa.study(SMALL, trials=3, measure="check")
    part = rfa.study(SMALL, trials=3, measure=["theorem_3_1_1", mine, "lemma_4_2"])
    assert list(part.frequencies()) == ["theorem_3_1_1", "my_steps", "lemma_4_2"]
    for name in ("theorem_3_1_1", "lemma_4_2"):
        assert part.proportion(name) == whole.proportion(name)
    own = part.proportion("my_steps")
    assert (own.k, own.n, own.target, own.bears) == (3, 3, 0.9, True)
    with pytest.raises(ValueError, match="measure has 'lemma_42', which is unknown; near"):
        rfa.study(SMALL, trials=1, measure=["lemma_42"])
    with pytest.raises(ValueError, match="must name at least one statement"):
        rfa.study(SMALL, trials=1, measure=[])


def own(id, evaluate, **rest):
    return rfa.theory.Statement(id, "of a test", evaluate, **rest)


def comparing(value, bound=1.0):
    return lambda run, **given: {"value": value(run), "bound": bound, "relation": "<="}


def test_what_a_statement_of_ones_own_speaks_of():
    """Trials in which another statement is true, or an event; not all of them."""
    first = own("first", comparing(lambda run: run.data.X[0, 0], 0.0))
    after = own("after", comparing(lambda run: 2.0), needs=("first",))
    likely = own(
        "likely", comparing(lambda run: 2.0), needs=("first",), probability=lambda delta: 1 - delta
    )
    broken = own("broken", lambda run, **given: None)
    study = rfa.study(SMALL, trials=20, rng=0, measure=[first, after, likely, broken])
    found = study.frequencies()
    true = found["first"].k
    assert 0 < true < 20 and found["first"].cases == 20
    assert (found["after"].cases, found["after"].counterexamples) == (true, true)
    assert (found["after"].n, found["after"].unmet, found["after"].bears) == (20, 20 - true, True)
    assert (found["likely"].k, found["likely"].n, found["likely"].bears) == (0, true, True)
    assert found["likely"].p_value == pytest.approx(0.1**true)
    assert (found["broken"].failed, found["broken"].not_applicable) == (20, 0)
    assert refuted(found) == ["first", "after", "likely"]


def test_where_its_needs_fail_nothing_of_ones_own_is_refuted():
    needs = {"parameters": ("A1_A7",), "event": ("samples_at_most_2",), "both": ("law", "A1_A7")}
    mine = [own(id, comparing(lambda run: 2.0), needs=ids) for id, ids in needs.items()]
    likely = own(
        "likely", comparing(lambda run: 2.0), needs=("A1_A7",), probability=lambda delta: 1 - delta
    )
    exp = SMALL.replace(sigma=2.0)  # far samples
    found = rfa.study(exp, trials=5, rng=0, measure=[*mine, likely]).frequencies()
    for p in found.values():
        assert (p.unmet, p.cases, p.bears) == (5, 0, False)
    assert {found[id].verdict for id in needs} == {"no trial"}
    assert (found["likely"].n, found["likely"].verdict) == (0, "no trial")
    assert refuted(found) == []


def test_an_event_that_is_needed_chooses_the_trials():
    """A statement that is true exactly where its need is met has no counterexample."""
    exp = rfa.preset("theorem").replace(omega_init=1.2e-4)

    def aligned(run, *, delta, C0, rng):
        report = rfa.theory.check(run, delta, C0, statements=["condition_4_7"])
        return {"value": report["condition_4_7"].value, "bound": 1.0, "relation": ">="}

    mine = own("mine", aligned, needs=("condition_4_7",))
    likely = own("likely", aligned, needs=("condition_4_7",), probability=lambda delta: 1 - delta)
    found = rfa.study(exp, trials=12, rng=0, measure=[mine, likely]).frequencies()
    met = 12 - found["mine"].unmet
    assert 0 < met < 12
    assert (found["mine"].cases, found["mine"].counterexamples) == (met, 0)
    assert (found["likely"].k, found["likely"].n, found["likely"].bears) == (met, met, True)


@pytest.mark.parametrize("C0", [5, 1000])
def test_lemma_4_4_does_not_bear_where_its_proof_wants_more_samples(C0):
    """The end of (12) wants n >= 3.6e7 at C0 = 5."""
    measure = functools.partial(rfa.studies.checks, C0=C0, statements=["lemma_4_4"])
    found = rfa.study(rfa.preset("assumptions"), trials=20, rng=0, measure=measure).frequencies()
    assert (found["lemma_4_4"].target, found["lemma_4_4"].bears) == (0.8, False)
    assert found["lemma_4_4"].k < 20 or C0 == 5
    assert refuted(found) == []


def test_a_probability_is_checked_at_the_delta_of_the_study():
    odd = own("odd", comparing(lambda run: 0.0), probability=lambda delta: 0.5 + delta)
    measure = functools.partial(rfa.studies.checks, delta=0.6, statements=[odd])
    with pytest.raises(ValueError, match="at most 1, at delta = 0.6 got 1.1"):
        rfa.study(SMALL, trials=2, measure=measure)


def test_an_id_that_the_grid_has_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: pytest.fail("trained"))
    width = own("m", comparing(lambda run: 0.0))
    for measure in (
        [width],
        functools.partial(rfa.studies.checks, statements=["lemma_4_2", width]),
    ):
        with pytest.raises(
            ValueError, match="statement 'm' has the name of a parameter of the grid"
        ):
            rfa.study(SMALL, {"m": [4, 8]}, trials=1, measure=measure)
