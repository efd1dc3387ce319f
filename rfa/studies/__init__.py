"""Many runs: trials of an experiment, on a grid of parameters, one run per thread."""

from rfa.studies.grid import study
from rfa.studies.measures import checks, final
from rfa.studies.proportions import Proportion, refuted
from rfa.studies.trials import Study, TrialError

__all__ = ["Proportion", "Study", "TrialError", "checks", "final", "refuted", "study"]
