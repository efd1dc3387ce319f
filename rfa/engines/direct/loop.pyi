from typing import Any

import numpy as np
from numpy.typing import NDArray

class State:
    t: int
    side: int
    masks_side: int
    row: int
    diverged: bool
    look_ups: int
    checked: NDArray[np.uint64]
    certifies: bool
    @property
    def counted(self) -> tuple[int, int, int, int]: ...
    def __init__(self, engine: Any) -> None: ...
    def restart(self, t: int) -> None: ...

def advance(state: State, until: int, at: NDArray[Any], out: Any, row: int) -> int: ...
