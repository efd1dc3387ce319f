"""Random Feature Amplification: train two-layer ReLU networks on XOR-cluster data, fast.

Map of the package
------------------
setting      the paper's setting: clusters, default widths, the horizon T
data         the distribution P: clusters, laws of their noise, label noise; your own data
network      f(x; W), the two-layer ReLU network
training     gradient descent (train), what it records (History), its result (Run)
engines      how a step is computed: direct (any problem), gram (n up to a few d), planar (d = 2),
             reference (NumPy)
kernels      array functions for single steps; _kernels.pyx and kernels/ are the compiled code
reference    the same functions in plain NumPy, equation by equation
losses       the losses that engines can minimise
estimates    risk and complexity of a network, confidence intervals
theory       the paper's statements: an audit of the assumptions, a check of every statement
experiment   all parameters of a run in one record
presets      experiments with a name, such as "figure1"
studies      many runs: trials on a grid of parameters, one run per thread
baselines    what networks are compared with: linear classifiers, the linearisation at W_0
plot         figures
cli          the command line; report: its summary of a run

Symbols (those of the paper, Frei, Chatterji and Bartlett, arXiv 2202.07626)
----------------------------------------------------------------------------
n, d, m      samples, dimension, neurons            X (n, d), y (n,)   samples, labels
W (m, d)     first layer, trained                   a (m,)   second layer, fixed
mu1, mu2     cluster means +-mu1 (label +1), +-mu2 (label -1)
sigma, eta   width of a cluster, noise rate         omega_init   width of W at t = 0
alpha, t, T  step size, step, T = 1 + 1/(4 alpha)   J   a set of neurons
"""

import importlib.util

from rfa import _lazy

# Each public name, and the module that it is imported from. __init__.pyi tells type checkers.
_PUBLIC = {
    "Dataset": "data",
    "Experiment": "experiment",
    "History": "training",
    "Interrupted": "training",
    "Network": "network",
    "Run": "training",
    "Study": "studies",
    "TrialError": "studies",
    "XORClusters": "data",
    "__version__": "_runtime",
    "baselines": "baselines",
    "kernels": "kernels",
    "load": "training",
    "plot": "plot",
    "preset": "presets",
    "random_means": "data",
    "reference": "reference",
    "show_config": "_runtime",
    "studies": "studies",
    "study": "studies",
    "theory": "theory",
    "train": "training",
}
__all__ = [name for name in _PUBLIC if name != "__version__"]
__getattr__, __dir__ = _lazy.attach(__name__, _PUBLIC)

if importlib.util.find_spec("rfa._kernels") is None:
    raise ImportError(
        "rfa's compiled kernels are missing: this is an unbuilt source tree, so run "
        "'pip install .' in it and import rfa from another folder"
    )

importlib.import_module("rfa.kernels.openmp").load()
