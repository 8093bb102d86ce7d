"""CLIP's text tower held to transformers' own output, on a small random model and a tokenizer made here."""

import json
import logging
from pathlib import Path

import pytest
import torch

from trellis_cli.errors import FileError, MissingError
from trellis_cli.networks.clip_text import load_clip_text

pytestmark = pytest.mark.slow
WIDTH = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def tiny_clip(folder: Path) -> Path:
    """A transformers folder: a text tower of random weights, and a CLIP tokenizer that knows single letters."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    end = vocabulary["<|endoftext|>"]
    config = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, eos_token_id=end, bos_token_id=end - 1, pad_token_id=end,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder)
    return folder


def test_all_77_states_without_a_mask(folder: Path) -> None:
    from transformers import AutoTokenizer, CLIPTextModel

    network, tokenizer = CLIPTextModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = ["log cabin", "", "a chair"]
    got = load_clip_text(folder).encode(texts)
    ids = tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        want = network(input_ids=ids).last_hidden_state
    assert got.tokens.shape == (3 * 77, WIDTH) and got.pooled is None
    torch.testing.assert_close(got.tokens.view(3, 77, WIDTH), want)
    assert got.offsets.tolist() == [0, 77, 154, 231]
    alone = load_clip_text(folder).encode(["log cabin"])
    torch.testing.assert_close(alone.tokens, got[0].tokens)


def test_a_long_text_is_cut_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = load_clip_text(folder)
    with caplog.at_level(logging.WARNING):
        long = encoder.encode(["z " * 200])
    assert [r.message for r in caplog.records] == ["1 text(s) cut to 77 tokens (the longest has 202 tokens)"]
    torch.testing.assert_close(long.tokens, encoder.encode(["z " * 75]).tokens)  # with the two that begin and end it


def test_the_text_tower_of_a_whole_clip(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The hub's checkpoint has the picture tower too, which goes unused and unmentioned."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel, CLIPTextModel

    text = CLIPTextModel.from_pretrained(folder)
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 28, "patch_size": 14}  # fmt: skip
    whole = CLIPModel(CLIPConfig(text_config=text.config.to_dict(), vision_config=vision, projection_dim=8))
    missing, _ = whole.load_state_dict({f"text_model.{k.removeprefix('text_model.')}": v for k, v in
                                        text.state_dict().items()}, strict=False)  # fmt: skip
    assert not [key for key in missing if key.startswith("text_model")]
    whole.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    capfd.readouterr()
    got = load_clip_text(tmp_path).encode(["hut"])
    assert capfd.readouterr().err == ""
    torch.testing.assert_close(got.tokens, load_clip_text(folder).encode(["hut"]).tokens)


def test_what_is_not_there_or_broken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError) as caught:
        load_clip_text("nobody/no-such-model")
    assert caught.value.hint == "trellis models fetch nobody/no-such-model"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(MissingError):
        load_clip_text(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FileError, match="not a CLIP text encoder"):
        load_clip_text(tmp_path)
