"""The released SLAT networks at full size: every key, shape and stored dtype, without making a single weight."""

import pytest
import torch

from trellis_cli.networks.heads import GaussianDecoder, MeshDecoder
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.networks.slat_vae import SlatEncoder

BASE = {"resolution": 64, "model_channels": 768, "latent_channels": 8, "num_blocks": 12, "num_heads": 12}
GAUSSIANS = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True,
    "voxel_size": 1.5,
    "num_gaussians": 32,
    "2d_filter_kernel_size": 0.1,
    "3d_filter_kernel_size": 9e-4,
    "scaling_bias": 4e-3,
    "opacity_bias": 0.1,
    "scaling_activation": "softplus",
}
NETWORKS = {
    ("slat_vae_enc_dec_gs_swin8_B_64l8_fp16.json", "encoder"): (SlatEncoder, {"in_channels": 1024}),
    ("slat_vae_enc_dec_gs_swin8_B_64l8_fp16.json", "decoder"): (GaussianDecoder, {"representation_config": GAUSSIANS}),
    ("slat_vae_dec_rf_swin8_B_64l8_fp16.json", "decoder"): (
        RadianceFieldDecoder,
        {"representation_config": {"rank": 16, "dim": 8}},
    ),
    ("slat_vae_dec_mesh_swin8_B_64l8_fp16.json", "decoder"): (
        MeshDecoder,
        {"representation_config": {"use_color": True}},
    ),
}


@pytest.mark.parametrize(("config", "role"), list(NETWORKS))
def test_keys_shapes_and_dtypes(config, role, released_layout):
    network, arguments = NETWORKS[config, role]
    with torch.device("meta"):
        built = network(**BASE, **arguments, use_fp16=True)
    got = {
        name: (tuple(t.shape), torch.float16 if built.is_half(name) else torch.float32)
        for name, t in built.state_dict().items()
    }
    assert got == released_layout(config, role)
