"""rfa check, rfa audit, and the reports that rfa reproduce writes."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from scipy import stats
from statement_cases import VALUES

import rfa
from rfa.cli.main import main
from rfa.presets import PRESETS
from rfa.theory import STATEMENTS
from rfa.theory.statement import KNOWN

matplotlib.use("Agg")

# A short run of which some statements fail, some are vacuous and some are not applicable.
SMALL = rfa.Experiment(n=40, d=3, m=8, alpha=0.125, sigma=0.5)
GIVEN = ["--n", "40", "--d", "3", "--m", "8", "--alpha", "0.125", "--sigma", "0.5"]


def strict_json(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a run of the preset theorem, a run on a user's own data, and a network."""
    folder = tmp_path_factory.mktemp("files")
    rfa.preset("theorem").run(rng=4).save(folder / "run.npz")
    own = rfa.Dataset([[1.0, 2.0], [0.5, -1.0]], [1, -1])
    network = rfa.Network.random(m=4, d=2, omega_init=1e-3, rng=0)
    rfa.train(network, own, steps=2).save(folder / "own.npz")
    network.save(folder / "network.npz")
    return folder


def is_a_picture(path):
    image = matplotlib.image.imread(path)
    return min(image.shape[:2]) > 500 and image.std() > 0.05


# ------------------------------------------------------------------------------------ check


def test_check_shows_every_statement_as_a_table(capsys):
    given = ["check", *GIVEN, "--seed", "3", "--delta", "0.2", "--C0", "3"]
    report = rfa.theory.check(SMALL.run(rng=3), delta=0.2, C0=3.0)
    assert main(given) == 0
    assert capsys.readouterr().out == report.to_text() + "\n"
    assert main([*given, "--long"]) == 0
    output = capsys.readouterr().out
    assert output == report.to_text(long=True) + "\n"
    heading, table, summary = output.strip().split("\n\n")
    assert "Evaluated at T = 3; delta = 0.2, C0 = 3, " in heading
    titles, *rows = table.splitlines()
    wanted = "statement id JMLR what is compared value bound verdict constant where note"
    assert " ".join(titles.split()) == wanted
    id, verdict = titles.index(" id ") + 1, titles.index("verdict")
    assert {row[id:].split()[0] for row in rows} == set(STATEMENTS)
    for row in rows:
        entry = report[row[id:].split()[0]]
        assert row[verdict:].startswith(entry.verdict)
        if entry.applicable and entry.verdict != "no case":
            bound = "-" if entry.id in VALUES else f"{entry.bound:.4g}"
            assert f"{entry.value:.4g}" in row and bound in row
    assert summary == report.summary()
    # the run was chosen to have all of these
    for word in ("claims tested: ", " true", " false", " no claim", " not applicable"):
        assert word in summary


