"""CLIP as a measure, held to transformers' own output on a small random model."""

from pathlib import Path

import pytest
import torch

from tests.networks.test_clip_text import tiny_clip
from trellis_cli.errors import FileError, MissingError
from trellis_cli.networks.clip_similarity import load_clip_similarity


def tiny_model(home: Path) -> Path:
    """Both towers of random weights, and the tokenizer of the text tower's tests."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextModel

    folder = tiny_clip(home)
    text = CLIPTextModel.from_pretrained(folder).config.to_dict()
    torch.manual_seed(0)
    vision = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8, "projection_dim": 8}  # fmt: skip
    CLIPModel(
        CLIPConfig(text_config={**text, "projection_dim": 8}, vision_config=vision, projection_dim=8)
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("clip"))


def test_cosines_are_transformers_own(folder: Path) -> None:
    from transformers import AutoTokenizer, CLIPModel
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    clip, network = load_clip_similarity(folder), CLIPModel.from_pretrained(folder).eval()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    texts = ["log cabin", "a chair"]
    words = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    mean, std = (torch.tensor(v)[:, None, None] for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    with torch.no_grad():
        want = network(input_ids=words["input_ids"], attention_mask=words["attention_mask"],
                       pixel_values=(images - mean) / std)  # fmt: skip
    cosines = clip.pictures(images) @ clip.texts(texts).T
    torch.testing.assert_close(cosines * network.logit_scale.exp(), want.logits_per_image)


def test_other_sizes_are_scaled_and_long_texts_cut(folder: Path) -> None:
    clip = load_clip_similarity(folder)
    flat = torch.full((1, 3, 32, 32), 0.25)
    torch.testing.assert_close(clip.pictures(torch.full((1, 3, 100, 100), 0.25)), clip.pictures(flat))
    assert torch.isfinite(clip.texts(["a " * 500])).all()


def test_what_is_missing_or_broken_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as caught:
        load_clip_similarity("openai/clip-vit-large-patch14")
    assert caught.value.hint == "trellis models fetch openai/clip-vit-large-patch14"
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(FileError, match="not CLIP"):
        load_clip_similarity(tmp_path)
