"""The definition: every face against every pixel's ray, in float64; gradients are autograd's, through the winner."""

import torch
from torch import Tensor


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(
    positions: Tensor,
    faces: Tensor,
    extrinsics: Tensor,
    intrinsics: Tensor,
    *,
    width: int,
    height: int,
    near: float,
    beyond: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    w2c, K = extrinsics.double(), intrinsics.double()
    camera = positions.double() @ w2c[:3, :3].T + w2c[:3, 3]
    column, row = torch.arange(width, device=camera.device), torch.arange(height, device=camera.device)
    ray_x = ((column.double() + 0.5) / width - K[0, 2]) / K[0, 0]
    ray_y = ((row.double() + 0.5) / height - K[1, 2]) / K[1, 1]
    rays = torch.stack([*torch.meshgrid(ray_x, ray_y, indexing="xy"), torch.ones_like(ray_x).expand(height, width)], -1)
    behind = camera.new_zeros(height, width) if beyond is None else beyond

    face_id = torch.full((height, width), -1, dtype=torch.int32, device=camera.device)
    nearest = torch.full((height, width), torch.inf, dtype=torch.float64, device=camera.device)
    barycentrics, depth = camera.new_zeros(height, width, 3), camera.new_zeros(height, width)
    for index, (a, b, c) in enumerate(camera[faces.long()]):
        sides = torch.stack(
            [rays @ torch.linalg.cross(b, c), rays @ torch.linalg.cross(c, a), rays @ torch.linalg.cross(a, b)], -1
        )
        total = sides.sum(-1)
        inside = ((sides >= 0).all(-1) | (sides <= 0).all(-1)) & (total != 0)
        total = torch.where(inside, total, 1.0)
        z = a @ torch.linalg.cross(b, c) / total
        wins = inside & (z >= near) & (z.to(positions.dtype) > behind) & (z < nearest)
        face_id = torch.where(wins, index, face_id)
        nearest = torch.where(wins, z.detach(), nearest)
        depth = torch.where(wins, z, depth)
        barycentrics = torch.where(wins[..., None], sides / total[..., None], barycentrics)
    return face_id.int(), barycentrics.to(positions.dtype), depth.to(positions.dtype)
