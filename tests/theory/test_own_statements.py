"""Statements of a user's own, beside the paper's, and the selection of statements."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import rfa
from rfa.theory import STATEMENTS, Statement, check

EXP = rfa.preset("assumptions")
BOUND = ("<=", "1", "holds")


@pytest.fixture(scope="module")
def run():
    return EXP.run(rng=0)


@pytest.fixture(scope="module")
def small():
    """A run on which all of the paper's statements are checked soon."""
    return rfa.Experiment(n=60, d=6, m=20, alpha=0.125, eta=0.1).run(rng=0)


OK = {"value": 1, "bound": 1, "relation": "<="}


def statement(id="mine", evaluate=None, **rest):
    def simple(run, *, delta, C0, rng):
        return {"value": 0.5, "bound": 1.0, "relation": "<="}

    return Statement(id, "a half is at most one", evaluate or simple, **rest)


def returning(result, **rest):
    return statement(evaluate=lambda run, **given: result, **rest)


def test_it_stands_beside_the_papers(small):
    mine = statement(numbers=("My 1", "9"))
    report = check(small, statements=[*STATEMENTS, mine])
    assert report.ids == (*STATEMENTS, "mine")
    for name, one in zip(STATEMENTS, check(small), strict=True):
        assert report[name].to_dict() == one.to_dict()
    found = report["mine"]
    assert (found.verdict, found.slack, found.numbers) == ("holds", 0.5, ("My 1", "9"))
    told = found.to_dict()
    assert (told["statement"], told["arxiv"]) == ("a half is at most one", "My 1")
    rows = [line for line in report.to_text().splitlines() if line.startswith("My 1 ")]
    assert [row.split() for row in rows] == [["My", "1", *told["statement"].split(), "0.5", *BOUND]]
    assert "a half is at most one" in report.to_text(long=True)
    assert "My 1" in report.to_markdown() and "My 1" in report._repr_html_()


def test_what_it_is_given(run):
    def evaluate(given, *, delta, C0, rng):
        assert given is run
        assert isinstance(rng, np.random.Generator)
        return {"value": delta, "bound": C0, "relation": "<", "details": {"x": [1, math.nan]}}

    found = check(run, 0.2, 3.0, statements=[statement(evaluate=evaluate)])["mine"]
    assert (found.value, found.bound, found.holds) == (0.2, 3.0, True)
    assert found.to_dict()["details"] == {"x": [1, "nan"]}


