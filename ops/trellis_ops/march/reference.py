"""The definition, one sample after the other along all rays. Slow, in float64; gradients by torch autograd."""

import math

import torch
from torch import Tensor

ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-3
C0 = 0.28209479  # the constant spherical harmonic


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(
    coords: Tensor,
    factors: Tensor,
    density: Tensor,
    colours: Tensor,
    extrinsics: Tensor,
    intrinsics: Tensor,
    *,
    resolution: int,
    width: int,
    height: int,
    background: Tensor,
    jitter: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    field = coords.long(), factors.double(), density.double(), colours.double()
    rays = zip(extrinsics.double(), intrinsics.double(), jitter.double(), strict=True)
    views = [_view(*field, *ray, resolution, width, height) for ray in rays]
    images, transmittances, depths = (torch.stack(part) for part in zip(*views, strict=True))
    images = images + transmittances[..., None] * background.double()
    return images.to(factors.dtype), (1 - transmittances).to(factors.dtype), depths.to(factors.dtype)


def _view(coords, factors, density, colours, w2c, K, jitter, resolution, width, height):
    step = 0.5 / (resolution * factors.shape[3])
    device = factors.device
    voxel_at = torch.full((resolution + 1,) * 3, -1, device=device)  # the last layer stands for all places outside
    voxel_at[tuple(coords.T)] = torch.arange(len(coords), device=device)
    origin, directions, slopes = _rays(w2c, K, width, height)
    image = torch.zeros(height, width, 3, dtype=torch.float64, device=device)
    depth = torch.zeros(height, width, dtype=torch.float64, device=device)
    transmittance = torch.ones(height, width, dtype=torch.float64, device=device)

    distance, radius = float(origin.norm()), math.sqrt(0.75)  # of the ball around the cube
    for k in range(max(0, int((distance - radius) / step) - 1), int((distance + radius) / step) + 1):
        t = (k + jitter) * step
        places = (origin + t[..., None] * directions + 0.5) * resolution
        cells = places.floor().long()
        outside = ((cells < 0) | (cells >= resolution)).any(-1)
        voxels = voxel_at[cells.masked_fill(outside[..., None], resolution).unbind(-1)]
        live = (voxels >= 0) & (transmittance.detach() >= TRANSMITTANCE_MIN)
        if not bool(live.any()):
            continue
        voxel = voxels[live]
        product = _products(factors[voxel], places[live] - coords[voxel])
        sigma = torch.nn.functional.softplus((density[voxel] * product).sum(1))
        colour = torch.sigmoid(C0 * (colours[voxel] * product[..., None]).sum(1))
        alpha = (1 - torch.exp(-sigma * step)).clamp(max=ALPHA_MAX)
        weight = transmittance[live] * alpha
        image = image.index_put((live,), weight[:, None] * colour, accumulate=True)
        depth = depth.index_put((live,), weight * (t * slopes)[live], accumulate=True)
        transmittance = transmittance.index_put((live,), -weight, accumulate=True)
    return image, transmittance, depth


def _rays(w2c, K, width, height) -> tuple[Tensor, Tensor, Tensor]:
    """Where the rays start [3], their unit directions [h, w, 3] in the world, and how far they go along z a length."""
    y, x = torch.meshgrid(
        (torch.arange(height, dtype=torch.float64, device=w2c.device) + 0.5) / height,
        (torch.arange(width, dtype=torch.float64, device=w2c.device) + 0.5) / width,
        indexing="ij",
    )
    rotation = torch.linalg.inv(w2c[:3, :3])
    directions = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ torch.linalg.inv(K).T  # z is 1 here
    directions = directions @ rotation.T
    slopes = 1 / directions.norm(dim=-1)
    return -rotation @ w2c[:3, 3], directions * slopes[..., None], slopes


def _products(factors: Tensor, places: Tensor) -> Tensor:
    """Each rank's product of three interpolated factors [m, r], at places [m, 3] in [0, 1)^3 of m voxels."""
    d = factors.shape[3]
    u = places * d - 0.5
    cell = u.floor().clamp(0, d - 2)
    fraction = (u - cell)[:, None]
    index = cell.long()[:, None, :, None].expand(*factors.shape[:3], 1)
    low, high = factors.gather(3, index)[..., 0], factors.gather(3, index + 1)[..., 0]
    return (low + fraction * (high - low)).prod(2)
