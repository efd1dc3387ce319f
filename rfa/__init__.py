"""Random Feature Amplification: train two-layer ReLU networks on XOR-cluster data, fast.

Map of the package
------------------
data         the distribution P: clusters, laws, label noise
network      f(x; W), the two-layer ReLU network
training     gradient descent; run: what it leaves; history: what it records
engines      how a step is computed: direct (any shape), gram (n up to 3 d), planar (d = 2)
kernels      the hot loops as array functions (compiled: _kernels.pyx, leaves in _leaves.h)
reference    the same in plain NumPy, equation by equation
experiment   all parameters of a run in one record; the presets
studies      many runs: trials on a grid of parameters, one run per thread
theory       the paper's statements: the audit of the assumptions, a check for every statement
plot, cli    figures; the command line

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
    "Dataset": "data",
    "Experiment": "experiment",
    "History": "history",
    "Interrupted": "training",
    "Network": "network",
    "Run": "run",
    "Study": "studies",
    "TrialError": "studies",
    "XORClusters": "data",
    "kernels": None,
    "load": "run",
    "plot": None,
    "preset": "experiment",
    "random_means": "data",
    "reference": None,
    "show_config": "_runtime",
    "studies": None,
    "study": "studies",
    "theory": None,
    "train": "training",
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

importlib.import_module("rfa._openmp").load()

if TYPE_CHECKING:
    from rfa import kernels, plot, reference, studies, theory
    from rfa._runtime import show_config
    from rfa.data import Dataset, XORClusters, random_means
    from rfa.experiment import Experiment, preset
    from rfa.history import History
    from rfa.network import Network
    from rfa.run import Run, load
    from rfa.studies import Study, TrialError, study
    from rfa.training import Interrupted, train


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
