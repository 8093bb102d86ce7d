"""Compiled search for the sides that bound each walk; torch computes coverage and gradients from the few it finds.

What lies on a CUDA device is copied to the CPU, and the result back; gradients go the same way.
"""

import torch
from torch import Tensor

from trellis_ops.rasterize.silhouette import to_pixels


def refusal(positions: Tensor, *args: object, **kwargs: object) -> str | None:
    if positions.device.type not in ("cpu", "cuda"):
        return f"positions are on {positions.device}, neither on the CPU nor on a CUDA device"
    return None


def run(
    positions: Tensor, faces: Tensor, extrinsics: Tensor, intrinsics: Tensor, covered: Tensor, *, near: float
) -> Tensor:
    from trellis_ops.rasterize.silhouette._cpu_kernels import last_sides

    device, (height, width) = positions.device, covered.shape
    positions, faces, extrinsics, intrinsics, covered = (
        t.cpu() for t in (positions, faces, extrinsics, intrinsics, covered)
    )
    corners = faces.to(torch.int32).contiguous()
    pixels = to_pixels(positions, extrinsics, intrinsics, width=width, height=height, near=near)
    mask = covered.contiguous().numpy()
    total = covered.double().reshape(-1)
    for axis in (0, 1):
        side = torch.from_numpy(last_sides(pixels.detach().numpy(), corners.numpy(), mask, axis))
        pair = torch.nonzero(side.reshape(-1) >= 0).squeeze(1)
        total = total + _change(pixels, corners, covered, side.reshape(-1)[pair].long(), pair, axis)
    return total.reshape(height, width).clamp(0, 1).to(device, positions.dtype)


def _change(pixels: Tensor, corners: Tensor, covered: Tensor, side: Tensor, pair: Tensor, axis: int) -> Tensor:
    """What the walks along one axis add to each of the h w pixels; walk i joins pixel pair[i] and the next one."""
    width, step = covered.shape[1], (1, covered.shape[1])[axis]
    a = pixels[corners[side // 3, side % 3].long()]  # [n, 2]
    b = pixels[corners[side // 3, (side + 1) % 3].long()]
    line, start = (pair // width, pair % width) if axis == 0 else (pair % width, pair // width)
    t = (line - a[:, 1 - axis]) / (b[:, 1 - axis] - a[:, 1 - axis])
    along = a[:, axis] + t * (b[:, axis] - a[:, axis]) - start  # from the pair's first pixel
    from_first = covered.reshape(-1)[pair]
    s = torch.where(from_first, along, 1 - along)
    edge = (b - a).detach()
    weight = edge[:, 1 - axis] ** 2 / (edge**2).sum(1)
    first_changes = (s < 0.5) == from_first  # the covered pixel loses, or the other gains
    pixel = torch.where(first_changes, pair, pair + step)
    return torch.zeros(covered.numel(), dtype=pixels.dtype).index_add(0, pixel, weight * (s - 0.5))
