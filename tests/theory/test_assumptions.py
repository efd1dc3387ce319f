"""The audit of (A1)-(A7) and its inverse, against the inequalities written out by hand."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import rfa
from rfa.theory.assumptions import audit
from rfa.theory.inverse import feasible

PRESET = rfa.preset("assumptions")
NAMES = ("n", "d", "m", "alpha", "sigma", "omega_init", "eta")
LITERAL = 4**5 * 1024**2 * np.e**4


def met(C, delta, p, slack=1e-12):
    """The seven inequalities as the paper writes them, each True or False."""
    n, d, m, alpha, sigma, omega, eta = (p[name] for name in NAMES)
    up, down = 1 + slack, 1 - slack
    return {
        "A1": d >= C * max(np.log(n / delta) ** 2, np.log(m / delta)) * down,
        "A2": m >= C * np.log(1 / delta) * down,
        "A3": sigma**2 <= 1 / (C**2 * d) * up**2,
        "A4": n >= C * np.log(m / delta) * down,
        "A5": eta <= 1 / C * up,
        "A6": omega**2 <= 1 / (C**4 * m * d) * up**4,
        "A7": 1 / (2 * np.sqrt(C)) * down <= alpha <= 1 / np.sqrt(C) * up,
    }


def experiment(p):
    return rfa.Experiment(**p)


points = st.fixed_dictionaries(
    {
        "n": st.integers(1, 10**9),
        "d": st.integers(2, 3000),
        "m": st.integers(1, 10**9),
        "alpha": st.floats(1e-4, 2),
        "sigma": st.floats(1e-6, 1),
        "omega_init": st.floats(1e-12, 1),
        "eta": st.floats(1e-6, 1),
    }
)
deltas = st.floats(1e-3, 0.9)


@given(points, deltas)
def test_each_assumption_holds_up_to_its_constant(p, delta):
    found = audit(experiment(p), delta)
    for name, (low, high) in found.constants.items():
        for C, expected in ((high * (1 - 1e-9), True), (high * (1 + 1e-9), False)):
            assert met(C, delta, p, 0)[name] == expected, name
        if name == "A7":
            assert not met(low * (1 - 1e-9), delta, p, 0)[name]
            assert met(low * (1 + 1e-9), delta, p, 0)[name]
        else:
            assert low == 1
    lows, highs = zip(*found.constants.values(), strict=True)
    assert (found.lo, found.hi) == (max(1, *lows), min(highs))
    assert found.holds == (found.hi > 1 and found.hi >= found.lo * (1 - 1e-12))
    assert all(found.constants[k][1] <= found.hi * (1 + 1e-11) for k in found.binding.hi)
    assert found.binding.lo == (("A7",) if found.lo > 1 else ("C > 1",))


def test_figure1_has_an_empty_interval():
    found = audit(rfa.preset("figure1"))
    assert not found.holds and not found.hypotheses_met
    assert found.constants["A7"] == pytest.approx((100, 400))
    assert found.constants["A6"] == pytest.approx((1, 2))
    assert found.constants["A3"] == pytest.approx((1, 5))
    assert found.constants["A5"] == pytest.approx((1, 1 / 0.15))
    assert found.constants["A1"][1] == pytest.approx(2 / np.log(50_000) ** 2)
    assert found.binding == (("A7",), ("A1",))


def test_the_preset_that_satisfies_them():
    found = audit(PRESET)
    assert found.holds and found.hypotheses_met and not found.unmet
    assert (found.lo, found.hi) == pytest.approx((16, 1 / 0.06))
    assert found.binding == (("A7",), ("A3", "A5"))
    assert not audit(rfa.preset("theorem")).holds


def test_defaults_of_the_experiment_are_filled_in():
    found = audit(rfa.Experiment(n=30, d=7, m=9))
    assert found.parameters["sigma"] == pytest.approx(1 / (5 * np.sqrt(7)))
    assert found.parameters["omega_init"] == pytest.approx(1 / (4 * np.sqrt(63)))


# The preset asks for C >= 16; each change moves one assumption to just inside or just outside it.
ROOT = math.sqrt(1200)
STEEP = 1 / (2 * math.sqrt(1 / 0.06))
EDGES = {
    "A1": ({"d": 1101}, {"d": 1100}),
    "A2": ({"m": 37}, {"m": 36}),
    "A3": ({"sigma": 0.999999 / (16 * ROOT)}, {"sigma": 1.000001 / (16 * ROOT)}),
    "A4": ({"n": 122}, {"n": 121}),
    "A5": ({"eta": 0.999999 / 16}, {"eta": 1.000001 / 16}),
    "A6": (
        {"omega_init": 0.999999 / (256 * ROOT * math.sqrt(200))},
        {"omega_init": 1.000001 / (256 * ROOT * math.sqrt(200))},
    ),
    "A7": ({"alpha": STEEP * 1.000001}, {"alpha": STEEP * 0.999999}),
}


@pytest.mark.parametrize("name", EDGES)
def test_just_inside_and_just_outside(name):
    inside, outside = (audit(PRESET.replace(**changes)) for changes in EDGES[name])
    assert inside.holds
    assert not outside.holds
    assert all(met(inside.hi, 0.1, inside.parameters).values())
    broken = [k for k, fine in met(outside.lo, 0.1, outside.parameters).items() if not fine]
    if name == "A7":
        assert broken == ["A3", "A5"] and outside.binding.lo == ("A7",)
    else:
        assert broken == [name] and outside.binding.hi == (name,)


def test_a_large_step_size():
    """The upper end of (A7): C <= 1/alpha^2 must leave room above 1."""
    assert audit(PRESET.replace(alpha=0.999999)).binding == (("C > 1",), ("A7",))
    assert audit(PRESET.replace(alpha=0.999999)).holds
    assert not audit(PRESET.replace(alpha=1.0)).holds


@given(st.floats(2, 16.6))
def test_a_single_feasible_value_survives_rounding(C):
    """alpha and eta that meet at one C, each rounded."""
    found = audit(PRESET.replace(alpha=1 / (2 * math.sqrt(C)), eta=1 / C))
    assert found.holds and found.lo == pytest.approx(C) and found.hi == pytest.approx(C)
    assert not audit(PRESET.replace(alpha=1 / (2 * math.sqrt(C)), eta=(1 + 1e-11) / C)).holds


def large(**changes):
    """The preset with changes, sizes included whose cluster means would fill the memory."""
    sizes = {name: changes.pop(name) for name in ("n", "d", "m") if name in changes}
    exp = PRESET.replace(**changes)
    for name, size in sizes.items():
        object.__setattr__(exp, name, size)
    return exp


# C1 and C just large enough: n >= C log(m/delta) makes C1 grow like C^(1/4)
AMPLE = {"n": 10**7, "d": 10**9, "m": 10**6, "eta": 1e-9, "sigma": 1e-12, "omega_init": 1e-20}
# id: (left side, right side, sign, changes with which it holds, changes with which it fails)
# from the parameters p, the good run's bound N on size(N)/n, C, C0, C1, C2 and delta
NEEDS = {
    "lemma_4_1": (
        lambda v: (v.d, 32 * np.log(4 * v.m / v.delta)),
        ">=",
        {"d": 288, "m": 200},
        {"d": 287, "m": 200},
    ),
    "lemma_4_3": (lambda v: (v.C1, 2), ">=", {}, {"n": 3}),
    "lemma_4_3_b": (
        lambda v: (v.d, np.log(32 * v.n / v.delta) ** 2 / v.C1),
        ">=",
        {},
        {"n": 10**8, "d": 30},
    ),
    "eq_6": (lambda v: (v.N + v.A, 1 / 8), "<=", {"n": 10**8, "eta": 0.01}, {"eta": 0.125}),
    "lemma_a_1": (lambda v: (v.r, v.alpha / 3), "<=", {}, {"omega_init": 1.0}),
    "lemma_4_9": (lambda v: (v.alpha, 1 / 4), "<=", {"alpha": 0.25}, {"alpha": 0.2501}),
    "eq_49": (lambda v: (v.alpha, 1 / 10), "<=", {"alpha": 0.1}, {}),
    "eq_37_noise": (lambda v: (2 * v.N, np.exp(-2) / 128), "<=", {"eta": 0.0}, {}),
    "eq_37_sigma": (lambda v: (2 * v.C1 * v.s, np.exp(-2) / 128), "<=", {"sigma": 1e-6}, {}),
    "after_38": (
        lambda v: (v.C, 512 * v.C1 * np.e**2),
        ">",
        AMPLE | {"alpha": 0.002},
        AMPLE | {"alpha": 0.2},
    ),
    "after_40": (
        lambda v: (v.C1 / v.C, 1 / (2 * np.sqrt(v.C))),
        "<",
        AMPLE | {"alpha": 0.005},
        {},
    ),
    "eq_50": (lambda v: (8 * v.C1 * v.s, np.exp(-2) / 512), "<=", {"sigma": 1e-7}, {}),
    "eq_52": (lambda v: (v.r, np.exp(-2) / 4096), "<=", {"omega_init": 1e-9}, {}),
    "lemma_4_2": (
        lambda v: (v.m, 16 * v.C0**2 * np.log(32 / v.delta)),
        ">=",
        {"m": 2308},
        {"m": 2307},
    ),
    # the literal C0 wants an n that no test can reach
    "eq_12": (
        lambda v: (v.n, 16 * 100 * 9 * v.C0**2 * np.pi * np.e * np.log(64 * v.m / v.delta)),
        ">=",
        {"n": 36_200_000, "m": 200},
        {"n": 36_100_000, "m": 200},
    ),
    "eq_12_noise": (
        lambda v: (v.N, (4 - np.sqrt(2)) / v.C2),
        "<=",
        {"eta": 0.0},
        {},
    ),
    "eq_20": (
        lambda v: (v.alpha, np.exp(-2) * (1 - 1 / v.C0) ** 2 / (6 * 1024)),
        "<=",
        {"alpha": 1e-6},
        {"alpha": 1 / (4 * 8000)},
    ),
    "lemma_4_9_margins": (
        lambda v: (v.C1 * v.s, np.exp(-2) * (1 - 1 / v.C0) ** 2 / 4096),
        "<=",
        {"sigma": 1e-8},
        {},
    ),
    # of C0 alone: (1 - 1/C0)^2 is .64 at C0 = 5, and a test of its own has a smaller one
    "eq_45": (lambda v: ((1 - 1 / v.C0) ** 2, 0.5), ">=", {}, None),
    "eq_31_noise": (lambda v: (v.N, 1 / (2 * v.C2)), "<=", {"eta": 0.0}, {}),
    "eq_31_eta": (lambda v: (v.eta, 1 / (4 * v.C2)), "<=", {"eta": 1e-15}, {}),
    "eq_32": (lambda v: (v.r, 1 / (16 * v.C2)), "<=", {"omega_init": 1e-20}, {}),
    "eq_34": (lambda v: (v.C1 * v.s, 1 / (64 * v.C2)), "<=", {"sigma": 1e-20}, {}),
}
DEPEND_ON_C0 = (
    "lemma_4_2",
    "eq_12",
    "eq_12_noise",
    "eq_20",
    "lemma_4_9_margins",
    "eq_45",
    "eq_31_noise",
    "eq_31_eta",
    "eq_32",
    "eq_34",
)
IDS = [*NEEDS, *(f"{id}_literal" for id in DEPEND_ON_C0)]


class Values:
    """What the needs are made of, by hand."""

    def __init__(self, exp, delta, C0):
        self.n, self.d = exp.n, exp.d
        self.m, self.alpha, self.eta, self.delta, self.C0 = exp.m, exp.alpha, exp.eta, delta, C0
        self.s = exp.sigma * np.sqrt(exp.d)
        self.r = exp.omega_init * np.sqrt(exp.m) * np.sqrt(exp.d)
        log = np.log(1 / delta)
        roots = ((1 / self.s) ** 0.5, 1 / self.s) if self.s else ()
        self.C1 = min(*roots, (exp.n / log) ** 0.25) if roots else (exp.n / log) ** 0.25
        self.C2 = 12 * C0 * np.sqrt(2 * np.pi * np.e)
        self.A = self.C1 * np.sqrt(log / exp.n)
        self.N = exp.eta + self.A if exp.eta else 0
        found = audit(exp, delta)
        self.C = found.hi if found.holds else math.nan


def compare(need, exp, C0):
    """The need's sides and its answer against the hand-written ones; returns the answer."""
    sides, sign, *_ = NEEDS[need.id.removesuffix("_literal")]
    left, right = sides(Values(exp, 0.1, LITERAL if need.id.endswith("_literal") else C0))
    assert need.value == pytest.approx(left, rel=1e-9, nan_ok=True)
    assert need.bound == pytest.approx(right, rel=1e-9, nan_ok=True)
    assert f" {sign} " in need.statement
    answer = {
        "<=": left <= right,
        "<": left < right,
        ">=": left >= right,
        ">": left > right,
    }[sign]
    assert need.holds == answer
    return need.holds


