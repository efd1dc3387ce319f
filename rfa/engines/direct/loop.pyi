from typing import Any

from numpy.typing import NDArray

def advance(
    W: NDArray[Any], engine: Any, until: int, at: NDArray[Any], out: Any, row: int
) -> int: ...
def pack(X: NDArray[Any], order: NDArray[Any], lanes: NDArray[Any], n_threads: int) -> None: ...
def pack_for_sums(
    X: NDArray[Any], order: NDArray[Any], rows: NDArray[Any], n_threads: int
) -> None: ...
