import numpy as np
from numpy.typing import NDArray

def counts_of(masks: NDArray[np.uint64]) -> NDArray[np.int32]: ...
