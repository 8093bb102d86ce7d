"""PSNR and SSIM against scikit-image, and SSIM's gradient against differences."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from trellis_cli.metrics.image import psnr, ssim


@pytest.fixture
def pictures(rng) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pairs of 3 x 23 x 31 pictures, double, the second pair farther apart."""
    images = torch.rand(2, 3, 23, 31, generator=rng, dtype=torch.float64)
    noise = torch.randn(2, 3, 23, 31, generator=rng, dtype=torch.float64)
    return images, (images + torch.tensor([0.05, 0.2])[:, None, None, None] * noise).clamp(0, 1)


def test_psnr(pictures):
    images, others = pictures
    want = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1) for a, b in zip(images, others, strict=True)]
    np.testing.assert_allclose(psnr(images, others), want)
    assert torch.isinf(psnr(images, images)).all()


def by_skimage(a: torch.Tensor, b: torch.Tensor) -> float:
    """scikit-image's mean over the interior, with the window and the variances of the original paper."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    return structural_similarity(a.numpy(), b.numpy(), channel_axis=0, **options)


def test_ssim_without_border(pictures):
    images, others = pictures
    for a, b in zip(images, others, strict=True):
        assert float(ssim(a[None], b[None], border="crop")) == pytest.approx(by_skimage(a, b), abs=1e-12)
    both = np.mean([by_skimage(a, b) for a, b in zip(images, others, strict=True)])
    assert float(ssim(images, others, border="crop")) == pytest.approx(both, abs=1e-12)


def test_ssim_with_zeros_outside(pictures):
    """Padding by hand with the window's 5 zeros must give the same as asking for it."""
    images, others = (torch.nn.functional.pad(t, (5, 5, 5, 5)) for t in pictures)
    want = ssim(images, others, border="crop")
    torch.testing.assert_close(ssim(*pictures, border="zero"), want)
    assert float(ssim(*pictures)) != float(ssim(*pictures, border="crop"))


def test_ssim_of_equals_is_one_and_it_has_a_gradient(pictures):
    images, others = (t[:1, :1, :4, :6].clone().requires_grad_() for t in pictures)
    torch.testing.assert_close(ssim(images, images), torch.tensor(1.0, dtype=torch.float64))
    assert torch.autograd.gradcheck(ssim, (images, others))


def test_ssim_says_what_it_cannot_do():
    small = torch.zeros(1, 3, 10, 20)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(small, small, border="crop")
    assert float(ssim(small, small)) == 1
