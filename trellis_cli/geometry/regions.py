"""Which voxels an edit may change: boxes, balls and sets of voxels, as a grid of yes and no.

A voxel belongs to a box where lo <= centre < hi on every axis, and to a ball where its centre lies within the radius.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_fill_holes
from torch import Tensor
from torch.nn import functional as F

from trellis_ops.voxelize import voxelize

Units = Literal["cube", "voxels"]
"""Cube edges from -0.5 to 0.5, or voxels of the grid at hand from 0 to N, where voxel i fills i to i + 1."""

MAX_GRID = 1024  # of `voxelize`
Triple = tuple[float, float, float]
Grid = Bool[Tensor, "r r r"]


@runtime_checkable
class Shape(Protocol):
    """A part of space."""

    def grid(self, resolution: int) -> Grid:
        """Which voxels of the resolution^3 grid belong, indexed x, y, z."""
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box; what lies outside the cube holds no voxel."""

    low: Triple
    high: Triple
    units: Units = "cube"

    def grid(self, resolution: int) -> Grid:
        centres = _axis(resolution, self.units)
        x, y, z = ((centres >= low) & (centres < high) for low, high in zip(self.low, self.high, strict=True))
        return x[:, None, None] & y[None, :, None] & z[None, None, :]


@dataclass(frozen=True, slots=True)
class Sphere:
    """A ball."""

    centre: Triple
    radius: float
    units: Units = "cube"

    def grid(self, resolution: int) -> Grid:
        centres = _axis(resolution, self.units)
        x, y, z = ((centres - c).square() for c in self.centre)
        return x[:, None, None] + y[None, :, None] + z[None, None, :] <= self.radius**2


@dataclass(frozen=True, slots=True, eq=False)
class VoxelSet:
    """Voxels of some grid. In a coarser one a voxel belongs where one of the finer ones in it does."""

    coords: Int[Tensor, "n 3"]
    resolution: int

    def grid(self, resolution: int) -> Grid:
        if resolution < self.resolution:
            return occupancy(_holding(self.coords.long(), self.resolution, resolution), resolution)
        at = _holding(torch.arange(resolution), resolution, self.resolution)
        return occupancy(self.coords, self.resolution)[at][:, at][:, :, at]


@dataclass(frozen=True, slots=True)
class Region:
    """The union of some shapes, grown by `grow` voxels in all 26 directions."""

    shapes: tuple[Shape, ...]
    grow: int = 0

    def grid(self, resolution: int) -> Grid:
        """Which voxels of the resolution^3 grid belong."""
        out = torch.zeros((resolution,) * 3, dtype=torch.bool)
        for shape in self.shapes:
            out |= shape.grid(resolution)
        return dilated(out, self.grow)


def occupancy(coords: Int[Tensor, "n 3"], resolution: int) -> Grid:
    """A grid that is set at `coords`."""
    out = torch.zeros((resolution,) * 3, dtype=torch.bool)
    x, y, z = coords.long().T
    out[x, y, z] = True
    return out


def dilated(grid: Grid, by: int) -> Grid:
    """A grid grown by some voxels in all 26 directions."""
    if by == 0:
        return grid
    return F.max_pool3d(grid[None, None].float(), 2 * by + 1, stride=1, padding=by)[0, 0] > 0


def touched_cells(grid: Grid, cells: int) -> Bool[Tensor, "m m m"]:
    """The cells of a grid that is coarser by a whole number which hold at least one voxel of `grid`.

    Raises:
        ValueError: the finer resolution is no multiple of `cells`.
    """
    if len(grid) % cells:
        raise ValueError(f"{cells} cells along an edge do not divide {len(grid)} voxels")
    return F.max_pool3d(grid[None, None].float(), len(grid) // cells)[0, 0] > 0


def share_of_cells(grid: Grid, cells: int) -> Float[Tensor, "m m m"]:
    """How much of each cell of a coarser grid belongs, 0 to 1; see `touched_cells`."""
    return F.avg_pool3d(grid[None, None].float(), len(grid) // cells)[0, 0]


def sides_blocked(grid: Grid) -> Int[Tensor, "r r r"]:
    """In how many of the six axis directions a set voxel stands between each voxel and the outside; int8, 0 to 6."""
    blocked = torch.zeros(grid.shape, dtype=torch.int8)
    for axis in range(3):
        blocked += grid.cummax(axis).values.to(torch.int8)
        blocked += grid.flip(axis).cummax(axis).values.flip(axis).to(torch.int8)
    return blocked


def enclosed(grid: Grid, *, sides: int = 5) -> Grid:
    """Empty voxels that are blocked on at least `sides` of the six sides: the inside of a shell.

    Five, so that what has an open bottom, as houses and boats often do, has an inside too.
    """
    return (sides_blocked(grid) >= sides) & ~grid


def solid_voxels(vertices: Tensor, faces: Tensor, resolution: int) -> VoxelSet:
    """The voxels that a mesh touches or encloses, of a mesh in cube units that may reach out of the cube.

    Raises:
        ValueError: it reaches so far out that its grid would have more than 1,024 voxels along an edge.
    """
    reach = float(vertices.abs().max())
    pad = max(0, int(-(-(reach - 0.5) * resolution // 1))) + 1  # voxels beyond the cube on each side, rounded up
    wide = resolution + 2 * pad
    if wide > MAX_GRID:
        raise ValueError(f"it reaches {reach:g} cube edges from the centre, where the cube ends at 0.5")
    touched = occupancy(voxelize(vertices.float() * (resolution / wide), faces, resolution=wide), wide)
    whole = torch.from_numpy(binary_fill_holes(touched.numpy()))
    inner = whole[pad:-pad, pad:-pad, pad:-pad]
    return VoxelSet(torch.argwhere(inner).int(), resolution)


def _axis(resolution: int, units: Units) -> Tensor:
    """Centres of the voxels along an axis, float64."""
    centres = torch.arange(resolution, dtype=torch.float64) + 0.5
    return centres if units == "voxels" else centres / resolution - 0.5


def _holding(index: Tensor, resolution: int, other: int) -> Tensor:
    """The voxels of another grid that hold the centres of these."""
    return (2 * index + 1) * other // (2 * resolution)
