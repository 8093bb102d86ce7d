"""Hand the call to gsplat (Apache-2.0), for training on a GPU. Its sums are atomic: gradients differ by rounding."""

from importlib.util import find_spec

import torch
from torch import Tensor

from trellis_ops.splat.reference import NEAR


def refusal(means: Tensor, *args: object, **kwargs: object) -> str | None:
    if find_spec("gsplat") is None:
        return "gsplat is not installed (pip install 'trellis-slat[gpu]')"
    if not means.is_cuda:
        return f"means is on {means.device}, not a CUDA device"
    if means.dtype != torch.float32:
        return f"means is {means.dtype}, gsplat computes in float32"
    return None


def run(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colours: Tensor,
    extrinsics: Tensor,
    intrinsics: Tensor,
    *,
    width: int,
    height: int,
    background: Tensor,
    mip_filter: float,
) -> tuple[Tensor, Tensor]:
    from gsplat import rasterization

    if len(means) == 0:  # gsplat's kernels do not take empty launches
        images = background.to(means).expand(len(extrinsics), height, width, 3).clone()
        return images, images.new_zeros(images.shape[:3])
    pixels = intrinsics.new_tensor([[width], [height], [1]])  # gsplat's intrinsics are in pixels
    images, alphas, _ = rasterization(
        means,
        quats,
        scales,
        opacities,
        colours,
        viewmats=extrinsics.to(means),
        Ks=(intrinsics * pixels).to(means),
        width=width,
        height=height,
        near_plane=NEAR,
        eps2d=mip_filter,
        packed=False,
        rasterize_mode="antialiased",
    )
    alphas = alphas[..., 0]
    return images + (1 - alphas)[..., None] * background.to(means), alphas
