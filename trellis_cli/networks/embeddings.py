"""Where a token stands and what time it is, as vectors: sines and cosines, and the small network after the time's.

The factor 1000 between the program's time (t in [0, 1]) and the published weights' lives here and nowhere else.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

TIME_FACTOR = 1000.0  # published weights were trained on t * 1000
TIME_CHANNELS = 256  # of the sines and cosines before the network
_MAX_PERIOD = 10000.0


def position_embedding(coords: Int[Tensor, "n 3"], channels: int) -> Float[Tensor, "n c"]:
    """Absolute position of each token, in float32.

    Per axis [sin(c f), cos(c f)] with k = channels // 6 frequencies f_i = 10000^(-i / k); x, y, z one after the other;
    zeros fill up at the end where 6 does not divide `channels`.

    Args:
        coords: voxel indices of the grid the tokens live on (after patching, the coarse grid's), not normalised.
        channels: width of the embedding, at least 6.

    Source: the published AbsolutePositionEmbedder (n = C // 3 // 2, sine before cosine).
    """
    num_frequencies = channels // 6
    exponent = torch.arange(num_frequencies, dtype=torch.float32, device=coords.device) / num_frequencies
    angles = coords.float().unsqueeze(-1) * (1.0 / _MAX_PERIOD**exponent)  # [n, 3, k]
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return nn.functional.pad(waves, (0, channels - waves.shape[1]))


def grid_coords(resolution: int, device: torch.device | str | None = None) -> Int[Tensor, "n 3"]:
    """All voxels of a dense grid in x, y, z order (z fastest)."""
    axis = torch.arange(resolution, device=device)
    return torch.cartesian_prod(axis, axis, axis)


def time_embedding(t: Float[Tensor, " b"], channels: int = TIME_CHANNELS) -> Float[Tensor, "b c"]:
    """[cos(1000 t f), sin(1000 t f)] with f_i = 10000^(-i / (channels / 2)), in float32; cosines come first.

    Pass float64 times where the last digit matters: 1000 t is rounded to float32 once, as in the published sampler.
    """
    half = channels // 2
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = (t * TIME_FACTOR).float().unsqueeze(-1) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedder(nn.Module):
    """Times in [0, 1] to vectors of the network's width. Keys `mlp.0`, `mlp.2` as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_CHANNELS, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, t: Float[Tensor, " b"]) -> Float[Tensor, "b c"]:
        return self.mlp(time_embedding(t))
