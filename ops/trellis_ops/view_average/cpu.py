"""numba, one voxel a thread; maps are laid out with channels last, so that a texel is one run of memory.

What lies on a CUDA device is copied to the CPU, and the result back.
"""

import torch
from torch import Tensor

from trellis_ops._numba import jit, prange


def refusal(
    coords: Tensor, feature_maps: Tensor, extrinsics: Tensor, intrinsics: Tensor, *, resolution: int
) -> str | None:
    if feature_maps.device.type not in ("cpu", "cuda"):
        return f"feature_maps is on {feature_maps.device}, neither on the CPU nor on a CUDA device"
    return None


def run(coords: Tensor, feature_maps: Tensor, extrinsics: Tensor, intrinsics: Tensor, *, resolution: int) -> Tensor:
    dtype = torch.float64 if feature_maps.dtype == torch.float64 else torch.float32
    # Free for maps that are a view of an encoder's tokens [v, h w, c]; else one copy.
    maps = feature_maps.detach().cpu().permute(0, 2, 3, 1).to(dtype).contiguous()
    out = torch.zeros(len(coords), maps.shape[-1], dtype=dtype)
    _gather(
        ((coords.cpu().double() + 0.5) / resolution - 0.5).numpy(),
        maps.numpy(),
        extrinsics.detach().cpu().double().contiguous().numpy(),
        intrinsics.detach().cpu().double().contiguous().numpy(),
        out.numpy(),
    )
    return (out / len(maps)).to(feature_maps)


@jit
def _add_texel(total, maps, v, row, col, weight):
    """total += weight * the texel, which is zero outside the map."""
    if weight != 0 and 0 <= row < maps.shape[1] and 0 <= col < maps.shape[2]:
        texel = maps[v, row, col]
        for c in range(len(total)):
            total[c] += weight * texel[c]


@jit(parallel=True, fastmath={"contract"})
def _gather(xyz, maps, w2c, K, out):
    """Add the samples of all views to out [n, c]; xyz [n, 3] float64, maps [v, h, w, c]."""
    num_views, height, width, _ = maps.shape
    for n in prange(len(xyz)):
        total = out[n]
        for v in range(num_views):
            m = w2c[v]
            x = m[0, 0] * xyz[n, 0] + m[0, 1] * xyz[n, 1] + m[0, 2] * xyz[n, 2] + m[0, 3]
            y = m[1, 0] * xyz[n, 0] + m[1, 1] * xyz[n, 1] + m[1, 2] * xyz[n, 2] + m[1, 3]
            z = m[2, 0] * xyz[n, 0] + m[2, 1] * xyz[n, 1] + m[2, 2] * xyz[n, 2] + m[2, 3]
            if not z > 0:
                continue
            col = (K[v, 0, 0] * x / z + K[v, 0, 2]) * width - 0.5
            row = (K[v, 1, 1] * y / z + K[v, 1, 2]) * height - 0.5
            if not (-1 < col < width and -1 < row < height):
                continue  # all four texels are outside; and a far one would not fit an integer
            left, top = int(col + 1) - 1, int(row + 1) - 1
            right_weight, bottom_weight = col - left, row - top
            _add_texel(total, maps, v, top, left, out.dtype.type((1 - bottom_weight) * (1 - right_weight)))
            _add_texel(total, maps, v, top, left + 1, out.dtype.type((1 - bottom_weight) * right_weight))
            _add_texel(total, maps, v, top + 1, left, out.dtype.type(bottom_weight * (1 - right_weight)))
            _add_texel(total, maps, v, top + 1, left + 1, out.dtype.type(bottom_weight * right_weight))