def needs_of(exp, **options):
    return {need.id: need for need in audit(exp, **options).needs}


@pytest.mark.parametrize("id", IDS)
def test_a_need_that_holds_and_one_that_fails(id):
    *_, right, wrong = NEEDS[id.removesuffix("_literal")]
    if id in ("lemma_4_2_literal", "eq_12_literal"):
        # nothing is large enough for the literal C0: also the largest that can be addressed fails
        right = wrong = {"m" if "4_2" in id else "n": 2**58, "omega_init": 1e-20}
        assert not compare(needs_of(large(**right))[id], large(**right), 5)
        return
    good, bad = large(**right), large(**(wrong or {}))
    assert compare(needs_of(good)[id], good, 5)
    if wrong is None:
        return
    assert not compare(needs_of(bad)[id], bad, 5)


def test_the_need_of_C0_alone():
    """(1 - 1/C0)^2 >= 1/2 from C0 = 3.4142 on."""
    for C0, holds in ((3.414, False), (3.4143, True)):
        assert needs_of(PRESET, C0=C0)["eq_45"].holds == holds
        assert needs_of(PRESET, C0=C0)["eq_45_literal"].holds


@pytest.mark.parametrize("alpha", [0.0501, 0.07, 0.24, 0.03])
def test_needs_of_a_rounded_horizon(alpha):
    """With r = 4 alpha K; (20)'s needs K >= 1536 e^2/(1-1/C0)^2 in place of a small alpha."""
    exp, K = PRESET.replace(alpha=alpha), math.floor(1 / (4 * alpha))
    v, found, r = Values(exp, 0.1, 5), needs_of(exp), 4 * alpha * K
    assert found["eq_50"].bound == pytest.approx(r * np.exp(-2) / 512)
    assert found["eq_52"].bound == pytest.approx(r * np.exp(-2) / 4096)
    assert found["lemma_4_9_margins"].bound == pytest.approx(r * np.exp(-2) * 0.64 / 4096)
    assert found["lemma_4_9_margins"].value == pytest.approx(v.C1 * v.s)
    assert found["eq_20"].statement.split()[0] == "K" and found["eq_20"].value == K
    # 3 alpha <= r e^-2 (1-1/C0)^2/2048, solved for K
    assert found["eq_20"].bound == pytest.approx(3 * alpha / r * K * 2048 * np.e**2 / 0.64)
    assert round(found["eq_20"].bound) == 17734


