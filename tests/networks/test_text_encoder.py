"""The text encoder against transformers' BertModel of the same weights, its cuts, its storage, its files."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from trellis_cli.errors import FileError, MissingError
from trellis_cli.io.quantised import dequantise
from trellis_cli.networks.text_encoder import (
    Bert,
    TextEncoder,
    for_storage,
    from_bert_state,
    load_text_encoder,
)

SIZES = {"vocabulary": 40, "width": 24, "num_blocks": 2, "num_heads": 3, "mlp_width": 48, "num_positions": 16}


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "log", "cabin", "red", "##s", "chair"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=12)  # as the published file does; the encoder must not inherit it
    tokenizer.enable_truncation(12)
    return tokenizer.to_str()


@pytest.fixture
def state(rng: torch.Generator) -> dict[str, Tensor]:
    return {key: 0.3 * torch.randn(value.shape, generator=rng) for key, value in Bert(**SIZES).state_dict().items()}


@pytest.fixture
def encoder(state: dict[str, Tensor], tokenizer_json: str) -> TextEncoder:
    network = Bert(**SIZES)
    network.load_state_dict(state)
    return TextEncoder(network, tokenizer_json, max_tokens=8)


def test_agrees_with_transformers_bert(tokenizer_json):
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        max_position_embeddings=16,
    )  # fmt: skip
    published = BertModel(config).eval()
    for value in published.parameters():  # fresh layer norms are ones and zeros: make every weight count
        value.data += 0.2 * torch.randn_like(value)
    network = Bert(**SIZES, eps=config.layer_norm_eps)
    network.load_state_dict(from_bert_state(published.state_dict()))
    ids = torch.tensor([2, 5, 6, 9, 3])
    want = published(ids[None]).last_hidden_state[0]
    torch.testing.assert_close(network(ids), want.detach(), atol=1e-5, rtol=1e-5)
    got = TextEncoder(network, tokenizer_json).encode(["Log cabin chair"])  # the same ids, by way of the tokenizer
    torch.testing.assert_close(got.tokens, want.detach(), atol=1e-5, rtol=1e-5)


def test_packs_texts_of_different_lengths(encoder):
    got = encoder.encode(["a red chair", "", "a red chair", "log"])
    assert got.offsets.tolist() == [0, 5, 7, 12, 15] and len(got) == 4
    assert torch.equal(got.tokens[:5], got.tokens[7:12])
    assert torch.equal(got.tokens[12:], encoder.encode(["log"]).tokens)  # nothing leaks between texts of one call
    torch.testing.assert_close(got.pooled[3], got.tokens[12:].mean(0))
    assert not torch.equal(got.tokens[0], got.tokens[5])


def test_a_long_text_is_cut_with_one_warning(encoder, caplog):
    got = encoder.encode(["red " * 10_000, "a " * 9, "log"])
    assert caplog.messages == ["2 text(s) cut to 8 tokens (the longest has 10002 tokens)"]
    assert got.offsets.tolist() == [0, 8, 16, 19]
    assert torch.equal(got.tokens[:8], encoder.encode(["red " * 6]).tokens)


def test_no_text_is_a_callers_error(encoder):
    with pytest.raises(ValueError, match="at least one text"):
        encoder.encode([])


def test_stored_rows_keep_their_direction(state):
    stored = for_storage(state)
    assert stored["words.weight"].dtype == torch.int8 and stored["words.weight.scale"].shape == (40,)
    assert stored["blocks.0.out.weight"].dtype == torch.float16
    back = dequantise(stored)
    assert back.keys() == state.keys()
    worst = min(F.cosine_similarity(back[key], state[key], dim=-1).min() for key in state)
    assert worst > 0.999
    assert torch.equal(for_storage(back)["words.weight"], stored["words.weight"])


def test_folder_round_trip_and_what_is_missing(tmp_path, state, tokenizer_json, encoder):
    with pytest.raises(MissingError, match=r"text_encoder\.json: the text encoder's file is missing"):
        load_text_encoder(tmp_path)
    save_file(state, tmp_path / "text_encoder.safetensors")
    (tmp_path / "tokenizer.json").write_text(tokenizer_json)
    description = {"name": "TextEncoder", "args": SIZES | {"max_tokens": 8}}
    (tmp_path / "text_encoder.json").write_text(json.dumps(description))
    got = load_text_encoder(tmp_path).encode(["a log cabin"])
    assert torch.equal(got.tokens, encoder.encode(["a log cabin"]).tokens)
    (tmp_path / "text_encoder.json").write_text(json.dumps({"args": SIZES | {"max_tokens": 8, "width": 30}}))
    with pytest.raises(FileError, match="not a text encoder"):
        load_text_encoder(tmp_path)
    (tmp_path / "text_encoder.safetensors").write_bytes(b"not weights")
    with pytest.raises(FileError, match="not a text encoder"):
        load_text_encoder(tmp_path)
