"""Gaussians and cameras to images, with gradients to the Gaussians."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import to_colours
from trellis_ops.splat import splat_views


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    size: int,
    background: Sequence[float] | Float[Tensor, "3"] = (0.0, 0.0, 0.0),
    mip_filter: float = 0.1,
    backend: str | None = None,
) -> tuple[Float[Tensor, "v h w 3"], Float[Tensor, "v h w"]]:
    """Square images over `background`, and alphas; on the Gaussians' device. Colours may go above 1, not under 0.

    Only the constant harmonic is drawn. mip_filter is in px^2: the published 0.1 belongs to the size that was trained
    at, and at other sizes thins or thickens what is smaller than a pixel.

    Raises:
        BackendUnavailable, ValueError: see `trellis_ops.splat`.
    """
    return splat_views(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        to_colours(gaussians.sh[:, 0]),
        cameras.extrinsics.to(gaussians.means),
        cameras.intrinsics.to(gaussians.means),
        width=size,
        height=size,
        background=torch.as_tensor(background).to(gaussians.means),
        mip_filter=mip_filter,
        backend=backend,
    )