@pytest.mark.parametrize("rng", [None, 5, np.random.SeedSequence(3), "generator"])
def test_its_draws_depend_on_its_name_alone(small, rng):
    def drawn(id):
        def evaluate(given, *, delta, C0, rng):
            return {"value": rng.random(), "bound": 1.0, "relation": "<"}

        return statement(id, evaluate)

    def values(*statements):
        given = np.random.default_rng(1) if rng == "generator" else rng
        return {c.id: c.value for c in check(small, rng=given, statements=statements)}

    a, b = drawn("a"), drawn("b")
    both = values(a, "proposition_B_1", b)
    assert both["a"] != both["b"]
    assert values(b)["b"] == both["b"] and values(b, a)["a"] == both["a"]
    names = ["theorem_3_1_2_proof", "proposition_B_1"]
    assert values(*names) == values(*reversed(names))
    assert values(*names)["proposition_B_1"] == both["proposition_B_1"]


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ({"value": 2, "bound": 1, "relation": "<="}, "FAILS"),
        ({"value": math.nan, "bound": 1, "relation": "<="}, "FAILS"),
        ({"value": 1, "bound": 1, "relation": "<"}, "FAILS"),
        ({"value": 1.1, "bound": 1, "relation": "<=", "tolerance": 0.2}, "holds"),
        ({"value": None, "bound": None, "relation": ">="}, "no case"),
        ({"value": 3, "bound": None, "relation": ">="}, "no claim"),
        ({"value": 3, "bound": None, "relation": ">=", "verdict": "no case"}, "no case"),
        ({"value": 3, "bound": 0, "relation": ">=", "verdict": "trivial"}, "trivial"),
        ({"value": np.float32(2), "bound": np.int64(3), "relation": "<"}, "holds"),
        ({"value": np.array(2.0), "bound": math.inf, "relation": "<"}, "holds"),
        ({"value": 3, "bound": 4, "relation": ">=", "verdict": "undecided"}, "undecided"),
        ("the run has no snapshots", "not applicable"),
    ],
)
def test_verdicts(run, result, verdict):
    found = check(run, statements=[returning(result)])["mine"]
    assert found.verdict == verdict
    if isinstance(result, str):
        assert found.reason == result


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"value": 1, "bound": 1}, "lacks 'relation'"),
        ({"value": 1, "bound": 1, "relation": "<=", "limit": 3}, "has 'limit'"),
        (
            {"value": 1, "bound": 1, "relation": "=="},
            "relation must be '>=' or '<=' or '<', got '=='",
        ),
        (OK | {"verdict": "holds"}, "verdict must be '' or 'trivial' or"),
        (OK | {"value": "one"}, "value must be a real number, got 'one'"),
        (OK | {"value": 1 + 0j}, "value must be a real number, got (1+0j)"),
        (OK | {"bound": True}, "bound must be a real number, got True"),
        (OK | {"bound": np.ones(1)}, "bound must be a real number, got array([1.])"),
        (OK | {"relation": []}, "relation must be '>=' or '<=' or '<', got []"),
        (OK | {"value": 2, "verdict": "trivial"}, "must not be 'trivial', since the comparison is"),
        (OK | {"value": None, "verdict": "trivial"}, "must not be 'trivial'"),
        (OK | {"tolerance": -1}, "tolerance must be at least 0, got -1.0"),
        (OK | {"tolerance": "small"}, "tolerance must be a real number, got 'small'"),
        (OK | {"where": "neuron 3"}, "where must be a dict, got 'neuron 3'"),
        (OK | {"where": {"neuron": 0.5}}, "where must map names to an int or a str"),
        (OK | {"why": 3}, "why must be a text, got int"),
        (OK | {"details": [1]}, "details must be a dict, got [1]"),
        (OK | {"details": {"x": {1, 2}}}, "details must have values that JSON can express"),
        (OK | {"constant": 5}, "constant must be a text, got int"),
        (OK | {"constant_used": "5"}, "constant_used must be a real number, got '5'"),
        (None, "must return a dict or a reason, got None"),
        ("", "must return a dict or a reason, got ''"),
        (
            OK | {"bound": math.nan},
            "bound must be a number, or None where there is none, got nan",
        ),
    ],
)
def test_a_wrong_result_is_said_and_the_others_are_there(run, result, words):
    report = check(run, statements=["lemma_4_2", returning(result), "equation_16"])
    found = report["mine"]
    assert (found.verdict, found.holds, found.applicable) == ("failed to run", False, False)
    assert words in found.reason and words in " ".join(report.to_text().split())
    assert report.ids == ("lemma_4_2", "mine", "equation_16")
    assert report["equation_16"].verdict == "holds"
    assert "1 failed to run" in report.summary()


def test_an_exception_is_said():
    def evaluate(run, **given):
        raise KeyError("no such\nthing")

    found = check(EXP.run(rng=1), statements=[statement(evaluate=evaluate)])["mine"]
    assert found.reason == r"KeyError: 'no such\nthing'"


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "told"),
    [(Mute(), "Mute"), (SystemExit(3), "SystemExit: 3"), (ValueError(), "ValueError")],
)
def test_no_exception_ends_the_report(run, error, told):
    def evaluate(run, **given):
        raise error

    report = check(run, statements=["equation_16", statement(evaluate=evaluate)])
    assert (report["mine"].failed_to_run, report["equation_16"].verdict) == (told, "holds")


def test_ctrl_c_is_not_swallowed(run):
    def evaluate(run, **given):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(run, statements=[statement(evaluate=evaluate)])


@pytest.mark.parametrize(
    ("needs", "verdict"),
    [
        (("A1_A7", "good_run", "lemma_4_3_a_own"), "holds"),
        (("need_lemma_4_2",), "true"),  # m is too small at C0 = 5
        (("condition_4_7", "theorem_3_1_1"), "holds"),
        (("lemma_4_2",), "holds"),  # its own hypotheses are unmet, but it is true of the run
        (("false",), "true"),
        (("absent",), "true"),
        (("broken",), "true"),
        (("open",), "true"),
        (("silent", "trivial"), "holds"),
    ],
)
def test_needs_are_hypotheses_or_statements(run, needs, verdict):
    others = {
        "false": OK | {"value": 2},
        "absent": "not today",
        "broken": None,
        "open": OK | {"verdict": "undecided"},
        "silent": OK | {"value": None},
        "trivial": OK | {"verdict": "trivial"},
    }
    beside = [statement(id, lambda run, r=result, **given: r) for id, result in others.items()]
    report = check(run, statements=[statement(needs=needs), *beside])
    found = report["mine"]
    assert (found.verdict, bool(found.unmet)) == (verdict, verdict == "true")
    if found.unmet and needs[0] in others:
        assert found.reason == f"of {needs[0]} the verdict is {report[needs[0]].verdict!r}"


