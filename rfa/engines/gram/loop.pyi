from typing import Any

from numpy.typing import NDArray

def advance(
    H: NDArray[Any], engine: Any, until: int, at: NDArray[Any], out: Any, row: int
) -> int: ...
def catch_up(
    masks: NDArray[Any], c: NDArray[Any], C: NDArray[Any], clock: NDArray[Any], n_threads: int
) -> None: ...
def weights(
    X_columns: NDArray[Any],
    C: NDArray[Any],
    anchor: NDArray[Any],
    a: NDArray[Any],
    product: NDArray[Any],
    factor: float,
    W: NDArray[Any],
    n_threads: int,
) -> None: ...
def start(
    lanes: NDArray[Any],
    test_lanes: NDArray[Any],
    W: NDArray[Any],
    means: NDArray[Any],
    anchor: NDArray[Any],
    C: NDArray[Any],
    H: NDArray[Any],
    anchor_H: NDArray[Any],
    anchor_test_H: NDArray[Any],
    anchor_dots: NDArray[Any],
    n: int,
    n_threads: int,
) -> None: ...
def load(
    samples: NDArray[Any],
    order: NDArray[Any],
    means: NDArray[Any],
    tests: NDArray[Any],
    lanes: NDArray[Any],
    test_lanes: NDArray[Any],
    X: NDArray[Any],
    X_columns: NDArray[Any],
    rows: NDArray[Any],
    mean_K: NDArray[Any],
    test_K: NDArray[Any],
    product: NDArray[Any],
    dots: NDArray[Any],
    n_threads: int,
) -> None: ...
