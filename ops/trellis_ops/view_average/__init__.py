"""Average multi-view image features at the active voxels."""

from jaxtyping import Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("view_average", __name__, ("cpu", "reference"))


def view_average(
    coords: Int[Tensor, "n 3"],
    feature_maps: Float[Tensor, "v c h w"],
    extrinsics: Float[Tensor, "v 4 4"],
    intrinsics: Float[Tensor, "v 3 3"],
    *,
    resolution: int,
    backend: str | None = None,
) -> Float[Tensor, "n c"]:
    """Mean over the views of the bilinear sample at each voxel centre's projection.

    There are no gradients: the maps come from an encoder that is not trained.

    Args:
        coords: voxel indices in [0, resolution); the centre of i lies at (i + 0.5) / resolution - 0.5.
        feature_maps: one map a view, row 0 at the image's top. Texels outside a map are zero, so a voxel that
            projects out of a view, or lies behind the camera, samples zero there, and the view still counts.
        extrinsics: world to camera (w2c), OpenCV axes: x right, y down, z forward; lengths in cube edges.
        intrinsics: pinhole, normalised: fx and cx divided by the image width, fy and cy by its height; no skew.
        resolution: voxels along one edge of the cube [-0.5, 0.5]^3.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Features in the order of `coords`, in the dtype of `feature_maps`; projections and sums are in float64 for
        float64 maps, else in float32 or better.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: no view, or a voxel outside the grid.

    Source: TRELLIS (arXiv:2412.01506), section 3.1, the aggregation of visual features. Occlusion is ignored there
    too: every view votes, seen or not.
    """
    if feature_maps.shape[0] == 0:
        raise ValueError("view_average needs at least one view, got feature_maps with v = 0")
    if coords.numel():
        low, high = int(coords.min()), int(coords.max())
        if not 0 <= low <= high < resolution:
            raise ValueError(f"coords must lie in [0, {resolution}), got values in [{low}, {high}]")
    return _op(coords, feature_maps, extrinsics, intrinsics, resolution=resolution, backend=backend)
