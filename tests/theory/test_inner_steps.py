"""Inner steps of the proofs and values without a claim, where their definitions have edges."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from dense import LABEL, train
from statement_cases import STRAY, altered, case, evaluate, owners

import rfa
from rfa import _seeds
from rfa.estimates import risk
from rfa.theory import evidence as evidence_module
from rfa.theory import generalization
from rfa.theory.evidence import evidence
from rfa.theory.generalization import GAMMA, fresh_points
from rfa.theory.persistence import growing_norms
from rfa.training.history import History

T = 6  # of alpha = 0.05


def found(run, name):
    return next(check for check in owners()[name](run, rng=0) if check.id == name)


def tampered(run, name, rows):
    """The run with another entry of its history."""
    entries = {key: run.history[key] for key in run.history}
    return replace(run, history=History(entries | {name: rows}))


# ------------------------------------------------------------------ (6), (11)


def test_noise_in_one_cluster_breaks_6():
    run = rfa.preset("theorem").replace(noise="one-cluster", eta=0.2).run(rng=0)
    check = found(run, "equation_6")
    clean = (run.data.cluster == 0) & ~run.data.noisy
    assert (check.value, check.where) == (clean.sum(), {"cluster": "+mu1"})
    assert not check.holds and check.value < check.bound == 50
    # as many flips in all clusters together leave n/8 and more in each
    assert found(rfa.preset("theorem").replace(eta=0.2).run(rng=0), "equation_6").holds


def test_6_and_11_are_no_parts_of_a_good_run():
    """They would be hypotheses of themselves."""
    run = case("sigma sqrt(d) = 447").run
    assert not found(run, "equation_11").holds
    parts = found(run, "definition_4_5").details["failing"]
    assert not {"equation_6", "equation_11"} & set(parts)


@pytest.mark.parametrize("width", [0.0, 0.3, 3.0])
def test_11_compares_the_chance_to_be_active(width):
    run = train((20, 5, 60), width=width, seed=3)
    W, M = run.initial.W, run.data.means
    cosine = W @ M.T / np.linalg.norm(W, axis=1)[:, None]
    threshold = 1 / (15 * math.sqrt(5))
    least = cosine[cosine >= threshold].min()
    check = found(run, "equation_11")
    sigma = run.data.distribution.sigma
    p = NormalDist().cdf(least / sigma) if width else 1.0
    assert check.value == pytest.approx(p, abs=1e-14)
    # with sigma sqrt(d) <= 1 it holds for whatever neurons
    assert check.holds or width > 1


def test_11_speaks_of_gaussian_clusters():
    check = found(train(law="exponential"), "equation_11")
    assert not check.applicable and "Gaussian" in check.reason


# ------------------------------------------------------------------ (14), (15), (49)


def test_15_takes_the_steps_whose_weights_were_kept():
    run = rfa.preset("theorem").replace(steps=9).run(rng=0, snapshots=[3, 8])
    check = found(run, "equation_15")
    assert check.details["steps"] == [1, 3, T]
    assert found(rfa.preset("theorem").replace(steps=4).run(rng=0), "equation_15").details[
        "steps"
    ] == [1, 4]
    # a larger step later than T changes nothing
    later = run.snapshots[8] * 1e6
    far = replace(run, snapshots={**run.snapshots, 8: later})
    assert found(far, "equation_15").to_dict() == check.to_dict()
    # at T it does
    moved = run.snapshots[T].copy()
    moved[STRAY] += 1.0
    check = found(replace(run, snapshots={**run.snapshots, T: moved}), "equation_15")
    assert not check.holds and check.where == {"neuron": STRAY, "step": T}


def test_15_needs_no_bound_on_omega():
    """Lemma A.1 fails where the start is long; how far a neuron moves does not depend on it."""
    run = case("omega sqrt(md) = 40 alpha").run
    assert not found(run, "lemma_A_1_neurons").holds
    check = found(run, "equation_15")
    assert check.holds and check.hypotheses_met == found(run, "equation_14").hypotheses_met


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_how_far_a_neuron_moved_is_found_in_pieces(dtype, monkeypatch):
    run = train((30, 7, 23), dtype=dtype)
    e, _ = evidence(run, 0.1, 5.0)
    whole = e.moved(T)
    W_0, W_T = (W.astype(np.float64) for W in (run.initial.W, run.snapshots[T]))
    np.testing.assert_allclose(whole, np.sqrt(((W_T - W_0) ** 2).sum(axis=1)), rtol=1e-12)
    for reals in (1, 30, 7 * 23):
        monkeypatch.setattr(evidence_module, "BLOCK_REALS", reals)
        assert e.moved(T).tolist() == whole.tolist()


def test_an_odd_neuron_is_left_out_of_15():
    """Its a_j is 0, and 0 <= 0 is no ratio."""
    run = train((40, 3, 9))
    W_1 = run.snapshots[1].copy()
    W_1[8] += 100.0
    spoiled = replace(run, snapshots={**run.snapshots, 1: W_1})
    assert found(spoiled, "equation_15").to_dict() == found(run, "equation_15").to_dict()


def test_14_for_one_long_sample():
    run = train((40, 3, 8))
    X = run.data.X.copy()
    for size, holds in ((1.414, True), (1.415, False)):
        X[5] *= size / np.linalg.norm(X[5])
        known = {name: getattr(run.data, name) for name in ("y_clean", "cluster", "means")}
        data = rfa.Dataset(X, run.data.y, **known)
        check = found(rfa.train(run.initial, data, 0.05), "equation_14")
        assert check.applicable and check.holds == holds
        if not holds:
            assert check.where == {"sample": 5}


# ------------------------------------------------------------------ |f| <= 2, (35)


def test_the_output_is_bounded_at_every_step_and_for_every_label():
    """abs f, not y f: the largest and the smallest y f of a group both count."""
    run = case("sound").run
    for name, by in (("margin_low", -3.0), ("margin_high", 3.0)):
        chosen = altered(name, (1, 5), by)
        check = evaluate(chosen, "lemma_4_9_output")
        assert not check.holds and check.where == {"cluster": "+mu2", "step": 1}
        assert abs(check.value) == pytest.approx(3, abs=0.1)
        # (35) asks about y f alone: it fails only where y f is large, and not at t = 0
        assert evaluate(chosen, "equation_35").holds == (by < 0)
    rows = run.history["margin_high"].copy()
    rows[0] = 3.0
    at_0 = tampered(run, "margin_high", rows)
    assert found(at_0, "equation_35").holds and not found(at_0, "equation_17").holds


# ------------------------------------------------------------------ (40)


def test_40_is_alpha_and_half_of_what_lemma_A_1_gives():
    """On a run with abs<w, mu'> >= alpha abs(a) and norm(w) <= 2 abs(a) alpha t, cos >= 1/(2t)."""
    run = case("sideways").run
    check = evaluate(case("sideways"), "equation_40")
    assert check.details["triggers"] > 0
    assert check.bound == run.alpha == 1 / (2 * math.sqrt(check.constant_used))
    assert found(run, "lemma_A_1_neurons").holds
    assert check.value >= 2 * run.alpha
    assert check.value == pytest.approx(1 / (2 * math.sqrt(check.empirical_constant)))


