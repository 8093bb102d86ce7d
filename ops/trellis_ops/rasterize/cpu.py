"""Compiled for CPUs: faces are set up in parallel, then bands of rows are filled in parallel.

Every band goes through the faces in their order and owns its rows, so that there is no race and the number of threads
cannot change a pixel. All geometry is float64, as in the reference: the edge shared by two faces gives both of them the
same number with opposite sign, which is what leaves no crack between them.
Gradients: barycentrics and depth are computed once more, by torch, for the pixels that see a face.
What lies on a CUDA device is copied to the CPU, and the results back; gradients go the same way.
"""

import numpy as np
import torch
from torch import Tensor


def refusal(positions: Tensor, *args: object, **kwargs: object) -> str | None:
    if positions.device.type not in ("cpu", "cuda"):
        return f"positions are on {positions.device}, neither on the CPU nor on a CUDA device"
    if positions.dtype not in (torch.float32, torch.float64):
        return f"positions are {positions.dtype}, not float32 or float64"
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
    from trellis_ops.rasterize import _cpu_kernels as kernels

    device = positions.device
    positions, faces, extrinsics, intrinsics = (t.cpu() for t in (positions, faces, extrinsics, intrinsics))
    w2c = extrinsics.detach().double().numpy()
    K = intrinsics.detach().double().numpy()
    lens = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    corners = faces.detach().to(torch.int32).contiguous().numpy()
    camera = kernels.to_camera(np.ascontiguousarray(positions.detach().numpy()), w2c)
    sides, boxes = kernels.set_up(camera, corners, lens, width, height, near)
    dtype = np.float32 if positions.dtype == torch.float32 else np.float64
    behind = (
        np.empty((0, 0), dtype) if beyond is None else np.ascontiguousarray(beyond.detach().cpu().numpy().astype(dtype))
    )
    face_id = np.empty((height, width), np.int32)
    barycentrics, depth = np.empty((height, width, 3), dtype), np.empty((height, width), dtype)
    kernels.fill(sides, boxes, near, behind, face_id, barycentrics, depth)
    ids = torch.from_numpy(face_id)
    if positions.requires_grad and torch.is_grad_enabled():
        inside = _differentiable(positions, faces, extrinsics, intrinsics, ids)
    else:
        inside = torch.from_numpy(barycentrics), torch.from_numpy(depth)
    return ids.to(device), inside[0].to(device), inside[1].to(device)


def _differentiable(
    positions: Tensor, faces: Tensor, extrinsics: Tensor, intrinsics: Tensor, face_id: Tensor
) -> tuple[Tensor, Tensor]:
    """Barycentrics [h, w, 3] and depth [h, w] of the faces seen, as functions of the positions."""
    height, width = face_id.shape
    row, column = torch.nonzero(face_id >= 0, as_tuple=True)
    w2c, K = extrinsics.double(), intrinsics.double()
    camera = positions.double() @ w2c[:3, :3].T + w2c[:3, 3]
    a, b, c = camera[faces[face_id[row, column].long()].long()].unbind(1)  # [p, 3] each
    ray_x = ((column.double() + 0.5) / width - K[0, 2]) / K[0, 0]
    ray_y = ((row.double() + 0.5) / height - K[1, 2]) / K[1, 1]
    ray = torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], 1)
    bc = torch.linalg.cross(b, c)
    sides = torch.stack([bc, torch.linalg.cross(c, a), torch.linalg.cross(a, b)], 1) @ ray.unsqueeze(-1)  # [p, 3, 1]
    sides = sides.squeeze(-1)
    total = sides.sum(1)
    barycentrics = positions.new_zeros(height, width, 3)
    depth = positions.new_zeros(height, width)
    return (
        barycentrics.index_put((row, column), (sides / total.unsqueeze(1)).to(positions.dtype)),
        depth.index_put((row, column), ((a * bc).sum(1) / total).to(positions.dtype)),
    )
