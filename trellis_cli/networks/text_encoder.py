"""Text to condition tokens: a small BERT (all-MiniLM-L6-v2) of our own, so that no heavy library is imported.

Source: Devlin et al., "BERT" (arXiv:1810.04805), post-norm blocks; weights of sentence-transformers/all-MiniLM-L6-v2
(Apache-2.0), whose sentence vector is the mean over a text's token states, [CLS] and [SEP] included.
"""

import json
import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.io.quantised import dequantise, quantise
from trellis_cli.networks.condition import Condition

_log = logging.getLogger(__name__)

# Cosine to float32, worst of the 31,640 token states of 5,494 captions of real objects: every matrix as int8 0.9975
# (242 states below 0.999; on 26 prompts of other kinds 0.9961), these two 0.9995 at 33.3 MB, none 0.999999 at 45.1 MB.
# With the blocks' `mlp_in` as int8 too it is 29.8 MB, but one state falls to 0.99896.
ROWS_AS_INT8 = ("words", "positions")


class BertBlock(nn.Module):
    """Self-attention and feed-forward, each followed by a residual sum and a layer norm (post-norm)."""

    def __init__(self, width: int, num_heads: int, mlp_width: int, eps: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp_in = nn.Linear(width, mlp_width)
        self.mlp_out = nn.Linear(mlp_width, width)
        self.norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Float[Tensor, "t c"]) -> Float[Tensor, "t c"]:
        q, k, v = self.qkv(x).view(len(x), 3, self.num_heads, -1).permute(1, 2, 0, 3)
        attended = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        x = self.norm1(x + self.out(attended.transpose(0, 1).flatten(1)))
        return self.norm2(x + self.mlp_out(F.gelu(self.mlp_in(x))))


class Bert(nn.Module):
    """Token ids to token states. Frozen: it is never trained here."""

    def __init__(
        self,
        *,
        vocabulary: int = 30522,
        width: int = 384,
        num_blocks: int = 6,
        num_heads: int = 12,
        mlp_width: int = 1536,
        num_positions: int = 512,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.width = width
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(num_positions, width)
        self.segment = nn.Parameter(torch.zeros(width))  # of BERT's two segments only the first is ever used
        self.norm = nn.LayerNorm(width, eps=eps)
        self.blocks = nn.ModuleList(BertBlock(width, num_heads, mlp_width, eps) for _ in range(num_blocks))
        self.requires_grad_(False).eval()

    def forward(self, token_ids: Int[Tensor, " t"]) -> Float[Tensor, "t c"]:
        """One text's states after the last block. Texts go in one by one: no padding, no mask, and a text's states
        do not depend on what else is encoded with it."""
        x = self.norm(self.words(token_ids) + self.positions.weight[: len(token_ids)] + self.segment)
        for block in self.blocks:
            x = block(x)
        return x


class TextEncoder:
    """Prompts to token states and their mean; texts beyond `max_tokens` (with [CLS] and [SEP]) are cut."""

    def __init__(self, network: Bert, tokenizer_json: str, *, max_tokens: int = 128) -> None:
        from tokenizers import Tokenizer

        self.network, self.max_tokens, self.width = network, max_tokens, network.width
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def to(self, device: torch.device | str) -> "TextEncoder":
        self.network.to(device)
        return self

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        """Ids a text, cut to `max_tokens` with the closing [SEP] kept; one warning if any was cut."""
        all_ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        too_long = [ids for ids in all_ids if len(ids) > self.max_tokens]
        if too_long:
            longest = max(map(len, too_long))
            _log.warning(
                "%d text(s) cut to %d tokens (the longest has %d tokens)", len(too_long), self.max_tokens, longest
            )
        return [ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]] for ids in all_ids]

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Condition:
        """Token states (float32, on the network's device) of each text, [CLS] first and [SEP] last.

        The empty text is valid: two tokens, the condition of "no words". A text given twice is computed once.
        Raises ValueError for an empty list.
        """
        if not texts:
            raise ValueError("encode needs at least one text")
        device = self.network.segment.device
        keys = [tuple(ids) for ids in self.token_ids(texts)]
        states = {ids: self.network(torch.tensor(ids, device=device)) for ids in dict.fromkeys(keys)}
        lengths = torch.tensor([0, *map(len, keys)], device=device)
        return Condition(
            torch.cat([states[ids] for ids in keys]),
            lengths.cumsum(0),
            torch.stack([states[ids].mean(0) for ids in keys]),
        )


def load_text_encoder(folder: Path) -> TextEncoder:
    """The text encoder of a model folder: `text_encoder.json`, `text_encoder.safetensors`, `tokenizer.json`.

    The JSON is {"name": "TextEncoder", "args": {sizes of `Bert`, max_tokens}}. Raises MissingError without the files
    and FileError where they do not fit each other.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    parts = [folder / name for name in ("text_encoder.json", "text_encoder.safetensors", "tokenizer.json")]
    for part in parts:
        if not part.is_file():
            hint = f"python recipes/mini/fetch_weights.py --out {folder}"
            raise MissingError(f"{part}: the text encoder's file is missing", hint=hint)
    try:
        args = dict(json.loads(parts[0].read_text())["args"])
        max_tokens = args.pop("max_tokens")
        network = Bert(**args)
        network.load_state_dict(dequantise(load_file(parts[1])))
        return TextEncoder(network, parts[2].read_text(), max_tokens=max_tokens)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise FileError(f"{folder}: not a text encoder: {reason}", hint="fetch it anew") from error


def for_storage(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `Bert` as shipped: the matrices of ROWS_AS_INT8 as int8, all else as float16."""
    return quantise(state, lambda key: any(part in key for part in ROWS_AS_INT8))


def from_bert_state(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a published BertModel (its key names) under the names of `Bert`; the pooler is left out."""
    embeddings = "embeddings."
    state = {
        "words.weight": bert[embeddings + "word_embeddings.weight"],
        "positions.weight": bert[embeddings + "position_embeddings.weight"],
        "segment": bert[embeddings + "token_type_embeddings.weight"][0],
    }
    renamed = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "mlp_in": "intermediate.dense",
        "mlp_out": "output.dense",
        "norm2": "output.LayerNorm",
    }
    num_blocks = 1 + max(int(key.split(".")[2]) for key in bert if key.startswith("encoder.layer."))
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = bert[f"{embeddings}LayerNorm.{kind}"]
        for i in range(num_blocks):
            layer = f"encoder.layer.{i}."
            heads = [bert[f"{layer}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"blocks.{i}.qkv.{kind}"] = torch.cat(heads)
            for ours, theirs in renamed.items():
                state[f"blocks.{i}.{ours}.{kind}"] = bert[f"{layer}{theirs}.{kind}"]
    return {key: value.contiguous() for key, value in state.items()}
