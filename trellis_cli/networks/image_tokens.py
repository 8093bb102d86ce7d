"""A picture of an object to the tokens that mini's image flows attend to; the encoder is the shipped AlexNet.

The released models take DINOv2's tokens, which weigh fifty times as much as all of mini.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trellis_cli.data.object_crop import on_black
from trellis_cli.errors import FileError
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.conv_trunks import imagenet_normalised
from trellis_cli.networks.image_encoders import AlexNetEncoder, load_image_encoder

FILE = "image_tokens.json"
NUM_FREQUENCIES = 4


class AlexNetTokens:
    """grid x grid tokens a picture, each of what lies in its square cell, and their mean as the pooled vector.

    A token holds, in this order: alpha on 4 x 4 parts of the cell (the outline is what tells shapes best), colour on
    2 x 2 parts, the mean of the encoder's reduced taps, and sines and cosines of the cell's place.
    """

    def __init__(self, encoder: AlexNetEncoder, *, image_size: int = 128, grid: int = 8) -> None:
        if image_size % (encoder.cell * grid):
            raise ValueError(f"pictures of {image_size} do not divide into {grid} x {grid} tokens")
        self.encoder, self.image_size, self.grid = encoder, image_size, grid
        self._places = _places(grid)
        self.channels = 16 + 12 + (encoder.channels - 3) + self._places.shape[1]

    def to(self, device: torch.device | str) -> "AlexNetTokens":
        self.encoder.to(device)
        return self

    @torch.no_grad()
    def __call__(self, pictures: Float[Tensor, "b 4 s s"]) -> Condition:
        """Conditions of pictures as `crop_to_object` gives them: straight RGBA in [0, 1], s = image_size."""
        rgb = on_black(pictures)
        taps = F.adaptive_avg_pool2d(self.encoder.feature_maps(rgb)[:, 3:], self.grid)
        parts = [_cells(pictures[:, 3:] * 2 - 1, self.grid, 4), _cells(imagenet_normalised(rgb), self.grid, 2), taps]
        tokens = torch.cat(parts, 1).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens, self._places.to(tokens).expand(len(tokens), -1, -1)], 2)
        return Condition.dense(tokens, tokens.mean(1))


def _cells(maps: Float[Tensor, "b c h w"], grid: int, parts: int) -> Float[Tensor, "b d g g"]:
    """The means of parts x parts pieces of every cell, as channels of that cell."""
    return F.pixel_unshuffle(F.adaptive_avg_pool2d(maps, grid * parts), parts)


def _places(grid: int) -> Float[Tensor, "t p"]:
    """Sines and cosines of the cells' centres, row by row: one, two, four, ... half waves over the picture."""
    centres = (torch.arange(grid) + 0.5) / grid
    angles = centres[:, None] * math.pi * 2.0 ** torch.arange(NUM_FREQUENCIES)
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None].expand(-1, grid, -1), waves[None].expand(grid, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


def load_image_tokens(folder: Path, *, device: str = "cpu") -> AlexNetTokens:
    """The tokens of a folder with `image_tokens.json` ({"name", "args"}) and the encoder's files.

    Raises:
        FileError: the file is not what it should be.
        MissingError: the encoder's files are not there.
    """
    try:
        table = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if table["name"] != AlexNetTokens.__name__:
            raise ValueError(f"there are no image tokens {table['name']!r} here")
        encoder = load_image_encoder(folder)
        assert isinstance(encoder, AlexNetEncoder)
        return AlexNetTokens(encoder, **table["args"]).to(device)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise FileError(f"{folder / FILE}: not image tokens: {error}", hint="fetch the model anew") from error
