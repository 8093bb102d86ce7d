"""The definition, one voxel and one view at a time. Slow, in float64, and never optimised."""

import torch
from torch import Tensor


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(coords: Tensor, feature_maps: Tensor, extrinsics: Tensor, intrinsics: Tensor, *, resolution: int) -> Tensor:
    num_views, channels, height, width = feature_maps.shape
    maps, w2c, K = feature_maps.double(), extrinsics.double(), intrinsics.double()
    out = torch.zeros(len(coords), channels, dtype=torch.float64, device=feature_maps.device)
    for n, xyz in enumerate((coords.double() + 0.5) / resolution - 0.5):
        for v in range(num_views):
            x, y, z = w2c[v, :3, :3] @ xyz + w2c[v, :3, 3]
            if z <= 0:
                continue  # behind the camera: samples zero
            col = (K[v, 0, 0] * x / z + K[v, 0, 2]) * width - 0.5  # texel centres at half integers
            row = (K[v, 1, 1] * y / z + K[v, 1, 2]) * height - 0.5
            left, top = int(col.floor()), int(row.floor())
            for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= r < height and 0 <= c < width:
                    out[n] += (1 - (row - r).abs()) * (1 - (col - c).abs()) * maps[v, :, r, c]
    return (out / num_views).to(feature_maps.dtype)
