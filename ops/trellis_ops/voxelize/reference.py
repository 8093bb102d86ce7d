"""The definition, one triangle and one voxel at a time. Slow, in float64, and never optimised."""

import math
from itertools import product

import torch
from torch import Tensor

from trellis_ops.voxelize import TOUCH

Vector = tuple[float, float, float]
UNIT: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(vertices: Tensor, faces: Tensor, *, resolution: int) -> Tensor:
    scaled = (vertices.double().cpu() + 0.5) * resolution  # in voxels: voxel i spans [i, i + 1]
    points: list[Vector] = [(x, y, z) for x, y, z in scaled.tolist()]
    touched = set()
    for face in faces.tolist():
        triangle = [points[i] for i in face]
        # Every voxel of a generous box about the triangle; the test itself decides.
        xs, ys, zs = (
            range(max(0, math.floor(min(along)) - 1), min(resolution, math.floor(max(along)) + 2))
            for along in zip(*triangle, strict=True)
        )
        touched |= {voxel for voxel in product(xs, ys, zs) if overlap(triangle, voxel)}
    rows = sorted(touched)
    return torch.tensor(rows, dtype=torch.int32, device=vertices.device).reshape(-1, 3)


def overlap(triangle: list[Vector], voxel: tuple[int, int, int]) -> bool:
    """Whether a triangle meets the closed cube [i, i + 1]^3: no axis of the thirteen separates them."""
    middle = (voxel[0] + 0.5, voxel[1] + 0.5, voxel[2] + 0.5)
    local = [_minus(corner, middle) for corner in triangle]
    a, b, c = local
    edges = [_minus(b, a), _minus(c, b), _minus(a, c)]
    axes = [*UNIT, _cross(edges[0], edges[1]), *(_cross(u, e) for u in UNIT for e in edges)]
    for axis in axes:
        # All three corners are projected on every axis, the normal too: then any axis, however wrong a triangle
        # without area makes it, separates only what is apart.
        shadow = [_dot(axis, corner) for corner in local]
        reach = (0.5 + TOUCH) * sum(abs(x) for x in axis)
        if min(shadow) > reach or max(shadow) < -reach:
            return False
    return True


def _minus(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
