"""The command line and the figures."""

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import rfa
from rfa.cli import main

matplotlib.use("Agg")


def test_reproduce_writes_figures_and_a_summary(tmp_path, capsys):
    kept = tmp_path / "kept"
    kept.write_text("mine")
    assert main(["reproduce", "figure1", "theorem", "--out", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "summary.json").read_text()) == printed
    assert kept.read_text() == "mine"
    figure1, theorem = printed
    assert [state["t"] for state in figure1["steps"]] == [6, 3000]
    assert [state["t"] for state in theorem["steps"]] == [6]
    for state in (*figure1["steps"], *theorem["steps"]):
        assert (state["clean_wrong"], state["noisy_fitted"]) == (0, 0)
    assert figure1["steps"][1]["test_error"] == pytest.approx(0.15, abs=1e-3)
    assert figure1["provenance"]["rfa"] == rfa.__version__
    for name in ("figure1", "figure1-amplification", "figure1-history", "theorem"):
        image = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert image.shape[0] > 500
        assert image.std() > 0.05  # something is drawn


def test_reproduce_prints_a_table(tmp_path, capsys):
    assert main(["reproduce", "theorem", "--out", str(tmp_path / "new")]) == 0
    output = capsys.readouterr()
    header, row = output.out.splitlines()
    assert header.split()[:5] == ["preset", "t", "clean_wrong", "noisy_fitted", "test_error"]
    assert row.startswith("theorem  6 (T)  0 of 367")
    assert "summary.json" in output.err


def test_error_rates_of_flips_that_are_not_drawn_are_left_out(tmp_path, capsys):
    arguments = ["train", "--preset", "theorem", "--noise", "exact", "--json"]
    assert main(arguments) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["steps"][0]["test_error"] is None
    assert summary["steps"][0]["test_error_clean"] < 0.01


def test_train_saves_what_the_library_trains(tmp_path, capsys):
    path = tmp_path / "run.npz"
    arguments = "train --n 60 --d 5 --m 7 --steps 9 --record 2 --seed 4 --dtype float32 --out"
    assert main([*arguments.split(), str(path)]) == 0
    assert "run" in capsys.readouterr().out
    run = rfa.load(path)
    exp = rfa.Experiment(n=60, d=5, m=7, steps=9, dtype="float32")
    assert run.network == exp.run(rng=4).network
    assert run.history.t.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "--n and --d and --m must be given"),
        (["train", "--n", "5", "--d", "1", "--m", "3"], "d must be at least 2"),
        (["train", "--preset", "none"], "name must be one of"),
        (["train", "--preset", "theorem", "--engine", "planar"], "engine 'planar' needs d=2"),
        (["train", "--preset", "theorem", "--record", "0"], "record must be at least 1"),
        (["reproduce", "figure9"], "name must be one of"),
        (["reproduce", "theorem", "--threads", "0"], "n_threads must be at least 1"),
    ],
)
def test_failures_are_one_line_and_status_1(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err.splitlines()[-1]
    assert output.err.splitlines()[-1].startswith("rfa: error: ")


def test_wrong_use_is_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--no-such-option"])
    assert stop.value.code == 2


def test_interrupted_is_status_130_and_keeps_the_run(tmp_path, capsys, monkeypatch):
    partial = rfa.preset("theorem").run(rng=0)

    def interrupted(*arguments, **options):
        raise rfa.Interrupted(partial)

    monkeypatch.setattr("rfa.experiment.train", interrupted)
    path = tmp_path / "run.npz"
    assert main(["train", "--preset", "theorem", "--out", str(path)]) == 130
    assert rfa.load(path).history == partial.history
    assert "interrupted at t=6" in capsys.readouterr().err


def test_info_and_version(capsys):
    assert main(["info", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["rfa"] == rfa.__version__
    assert info["simd"] in ("baseline", "avx2", "avx512")
    assert main(["info"]) == 0
    assert "simd" in capsys.readouterr().out


def test_import_loads_numpy_alone():
    code = (
        "import sys, rfa; print([m for m in ('scipy', 'matplotlib', 'tqdm') if m in sys.modules])"
    )
    # -P: the current folder may be a source tree, whose rfa/ is not built
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_figures_draw_into_given_axes_and_say_what_they_cannot():
    run = rfa.preset("theorem").run(rng=0)
    for name in ("decision_boundary", "amplification", "neurons", "history"):
        axes = matplotlib.figure.Figure().add_subplot()
        assert getattr(rfa.plot, name)(run, ax=axes) is axes
        assert axes.get_legend() is not None
    own = rfa.train(rfa.Network.random(m=4, d=2), rfa.Dataset([[1.0, 2.0]], [1]), steps=2)
    for name in ("decision_boundary", "amplification", "neurons"):
        with pytest.raises(ValueError, match="^not applicable"):
            getattr(rfa.plot, name)(own, ax=matplotlib.figure.Figure().add_subplot())
    means = np.eye(2)
    other = rfa.Dataset(means, [1, -1], y_clean=[1, -1], cluster=[0, 1], means=means)
    two = rfa.train(rfa.Network.random(m=4, d=2), other, steps=2)
    for name in ("decision_boundary", "neurons"):
        with pytest.raises(ValueError, match=r"^not applicable: the figure needs means .* got 2"):
            getattr(rfa.plot, name)(two, ax=matplotlib.figure.Figure().add_subplot())
    assert rfa.plot.history(own, ax=matplotlib.figure.Figure().add_subplot()).get_lines()


def test_amplification_shows_the_best_normalized_correlation():
    run = rfa.preset("theorem").run(rng=0)
    axes = rfa.plot.amplification(run, ax=matplotlib.figure.Figure().add_subplot())
    lines = [line for line in axes.get_lines() if len(line.get_ydata()) == 3]
    W = run.initial.W
    cosines = W @ run.data.means.T / np.linalg.norm(W, axis=1)[:, None]
    drawn = sorted(line.get_ydata()[0] for line in lines if line.get_linewidth() < 1)
    np.testing.assert_allclose(drawn, np.sort(cosines.max(axis=1)), atol=1e-12)
