"""Tiles of 16 x 16 pixels on all cores, compiled by numba; exact gradients of the definition, in float32.

What lies on a CUDA device is copied to the CPU, and the images back; gradients go the same way.
"""

import numpy as np
import torch
from torch import Tensor

ROWS_AT_ONCE = 1 << 22  # Gaussians times views: each takes about 100 bytes while it is drawn


def refusal(means: Tensor, *args: Tensor, **kwargs: object) -> str | None:
    if means.device.type not in ("cpu", "cuda"):
        return f"means is on {means.device}, neither on the CPU nor on a CUDA device"
    if means.dtype == torch.float64:
        return "means is float64, this backend computes in float32"
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
    gaussians = [t.cpu().float() for t in (means, quats, scales, opacities, colours)]
    num = max(1, ROWS_AT_ONCE // max(1, len(means)))
    parts = [
        _Splat.apply(*gaussians, w2c, K, width, height, mip_filter)
        for w2c, K in zip(extrinsics.cpu().split(num), intrinsics.cpu().split(num), strict=True)
    ]
    images, alphas = (torch.cat(part) for part in zip(*parts, strict=True))
    images = images + (1 - alphas)[..., None] * background.cpu().float()
    return images.to(means), alphas.to(means)


class _Splat(torch.autograd.Function):
    """Images over black, and alphas. Between the passes: footprints, tile lists, and each pixel's end."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colours, extrinsics, intrinsics, width, height, mip_filter):
        from trellis_ops.splat import _projection, _tiles

        gaussians = [_array(t) for t in (means, quats, scales, opacities)]
        camera = (_array(extrinsics.double()), _array(intrinsics.double()), width, height, float(mip_filter))
        num_views, rows = len(extrinsics), len(extrinsics) * len(means)
        depths, centres = np.empty(rows, np.float32), np.empty((rows, 2), np.float64)
        conics, boxes = np.empty((rows, 5), np.float32), np.empty((rows, 4), np.int32)
        _projection.project(*gaussians, *camera, depths, centres, conics, boxes)

        tiles_x, tiles_y = -(-width // _tiles.TILE), -(-height // _tiles.TILE)
        starts, counts = np.empty(rows + 1, np.int64), np.zeros(num_views * tiles_x * tiles_y, np.int64)
        _tiles.count(boxes, num_views, tiles_x, tiles_y, starts, counts)
        tile_starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        members = np.empty(tile_starts[-1], np.int32)
        _tiles.fill(depths, boxes, num_views, tiles_x, tiles_y, tile_starts, members)

        order = _balanced(counts)
        images = np.empty((num_views, height, width, 3), np.float32)
        transmittance = np.empty((num_views, height, width), np.float32)
        last = np.empty((num_views, height, width), np.int32)
        tiles = (order, tile_starts, members, tiles_x, tiles_y, centres, conics)
        _tiles.composite(*tiles, _array(colours), images, transmittance, last)

        ctx.save_for_backward(means, quats, scales, opacities, colours)
        ctx.camera, ctx.tiles, ctx.rest = camera, tiles, (boxes, starts, transmittance, last)
        return torch.from_numpy(images), torch.from_numpy(1 - transmittance)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_images, g_alphas):
        from trellis_ops.splat import _projection, _tiles

        *gaussians, colours = (_array(t) for t in ctx.saved_tensors)
        boxes, starts, transmittance, last = ctx.rest
        parts = np.zeros((starts[-1], 9), np.float32)
        pixels = (transmittance, last, _array(g_images), _array(g_alphas))
        _tiles.composite_backward(*ctx.tiles, boxes, starts, colours, *pixels, parts)
        gradients = [np.zeros_like(a) for a in (*gaussians, colours)]
        _projection.project_backward(*gaussians, *ctx.camera, starts, parts, *gradients)
        return *(torch.from_numpy(a) for a in gradients), None, None, None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _balanced(counts: np.ndarray) -> np.ndarray:
    """Tiles dealt out by their work, most first: each thread works one stretch of the list, so all end together."""
    from numba import get_num_threads

    heavy_first = np.argsort(-counts, kind="stable")
    return np.concatenate([heavy_first[thread :: get_num_threads()] for thread in range(get_num_threads())])