@pytest.mark.parametrize("C0", [1.001, 2.0, 50.0])
def test_needs_depend_on_C0_where_the_paper_does(C0):
    found = needs_of(PRESET, C0=C0)
    assert list(found) == [need.id for need in audit(PRESET).needs]
    assert set(found) == set(IDS)
    for need in found.values():
        compare(need, PRESET, C0)
    literal = audit(PRESET, C0=LITERAL)
    for id in DEPEND_ON_C0:
        assert needs_of(PRESET)[f"{id}_literal"].bound == pytest.approx(
            {need.id: need for need in literal.needs}[id].bound
        )


def test_constants_of_the_needs():
    found = audit(PRESET)
    assert round(found.C2) == 248  # at C0 = 5
    assert found.C1 == pytest.approx((400 / np.log(10)) ** 0.25)
    assert audit(rfa.preset("figure1")).C1 == pytest.approx(np.sqrt(5))
    assert audit(PRESET.replace(sigma=2 / ROOT)).C1 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "delta", "unmet", "notes"),
    [
        ({}, 0.1, [], []),
        ({"omega_init": 0.0}, 0.1, ["omega_init must be positive"], []),
        ({"noise": "exact"}, 0.1, ["labels must flip independently"], []),
        ({"balance": "exact"}, 0.1, ["clusters must be drawn uniformly"], []),
        ({"balance": (0.25, 0.25, 0.25, 0.25)}, 0.1, [], []),
        ({"law": "laplace"}, 0.1, [], ["Lemma 4.4"]),
        ({}, 0.24, [], []),
        ({}, 0.25, [], ["1 - 4 delta = 0"]),
        ({}, 0.5, ["delta must be below 1/2"], ["1 - 4 delta = -1"]),
        ({"n": 3}, 0.1, ["C1 of Lemma 4.3"], []),
    ],
)
def test_other_hypotheses(changes, delta, unmet, notes):
    found = audit(PRESET.replace(**changes), delta)
    assert len(found.unmet) == len(unmet)
    assert len(found.notes) == 1 + len(notes) and "large enough" in found.notes[-1]
    for text, part in zip((*found.unmet, *found.notes), (*unmet, *notes), strict=False):
        assert part in text and text in str(found)
    assert found.hypotheses_met == (found.holds and not unmet)


