"""DINOv2's tokens held to transformers' own output, on a small random model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trellis_cli.data.object_crop import as_tensor
from trellis_cli.errors import FileError, MissingError
from trellis_cli.networks.dino_tokens import HUB_IDS, load_dino_tokens

pytestmark = pytest.mark.slow
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dino(tmp_path_factory.mktemp("dino"))


def tiny_dino(folder: Path) -> Path:
    """A transformers folder of random weights; the last norm would show if it were applied."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=518, patch_size=14,
        num_register_tokens=4, layerscale_value=1.0,
    )  # fmt: skip
    network = Dinov2WithRegistersModel(config)
    torch.nn.init.constant_(network.layernorm.weight, 7.0)
    network.save_pretrained(folder)
    return folder


def test_every_token_before_the_last_norm_then_a_plain_one(folder: Path) -> None:
    """The published preparation written out in numpy and PIL, and transformers' own hidden states."""
    from transformers import Dinov2WithRegistersModel

    tokens = load_dino_tokens(str(folder))
    rgba = np.random.default_rng(0).integers(0, 256, (tokens.image_size, tokens.image_size, 4), np.uint8)
    got = tokens(as_tensor(Image.fromarray(rgba))[None])

    scaled = rgba.astype(np.float32) / 255
    on_black = ((scaled[..., :3] * scaled[..., 3:]) * 255).astype(np.uint8)
    normalised = (on_black.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    network = Dinov2WithRegistersModel.from_pretrained(folder).eval()
    with torch.no_grad():
        pixels = torch.from_numpy(normalised).permute(2, 0, 1)[None]
        states = network(pixels, output_hidden_states=True).hidden_states[-1]
    want = (states - states.mean(-1, keepdim=True)) / (states.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    assert got.tokens.shape == (1 + 4 + 37 * 37, 12) and got.pooled is None and len(got) == 1
    torch.testing.assert_close(got.tokens, want[0], atol=2e-5, rtol=1e-4)


def test_published_names_are_hub_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert HUB_IDS["dinov2_vitl14_reg"] == "facebook/dinov2-with-registers-large"
    with pytest.raises(MissingError) as caught:
        load_dino_tokens("dinov2_vitl14_reg")
    assert caught.value.hint == "trellis models fetch facebook/dinov2-with-registers-large"
    with pytest.raises(MissingError) as caught:
        load_dino_tokens("dinov3")
    assert caught.value.hint == "give a folder in transformers' form, or an id on the hub (owner/name)"
    with pytest.raises(MissingError) as caught:
        load_dino_tokens("nobody/no-such-model")
    assert caught.value.hint == "trellis models fetch nobody/no-such-model"


def test_broken_weights_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FileError, match="not DINOv2 with registers"):
        load_dino_tokens(str(tmp_path))
