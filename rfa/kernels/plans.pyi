import numpy as np
from numpy.typing import NDArray

KINDS: dict[str, int]
COUNTS_OF_BATCH: int
STORE_BYTES: int

def counts_of(masks: NDArray[np.uint64]) -> NDArray[np.int32]: ...
