"""The named experiments: the paper's figures, and sizes at which the theory can be watched."""

from __future__ import annotations

import numpy as np

from rfa import _validate
from rfa.experiment import Experiment

# Figure 2's data: the journal version's second figure. 15% of the labels of each cluster flipped.
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
    # Figure 1 of the paper
    "figure1": Experiment(n=5000, d=2, m=500, alpha=0.05, steps=3000),
    # the journal version's figure on overfitting, n below and above d; its run lasts 10^7 steps
    "figure2-high": _FIGURE2,
    "figure2-low": _FIGURE2.replace(
        n=5000, d=300, sigma=300**-0.6, omega_init=0.1 / np.sqrt(400 * 300)
    ),
    # small enough to try, and where Theorem 3.1's conclusion holds; (A1)-(A7) do not
    "theorem": Experiment(
        n=400, d=200, m=200, sigma=0.2 / np.sqrt(200), omega_init=0.01 / np.sqrt(200 * 200), eta=0.1
    ),
    # satisfies (A1)-(A7) at delta = 0.1 for C in [16, 16.67]
    "assumptions": Experiment(
        n=400,
        d=1200,
        m=200,
        alpha=0.125,
        sigma=0.06 / np.sqrt(1200),
        omega_init=0.0035 / np.sqrt(200 * 1200),
        eta=0.06,
    ),
    # fits all labels in the first step and generalizes later; 1/(4 alpha) = 62.5, so T = 63
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
        "figure1": Figure 1 of the paper. "figure2-high", "figure2-low": overfitting with n below
        and above d (the journal version's figure). "theorem": Theorem 3.1's conclusion at a small
        size. "assumptions": satisfies (A1)-(A7). "grokking": fits first, generalizes later.

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
