"""The definition, one Gaussian after the other over all pixels. Slow, in float64; gradients by torch autograd."""

import torch
from torch import Tensor

NEAR = 0.2  # Gaussians at this depth or nearer are not drawn
ALPHA_MIN, ALPHA_MAX = 1 / 255, 0.99
TRANSMITTANCE_MIN = 1e-4


def refusal(*args: object, **kwargs: object) -> None:
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
    gaussians = means.double(), quats.double(), scales.double(), opacities.double(), colours.double()
    views = [
        _view(*gaussians, w2c.double(), K.double(), width, height, background.double(), mip_filter)
        for w2c, K in zip(extrinsics, intrinsics, strict=True)
    ]
    images, alphas = zip(*views, strict=True)
    return torch.stack(images).to(means.dtype), torch.stack(alphas).to(means.dtype)


def _view(means, quats, scales, opacities, colours, w2c, K, width, height, background, mip_filter):
    camera = means @ w2c[:3, :3].T + w2c[:3, 3]
    order = torch.argsort(camera[:, 2].float(), stable=True)
    order = order[camera[order, 2] > NEAR]
    uv, cov = project(camera[order], quats[order], scales[order], w2c, K, width, height)
    det_before = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
    cov = cov + mip_filter * torch.eye(2, dtype=cov.dtype, device=cov.device)
    det = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
    drawn = (det_before > 1e-6) & (det > 1e-6)
    order, uv, cov, det_before, det = order[drawn], uv[drawn], cov[drawn], det_before[drawn], det[drawn]
    opacity = opacities[order] * (det_before / (det + 1e-6) + 1e-6).sqrt()

    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64, device=means.device) + 0.5,
        torch.arange(width, dtype=torch.float64, device=means.device) + 0.5,
        indexing="ij",
    )
    image = torch.zeros(height, width, 3, dtype=torch.float64, device=means.device)
    transmittance = torch.ones(height, width, dtype=torch.float64, device=means.device)
    ended = torch.zeros(height, width, dtype=torch.bool, device=means.device)
    for i, colour in enumerate(colours[order]):
        dx, dy = x - uv[i, 0], y - uv[i, 1]
        # cov is [[a, b], [b, c]]; its inverse is [[c, -b], [-b, a]] / det.
        power = -0.5 * (cov[i, 1, 1] * dx**2 - 2 * cov[i, 0, 1] * dx * dy + cov[i, 0, 0] * dy**2) / det[i]
        alpha = (opacity[i] * power.exp()).clamp(max=ALPHA_MAX)
        alpha = torch.where((alpha >= ALPHA_MIN) & ~ended, alpha, 0.0)
        after = transmittance * (1 - alpha)
        ended = ended | (after < TRANSMITTANCE_MIN)
        alpha = torch.where(ended, 0.0, alpha)
        image = image + (transmittance * alpha)[..., None] * colour
        transmittance = torch.where(ended, transmittance, after)
    return image + transmittance[..., None] * background, 1 - transmittance


def project(camera, quats, scales, w2c, K, width, height) -> tuple[Tensor, Tensor]:
    """Centres [g, 2] and covariances [g, 2, 2] in pixels, before the filter, of centres in camera coordinates."""
    w, x, y, z = (quats / quats.norm(dim=1, keepdim=True)).unbind(1)
    rotation = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=1,
    ).unflatten(1, (3, 3))  # fmt: skip
    fx, fy, cx, cy = K[0, 0] * width, K[1, 1] * height, K[0, 2] * width, K[1, 2] * height
    x, y, z = camera.unbind(1)
    uv = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=1)
    # The slope is held to the image and 15 % of it on each side, else Gaussians far outside grow without bound.
    slope_x = (x / z).clamp(-(cx + 0.15 * width) / fx, (1.15 * width - cx) / fx)
    slope_y = (y / z).clamp(-(cy + 0.15 * height) / fy, (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], dim=1).unflatten(
        1, (2, 3)
    )
    half = jacobian @ w2c[:3, :3] @ rotation * scales[:, None, :]
    return uv, half @ half.transpose(1, 2)
