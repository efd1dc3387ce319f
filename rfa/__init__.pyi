# What type checkers see of rfa: the names of _PUBLIC in __init__.py.

from rfa import baselines as baselines
from rfa import kernels as kernels
from rfa import plot as plot
from rfa import reference as reference
from rfa import studies as studies
from rfa import theory as theory
from rfa._runtime import __version__ as __version__
from rfa._runtime import show_config as show_config
from rfa.data import Dataset as Dataset
from rfa.data import XORClusters as XORClusters
from rfa.data import random_means as random_means
from rfa.experiment import Experiment as Experiment
from rfa.network import Network as Network
from rfa.presets import preset as preset
from rfa.studies import Study as Study
from rfa.studies import TrialError as TrialError
from rfa.studies import study as study
from rfa.training import History as History
from rfa.training import Interrupted as Interrupted
from rfa.training import Run as Run
from rfa.training import load as load
from rfa.training import train as train