def test_nothing_bounds_C_where_a_parameter_is_zero():
    found = audit(PRESET.replace(sigma=0.0, omega_init=0.0, eta=0.0))
    assert [found.constants[k] for k in ("A3", "A5", "A6")] == [(1, math.inf)] * 3
    assert found.holds and not found.hypotheses_met
    assert found.binding.hi == ("A1",)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["constants"]["A3"] == [1, "inf"]


extremes = st.sampled_from([5e-324, 1e-308, 1e-160, 1e-154, 1.0, 1e160, 1.7e308]) | st.floats(
    5e-324, 1.7e308
)


@given(
    st.fixed_dictionaries({"alpha": extremes, "sigma": extremes, "omega_init": extremes}),
    st.sampled_from([5e-324, 1e-300, 0.5, 1 - 2**-53]),
    st.sampled_from([1 + 2**-52, 1e200, 1.7e308]),
    st.integers(1, 2**59 - 1),
    st.sampled_from([0.0, 5e-324, 1.0]),
)
def test_extreme_parameters_neither_overflow_nor_become_nan(reals, delta, C0, size, eta):
    exp = rfa.Experiment(n=size, d=2, m=size, eta=eta, **reals)
    found = audit(exp, delta, C0)
    numbers = [found.lo, found.hi, found.C1, found.C2]
    numbers += [x for interval in found.constants.values() for x in interval]
    ends = {x for need in found.needs for x in (need.value, need.bound)}
    # C, and what is compared with C, are NaN where no C is feasible
    of_C = [x for need in found.needs if need.id.startswith("after") for x in need[2:4]]
    numbers += ends - {x for x in of_C if not found.holds}
    assert all(x >= 0 for x in numbers)  # false for nan
    json.dumps(found.to_dict(), allow_nan=False)
    assert "nan" not in str(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0}, "delta must be between 0 and 1, got 0.0"),
        ({"delta": 1}, "delta must be between 0 and 1, got 1.0"),
        ({"delta": math.nan}, "delta must be finite"),
        ({"C0": 1}, "C0 must be above 1, got 1.0"),
        ({"C0": math.inf}, "C0 must be finite"),
    ],
)
def test_audit_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        audit(PRESET, **options)


