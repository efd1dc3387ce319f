"""What theory.check does where a statement lacks something: not applicable, silent, refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import definitions
import numpy as np
import pytest
from dense import all_differences, ids, train
from statement_cases import VALUES

import rfa
from rfa.theory import STATEMENTS, check

pytestmark = pytest.mark.filterwarnings("ignore:1/.4 alpha.*rounded down:UserWarning")

# The statements by what they need of a run.
ANY = ids("lemma_A_1", 15, 16, "proposition_B_1")
SAMPLES = ids("lemma_4_3")
CLUSTERS = ids(6, 14)
START = ids("lemma_4_1_", "lemma_4_2", "lemma_4_4", 11, "definition_4_5")
FIRST = ids("lemma_4_10", 23, 24, 26, 28, 31, 32, 34)
FOLLOWED = ids(
    "condition", "lemma_4_9", 17, 18, 20, "lemma_4_11", 35, 38, 40, 41, 42, 43, "growing"
)
THEOREM, RISK = ids("theorem_3_1", 45, 46, "fresh"), ids("theorem_3_1_2")
FRESH = RISK | ids("fresh")
FEATURES = ids("proposition_3_2", 48, 49, 50, 53)
TRAINED = ids("lemma_4_6") | FOLLOWED | THEOREM | FEATURES


def test_every_statement_is_in_one_group():
    groups = (ANY, SAMPLES, CLUSTERS, START, FIRST, TRAINED)
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(STATEMENTS) == 66


def own(run, *, clusters=True, flipped=False):
    """The same samples as data of one's own, and the run on them."""
    data = run.data
    known = {"y_clean": data.y_clean, "cluster": data.cluster, "means": data.means}
    if flipped:
        known["y_clean"] = -data.y_clean
    data = rfa.Dataset(data.X, data.y, **(known if clusters else {}))
    return rfa.train(run.initial, data, run.alpha, run.t, engine=run.engine)


def without_omega():
    run = train()
    return rfa.train(rfa.Network(run.initial.W), run.data, run.alpha)


def continued():
    run = train()
    return rfa.train(run.network, run.data, run.alpha)


def long(record):
    """1/(4 alpha) = 1200 is beyond the 1000 steps that are recorded in any case."""
    data = rfa.XORClusters().sample(n=12, rng=0)
    return rfa.train(rfa.Network.random(m=4, rng=0), data, 1 / 4800, record=record)


NO_CLUSTERS = set(STATEMENTS) - ids("lemma_A_1", 15, 16) - {"proposition_B_1"}
UNKNOWN = SAMPLES | {"definition_4_5", "equation_11"} | FIRST | FRESH | {"proposition_B_1_expected"}
NO_OMEGA = START | FIRST | FEATURES
LATER = TRAINED - {"condition_4_7"}  # which speaks of T - 1 at the latest

# name -> run, and which statements are not applicable for which reason
LACKING = {
    "no clusters": (
        lambda: own(train(), clusters=False),
        {"the data have no clusters": NO_CLUSTERS},
    ),
    "other labels": (
        lambda: own(train(), flipped=True),
        {r"not those of \+-mu1 \(label \+1\)": NO_CLUSTERS},
    ),
    "no distribution": (lambda: own(train()), {"the data have no distribution": UNKNOWN}),
    "no omega": (without_omega, {"omega_init is not known": NO_OMEGA}),
    "trained before": (continued, {"it was trained for 6 steps before$": NO_OMEGA}),
    "no step": (
        lambda: train(steps=0),
        {
            "needs step 1, the run has 0": FIRST | ids("lemma_A_1", 15),
            "needs step 5, the run has 0": {"condition_4_7"},
            "needs step 6, the run has 0": LATER,
        },
    ),
    "one step": (
        lambda: train(steps=1),
        {
            "needs step 5, the run has 1": {"condition_4_7"},
            "needs step 6, the run has 1": LATER,
        },
    ),
    "a step too few": (lambda: train(steps=5), {"needs step 6, the run has 5": LATER}),
    "alpha = 0.3": (
        lambda: train(alpha=0.3),
        {"alpha = 0.3 is above 1/4": FOLLOWED | THEOREM | FEATURES},
    ),
    "only T recorded": (
        lambda: train(record=None),
        {
            "^step 0 was not recorded": START | ids("lemma_4_6") | FEATURES,
            "^step 0, 1 was not recorded": FIRST,
            r"^step 0, 1, 2, 3, 4(, \.\.\.)? was not recorded": FOLLOWED,
        },
    ),
    "only a later step recorded": (
        lambda: train(steps=9, record=None),
        {
            "step 0.* was not recorded": START | FIRST | ids("lemma_4_6") | FOLLOWED | FEATURES,
            "step 6 was not recorded": THEOREM,
            "no step from 1 to T was recorded": ids("lemma_A_1"),
        },
    ),
    "steps left out": (
        lambda: long([3, 1100]),
        {r"step 1001, 1002, 1003, 1004, 1005, \.\.\. was not recorded": FOLLOWED},
    ),
    "all recorded": (lambda: long("all"), {}),
    "exact noise": (lambda: train(noise="exact"), {"by the rule 'exact'": RISK}),
}


