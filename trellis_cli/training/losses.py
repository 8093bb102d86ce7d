"""The losses of the paper's section 3 and appendix A that belong to no single network."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

ImageDistance = Callable[[Tensor, Tensor], Tensor]


def dice(logits: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """1 - (2 sum(p t) + 1) / (sum p + sum t + 1) over the whole batch, p = sigmoid(logits): active voxels are rare."""
    p = logits.float().sigmoid()
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


def kl(mean: Float[Tensor, "*shape"], logvar: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Divergence of N(mean, exp(logvar)) from N(0, 1), averaged over all elements."""
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1).mean()


def kl_of_assets(
    mean: Float[Tensor, "n c"], logvar: Float[Tensor, "n c"], lengths: Int[Tensor, " b"]
) -> Float[Tensor, ""]:
    """`kl` of each asset, averaged over assets: however a batch is divided, its parts add up to the same."""
    parts = zip(mean.split(lengths.tolist()), logvar.split(lengths.tolist()), strict=True)
    return torch.stack([kl(m, v) for m, v in parts]).mean()


def reconstruction(
    got: Float[Tensor, "v c h w"],
    want: Float[Tensor, "v c h w"],
    *,
    ssim: ImageDistance,
    lpips: ImageDistance | None,
    weight: float = 0.2,
) -> dict[str, Tensor]:
    """L_recon of the paper: L1 + 0.2 (1 - SSIM) + 0.2 LPIPS, for pictures in [0, 1]. Terms and their sum `image`."""
    terms = {"l1": F.l1_loss(got, want), "ssim": 1 - ssim(got, want)}
    total = terms["l1"] + weight * terms["ssim"]
    if lpips is not None:
        terms["lpips"] = lpips(got, want).mean()
        total = total + weight * terms["lpips"]
    return terms | {"image": total}


def volume(scales: Float[Tensor, "g 3"]) -> Float[Tensor, ""]:
    """L_vol: mean over Gaussians of the product of their scales."""
    return scales.prod(dim=-1).mean()


def transparency(opacities: Float[Tensor, " g"]) -> Float[Tensor, ""]:
    """L_alpha: mean (1 - opacity)^2."""
    return (1 - opacities).square().mean()


def sample_posterior(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """mean + std * noise."""
    return mean + (0.5 * logvar.float()).exp().to(mean) * noise.to(mean)