def test_audit_refuses_what_is_not_an_experiment():
    with pytest.raises(TypeError, match="exp must be an Experiment, got str"):
        audit("figure1")
    with pytest.raises(TypeError, match="delta must be a real number"):
        audit(PRESET, delta="small")


def test_audit_is_frozen():
    with pytest.raises(AttributeError):
        audit(PRESET).holds = False


@pytest.mark.parametrize("name", ["figure1", "assumptions"])
def test_three_renderings_say_the_same(name):
    found = audit(rfa.preset(name))
    text, markdown = str(found), found.to_markdown()
    page = ET.fromstring(f"<div>{found._repr_html_()}</div>")  # well-formed, all of it escaped
    tables = page.findall("table")
    assert [len(table.findall(".//tr")) for table in tables] == [8, 1 + len(found.needs)]
    assert max(map(len, text.splitlines())) <= 110
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * 2 + 7 + len(found.needs)
    assert {line.count("|") for line in rows} == {7, 6}
    plain = "".join(page.itertext())
    for rendering in (text, markdown, plain):
        for need in found.needs:
            assert need.statement in rendering and need.source in rendering
        assert ("hold for C in [16, 16.67]" if name == "assumptions" else "no C") in rendering
        assert rendering.count("NO") == sum(not need.holds for need in found.needs)
    # the journal version's numbers, in the order of the paper's
    cells = [[td.text for td in tr] for tr in tables[0].findall(".//tr")[1:]]
    assert [row[:2] for row in cells] == [
        [f"A{i}", f"A{j}"] for i, j in zip(range(1, 8), (1, 5, 2, 3, 4, 6, 7), strict=True)
    ]