@pytest.mark.parametrize("name", LACKING)
def test_not_applicable(name):
    make, reasons = LACKING[name]
    report = check(make(), rng=0)
    for c in report:
        wanted = [text for text, names in reasons.items() if c.id in names]
        if c.id == "theorem_3_1_2" and not wanted:
            wanted = ["allow no C|are not known to hold"]
        assert c.applicable == (not wanted), c
        if wanted:
            assert re.search(wanted[0], c.reason), (c.id, c.reason)
            assert not c.holds and c.verdict == "not applicable" and math.isnan(c.value)
    assert not any(c in report.failed for c in report if not c.applicable)


def test_good_run_of_data_with_one_part_missing():
    """Definition 4.5 says what its first part lacks."""
    report = check(own(train()), rng=0)
    assert report["definition_4_5"].reason == report["lemma_4_3_c"].reason != ""


# ----------------------------------------------------------------------- step size, noise, delta


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_beyond_a_quarter(alpha):
    """T = 1: what is left is as it is by definition, and Lemma 4.10 lacks Lemma A.1's step 1."""
    run = train((61, 3, 13), alpha=alpha, steps=1)
    report, it = check(run), definitions.define(run)
    assert report.settings["T"] == 1 and report.settings["rounded"]
    left = {c.id for c in report if c.applicable}
    assert left == set(STATEMENTS) - FOLLOWED - THEOREM - FEATURES
    assert all_differences(report, it) == {}
    assert set(it.found) == left - ids(28, "proposition_B_1")
    assert "the proof needs alpha <= 1/4" in report["lemma_4_10_alignment"].reason


@pytest.mark.parametrize("noise", ["exact", "farthest", "half-space", "boundary", "one-cluster"])
def test_noise_rules(noise):
    """All the same but part 2, of which the clean error is left."""
    run = train((211, 5, 26), noise=noise, width=0.6, seed=2)
    report, it = check(run), definitions.define(run)
    assert not it.met
    for name in RISK:
        part = report[name]
        assert not part.applicable and repr(noise) in part.reason
        X, y_clean = definitions.fresh_points(
            it.run.data.distribution, 200_000, np.random.default_rng(3)
        )
        wrong = y_clean * (np.maximum(X @ it.W[it.T].T, 0) @ it.a) <= 0
        low, high = part.details["clean_interval"]
        room = definitions.radius(wrong, len(wrong))
        assert low - room < wrong.mean() < high + room
        assert low < part.details["clean_error"] < high < low + 0.1
        it.found.pop(name, None)
    assert all_differences(report, it) == {}


def test_without_noise():
    """No sample is noisy: what speaks of them has no case, but not (c) of Lemma 4.3."""
    run = train((61, 5, 12), eta=0.0)
    report, it = check(run), definitions.define(run)
    assert all_differences(report, it) == {}
    empty = {c.id for c in report if c.silent and math.isnan(c.value)}
    assert empty - ids(40, 41, 42) == {"theorem_3_1_1_noisy", "lemma_4_9_noisy"}
    for name in ("theorem_3_1_1_noisy", "lemma_4_9_noisy"):
        c = report[name]
        assert c.holds and c.verdict == "no case" and c.reason.startswith("no sample is noisy")
    assert not report["lemma_4_3_c"].silent


def test_all_labels_flipped():
    """eta = 1: no sample is clean."""
    run = train((61, 5, 12), eta=1.0)
    report, it = check(run), definitions.define(run)
    assert all_differences(report, it) == {}
    for name in ("theorem_3_1_1_clean", "lemma_4_9_clean"):
        assert report[name].silent == "no case" and report[name].reason.startswith(
            "no sample is clean"
        )