def test_a_long_chain_of_needs(run):
    ids = [f"s{i}" for i in range(3000)]
    chain = [statement(a, needs=(b,)) for a, b in itertools.pairwise(ids)]
    report = check(run, statements=[*chain, statement(ids[-1])])
    assert {found.verdict for found in report} == {"holds"} and report.ids == tuple(ids)


def test_a_statement_that_claims_nothing(run):
    found = check(run, statements=[statement(probability="none")])["mine"]
    assert found.verdict == "true"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: statement("lemma_4_2"), ValueError, "id must be new: the paper's statements have"),
        (
            lambda: statement("good_run"),
            ValueError,
            "id must be new: the hypotheses have 'good_run'",
        ),
        (lambda: statement("trial"), ValueError, "id must be new: the records of a study have"),
        (lambda: statement("need_eq_12"), ValueError, "id must be new: the hypotheses have"),
        (lambda: Statement("x", "two\nlines", print), ValueError, "text must be one line, got"),
        (
            lambda: statement(probability=lambda delta: "half"),
            ValueError,
            "probability of statement 'mine' must be a number at delta = 0.1, got TypeError: it",
        ),
        (
            lambda: statement(probability=lambda delta: 1 / 0),
            ValueError,
            "must be a number at delta = 0.1, got ZeroDivisionError: division by zero",
        ),
        (
            lambda: statement(probability=lambda delta: 1 + delta),
            ValueError,
            "must be at most 1, at delta = 0.1 got 1.1",
        ),
        (lambda: statement("my gap"), ValueError, "id must be a Python identifier, got 'my gap'"),
        (lambda: statement(3), TypeError, "id must be an identifier, got int"),
        (lambda: statement(evaluate=3), TypeError, "evaluate must be a function, got 3"),
        (lambda: statement(numbers=("1",)), ValueError, "numbers must be two texts"),
        (lambda: statement(needs=[3]), TypeError, "needs must be ids of hypotheses"),
        (lambda: statement(needs="A1_A7"), TypeError, "needs must be several values"),
        (lambda: statement(probability=0.9), TypeError, "probability must be a function of delta"),
    ],
)
def test_a_wrong_statement_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("statements", "error", "words"),
    [
        ([], ValueError, "statements must name at least one statement, got none"),
        (["lemma_42"], ValueError, "has 'lemma_42', which is unknown; near ones are lemma_4_2"),
        (["zzz"], ValueError, "has 'zzz', which is unknown$"),
        (["lemma_4_2", "lemma_4_2"], ValueError, "no id twice, got lemma_4_2 twice"),
        ([statement(), statement()], ValueError, "no id twice, got mine twice"),
        (
            ["4.2"],
            ValueError,
            "has '4.2', which is unknown; near ones are .*lemma_4_2",
        ),
        (["lemma_4_1"], ValueError, "near ones are lemma_4_1_a, lemma_4_1_b_mu1, lemma_4_1_b_mu2"),
        ("lemma_4_2", TypeError, r"statements must be a list, such as \['lemma_4_2'\], got a str"),
        ([3], TypeError, "statements must be ids or rfa.theory.Statement objects, got 3"),
        (
            [statement(needs=("god_run",))],
            ValueError,
            "needs of statement 'mine' has 'god_run', which is unknown; near ones are good_run",
        ),
        (
            [statement(needs=("b",)), statement("b", needs=("mine",))],
            ValueError,
            "must not need each other, got mine -> b -> mine",
        ),
    ],
)
def test_a_wrong_selection_is_refused(run, statements, error, words):
    with pytest.raises(error, match=words):
        check(run, statements=statements)


def test_selected_statements_have_the_values_of_all(small):
    whole = check(small)
    for name in STATEMENTS:
        (alone,) = check(small, statements=[name])
        assert alone.to_dict() == whole[name].to_dict()


def test_a_check_of_an_unknown_id_has_no_text():
    lone = rfa.theory.Check(id="my_gap", value=1.0, bound=0.0)
    assert (lone.verdict, lone.statement) == ("holds", "")
    assert lone.to_dict()["arxiv"] == ""
