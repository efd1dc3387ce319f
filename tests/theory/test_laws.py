"""A law given as a function: a sample shows whether its mean is 0 and its covariance I."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import rfa
from rfa import _seeds
from rfa.data.laws import LAWS
from rfa.theory import STATEMENTS, check, laws

# the statements that do not assume the setting of Section 2.1
OF_ANY = {
    *("equation_16", "lemma_4_6", "lemma_4_6_norm"),
    *("proposition_B_1", "proposition_B_1_expected", "fresh_agreement", "growing_norms"),
}


def normal(rng, n, d):
    return rng.standard_normal((n, d))


def run_of(law, n=40, d=3, sigma=0.1):
    data = rfa.XORClusters(d=d, sigma=sigma, law=law).sample(n, rng=3)
    return rfa.train(rfa.Network.random(m=8, d=d, rng=3), data, 0.25)


def sentences(run):
    """The sentences about the law, which every statement of the setting has."""
    report = check(run)
    found = {tuple(str(line) for line in c.unmet if line.id == "law") for c in report}
    without = {c.id for c in report if c.applicable and not any(u.id == "law" for u in c.unmet)}
    assert without <= OF_ANY
    (said,) = found - {()}
    assert said[0] == "the law must be log-concave, which is not known of a function"
    assert set(said) <= set(report.settings["unmet"]) and not report.settings["assumptions_met"]
    assert all("\n" not in line for line in said)
    return said[1:]


# ------------------------------------------------------------------ the error level

FROZEN = {
    "gaussian": stats.norm(),
    "laplace": stats.laplace(scale=math.sqrt(0.5)),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "logistic": stats.logistic(scale=math.sqrt(3) / math.pi),
    "exponential": stats.expon(loc=-1),
}


@pytest.mark.parametrize("name", FROZEN)
def test_the_inequalities_of_the_limits_hold_for_log_concave_laws(name):
    law, t = FROZEN[name], np.linspace(0, 40, 4001)
    assert law.mean() == pytest.approx(0) and law.var() == pytest.approx(1)
    assert (law.sf(t) + law.cdf(-t) <= np.exp(1 - t)).all()
    assert float(law.stats("k")) + 3 <= 6 * math.e
    for q in range(3, 9):
        moment = law.expect(lambda x, q=q: abs(x) ** q)
        assert moment <= math.e * math.factorial(q)
        # Bernstein with variance 1 and c = 2e
        assert moment <= math.factorial(q) / 2 * (2 * math.e) ** (q - 2)


@pytest.mark.parametrize(("N", "D"), [(16384, 4), (16384, 2400), (1024, 80000)])
def test_the_limits_spend_the_level(N, D):
    R, mean, low, high = laws.Limits.of(N, D)
    tails = [N * D * math.exp(1 - R)]
    # each tail solved for its probability, from the sums' side
    v, c = 1.0, 2 * math.e  # sqrt(2 v s) + c s = mean
    root = (-math.sqrt(2 * v) + math.sqrt(2 * v + 4 * c * mean)) / (2 * c)
    tails += [2 * D * math.exp(-N * root**2)]
    tails += [D * math.exp(-N * (1 - low) ** 2 / (2 * 6 * math.e))]
    v, c = 6 * math.e, R * R / 3
    root = (-math.sqrt(2 * v) + math.sqrt(2 * v + 4 * c * (high - 1))) / (2 * c)
    tails += [D * math.exp(-N * root**2)]
    assert sum(tails) == pytest.approx(laws.LEVEL)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 9), st.integers(0, 2**32), st.booleans())
def test_directions_are_unit_vectors(d, seed, wide):
    rows = laws.directions(np.eye(d))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=0), 1)
    z = np.random.default_rng(seed).standard_normal((5, d)) * 10.0 ** (3 * wide)
    np.testing.assert_allclose(laws.directions(z), z @ rows, atol=1e-9)
    names = [laws.direction_name(k, d) for k in range(2 * d)]
    assert len(set(names)) == 2 * d and names[0] == "coordinate 0 of the law"
    assert f"coordinates {d - 2} and {d - 1}" in names[-2] and "all coordinates" in names[-1]


@pytest.mark.parametrize("d", [2, 7, 300])
@pytest.mark.parametrize("name", LAWS)
def test_laws_of_the_paper_pass(name, d):
    for seed in range(5 if d < 300 else 1):
        assert laws.defects(LAWS[name], d, np.random.default_rng(seed)) == []


# ------------------------------------------------------------------ laws that are not the paper's


def shared(rng, n, d):
    """All coordinates are the same number."""
    return np.repeat(rng.standard_normal((n, 1)), d, axis=1)


def mirrored(rng, n, d):
    """The last two coordinates are opposite numbers."""
    z = rng.standard_normal((n, d))
    z[:, -1] = -z[:, -2]
    return z


def one_of_many(rng, n, d):
    z = rng.standard_normal((n, d))
    z[:, d // 2] += 0.5
    return z


WRONG = {
    "mean 5": (lambda rng, n, d: normal(rng, n, d) + 5, "not 0|stays below"),
    "a mean in one coordinate": (one_of_many, "coordinate . of the law has mean 0.[45].*, not 0"),
    "100 times the width": (lambda rng, n, d: 100 * normal(rng, n, d), "log-concave law of var"),
    "Cauchy": (lambda rng, n, d: rng.standard_cauchy((n, d)), "log-concave law of variance 1"),
    "Student, 2 degrees": (lambda rng, n, d: rng.standard_t(2, (n, d)), "variance 1 stays below"),
    "twice the width": (lambda rng, n, d: 2 * normal(rng, n, d), "variance [34]"),
    "half the width": (lambda rng, n, d: normal(rng, n, d) / 2, "variance 0.2"),
    "a point": (lambda rng, n, d: np.zeros((n, d)), "variance 0 in"),
    "dependent coordinates": (shared, "the sum of .* has variance [2-9]"),
    "opposite coordinates": (mirrored, "the sum of the law's coordinates 1 and 2.* variance 0 in"),
    "overflow": (lambda rng, n, d: np.full((n, d), 1e308), "reaches (inf|1e\\+308)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_laws_are_found(name):
    law, said = WRONG[name]
    (sentence,) = laws.defects(law, 3, np.random.default_rng(0))
    assert sentence.count("16384 draws") == 1
    assert re.search(said, sentence), sentence


@pytest.mark.parametrize("name", ["mean 5", "100 times the width", "Cauchy"])
def test_no_statement_fails_with_hypotheses_met(name):
    run = run_of(WRONG[name][0], sigma=1e-4)
    assert len(sentences(run)) == 1
    assert all(c.id in OF_ANY or c.unmet for c in check(run) if c.applicable)


def test_a_law_that_passes_is_not_known_to_be_log_concave():
    assert sentences(run_of(normal)) == ()


def test_the_sample_changes_no_value():
    """The same draws by name and by function: equal checks but for the law."""
    named, own = run_of("gaussian"), run_of(normal)
    generators = [np.random.default_rng(5), np.random.default_rng(5)]
    drawn = [check(run, rng=rng) for run, rng in zip((named, own), generators, strict=True)]
    for one, other in ((check(named), check(own)), drawn):
        for c in STATEMENTS:
            # the Bayes error and p of (10) are known of Gaussian clusters
            if c != "equation_11" and not c.startswith("theorem_3_1_2"):
                assert str(one[c].value) == str(other[c].value) and one[c].where == other[c].where
            if other[c].applicable == one[c].applicable:
                assert [u for u in other[c].unmet if u.id != "law"] == list(one[c].unmet)
    assert generators[0].random() == generators[1].random()


def test_the_sample_is_a_stream_of_the_runs_seed():
    seen = []

    def law(rng, n, d):
        seen.append((n, rng.bit_generator.state["state"]["state"]))
        return normal(rng, n, d)

    run = run_of(law)
    check(run, rng=11)
    stream = _seeds.generator(np.random.SeedSequence(3), "law").bit_generator.state
    assert seen[1] == (16384, stream["state"]["state"])


def in_the_test(found):
    """A law that returns something else to the test of the law than to others."""
    return lambda rng, n, d: (found if n == 16384 else normal)(rng, n, d)


def broken(rng, n, d):
    raise KeyError("first\nsecond")


BROKEN = {
    "a wrong shape": (lambda rng, n, d: np.zeros((n, d + 1)), r"must have shape \(16384, 3\), got"),
    "NaN": (lambda rng, n, d: np.full((n, d), np.nan), r"must be finite, but law.* is nan"),
    "None": (lambda rng, n, d: None, "must be an array of real numbers"),
    "an exception": (broken, "the law cannot be tested: KeyError: 'first"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_law_that_cannot_be_drawn_from_is_one_sentence(name):
    law, said = BROKEN[name]
    (sentence,) = sentences(run_of(in_the_test(law)))
    assert sentence.startswith("the law cannot be tested: ")
    assert re.search(said, sentence), sentence
    if law is not broken:
        with pytest.raises((ValueError, TypeError), match=r"law\(rng, n, d\) must"):
            run_of(law)


def test_a_file_has_only_the_name(tmp_path):
    run_of(normal).save(tmp_path / "run.npz")
    (sentence,) = sentences(rfa.load(tmp_path / "run.npz"))
    assert sentence.startswith("the law cannot be tested: a file has only its name, ")
    assert sentence.endswith("test_laws.normal")


def test_clusters_of_width_0_have_no_law():
    report = check(run_of(WRONG["mean 5"][0], sigma=0.0))
    assert not any(line.id == "law" for c in report for line in c.unmet)


def test_high_dimensions_take_fewer_draws():
    assert [laws.draws(d) for d in (2, 2048, 4096, 10**6)] == [16384, 16384, 8192, 1024]


def rated(eta, law="gaussian"):
    """A run with a noise rate that depends on x."""
    distribution = rfa.XORClusters(d=12, sigma=0.02, eta=eta, law=law)
    network = rfa.Network.random(20, 12, rng=0)
    return rfa.train(network, distribution.sample(60, rng=3), alpha=0.125)


def test_the_noise_rate_is_that_of_fresh_points():
    """Not of the samples, of which Lemma 4.3(c) would then say nothing."""
    runs = [rated(lambda X: (X[:, 2] > 0.02).astype(float))]
    runs.append(rfa.train(runs[0].initial, runs[0].data.distribution.sample(60, rng=4), 0.125))
    tail = 0.5 * math.erfc(1 / math.sqrt(2))
    rates = set()
    for run in runs:
        report = check(run, statements=["lemma_4_3_c", "theorem_3_1_2"])
        rate, points = report.settings["parameters"]["eta"], report.settings["rate_points"]
        assert points == 200_000
        # five standard errors
        assert abs(rate - tail) < 5 * math.sqrt(tail * (1 - tail) / points)
        assert report["lemma_4_3_c"].value == run.data.noisy.mean() != rate
        assert f"eta is the mean of eta(x) on {points} fresh points" in " ".join(report.heading())
        rates.add(rate)
    assert len(rates) == 1  # a parameter: alike in all trials


def test_a_noise_rate_that_cannot_be_known_is_said(tmp_path):
    calls = []

    def eta(X):
        calls.append(len(X))
        if len(calls) > 1:
            raise RuntimeError("no more\nrates")
        return np.full(len(X), 0.1)

    run = rated(eta)
    report = check(run, statements=["lemma_4_3_c", "theorem_3_1_1", "equation_16"])
    found = report["lemma_4_3_c"]
    assert (found.verdict, report["equation_16"].verdict) == ("not applicable", "holds")
    assert found.why == "the noise rate is not known: RuntimeError: no more"
    assert "(A1)-(A7) cannot be checked" in report["theorem_3_1_1"].reason
    run.save(tmp_path / "run.npz")
    found = check(rfa.load(tmp_path / "run.npz"), statements=["lemma_4_3_c"])["lemma_4_3_c"]
    assert found.why.endswith("was stored by its name only") and "eta" in found.why


def test_a_law_that_raises_later_ends_no_check():
    calls = []

    def law(rng, n, d):
        calls.append(n)
        if len(calls) > 1:
            raise RuntimeError("only once")
        return rng.standard_normal((n, d))

    report = check(rated(0.1, law))
    found = report["theorem_3_1_2"]
    assert found.verdict == "not applicable"
    assert found.why == "fresh points cannot be drawn: RuntimeError: only once"
    assert report["equation_16"].verdict == "holds"