@pytest.mark.parametrize("delta", [0.25, 0.4, 0.5, 0.9, 1 - 2.0**-50])
def test_delta_at_which_the_probability_says_nothing(delta):
    """It makes no statement silent; from 1/2 on it is no delta of the paper's."""
    run = train((61, 3, 12), alpha=0.125)
    report, other = check(run, delta), check(run)
    assert "says nothing" in report.heading()[0] and "says nothing" not in other.heading()[0]
    for name in ids(16, "lemma_4_6", "proposition_B_1", "lemma_A_1", "condition"):
        one, two = report[name], other[name]
        assert (one.value, one.bound, one.silent) == (two.value, two.bound, two.silent), name
    unmet = "delta must be below 1/2" in report["lemma_4_1_a"].reason
    assert unmet == (delta >= 0.5)


# ----------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"C0": 1}, ValueError, "C0 must be above 1"),
        ({"C0": 0.5}, ValueError, "C0 must be above 1"),
        ({"C0": -3.0}, ValueError, "C0 must be above 1"),
        ({"C0": math.nan}, ValueError, "C0 must be"),
        ({"C0": math.inf}, ValueError, "C0 must be"),
        ({"C0": "5"}, TypeError, "C0 must be"),
        ({"delta": 0}, ValueError, "delta must be"),
        ({"delta": 1}, ValueError, "delta must be"),
        ({"delta": -0.1}, ValueError, "delta must be"),
        ({"delta": 1.5}, ValueError, "delta must be"),
        ({"delta": math.nan}, ValueError, "delta must be"),
        ({"delta": None}, TypeError, "delta must be"),
        ({"rng": -1}, ValueError, "rng"),
        ({"rng": "0"}, TypeError, "rng"),
    ],
)
def test_arguments_are_refused(options, error, message):
    run = train(steps=0)
    with pytest.raises(error, match=message):
        check(run, **options)
    if "rng" not in options:
        with pytest.raises(error, match=message):
            rfa.theory.lemma_4_2(run, **options)


@pytest.mark.parametrize("other", [None, "run", 3, rfa.Network(np.eye(2))], ids=str)
def test_only_runs_are_checked(other):
    with pytest.raises(TypeError, match="run must be a rfa.Run"):
        check(other)


def test_rounded_horizon_warns_where_it_was_called():
    run = train(alpha=0.03)
    with pytest.warns(UserWarning, match=r"= 8.33333 is not an integer.*down to 9") as caught:
        report = check(run)
    assert [w.filename for w in caught] == [__file__]
    assert "rounded T" in report.heading()[1]


# ----------------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("d", [2, 20])
def test_clusters_without_width(d, dtype):
    """sigma = 0 with means that float32 rounds: C1 may be anything, up to rounding."""
    run = train((61, d, 12), width=0.0, rotated=True, dtype=dtype)
    report, it = check(run), definitions.define(run)
    assert all_differences(report, it) == {}
    for name in ids("lemma_4_3_a", "lemma_4_3_b", 24):
        assert report[name].holds and report[name].empirical_constant == 0, name


def test_clusters_of_equal_points_elsewhere():
    """sigma = 0 in the distribution but not in the data: no C1 is large enough."""
    run = train((61, 4, 12))
    distribution = replace(run.data.distribution, sigma=0.0)
    data = run.data
    known = {"y_clean": data.y_clean, "cluster": data.cluster, "means": data.means}
    data = rfa.Dataset(data.X, data.y, **known, distribution=distribution)
    report = check(rfa.train(run.initial, data, run.alpha), rng=0)
    for name in ids("lemma_4_3_a", "lemma_4_3_b", 24):
        assert not report[name].holds and math.isinf(report[name].empirical_constant), name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_another_second_layer(dtype):
    """Any a is checked, in units of its own abs(a_j), but the paper speaks of +-1/sqrt(m)."""
    run = train((61, 5, 12), dtype=dtype, width=0.4)
    a = np.array([0.3, -0.2, 0.1, 0.4, 0.0, -0.3, -0.1, -0.2, 0.3, 0.2, -0.4, -0.5])
    net = rfa.Network(run.initial.W, a, omega_init=run.initial.omega_init)
    # gram's norms are not those of W rounded to float32, from which the definitions go
    run = rfa.train(net, run.data, 0.05, snapshots=range(7), engine="direct")
    report, it = check(run), definitions.define(run)
    assert not it.paper_a
    assert all_differences(report, it) == {}
    of_any = ids(16, "equation_16") | {"lemma_4_6_norm", "proposition_B_1"} | VALUES
    for c in report:
        unmet = any("a_j is not +-1/sqrt(m)" in line for line in c.unmet)
        assert unmet == (c.applicable and c.id not in of_any)


