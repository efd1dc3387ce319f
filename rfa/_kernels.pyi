from typing import Any

from numpy.typing import NDArray

def activation_masks(
    X: NDArray[Any], W: NDArray[Any], masks: NDArray[Any], n_threads: int
) -> None: ...
def forward(
    X: NDArray[Any], W: NDArray[Any], a: NDArray[Any], f: NDArray[Any], n_threads: int
) -> None: ...
def gradient(
    X: NDArray[Any],
    y: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    out: NDArray[Any],
    n_threads: int,
) -> None: ...
def active_counts(masks: NDArray[Any], groups: NDArray[Any], counts: NDArray[Any]) -> None: ...
def loss_weights(s: NDArray[Any], g: NDArray[Any], loss: int = 0) -> None: ...
def losses(s: NDArray[Any], out: NDArray[Any], loss: int = 0) -> None: ...

FEW_SUMS: int

def layout(
    real: NDArray[Any], words: int, test_words: int, neurons: int
) -> tuple[int, int, int]: ...
def sums_at_once(words: int, neurons: int, chunks: int) -> bool: ...
