"""CLIP's text tower, through transformers: what the released text models are conditioned on.

Source: the published text pipeline. 77 tokens a text whatever its length, the padding attended to like all else (no
attention mask), the last hidden state after CLIP's own final norm, nothing added.
"""

import logging
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.io import encoder_files, hub
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.quiet_transformers import quietly

_log = logging.getLogger(__name__)


class ClipTextEncoder:
    """Texts to token states, `max_tokens` each; longer texts are cut, and a warning says so."""

    def __init__(self, network: nn.Module, tokenizer: Any) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        config = cast(Any, network.config)  # transformers' own, which nn.Module's type cannot name
        self.width: int = config.hidden_size
        self.max_tokens = min(77, int(config.max_position_embeddings))

    def to(self, device: torch.device | str) -> "ClipTextEncoder":
        self.network.to(device)
        return self

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Condition:
        """Token states in float32, on the network's device. The empty text is valid: the condition of "no words".

        Raises ValueError for an empty list.
        """
        if not texts:
            raise ValueError("encode needs at least one text")
        whole = self.tokenizer(texts, padding="max_length", truncation=True, max_length=self.max_tokens)["input_ids"]
        self._say_what_is_cut(texts)
        device = next(self.network.parameters()).device
        states = self.network(input_ids=torch.tensor(whole, device=device)).last_hidden_state
        return Condition.dense(states.float())

    def _say_what_is_cut(self, texts: list[str]) -> None:
        lengths = [len(ids) for ids in self.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
        if too_long := [length for length in lengths if length > self.max_tokens]:
            _log.warning(
                "%d text(s) cut to %d tokens (the longest has %d tokens)", len(too_long), self.max_tokens, max(too_long)
            )


def load_clip_text(source: Path | str) -> ClipTextEncoder:
    """The text tower and tokenizer of a transformers folder, or of a hub id in the cache; nothing is fetched.

    Raises:
        MissingError: the files are not on this machine.
        FileError: they are no CLIP text tower.
    """
    from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

    here: dict[str, Any] = {"local_files_only": True, "cache_dir": hub.cache_folder()}
    try:
        with quietly():  # that the picture tower of the same checkpoint goes unused is no news
            config = CLIPTextConfig.from_pretrained(str(source), **here)
            network = CLIPTextModel.from_pretrained(str(source), config=config, **here)
            tokenizer = AutoTokenizer.from_pretrained(str(source), **here)
        return ClipTextEncoder(network, tokenizer)
    except OSError as error:
        raise MissingError(
            f"{source}: CLIP's text encoder is not on this machine", hint=encoder_files.remedy(source)
        ) from error
    except Exception as error:  # transformers, tokenizers and safetensors each raise their own
        raise FileError(f"{source}: not a CLIP text encoder: {first_line(error)}", hint="fetch it anew") from error
