import numpy as np
from numpy.typing import NDArray

KINDS: dict[str, int]
LOOK_UPS: dict[str, int]
COUNTS_OF_SPAN: int
STORE_BYTES: int

def counts_for(masks: NDArray[np.uint64]) -> NDArray[np.int32]: ...
