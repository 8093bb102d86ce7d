"""PSNR and SSIM of pictures in [0, 1]; differentiable, so that SSIM is a loss too."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
OUTSIDE = 0.5  # grey level of both pictures outside a mask
C1, C2 = 0.01**2, 0.03**2  # of pictures whose values span 1


def psnr(images: Float[Tensor, "v c h w"], others: Float[Tensor, "v c h w"]) -> Float[Tensor, " v"]:
    """Peak signal-to-noise ratio of each pair, in dB: -10 log10 of the mean squared error; infinite for equal ones."""
    return -10 * (images - others).square().mean(dim=(1, 2, 3)).log10()


def ssim(
    images: Float[Tensor, "v c h w"], others: Float[Tensor, "v c h w"], *, border: Literal["zero", "crop"] = "zero"
) -> Float[Tensor, ""]:
    """Structural similarity, 1 for equal pictures; mean over pixels, channels and pairs.

    Args:
        border: "zero" takes pixels outside as black, as the published loss does; "crop" leaves out the 5 pixels along
            the border, where a window would reach outside: what scikit-image's figure is.

    Raises:
        ValueError: another border, or "crop" on pictures smaller than the window of 11 pixels.

    Source: Wang et al. 2004, with its Gaussian window of 11 x 11 and sigma 1.5, and population variances.
    """
    if border not in ("zero", "crop"):
        raise ValueError(f"border must be 'zero' or 'crop', got {border!r}")
    if border == "crop" and min(images.shape[2:]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels a side, got {tuple(images.shape[2:])}")
    return _ssim_map(images, others, border == "zero").mean()


def masked_psnr(
    images: Float[Tensor, "v c h w"], others: Float[Tensor, "v c h w"], mask: Bool[Tensor, "v h w"]
) -> Float[Tensor, " v"]:
    """PSNR of each pair over the pixels of its mask alone, in dB; NaN for a mask without any."""
    squares = (images - others).square().mean(dim=1) * mask
    return -10 * (squares.sum(dim=(1, 2)) / mask.sum(dim=(1, 2))).log10()


def masked_ssim(
    images: Float[Tensor, "v c h w"], others: Float[Tensor, "v c h w"], mask: Bool[Tensor, "v h w"]
) -> Float[Tensor, " v"]:
    """SSIM of each pair, mean over the pixels of its mask; NaN for a mask without any.

    Windows reach over the mask's edge: outside it both pictures are taken as `OUTSIDE`, so that what lies there has no
    say, and pixels beyond the picture as black.
    """
    structure = _ssim_map(outside_equal(images, mask), outside_equal(others, mask), True).mean(dim=1)
    return (structure * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))


def outside_equal(images: Float[Tensor, "v c h w"], mask: Bool[Tensor, "v h w"]) -> Float[Tensor, "v c h w"]:
    """Pictures with one grey level where their mask is not set, for metrics that look at whole pictures."""
    return torch.where(mask[:, None], images, torch.full_like(images, OUTSIDE))


def _ssim_map(images: Tensor, others: Tensor, pad: bool) -> Tensor:
    """[v, c, h, w], less the border where `pad` is not set."""
    stack = [images, others, images * images, others * others, images * others]
    mean_a, mean_b, aa, bb, ab = _blurred(torch.cat(stack, dim=1), pad).chunk(5, dim=1)
    variances = aa - mean_a.square() + bb - mean_b.square()
    covariance = ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    return luminance * (2 * covariance + C2) / (variances + C2)


def _blurred(images: Tensor, pad: bool) -> Tensor:
    """Each channel under the Gaussian window, first down, then across."""
    channels, margin = images.shape[1], WINDOW // 2
    at = torch.arange(WINDOW, dtype=torch.float64) - margin
    window = torch.exp(-0.5 * (at / SIGMA) ** 2)
    window = (window / window.sum()).to(images)
    down, across = (window.reshape(1, 1, *s).repeat(channels, 1, 1, 1) for s in ((WINDOW, 1), (1, WINDOW)))
    images = F.conv2d(images, down, padding=(margin * pad, 0), groups=channels)
    return F.conv2d(images, across, padding=(0, margin * pad), groups=channels)