@pytest.mark.parametrize("side", [1, -1])
def test_40_is_about_the_mean_on_whose_side_the_neuron_is(side):
    run = case("sound").run
    unit = run.alpha * abs(run.initial.a[STRAY])
    projection, norm = run.history["projection"].copy(), run.history["norm"].copy()
    projection[1, STRAY, 2:] = 2 * unit * side, -2 * unit * side
    norm[1, STRAY] = 20 * unit
    spoiled = tampered(tampered(run, "projection", projection), "norm", norm)
    check = found(spoiled, "equation_40")
    assert check.value == pytest.approx(0.1) and not check.holds
    assert check.where == {"neuron": STRAY, "cluster": "+mu1", "step": 1}


# ------------------------------------------------------------------ (46), (50)


def ramp(z):
    """The ramp loss by cases."""
    if z <= 0:
        return 1.0
    return 0.0 if z >= GAMMA else 1 - z / GAMMA


def test_both_sides_of_46_are_equal_where_45_holds():
    for seed in range(5):
        run = rfa.preset("assumptions").run(rng=seed)
        check = found(run, "equation_46")
        assert found(run, "equation_45").holds
        assert check.value == check.bound and check.holds


@pytest.mark.parametrize("at", [-1.0, 0.0, 0.25, 1.0, 2.0])
def test_46_of_one_clean_sample_within_the_ramp(at, monkeypatch):
    """A clean sample with y f = at * gamma in place of its own adds its ramp loss."""
    run = case("sound").run
    e, _ = evidence(run, 0.1, 5.0)
    f = e.output(run.t).copy()
    clean = int(np.flatnonzero(~run.data.noisy)[0])
    f[clean] = run.data.y[clean] * at * GAMMA
    monkeypatch.setitem(e.outputs, run.t, f)
    check = found(run, "equation_46")
    assert check.value == pytest.approx(run.data.noisy.mean() + ramp(at * GAMMA) / 400, abs=1e-15)
    assert check.holds == (at >= 1)


