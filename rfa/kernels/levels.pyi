LEVELS: tuple[str, ...]
SIMD_LEVEL: str
SIZES: dict[str, int]
