"""Captions to condition tokens, each text encoded once and kept."""

from collections.abc import Sequence
from pathlib import Path

import torch

from trellis_cli.networks.condition import Condition
from trellis_cli.networks.text_encoder import TextEncoder, load_text_encoder


class CaptionTokens:
    """Calls with texts give their packed tokens (float16 in memory, float32 out) and pooled vectors."""

    def __init__(self, encoder: Path | TextEncoder, texts: Sequence[str]) -> None:
        self.encoder = load_text_encoder(encoder) if isinstance(encoder, Path) else encoder
        self._kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for text in texts:
            self._encode(text)

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        if text not in self._kept:
            out = self.encoder.encode([text])
            assert out.pooled is not None
            self._kept[text] = out.tokens.half(), out.pooled[0]
        return self._kept[text]

    def __call__(self, texts: Sequence[str]) -> Condition:
        pairs = [self._encode(t) for t in texts]
        lengths = torch.tensor([0, *(len(tokens) for tokens, _ in pairs)])
        return Condition(
            torch.cat([t for t, _ in pairs]).float(), lengths.cumsum(0), torch.stack([p for _, p in pairs])
        )