def test_50_for_one_sample_of_one_neuron():
    run = train((60, 4, 16), width=0.1)
    check = found(run, "equation_50")
    assert check.holds
    W_T = run.snapshots[T].copy()
    j = check.where["neuron"]
    c = ("+mu1", "-mu1", "+mu2", "-mu2").index(check.where["cluster"])
    members = run.data.X[run.data.cluster == c]
    change = (W_T - run.initial.W)[j]
    assert check.value == pytest.approx((members @ change).min() / abs(run.initial.a[j]))
    # against one sample alone, as far as its least favourable one asks for
    worst = members[(members @ change).argmin()]
    W_T[j] -= 1.001 * (worst @ change) / (worst @ worst) * worst
    spoiled = replace(run, snapshots={**run.snapshots, T: W_T}, network=rfa.Network(W_T))
    assert not found(spoiled, "equation_50").holds


def test_50_is_the_same_in_blocks_of_samples(monkeypatch):
    run = train((60, 4, 16), width=0.4)
    whole = found(run, "equation_50")
    for rows in (1, 7, 59):
        monkeypatch.setattr(evidence_module, "BLOCK_REALS", 16 * rows)
        check = found(run, "equation_50")
        assert (check.where, check.holds) == (whole.where, whole.holds)
        assert check.value == pytest.approx(whole.value, rel=1e-9)


def test_50_does_not_ask_for_samples_that_do_not_exist():
    run = rfa.preset("theorem").replace(balance=[0.5, 0.5, 0, 0]).run(rng=0)
    check = found(run, "equation_50")
    assert math.isfinite(check.value) and check.where["cluster"] in ("+mu1", "-mu1")


def test_a_run_that_diverges_has_no_result_at_T():
    data = rfa.XORClusters(d=3, sigma=1e200).sample(40, rng=0)
    with np.errstate(all="ignore"):
        run = rfa.train(rfa.Network.random(m=10, d=3, omega_init=1e200, rng=0), data, 0.05)
        report = rfa.theory.check(run, rng=0)
    assert run.status == "diverged"
    for number in (15, 35, 40, 46, 49, 50):
        assert not report[f"equation_{number}"].applicable
    assert not report["equation_14"].holds and report["equation_6"].applicable


# ------------------------------------------------------------------ values without a claim


def agreement(run, rng=0):
    e, k = evidence(run, 0.1, 5.0, rng)
    return fresh_points(e, k)


def test_the_sign_of_f_on_fresh_points():
    """The points of theorem_3_1_2, drawn here again, and plain NumPy."""
    for name, seed in (("theorem", 0), ("figure1", 2)):
        run = rfa.preset(name).replace(steps=T).run(rng=seed)
        it = agreement(run, rng=7)
        points = it.estimate.n
        assert points == found(run, "theorem_3_1_2").details["points"] == 2000
        stream = _seeds.generator(_seeds.root(7), "check")
        X, _ = run.data.distribution.points(points, stream)
        f = np.maximum(X @ run.network.W.T, 0) @ run.network.a
        ideal = np.abs(X @ run.data.means[0]) - np.abs(X @ run.data.means[2])
        assert np.abs(f).min() > 1e-9  # no sign is in doubt
        assert it.agree == ((f > 0) == (ideal > 0)).sum()
    assert it.agree < points


