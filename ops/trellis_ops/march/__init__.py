"""Draw a radiance field in voxels, each a sum of products of three vectors: ray marching, gradients to the field."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("march", __name__, ("cpu", "reference"))


def march(
    coords: Int[Tensor, "n 3"],
    factors: Float[Tensor, "n r 3 d"],
    density: Float[Tensor, "n r"],
    colours: Float[Tensor, "n r 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    *,
    resolution: int,
    width: int,
    height: int,
    background: Float[Tensor, "3"],
    jitter: float | Float[Tensor, "h w"] = 0.5,
    backend: str | None = None,
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """One view of `march_views`: the image over `background`, its alpha, its depth."""
    images, alphas, depths = march_views(
        coords,
        factors,
        density,
        colours,
        extrinsics[None],
        intrinsics[None],
        resolution=resolution,
        width=width,
        height=height,
        background=background,
        jitter=jitter[None] if isinstance(jitter, Tensor) else jitter,
        backend=backend,
    )
    return images[0], alphas[0], depths[0]


def march_views(
    coords: Int[Tensor, "n 3"],
    factors: Float[Tensor, "n r 3 d"],
    density: Float[Tensor, "n r"],
    colours: Float[Tensor, "n r 3"],
    extrinsics: Float[Tensor, "v 4 4"],
    intrinsics: Float[Tensor, "v 3 3"],
    *,
    resolution: int,
    width: int,
    height: int,
    background: Float[Tensor, "3"],
    jitter: float | Float[Tensor, "v h w"] = 0.5,
    backend: str | None = None,
) -> tuple[Float[Tensor, "v h w 3"], Float[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """Images of one radiance field from several cameras, composited front to back over `background`.

    A pixel's centre lies at its integer place + 0.5. Its ray is sampled at the distances (k + jitter) * step from the
    camera, k = 0, 1, ..., with step = 0.5 / (resolution * d): half a cell. Samples outside of all voxels count for
    nothing; so the voxel that a sample lies in (lower faces included, upper ones not) is all there is to sort. There,
    with p the sample's place in the voxel in [0, 1)^3:

        u = p * d - 0.5, cell = clamp(floor(u), 0, d - 2), factor = lerp(cell, cell + 1; u - cell), for each axis
            (up to half a cell at the voxel's border is extrapolated)
        P = the product of the three factors, for each rank
        sigma = softplus(sum of density * P), colour = sigmoid(0.28209479 * sum of colours * P)
        alpha = min(1 - exp(-sigma * step), 0.999)

    and a ray ends after the sample that brings its transmittance under 1e-3.

    Args:
        coords: voxel indices x, y, z, each voxel once, in any order.
        factors: values of each rank along x, y and z at the centres of d cells.
        density: weight of each rank; sigma is in 1 / cube edge.
        colours: weight of each rank in each of three channels.
        extrinsics: world to camera, OpenCV axes: x right, y down, z forward; world: the cube [-0.5, 0.5]^3.
        intrinsics: pinhole, normalised: fx and cx divided by the image width, fy and cy by its height.
        resolution: voxels along the cube's edge.
        background: the colour behind the field; gradients flow to it too.
        jitter: where in its step each sample lies, in [0, 1]; one for all, or one a pixel (drawn anew for each image
            in training, so that the steps leave no rings).
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Images, alphas (1 - transmittance) and depths, in the dtype of `factors`. A depth is the sum of weight * z over
        the ray's samples, z along the camera's axis, in cube edges: for the mean depth divide by alpha. Gradients flow
        to factors, density and colours; none to the cameras. Equal inputs give equal bytes, gradients included.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: no view, an empty image, fewer than two cells, voxels outside of the grid or given twice, or a
            jitter outside of [0, 1].

    Source: Gao et al. (Strivec, arXiv:2307.13226), with the constants of the published renderer. Where the samples lie
    and what a depth is are not written anywhere: they were found by fitting a port of that renderer, to 2e-7.
    """
    if len(extrinsics) == 0 or width < 1 or height < 1:
        raise ValueError(f"march needs a view and a pixel, got {len(extrinsics)} views of {width} x {height}")
    if factors.shape[3] < 2:
        raise ValueError(f"march needs two cells or more along an axis, got {factors.shape[3]}")
    _check_coords(coords, resolution)
    if not isinstance(jitter, Tensor):
        jitter = torch.full((len(extrinsics), height, width), jitter, dtype=torch.float32, device=factors.device)
    if not bool(((jitter >= 0) & (jitter <= 1)).all()):
        raise ValueError(f"jitter must lie in [0, 1], got {float(jitter.min())} to {float(jitter.max())}")
    return _op(
        coords,
        factors,
        density,
        colours,
        extrinsics,
        intrinsics,
        resolution=resolution,
        width=width,
        height=height,
        background=background,
        jitter=jitter,
        backend=backend,
    )


def _check_coords(coords: Int[Tensor, "n 3"], resolution: int) -> None:
    if not len(coords):
        return
    low, high = int(coords.min()), int(coords.max())
    if low < 0 or high >= resolution:
        raise ValueError(f"coords must lie in [0, {resolution}), got {low} to {high}")
    x, y, z = coords.long().T
    places = (x * resolution + y) * resolution + z
    if twice := len(places) - len(places.unique()):
        raise ValueError(f"coords must hold each voxel once, {twice} of {len(places)} are there already")