def test_to_dict():
    found = audit(rfa.preset("figure1"))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["parameters"]["n"] == 5000 and values["holds"] is False
    assert values["binding"] == {"lo": ["A7"], "hi": ["A1"]}
    assert values["constants"]["A6"] == [1.0, 2.0]
    assert values["needs"][1] == {
        "id": "lemma_4_3",
        "statement": "C1 >= 2",
        "value": found.C1,
        "bound": 2.0,
        "holds": True,
        "source": "4.3 [5]",
    }


# --- the inverse

CHOICES = {
    "n": st.integers(1, 10**5),
    "d": st.integers(2, 10**4),
    "m": st.integers(1, 10**5),
    "alpha": st.floats(0.08, 0.6),
    "sigma": st.floats(1e-5, 0.05),
    "omega_init": st.floats(1e-8, 1e-3),
    "eta": st.floats(0, 0.5),
}
some_given = st.fixed_dictionaries({}, optional=CHOICES)
Cs = st.none() | st.floats(1.001, 40)


@given(some_given, deltas, Cs)
def test_the_corner_passes_the_audit(given_ones, delta, C):
    found = feasible(delta, C, **given_ones)
    assume(found.holds)
    assert found.corner.items() >= given_ones.items()
    assert set(found.ranges) == set(NAMES) - set(given_ones)
    assert found.C == C or C is None
    for alpha in found.ranges.get("alpha", (found.corner["alpha"],)):
        corner = found.corner | {"alpha": alpha}
        checked = audit(experiment(corner), delta)
        assert checked.holds
        assert checked.lo <= found.C * (1 + 1e-11) and found.C <= checked.hi * (1 + 1e-11)
        assert all(met(found.C, delta, corner, 1e-11).values())
    # the sizes are the smallest and the rest the largest: a step further breaks something
    for name in found.ranges:
        beyond = found.corner[name] - 1 if name in "ndm" else found.corner[name] * (1 + 1e-9)
        if name not in "ndm" or beyond >= (2 if name == "d" else 1):
            assert not all(met(found.C, delta, found.corner | {name: beyond}, 0).values())


@given(some_given, deltas, Cs, st.permutations(NAMES), st.data())
def test_choices_made_one_by_one_within_the_ranges(given_ones, delta, C, order, data):
    """Whatever the order: what a range offers can be completed, what lies outside cannot."""
    fixed = dict(given_ones)
    found = feasible(delta, C, **fixed)
    assume(found.holds)
    for name in order:
        if name in fixed:
            continue
        low, high = found.ranges[name]
        if name in "ndm":
            top = int(min(high, low + 10**4))
            value = data.draw(st.integers(low, top) | st.sampled_from([low, top]))
            outside = [low - 1] * (low > (2 if name == "d" else 1))
            outside += [high + 1] * (high < 2**60)
        else:
            value = data.draw(st.floats(low, high) | st.just(high))
            outside = [high * (1 + 1e-9)]
            outside += [low * (1 - 1e-9)] * (name == "alpha")
        outside = [x for x in outside if name != "eta" or x <= 1]
        for x in outside:
            assert not feasible(delta, found.C, **fixed, **{name: x}).holds, (name, x)
        fixed[name] = value
        found = feasible(delta, found.C, **fixed)
        assert found.holds, (name, value)
    assert found.ranges == {} and found.corner == fixed
    assert all(met(found.C, delta, fixed, 1e-11).values())


@given(points, deltas)
def test_with_everything_given_it_is_the_audit(p, delta):
    checked, found = audit(experiment(p), delta), feasible(delta, **p)
    assert (found.lo, found.hi) == (checked.lo, checked.hi)
    assert found.holds == checked.holds
    failing = {clash.assumptions[0] for clash in found.clashes}
    near = found.C * (1 - 5e-13)
    highs = {k: high for k, (_, high) in checked.constants.items()}
    assert failing == {k for k, high in highs.items() if high <= 1 or high < near}
    if failing:
        assert found.clashes[0].assumptions[0] in checked.binding.hi