@pytest.mark.parametrize("noise", ["independent", "exact"])
def test_which_networks_agree_with_the_ideal_one(noise):
    """Whatever the rule of the noise; a network that is 0 agrees with nothing."""
    data = rfa.XORClusters(d=3, sigma=0.5, noise=noise).sample(50, rng=0)
    W = 0.1 * data.means
    for a, share in ((LABEL, 1.0), (-LABEL, 0.0), (0 * LABEL, 0.0)):
        net = rfa.Network(W, 0.5 * a)
        run = rfa.train(net, data, alpha=0.25, steps=2)
        run = replace(run, network=net, snapshots={**run.snapshots, 2: net.W})
        it = agreement(run)
        assert it.agree == share * it.estimate.n


def test_listening_changes_no_estimate():
    net, law = rfa.Network.random(8, 3, 1.0, rng=0), rfa.XORClusters(d=3)
    seen = []
    heard = list(risk.estimates(net, law, 9000, 5, listener=lambda X, f: seen.append((X, f))))
    assert heard == list(risk.estimates(net, law, 9000, 5))
    assert sum(len(X) for X, _ in seen) == 9000
    for X, f in seen:
        np.testing.assert_allclose(f, np.maximum(X @ net.W.T, 0) @ net.a, atol=1e-12)


def test_without_a_distribution_of_points_nothing_is_drawn(tmp_path):
    def law(rng, n, d):
        return rng.standard_normal((n, d))

    data = rfa.XORClusters(d=3, law=law).sample(50, rng=0)
    run = rfa.train(rfa.Network.random(8, 3, rng=0), data, alpha=0.25)
    run.save(tmp_path / "run.npz")
    it = agreement(rfa.load(tmp_path / "run.npz"))
    assert isinstance(it, generalization.Absent) and "stored by its name" in it.why


def growing(run, C0=5.0):
    return growing_norms(*evidence(run, 0.1, C0))


@pytest.mark.parametrize(("shape", "alpha"), [((60, 2, 41), 0.05), ((40, 9, 12), 0.25)])
def test_whose_norms_grow(shape, alpha):
    run = train(shape, alpha, start=3.0, width=0.8, seed=5)
    W, M, a = run.initial.W, run.data.means, run.initial.a
    cosine = W @ M.T / np.linalg.norm(W, axis=1)[:, None]
    J = (cosine >= 1 / (15 * math.sqrt(shape[1]))) & (np.sign(a)[:, None] == LABEL)
    last = rfa.theory.horizon(alpha)
    norms = np.array([np.linalg.norm(run.snapshots[t], axis=1) for t in range(1, last + 1)])
    expected = (norms[1:] > norms[:-1])[:, J.any(axis=1)]
    assert growing(run).shape == (last - 1, J.any(axis=1).sum())
    assert (growing(run) == expected).all()
    assert 0 < expected.mean() < 1 or last == 2


def test_a_norm_that_stays_or_is_not_a_number_does_not_grow():
    run = rfa.preset("theorem").run(rng=0)
    assert growing(run).all()
    norm = run.history["norm"]
    j = int(np.flatnonzero(evidence(run, 0.1, 5.0)[0].J(5.0).any(axis=1))[0])
    for value in (norm[1, j], math.nan):
        rows = norm.copy()
        rows[2, j] = value
        found = growing(tampered(run, "norm", rows))
        assert not found[0].all() and found[2:].all()


def test_without_J_no_norm_is_asked_for():
    data = rfa.XORClusters(d=3).sample(n=30, rng=0)
    W = np.zeros((6, 3))
    W[:, 2] = 1e-3
    assert growing(rfa.train(rfa.Network(W), data, 0.05)).shape == (5, 0)
