"""Images to feature maps, behind one protocol: AlexNet's trunk (mini) and DINOv2 with registers (the paper)."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.io import encoder_files, hub
from trellis_cli.io.encoder_files import DINOV2
from trellis_cli.networks.conv_trunks import ConvTrunk, imagenet_normalised
from trellis_cli.networks.quiet_transformers import quietly

SHIPPED_WEIGHTS = Path(str(files("trellis_cli"))) / "models" / "mini" / "ckpts"


@runtime_checkable
class ImageEncoder(Protocol):
    """What the featurize stage asks of an encoder; `name` is written into its files."""

    name: str
    channels: int

    def feature_maps(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c h2 w2"]:
        """A feature vector a cell of a regular grid over each image.

        Args:
            images: sRGB in [0, 1], on black where the view is empty; on the encoder's device.

        Returns:
            Maps whose cells tile the image evenly, so that a cell's centre is at ((i + 0.5) / w2, (j + 0.5) / h2).
        """
        ...


class AlexNetEncoder(nn.Module):
    """Colour and AlexNet's taps on one grid of 4 x 4 pixels: [RGB, tap, tap, ...], each standardised a channel.

    Taps give edges and texture (1, 2), parts (3) and semantics (5). Each is reduced by a fixed linear map (`reduce<i>`,
    principal components fitted once by `recipes/mini/fit_features.py`) before it is brought to the common grid.
    Cells of the taps do not tile the image (a valid pool loses the border), so each is resampled by the true position
    of its cells' centres.
    """

    name = "alexnet"
    cell = 4  # pixels

    def __init__(self, *, taps: tuple[int, ...] | list[int] = (1, 2, 3, 5), reduced: int | None = None) -> None:
        super().__init__()
        self.trunk = ConvTrunk("alexnet")
        self.taps = tuple(taps)
        widths = [self.trunk.tap_channels[tap - 1] for tap in self.taps]
        for tap, width in zip(self.taps, widths, strict=True):
            self.add_module(f"reduce{tap}", nn.Conv2d(width, reduced, 1) if reduced else nn.Identity())
        self.channels = 3 + (reduced * len(widths) if reduced else sum(widths))
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def feature_maps(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c h2 w2"]:
        height, width = (max(1, size // self.cell) for size in images.shape[2:])
        normalised = imagenet_normalised(images)
        outputs = self.trunk(normalised, num_taps=max(self.taps))
        maps = [F.adaptive_avg_pool2d(normalised, (height, width))]
        for tap in self.taps:
            stride, first = self.trunk.tap_grids[tap - 1]
            reduced = getattr(self, f"reduce{tap}")(outputs[tap - 1])
            maps.append(resampled(reduced, images.shape[2:], stride=stride, first=first, size=(height, width)))
        return torch.cat(maps, 1)


class DinoV2Encoder:
    """DINOv2 with registers: patch tokens before its last norm, as the paper's released features (37 x 37 x 1024)."""

    def __init__(self, network: nn.Module, name: str, *, image_size: int = 518) -> None:
        self.network, self.name, self.image_size = network.eval().requires_grad_(False), name, image_size
        config = cast(Any, network.config)  # transformers' own, which nn.Module's type cannot name
        self.channels: int = config.hidden_size
        self._patch_size: int = config.patch_size
        self._num_prefix = 1 + config.num_register_tokens  # [cls] and the registers

    def to(self, device: torch.device | str) -> "DinoV2Encoder":
        self.network.to(device)
        return self

    @torch.no_grad()
    def feature_maps(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c h2 w2"]:
        size = (self.image_size, self.image_size)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        tokens = self.tokens(images)
        side = self.image_size // self._patch_size
        patches = tokens[:, self._num_prefix :].transpose(1, 2)
        return patches.reshape(len(images), self.channels, side, side)

    @torch.no_grad()
    def tokens(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v t c"]:
        """Every token before the last norm: [cls], the registers, then the patches row by row."""
        return self.network(imagenet_normalised(images), output_hidden_states=True).hidden_states[-1]


def load_image_encoder(source: Path | str = "alexnet", *, device: str = "cpu") -> "AlexNetEncoder | DinoV2Encoder":
    """An encoder by name or folder, on `device`.

    "alexnet" is the shipped one, "dinov2" the paper's ViT-L/14 with registers from the hub's cache; else a folder with
    `image_encoder.json`, a transformers folder, or a hub id. Raises MissingError when it is not to be found here (a
    command never downloads on its own), FileError when the files do not fit each other.
    """
    folder = SHIPPED_WEIGHTS if str(source) == "alexnet" else Path(source)
    if (folder / "image_encoder.json").is_file():
        return _load_alexnet(folder).to(device)
    if str(source) == "alexnet" or (folder.is_dir() and not (folder / "config.json").is_file()):
        hint = f"python recipes/mini/fetch_weights.py --out {folder}"
        raise MissingError(f"{folder}: neither image_encoder.json nor a transformers config.json in it", hint=hint)
    return load_dinov2(DINOV2 if str(source) == "dinov2" else str(source)).to(device)


def _load_alexnet(folder: Path) -> AlexNetEncoder:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        encoder = AlexNetEncoder(**json.loads((folder / "image_encoder.json").read_text())["args"])
        state = {key: value.float() for key, value in load_file(folder / "image_encoder.safetensors").items()}
        encoder.load_state_dict({key if key.startswith("reduce") else f"trunk.{key}": state[key] for key in state})
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise FileError(f"{folder}: not an image encoder: {reason}", hint="fetch it anew") from error
    return encoder


def load_dinov2(source: str) -> DinoV2Encoder:
    """DINOv2 with registers of a transformers folder, or of a hub id in the cache.

    Raises:
        MissingError: the weights are not on this machine; nothing is fetched.
        FileError: they are of something else.
    """
    from safetensors import SafetensorError
    from transformers import Dinov2WithRegistersModel

    try:
        with quietly():
            network = Dinov2WithRegistersModel.from_pretrained(
                source, local_files_only=True, cache_dir=hub.cache_folder()
            )
    except OSError as error:
        raise MissingError(
            f"{source}: DINOv2's weights are not on this machine", hint=encoder_files.remedy(source)
        ) from error
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = first_line(error)
        raise FileError(f"{source}: not DINOv2 with registers: {reason}", hint="fetch it anew") from error
    return DinoV2Encoder(network, source if source == DINOV2 else Path(source).name)


def resampled(
    maps: Float[Tensor, "v c h w"], image_size: tuple[int, int] | torch.Size, *, stride: int, first: float,
    size: tuple[int, int],
) -> Float[Tensor, "v c h2 w2"]:  # fmt: skip
    """Bilinear samples at the centres of `size` equal cells of the image; cell i of `maps` lies at first + i stride.

    Beyond the outermost cells their value is kept.
    """
    axes = []
    for num, pixels, cells in zip(size, image_size, maps.shape[2:], strict=True):
        centres = (torch.arange(num, device=maps.device, dtype=maps.dtype) + 0.5) * (pixels / num)
        axes.append((2 * ((centres - first) / stride) + 1) / cells - 1)  # grid_sample: -1 and 1 are the outer edges
    grid = torch.stack(torch.meshgrid(axes[1], axes[0], indexing="xy"), -1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
