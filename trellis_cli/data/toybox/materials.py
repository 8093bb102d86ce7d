"""Named colours, substances and their small grey patterns, as materials of a textured mesh.

A pattern is near white and repeats; the colour multiplies it, so that what a caption calls red stays red.
"""

from functools import lru_cache
from zlib import crc32

import numpy as np

from trellis_cli.representations.mesh import Material

COLOURS: dict[str, tuple[float, float, float]] = {  # sRGB
    "red": (0.80, 0.11, 0.10),
    "blue": (0.12, 0.30, 0.80),
    "green": (0.14, 0.56, 0.20),
    "yellow": (0.96, 0.82, 0.12),
    "white": (0.95, 0.95, 0.93),
    "black": (0.09, 0.09, 0.10),
    "grey": (0.52, 0.53, 0.54),
    "brown": (0.40, 0.24, 0.12),
    "orange": (0.94, 0.48, 0.07),
    "purple": (0.48, 0.18, 0.64),
    "pink": (0.96, 0.56, 0.70),
}
BRIGHT = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white")

SUBSTANCES: dict[str, tuple[tuple[float, float, float], str]] = {  # colour, pattern
    "wood": ((0.66, 0.45, 0.25), "grain"),
    "dark wood": ((0.38, 0.23, 0.13), "grain"),
    "pale wood": ((0.84, 0.68, 0.46), "grain"),
    "log": ((0.55, 0.35, 0.18), "bark"),
    "bark": ((0.36, 0.25, 0.16), "bark"),
    "stone": ((0.62, 0.61, 0.57), "stone"),
    "dark stone": ((0.40, 0.40, 0.41), "stone"),
    "sandstone": ((0.80, 0.70, 0.50), "stone"),
    "brick": ((0.66, 0.29, 0.21), "brick"),
    "plaster": ((0.92, 0.88, 0.78), "noise"),
    "concrete": ((0.70, 0.70, 0.68), "noise"),
    "thatch": ((0.80, 0.65, 0.33), "thatch"),
    "slate": ((0.30, 0.33, 0.38), "tiles"),
    "terracotta": ((0.74, 0.37, 0.22), "noise"),
    "metal": ((0.66, 0.69, 0.72), "plain"),
    "dark metal": ((0.17, 0.18, 0.20), "plain"),
    "gold": ((0.88, 0.68, 0.22), "plain"),
    "copper": ((0.75, 0.44, 0.27), "plain"),
    "glass": ((0.55, 0.76, 0.88), "plain"),
    "dark glass": ((0.16, 0.22, 0.30), "plain"),
    "lit glass": ((1.00, 0.93, 0.62), "plain"),
    "rubber": ((0.10, 0.10, 0.11), "plain"),
    "leaves": ((0.22, 0.50, 0.15), "leaves"),
    "needles": ((0.10, 0.36, 0.18), "leaves"),
    "autumn leaves": ((0.86, 0.46, 0.10), "leaves"),
    "grass": ((0.36, 0.58, 0.20), "leaves"),
    "soil": ((0.30, 0.20, 0.13), "noise"),
    "snow": ((0.96, 0.97, 1.00), "plain"),
    "cream": ((0.96, 0.91, 0.78), "plain"),
    "paper": ((0.97, 0.96, 0.92), "plain"),
    "straw": ((0.86, 0.73, 0.40), "thatch"),
    "water": ((0.22, 0.50, 0.78), "plain"),
}
SIZE = 64  # texels along one edge of a pattern


def _noise(seed: str, cells: tuple[int, int]) -> np.ndarray:
    """Repeating value noise [SIZE, SIZE] in [0, 1] with (rows, columns) cells, smoothly interpolated."""
    grid = np.random.default_rng(crc32(seed.encode())).random(cells)
    rows, cols = (np.arange(SIZE) * c / SIZE for c in cells)
    (r, fr), (c, fc) = ((x.astype(int), x % 1.0) for x in (rows, cols))
    fr, fc = (f * f * (3 - 2 * f) for f in (fr, fc))
    fr, r2, c2 = fr[:, None], (r + 1) % cells[0], (c + 1) % cells[1]
    top = grid[r][:, c] * (1 - fc) + grid[r][:, c2] * fc
    return top * (1 - fr) + (grid[r2][:, c] * (1 - fc) + grid[r2][:, c2] * fc) * fr


