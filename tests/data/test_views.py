"""Views move between devices whole."""

import pytest
import torch

from trellis_cli.data.views import Views
from trellis_cli.geometry.cameras import hammersley_cameras


@pytest.mark.parametrize("with_geometry", [False, True])
def test_every_tensor_moves(with_geometry):
    pictures, cameras = torch.zeros(2, 4, 8, 8), hammersley_cameras(2)
    depth, normal = (torch.zeros(2, 8, 8), torch.zeros(2, 8, 8, 3)) if with_geometry else (None, None)
    got = Views(pictures[:, :3], pictures[:, 3:], cameras, depth, normal).to("meta")
    tensors = [got.rgb, got.alpha, got.cameras.extrinsics, got.cameras.intrinsics]
    assert all(t.is_meta for t in tensors)
    assert all(t.is_meta if with_geometry else t is None for t in (got.depth, got.normal))
