"""rfa check: check every statement of the paper, on one run or on many trials."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping

from rfa import _validate, plot
from rfa._tables import aligned, as_markdown, jsonable
from rfa.baselines import contrasts
from rfa.cli.console import Parser, say, usage
from rfa.cli.contrasts import table
from rfa.cli.figures import print_and_draw
from rfa.cli.options import (
    add_constants,
    add_figure,
    add_forms,
    add_seed,
    add_threads,
    check_figure,
    checked,
    constants,
    integer,
)
from rfa.cli.parameters import add_parameters, experiment, given
from rfa.experiment import Experiment
from rfa.setting import C0, DELTA, Horizon
from rfa.studies import Proportion, Study, TrialError, checks, refuted, study
from rfa.studies.measures import ON_GOOD_RUNS
from rfa.theory import Report, audit, check
from rfa.theory.statement import KNOWN
from rfa.theory.verification import selected
from rfa.training.loading import load
from rfa.training.loop import Interrupted
from rfa.training.run import Run

SUMMARY = "check every statement of the paper"


@checked
def _trials(text: str) -> int:
    return _validate.positive_int(integer(text), "trials")


@checked
def _statements(text: str) -> tuple[str, ...]:
    ids = tuple(filter(None, (id.strip() for id in text.split(","))))
    selected(ids)
    return ids


def add_options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's .npz file")
    add_parameters(parser)
    parser.add_argument(
        "--trials",
        type=_trials,
        help="run this many trials, with the seeds (SEED, 0), (SEED, 1), ..., and show how often "
        "each statement holds",
    )
    add_constants(parser)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 if a tested claim fails, or with --trials if one is refuted",
    )
    parser.add_argument(
        "--statements",
        type=_statements,
        metavar="ID,ID,...",
        help="check these statements alone, in this order (default: all)",
    )
    parser.add_argument(
        "--long",
        action="store_true",
        help="show inner steps of the proofs, ids, and where the extreme values are",
    )
    parser.add_argument(
        "--contrasts",
        action="store_true",
        help="also compare the network of one run with linear classifiers and with its "
        "linearisation at W_0, on fresh points",
    )
    add_figure(parser, "with --trials: draw the frequencies")
    add_seed(
        parser,
        default=None,
        summary="seed of all random draws (default: 0; of the checks of RUN: the run's seed)",
    )
    add_threads(parser)
    add_forms(parser, markdown=True)


def execute(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    with usage(OSError):
        if options.figure is not None and options.trials is None:
            raise ValueError("--figure needs --trials")
        check_figure(options)
        source = experiment(options) if options.run is None else _stored(options)
        if options.trials is not None and options.threads is not None:
            raise ValueError("--threads is for one run; of trials OMP_NUM_THREADS run at a time")
        if options.trials is not None and options.contrasts:
            raise ValueError("--contrasts is for one run, not for --trials")
        if options.trials is not None and options.long:
            raise ValueError("--long is for one run: over trials the table has all statements")
    if isinstance(source, Run):
        found = check(source, rng=options.seed, statements=options.statements, **constants(options))
        return _show_report(source, found, options)
    seed = 0 if options.seed is None else options.seed
    if options.trials is not None:
        return _check_trials(source, seed, options)
    with usage():
        run = source.run(seed, n_threads=options.threads)
    found = check(run, statements=options.statements, **constants(options))
    return _show_report(run, found, options)


def _stored(options: argparse.Namespace) -> Run:
    """The run in the file RUN."""
    others = (options.preset, options.trials, options.threads)
    if given(options) or any(value is not None for value in others):
        raise ValueError(
            "RUN is a run that has been made: no --preset, --trials, --threads, parameters"
        )
    found = load(options.run)
    if not isinstance(found, Run):
        raise ValueError(f"{options.run!r} holds a network, not a run")
    return found


def _show_report(run: Run, report: Report, options: argparse.Namespace) -> int:
    with usage():
        compared = contrasts(run, rng=options.seed) if options.contrasts else ()
    if options.json:
        more = {"contrasts": [each.to_dict() for each in compared]} if options.contrasts else {}
        print(json.dumps({**report.to_dict(), **more}, indent=2))
    elif options.markdown:
        print(report.to_markdown(), end="")
    else:
        print(report.to_text(options.long))
    if compared and not options.json:
        print("\n" + table(compared, options.markdown), end="")
    return 1 if run.status == "diverged" or (options.strict and report.failed) else 0


def _check_trials(exp: Experiment, seed: int, options: argparse.Namespace) -> int:
    measure = functools.partial(checks, statements=options.statements, **constants(options))
    try:
        with usage():
            result = study(exp, trials=options.trials, rng=seed, measure=measure)
    except (Interrupted, TrialError) as end:
        if isinstance(end.study, Study) and len(end.study):
            _show_study(end.study, options, interrupted=True)
        raise
    say(f"{len(result)} trials in {result.seconds:.1f} s")
    return _show_study(result, options)


def _show_study(result: Study, options: argparse.Namespace, interrupted: bool = False) -> int:
    found = result.frequencies()
    wrong = refuted(found)
    T = Horizon.of(result.experiment.alpha).T
    used = {"delta": DELTA, "C0": C0, **constants(options)}
    if options.json:
        record = {
            "experiment": json.loads(result.experiment.to_json()),
            "seed": result.seed,
            **used,
            "T": T,
            "trials": len(result),
            "trials_asked": options.trials,
            "interrupted": interrupted,
            "seconds": result.seconds,
            "refuted": wrong,
            "statements": {name: jsonable(p._asdict()) for name, p in found.items()},
        }
        text = json.dumps(record, indent=2) + "\n"
    else:
        heading = (
            f"{len(result)} of {options.trials} trials{' (interrupted)' * interrupted}; T = {T}, "
            f"delta = {used['delta']:g}, C0 = {used['C0']:g}\n"
        )
        heading += ", ".join(
            f"{name} = {value:.4g}"
            for name, value in result.experiment.parameters()._asdict().items()
        )
        rows = _rows(found)
        notes = [*REMARKS, _refuted(wrong, result.experiment, used["delta"], used["C0"])]
        if options.markdown:
            text = "\n\n".join([heading, as_markdown(rows), *notes]) + "\n"
        else:
            text = "\n".join([heading, "", aligned(rows), "", *notes]) + "\n"
    print_and_draw(text, functools.partial(plot.proportions, result), options.figure, options.size)
    return 1 if options.strict and wrong else 0


# Titles of the table over trials, and of its last columns, which are shown if they have a trial.
TITLES = ("statement", "", "held", "of", "95% interval", "claimed", "verdict", "bears")
COUNTS = {
    "not applicable": "not_applicable",
    "failed to run": "failed",
    "no case": "no_case",
    "no claim": "no_claim",
    "trivial": "trivial",
    "undecided": "undecided",
}

REMARKS = (
    "held: trials in which the inequality was true, of those in which it was applicable. claimed:",
    "the probability, or that it is always true, or on good runs; false ones are counted of these.",
    "Intervals are not adjusted for their number; the number of trials is to be chosen before.",
    "bears: whether the trials bear on the paper, that is, the parameters meet (A1)-(A7) and what",
    "the proof needs. Theorem 3.1 and Proposition 3.2 ask for a C that is large enough: no trial",
    "bears on them. What the margins of Lemma 4.9 and the parts of Lemma 4.11 need, and what rests",
    "on them, is out of reach: (20) wants C >= 5e8 by (A7), and after (38) d > 1e6 by (A1)-(A4).",
)


def _rows(found: Mapping[str, Proportion]) -> list[tuple[str, ...]]:
    """The table over all trials."""
    counts = [field for field in COUNTS.values() if any(getattr(p, field) for p in found.values())]
    titles = [title for title, field in COUNTS.items() if field in counts]
    rows = [(*TITLES, *titles)]
    for id, p in found.items():
        number = KNOWN[id].numbers[0] if id in KNOWN else ""
        interval = f"[{p.low:.3f}, {p.high:.3f}]" if p.n else "-"
        row = (number, id, str(p.k), str(p.n), interval, _claimed(p), p.verdict)
        bears = "yes" if p.bears else "no"
        rows.append((*row, bears, *(str(getattr(p, field)) for field in counts)))
    return rows


def _claimed(p: Proportion) -> str:
    """What a statement claims over trials, in a word."""
    if isinstance(p.target, float):
        return f"{p.target:.4g}"
    return {"never false": "always", ON_GOOD_RUNS: "on good runs"}.get(str(p.target), "nothing")


def _refuted(wrong: list[str], exp: Experiment, delta: float, c0: float) -> str:
    """Which claims the trials refute, and up to which C."""
    if not wrong:
        return "No claim is refuted."
    return (
        f"Refuted: {', '.join(wrong)}. The trials speak of every C <= "
        f"{audit(exp, delta, c0).hi:.4g} that (A1)-(A7) allow; the paper asks for a C that is "
        '"large enough".'
    )
