"""The networks that sets of objects are compared by, each under the name that its distances carry.

Only alexnet is shipped. The others' weights are their publishers'; nothing here fetches them, and where they are
missing the metric is reported as missing.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trellis_cli.io import encoder_files
from trellis_cli.io.digests import file_digest
from trellis_cli.networks.conv_trunks import imagenet_normalised
from trellis_cli.networks.image_encoders import SHIPPED_WEIGHTS, AlexNetEncoder, load_dinov2, load_image_encoder
from trellis_cli.networks.inception import InceptionV3
from trellis_cli.networks.pointnet2 import PointNet2
from trellis_cli.networks.weight_files import load_torch_weights

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_AT = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{INCEPTION}"
POINTNET = "pointnet.pt"
POINTNET_AT = f"https://openaipublic.azureedge.net/main/point-e/{POINTNET}"
FILES = {"incep": INCEPTION, "point": POINTNET}
HUB = {"dinov2": encoder_files.DINOV2, "clip": encoder_files.CLIP}
LOOKED_AT = 224  # pixels along an edge of a picture as alexnet and dinov2 see it
Look = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """What it looks at, [v 3 h w] in [0, 1] or [1 n 3], and what loads it: on a device, with weights from a folder."""

    of: Literal["pictures", "points"]
    load: Callable[[Path, str], Look]


def weights_folder(given: Path | None = None) -> Path:
    """Where weights that are downloaded by hand lie: what is given, else trellis/weights in the user's cache."""
    if given is not None:
        return given
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trellis" / "weights"


def _alexnet(folder: Path, device: str) -> Look:
    """The last convolution's mean over space: what is in a picture, more or less."""
    encoder = cast(AlexNetEncoder, load_image_encoder("alexnet", device=device))
    return lambda images: encoder.trunk(imagenet_normalised(_scaled(images)))[-1].mean((2, 3))


def _inception(folder: Path, device: str) -> Look:
    network = InceptionV3()
    load_torch_weights(network, folder / INCEPTION, what="the Inception network of the FID", where=INCEPTION_AT)
    return network.to(device)


def _dinov2(folder: Path, device: str) -> Look:
    """The class token after the last norm, ViT-L/14 with registers."""
    network = load_dinov2(encoder_files.DINOV2).to(device).network
    return lambda images: network(imagenet_normalised(_scaled(images))).pooler_output


def _pointnet(folder: Path, device: str) -> Look:
    network = PointNet2()
    load_torch_weights(
        network, folder / POINTNET, what="the PointNet++ of Point-E", where=POINTNET_AT, under="model_state_dict"
    )
    return network.to(device)


NETWORKS = {
    "alexnet": FeatureNetwork("pictures", _alexnet),
    "incep": FeatureNetwork("pictures", _inception),
    "dinov2": FeatureNetwork("pictures", _dinov2),
    "point": FeatureNetwork("points", _pointnet),
}


def weight_files(name: str, folder: Path) -> list[Path]:
    """The files that decide what a network gives."""
    if name in HUB:
        return sorted(encoder_files.cached_files(HUB[name]).values())
    return [SHIPPED_WEIGHTS / "image_encoder.safetensors"] if name == "alexnet" else [folder / FILES[name]]


def weights_digest(files: Sequence[Path]) -> str:
    """sha256 of the contents of files, one after the other."""
    return hashlib.sha256("".join(file_digest(path) for path in files).encode()).hexdigest()


def _scaled(images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 s s"]:
    size = (LOOKED_AT, LOOKED_AT)
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


class Features:
    """Features by name; networks are loaded when first used, and stay."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        self._loaded: dict[str, Look] = {}
        self._digests: dict[str, str] = {}

    def load(self, name: str) -> None:
        """Raises MissingError, FileError where its weights are missing or broken."""
        if name not in self._loaded:
            self._loaded[name] = NETWORKS[name].load(self.folder, self.device)

    def digest(self, name: str) -> str:
        """sha256 of the weights behind a name, "clip" among them, so that scores of other weights are others."""
        if name not in self._digests:
            self._digests[name] = weights_digest(weight_files(name, self.folder))
        return self._digests[name]

    @torch.no_grad()
    def __call__(self, name: str, seen: Tensor) -> Float[Tensor, "v d"]:
        """Of pictures or clouds. Raises as `load`."""
        self.load(name)
        return self._loaded[name](seen.to(self.device)).float().cpu()
