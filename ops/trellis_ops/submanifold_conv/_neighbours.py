"""Find the neighbours: through a dense grid of row numbers where it fits, else through sorted keys."""

import torch
from torch import Tensor

_LARGEST_GRID = 2**26  # cells, 256 MB as int32: a sample that spans up to 406^3


def find(coords: Tensor, offsets: Tensor) -> Tensor:
    table = torch.full((len(coords), 27), -1, dtype=torch.int32, device=coords.device)
    bounds = offsets.tolist()
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        if end > start:
            xyz = coords[start:end].long()
            xyz = xyz - xyz.amin(0) + 1  # a border of one empty cell on each side
            size = (xyz.amax(0) + 2).tolist()
            small = size[0] * size[1] * size[2] <= _LARGEST_GRID
            table[start:end] = (_through_grid if small else _through_keys)(xyz, size, start)
    return table


def _keys(xyz: Tensor, size: list[int]) -> tuple[Tensor, Tensor]:
    """Each voxel's cell number, and the difference of cell number to each of the 27 neighbours."""
    stride = torch.tensor([size[1] * size[2], size[2], 1], device=xyz.device)
    step = torch.arange(-1, 2, device=xyz.device)
    return (xyz * stride).sum(1), (torch.cartesian_prod(step, step, step) * stride).sum(1)


def _through_grid(xyz: Tensor, size: list[int], start: int) -> Tensor:
    key, steps = _keys(xyz, size)
    grid = torch.full((size[0] * size[1] * size[2],), -1, dtype=torch.int32, device=xyz.device)
    grid[key] = torch.arange(start, start + len(xyz), dtype=torch.int32, device=xyz.device)
    return grid[key[:, None] + steps]


def _through_keys(xyz: Tensor, size: list[int], start: int) -> Tensor:
    key, steps = _keys(xyz, size)
    ordered, row = key.sort()
    wanted = key[:, None] + steps
    place = torch.searchsorted(ordered, wanted).clamp_max(len(ordered) - 1)
    found = ordered[place] == wanted
    return torch.where(found, row[place] + start, -1).int()
