"""Picture metrics under a mask, against scikit-image and against plain loops; what lies outside has no say."""

import numpy as np
import torch
from skimage.metrics import structural_similarity

from trellis_cli.metrics.image import masked_psnr, masked_ssim, outside_equal, psnr, ssim


def pair(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(2, 3, 40, 36, generator=rng)
    return images, (images + 0.1 * torch.randn(images.shape, generator=rng)).clamp(0, 1)


def test_psnr_counts_the_mask_s_pixels_alone(rng: torch.Generator) -> None:
    images, others = pair(rng)
    mask = torch.rand(2, 40, 36, generator=rng) > 0.6
    got = masked_psnr(images, others, mask)
    for k in range(2):
        squares = [
            float((images[k, c, y, x] - others[k, c, y, x]) ** 2)
            for y, x in mask[k].nonzero().tolist()
            for c in range(3)
        ]
        assert abs(float(got[k]) + 10 * np.log10(np.mean(squares))) < 1e-4
    spoilt = torch.where(mask[:, None], others, torch.zeros_like(others))
    assert torch.equal(masked_psnr(images, spoilt, mask), got)
    everything = torch.ones_like(mask)
    torch.testing.assert_close(masked_psnr(images, others, everything), psnr(images, others))


def test_ssim_under_a_mask_is_the_mean_of_scikit_image_s_map_there(rng: torch.Generator) -> None:
    """Away from the picture's border, where scikit-image pads otherwise."""
    images, others = pair(rng)
    mask = torch.zeros(2, 40, 36, dtype=torch.bool)
    mask[:, 8:30, 9:25] = True
    mask[1, 12:18, 12:18] = False
    got = masked_ssim(images, others, mask)
    for k in range(2):
        a, b = (np.moveaxis(outside_equal(x, mask)[k].double().numpy(), 0, -1) for x in (images, others))
        _, whole = structural_similarity(
            a,
            b,
            channel_axis=-1,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        assert abs(float(got[k]) - whole[mask[k].numpy()].mean()) < 1e-5
    spoilt = torch.where(mask[:, None], others, torch.zeros_like(others))
    assert torch.equal(masked_ssim(images, spoilt, mask), got)
    torch.testing.assert_close(
        masked_ssim(images, others, torch.ones_like(mask)).mean(), ssim(images, others), atol=1e-6, rtol=1e-6
    )


def test_a_mask_without_a_pixel_has_no_score() -> None:
    images = torch.rand(1, 3, 16, 16)
    nothing = torch.zeros(1, 16, 16, dtype=torch.bool)
    assert masked_psnr(images, images, nothing).isnan().all()
    assert masked_ssim(images, images, nothing).isnan().all()
