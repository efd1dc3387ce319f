"""The summary of a run: its results at the horizon T and at the last step."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from rfa._tables import aligned
from rfa.estimates.risk import test_error
from rfa.experiment import Experiment
from rfa.network import Network
from rfa.setting import Horizon
from rfa.training.run import Run

# An estimate of the test error draws about ERROR_REALS coordinates: the number of its points is
# ERROR_REALS / d, kept between the two ERROR_POINTS.
ERROR_REALS, ERROR_POINTS = 4 * 10**8, (2_000, 200_000)


def summarize(name: str, experiment: Experiment, run: Run, n_threads: int | None) -> dict[str, Any]:
    """The results of a run of an experiment at the horizon T and at the last step, JSON-able.

    The test error is estimated on n_threads threads.
    """
    T = Horizon.of(run.alpha).T
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
    """The results at step t, where the first layer is W."""
    row = run.history.row(t)
    distribution = run.data.distribution
    assert distribution is not None
    n = int(np.clip(ERROR_REALS // experiment.d, *ERROR_POINTS))
    network = Network.of(W, run.network.a, None, None)
    estimate = test_error(network, distribution, n, rng=run.data.seed, n_threads=n_threads)
    return {
        "t": t,
        "loss": float(row.loss),
        "clean_wrong": int(row.clean_wrong),
        "noisy_fitted": int(row.noisy_fitted),
        "test_error": estimate.error,
        "test_error_interval": None if estimate.low is None else [estimate.low, estimate.high],
        "test_error_clean": estimate.clean_error,
        "test_error_clean_interval": [estimate.clean_low, estimate.clean_high],
        "test_points": n,
    }


def show(summaries: list[dict[str, Any]], as_json: bool) -> None:
    """Print summaries to stdout, as JSON or as a table with a row for each step."""
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
    print(aligned(rows))
