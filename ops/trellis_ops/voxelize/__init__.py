"""Find the voxels that a triangle mesh touches."""

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("voxelize", __name__, ("cpu", "open3d", "reference"))

# Closer than this, in voxels, is touching. It is a thousand times the rounding error of the test at 1024^3 and far
# below any feature of an asset, so that what touches exactly is found whatever way the rounding goes.
TOUCH = 1e-10


def voxelize(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    *,
    resolution: int,
    backend: str | None = None,
) -> Int32[Tensor, "n 3"]:
    """The voxels whose closed cube meets one of the closed triangles, by the test of separating axes.

    A triangle that only touches a voxel's face, edge or corner counts, so a square in the plane between two layers
    marks both. Triangles without area count as the segment or the point they are. Nothing is filled: the inside of a
    closed mesh stays empty. There are no gradients.

    Args:
        vertices: points of the cube [-0.5, 0.5]^3, z up; float32 or float64, computed in float64.
        faces: three vertices each; winding does not matter.
        resolution: voxels along one edge of the cube; voxel i spans [i, i + 1] / resolution - 0.5.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Each touched voxel's x, y, z once, sorted lexicographically.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: a vertex that is not finite or outside the cube, a face with an index out of range, or a resolution
            below 1.

    Source: the separating axis test for a triangle and a box after Akenine-Moeller (2001), "Fast 3D triangle-box
    overlap testing": three box normals, the triangle's normal, nine cross products of edges.
    """
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, got {resolution}")
    if vertices.numel():
        # One NaN makes both ends NaN, and a NaN fails every comparison.
        low, high = (float(x) for x in torch.aminmax(vertices))
        if not (low >= -0.5 and high <= 0.5):
            raise ValueError(f"vertices must be finite and lie in [-0.5, 0.5], got values in [{low:.9g}, {high:.9g}]")
    if faces.numel():
        first, last = (int(x) for x in torch.aminmax(faces))
        if not 0 <= first <= last < len(vertices):
            raise ValueError(f"faces must index {len(vertices)} vertices, got indices in [{first}, {last}]")
    return _op(vertices, faces, resolution=resolution, backend=backend)
