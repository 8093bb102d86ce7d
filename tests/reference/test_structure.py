"""The published structure VAE, number for number, and its key layout at full size."""

import pytest
import torch

from trellis_cli.networks.published import build_network, network_with
from trellis_cli.networks.structure_vae import pixel_shuffle_3d

FULL_SIZE = {
    "encoder": ("SparseStructureEncoder", {"in_channels": 1, "channels": [32, 128, 512]}),
    "decoder": ("SparseStructureDecoder", {"out_channels": 1, "channels": [512, 128, 32]}),
}


@torch.no_grad()
def test_encoder(load_case, assert_near):
    case = load_case("ss_encoder")
    mean, logvar = network_with(case.name, case.args, case.weights)(case.inputs["x"])
    assert_near(mean, case.outputs["mean"], what="mean")
    assert_near(logvar, case.outputs["logvar"], what="logvar")


@torch.no_grad()
def test_decoder(load_case, assert_near):
    case = load_case("ss_decoder")
    logits = network_with(case.name, case.args, case.weights)(case.inputs["z"])
    assert_near(logits, case.outputs["logits"], what="logits")
    active = torch.argwhere(logits > 0)[:, [0, 2, 3, 4]]
    assert torch.equal(active.int(), case.outputs["coords"].int())


def test_pixel_shuffle(primitives, assert_near):
    got = pixel_shuffle_3d(primitives["pixshuf.in"], 2)
    assert_near(got, primitives["pixshuf.out"], what="pixel shuffle", tolerance=0)


@pytest.mark.parametrize("role", list(FULL_SIZE))
def test_released_keys_shapes_and_dtypes(role, released_layout):
    name, args = FULL_SIZE[role]
    with torch.device("meta"):
        network = build_network(name, {**args, "latent_channels": 8, "num_res_blocks": 2, "use_fp16": True})
    got = {
        key: (tuple(t.shape), torch.float16 if network.is_half(key) else torch.float32)
        for key, t in network.state_dict().items()
    }
    assert got == released_layout("ss_vae_conv3d_16l8_fp16.json", role)
