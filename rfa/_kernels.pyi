from threading import Event
from typing import Any

from numpy.typing import NDArray

LEVELS: tuple[str, ...]
SIMD_LEVEL: str
SIZES: dict[str, int]
OPENMP: int

def pause_threads() -> None: ...
def cancel_by(event: Event | None) -> None: ...
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
def mask_segments(group: NDArray[Any]) -> list[tuple[int, int, int]]: ...