def _rows(count: int, stagger: float, columns: int, seam: float, depth: float, seed: str) -> np.ndarray:
    """Courses of blocks: bricks, tiles, boards. `seam` is a seam's share of a course, `depth` how dark it is."""
    y, x = (np.arange(SIZE) + 0.5) / SIZE * count, (np.arange(SIZE) + 0.5) / SIZE * columns
    row = y.astype(int)
    x = (x[None, :] + stagger * row[:, None]) % columns
    tone = np.random.default_rng(crc32(seed.encode())).uniform(0.86, 1.0, (count, columns))
    shade = tone[row[:, None], x.astype(int)]
    seams = (y % 1.0 < seam)[:, None] | (x % 1.0 < seam * columns / count if columns > 1 else False)
    return np.where(seams, depth, shade)


def _cobbles() -> np.ndarray:
    """Irregular stones: each texel's distance to the two nearest of some scattered points, wrapped around."""
    points = np.random.default_rng(7).random((26, 2))
    texels = (np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), -1) + 0.5) / SIZE
    gap = np.abs(texels[:, :, None] - points)
    distance = np.linalg.norm(np.minimum(gap, 1 - gap), axis=-1)
    near = np.sort(distance, axis=-1)
    tone = np.random.default_rng(8).uniform(0.80, 1.0, len(points))[distance.argmin(-1)]
    return np.where(near[..., 1] - near[..., 0] < 0.018, 0.62, tone)


@lru_cache(maxsize=32)
def pattern(name: str) -> np.ndarray | None:
    """A grey picture, uint8 [64, 64, 4], that repeats on both axes; None for "plain"."""
    match name:
        case "plain":
            return None
        case "grain":
            grey = 0.84 + 0.16 * _noise(name, (32, 4))
        case "planks":  # boards lie along u: horizontal on walls
            grey = _rows(6, 0.37, 1, 0.10, 0.60, name) * (0.93 + 0.07 * _noise(name, (48, 4)))
        case "boards":  # upright
            grey = (_rows(6, 0.37, 1, 0.10, 0.60, name) * (0.93 + 0.07 * _noise(name, (48, 4)))).T
        case "brick":
            grey = _rows(8, 0.5, 4, 0.16, 0.70, name)
        case "tiles":
            grey = _rows(8, 0.5, 6, 0.14, 0.62, name)
        case "stone":
            grey = _cobbles()
        case "thatch":
            grey = 0.70 + 0.30 * _noise(name, (6, 48))
        case "bark":
            grey = 0.72 + 0.28 * _noise(name, (24, 5))
        case "leaves":
            grey = 0.66 + 0.34 * _noise(name, (20, 20))
        case "noise":
            grey = 0.92 + 0.08 * _noise(name, (16, 16))
        case "weave":
            grey = 0.86 + 0.14 * ((np.arange(SIZE)[:, None] // 4 + np.arange(SIZE) // 4) % 2)
        case "stripes":
            grey = np.repeat(np.where(np.arange(SIZE) // 8 % 2, 1.0, 0.72)[None], SIZE, axis=0)
        case _:
            raise ValueError(f"no pattern is called {name!r}")
    picture = np.full((SIZE, SIZE, 4), 255, dtype=np.uint8)
    picture[..., :3] = np.round(255 * grey / grey.max())[..., None]
    picture.setflags(write=False)
    return picture


def material(name: str, surface: str | None = None, jitter: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Material:
    """The material of a named colour or substance, with a pattern ("planks", "weave", ...; None: its own).

    jitter: a factor a channel, so that not every red is the same red. Raises ValueError for an unknown name.
    """
    if name in COLOURS:
        colour, own = COLOURS[name], "plain"
    elif name in SUBSTANCES:
        colour, own = SUBSTANCES[name]
    else:
        raise ValueError(f"no colour or substance is called {name!r}")
    surface = surface or own
    r, g, b = (round(min(max(c * j, 0.0), 1.0), 4) for c, j in zip(colour, jitter, strict=True))
    label = name if surface == own else f"{name} {surface}"
    return Material(name=label, colour=(r, g, b, 1.0), texture=pattern(surface))
