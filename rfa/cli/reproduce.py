"""rfa reproduce: run presets, draw the figures of the paper, check the theorem."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from rfa import _files, plot
from rfa.cli.console import Parser, described, report, say, usage
from rfa.cli.figures import FORMATS, draw, load_matplotlib
from rfa.cli.options import (
    add_forms,
    add_seed,
    add_size,
    add_threads,
    figure_format,
    integer,
    preset_name,
)
from rfa.experiment import Experiment
from rfa.presets import PRESETS, preset
from rfa.report.summary import show, summarize
from rfa.theory import audit, check
from rfa.training.run import Run

SUMMARY = "run presets, draw the paper's figures, check the theorem"

DEFAULT_PRESETS = ("figure1", "assumptions")

Figures = tuple[tuple[str, Callable[..., Any]], ...]

# The figures of a run: what follows the name of the preset in the name of the file, and the
# function that draws.
FIGURES: Figures = (
    ("", plot.decision_boundary),
    ("-amplification", plot.amplification),
    ("-neurons", plot.neurons),
    ("-alignment", plot.alignment),
    ("-history", plot.history),
)


def _figure2(run: Run) -> Any:
    """Figure 2 of the journal version."""
    axes = plot.overfitting(run)
    axes.set_title(f"Figure 2 of JMLR 24(303): $n = {run.data.n}$, $d = {run.data.d}$")
    return axes


# A preset of the journal version's Figure 2 has this figure in place of the decision boundary,
# which is drawn to a file of another name.
FIGURES_OF: dict[str, Figures] = dict.fromkeys(
    ("figure2-high", "figure2-low"),
    (("", _figure2), ("-boundary", plot.decision_boundary), *FIGURES[1:]),
)


def _figures(name: str) -> Figures:
    """The figures of a preset."""
    return FIGURES_OF.get(name, FIGURES)


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "presets",
        nargs="*",
        type=preset_name,
        metavar="PRESET",
        default=DEFAULT_PRESETS,
        help=f"one of {', '.join(PRESETS)} (default: {' '.join(DEFAULT_PRESETS)})",
    )
    parser.add_argument(
        "--out",
        default="rfa-output",
        metavar="DIR",
        help="folder for figures, reports and summary.json (default: %(default)s)",
    )
    parser.add_argument(
        "--steps", type=integer, help="number of steps, in place of that of the preset"
    )
    add_seed(parser)
    add_threads(parser)
    parser.add_argument(
        "--format",
        type=figure_format,
        default="png",
        metavar="FORMAT",
        help=f"format of figures: {', '.join(FORMATS)} (default: %(default)s)",
    )
    add_size(parser)
    add_forms(parser)


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""

    def path(name: str) -> str:
        return os.path.join(options.out, name)

    with usage(OSError):
        changes = {} if options.steps is None else {"steps": options.steps}
        experiments = {name: preset(name).replace(**changes) for name in options.presets}
        _make_folder(options.out)
        _files.destination(path("summary.json"))
        for name in experiments:
            for file in _files_of(name, options):
                _files.destination(path(file))
    # Without Matplotlib nothing is computed.
    load_matplotlib()
    summaries: list[dict[str, Any]] = []
    for name, experiment in experiments.items():
        summary: dict[str, Any] = {
            "preset": name,
            "experiment": json.loads(experiment.to_json()),
            "status": "unfinished",
            "steps": [],
            "failures": {},
        }
        summaries.append(summary)
        try:
            _reproduce_one(experiment, options, path, summary)
        finally:
            # After each preset: if the process is killed later, the summary has this one.
            with _attempt("summary.json", summary["failures"]):
                _write(path("summary.json"), json.dumps(summaries, indent=2) + "\n")
    show(summaries, options.json)
    failed = [one for one in summaries if one["failures"] or one["status"] == "diverged"]
    return 1 if failed else 0


def _files_of(name: str, options: argparse.Namespace) -> list[str]:
    """The names of the files of a preset."""
    ends = [end for end, _ in _figures(name)] + ["-assumptions"]
    figures = [f"{name}{end}.{options.format}" for end in ends]
    return [*figures, f"{name}-report.md", f"{name}-report.json"]


def _reproduce_one(
    experiment: Experiment,
    options: argparse.Namespace,
    path: Callable[[str], str],
    summary: dict[str, Any],
) -> None:
    """Train, draw and check a preset; a failure is noted in the summary and stops nothing else."""
    name, failures = summary["preset"], summary["failures"]

    def attempt_to_draw(file: str, figure: Callable[..., Any], *of: Any) -> None:
        with _attempt(file, failures):
            draw(functools.partial(figure, *of), path(file), options.size)

    say(f"{name}: {experiment.to_json()}")
    attempt_to_draw(f"{name}-assumptions.{options.format}", plot.assumptions, audit(experiment))
    with _attempt(f"the run of {name}", failures):
        run = experiment.run(options.seed, n_threads=options.threads)
        summary["status"] = run.status
    if summary["status"] == "unfinished":
        return
    with _attempt(f"the summary of {name}", failures):
        summary |= summarize(name, experiment, run, options.threads)
    for end, figure in _figures(name):
        attempt_to_draw(f"{name}{end}.{options.format}", figure, run)
    with _attempt(f"the report of {name}", failures):
        found = check(run)
        _write(path(f"{name}-report.md"), found.to_markdown())
        _write(path(f"{name}-report.json"), found.to_json())
        say(f"{name}: of the statements at T {found.summary()}")


@contextlib.contextmanager
def _attempt(what: str, failures: dict[str, str]) -> Iterator[None]:
    """Report an exception, note it in failures, and go on."""
    try:
        yield
    except Exception as error:
        report(error, what)
        failures[what] = described(error)


def _make_folder(path: str) -> None:
    """Make the folder of --out, unless it exists."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--out must be a folder that is there or can be made, got {path!r}: {error.strerror}"
        ) from error


def _write(path: str, text: str) -> None:
    _files.replace(path, lambda file: file.write(text.encode()))
    say(f"wrote {path}")
