"""Draw 3D Gaussians: projection, screen-space filter, front-to-back compositing; gradients to every parameter."""

from jaxtyping import Float
from torch import Tensor

from trellis_ops._dispatch import Op

_op = Op("splat", __name__, ("gsplat", "cpu", "reference"))


def splat(
    means: Float[Tensor, "g 3"],
    quats: Float[Tensor, "g 4"],
    scales: Float[Tensor, "g 3"],
    opacities: Float[Tensor, " g"],
    colours: Float[Tensor, "g 3"],
    extrinsics: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    *,
    width: int,
    height: int,
    background: Float[Tensor, "3"],
    mip_filter: float = 0.1,
    backend: str | None = None,
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """One view of `splat_views`: the image over `background`, and its alpha."""
    images, alphas = splat_views(
        means,
        quats,
        scales,
        opacities,
        colours,
        extrinsics[None],
        intrinsics[None],
        width=width,
        height=height,
        background=background,
        mip_filter=mip_filter,
        backend=backend,
    )
    return images[0], alphas[0]


def splat_views(
    means: Float[Tensor, "g 3"],
    quats: Float[Tensor, "g 4"],
    scales: Float[Tensor, "g 3"],
    opacities: Float[Tensor, " g"],
    colours: Float[Tensor, "g 3"],
    extrinsics: Float[Tensor, "v 4 4"],
    intrinsics: Float[Tensor, "v 3 3"],
    *,
    width: int,
    height: int,
    background: Float[Tensor, "3"],
    mip_filter: float = 0.1,
    backend: str | None = None,
) -> tuple[Float[Tensor, "v h w 3"], Float[Tensor, "v h w"]]:
    """Images of one set of Gaussians from several cameras, composited front to back over `background`.

    A pixel's centre lies at its integer place + 0.5. Gaussians at depths of 0.2 or less are left out; the others are
    taken in the order of their depth (rounded to float32; equal depths in the order given). With `power` the exponent
    at the pixel, alpha = min(0.99, opacity * exp(power)); alphas under 1/255 are skipped, and a pixel ends before the
    Gaussian that would bring its transmittance under 1e-4. There is no cut at three standard deviations: a pixel does
    not depend on how the image is tiled.

    Args:
        means: centres, in cube edges.
        quats: rotations as w, x, y, z; of any length but zero (normalised here).
        scales: standard deviations along the rotated axes, in cube edges.
        opacities: in [0, 1].
        colours: any three channels; not clamped.
        extrinsics: world to camera, OpenCV axes: x right, y down, z forward.
        intrinsics: pinhole, normalised: fx and cx divided by the image width, fy and cy by its height.
        background: the colour behind the last Gaussian; gradients flow to it too.
        mip_filter: variance in px^2 added to each projected Gaussian; its opacity shrinks by
            sqrt(det before / (det after + 1e-6) + 1e-6), so that thin Gaussians do not swell.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        Images and alphas (1 - transmittance), in the dtype of `means`. Gradients flow to means, quats, scales,
        opacities and colours; none to the cameras. Equal inputs give equal bytes, gradients included (gsplat: no).

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: no view, an empty image, or a negative filter.

    Source: Kerbl et al. (arXiv:2308.04079) with the 2D filter of Mip-Splatting (arXiv:2311.16493), constants as in the
    published renderer. That one also cuts at 3 sigma, rounded up to tiles; the difference is at most 0.011 an alpha.
    """
    if len(extrinsics) == 0 or width < 1 or height < 1:
        raise ValueError(f"splat needs a view and a pixel, got {len(extrinsics)} views of {width} x {height}")
    if not mip_filter >= 0:
        raise ValueError(f"mip_filter must not be negative, got {mip_filter}")
    return _op(
        means,
        quats,
        scales,
        opacities,
        colours,
        extrinsics,
        intrinsics,
        width=width,
        height=height,
        background=background,
        mip_filter=mip_filter,
        backend=backend,
    )
