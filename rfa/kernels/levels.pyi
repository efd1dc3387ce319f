LEVELS: tuple[str, ...]
LOSSES: tuple[str, ...]
SIMD_LEVEL: str
SIZES: dict[str, int]
