"""The command line: rfa reproduce, rfa train, rfa info.

Data go to stdout, messages to stderr. Exit status: 0; 1 for a failure, said in one line; 2 for a
wrong use; 130 if interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rfa import _files, _runtime
from rfa.experiment import PRESETS, Experiment, preset
from rfa.network import Network
from rfa.run import Run
from rfa.theory import test_error
from rfa.theory.dynamics import floored_horizon
from rfa.training import Interrupted

DEFAULT_PRESETS = ("figure1", "theorem")

# Reals drawn for an estimate of the test error, and the points it has at the least and the most.
ERROR_REALS, ERROR_POINTS = 4 * 10**8, (2_000, 200_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except Interrupted as interruption:
        print(f"rfa: {interruption}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("rfa: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # whoever read the output has gone; what is still buffered must not raise at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"rfa: error: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rfa",
        description="Train two-layer ReLU networks on XOR-cluster data and compare with the "
        "theory of random feature amplification.",
    )
    parser.add_argument("--version", action="version", version=_runtime.version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    reproduce = _command(
        commands, "reproduce", _reproduce, "run presets and draw the paper's figures"
    )
    reproduce.add_argument(
        "presets",
        nargs="*",
        metavar="PRESET",
        default=DEFAULT_PRESETS,
        help=f"one of {', '.join(PRESETS)} (default: {' '.join(DEFAULT_PRESETS)})",
    )
    reproduce.add_argument(
        "--out",
        default="rfa-output",
        metavar="DIR",
        help="folder for figures and summary.json (default: %(default)s)",
    )
    reproduce.add_argument("--steps", type=int, help="number of steps, in place of the preset's")
    _common(reproduce)

    training = _command(commands, "train", _train, "train one network")
    training.add_argument(
        "--preset", help=f"start from a preset: {', '.join(PRESETS)}; options below replace its"
    )
    for field in dataclasses.fields(Experiment):
        training.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=f"experiment_{field.name}",
            type=_FIELD_TYPES.get(field.name, str),
            metavar=field.name.upper(),
            help=f"see rfa.Experiment (default: {field.default})"
            if field.default is not dataclasses.MISSING
            else "see rfa.Experiment",
        )
    training.add_argument("--engine", default="auto", help="auto, direct, planar or reference")
    training.add_argument("--record", default="log", help="log, all, none or a number of steps")
    training.add_argument("--out", metavar="FILE", help="write the run to this .npz file")
    _common(training)

    info = _command(commands, "info", _info, "print version, SIMD level, OpenMP and threads")
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


_FIELD_TYPES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("n", "d", "m", "steps", "n_test"), int),
    **dict.fromkeys(("alpha", "sigma", "omega_init", "eta"), float),
}


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.set_defaults(command=function)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="number of threads; changes no result")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")


def _info(options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(_runtime.configuration()))
    else:
        _runtime.show_config()


def _train(options: argparse.Namespace) -> None:
    given = {
        field.name: value
        for field in dataclasses.fields(Experiment)
        if (value := getattr(options, f"experiment_{field.name}")) is not None
    }
    if options.preset is not None:
        experiment = preset(options.preset).replace(**given)
    else:
        missing = [f"--{name}" for name in ("n", "d", "m") if name not in given]
        if missing:
            raise ValueError(f"without --preset, {' and '.join(missing)} must be given")
        experiment = Experiment(**given)
    record: Any = {"none": None}.get(options.record, options.record)
    if record is not None and record.lstrip("-").isdigit():
        record = int(record)
    try:
        run = experiment.run(
            options.seed, engine=options.engine, record=record, n_threads=options.threads
        )
    except Interrupted as interruption:
        if options.out:
            interruption.run.save(options.out)
            print(f"rfa: the run so far is in {options.out}", file=sys.stderr)
        raise
    if options.out:
        run.save(options.out)
    _print([_summary("run", experiment, run, options.threads)], options.json)


def _reproduce(options: argparse.Namespace) -> None:
    experiments = {name: preset(name) for name in dict.fromkeys(options.presets)}
    if options.steps is not None:
        experiments = {k: e.replace(steps=options.steps) for k, e in experiments.items()}
    os.makedirs(options.out, exist_ok=True)
    summaries = []
    for name, experiment in experiments.items():
        print(f"rfa: {name}: {experiment.to_json()}", file=sys.stderr)
        run = experiment.run(options.seed, n_threads=options.threads)
        summaries.append(_summary(name, experiment, run, options.threads))
        for path in _figures(name, run, options.out):
            print(f"rfa: wrote {path}", file=sys.stderr)
    path = os.path.join(options.out, "summary.json")
    text = json.dumps(summaries, indent=2) + "\n"
    _files.replace(path, lambda file: file.write(text.encode()))
    print(f"rfa: wrote {path}", file=sys.stderr)
    _print(summaries, options.json)


def _figures(name: str, run: Run, folder: str) -> list[str]:
    """Draw a run's figures: the boundary, amplification and the history."""
    from matplotlib.figure import Figure

    from rfa import plot

    paths = []
    for suffix, draw in (
        ("", plot.decision_boundary),
        ("-amplification", plot.amplification),
        ("-history", plot.history),
    ):
        figure = Figure(figsize=(7.2, 5.2), layout="constrained")
        draw(run, figure.add_subplot())
        path = os.path.join(folder, f"{name}{suffix}.png")
        _files.replace(path, functools.partial(figure.savefig, format="png", dpi=150))
        paths.append(path)
    return paths


