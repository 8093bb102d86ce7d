"""A picture of one object, cropped to it and scaled: what image conditions see, in training and of prompts."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

MARGIN = 1.2  # the crop's side over the object's


def crop_to_object(rgba: Image.Image, *, size: int, threshold: float | int = 0.8) -> Image.Image | None:
    """A square RGBA picture of `size` pixels, the object in its middle; None where the picture shows none.

    The object's box holds all pixels with alpha > threshold * 255; the square has its centre and 1.2 times its longer
    side (rounded down), and is transparent where it leaves the picture. Published: 0.8 for prompts, 0 in training.
    """
    rows, columns = np.nonzero(np.asarray(rgba.getchannel("A")) > threshold * 255)
    if not len(rows):
        return None
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    side = max(2, int(max(right - left, bottom - top) * MARGIN))
    x, y, half = (left + right) / 2, (top + bottom) / 2, side // 2
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    return rgba.crop(box).resize((size, size), Image.Resampling.LANCZOS)


def as_tensor(rgba: Image.Image) -> Float[Tensor, "4 h w"]:
    """Straight RGBA in [0, 1]."""
    return torch.from_numpy(np.asarray(rgba).copy()).permute(2, 0, 1).float() / 255


def on_black(rgba: Float[Tensor, "*b 4 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Composited on black and cut down to 8 bits, as published."""
    rgb, alpha = rgba[..., :3, :, :], rgba[..., 3:, :, :]
    return (rgb * alpha * 255).floor() / 255
