"""A run's network beside the baselines, on the same training data."""

from __future__ import annotations

from typing import Any

from rfa import _seeds, _validate
from rfa.baselines.linear import best_linear
from rfa.baselines.linearised import linearisation
from rfa.baselines.result import Baseline, evaluated, number_of_points, source
from rfa.setting import Horizon
from rfa.training.run import Run


def contrasts(
    run: Run,
    *,
    points: int | None = None,
    rng: _seeds.Seed = None,
    confidence: float = 0.95,
) -> tuple[Baseline, Baseline, Baseline, Baseline]:
    """A run's network, the best two linear classifiers, and the linearisation after equal steps.

    Parameters
    ----------
    run : Run
        A run on data with a distribution.
    points : int, optional
        Number of fresh points for each error, at most 2^40; None: 2e7/d, between 2000 and 100000.
    rng : int, SeedSequence, Generator or None
        Seed, whose stream ``check`` is used, or a Generator to draw from; None: the run's seed.
    confidence : float, default 0.95
        Confidence of each interval, in (0, 1).

    Returns
    -------
    tuple of Baseline
        The network, the linear classifier without and with an intercept, the linearisation. Network
        and linearisation are those after T steps, or after the run's last step if the run is
        shorter or did not keep W_T.

    Raises
    ------
    ValueError, TypeError
        If the data have no distribution, or an argument is out of range or of the wrong type.

    Notes
    -----
    With a seed, network and linearisation are evaluated on the same points. See
    :func:`best_linear` and :func:`linearisation` for the costs.

    Examples
    --------
    >>> import rfa
    >>> run = rfa.preset("theorem").run(rng=0)
    >>> for found in rfa.baselines.contrasts(run, points=5000):
    ...     print(found.name, round(found.clean_error, 1))
    network after 6 steps 0.0
    linear classifier 0.5
    affine classifier 0.2
    linearisation after 6 steps 0.0
    """
    _validate.instance(run, "run", Run, "a rfa.Run")
    source(run.data)
    points = number_of_points(points, run.data.d)
    T = Horizon.of(run.alpha).T
    t, W = (T, run.snapshots[T]) if T in run.snapshots else (run.t, run.network.W)
    decide = run.initial.trained(W, t).decision_function
    origin = _seeds.root(run.data.seed if rng is None else rng)
    confidence = _validate.open_fraction(confidence, "confidence")
    options: dict[str, Any] = {"points": points, "rng": origin, "confidence": confidence}
    generator = _seeds.generator(origin, "check")
    return (
        evaluated(f"network after {t} steps", decide, run.data, points, generator, confidence),
        best_linear(run.data, **options),
        best_linear(run.data, intercept=True, **options),
        linearisation(run, t, **options),
    )
