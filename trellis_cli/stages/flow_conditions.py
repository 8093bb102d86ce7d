"""What a flow is conditioned on in training: an asset's captions, or its views. Each is encoded once and kept."""

from collections.abc import Callable, Sequence
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
from trellis_cli.stages.conditioners import ImageEncoding, TextEncoding

KEPT_BYTES = 2 << 30  # of encoded texts, or of encoded views
Encoded = tuple[Tensor, Tensor | None]  # tokens in half precision on the CPU, pooled vector


class _Kept:
    """What was encoded, by key, while all of it stays under KEPT_BYTES; past that everything is forgotten."""

    def __init__(self) -> None:
        self._by_key: dict[Any, Encoded] = {}
        self._bytes = 0

    def condition(self, keys: Sequence[Any], encode: Callable[[Any], Condition]) -> Condition:
        """The conditions of keys; what is not kept is encoded, one by one: in a batch the last digits of one would
        depend on the others, and so a run that goes on on what it happens to have kept."""
        for key in (k for k in dict.fromkeys(keys) if k not in self._by_key):
            one = encode(key).to("cpu")
            self._by_key[key] = one.tokens.half(), None if one.pooled is None else one.pooled[0]
            self._bytes += 2 * one.tokens.numel()
        pairs = [self._by_key[key] for key in keys]
        lengths = torch.tensor([0, *(len(tokens) for tokens, _ in pairs)])
        pooled = [vector for _, vector in pairs if vector is not None]
        tokens = torch.cat([tokens for tokens, _ in pairs]).float()
        if self._bytes > KEPT_BYTES:
            self._by_key.clear()
            self._bytes = 0
        return Condition(tokens, lengths.cumsum(0), torch.stack(pooled) if pooled else None)


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

    def __init__(self, data: DataFolder, encoder: TextEncoding) -> None:
        self.data, self.encoder = data, encoder
        self.channels = encoder.width
        self._kept = _Kept()

    def pick(self, id_: str, generator: torch.Generator | None) -> str:
        captions = self.data.captions(id_)
        if generator is None:
            return captions[0]
        return captions[int(torch.randint(len(captions), (1,), generator=generator))]

    def __call__(self, picks: Sequence[str | None], mirrored: Sequence[bool]) -> Condition:
        return self._kept.condition([text or "" for text in picks], lambda text: self.encoder.encode([text]))

    def show(self, pick: str | None, size: int) -> tuple[str, list[np.ndarray]]:
        return pick or "", []


def pictures_group(data: DataFolder) -> str:
    """Where the pictures of image conditions are: /conditions, which are made for it, or else /views."""
    return "conditions" if data.holds("conditions") else "views"


class ViewPictures:
    """The asset's views between two pitches of the camera, cropped to the object; the dropped one is zeros."""

    suffix = "_image"

    def __init__(
        self, data: DataFolder, tokens: ImageEncoding, pitch_deg: tuple[float, float], *, device: str = "cpu"
    ) -> None:
        self.data, self.tokens, self.pitch_deg, self.device = data, tokens, pitch_deg, device
        self.group = pictures_group(data)
        self.channels = tokens.channels
        self._kept = _Kept()
        self._usable: dict[str, list[int]] = {}

    def pick(self, id_: str, generator: torch.Generator | None) -> tuple[str, int]:
        usable = self._views(id_)
        first = 0 if generator is None else int(torch.randint(len(usable), (1,), generator=generator))
        return id_, usable[first]

    def __call__(self, picks: Sequence[tuple[str, int] | None], mirrored: Sequence[bool]) -> Condition:
        keys = [None if pick is None else (*pick, flip) for pick, flip in zip(picks, mirrored, strict=True)]
        return self._kept.condition(keys, self._encoded)

    def show(self, pick: tuple[str, int] | None, size: int) -> tuple[str, list[np.ndarray]]:
        if pick is None:
            return "", []
        whole = self._cropped(*pick).resize((size, size))
        white = Image.new("RGBA", whole.size, "white")
        return self.data.captions(pick[0])[0], [np.asarray(Image.alpha_composite(white, whole).convert("RGB"))]

    def _views(self, id_: str) -> list[int]:
        """Indices of the views that may be conditions: all, where none lies between the pitches."""
        if id_ not in self._usable:
            asset = self.data.cameras(id_, self.group)
            cameras = Cameras(torch.from_numpy(asset["extrinsics"]), torch.from_numpy(asset["intrinsics"]))
            place = cameras.centres
            pitch = torch.rad2deg(torch.asin((place[:, 2] / place.norm(dim=1)).clamp(-1, 1)))
            inside = (pitch >= self.pitch_deg[0]) & (pitch <= self.pitch_deg[1])
            self._usable[id_] = torch.nonzero(inside)[:, 0].tolist() or list(range(len(place)))
        return self._usable[id_]

    def _encoded(self, key: tuple[str, int, bool] | None) -> Condition:
        """The tokens of a picture; zeros, as many as a picture has, where there is none."""
        size = self.tokens.image_size
        picture = torch.zeros(4, size, size) if key is None else self._picture(key[0], key[1], flip=key[2])
        out = self.tokens(picture[None].to(self.device))
        if key is not None:
            return out
        return Condition(torch.zeros_like(out.tokens), out.offsets, None if out.pooled is None else out.pooled * 0)

    def _picture(self, id_: str, view: int, *, flip: bool) -> Float[Tensor, "4 s s"]:
        cropped = self._cropped(id_, view)
        return as_tensor(cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else cropped)

    def _cropped(self, id_: str, view: int) -> Image.Image:
        size = self.tokens.image_size
        whole = picture_of(self.data.views(id_, [view], surfaces=False, group=self.group), 0)
        return crop_to_object(whole, size=size, threshold=0) or Image.new("RGBA", (size, size))