def test_start_at_zero():
    """omega = 0: no neuron ever moves, and no statement has its hypotheses but those of any W."""
    report = check(train((61, 5, 12), start=0.0))
    lines = [c.id for c in report if any("omega_init" in line for line in c.unmet)]
    of_any = ids(16, "lemma_4_6", "proposition_B_1") | VALUES
    assert set(lines) == set(STATEMENTS) - of_any - {"theorem_3_1_2"}
    assert report["equation_16"].value == 0 and report["equation_16"].holds
    assert math.isnan(report["lemma_4_1_a"].value) and not report["lemma_4_1_a"].holds
    part = report["proposition_3_2"]
    assert part.silent and part.details["left_out"] == 61
    assert any("omega_init must be positive" in line for line in part.unmet)


def test_order_of_the_statements_does_not_matter():
    """One by one on a run of their own, and backwards: the report's checks."""
    run = train((61, 5, 12), width=0.5, seed=8)
    report = check(run, 0.05, 3.0, rng=1)
    theory, again = rfa.theory, replace(run)
    backwards = (
        theory.proposition_B_1,
        theory.proposition_3_2,
        theory.theorem_3_1,
        theory.lemma_4_11,
        theory.lemma_4_10,
        theory.lemma_4_9,
        theory.condition_4_8,
        theory.condition_4_7,
        theory.lemma_4_6,
        theory.equation_16,
        theory.lemma_A_1,
        theory.definition_4_5,
        theory.lemma_4_4,
        theory.lemma_4_3,
        theory.lemma_4_2,
        theory.lemma_4_1,
    )
    found = [c for function in backwards for c in function(again, delta=0.05, C0=3.0, rng=1)]
    assert sorted(c.id for c in found) == sorted(STATEMENTS)
    for c in found:
        assert c.to_dict() == report[c.id].to_dict()


def test_no_neuron_is_correlated():
    """J is empty, and so is all that speaks of it; constants that it would ask for are anything."""
    data = rfa.XORClusters(d=3).sample(n=30, rng=0)
    W = np.zeros((6, 3))
    W[:, 2] = 1e-3
    run = rfa.train(rfa.Network(W, omega_init=1e-3), data, 0.05, snapshots=range(7))
    report = check(run, rng=0)
    assert all_differences(report, definitions.define(run)) == {}
    empty = {c.id for c in report if c.silent and math.isnan(c.value)}
    of_J = FOLLOWED - ids("lemma_4_9", 17, 20, 35) | ids("lemma_4_10", 31, 32, 34, 48, 49, 50)
    assert empty == of_J | {"lemma_4_4", "equation_11"}
    for name in empty:
        assert report[name].holds and report[name].where == {}
        if report[name].constant == "C2":
            assert report[name].empirical_constant == 0, name


def test_features_that_stay():
    """a = 0: no feature moves, which needs an infinite C; those of -mu2 are never active."""
    data = rfa.XORClusters(d=2, sigma=0.0).sample(n=40, rng=0)
    W = 1e-3 * np.array([[1.0, 0.1], [-1, 0.1], [0.1, 0.9], [-0.1, 0.9]])
    run = rfa.train(rfa.Network(W, np.zeros(4), omega_init=1e-3), data, 0.25)
    part = rfa.theory.proposition_3_2(run)[0]
    assert (part.value, part.empirical_constant, part.holds) == (0, math.inf, False)
    assert part.details["left_out"] == (data.cluster == 3).sum() > 0


def test_without_snapshots_what_needs_their_weights_says_so():
    run = train()
    bare = rfa.train(run.initial, run.data, run.alpha, run.t + 1, engine=run.engine, snapshots=None)
    whole = rfa.train(run.initial, run.data, run.alpha, run.t + 1, engine=run.engine)
    report, other = check(bare), check(whole)
    lacking = {name for name in STATEMENTS if "not kept" in report[name].why}
    T = rfa.theory.horizon(run.alpha)
    assert {report[name].why for name in lacking} == {
        f"W of step {t} was not kept in a snapshot" for t in (1, T)
    }
    assert report["equation_15"].why == "W of no step from 1 to T was kept in a snapshot"
    lacking.add("equation_15")
    of_T = ids(15, 16, 17, 18, 20, 46, "lemma_4_6", "lemma_4_9")
    assert of_T | FIRST | FRESH | FEATURES == lacking
    # by their text: a value that is NaN is not equal to itself
    others = [name for name in STATEMENTS if name not in lacking]
    assert [repr(report[name]) for name in others] == [repr(other[name]) for name in others]


@pytest.mark.parametrize("alpha", [1e-300, 1e-20, 1e-8])
def test_a_horizon_that_no_run_reaches(alpha):
    run = rfa.Experiment(n=40, d=3, m=8, alpha=alpha, steps=3).run(0)
    assert "needs step" in rfa.theory.check(run)["condition_4_7"].reason
