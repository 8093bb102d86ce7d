"""Pictures as files: grids of them, written whole."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trellis_cli.io.aside import aside


def to_uint8(picture: Tensor | np.ndarray) -> np.ndarray:
    """[h, w, 3] in [0, 1], or uint8 as it is, to uint8."""
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else picture
    return array if array.dtype == np.uint8 else (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def save_picture(path: Path, picture: Tensor | np.ndarray) -> None:
    """Write a PNG, whole or not at all. Raises DiskError."""
    with aside(path) as part:
        Image.fromarray(to_uint8(picture)).save(part, "PNG")


def grid(pictures: Sequence[Tensor | np.ndarray], *, columns: int, gap: int = 2) -> np.ndarray:
    """Equal pictures row by row on white, uint8 [h, w, 3]."""
    arrays = [to_uint8(p) for p in pictures]
    h, w = arrays[0].shape[:2]
    rows = -(-len(arrays) // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(arrays):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = picture
    return sheet


def save_grid(path: Path, pictures: Sequence[Tensor | np.ndarray], *, columns: int) -> None:
    save_picture(path, grid(pictures, columns=columns))


def on_background(rgb: Tensor, alpha: Tensor, colour: float = 1.0) -> Tensor:
    """Straight rgb [h, w, 3] with alpha [h, w, 1] on a grey level."""
    return rgb * alpha + torch.full_like(rgb, colour) * (1 - alpha)
