"""The voxel grid on the cube [-0.5, 0.5]^3, and how an asset gets into the cube.

Voxel i of N has its centre at (i + 0.5) / N - 0.5. Coords are x, y, z integers, sorted lexicographically (x slowest).
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

CUBE_MARGIN = 1e-6  # vertices are clipped to +-(0.5 - this) before voxelizing, so that none lies past the last voxel


def voxel_centres(coords: Int[Tensor, "n 3"], resolution: int) -> Float[Tensor, "n 3"]:
    """The voxels' centres in the cube, float32."""
    return (coords.float() + 0.5) / resolution - 0.5


def voxel_index(xyz: Float[Tensor, "n 3"], resolution: int) -> Int[Tensor, "n 3"]:
    """The voxel each point of the cube lies in, int32; the cube's upper faces belong to the last voxel."""
    return ((xyz + 0.5) * resolution).floor().clamp(0, resolution - 1).int()


def lexicographic_order(coords: Int[Tensor, "n 3"], sample: Int[Tensor, " n"] | None = None) -> Int[Tensor, " n"]:
    """The permutation that sorts by (sample, x, y, z); equal rows keep their order. Values may be negative."""
    columns = coords.long() if sample is None else torch.cat([sample.long()[:, None], coords.long()], dim=1)
    order = torch.arange(len(columns), device=columns.device)
    for column in reversed(columns.unbind(1)):
        order = order[column[order].argsort(stable=True)]
    return order


def coarser(
    coords: Int[Tensor, "n 3"], feats: Float[Tensor, "n c"], factor: int
) -> tuple[Int[Tensor, "m 3"], Float[Tensor, "m c"]]:
    """Active voxels of a grid `factor` times as coarse: those that hold one, in order, with the mean of the features.

    A surface touches a coarse voxel where it touches one of the fine ones in it, so the voxels are the very ones that
    the coarse grid would have found.
    """
    unique, inverse = torch.unique(coords.div(factor, rounding_mode="floor"), dim=0, return_inverse=True)
    total = feats.new_zeros(len(unique), feats.shape[1]).index_add_(0, inverse, feats)
    return unique, total / torch.bincount(inverse, minlength=len(unique))[:, None]


def source_to_cube(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "4 4"]:
    """The transform of an asset into the cube: its longest side becomes 1, its box's middle the centre.

    A column vector (x, y, z, 1) of source coordinates, z up, times this float64 matrix lies in [-0.5, 0.5]^3.

    Raises:
        ValueError: no vertices, one that is not finite, or all in one point.
    """
    if len(vertices) == 0:
        raise ValueError("an asset without vertices has no size")
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices)).any(axis=1).sum())
        raise ValueError(f"{bad} of {len(vertices)} vertices are not finite")
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    # Halves before sums, so that coordinates near the largest float do not overflow.
    half, centre = np.max(high / 2 - low / 2), low / 2 + high / 2
    if half == 0 or not np.isfinite(0.5 / half):
        raise ValueError("all vertices lie in one point, so the asset has no size")
    matrix = np.diag([0.5 / half] * 3 + [1.0])
    matrix[:3, 3] = -centre * (0.5 / half)
    return matrix


def transform_points(matrix: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Points under an affine 4x4 matrix that acts on column vectors; float64."""
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
