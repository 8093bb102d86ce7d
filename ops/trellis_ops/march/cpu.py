"""Tiles of 16 x 16 pixels on all cores, compiled by numba; exact gradients of the definition, in float32.

What lies on a CUDA device is copied to the CPU, and the images back; gradients go the same way.
"""

import numpy as np
import torch
from torch import Tensor

MAX_CELLS = 128  # of an axis: a ray's samples in one voxel fit the kernel's list


def refusal(coords: Tensor, factors: Tensor, *args: Tensor, **kwargs: object) -> str | None:
    if factors.device.type not in ("cpu", "cuda"):
        return f"factors is on {factors.device}, neither on the CPU nor on a CUDA device"
    if factors.dtype == torch.float64:
        return "factors is float64, this backend computes in float32"
    if factors.shape[3] > MAX_CELLS:
        return f"factors has {factors.shape[3]} cells along an axis, this backend takes up to {MAX_CELLS}"
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
    field = [t.cpu().float() for t in (factors, density, colours)]
    cameras = [t.cpu().double() for t in (extrinsics, intrinsics)]
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in field)  # what backward needs is large
    images, alphas, depths = _March.apply(
        coords.cpu().int(), *field, *cameras, jitter.cpu().float(), resolution, width, height, learns
    )
    images = images + (1 - alphas)[..., None] * background.cpu().float()
    return images.to(factors), alphas.to(factors), depths.to(factors)


class _March(torch.autograd.Function):
    """Images over black, alphas and depths. Between the passes: what each pixel was before each voxel that it meets."""

    @staticmethod
    def forward(
        ctx, coords, factors, density, colours, extrinsics, intrinsics, jitter, resolution, width, height, learns
    ):
        from trellis_ops.march import _rays, _tiles

        coords, d, num_views = _array(coords), factors.shape[3], len(extrinsics)
        cameras, origins, directions = _cameras(extrinsics, intrinsics, resolution, width, height)
        rows = num_views * len(coords)
        boxes, places = np.empty((rows, 4), np.int32), np.empty(rows + 1, np.int64)
        _tiles.bound(coords, cameras, _array(intrinsics), width, height, boxes)
        tiles_x, tiles_y = -(-width // _tiles.TILE), -(-height // _tiles.TILE)
        counts = np.zeros(num_views * tiles_x * tiles_y, np.int64)
        _tiles.count(boxes, num_views, tiles_x, tiles_y, counts, places)
        tile_starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        members = np.empty(tile_starts[-1], np.int32)
        _tiles.fill(coords, origins, boxes, tiles_x, tiles_y, tile_starts, members)

        blocks = -(-factors.shape[1] // 16)
        table = _table(_array(factors), _array(density), _array(colours), blocks)
        images = np.empty((num_views, height, width, 3), np.float32)
        transmittances, depths = np.empty((2, num_views, height, width), np.float32)
        before = np.zeros((places[-1] if learns else 0, 5), np.float32)
        tiles = _balanced(counts), tile_starts, members, tiles_x, tiles_y
        voxels = coords, boxes, places
        rays = d, origins, directions, _array(jitter), 0.5 / (resolution * d)
        _rays.march(*tiles, *voxels, table, blocks, *rays, images, transmittances, depths, before)

        ctx.geometry, ctx.pixels = (voxels, blocks, rays), (transmittances, before)
        outputs = torch.from_numpy(images), torch.from_numpy(depths)
        ctx.save_for_backward(factors, density, colours, *outputs)
        return outputs[0], torch.from_numpy(1 - transmittances), outputs[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_images, g_alphas, g_depths):
        from trellis_ops.march import _rays

        factors, density, colours, images, depths = (_array(t) for t in ctx.saved_tensors)
        (voxels, blocks, rays), (transmittances, before) = ctx.geometry, ctx.pixels
        table = _table(factors, density, colours, blocks)
        gradients = [np.empty_like(a) for a in (factors, density, colours)]
        order = _balanced(np.diff(voxels[2]).reshape(len(images), -1).sum(0))
        _rays.march_backward(
            order, *voxels, table, blocks, *rays, images, transmittances, depths, before,
            *(_array(g) for g in (g_images, g_alphas, g_depths)), *gradients,
        )  # fmt: skip
        return None, *(torch.from_numpy(a) for a in gradients), *(None,) * 7


def _table(factors: np.ndarray, density: np.ndarray, colours: np.ndarray, blocks: int) -> np.ndarray:
    """The field as the kernels take it, flat: see `_rays.pack`."""
    from trellis_ops.march import _rays

    n, _, _, d = factors.shape
    table = np.zeros((n, blocks, 3 * d + 4, 16), np.float32)
    _rays.pack(factors, density, colours, table)
    return table.reshape(-1)


def _cameras(
    extrinsics: Tensor, intrinsics: Tensor, resolution: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices [v, 3, 4] from places in the grid, in voxels, to the camera; where it stands there [v, 3]; matrices
    [v, 3, 3] from (column, row, 1) to the direction of that pixel's ray in the world, with z = 1 in the camera.
    """
    to_cube = torch.eye(4, dtype=torch.float64) / resolution
    to_cube[:3, 3], to_cube[3, 3] = -0.5, 1
    rotations = torch.linalg.inv(extrinsics[:, :3, :3])
    origins = (0.5 - (rotations @ extrinsics[:, :3, 3:])[..., 0]) * resolution
    centres = [[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]]
    directions = rotations @ torch.linalg.inv(intrinsics) @ torch.tensor(centres, dtype=torch.float64)
    return _array(extrinsics[:, :3] @ to_cube), _array(origins), _array(directions)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _balanced(counts: np.ndarray) -> np.ndarray:
    """Items dealt out by their work, most first: each thread works one stretch of the list, so all end together."""
    from numba import get_num_threads

    heavy_first = np.argsort(-counts, kind="stable")
    return np.concatenate([heavy_first[thread :: get_num_threads()] for thread in range(get_num_threads())])
