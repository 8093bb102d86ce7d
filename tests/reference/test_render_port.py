"""Splatting and marching against ports of the published rasterisers: conventions of cameras, colours, compositing."""

import pytest
import torch
from safetensors.torch import load_file

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.renderers.gaussians import render
from trellis_cli.representations.gaussians import Gaussians
from trellis_ops.march import march

SCALING, KERNEL, TOLERANCE = 4.0, 0.1, 1e-3  # as data/README.md gives them
DENSITY, JITTER = 30.0, 0.5


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_gaussians_of_the_first_item(reference_dir, assert_near, backend):
    port = load_file(reference_dir / "render_port.safetensors")
    decoded = load_file(reference_dir / "slat_decoder_gs.out.safetensors")
    gaussians = Gaussians(
        means=decoded["0.xyz"],
        quats=decoded["0.rotation"],
        scales=SCALING * decoded["0.scaling"],
        opacities=decoded["0.opacity"][:, 0],
        sh=decoded["0.features"],
    )
    cameras = Cameras(port["extrinsics"][None].float(), port["intrinsics"][None].float())
    size = port["gs.image"].shape[-1]
    images, alphas = render(gaussians, cameras, size=size, mip_filter=KERNEL, backend=backend)
    assert float(port["gs.alpha"].mean()) > 0.01
    assert_near(images[0].permute(2, 0, 1), port["gs.image"], what="image", tolerance=TOLERANCE)
    assert_near(alphas[0], port["gs.alpha"], what="alpha", tolerance=TOLERANCE)
    assert torch.isfinite(images).all()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_radiance_field_of_the_first_item(reference_dir, assert_near, backend):
    port = load_file(reference_dir / "render_port.safetensors")
    decoded = load_file(reference_dir / "slat_decoder_rf.out.safetensors")
    resolution = 1 << int(decoded["0.depth"][0])
    height, width = port["rf.alpha"].shape
    image, alpha, depth = march(
        (decoded["0.position"] * resolution).int(),
        decoded["0.trivec"],
        DENSITY * decoded["0.density"],
        decoded["0.features_dc"][:, :, 0],
        port["extrinsics"].float(),
        port["intrinsics"].float(),
        resolution=resolution,
        width=width,
        height=height,
        background=torch.ones(3),
        jitter=JITTER,
        backend=backend,
    )
    assert float(port["rf.alpha"].mean()) > 0.01
    assert_near(image.permute(2, 0, 1), port["rf.image"], what="image", tolerance=TOLERANCE)
    assert_near(alpha, port["rf.alpha"], what="alpha", tolerance=TOLERANCE)
    assert_near(depth, port["rf.depth"], what="depth", tolerance=TOLERANCE)