def test_check_of_selected_statements(capsys):
    chosen = "theorem_3_1_1,lemma_4_2"
    assert main(["check", *GIVEN, "--statements", chosen, "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert [entry["id"] for entry in told["checks"]] == chosen.split(",")
    assert main(["check", *GIVEN, "--statements", chosen, "--trials", "2", "--json"]) == 0
    assert list(strict_json(capsys.readouterr().out)["statements"]) == chosen.split(",")


def test_check_in_other_forms(capsys):
    report = rfa.theory.check(SMALL.run(rng=0))
    assert main(["check", *GIVEN, "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert told == json.loads(report.to_json())
    assert [entry["id"] for entry in told["checks"]] == list(STATEMENTS)
    assert main(["check", *GIVEN, "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == report.to_markdown()
    lines = printed.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[1] == "| --- " * 11 + "|"
    cells = [line.replace(r"\|", "").split("|") for line in table[2:]]
    assert {row[2].strip() for row in cells} == set(STATEMENTS)
    # A | in a cell is escaped: no row has more cells than the titles.
    assert {line.replace(r"\|", "").count("|") for line in table} == {12}


def test_check_of_a_run_that_was_kept(files, capsys):
    assert main(["check", str(files / "run.npz"), "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert told == json.loads(rfa.theory.check(rfa.preset("theorem").run(rng=4)).to_json())
    assert told["settings"]["seed"]["entropy"] == 4
    assert main(["check", str(files / "run.npz"), "--json", "--seed", "9", "--delta", "0.05"]) == 0
    other = strict_json(capsys.readouterr().out)
    assert (other["settings"]["seed"]["entropy"], other["settings"]["delta"]) == (9, 0.05)
    drawn, again = (
        next(entry for entry in record["checks"] if entry["id"] == "proposition_B_1")
        for record in (told, other)
    )
    assert drawn["value"] != again["value"]  # the seed changes the random signs
    assert drawn["bound"] == again["bound"]


def test_check_with_contrasts(capsys, monkeypatch):
    """The report as it is without, and below it, or under a key of its own, the contrasts."""
    monkeypatch.setattr("rfa.baselines.result.POINTS", (500, 500))
    found = rfa.baselines.contrasts(SMALL.run(rng=0))
    for form in ([], ["--markdown"], ["--json"]):
        assert main(["check", *GIVEN, *form]) == 0
        plain = capsys.readouterr().out
        assert main(["check", *GIVEN, "--contrasts", *form]) == 0
        shown = capsys.readouterr().out
        if form == ["--json"]:
            told = json.loads(shown)
            assert told.pop("contrasts") == [each.to_dict() for each in found]
            assert told == json.loads(plain)
            continue
        assert shown.startswith(plain)
        lines = shown.removeprefix(plain).splitlines()
        rows = [line.strip("| ") for line in lines if line.strip("| ").startswith(NAMES)]
        assert len(rows) == 4 and max(map(len, lines)) <= 100
        for row, each in zip(rows, found, strict=True):
            cells = re.split(r" \| |  +", row)
            assert cells[0] == each.name
            assert float(cells[1]) == pytest.approx(each.clean_error, rel=1e-3)
            assert cells[2] == f"[{each.clean_low:.3g}, {each.clean_high:.3g}]"
            assert cells[3] == ("-" if each.least is None else f"{each.least:.4g}")
            assert cells[4:] == [str(each.clean_wrong), str(each.noisy_fitted)]


NAMES = ("network after", "linear classifier", "affine classifier", "linearisation after")


def test_check_of_data_of_ones_own(files, capsys):
    assert main(["check", str(files / "own.npz"), "--strict"]) == 0
    assert "the data have no clusters" in capsys.readouterr().out
    assert main(["check", str(files / "own.npz"), "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    applicable = [entry["id"] for entry in told["checks"] if entry["applicable"]]
    assert "proposition_B_1" in applicable and "theorem_3_1_1" not in applicable


def test_a_longer_run_is_shown_at_its_end_too(capsys):
    assert main(["check", *GIVEN, "--steps", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("Evaluated at T = 3; the run has 5 steps" in line for line in lines)
    later = lines[next(i for i, line in enumerate(lines) if line.startswith("At t = 5 in place")) :]
    assert any(line.startswith("Theorem 3.1(1) ") for line in later)


def test_strict_is_status_1_if_a_tested_claim_fails(capsys, monkeypatch):
    # The initial weights are far too large for Lemma A.1, which (A1)-(A7) exclude.
    unmet = ["check", *GIVEN, "--omega-init", "3"]
    assert main(unmet) == main([*unmet, "--strict"]) == 0
    printed = capsys.readouterr().out
    assert " false" in printed and printed.count("FAILS") == 2  # once in each heading
    sound = [
        "check",
        "--preset",
        "assumptions",
        "--strict",
        "--statements",
        "lemma_4_1_a,lemma_4_2",
    ]
    assert main(sound) == 0
    assert "claims tested: 1, all hold" in capsys.readouterr().out
    statement = rfa.theory.statement.KNOWN["lemma_4_1_a"]
    wrong = dataclasses.replace(
        statement, compare=lambda e, k: dataclasses.replace(statement.compare(e, k), bound=0.0)
    )
    monkeypatch.setitem(rfa.theory.statement.KNOWN, "lemma_4_1_a", wrong)
    assert main(sound) == 1
    assert "claims tested: 1, 1 FAILS: Lemma 4.1" in capsys.readouterr().out


# ------------------------------------------------------------------------------------ trials

TRIALS = ["check", *GIVEN, "--trials", "4", "--seed", "2", "--delta", "0.2", "--C0", "3"]


# the last columns of the table, of which those without a trial are left out
COUNTED = ("not applicable", "no case", "no claim", "trivial")


@pytest.fixture(scope="module")
def counted():
    """The row that each statement must have in the output of TRIALS, counted run by run."""
    reports = []
    for k in range(4):
        run = SMALL.run(rng=np.random.SeedSequence(2, spawn_key=(k,)))
        reports.append(rfa.theory.check(run, delta=0.2, C0=3.0))
    found = {}
    for name in STATEMENTS:
        entries = [report[name] for report in reports]
        # a value without a bound neither holds nor fails
        n = sum(e.applicable for e in entries) if name not in VALUES else 0
        k = sum(e.holds for e in entries)
        interval = stats.binomtest(k, n).proportion_ci(0.95, "exact") if n else (0, 1)
        counts = collections.Counter(e.verdict for e in entries)
        found[name] = (k, n, *interval, *(counts[verdict] for verdict in COUNTED))
    # Some statements hold in some trials only: without them the tests would show little.
    assert {k for k, *_ in found.values()} > {0, 4}
    return found


def test_trials_show_how_often_each_statement_holds(counted, capsys):
    assert main(TRIALS) == 0
    output = capsys.readouterr()
    heading, table, notes = output.out.split("\n\n")
    first, parameters = heading.splitlines()
    assert first == "4 of 4 trials; T = 3, delta = 0.2, C0 = 3"
    assert parameters.startswith(f"n = {SMALL.n}, d = {SMALL.d}, m = {SMALL.m}, alpha = ")
    titles, *rows = table.splitlines()
    wanted = "statement held of 95% interval claimed verdict bears"
    used = [any(row[4 + i] for row in counted.values()) for i in range(len(COUNTED))]
    assert 2 <= sum(used) < len(used)
    assert " ".join(titles.split()) == " ".join([wanted, *itertools.compress(COUNTED, used)])
    for (name, (k, n, low, high, *rest)), row in zip(counted.items(), rows, strict=True):
        shown = row.replace(f"[{low:.3f}, {high:.3f}]", "I")
        assert shown.startswith(KNOWN[name].numbers[0])
        shown = shown.split()
        shown = shown[shown.index(name) :]
        assert shown[:4] == [name, str(k), str(n), "I" if n else "-"]
        assert shown[-sum(used) :] == [str(count) for count in itertools.compress(rest, used)]
    assert notes.splitlines()[-1] == "No claim is refuted."
    assert "rfa: 4 trials in " in output.err


def test_trials_in_other_forms(counted, capsys):
    assert main([*TRIALS, "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert rfa.Experiment(**told["experiment"]) == SMALL
    assert (told["trials"], told["seed"]["entropy"]) == (4, 2)
    names = ("k", "n", "low", "high", "not_applicable", "no_case", "no_claim", "trivial")
    for name, numbers in counted.items():
        told_of = told["statements"][name]
        assert [told_of[key] for key in names] == pytest.approx(numbers, abs=1e-9)
        assert told_of["trials"] == 4
    assert main([*TRIALS, "--markdown"]) == 0
    _, _, _, titles, _, *rows = capsys.readouterr().out.splitlines()
    assert titles.startswith("| statement |  | held | of | 95% interval | claimed | verdict |")
    assert [row.split(" | ")[1] for row in rows if row[:1] == "|"] == list(STATEMENTS)


def test_trials_are_drawn(tmp_path, capsys):
    path = tmp_path / "frequencies.png"
    assert main(["check", *GIVEN, "--trials", "2", "--figure", str(path)]) == 0
    assert is_a_picture(path)
    assert f"wrote {path}" in capsys.readouterr().err


@pytest.mark.parametrize(("bears", "status"), [(True, 1), (False, 0)])
def test_strict_with_trials_is_status_1_if_a_claim_is_refuted(bears, status, monkeypatch, capsys):
    record = {"delta": 0.1, "assumptions_met": True, "good_run": True}
    for name in ("lemma_4_2", "theorem_3_1_1"):
        held = name != "lemma_4_2"
        record |= {name: held, f"{name}:verdict": "holds" if held else "FAILS"}
        record |= {f"{name}:hypotheses_met": True, f"{name}:target": 0.9, f"{name}:bears": bears}
        record[f"{name}:case"] = True
    made_up = rfa.Study(SMALL, {}, 20, {}, [record] * 20, 1.0)
    monkeypatch.setattr("rfa.cli.check.study", lambda *given, **named: made_up)
    assert main([*TRIALS, "--strict"]) == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(
        "Refuted: lemma_4_2. The trials speak of every C <= 0." if bears else "No"
    )
    assert main(TRIALS) == 0


INTERRUPTING = """
import os, signal, sys
from rfa.cli import check
from rfa.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it
checks, calls = check.checks, []

def measure(run, **constants):
    calls.append(run)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.SIGINT)
    return checks(run, **constants)

check.checks = measure
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_shows_the_trials_that_were_finished():
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    arguments = ["check", *GIVEN, "--trials", "1000000", "--json"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERRUPTING, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 130
    told = strict_json(done.stdout)
    assert 1 <= told["trials"] < 1000
    assert told["statements"]["proposition_B_1"]["n"] == told["trials"]
    assert done.stderr == f"rfa: interrupted after {told['trials']} runs\n"


def test_ctrl_c_before_the_first_trial_shows_nothing(monkeypatch, capsys):
    def interrupted(*given, **named):
        raise rfa.Interrupted(study=rfa.Study(SMALL, {}, 4, {}, [], 0.0))

    monkeypatch.setattr("rfa.cli.check.study", interrupted)
    assert main(TRIALS) == 130
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "rfa: interrupted after 0 runs\n")


# ------------------------------------------------------------------------------------ audit


def test_audit_shows_the_known_intervals_of_figure1(capsys):
    assert main(["audit", "--preset", "figure1"]) == 0
    first, ends, *lines = capsys.readouterr().out.splitlines()
    assert first == "(A1)-(A7) hold for no C at delta = 0.1"
    assert ends.strip() == "C >= 100 by A7, C <= 0.01708 by A1"
    rows = {line.split()[0]: line for line in lines if line[:1] == "A" and line[1:2].isdigit()}
    for name, low, high, mark in (
        ("A1", "1", "0.01708", "binding"),
        ("A3", "1", "5", ""),
        ("A5", "1", "6.667", ""),
        ("A6", "1", "2", ""),
        ("A7", "100", "400", "binding"),
    ):
        assert rows[name].endswith(mark)
        assert rows[name].removesuffix("binding").split()[-2:] == [low, high]
    assert any(line.split()[-5:-2] == ["0.25", "0.01667", "NO"] for line in lines)  # Lemma A.1


def test_audit_in_other_forms(capsys):
    assert main(["audit", "--preset", "assumptions", "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert (told["lo"], told["hi"]) == pytest.approx((16, 1 / 0.06))
    assert told["holds"] and told["hypotheses_met"]
    assert told["binding"] == {"lo": ["A7"], "hi": ["A3", "A5"]}
    arguments = "--n 400 --d 1200 --m 200 --alpha 0.125 --eta 0.06"
    widths = f"--sigma {0.06 / 1200**0.5} --omega-init {0.0035 / (200 * 1200) ** 0.5}"
    assert main(["audit", *arguments.split(), *widths.split(), "--json"]) == 0
    typed = strict_json(capsys.readouterr().out)
    assert typed["constants"]["A6"] == pytest.approx(told["constants"]["A6"])
    assert typed["holds"]
    assert main(["audit", "--preset", "assumptions", "--delta", "0.3", "--C0", "7", "--json"]) == 0
    other = strict_json(capsys.readouterr().out)
    assert (other["delta"], other["C0"]) == (0.3, 7.0)
    assert any("vacuous" in note for note in other["notes"])
    # Without noise (A5) bounds no C, and with W_0 = 0 neither does (A6).
    zero = ["--n", "9", "--d", "2", "--m", "3", "--eta", "0", "--omega-init", "0", "--json"]
    assert main(["audit", *zero]) == 0
    told = strict_json(capsys.readouterr().out)
    assert told["constants"]["A5"] == told["constants"]["A6"] == [1.0, "inf"]
    assert main(["audit", "--preset", "assumptions", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "**(A1)-(A7) hold for C in [16, 16.67] at delta = 0.1**"
    assert [line for line in lines if line.startswith("| A7 | A7 |")]


def test_audit_is_drawn(tmp_path):
    path = tmp_path / "interval.png"
    assert main(["audit", "--preset", "assumptions", "--figure", str(path)]) == 0
    assert is_a_picture(path)


def test_what_the_inverse_leaves_passes_the_audit(capsys):
    given = ["--n", "300", "--alpha", "0.125", "--delta", "0.05"]
    assert main(["audit", "--inverse", *given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "(A1)-(A7) at delta = 0.05, C = 16, given n=300, alpha=0.125"
    assert [line.split()[0] for line in lines[1:]] == ["d", "m", "sigma", "omega_init", "eta"]
    assert main(["audit", "--inverse", "--C", "20", *given, "--json"]) == 0
    told = strict_json(capsys.readouterr().out)
    assert (told["C"], told["given"], told["holds"]) == (20, {"n": 300, "alpha": 0.125}, True)
    corner = [
        part
        for name, value in told["corner"].items()
        for part in (f"--{name.replace('_', '-')}", repr(value))
    ]
    assert main(["audit", *corner, "--delta", "0.05", "--json"]) == 0
    passed = strict_json(capsys.readouterr().out)
    assert passed["holds"] and passed["lo"] <= 20 <= passed["hi"] * (1 + 1e-12)


def test_the_inverse_names_what_contradicts_what(capsys):
    assert main(["audit", "--inverse", "--alpha", "0.05", "--eta", "0.15"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.strip() == "A5 and A7 clash at C = 100: A7 wants C >= 100, A5 allows C <= 6.667"


# ------------------------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("check", "--n and --d and --m must be given"),
        ("check --preset theorem --trials 2 --contrasts", "--contrasts is for one run"),
        ("check {files}/own.npz --contrasts", "data must have XORClusters as distribution"),
        ("check missing.npz", "there is no file 'missing.npz'"),
        ("check .", "'.'"),
        ("check {files}/network.npz", "holds a network, not a run"),
        ("check {files}/run.npz --preset theorem", "no --preset, --trials, --threads, parameters"),
        ("check {files}/run.npz --trials 3", "RUN is a run that has been made: no --preset,"),
        ("check {files}/run.npz --n 3", "RUN is a run that has been made: no --preset,"),
        ("check {files}/run.npz --threads 1", "RUN is a run that has been made: no --preset,"),
        ("check {files}/run.npz --delta 1", "delta must be between 0 and 1"),
        ("check {files}/run.npz {files}/run.npz", "unrecognized arguments"),
        ("train --delta 1", "unrecognized arguments: --delta 1; see rfa train --help"),
        ("check --preset theorem --statements lemma_42", "near ones are lemma_4_2"),
        ("check --preset theorem --statements lemma_4_2,lemma_4_2", "no id twice"),
        ("check --preset theorem --C0 1", "C0 must be above 1, got 1.0"),
        ("check --preset theorem --delta 0", "delta must be between 0 and 1"),
        ("check --preset theorem --delta few", "argument --delta: must be a number, got 'few'"),
        ("check --preset theorem --trials 0", "trials must be at least 1, got 0"),
        ("check --preset theorem --figure f.png", "--figure needs --trials"),
        ("check --preset theorem --trials 2 --figure no/f.png", "there is no folder 'no'"),
        ("check --preset theorem --trials 2 --figure f.gif", "argument --figure: must end in .png"),
        ("check --preset theorem --size slide", "--size needs --figure"),
        ("check --preset theorem --trials 2 --threads 2", "--threads is for one run"),
        ("check --preset theorem --json --markdown", "--markdown: not allowed with argument"),
        ("audit", "--n and --d and --m must be given"),
        ("audit --preset theorem --C 3", "--C needs --inverse"),
        ("audit --preset theorem --C0 0.5", "C0 must be above 1, got 0.5"),
        ("audit --preset theorem --delta 2", "delta must be between 0 and 1"),
        ("audit --preset theorem --figure no/f.png", "there is no folder 'no'"),
        ("audit --preset theorem --figure f.EPS", "must end in .png, .pdf or .svg, got 'f.EPS'"),
        ("audit --preset theorem --size slide", "--size needs --figure"),
        ("audit --preset theorem --json --markdown", "--markdown: not allowed with argument"),
        ("audit --inverse --preset theorem", "--inverse takes the parameters that are given"),
        ("audit --inverse --steps 3", "--inverse knows n, d, m, alpha, sigma,"),
        ("audit --inverse --noise exact", "not noise"),
        ("audit --inverse --C0 5", "--C0 is not in the assumptions"),
        ("audit --inverse --markdown", "--markdown shows an audit, not its inverse"),
        ("audit --inverse --figure f.png", "--figure is for an audit, not its inverse"),
        ("audit --inverse --size slide", "--size is for an audit, not its inverse"),
        ("audit --inverse --C 1", "C must be above 1"),
        ("audit --inverse --n 0", "n must be at least 1, got 0"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, words, files, capsys, tmp_path, monkeypatch):
    """Nothing is computed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: pytest.fail("trained"))
    monkeypatch.setattr("rfa.cli.check.study", lambda *given, **named: pytest.fail("trained"))
    assert main(arguments.format(files=files).split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("rfa: error: ") and words in line
    assert os.listdir() == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_report_that_cannot_be_written_is_a_failure_at_work(files, monkeypatch, capsys):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["check", str(files / "run.npz")]) == 1
        assert "No space left on device" in capsys.readouterr().err


def test_help_tells_the_options(capsys):
    for command, options in (
        ("check", "RUN --preset --omega-init --trials --delta --C0 --strict --figure --seed"),
        ("audit", "--preset --omega-init --inverse --C --delta --C0 --figure --json --markdown"),
    ):
        assert main([command, "--help"]) == 0
        printed = capsys.readouterr().out.split()
        assert set(options.split()) <= set(printed)


# ------------------------------------------------------------------------------------ reproduce


def test_reproduce_writes_every_figure_and_the_report(tmp_path, capsys):
    assert main(["reproduce", "theorem", "--seed", "5", "--out", str(tmp_path)]) == 0
    ends = ["amplification", "neurons", "alignment", "history", "assumptions"]
    figures = ["theorem.png", *(f"theorem-{end}.png" for end in ends)]
    reports = ["theorem-report.md", "theorem-report.json"]
    assert sorted(os.listdir(tmp_path)) == sorted([*figures, *reports, "summary.json"])
    assert all(is_a_picture(tmp_path / figure) for figure in figures)
    report = rfa.theory.check(rfa.preset("theorem").run(rng=5))
    told = strict_json((tmp_path / "theorem-report.json").read_text())
    assert told == json.loads(report.to_json())
    text = (tmp_path / "theorem-report.md").read_text()
    assert text == report.to_markdown()
    assert f"rfa: theorem: of the statements at T {report.summary()}\n" in capsys.readouterr().err


@pytest.mark.slow
def test_reproduce_of_too_few_steps_has_figures_and_says_what_is_missing(tmp_path):
    assert main(["reproduce", "theorem", "--steps", "0", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 6
    told = strict_json((tmp_path / "theorem-report.json").read_text())
    (theorem,) = (entry for entry in told["checks"] if entry["id"] == "theorem_3_1_1")
    assert (theorem["applicable"], theorem["reason"]) == (False, "needs step 6, the run has 0")


@pytest.mark.parametrize("taken", ["assumptions-report.json", "figure1-assumptions.png"])
def test_reproduce_finds_out_first_where_it_cannot_write(taken, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: pytest.fail("trained"))
    (tmp_path / taken).mkdir()
    assert main(["reproduce", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert repr(str(tmp_path / taken)) in line


SHORT = ["reproduce", "theorem", "figure1"]


@pytest.fixture
def small_presets(monkeypatch):
    """Make the presets theorem and figure1 small, and let reproduce draw one figure of each."""
    monkeypatch.setitem(PRESETS, "theorem", SMALL)
    monkeypatch.setitem(PRESETS, "figure1", SMALL.replace(d=2))
    monkeypatch.setattr("rfa.cli.reproduce.FIGURES", (("", rfa.plot.history),))


def broken_figure(run):
    if run.data.d == 2:
        raise RuntimeError("no\nink")
    return rfa.plot.history(run)


def test_reproduce_loses_nothing_to_a_figure_that_fails(
    small_presets, tmp_path, capsys, monkeypatch
):
    figures = (("", rfa.plot.history), ("-broken", broken_figure), ("-last", rfa.plot.neurons))
    monkeypatch.setattr("rfa.cli.reproduce.FIGURES", figures)
    assert main([*SHORT, "--json", "--out", str(tmp_path)]) == 1
    output = capsys.readouterr()
    first, second = strict_json(output.out)
    assert json.loads((tmp_path / "summary.json").read_text()) == [first, second]
    assert first["failures"] == {}
    assert second["failures"] == {"figure1-broken.png": "RuntimeError: no ink"}
    assert [state["t"] for state in (*first["steps"], *second["steps"])] == [3, 3]
    # It is written after each preset: killing the process later does not lose it.
    assert output.err.count("summary.json") == 2
    lines = [line for line in output.err.splitlines() if "error" in line]
    assert lines == ["rfa: error: figure1-broken.png: RuntimeError: no ink"]
    ends = [".png", "-broken.png", "-last.png", "-assumptions.png", "-report.md", "-report.json"]
    expected = [name + end for name in ("theorem", "figure1") for end in ends] + ["summary.json"]
    assert sorted(os.listdir(tmp_path)) == sorted(set(expected) - {"figure1-broken.png"})


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("rfa.experiment.train", "the run of theorem"),
        ("rfa.report.summary.test_error", "the summary of theorem"),
        ("rfa.cli.reproduce.check", "the report of theorem"),
    ],
)
def test_reproduce_loses_nothing_to_a_preset_that_fails(
    place, what, small_presets, tmp_path, capsys, monkeypatch
):
    module, _, name = place.rpartition(".")
    works, calls = getattr(sys.modules[module], name), []

    def first_fails(*given, **named):
        calls.append(given)
        if len(calls) == 1:
            raise MemoryError("Unable to allocate 26.8 GiB")
        return works(*given, **named)

    monkeypatch.setattr(place, first_fails)
    assert main([*SHORT, "--out", str(tmp_path)]) == 1
    theorem, figure1 = json.loads((tmp_path / "summary.json").read_text())
    assert theorem["failures"] == {what: "Unable to allocate 26.8 GiB"}
    trained = "run" not in what
    assert theorem["status"] == ("finished" if trained else "unfinished")
    assert bool(theorem["steps"]) == ("report" in what)
    assert (figure1["status"], figure1["failures"]) == ("finished", {})
    files = os.listdir(tmp_path)
    assert ("theorem.png" in files) == trained
    assert ("theorem-report.md" in files) == ("summary" in what)
    assert {"theorem-assumptions.png", "figure1.png", "figure1-report.json"} <= set(files)
    output = capsys.readouterr()
    assert f"rfa: error: {what}: Unable to allocate 26.8 GiB\n" in output.err
    assert "figure1" in output.out


def test_reproduce_keeps_what_is_done_after_ctrl_c(small_presets, tmp_path, capsys, monkeypatch):
    works, calls = rfa.theory.check, []

    def interrupted(run):
        calls.append(run)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return works(run)

    monkeypatch.setattr("rfa.cli.reproduce.check", interrupted)
    assert main([*SHORT, "assumptions", "--out", str(tmp_path)]) == 130
    first, second = json.loads((tmp_path / "summary.json").read_text())
    assert [state["t"] for state in (*first["steps"], *second["steps"])] == [3, 3]
    assert {"theorem-report.md", "figure1.png"} <= set(os.listdir(tmp_path))
    assert capsys.readouterr().err.endswith("rfa: interrupted\n")


# ------------------------------------------------------------------------------------ style


STYLE = {"text.usetex": True, "savefig.dpi": 20, "axes.facecolor": "red", "font.size": 30}


def test_figures_have_a_style_of_their_own(tmp_path):
    """A matplotlibrc changes no figure, even if it asks for LaTeX; no figure changes a setting."""
    draw = ["audit", "--preset", "theorem", "--figure"]
    assert main([*draw, str(tmp_path / "plain.png")]) == 0
    with matplotlib.rc_context(STYLE):
        before = dict(matplotlib.rcParams)
        assert main([*draw, str(tmp_path / "styled.png")]) == 0
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_figures_need_no_backend_of_the_users(tmp_path):
    """MPLBACKEND may name a backend that is not installed, and a matplotlibrc may need LaTeX."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 20\n")
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    environment["MPLBACKEND"] = "no_such_backend"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rfa", "audit", "--preset", "theorem", "--figure", "a.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "rfa: wrote a.png\n")
    assert is_a_picture(tmp_path / "a.png")


def test_a_figure_that_fails_does_not_take_the_table_away(tmp_path, capsys, monkeypatch):
    def fails(*args, **options):
        raise ValueError("no figure today")

    monkeypatch.setattr("rfa.cli.figures.draw", fails)
    figure = str(tmp_path / "figure.png")
    assert main(["check", "--preset", "theorem", "--trials", "2", "--figure", figure]) == 1
    assert "theorem_3_1_1" in capsys.readouterr().out
    assert main(["audit", "--preset", "theorem", "--figure", figure]) == 1
    assert "(A1)" in capsys.readouterr().out


def test_a_run_that_diverged_is_status_1_of_check_and_reproduce(tmp_path, capsys, monkeypatch):
    extreme = rfa.Experiment(n=40, d=2, m=4, alpha=1e300, steps=3, sigma=1e100)
    assert main(["check", "--n", "40", "--d", "2", "--m", "4", "--alpha", "1e300", "--steps", "3",
                 "--sigma", "1e100"]) == 1  # fmt: skip
    monkeypatch.setitem(PRESETS, "theorem", extreme)
    assert main(["reproduce", "theorem", "--out", str(tmp_path)]) == 1
    (summary,) = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "diverged"
