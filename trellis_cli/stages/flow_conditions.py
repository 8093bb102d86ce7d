"""What a flow is conditioned on in training: an asset's captions, or its views. Each is encoded once and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trellis_cli.data.index import DataFolder
from trellis_cli.data.object_crop import as_tensor, crop_to_object
from trellis_cli.data.views import picture_of
from trellis_cli.geometry.cameras import Cameras
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.image_tokens import AlexNetTokens, load_image_tokens
from trellis_cli.networks.text_encoder import TextEncoder, load_text_encoder

KEPT_BYTES = 2 << 30  # of encoded views


@runtime_checkable
class FlowConditions(Protocol):
    """One condition an asset, of several that it has."""

    channels: int
    suffix: str  # of the network's key in a model folder

    def pick(self, id_: str, generator: torch.Generator | None) -> Any:
        """One of an asset's conditions, drawn, or the first."""
        ...

    def __call__(self, picks: Sequence[Any], mirrored: Sequence[bool]) -> Condition:
        """The conditions of picks, of their mirror images where asked; None is the dropped condition."""
        ...

    def show(self, pick: Any, size: int) -> tuple[str, list[np.ndarray]]:
        """A caption, and pictures uint8 [size, size, 3], for a sheet of samples."""
        ...


class Captions:
    """The manifest's captions; the dropped one is the empty text."""

    suffix = ""

    def __init__(self, data: DataFolder, encoder: Path | TextEncoder) -> None:
        self.data = data
        self.encoder = load_text_encoder(encoder) if isinstance(encoder, Path) else encoder
        self.channels = self.encoder.width
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def pick(self, id_: str, generator: torch.Generator | None) -> str:
        captions = self.data.captions(id_)
        if generator is None:
            return captions[0]
        return captions[int(torch.randint(len(captions), (1,), generator=generator))]

    def __call__(self, picks: Sequence[str | None], mirrored: Sequence[bool]) -> Condition:
        pairs = [self._encode(text or "") for text in picks]
        lengths = torch.tensor([0, *(len(tokens) for tokens, _ in pairs)])
        return Condition(
            torch.cat([t for t, _ in pairs]).float(), lengths.cumsum(0), torch.stack([p for _, p in pairs])
        )

    def show(self, pick: str | None, size: int) -> tuple[str, list[np.ndarray]]:
        return pick or "", []

    def _encode(self, text: str) -> tuple[Tensor, Tensor]:
        if text not in self._kept:
            out = self.encoder.encode([text])
            assert out.pooled is not None
            self._kept[text] = out.tokens.half(), out.pooled[0]
        return self._kept[text]


class ViewPictures:
    """The asset's views between two pitches of the camera, cropped to the object; the dropped one is zeros."""

    suffix = "_image"

    def __init__(self, data: DataFolder, tokens: Path | AlexNetTokens, pitch_deg: tuple[float, float]) -> None:
        self.data, self.pitch_deg = data, pitch_deg
        self.tokens = load_image_tokens(tokens) if isinstance(tokens, Path) else tokens
        self.channels = self.tokens.channels
        self._kept: dict[tuple[str, int, bool], tuple[Tensor, Tensor]] = {}
        self._kept_bytes = 0
        self._usable: dict[str, list[int]] = {}

    def pick(self, id_: str, generator: torch.Generator | None) -> tuple[str, int]:
        usable = self._views(id_)
        first = 0 if generator is None else int(torch.randint(len(usable), (1,), generator=generator))
        return id_, usable[first]

    def __call__(self, picks: Sequence[tuple[str, int] | None], mirrored: Sequence[bool]) -> Condition:
        keys = [None if pick is None else (*pick, flip) for pick, flip in zip(picks, mirrored, strict=True)]
        self._encode(sorted({k for k in keys if k is not None}))
        pairs = [self._kept[k] if k is not None else self._nothing() for k in keys]
        condition = Condition.dense(torch.stack([t for t, _ in pairs]).float(), torch.stack([p for _, p in pairs]))
        if self._kept_bytes > KEPT_BYTES:
            self._kept.clear()
            self._kept_bytes = 0
        return condition

    def show(self, pick: tuple[str, int] | None, size: int) -> tuple[str, list[np.ndarray]]:
        if pick is None:
            return "", []
        whole = self._cropped(*pick).resize((size, size))
        white = Image.new("RGBA", whole.size, "white")
        return self.data.captions(pick[0])[0], [np.asarray(Image.alpha_composite(white, whole).convert("RGB"))]

    def _views(self, id_: str) -> list[int]:
        """Indices of the views that may be conditions: all, where none lies between the pitches."""
        if id_ not in self._usable:
            asset = self.data.asset("views", id_)
            cameras = Cameras(torch.from_numpy(asset["extrinsics"]), torch.from_numpy(asset["intrinsics"]))
            place = cameras.centres
            pitch = torch.rad2deg(torch.asin((place[:, 2] / place.norm(dim=1)).clamp(-1, 1)))
            inside = (pitch >= self.pitch_deg[0]) & (pitch <= self.pitch_deg[1])
            self._usable[id_] = torch.nonzero(inside)[:, 0].tolist() or list(range(len(place)))
        return self._usable[id_]

    def _encode(self, keys: Sequence[tuple[str, int, bool]]) -> None:
        new = [k for k in keys if k not in self._kept]
        if new:
            out = self.tokens(torch.stack([self._picture(id_, view, flip=flip) for id_, view, flip in new]))
            assert out.pooled is not None
            tokens = out.tokens.view(len(new), -1, self.channels).half()
            self._kept |= {k: (tokens[i].clone(), out.pooled[i].clone()) for i, k in enumerate(new)}
            self._kept_bytes += tokens.nbytes

    def _picture(self, id_: str, view: int, *, flip: bool) -> Float[Tensor, "4 s s"]:
        cropped = self._cropped(id_, view)
        return as_tensor(cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else cropped)

    def _cropped(self, id_: str, view: int) -> Image.Image:
        size = self.tokens.image_size
        whole = picture_of(self.data.asset("views", id_), view)
        return crop_to_object(whole, size=size, threshold=0) or Image.new("RGBA", (size, size))

    def _nothing(self) -> tuple[Tensor, Tensor]:
        return torch.zeros(self.tokens.grid**2, self.channels).half(), torch.zeros(self.channels)
