"""The definition, one walk at a time: every side of every face is tried. float64; gradients are autograd's."""

import torch
from torch import Tensor

from trellis_ops.rasterize.silhouette import to_pixels


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(
    positions: Tensor, faces: Tensor, extrinsics: Tensor, intrinsics: Tensor, covered: Tensor, *, near: float
) -> Tensor:
    height, width = covered.shape
    pixels = to_pixels(positions, extrinsics, intrinsics, width=width, height=height, near=near)
    start, end = pixels[faces.long()].reshape(-1, 2), pixels[faces[:, [1, 2, 0]].long()].reshape(-1, 2)  # [3 f, 2]
    change = [[pixels.new_zeros(()) for _ in range(width)] for _ in range(height)]
    for row, column in torch.nonzero(covered).tolist():
        for axis, step in ((0, -1), (0, 1), (1, -1), (1, 1)):
            there = (row, column + step) if axis == 0 else (row + step, column)
            if not (0 <= there[0] < height and 0 <= there[1] < width) or covered[there]:
                continue
            s, weight = _outline(start, end, axis, step, row, column)
            near_pixel = s < 0.5
            r, c = (row, column) if near_pixel else there
            change[r][c] = change[r][c] + weight * (s - 0.5)
    total = torch.stack([torch.stack(line) for line in change]) + 0 * positions.double().sum()  # a gradient, even if 0
    return (covered.double() + total).clamp(0, 1).to(positions.dtype)


def _outline(start: Tensor, end: Tensor, axis: int, step: int, row: int, column: int) -> tuple[Tensor, Tensor]:
    """(s, weight) of the walk from (row, column) one step along an axis; s = 0.5 changes nothing: no side is met."""
    along, across = (column, row) if axis == 0 else (row, column)
    low, high = start[:, 1 - axis], end[:, 1 - axis]
    crosses = (low <= across) != (high <= across)
    crosses &= torch.isfinite(start).all(1) & torch.isfinite(end).all(1)
    a, b = start[crosses], end[crosses]
    t = (across - a[:, 1 - axis]) / (b[:, 1 - axis] - a[:, 1 - axis])
    s = step * (a[:, axis] + t * (b[:, axis] - a[:, axis]) - along)
    on_walk = (s >= 0) & (s <= 1)
    if not on_walk.any():
        return s.new_tensor(0.5), s.new_tensor(0.0)
    last = torch.where(on_walk, s, -1.0).argmax()
    side = (b[last] - a[last]).detach()
    return s[last], side[1 - axis] ** 2 / (side**2).sum()
