"""Coverage of pixels by a mesh, antialiased analytically where its outline passes.

The definition. Take two pixels side by side, p covered (its centre sees the mesh) and q not. Walk from p's centre to
q's, a way of length 1: the last point of the walk that some face covers lies on a side of that face, at s in [0, 1]
from p; s is the outline. On this walk alone, p (which reaches to 0.5) misses 0.5 - s of its extent when s < 0.5, and q
is covered by s - 0.5 of its own otherwise. Every pixel sums what its up to four walks say, each weighted by how
squarely the side is crossed: by n_x^2 for a walk along x and n_y^2 along y, n the unit normal of the side in the
image. Then

    coverage = clamp(covered + sum over its walks of n_axis^2 (s - 0.5, where p has s < 0.5 or q has s > 0.5), 0, 1).

Why these weights: a straight outline of length l and normal n meets about l |n_x| walks along x, each of which moves by
1 / |n_x| pixels when the outline moves by one along n; with weights that sum to one the whole image then changes by
exactly l, the true change of the covered area, whichever way the outline runs; and no single gradient exceeds one.
For outlines along the axes the coverage is the exact area. Gradients flow through s; the weights are held fixed. A mesh
thinner than the spacing of the pixel centres is seen only where a centre meets it. Sides that reach behind the near
plane are not antialiased.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("coverage", __name__, ("cpu", "reference"))


def coverage_of(
    positions: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    covered: Bool[Tensor, "h w"],
    *,
    near: float,
    backend: str | None = None,
) -> Float[Tensor, "h w"]:
    """The definition above; arguments as in `trellis_ops.rasterize.coverage`, which is its public face."""
    return _op(positions, faces, extrinsics, intrinsics, covered, near=near, backend=backend)


def to_pixels(
    positions: Float[Tensor, "v 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    *,
    width: int,
    height: int,
    near: float,
) -> Float[Tensor, "v 2"]:
    """Column and row of each vertex in units of pixels, whole numbers at centres; NaN nearer than `near`. float64."""
    w2c, K = extrinsics.double(), intrinsics.double()
    x, y, z = (positions.double() @ w2c[:3, :3].T + w2c[:3, 3]).unbind(1)
    hidden = z < near
    z = torch.where(hidden, 1.0, z)
    pixels = torch.stack([(K[0, 0] * x / z + K[0, 2]) * width, (K[1, 1] * y / z + K[1, 2]) * height], 1) - 0.5
    return torch.where(hidden[:, None], torch.nan, pixels)
