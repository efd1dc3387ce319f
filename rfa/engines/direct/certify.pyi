from typing import Any

from numpy.typing import NDArray

def coordinates(
    X: NDArray[Any],
    basis: NDArray[Any],
    out: NDArray[Any],
    n_threads: int,
) -> None: ...
