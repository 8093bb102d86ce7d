"""Views of an asset as tensors: pictures decoded from a /views asset, with their cameras."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras
from trellis_cli.io.stage_files import Asset


@dataclass(frozen=True, slots=True)
class Views:
    """v pictures: rgb (straight) and alpha in [0, 1]; optional depth (0 where nothing) and normals in [-1, 1]."""

    rgb: Float[Tensor, "v 3 h w"]
    alpha: Float[Tensor, "v 1 h w"]
    cameras: Cameras
    depth: Float[Tensor, "v h w"] | None = None
    normal: Float[Tensor, "v h w 3"] | None = None

    def on(self, background: Float[Tensor, "3"]) -> Float[Tensor, "v 3 h w"]:
        """The pictures composited on a plain colour."""
        return self.rgb * self.alpha + (1 - self.alpha) * background[:, None, None]

    def to(self, device: torch.device | str) -> "Views":
        depth, normal = (t if t is None else t.to(device) for t in (self.depth, self.normal))
        return Views(self.rgb.to(device), self.alpha.to(device), self.cameras.to(device), depth, normal)


def encode_png(rgba: np.ndarray) -> bytes:
    """uint8 [h, w, 4] as PNG bytes; the same bytes for the same picture."""
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def decode_views(asset: Asset, indices: list[int] | None = None) -> Views:
    """All views of a /views asset, or those of the given indices in their order."""
    offsets = asset["image_offsets"]
    chosen = list(range(len(offsets) - 1)) if indices is None else indices
    pictures = np.stack([np.asarray(picture_of(asset, i)) for i in chosen])
    rgba = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    cameras = Cameras(torch.from_numpy(asset["extrinsics"][chosen]), torch.from_numpy(asset["intrinsics"][chosen]))
    depth = torch.from_numpy(asset["depth"][chosen]) if "depth" in asset else None
    normal = torch.from_numpy(asset["normal"][chosen]).float() / 127.5 - 1 if "normal" in asset else None
    return Views(rgba[:, :3], rgba[:, 3:], cameras, depth, normal)


def picture_of(asset: Asset, index: int) -> Image.Image:
    """One view's RGBA picture."""
    start, end = asset["image_offsets"][index : index + 2]
    with Image.open(io.BytesIO(asset["images"][start:end].tobytes())) as picture:
        return picture.convert("RGBA")
