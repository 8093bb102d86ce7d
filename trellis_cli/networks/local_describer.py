"""A vision-language model on this machine, through transformers: what answers questions about pictures offline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.io import encoder_files, hub
from trellis_cli.networks.quiet_transformers import quietly

MOST_TOKENS = 400  # of an answer


class LocalDescriber:
    """Any model of transformers' "image-text-to-text" kind with a chat template; it answers without chance."""

    def __init__(self, source: str, *, device: str = "cpu") -> None:
        """A transformers folder, or a hub id in the cache. Raises MissingError, FileError."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        here: dict[str, Any] = {"local_files_only": True, "cache_dir": hub.cache_folder()}
        try:
            with quietly():
                self._processor: Any = AutoProcessor.from_pretrained(source, **here)
                network: Any = AutoModelForImageTextToText.from_pretrained(source, **here)
                self._network: Any = network.to(device).eval()
        except OSError as error:
            raise MissingError(f"{source}: this model is not here", hint=encoder_files.remedy(source)) from error
        except Exception as error:  # transformers, tokenizers and safetensors each raise their own
            hint = "give a model that transformers loads for image-text-to-text"
            raise FileError(f"{source}: not a model that sees and writes: {first_line(error)}", hint=hint) from error
        self.name, self._device = Path(source).name, device

    @torch.no_grad()
    def ask(self, question: str, pictures: Sequence[Image.Image] = ()) -> str:
        """The model's answer, of at most MOST_TOKENS tokens."""
        content: list[dict[str, Any]] = [{"type": "image", "image": picture.convert("RGB")} for picture in pictures]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        asked = self._processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(self._device)
        out = self._network.generate(**asked, max_new_tokens=MOST_TOKENS, do_sample=False)
        return self._processor.batch_decode(out[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)[0]