@given(some_given, deltas)
def test_the_limits_of_C(given_ones, delta):
    """With the given ones, a completion exists for C up to hi and not beyond."""
    found = feasible(delta, **given_ones)
    assert found.holds == (found.hi >= found.lo and found.hi > 1 + 1e-11)
    for C, expected in ((found.hi * (1 - 1e-9), True), (found.hi * (1 + 1e-9), False)):
        if max(found.lo, 1.001) < C < 1e90:
            again = feasible(delta, C, **given_ones)
            assert again.holds == expected
            assert again.hi == found.hi and bool(again.clashes) != expected


@given(some_given, deltas, st.floats(1.001, 40), st.data())
def test_a_contradiction_cannot_be_completed(given_ones, delta, C, data):
    found = feasible(delta, C, **given_ones)
    assume(not found.holds)
    assert found.ranges == {} and found.corner == {} and found.clashes
    others = {name: CHOICES[name] for name in NAMES if name not in given_ones}
    for _ in range(5):
        p = given_ones | data.draw(st.fixed_dictionaries(others))
        assert not all(met(C, delta, p, 0).values())
    # the smallest sizes by hand, which is the best that one can do
    m = given_ones.get("m", max(1, math.ceil(C * np.log(1 / delta))))
    n = given_ones.get("n", max(1, math.ceil(C * np.log(m / delta))))
    d = given_ones.get("d", max(2, math.ceil(C * max(np.log(n / delta) ** 2, np.log(m / delta)))))
    best = {"alpha": 1 / math.sqrt(C), "sigma": 0.0, "omega_init": 0.0, "eta": 0.0}
    p = best | given_ones | {"n": n, "d": d, "m": m}
    broken = {k for k, fine in met(C, delta, p, 0).items() if not fine}
    assert {clash.assumptions[0] for clash in found.clashes} == broken


def test_figure1_clashes():
    parameters = audit(rfa.preset("figure1")).parameters
    found = feasible(**parameters)
    assert [clash.assumptions for clash in found.clashes] == [
        (k, "A7") for k in ("A1", "A6", "A3", "A5")
    ]
    assert {clash.C for clash in found.clashes} == {found.lo} and found.lo == pytest.approx(100)
    assert found.clashes[1].limit == pytest.approx(2)
    assert "A6 and A7 clash at C = 100: A7 wants C >= 100, A6 allows C <= 2" in str(found)


@pytest.mark.parametrize(
    ("arguments", "pair", "C"),
    [
        ({"alpha": 0.05, "sigma": 0.05}, ("A3", "A1"), 100),  # d is missing
        ({"alpha": 0.05, "sigma": 0.05, "d": 10**4}, ("A3", "A7"), 100),
        ({"alpha": 0.05, "omega_init": 1e-3}, ("A6", "A1"), 100),
        ({"alpha": 0.05, "omega_init": 1e-4, "d": 10**4}, ("A6", "A2"), 100),
        ({"alpha": 0.05, "omega_init": 1e-4, "d": 10**4, "m": 300}, ("A6", "A7"), 100),
        ({"alpha": 0.05, "n": 300}, ("A4", "A2"), 100),
        ({"alpha": 0.05, "n": 300, "m": 300}, ("A4", "A7"), 100),
        ({"alpha": 0.05, "d": 5000}, ("A1", "A4"), 100),  # n is missing
        ({"alpha": 0.05, "d": 5000, "n": 10**4}, ("A1", "A7"), 100),
        ({"delta": 0.9, "C": 50.0, "d": 90, "n": 1}, ("A1", "A2"), 50),  # m counts for d
        ({"alpha": 0.05, "m": 20}, ("A2", "A7"), 100),
        ({"C": 16.0, "m": 20}, ("A2", "C"), 16),
        ({"C": 16.0, "alpha": 0.05}, ("A7", "C"), 16),
        ({"C": 16.0, "alpha": 0.3}, ("A7", "C"), 16),
        ({"alpha": 1.5}, ("A7", "C > 1"), 1),
        ({"eta": 1.0}, ("A5", "C > 1"), 1),
        ({"n": 10**9, "d": 5}, ("A1", "C > 1"), 1),
    ],
)
def test_which_pair_clashes(arguments, pair, C):
    found = feasible(**arguments)
    assert not found.holds
    assert pair in [clash.assumptions for clash in found.clashes]
    for clash in found.clashes:
        assert clash.C == pytest.approx(C)
        assert all(name in clash.text for name in clash.assumptions)
        assert clash.text in str(found)


