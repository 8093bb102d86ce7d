"""What of an edited object's pictures and surface shows the kept part alone."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.geometry.grid import voxel_index
from trellis_cli.metrics.geometry import chamfer_distance, surface_points
from trellis_cli.renderers.gaussians import render
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.representations.spherical_harmonics import from_colours

CHANGED, SEEN = 1 / 255, 0.5  # a changed share below which a pixel counts, and an alpha above which it shows an object


def changed_share(
    gaussians: Gaussians, changed: Bool[Tensor, " n"], cameras: Cameras, *, size: int
) -> tuple[Float[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """How much of each pixel comes from Gaussians that are not of the kept part, and its alpha."""
    grey = from_colours(changed.float()[:, None].repeat(1, 3))[:, None]
    images, alphas = render(replace(gaussians, sh=grey), cameras, size=size)
    return images[..., 0], alphas


def kept_pixels(
    before: Gaussians,
    after: Gaussians,
    changed_before: Bool[Tensor, " n"],
    changed_after: Bool[Tensor, " m"],
    cameras: Cameras,
    *,
    size: int,
) -> Bool[Tensor, "v h w"]:
    """Pixels that show the object and, before and after, hardly anything but its kept part."""
    first, alpha = changed_share(before, changed_before, cameras, size=size)
    second, _ = changed_share(after, changed_after, cameras, size=size)
    return (first < CHANGED) & (second < CHANGED) & (alpha > SEEN)


def kept_chamfer(
    before: Mesh, after: Mesh, region: Bool[Tensor, "r r r"], *, num: int = 100_000, seed: int = 0
) -> float | None:
    """Chamfer distance of two meshes where they lie outside a region, in cube edges; None where one has nothing there.

    Points are drawn over the whole surface of each, and those of the region's voxels left out.
    """
    parts = []
    for mesh in (before, after):
        points, _, _ = surface_points(mesh.vertices, mesh.faces, num, torch.Generator().manual_seed(seed))
        x, y, z = voxel_index(points, len(region)).long().T
        parts.append(points[~region[x, y, z]])
    if not all(map(len, parts)):
        return None
    return chamfer_distance(parts[1], parts[0])
