"""3^3 convolution on the active voxels alone, with its neighbour table; and moving between resolutions.

Voxels of several samples lie end to end, coordinates x, y, z; no op here makes or loses an active voxel except
`downsample` and `subdivide`, and only `downsample` changes their order.
"""

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from trellis_ops._dispatch import Op
from trellis_ops.submanifold_conv import _neighbours

_op = Op("submanifold_conv", __name__, ("cpu", "cuda", "reference"))


def neighbour_table(coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"]) -> Int32[Tensor, "n 27"]:
    """Where each voxel's 27 neighbours lie among the rows, for any number of convolutions on the same voxels.

    Args:
        coords: voxel indices, non-negative, each once a sample; any order.
        offsets: the samples: voxels of different samples are no neighbours.

    Returns:
        Row numbers, -1 where the neighbour is not active. Column 9 (dx + 1) + 3 (dy + 1) + (dz + 1) is the neighbour
        at (dx, dy, dz), so that column 13 is the voxel itself.

    Raises:
        ValueError: offsets that do not fit, or a voxel with a negative coordinate.
    """
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(coords):
        raise ValueError(f"offsets must rise from 0 to {len(coords)}, the number of voxels; got {offsets.tolist()[:8]}")
    if len(coords) and int(coords.min()) < 0:
        raise ValueError(f"coords must not be negative, got {int(coords.min())}")
    return _neighbours.find(coords, offsets)


def submanifold_conv(
    feats: Float[Tensor, "n c"],
    weight: Float[Tensor, "d 3 3 3 c"],
    bias: Float[Tensor, " d"],
    table: Int32[Tensor, "n 27"],
    *,
    backend: str | None = None,
) -> Float[Tensor, "n d"]:
    """Cross-correlation with zeros at the inactive voxels, evaluated at the active ones.

    Equals a dense conv3d with weight.permute(0, 4, 1, 2, 3), padding 1, read off at the active voxels.

    Args:
        feats: one row a voxel, in the order of the coordinates `table` was made from.
        weight: output channel, x, y, z, input channel, as the published checkpoints store it.
        bias: one value an output channel.
        table: from `neighbour_table`.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Features in the order and dtype of `feats`; sums are kept in float32 or better.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: feats and weight of different dtypes.

    Gradients flow to feats, weight and bias. Source: Graham et al., "3D Semantic Segmentation with Submanifold Sparse
    Convolutional Networks" (arXiv:1711.10275).
    """
    if not feats.dtype == weight.dtype == bias.dtype:
        raise ValueError(f"one dtype is needed, got feats {feats.dtype}, weight {weight.dtype}, bias {bias.dtype}")
    return _op(feats, weight, bias, table, backend=backend)


def downsample(
    coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"], feats: Float[Tensor, "n c"], factor: int = 2
) -> tuple[Int[Tensor, "m 3"], Int[Tensor, " b_plus_1"], Float[Tensor, "m c"], Int[Tensor, " n"]]:
    """Voxels of a grid `factor` times coarser: active where one of their children is.

    Returns:
        coords and offsets of the coarse voxels, each sample's in lexicographic order; their feats; and the coarse row
        of each fine voxel, which `upsample` takes.

    The feats are sum / (count + 1), not the mean: the published network averages its children together with the zero
    it starts from, and its weights were trained so. Gradients flow to feats.
    """
    lengths = offsets.diff().to(coords.device)
    sample = torch.arange(len(lengths), device=coords.device).repeat_interleave(lengths)
    coarse = coords.long().div(factor, rounding_mode="floor")
    low = coarse.amin() if len(coarse) else 0
    side = int(coarse.max() - low) + 1 if len(coarse) else 1
    cell = coarse - low
    key = ((sample * side + cell[:, 0]) * side + cell[:, 1]) * side + cell[:, 2]
    unique, index, counts = torch.unique(key, sorted=True, return_inverse=True, return_counts=True)
    parents = torch.stack([unique // side**2 % side, unique // side % side, unique % side], dim=1) + low
    per_sample = torch.bincount(unique // side**3, minlength=len(lengths))
    sums = feats.new_zeros(len(unique), feats.shape[1]).index_add(0, index, feats)
    mixed = sums / (counts + 1).to(feats.dtype)[:, None]
    return parents.to(coords.dtype), torch.cat([per_sample.new_zeros(1), per_sample.cumsum(0)]), mixed, index


def upsample(feats: Float[Tensor, "m c"], index: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """Each fine voxel takes its coarse voxel's feats; `index` is what `downsample` gave. Gradients flow to feats."""
    return feats.index_select(0, index)


def subdivide(
    coords: Int[Tensor, "n 3"], feats: Float[Tensor, "n c"]
) -> tuple[Int[Tensor, "n_times_8 3"], Float[Tensor, "n_times_8 c"]]:
    """Every voxel becomes its eight children on the grid twice as fine, with its feats; offsets grow eightfold.

    The children of a voxel lie side by side in the order (0,0,0), (0,0,1), (0,1,0), ...: z fastest. Gradients flow to
    feats.
    """
    bit = torch.arange(2, dtype=coords.dtype, device=coords.device)
    children = coords[:, None] * 2 + torch.cartesian_prod(bit, bit, bit)
    return children.reshape(-1, 3), feats.repeat_interleave(8, dim=0, output_size=8 * len(feats))
