"""Triangles to an image: which face each pixel sees, where on it, how far; differentiable inside and at the outline.

    fragments = rasterize(positions, faces, extrinsics, intrinsics, width=512, height=512)
    colours = interpolate(vertex_colours, faces, fragments)
    mask = coverage(positions, faces, extrinsics, intrinsics, fragments)

`fragments.depth` and `fragments.barycentrics` carry gradients to the positions, with each pixel's face held fixed: the
change inside the outline. `coverage` carries the other part, how the outline moves.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op
from trellis_ops.rasterize.silhouette import coverage_of

_op = Op("rasterize", __name__, ("cpu", "reference"))


@dataclass(frozen=True, slots=True)
class Fragments:
    """What each pixel sees. Zeros in `barycentrics` and `depth` where it sees nothing (face_id -1).

    barycentrics: weights of the face's three corners at the point seen (perspective-correct; they sum to one).
    depth: along the camera's z axis, in the unit of the positions.
    """

    face_id: Int[Tensor, "h w"]
    barycentrics: Float[Tensor, "h w 3"]
    depth: Float[Tensor, "h w"]


def rasterize(
    positions: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    *,
    width: int,
    height: int,
    near: float = 0.01,
    beyond: Float[Tensor, "h w"] | None = None,
    backend: str | None = None,
) -> Fragments:
    """The nearest face along the ray through each pixel's centre; both sides of a face are seen.

    Args:
        positions: vertices in world space (the cube); float32 or float64, the dtype of the result.
        faces: three vertex indices each, in either winding; degenerate faces are never seen.
        extrinsics: world to camera, OpenCV axes: x right, y down, z forward.
        intrinsics: pinhole without skew, normalised: fx and cx divided by the image width, fy and cy by its height.
        width, height: the image in pixels; pixel (row j, column i) has its centre at ((i + 0.5) / width,
            (j + 0.5) / height).
        near: what lies nearer than this depth is cut away, through faces too.
        beyond: only what lies deeper than this, pixel by pixel, is seen: with the last call's depth, the layer behind
            it; infinite where nothing more is wanted. None sees everything.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Fragments. A face includes its edges, so that faces sharing one leave no crack; of faces at exactly the same
        depth the one with the lowest index is seen. Depth and barycentrics have gradients to `positions`, for fixed
        face ids; cameras get none.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: an empty image, a position that is not finite, a face naming no vertex, near <= 0.

    Source: homogeneous rasterisation (Olano and Greer 1997): with corners a, b, c in camera space, a ray d meets the
    face where d . (b x c), d . (c x a) and d . (a x b) have one sign; their ratio to their sum are the barycentrics,
    and det(a, b, c) over that sum is the depth. No face needs to be clipped.
    """
    _check(positions, faces, width, height)
    if near <= 0:
        raise ValueError(f"near must be positive, got {near}")
    face_id, barycentrics, depth = _op(
        positions, faces, extrinsics, intrinsics, width=width, height=height, near=near, beyond=beyond, backend=backend
    )
    return Fragments(face_id, barycentrics, depth)


def interpolate(
    attributes: Float[Tensor, "v a"], faces: Int[Tensor, "f 3"], fragments: Fragments
) -> Float[Tensor, "h w a"]:
    """Vertex attributes at the points seen; zero where nothing is. Gradients to the attributes and the barycentrics."""
    seen = fragments.face_id >= 0
    corners = faces[fragments.face_id[seen].long()].long()  # [p, 3]
    values = (attributes[corners] * fragments.barycentrics[seen].to(attributes.dtype).unsqueeze(-1)).sum(1)
    image = attributes.new_zeros(*seen.shape, attributes.shape[1])
    return image.index_put((seen,), values)


def coverage(
    positions: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    fragments: Fragments,
    *,
    near: float = 0.01,
    backend: str | None = None,
) -> Float[Tensor, "h w"]:
    """How much of each pixel the mesh covers, antialiased along the outline, with gradients to the positions.

    `fragments` are those of `rasterize` for the same mesh and camera. The rule is that of `silhouette/__init__.py`.
    """
    height, width = fragments.face_id.shape
    _check(positions, faces, width, height)
    return coverage_of(positions, faces, extrinsics, intrinsics, fragments.face_id >= 0, near=near, backend=backend)


def _check(positions: Tensor, faces: Tensor, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"an image needs at least one pixel, got {width} x {height}")
    if not positions.detach().sum().isfinite() and (bad := int((~positions.isfinite()).any(1).sum())):
        raise ValueError(f"{bad} of {len(positions)} positions are not finite")
    if faces.numel() and not 0 <= int(faces.min()) <= int(faces.max()) < len(positions):
        low, high = int(faces.min()), int(faces.max())
        raise ValueError(f"faces must name vertices in [0, {len(positions)}), got indices in [{low}, {high}]")
