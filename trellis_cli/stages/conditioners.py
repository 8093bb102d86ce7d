"""Prompts to what a model's flows attend to: which encoders a model has, and which of its flows answer to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trellis_cli.data.object_crop import as_tensor
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, MissingError
from trellis_cli.io.encoder_files import HUB_IDS
from trellis_cli.io.model_folders import ModelFolder, open_model, shipped
from trellis_cli.networks.condition import Condition
from trellis_cli.stages.image_prompts import prepared

RELEASED = {"text": "microsoft/TRELLIS-text-large", "image": "microsoft/TRELLIS-image-large"}


@runtime_checkable
class Conditioner(Protocol):
    """What a kind of prompts (text, image) is encoded by."""

    def condition(self, prompt: Prompt) -> Condition:
        """One condition a text, one for each of several images; float32. Raises FileError for a bad picture."""
        ...

    def negative(self, prompt: Prompt) -> Condition:
        """The single condition that guidance leads away from."""
        ...

    def empty(self) -> Condition:
        """The single condition that stands for no prompt: what flows saw in training where theirs was dropped."""
        ...


@runtime_checkable
class TextEncoding(Protocol):
    """CLIP's text tower, or the encoder of a model's own; `width`: channels of a token."""

    width: int

    def encode(self, texts: list[str]) -> Condition: ...


@runtime_checkable
class ImageEncoding(Protocol):
    """DINOv2's tokens, or those of a model's own encoder; `channels`: of a token."""

    image_size: int
    channels: int

    def __call__(self, pictures: Float[Tensor, "b 4 s s"]) -> Condition: ...


class TextConditioner:
    """Each text is encoded once: both stages use it, and a text that is cut warns once."""

    def __init__(self, encoder: TextEncoding) -> None:
        self.encoder = encoder
        self._conditions: dict[str, Condition] = {}

    def condition(self, prompt: Prompt) -> Condition:
        assert prompt.text is not None
        return self._encoded(prompt.text)

    def negative(self, prompt: Prompt) -> Condition:
        return self._encoded(prompt.negative)

    def empty(self) -> Condition:
        return self._encoded("")

    def _encoded(self, text: str) -> Condition:
        if text not in self._conditions:
            out = self.encoder.encode([text])
            pooled = None if out.pooled is None else out.pooled.float()
            self._conditions[text] = Condition(out.tokens.float(), out.offsets, pooled)
        return self._conditions[text]


class ImageConditioner:
    """Pictures cut out, cropped and encoded; the negative is zeros. The last prompt is kept, for its further assets."""

    def __init__(self, encoder: ImageEncoding, device: str, background: str) -> None:
        self.encoder, self.device, self.background = encoder, device, background
        self._last: tuple[Prompt, Condition] | None = None

    def pictures(self, prompt: Prompt) -> list[Image.Image]:
        """What the encoder sees of each image, as RGBA."""
        masks = prompt.masks or (None,) * len(prompt.images)
        return [
            prepared(path, size=self.encoder.image_size, mask=mask, background=self.background)
            for path, mask in zip(prompt.images, masks, strict=True)
        ]

    def condition(self, prompt: Prompt) -> Condition:
        if self._last is None or self._last[0] != prompt:
            parts = [self.encoder(as_tensor(p)[None].to(self.device)) for p in self.pictures(prompt)]
            self._last = prompt, Condition.join(parts)
        return self._last[1]

    def negative(self, prompt: Prompt) -> Condition:
        return _zeros_like(self.condition(prompt)[0])

    def empty(self) -> Condition:
        size = self.encoder.image_size
        return _zeros_like(self.encoder(torch.zeros(1, 4, size, size, device=self.device)))


def _zeros_like(one: Condition) -> Condition:
    pooled = None if one.pooled is None else torch.zeros_like(one.pooled)
    return Condition(torch.zeros_like(one.tokens), one.offsets, pooled)


def flows_for(model: ModelFolder, kind: str) -> str:
    """How the keys of the flows end in pipeline.json that answer to prompts of a kind: "" or "_image".

    A model has flows for one kind, or, as mini, for both: those for images are then named apart.

    Raises:
        MissingError: the model does not answer to such prompts; the hint names some that do.
    """
    flows = _flows(model.pipeline, kind)
    if flows is None:
        answering = [name for name in shipped() if _flows(open_model(name).pipeline, kind) is not None]
        others = " or ".join(f"--model {name}" for name in [*answering, RELEASED[kind]])
        raise MissingError(f"model {model.id} does not answer to {kind} prompts", hint=f"choose {others}")
    return flows


def _flows(pipeline: Mapping[str, Any], kind: str) -> str | None:
    text, image = "text_cond_model" in pipeline, "image_cond_model" in pipeline
    if kind == "text":
        return "" if text else None
    if image and "sparse_structure_flow_model_image" in pipeline.get("models", {}):
        return "_image"
    return "" if image and not text else None


def conditioner(model: ModelFolder, kind: str, *, device: str, background: str) -> Conditioner:
    """The encoder that a model's pipeline.json names for a kind of prompts, on `device`.

    Raises:
        MissingError: its files are not on this machine.
        FileError: they are not what they should be.
    """
    source = model.pipeline[f"{kind}_cond_model"]
    if not isinstance(source, str) or not source:
        raise FileError(f"pipeline.json of {model.id}: {kind}_cond_model is {source!r}", hint="fetch the model anew")
    folder = model.path / source
    if kind == "text":
        return TextConditioner(text_encoding(folder, source, device))
    return ImageConditioner(image_encoding(folder, source, device), device, background)


def text_encoding(folder: Path, source: str, device: str) -> TextEncoding:
    """The text encoder that lies in `folder`, or else the one of the hub id `source`. Raises as `conditioner`."""
    if _is_own(folder, source):
        from trellis_cli.networks.text_encoder import load_text_encoder

        return load_text_encoder(folder).to(device)
    from trellis_cli.networks.clip_text import load_clip_text

    return load_clip_text(folder if folder.is_dir() else source).to(device)


def image_encoding(folder: Path, source: str, device: str) -> ImageEncoding:
    """The image encoder that lies in `folder`, or else the one that `source` names. Raises as `conditioner`."""
    from trellis_cli.networks.dino_tokens import load_dino_tokens

    if source not in HUB_IDS and _is_own(folder, source):
        from trellis_cli.networks.image_tokens import load_image_tokens

        return load_image_tokens(folder, device=device)
    return load_dino_tokens(str(folder) if folder.is_dir() else source, device=device)


def _is_own(folder: Path, source: str) -> bool:
    """Whether the encoder is in this program's own format; else a transformers folder, or owner/name on the hub."""
    return not (folder / "config.json").is_file() and (folder.is_dir() or source.count("/") != 1)
