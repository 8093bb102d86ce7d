"""The image encoders: AlexNet's cells lie where they say, DINOv2 is transformers' own, folders load or say why not."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from trellis_cli.errors import FileError, MissingError
from trellis_cli.networks.conv_trunks import ConvTrunk, imagenet_normalised
from trellis_cli.networks.image_encoders import (
    AlexNetEncoder,
    DinoV2Encoder,
    ImageEncoder,
    load_image_encoder,
    resampled,
)


@pytest.fixture
def encoder(rng: torch.Generator) -> AlexNetEncoder:
    encoder = AlexNetEncoder(taps=(1, 3), reduced=4)
    for value in encoder.state_dict().values():
        value.copy_(0.05 * torch.randn(value.shape, generator=rng))
    return encoder


def test_tap_grids_are_where_an_impulse_answers():
    """The gradient of one output cell is centred where `tap_grids` puts the cell: counted by autograd, not formula."""
    trunk = ConvTrunk("alexnet")
    for name, value in trunk.state_dict().items():
        value.fill_(0.01 if name.endswith("weight") else 0.0)
    image = torch.rand(1, 3, 191, 191, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for tap, (stride, first) in zip(trunk(image)[:2], trunk.tap_grids, strict=False):
        (gradient,) = torch.autograd.grad(tap[0, 0, 5, 5], image, retain_graph=True)
        rows = gradient[0].abs().sum((0, 2)).nonzero()[:, 0] + 0.5
        centre = float(rows[0] + rows[-1]) / 2
        assert abs(centre - (first + 5 * stride)) <= stride / 2  # a max pool takes one of its cells
    assert trunk.tap_grids[0] == (4, 3.5)
    assert [stride for stride, _ in trunk.tap_grids] == [4, 8, 16, 16, 16]


def test_vgg_tap_sizes():
    taps = ConvTrunk("vgg16")(torch.zeros(1, 3, 32, 32))
    assert [tuple(t.shape[1:]) for t in taps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]


def test_resampling_keeps_a_ramp_where_it_is():
    """Cells that hold their own position give, after resampling, the position of the new cells."""
    position = 3.5 + 4 * torch.arange(15.0)
    ramp = position.expand(1, 1, 15, 15)
    got = resampled(ramp, (64, 64), stride=4, first=3.5, size=(8, 8))
    want = (torch.arange(8.0) + 0.5) * 8
    torch.testing.assert_close(got[0, 0, 3], want.clamp(3.5, 3.5 + 4 * 14))


def test_alexnet_maps_start_with_the_picture(encoder, rng):
    images = torch.rand(2, 3, 64, 96, generator=rng)
    maps = encoder.feature_maps(images)
    assert maps.shape == (2, encoder.channels, 16, 24) and encoder.channels == 3 + 2 * 4
    torch.testing.assert_close(maps[:, :3], F.avg_pool2d(imagenet_normalised(images), 4))
    assert isinstance(encoder, ImageEncoder) and maps[:, 3:].std() > 0
    one = encoder.feature_maps(images[1:])
    torch.testing.assert_close(one[0], maps[1], atol=1e-5, rtol=1e-4)


def test_alexnet_folder_round_trip(tmp_path, encoder, rng):
    with pytest.raises(MissingError, match="neither image_encoder.json"):
        load_image_encoder(tmp_path)
    state = {key.removeprefix("trunk."): value.clone() for key, value in encoder.state_dict().items()}
    save_file(state, tmp_path / "image_encoder.safetensors")
    description = {"name": "AlexNetEncoder", "args": {"taps": [1, 3], "reduced": 4}}
    (tmp_path / "image_encoder.json").write_text(json.dumps(description))
    images = torch.rand(1, 3, 64, 64, generator=rng)
    assert torch.equal(load_image_encoder(tmp_path).feature_maps(images), encoder.feature_maps(images))
    (tmp_path / "image_encoder.json").write_text(json.dumps({"args": {"taps": [1, 3], "reduced": 5}}))
    with pytest.raises(FileError, match="not an image encoder"):
        load_image_encoder(tmp_path)


@pytest.mark.slow
def test_dinov2_gives_patch_tokens_before_the_last_norm(tmp_path, rng):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=56, patch_size=14,
        num_register_tokens=4, layerscale_value=1.0,
    )  # fmt: skip
    network = Dinov2WithRegistersModel(config).eval()
    network.layernorm.weight.data.fill_(7.0)  # shows in the answer if the norm were applied
    encoder = DinoV2Encoder(network, "tiny", image_size=56)
    images = torch.rand(2, 3, 56, 56, generator=rng)
    maps = encoder.feature_maps(images)
    assert maps.shape == (2, 24, 4, 4) and isinstance(encoder, ImageEncoder)
    with torch.no_grad():
        states = network(imagenet_normalised(images), output_hidden_states=True)
    torch.testing.assert_close(maps[1, :, 2, 3], states.hidden_states[-1][1, 5 + 2 * 4 + 3])
    torch.testing.assert_close(
        network.layernorm(maps[1, :, 2, 3]), states.last_hidden_state[1, 5 + 2 * 4 + 3], atol=1e-4, rtol=1e-4
    )
    network.save_pretrained(tmp_path)
    loaded = load_image_encoder(tmp_path)
    assert loaded.channels == 24 and loaded.feature_maps(torch.zeros(1, 3, 64, 64)).shape == (1, 24, 37, 37)


@pytest.mark.slow
def test_dinov2_that_is_not_here_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError) as caught:
        load_image_encoder("nobody/no-such-model")
    assert caught.value.hint == "trellis models fetch nobody/no-such-model"
