"""History: names, shapes and meaning of what a run records."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import problems
import pytest

import rfa
from rfa.engines.observations import OBSERVED, Observations, Quantity
from rfa.training import history as histories

ENGINES = [("direct", 4), ("direct", 2), ("gram", 4), ("planar", 2), ("reference", 4)]


@pytest.fixture(params=ENGINES, ids=lambda pair: f"{pair[0]} d={pair[1]}")
def run(request):
    engine, d = request.param
    exp = rfa.Experiment(n=211, d=d, m=33, alpha=0.05, steps=25, n_test=77)
    return exp.run(rng=6, engine=engine, record="all", snapshots=range(26))


def test_names_and_shapes(run):
    R, m = 26, 33
    shapes = {
        "t": (R,),
        "loss": (R,),
        "clean_wrong": (R,),
        "noisy_fitted": (R,),
        "flips": (R,),
        "test_error": (R,),
        "norm": (R, m),
        "projection": (R, m, 4),
        "active": (R, m, 8),
        "margin_low": (R, 8),
        "margin_high": (R, 8),
        "h_low": (7, m, 8),
        "h_high": (7, m, 8),
    }
    assert {name: run.history[name].shape for name in run.history} == shapes
    assert list(run.history) == list(shapes)
    for name in ("t", "clean_wrong", "noisy_fitted", "flips"):
        assert run.history[name].dtype == np.int64
    for name in run.history:
        assert not run.history[name].flags.writeable
        assert getattr(run.history, name) is run.history[name]


def test_values_from_the_weights(run):
    """Every quantity equals its definition, computed from W_t."""
    history, data, test, a = run.history, run.data, run.test, run.network.a
    group = 2 * data.cluster + (data.y != data.y_clean)
    before = None
    for t in range(26):
        W = run.snapshots[t]
        H = data.X @ W.T
        s = data.y * (np.maximum(H, 0) @ a)
        clean = data.y == data.y_clean
        assert history.clean_wrong[t] == (s[clean] <= 0).sum()
        assert history.noisy_fitted[t] == (s[~clean] > 0).sum()
        assert history.loss[t] == pytest.approx(np.logaddexp(0, -s).mean(), rel=1e-12)
        test_s = test.y * (np.maximum(test.X @ W.T, 0) @ a)
        assert history.test_error[t] == pytest.approx((test_s <= 0).mean(), rel=1e-12, abs=1e-15)
        assert history.norm[t] == pytest.approx(np.sqrt((W**2).sum(axis=1)), rel=1e-12)
        mu1, mu2 = run.data.distribution.mu
        signed = np.stack([W @ mu1, -W @ mu1, W @ mu2, -W @ mu2], axis=1)
        assert history.projection[t] == pytest.approx(signed, rel=1e-12, abs=1e-15)
        for g in range(8):
            assert history.active[t, :, g].tolist() == (H[group == g] > 0).sum(axis=0).tolist()
            if (group == g).any():
                assert history.margin_low[t, g] == pytest.approx(s[group == g].min(), abs=1e-12)
                assert history.margin_high[t, g] == pytest.approx(s[group == g].max(), abs=1e-12)
                if t <= 6:
                    low, high = H[group == g].min(axis=0), H[group == g].max(axis=0)
                    assert history.h_low[t, :, g] == pytest.approx(low, abs=1e-12)
                    assert history.h_high[t, :, g] == pytest.approx(high, abs=1e-12)
        assert history.flips[t] == (0 if before is None else ((H > 0) != before).sum())
        before = H > 0
    assert history.flips.any() and history.clean_wrong[0] > 0


def test_groups_without_samples_are_empty():
    """With a single noisy label, three groups of noisy samples are empty."""
    exp = rfa.Experiment(n=40, d=2, m=9, eta=0.0, steps=3)
    for engine in ("planar", "direct", "gram", "reference"):
        history = exp.run(rng=0, engine=engine).history
        assert (history.margin_low[:, 1::2] == np.inf).all()
        assert (history.margin_high[:, 1::2] == -np.inf).all()
        assert (history.h_low[:, :, 1::2] == np.inf).all()
        assert (history.h_high[:, :, 1::2] == -np.inf).all()
        assert not history.active[:, :, 1::2].any()
        assert not history.noisy_fitted.any() and np.isfinite(history.loss).all()


@pytest.mark.parametrize(("engine", "d"), ENGINES)
def test_own_data_is_one_group(engine, d):
    case = problems.cases()["one neuron d=2"] if d == 2 else problems.make_case("x", 90, d, 8, 1)
    run = rfa.train(
        rfa.Network(case.W, case.a), rfa.Dataset(case.X, case.y), steps=9, engine=engine
    )
    missing = {"clean_wrong", "noisy_fitted", "projection", "test_error"}
    assert not missing & set(run.history)
    assert run.history.active.shape == (10, len(case.W), 1)
    assert run.history.h_low.shape == (7, len(case.W), 1)
    f = np.maximum(case.X @ run.network.W.T, 0) @ case.a
    assert run.history.margin_low[-1, 0] == pytest.approx((case.y * f).min(), abs=1e-12)
    with pytest.raises(AttributeError, match="no 'clean_wrong'; it has t, loss"):
        _ = run.history.clean_wrong
    with pytest.raises(KeyError):
        run.history["clean_wrong"]


def test_an_output_of_zero_is_no_answer():
    """f is 0 if no neuron is active: then a clean sample is wrong and a noisy one is not fitted."""
    angles = np.linspace(0.1, 3.0, 23)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    data = rfa.Dataset(
        np.vstack([X, -X]),
        np.ones(46, int),
        y_clean=np.repeat([1, -1], 23),
        cluster=np.repeat([0, 1], 23),
        means=[[0.0, 1.0], [0.0, -1.0]],
    )
    # active on a part of the first half; on the second half only a neuron with a_j = 0 is active
    rng = problems.own_rng(0)
    W = np.vstack([X[8:15] * rng.uniform(0.5, 1, (7, 1)), [[0.0, -1.0]]])
    W = np.vstack([W, [[0.3, 1.0], [-0.3, 1.0]]])
    net = rfa.Network(W, [*rng.uniform(0.1, 1, 7), 0.0, 0.7, 0.1])
    expected = np.maximum(data.X @ W.T, 0) @ net.a
    silent = (expected == 0).sum()
    assert silent >= 15
    for engine in ("planar", "direct", "gram", "reference"):
        history = rfa.train(net, data, steps=0, engine=engine, test=data).history
        assert history.clean_wrong[0] == (expected[:23] <= 0).sum()
        assert history.noisy_fitted[0] == (expected[23:] > 0).sum()
        assert history.test_error[0] == pytest.approx((expected <= 0).mean())


def test_row_repr_equality_and_copies(run):
    history = run.history
    row = history.row(3)
    assert row.t == 3 and row.loss == history.loss[3] and row.h_low.shape == (33, 8)
    assert not hasattr(history.row(20), "h_low")
    shown = f"norm=<float64 {row.norm.shape}>"
    assert repr(row).startswith(f"Row(t=3, loss={row.loss}, ") and shown in repr(row)
    with pytest.raises(KeyError, match="step 99 was not recorded"):
        history.row(99)
    for text in (repr(history), repr(row)):
        assert "\n" not in text and len(text) < 300
    assert len(history) == 26 and "clean_wrong" in dir(history)
    with pytest.raises(AttributeError, match="read-only"):
        history.loss = 0
    with pytest.raises(ValueError, match="read-only"):
        history.loss[0] = 0
    with pytest.raises(TypeError):
        hash(history)
    for again in (pickle.loads(pickle.dumps(history)), copy.copy(history), copy.deepcopy(history)):
        assert again == history
        assert not again.loss.flags.writeable
    other = rfa.train(run.initial, run.data, steps=25, record="all", engine=run.engine)
    assert other.history != history and history != 1


def test_documentation_lists_the_table():
    """With the type and the shape that a run has: 4 means, 8 groups."""
    for cls, quantities in (
        (rfa.History, [entry.quantity for entry in histories.ENTRIES]),
        (Observations, OBSERVED),
    ):
        listed = cls.__doc__.split("Attributes\n----------\n")[1].splitlines()
        assert [line.partition(" : ")[0] for line in listed[::2]] == [q.name for q in quantities]
        assert [line.strip() for line in listed[1::2]] == [q.text for q in quantities]
        assert "margin_low : ndarray of float64, shape (R, " in cls.__doc__
        assert "h_low : ndarray of float64, shape (r, m, G)" in cls.__doc__


@pytest.fixture
def least_margin(monkeypatch):
    """An entry that follows from the observations, added to the table."""
    entry = histories.Entry(
        Quantity("least_margin", "Smallest y f of all samples.", np.float64),
        limits=lambda run: (-histories.LARGEST, histories.LARGEST),
        compute=lambda problem, t, seen: seen.margin_low[:, : problem.n_groups].min(axis=1),
        since_first=False,
    )
    with monkeypatch.context() as patch:
        patch.setattr(histories, "ENTRIES", (*histories.ENTRIES, entry))
        yield


@pytest.mark.parametrize(("engine", "d"), ENGINES)
def test_an_entry_is_added_by_a_row(engine, d, least_margin, tmp_path):
    exp = rfa.Experiment(n=40, d=d, m=9, steps=12, n_test=7)
    rows = []
    run = exp.run(rng=1, engine=engine, stop=lambda t, row: rows.append(row.least_margin))
    assert run.history.least_margin.tolist() == run.history.margin_low.min(axis=1).tolist()
    assert rows == run.history.least_margin.tolist()
    run.save(tmp_path / "run.npz")
    assert rfa.load(tmp_path / "run.npz").history == run.history


def test_files_without_an_entry_that_was_added_are_read(least_margin, tmp_path):
    run = rfa.Experiment(n=40, d=2, m=9, steps=3).run(rng=1)
    run.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = dict(file)
    for changed in (np.full(4, np.inf), np.zeros(3)):
        np.savez(tmp_path / "bad.npz", **{**arrays, "history_least_margin": changed})
        with pytest.raises(ValueError, match="history_least_margin"):
            rfa.load(tmp_path / "bad.npz")
    del arrays["history_least_margin"]
    np.savez(tmp_path / "old.npz", **arrays)
    assert set(run.history) - set(rfa.load(tmp_path / "old.npz").history) == {"least_margin"}
    del arrays["history_loss"]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match="history_loss"):
        rfa.load(tmp_path / "bad.npz")