def _summary(name: str, experiment: Experiment, run: Run, n_threads: int | None) -> dict[str, Any]:
    """What a run came to at the horizon T and at its last step, JSON-able."""
    T = floored_horizon(run.alpha)[0] + 1
    states = {T: run.snapshots[T]} if T in run.snapshots else {}
    states[run.t] = run.network.W
    return {
        "preset": name,
        "experiment": json.loads(experiment.to_json()),
        "status": run.status,
        "T": T,
        "clean": int(run.data.clean.sum()),
        "noisy": int(run.data.noisy.sum()),
        "eta": experiment.eta,
        "seconds": run.stats["seconds"],
        "steps": [
            _state(experiment, run, t, W, n_threads)
            for t, W in states.items()
            if t in run.history.t
        ],
        "provenance": dict(run.provenance),
    }


def _state(
    experiment: Experiment, run: Run, t: int, W: np.ndarray[Any, Any], n_threads: int | None
) -> dict[str, Any]:
    row = run.history.row(t)
    distribution = run.data.distribution
    assert distribution is not None
    n = int(np.clip(ERROR_REALS // experiment.d, *ERROR_POINTS))
    network = Network(W, run.network.a)
    estimate = test_error(network, distribution, n, rng=run.data.seed, n_threads=n_threads)
    # flips that are not drawn from eta(x) leave no error rate to integrate over
    independent = experiment.noise == "independent"
    return {
        "t": t,
        "loss": float(row.loss),
        "clean_wrong": int(row.clean_wrong),
        "noisy_fitted": int(row.noisy_fitted),
        "test_error": estimate.error if independent else None,
        "test_error_standard_error": estimate.standard_error if independent else None,
        "test_error_clean": estimate.clean_error,
        "test_points": n,
    }


def _print(summaries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summaries, indent=2))
        return
    titles = (
        "preset",
        "t",
        "clean_wrong",
        "noisy_fitted",
        "test_error",
        "eta",
        "clean_error",
        "seconds",
    )
    rows = [titles]
    for summary in summaries:
        for state in summary["steps"]:
            t = f"{state['t']} (T)" if state["t"] == summary["T"] else f"{state['t']}"
            error = state["test_error"]
            rows.append(
                (
                    summary["preset"],
                    t,
                    f"{state['clean_wrong']} of {summary['clean']}",
                    f"{state['noisy_fitted']} of {summary['noisy']}",
                    "-" if error is None else f"{error:.5f}",
                    f"{summary['eta']:g}",
                    f"{state['test_error_clean']:.2g}",
                    f"{summary['seconds']:.3f}",
                )
            )
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    for cells in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        )
