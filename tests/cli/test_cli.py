"""The command line: exit statuses, messages, streams; rfa train, rfa reproduce, rfa info."""

import dataclasses
import errno
import io
import json
import os
import re
import subprocess
import sys

import matplotlib
import matplotlib.image
import pytest

import rfa
from rfa.cli.main import main
from rfa.presets import PRESETS

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


@pytest.mark.slow
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
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["preset", "own", "own"]
    assert printed.err == f"rfa: wrote {path}\n"
    run = rfa.load(path)
    exp = rfa.Experiment(n=60, d=5, m=7, steps=9, dtype="float32")
    assert run.network == exp.run(rng=4).network
    assert run.history.t.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]


TRAIN = ["train", "--n", "20", "--d", "2", "--m", "3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["reproduce", "--no-such-option"], "--no-such-option"),
        ([*TRAIN, "--thread", "1"], "--thread"),  # no abbreviations
        (["train"], "--n and --d and --m must be given"),
        (["train", "--n", "5", "--m", "3"], "--d must be given"),
        (["train", "--n", "5", "--d", "1", "--m", "3"], "d must be at least 2"),
        (["train", "--n", "1e3"], "argument --n: must be an integer, got '1e3'"),
        (["train", "--preset", "none"], "argument --preset: name must be one of figure1,"),
        (["reproduce", "theorem", "figure9"], "got 'figure9'"),
        (["train", "--preset", "theorem", "--engine", "planar"], "engine 'planar' needs d=2"),
        ([*TRAIN, "--engine", "warp"], "argument --engine: invalid choice: 'warp'"),
        ([*TRAIN, "--record", "0"], "argument --record: record must be at least 1"),
        ([*TRAIN, "--record", "-3"], "argument --record: record must be at least 1"),
        ([*TRAIN, "--record", "²"], "argument --record: must be log, all, none or a positive"),
        ([*TRAIN, "--steps", "-1"], "error: steps must be at least 0, got -1"),
        ([*TRAIN, "--steps", "9007199254740993"], "error: steps must be at most 2^53, got 9"),
        (["reproduce", "theorem", "--steps", "x"], "argument --steps: must be an integer"),
        (["reproduce", "theorem", "--steps", "1" + "0" * 30], "steps must be at most 2^53"),
        ([*TRAIN, "--threads", "5000"], "argument --threads: n_threads must be at most 1024"),
        (["reproduce", "theorem", "--threads", "0"], "n_threads must be at least 1"),
        ([*TRAIN, "--seed", "-1"], "argument --seed: seed must be at least 0, got -1"),
        (["reproduce", "--seed", "pi"], "argument --seed: must be an integer, got 'pi'"),
        ([*TRAIN, "--alpha", "0"], "alpha must be positive"),
        ([*TRAIN, "--alpha", "nan"], "alpha must be finite"),
        ([*TRAIN, "--alpha", "fast"], "argument --alpha: must be a number, got 'fast'"),
        ([*TRAIN, "--alpha", "1e-30"], "steps must be at most 2^53"),
        ([*TRAIN, "--alpha", "none"], "argument --alpha: must be a number, got 'none'"),
        ([*TRAIN, "--eta", "2"], "eta must be in [0, 1]"),
        ([*TRAIN, "--omega-init", "-1"], "omega_init must be at least 0"),
        ([*TRAIN, "--noise", "loud"], "noise must be"),
        ([*TRAIN, "--law", "murphy"], "law must be"),
        ([*TRAIN, "--dtype", "int8"], "dtype must be"),
        ([*TRAIN, "--n-test", "-1"], "n_test must be at least 0"),
        ([*TRAIN, "--balance", "even"], "argument --balance: must be none, exact or four prob"),
        ([*TRAIN, "--balance", "0.5,0.5"], "balance must have 4 entries"),
        ([*TRAIN, "--balance", "0.5,0.5,0.5,0.5"], "balance must be 4 probabilities that sum"),
        ([*TRAIN, "--mu", "[[1, 0]"], "argument --mu: must be none, random or two vectors in JSON"),
        ([*TRAIN, "--mu", "[[1, 0], [1, 0]]"], "mu must be orthonormal"),
        ([*TRAIN, "--mu", "[" * 100_000], "argument --mu: must be none, random or two vectors"),
        ([*TRAIN, "--mu", "3"], "mu must have 2 dimensions"),
        ([*TRAIN, "--mu", "{}"], "mu must be"),
        ([*TRAIN, "--out", "missing/run.npz"], "there is no folder 'missing'"),
        ([*TRAIN, "--out", ""], "path must name a file"),
        ([*TRAIN, "--out", "."], "path must name a file"),
        (
            ["reproduce", "theorem", "--out", ""],
            "--out must be a folder that is there or can be made",
        ),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, words, capsys, tmp_path, monkeypatch):
    """Nothing is computed, and no folder is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rfa.engines.direct.engine.DirectEngine.advance", None)
    monkeypatch.setattr("rfa.engines.planar.engine.PlanarEngine.advance", None)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("rfa: error: ") and words in line
    assert os.listdir() == []


def test_an_engine_that_does_not_fit_is_refused_before_data_are_drawn(capsys, monkeypatch):
    monkeypatch.setattr("rfa.Experiment.sample", lambda *given: pytest.fail("drawn"))
    assert main(["train", "--preset", "theorem", "--engine", "planar"]) == 2
    assert "engine 'planar' needs d=2" in capsys.readouterr().err


@pytest.mark.parametrize("taken", ["", "summary.json", "theorem-amplification.png"])
def test_reproduce_finds_out_first_where_it_cannot_write(taken, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: pytest.fail("trained"))
    out = tmp_path / "out"
    if taken:
        (out / taken).mkdir(parents=True)
    else:
        out.write_text("a file")
    assert main(["reproduce", "figure1", "theorem", "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert repr(str(out / taken)) in line


def test_values_of_the_options(tmp_path, capsys):
    def trained(*arguments):
        assert main([*TRAIN, "--out", str(tmp_path / "run.npz"), "--json", *arguments]) == 0
        (summary,) = json.loads(capsys.readouterr().out)
        return rfa.Experiment(**summary["experiment"]), rfa.load(tmp_path / "run.npz")

    exp = rfa.Experiment(n=20, d=2, m=3)
    for arguments, changes in (
        (["--balance", "exact"], {"balance": "exact"}),
        (["--balance", "0.1, 0.2,0.3,0.4"], {"balance": [0.1, 0.2, 0.3, 0.4]}),
        (["--mu", "random"], {"mu": "random"}),
        (["--mu", "[[0, 1], [-1, 0]]"], {"mu": [[0, 1], [-1, 0]]}),
        (["--alpha", "0.125", "--noise", "exact"], {"alpha": 0.125, "noise": "exact"}),
        (["--record", "none", "--n-test", "5"], {"n_test": 5}),
    ):
        told, run = trained(*arguments)
        assert told == exp.replace(**changes)
        assert run.network == exp.replace(**changes).run(rng=0).network
    assert run.history.t.tolist() == [6]


def test_none_takes_a_presets_value_back(tmp_path, capsys):
    changes = "--n 20 --d 3 --m 3 --alpha 0.125 --n-test 0 --dtype float64"
    absent = "--steps none --sigma none --omega-init none --balance none --mu none"
    arguments = f"train --preset figure2-low {changes} {absent} --json"
    assert main(arguments.split()) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    told = rfa.Experiment(**summary["experiment"])
    assert told == rfa.Experiment(n=20, d=3, m=3, alpha=0.125, noise="exact")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "rfa: error: MemoryError"),
        (OSError("the disk\nis gone"), "rfa: error: the disk is gone"),
        (RuntimeError("no\nlatex"), "rfa: error: RuntimeError: no latex"),
        (KeyError("x"), "rfa: error: KeyError: 'x'"),
        (RecursionError(), "rfa: error: RecursionError"),
        (AssertionError("x" * 999), f"rfa: error: AssertionError: {'x' * 284}..."),
    ],
)
def test_failures_at_work_are_one_line_and_status_1(error, line, capsys, monkeypatch):
    def fail(*given, **named):
        raise error

    monkeypatch.setattr("rfa.experiment.train", fail)
    assert main(TRAIN) == 1
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", line + "\n")


def test_failures_at_work_show_their_traceback_if_asked(capsys, monkeypatch):
    def fail(*given, **named):
        raise RuntimeError("no latex")

    monkeypatch.setattr("rfa.experiment.train", fail)
    monkeypatch.setenv("RFA_DEBUG", "1")
    assert main(TRAIN) == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert last == "rfa: error: RuntimeError: no latex"
    assert lines[0] == "Traceback (most recent call last):" and "in fail" in lines[-3]


def test_a_run_that_diverged_is_kept_and_status_1(tmp_path, capsys, caplog):
    arguments = ["--sigma", "1e200", "--alpha", "1e200", "--steps", "50", "--json", "--out"]
    assert main([*TRAIN, *arguments, str(tmp_path / "run.npz")]) == 1
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["status"] == rfa.load(tmp_path / "run.npz").status == "diverged"
    assert "try a smaller alpha" in caplog.text


def process(*arguments, **options):
    """Run the command line in a new process, with the rfa under test and buffered streams."""
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    environment.pop("PYTHONUNBUFFERED", None)
    environment |= options.pop("env", {})
    command = [sys.executable, "-P", "-m", "rfa", *arguments]
    return subprocess.run(command, text=True, timeout=60, env=environment, **options)


def test_an_unknown_simd_level_is_one_line():
    done = process("info", env={"RFA_SIMD": "foo"}, capture_output=True)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("rfa: error: RFA_SIMD must be one of baseline")
    assert "'foo'" in line


def test_warnings_are_one_line():
    """A logged warning, that a run diverged, and one of Python's warnings, on the horizon."""
    arguments = ["--alpha", "3e200", "--sigma", "1e200", "--steps", "50"]
    done = process(*TRAIN, *arguments, capture_output=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("rfa: warning: the run diverged at t=")
    done = process(*TRAIN, "--alpha", "0.03", capture_output=True)
    assert done.returncode == 0
    told = "rfa: warning: 1/(4 alpha) = 8.33333 is not an integer: T is rounded down to 9\n"
    assert done.stderr == told
    # a check says the same once more, and the command line says it once
    done = process("check", *TRAIN[1:], "--alpha", "0.03", capture_output=True)
    assert (done.returncode, done.stderr) == (0, told)
    done = process(*TRAIN, "--alpha", "0.03", capture_output=True, env={"PYTHONWARNINGS": "ignore"})
    assert (done.returncode, done.stderr) == (0, "")


COMMANDS = [
    ["info"],
    ["info", "--json"],
    TRAIN,
    [*TRAIN, "--json"],
    ["check", *TRAIN[1:]],
    ["check", *TRAIN[1:], "--json"],
    ["check", *TRAIN[1:], "--trials", "2"],
    ["check", *TRAIN[1:], "--trials", "2", "--json"],
    ["audit", *TRAIN[1:], "--markdown"],
    ["audit", "--inverse", "--json"],
    ["reproduce", "theorem", "--steps", "1"],
    ["reproduce", "theorem", "--steps", "1", "--json"],
    ["--help"],
    ["train", "--help"],
    ["--version"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_stdout_nothing_begins(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: pytest.fail("trained"))
    monkeypatch.setattr(sys, "stdout", None)
    assert main(arguments) == 1
    assert capsys.readouterr().err == (
        "rfa: error: stdout is closed: there is nowhere to print to\n"
    )
    assert os.listdir() == []


@pytest.mark.skipif(os.name != "posix", reason="a shell closes stdout")
def test_a_shell_that_closes_stdout():
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-P", "-m", "rfa", *TRAIN]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "rfa: error: stdout is closed: there is nowhere to print to\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rfa.cli.reproduce.FIGURES", ())
    monkeypatch.setitem(PRESETS, "theorem", rfa.Experiment(n=20, d=2, m=4))
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(arguments) == 1
        monkeypatch.undo()
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert lines == [f"rfa: error: stdout: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        done = process("info", stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("rfa: error: ") and os.strerror(errno.ENOSPC) in line
        # A message that cannot be written changes neither status nor stdout.
        done = process("dance", stdout=subprocess.PIPE, stderr=full)
        assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_who_has_gone_is_no_news():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        done = process("info", stdout=pipe, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


class Broken(io.StringIO):
    """A stream whose reader has closed it."""

    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "gone")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stderr", [None, Broken(), closed()], ids=["none", "broken", "closed"])
def test_messages_without_stderr(stderr, tmp_path, capsys, monkeypatch):
    # Trained while there is a stderr: train itself uses it to show progress.
    run = rfa.preset("theorem").run(rng=0)
    monkeypatch.setattr("rfa.experiment.train", lambda *given, **named: run)
    monkeypatch.setattr("rfa.cli.reproduce.draw", lambda figure, path, size: None)
    monkeypatch.setattr(sys, "stderr", stderr)
    assert main(["reproduce", "theorem", "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["preset"] == "theorem"
    assert main(["train", "--n", "x"]) == 2

    def fail(*given, **named):
        raise MemoryError

    monkeypatch.setattr("rfa.experiment.train", fail)
    assert main(TRAIN) == 1
    assert capsys.readouterr().out == ""


def test_help_tells_the_options(capsys):
    for command in ("reproduce", "train", "info"):
        assert main([command, "--help"]) == 0
        assert "--json" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "RFA_DEBUG=1" in capsys.readouterr().out


def test_help_tells_every_parameter(capsys):
    assert main(["train", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.partition("options:")[2].split())
    told = dict(re.findall(r"--(\S+) [A-Z_]+ (.+?)(?= --)", printed))
    for field in dataclasses.fields(rfa.Experiment):
        words, _, default = told[field.name.replace("_", "-")].partition(" (default: ")
        assert len(words) > 8
        if field.default is not dataclasses.MISSING:
            assert default == f"{'none' if field.default is None else field.default})"
    assert told["n"] == "number of training samples"
    assert told["alpha"] == "step size (default: 0.05)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wider(rfa.Experiment):
    """An experiment with further parameters, none of a type that the command line knows.

    Parameters
    ----------
    flag : bool, default False
        Whether 100% of it, or none, is meant. More.
    pair : tuple, optional
        Two
        numbers.

    """

    flag: bool = False
    pair: tuple[int, int] | None = (1, 2)
    plain: dict[str, int] | None = None


def test_a_new_parameter_needs_nothing_of_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rfa.cli.parameters.Experiment", Wider)
    assert main(["train", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "--flag FLAG whether 100% of it, or none, is meant (default: False) " in printed
    assert "--pair PAIR two numbers (default: (1, 2)) --plain PLAIN (default: none)" in printed
    assert main([*TRAIN, "--flag", "true", "--pair", "[3, 4]", "--plain", "none", "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    told = summary["experiment"]
    assert (told["flag"], told["pair"], told["plain"]) == (True, [3, 4], None)


INTERRUPTING = """
import sys
import rfa

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            raise KeyboardInterrupt

from rfa.cli.main import main

sys.meta_path.insert(0, Interrupting())
sys.exit(main(["info"]))
"""


@pytest.mark.parametrize("module", ["argparse", "rfa.cli.console", "rfa.cli.check"])
def test_ctrl_c_while_python_imports_is_status_130(module):
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(rfa.__file__))}
    command = [sys.executable, "-P", "-c", INTERRUPTING, module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "rfa: interrupted\n")


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
    # -P keeps the current folder off the path: it may be a source tree with an unbuilt rfa/.
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_touches_matplotlib_when_it_is_imported():
    code = (
        "import pkgutil, sys, rfa\n"
        "for module in pkgutil.walk_packages(rfa.__path__, 'rfa.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        __import__(module.name)\n"
        "print('rfa.plot' in sys.modules, 'matplotlib' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