def test_the_limit_of_a_clash():
    """A1 makes d large, A3 keeps it small: solved by hand for C in steps of 1e-4."""
    (clash,) = feasible(alpha=0.05, sigma=0.05).clashes
    grid = np.arange(1, 4, 1e-4)
    m = np.ceil(grid * np.log(10))
    n = np.ceil(grid * np.log(m / 0.1))
    d = np.ceil(grid * np.maximum(np.log(n / 0.1) ** 2, np.log(m / 0.1)))
    fine = 0.05**2 <= 1 / (grid**2 * d)
    assert clash.limit == pytest.approx(grid[fine].max(), abs=2e-4)


def test_the_smallest_C():
    assert feasible(alpha=0.125).C == pytest.approx(16)
    assert feasible(alpha=0.6).C == pytest.approx(1) and feasible(alpha=0.6).C > 1
    free = feasible()
    assert 1 < free.C < 1 + 1e-9 and free.holds and free.hi == math.inf
    assert experiment(free.corner).d >= 2


def test_a_huge_C_asks_for_huge_sizes():
    """The literal reading's C is out of reach, and the answer says how far."""
    found = feasible(C=1e13, delta=1e-300)
    assert found.holds and found.corner["d"] > 1e18 and found.ranges["d"][1] == math.inf
    assert feasible(C=1e100, delta=5e-324).holds
    json.dumps(found.to_dict(), allow_nan=False)


def test_feasible_in_words_and_as_a_dictionary():
    found = feasible(C=16, d=1200)
    lines = str(found).splitlines()
    assert lines[0] == "(A1)-(A7) at delta = 0.1, C = 16, given d=1200"
    assert "  n in [95, 576]" in lines and "  alpha in [0.125, 0.25]" in lines
    assert len(lines) == 7
    # n <= 576 by hand: d >= C log^2(n/delta)
    assert 16 * np.log(5760) ** 2 <= 1200 < 16 * np.log(5770) ** 2
    # and with it m: n >= C log(m/delta)
    assert found.ranges["m"] == pytest.approx((37, 0.1 * np.exp(576 / 16)), rel=1e-9)
    values = json.loads(json.dumps(feasible(C=16).to_dict(), allow_nan=False))
    assert values["ranges"]["n"] == [95, "inf"] and values["corner"]["m"] == 37
    clash = json.loads(json.dumps(feasible(C=16, eta=0.5).to_dict()))["clashes"][0]
    assert clash["assumptions"] == ["A5", "C"] and clash["limit"] == 2


def test_feasible_notes_other_hypotheses():
    assert feasible(C=16).notes == ()
    (note,) = feasible(C=16, omega_init=0.0).notes
    assert "omega_init must be positive" in note and note in str(feasible(C=16, omega_init=0.0))
    assert len(feasible(0.3, C=16).notes) == 1
    assert len(feasible(0.6, C=16).notes) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"delta": 1.0}, ValueError, "delta must be between 0 and 1"),
        ({"C": 1.0}, ValueError, "C must be above 1 and at most 1e100, got 1.0"),
        ({"C": 1e101}, ValueError, "C must be above 1 and at most"),
        ({"C": math.inf}, ValueError, "C must be finite"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"d": 1}, ValueError, "d must be at least 2"),
        ({"m": 2.5}, TypeError, "m must be an integer"),
        ({"m": 10**400}, ValueError, "m must be at most 1e300"),
        ({"alpha": 0.0}, ValueError, "alpha must be positive"),
        ({"alpha": 1e-60}, ValueError, "alpha must be at least 5e-51"),
        ({"sigma": -1.0}, ValueError, "sigma must be at least 0"),
        ({"omega_init": math.inf}, ValueError, "omega_init must be finite"),
        ({"eta": 1.5}, ValueError, r"eta must be in \[0, 1\]"),
        ({"width": 3}, TypeError, "width"),
    ],
)
def test_feasible_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        feasible(**arguments)
