"""How a flow network's tokens are made of voxels, and its voxels of tokens: patches, residual blocks, packed blocks."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor, nn
from torch.nn import functional as F

from trellis_cli.networks.modulated import Samples
from trellis_cli.networks.norms import LayerNorm
from trellis_cli.networks.precision import Linear
from trellis_cli.networks.sparse_conv import SubmanifoldConv
from trellis_ops.submanifold_conv import downsample, neighbour_table, upsample

Resample = Literal["none", "down", "up"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What depends on the voxels alone: made once by `FlowNetwork.plan`, good for every step of sampling."""

    coords: Int[Tensor, "m 3"]  # of the tokens, on their own grid
    tokens: Samples
    voxels: Samples
    index: Int[Tensor, " n"] | None = None  # the token each voxel belongs to; None where they are the same
    place: Int[Tensor, " n"] | None = None  # packed blocks: index p^3 + the voxel's place in its block
    table: Int32[Tensor, "n 27"] | None = None  # residual blocks: neighbours among the voxels
    token_table: Int32[Tensor, "m 27"] | None = None  # and among the tokens


def patchify(feats: Float[Tensor, "n c"], resolution: int, patch: int) -> Float[Tensor, "m d"]:
    """Dense grids of tokens (z fastest) to tokens of patch^3 voxels: channel c p^3 + (px p^2 + py p + pz)."""
    coarse, c = resolution // patch, feats.shape[1]
    grid = feats.view(-1, coarse, patch, coarse, patch, coarse, patch, c)
    return grid.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(-1, c * patch**3)


def unpatchify(feats: Float[Tensor, "m d"], resolution: int, patch: int) -> Float[Tensor, "n c"]:
    """The inverse of `patchify`."""
    coarse, c = resolution // patch, feats.shape[1] // patch**3
    grid = feats.view(-1, coarse, coarse, coarse, c, patch, patch, patch)
    return grid.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(-1, c)


def gather_blocks(feats: Float[Tensor, "n c"], plan: Plan, patch: int) -> Float[Tensor, "m d"]:
    """Each block's voxels side by side, zeros where one is not active, then the block's occupancy, 0 or 1 a voxel."""
    assert plan.place is not None
    slots, blocks = patch**3, len(plan.coords)
    latents = feats.new_zeros(blocks * slots, feats.shape[1]).index_copy(0, plan.place, feats)
    occupied = feats.new_zeros(blocks * slots).index_fill(0, plan.place, 1.0)
    return torch.cat([latents.view(blocks, -1), occupied.view(blocks, -1)], dim=1)


def scatter_blocks(blocks: Float[Tensor, "m d"], plan: Plan, patch: int) -> Float[Tensor, "n c"]:
    """Each active voxel's channels out of its block's: undoes `gather_blocks`, its occupancy left out."""
    assert plan.place is not None
    return blocks.view(len(blocks) * patch**3, -1).index_select(0, plan.place)


def plan_blocks(coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"], patch: int) -> Plan:
    """The plan of packed blocks."""
    tokens, token_offsets, _, index = downsample(coords, offsets, coords.new_zeros(len(coords), 1).float(), patch)
    x, y, z = (coords.long() % patch).unbind(1)
    place = index * patch**3 + (x * patch + y) * patch + z
    return Plan(tokens, Samples.of(token_offsets), Samples.of(offsets), index, place)


def plan_residual(coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"]) -> Plan:
    """The plan of residual blocks that halve the grid."""
    tokens, token_offsets, _, index = downsample(coords, offsets, coords.new_zeros(len(coords), 1).float(), 2)
    tables = neighbour_table(coords, offsets), neighbour_table(tokens, token_offsets)
    return Plan(tokens, Samples.of(token_offsets), Samples.of(offsets), index, None, *tables)


class SparseResBlock(nn.Module):
    """A residual block of two submanifold convolutions, modulated by the time; it may halve or double the grid first.

    Resampling comes before everything, so the skip carries the resampled input. Halving is the published sum / (count
    + 1) of trellis_ops.downsample. Source: the published SparseResBlock3d; keys as there.
    """

    def __init__(self, channels: int, time_channels: int, out_channels: int, resample: Resample = "none") -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = LayerNorm(channels, affine=True)
        self.norm2 = LayerNorm(out_channels)
        self.conv1 = SubmanifoldConv(channels, out_channels)
        self.conv2 = SubmanifoldConv(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(time_channels, 2 * out_channels))
        self.skip_connection = nn.Identity() if channels == out_channels else Linear(channels, out_channels)
        nn.init.zeros_(self.conv2.conv.weight)
        nn.init.zeros_(self.conv2.conv.bias)

    def forward(self, x: Float[Tensor, "n c"], time: Float[Tensor, "b t"], plan: Plan) -> Float[Tensor, "_m d"]:
        """Rows are voxels, or tokens where the block has just halved the grid (`plan` knows both)."""
        samples, table = plan.voxels, plan.table
        if self.resample == "down":
            x, samples, table = mean_with_zero(x, plan), plan.tokens, plan.token_table
        elif self.resample == "up":
            assert plan.index is not None
            x = upsample(x, plan.index)
        scale, shift = self.emb_layers(time).chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)), table)
        h = samples.scale_shift(self.norm2(h), scale, shift)
        return self.conv2(F.silu(h), table) + self.skip_connection(x)


def mean_with_zero(feats: Float[Tensor, "n c"], plan: Plan) -> Float[Tensor, "m c"]:
    """sum / (count + 1) of each token's voxels: `trellis_ops.downsample` where its index is known already."""
    assert plan.index is not None
    counts = torch.bincount(plan.index, minlength=len(plan.coords))
    sums = feats.new_zeros(len(plan.coords), feats.shape[1]).index_add(0, plan.index, feats)
    return sums / (counts + 1).to(feats.dtype)[:, None]
