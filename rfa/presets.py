"""The named experiments: the paper's figures, and small sizes at which the theory can be seen."""

from __future__ import annotations

import numpy as np

from rfa import _validate
from rfa.experiment import Experiment

# The data of Figure 2 of the journal version: 15% of the labels of each cluster are flipped.
_FIGURE2 = Experiment(
    n=300,
    d=5000,
    m=400,
    alpha=0.1,
    steps=200_000,
    sigma=5000**-0.6,
    omega_init=0.1 / np.sqrt(400 * 5000),
    eta=0.15,
    noise="exact",
    balance="exact",
    n_test=6000,
    dtype="float32",
)

PRESETS: dict[str, Experiment] = {
    # Figure 1 of the paper.
    "figure1": Experiment(n=5000, d=2, m=500, alpha=0.05, steps=3000),
    # Figure 2 of the journal version, on overfitting, with n below d and above d. The run in
    # the paper lasts 10^7 steps.
    "figure2-high": _FIGURE2,
    "figure2-low": _FIGURE2.replace(
        n=5000, d=300, sigma=300**-0.6, omega_init=0.1 / np.sqrt(400 * 300)
    ),
    # A small size at which the conclusion of Theorem 3.1 holds, although (A1)-(A7) do not.
    "theorem": Experiment(
        n=400, d=200, m=200, sigma=0.2 / np.sqrt(200), omega_init=0.01 / np.sqrt(200 * 200), eta=0.1
    ),
    # Satisfies (A1)-(A7) at delta = 0.1 for C in [16, 16.67].
    "assumptions": Experiment(
        n=400,
        d=1200,
        m=200,
        alpha=0.125,
        sigma=0.06 / np.sqrt(1200),
        omega_init=0.0035 / np.sqrt(200 * 1200),
        eta=0.06,
    ),
    # The same with the width that Lemma 4.2 needs at C0 = 5, 16 C0^2 log(32/delta) = 2308 at
    # delta = 0.1: a run tests all of Lemmas 4.1 to 4.4, Definition 4.5 and Lemma A.1.
    "good-run": Experiment(
        n=400,
        d=1200,
        m=2400,
        alpha=0.125,
        sigma=0.06 / np.sqrt(1200),
        omega_init=0.0035 / np.sqrt(2400 * 1200),
        eta=0.06,
    ),
    # Fits all labels in the first step and generalizes later. 1/(4 alpha) = 62.5, so T = 63.
    "grokking": Experiment(
        n=200,
        d=40_000,
        m=1000,
        alpha=4e-3,
        steps=63,
        sigma=1 / 40,
        omega_init=4e-6,
        eta=0.16,
        noise="exact",
        balance="exact",
        n_test=500,
    ),
}


def preset(name: str) -> Experiment:
    """A named experiment.

    Parameters
    ----------
    name : str
        "figure1": Figure 1 of the paper. "figure2-high" and "figure2-low": Figure 2 of the journal
        version, overfitting with n below d and with n above d. "theorem": a small size at which the
        conclusion of Theorem 3.1 holds although (A1)-(A7) do not. "assumptions": satisfies
        (A1)-(A7). "good-run": satisfies (A1)-(A7) and what the proofs of Lemmas 4.1 to 4.3 and A.1
        need at C0 = 5. "grokking": fits all labels first and
        generalizes later.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is no such preset.

    Examples
    --------
    >>> preset("figure1").steps
    3000
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"name must be one of {', '.join(PRESETS)}, got {_validate.shown(name)}")
    return PRESETS[name]
