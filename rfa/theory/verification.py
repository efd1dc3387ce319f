"""All statements on one run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from rfa import _seeds
from rfa.theory.amplification import lemma_4_10
from rfa.theory.comparison import at_most
from rfa.theory.dynamics import (
    condition_4_7,
    condition_4_8,
    equation_16,
    lemma_4_6,
    lemma_4_9,
    lemma_4_11,
    lemma_A_1,
    output_at,
)
from rfa.theory.evidence import Constants, Evidence, evidence
from rfa.theory.generalization import (
    features_at,
    proposition_3_2,
    proposition_B_1,
    theorem_3_1,
    theorem_at,
)
from rfa.theory.initialization import (
    definition_4_5,
    lemma_4_1,
    lemma_4_2,
    lemma_4_3,
    lemma_4_4,
)
from rfa.theory.report import Check, Report
from rfa.theory.statement import STATEMENTS
from rfa.training.run import Run

# In the order of STATEMENTS.
FUNCTIONS: tuple[Callable[..., tuple[Check, ...]], ...] = (
    lemma_4_1,
    lemma_4_2,
    lemma_4_3,
    lemma_4_4,
    definition_4_5,
    lemma_A_1,
    equation_16,
    lemma_4_6,
    condition_4_7,
    condition_4_8,
    lemma_4_9,
    lemma_4_10,
    lemma_4_11,
    theorem_3_1,
    proposition_3_2,
    proposition_B_1,
)


def check(
    run: Run,
    delta: float = 0.1,
    C0: float = 5.0,
    rng: _seeds.Seed = None,
) -> Report:
    """Every statement of the paper on a run.

    Parameters
    ----------
    run : Run
        The result of :func:`rfa.train`, or a file's of :func:`rfa.load`.
    delta : float, default 0.1
        Failure probability, in (0, 1); from 1/4 on every statement is vacuous.
    C0 : float, default 5.0
        The constant of Lemma 4.2, above 1.
    rng : int, SeedSequence, Generator or None
        Where fresh points and signs come from (stream ``check``); None: the run's seed, or fresh
        entropy, kept in the report's settings, if the run has none.

    Returns
    -------
    Report
        A check for every id of :data:`rfa.theory.STATEMENTS`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Warns
    -----
    UserWarning
        If 1/(4 alpha) is not an integer: T is then rounded down.

    Notes
    -----
    Statements speak of T = 1 + 1/(4 alpha), whatever the length of the run; where it is longer, the
    last step is shown too, marked "beyond the theorem". Fixed constants take the place of the
    paper's, which no experiment can reach: C0; C1 = min((sigma sqrt d)^(-1/2), 1/(sigma sqrt d),
    (n/log(1/delta))^(1/4)), the largest for which Lemma 4.3's outer inequalities hold; C2 = 12 C0
    sqrt(2 pi e), from (12). Each check has the paper's constant and the one that this run would
    need. Costs a few evaluations of the network, O(n m d).

    Examples
    --------
    >>> import rfa
    >>> report = check(rfa.preset("assumptions").run(rng=0))
    >>> report.failed
    ()
    >>> report["lemma_4_2"].bound, report["theorem_3_1_1"].value
    (32.00000000000001, 0.0)
    """
    e, constants = evidence(run, delta, C0, rng)
    if e.rounded:
        warnings.warn(
            f"1/(4 alpha) = {1 / (4 * run.alpha):.6g} is not an integer: T is rounded down to "
            f"{e.T}",
            stacklevel=2,
        )
    if rng is None:
        rng = run.data.seed if run.data.seed is not None else run.initial.seed
    origin = _seeds.root(rng)
    options: dict[str, Any] = {"delta": constants.delta, "C0": constants.C0}
    found = {
        entry.id: entry
        for statement in FUNCTIONS
        for entry in statement(run, **options, rng=origin)
    }
    audit, good = e.audit(constants.delta, constants.C0), found["definition_4_5"]
    settings = {
        **constants._asdict(),
        "T": e.T,
        "rounded": e.rounded,
        "steps": run.t,
        "seed": "a Generator"
        if isinstance(origin, np.random.Generator)
        else _seeds.describe(origin),
        "parameters": audit.parameters if audit is not None else None,
        "feasible_C": [audit.lo, audit.hi] if audit is not None else None,
        "assumptions_met": audit is not None and audit.hypotheses_met,
        "good_run": good.holds if good.applicable else None,
        "unmet": e.unmet(constants),
    }
    later = _beyond(e, constants, origin) if run.t > e.T else ()
    return Report(tuple(found[name] for name in STATEMENTS), settings, later)


def _beyond(e: Evidence, k: Constants, rng: _seeds.Seed) -> tuple[Check, ...]:
    """The statements about T on the last step of a longer run, of which they claim nothing."""
    norm = float(np.linalg.norm(e.W(e.steps)))
    return (
        *theorem_at(e, k, e.steps, rng),
        at_most("lemma_4_9_norm", norm, 1.0, k, unmet=e.unmet(k)),
        output_at(e, k, e.steps),
        *features_at(e, k, e.steps)[:1],
    )
