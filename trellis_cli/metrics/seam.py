"""How an edit looks where it meets what was kept: jumps of normal and colour across the border, and loose ends.

The border of a region runs between voxels. On either side a strip one voxel wide is looked at; a point of the kept
strip and the nearest one of the region's strip make a pair, if they lie within `REACH` voxels. An object has edges of
its own, so a jump says something beside that of the same border before the edit.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label
from scipy.spatial import cKDTree
from torch import Tensor

from trellis_cli.geometry.grid import voxel_index
from trellis_cli.geometry.regions import dilated, enclosed, sides_blocked
from trellis_cli.metrics.geometry import surface_points
from trellis_cli.representations.mesh import Mesh

REACH = 1.5  # voxels between two points of a pair, at most
FEWEST = 50  # pairs that a mean is made of, or there is none
Grid = Bool[Tensor, "r r r"]


@dataclass(frozen=True, slots=True)
class Jump:
    """Means over the pairs across a border.

    normal: degrees between the two surfaces, whichever way they face: 0 to 90.
    colour: distance of the two colours in sRGB, 0 to 1.73.
    """

    normal: float
    colour: float
    pairs: int


def jump(mesh: Mesh, region: Grid, *, num: int = 200_000, seed: int = 0) -> Jump | None:
    """Across the border of a region, of a mesh with vertex colours; None where hardly any surface crosses it.

    Args:
        num: points that are drawn on the whole surface.
    """
    if mesh.colours is None or not len(mesh.faces):
        return None
    resolution = len(region)
    points, face, weights = surface_points(mesh.vertices, mesh.faces, num, torch.Generator().manual_seed(seed))
    x, y, z = voxel_index(points, resolution).long().T
    kept_side = (dilated(region, 1) & ~region)[x, y, z]
    other_side = (dilated(~region, 1) & region)[x, y, z]
    if not bool(kept_side.any()) or not bool(other_side.any()):
        return None
    distance, nearest = cKDTree(points[other_side].numpy()).query(points[kept_side].numpy())
    paired = torch.from_numpy(distance) <= REACH / resolution
    if int(paired.sum()) < FEWEST:
        return None
    a = kept_side.nonzero()[:, 0][paired]
    b = other_side.nonzero()[:, 0][torch.from_numpy(nearest)[paired]]
    normals = _normals(mesh)[face]
    cosines = (normals[a] * normals[b]).sum(1).abs().clamp(max=1)
    colours = torch.einsum("nk,nkd->nd", weights, mesh.colours.float()[mesh.faces.long()[face]])
    return Jump(
        float(torch.rad2deg(torch.acos(cosines)).mean()), float((colours[a] - colours[b]).norm(dim=1).mean()), len(a)
    )


def gap(before: Grid, after: Grid, region: Grid) -> float | None:
    """Share of the kept voxels with a neighbour across the border that has none there any more; None without such."""
    border = before & ~region & dilated(before & region, 1)
    if not bool(border.any()):
        return None
    return float((border & ~dilated(after & region, 1)).sum() / border.sum())


def loose(after: Grid, kept: Grid) -> float | None:
    """Share of the new voxels that hang together with no kept one, at corners neither; None without new ones."""
    new = after & ~kept
    if not bool(new.any()):
        return None
    whole = torch.zeros(after.shape, dtype=torch.int32)
    label(after.numpy(), torch.ones(3, 3, 3).numpy(), output=whole.numpy())
    held = torch.isin(whole, whole[kept].unique())
    return float((new & ~held).sum() / new.sum())


def laid_open(before: Grid, after: Grid, region: Grid) -> float | None:
    """Share of the inside left beside a region that the edit has laid open; None where there is none.

    The inside is what is enclosed (geometry.regions.enclosed) within two voxels of the region, outside it; it is laid
    open where fewer of its six sides are blocked than before.
    """
    near = dilated(region, 2) & ~region & enclosed(before)
    if not bool(near.any()):
        return None
    return float((near & (sides_blocked(after) < sides_blocked(before))).sum() / near.sum())


def _normals(mesh: Mesh) -> Float[Tensor, "f 3"]:
    a, b, c = mesh.vertices[mesh.faces.long()].unbind(1)
    return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
