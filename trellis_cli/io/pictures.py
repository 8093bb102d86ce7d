"""Pictures as files: grids of them, written whole."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
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


def labelled(rows: Sequence[tuple[str, Sequence[Tensor | np.ndarray]]], *, gap: int = 2) -> np.ndarray:
    """A row of equal pictures under each text, on white, uint8 [h, w, 3]; rows may differ. No text takes no room."""
    strips: list[np.ndarray] = []
    for text, pictures in rows:
        strip = grid(pictures, columns=len(pictures), gap=gap)
        strips += [_line(text, strip.shape[1], to_uint8(pictures[0]).shape[0]), strip] if text else [strip]
    width = max(strip.shape[1] for strip in strips)
    strips = [np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255) for strip in strips]
    space = np.full((gap, width, 3), 255, np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, space)][:-1])


def _line(text: str, width: int, size: int) -> np.ndarray:
    """One line of text for pictures of this size; what does not fit is cut."""
    font = ImageFont.load_default(max(12, size // 14))
    if font.getlength(text) > width - 4:
        while text and font.getlength(text + "...") > width - 4:
            text = text[:-1]
        text += "..."
    _, top, _, bottom = font.getbbox("Agjpqy")
    picture = Image.new("RGB", (width, int(bottom - top) + 6), "white")
    ImageDraw.Draw(picture).text((3, 3 - top), text, fill=(40, 40, 40), font=font)
    return np.asarray(picture)


def save_grid(path: Path, pictures: Sequence[Tensor | np.ndarray], *, columns: int) -> None:
    save_picture(path, grid(pictures, columns=columns))


def on_background(rgb: Tensor, alpha: Tensor, colour: float = 1.0) -> Tensor:
    """Straight rgb [h, w, 3] with alpha [h, w, 1] on a grey level."""
    return rgb * alpha + torch.full_like(rgb, colour) * (1 - alpha)
