"""Random Feature Amplification: train two-layer ReLU networks on XOR-cluster data, fast.

Map of the package
------------------
setting      the paper's setting: clusters, default widths, the horizon T
data         the distribution P: clusters, laws, label noise
network      f(x; W), the two-layer ReLU network
training     gradient descent; run: what it leaves; history: what it records
engines      how a step is computed: direct (any shape), gram (n up to 3 d), planar (d = 2)
kernels      the hot loops as array functions; _kernels.pyx and kernels/ are compiled
reference    the same in plain NumPy, equation by equation; losses: what it minimises
estimates    risk and complexity of a network, intervals of frequencies
theory       the paper's statements: the audit of the assumptions, a check for every statement
experiment   all parameters of a run in one record; presets: the named ones
studies      many runs: trials on a grid of parameters, one run per thread
plot, cli    figures; the command line (report: what it tells of a run)

Symbols (those of the paper, Frei, Chatterji and Bartlett, arXiv 2202.07626)
----------------------------------------------------------------------------
n, d, m      samples, dimension, neurons            X (n, d), y (n,)   samples, labels
W (m, d)     first layer, trained                   a (m,)   second layer, fixed
mu1, mu2     cluster means +-mu1 (label +1), +-mu2 (label -1)
sigma, eta   width of a cluster, noise rate         omega_init   width of W at t = 0
alpha, t, T  step size, step, T = 1 + 1/(4 alpha)   J   a set of neurons
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

# The public names and the module each comes from; None: the module itself.
_PUBLIC = {
    "Dataset": "data.dataset",
    "Experiment": "experiment",
    "History": "training.history",
    "Interrupted": "training.loop",
    "Network": "network",
    "Run": "training.run",
    "Study": "studies",
    "TrialError": "studies",
    "XORClusters": "data",
    "kernels": None,
    "load": "training.loading",
    "plot": None,
    "preset": "presets",
    "random_means": "data",
    "reference": None,
    "show_config": "_runtime",
    "studies": None,
    "study": "studies",
    "theory": None,
    "train": "training.loop",
}

__all__ = [
    "Dataset",
    "Experiment",
    "History",
    "Interrupted",
    "Network",
    "Run",
    "Study",
    "TrialError",
    "XORClusters",
    "kernels",
    "load",
    "plot",
    "preset",
    "random_means",
    "reference",
    "show_config",
    "studies",
    "study",
    "theory",
    "train",
]

if importlib.util.find_spec("rfa._kernels") is None:
    raise ImportError(
        "rfa's compiled kernels are missing: this is an unbuilt source tree, so run "
        "'pip install .' in it and import rfa from another folder"
    )

importlib.import_module("rfa.kernels.openmp").load()

if TYPE_CHECKING:
    from rfa import kernels, plot, reference, studies, theory
    from rfa._runtime import show_config
    from rfa.data import Dataset, XORClusters, random_means
    from rfa.experiment import Experiment
    from rfa.network import Network
    from rfa.presets import preset
    from rfa.studies import Study, TrialError, study
    from rfa.training.history import History
    from rfa.training.loading import load
    from rfa.training.loop import Interrupted, train
    from rfa.training.run import Run


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from rfa._runtime import version

        return version()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rfa' has no attribute {name!r}")
    home = _PUBLIC[name]
    module = importlib.import_module(f"rfa.{home or name}")
    value = module if home is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # not what happens to have been imported: what is listed is public
    return [*__all__, "__version__"]
