"""LPIPS, the learned perceptual distance of two images; differentiable, so it is a loss and a metric.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (arXiv:1801.03924),
version 0.1, equation 1: unit-length features of five layers, squared differences weighted a channel, mean over space.
"""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.networks.conv_trunks import ConvTrunk
from trellis_cli.networks.image_encoders import SHIPPED_WEIGHTS

# The published scaling of images in [-1, 1]; to rounding ImageNet's mean and deviation, but not the same bits.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """Trunk and five heads `head<i>` [channels]; 0 for equal images, about 0.7 for unlike ones."""

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Literal["alexnet", "vgg16"] = "alexnet") -> None:
        super().__init__()
        self.trunk = ConvTrunk(trunk)
        for i, channels in enumerate(self.trunk.tap_channels, start=1):
            self.register_buffer(f"head{i}", torch.zeros(channels))
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"], others: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """The distance of each pair; images in [0, 1], at least 32 pixels a side."""
        both = torch.cat([images, others])
        taps = self.trunk((2 * both - 1 - self.shift) / self.scale)
        total = images.new_zeros(len(images))
        for i, tap in enumerate(taps, start=1):
            # The 1e-10 inside the root keeps the gradient of an all-zero feature finite; outside is the published one.
            unit = tap / ((tap.square().sum(1, keepdim=True) + 1e-20).sqrt() + 1e-10)
            a, b = unit.chunk(2)
            total = total + torch.einsum("bchw,c->bhw", (a - b).square(), getattr(self, f"head{i}")).mean((1, 2))
        return total


def load_lpips(source: Path | str = "alex") -> LPIPS:
    """LPIPS on AlexNet: "alex" (shipped) or a folder with its two files; or on VGG16, a .safetensors file.

    Raises MissingError without the files, FileError where they do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    source = SHIPPED_WEIGHTS if str(source) == "alex" else Path(source)
    parts = [source] if source.suffix == ".safetensors" else [
        source / "image_encoder.safetensors", source / "lpips.safetensors"
    ]  # fmt: skip
    for part in parts:
        if not part.is_file():
            option = f"--vgg {source}" if len(parts) == 1 else f"--out {source}"
            raise MissingError(
                f"{part}: LPIPS weights are missing", hint=f"python recipes/mini/fetch_weights.py {option}"
            )
    metric = LPIPS("vgg16" if len(parts) == 1 else "alexnet")
    try:
        state = {key: value.float() for part in parts for key, value in load_file(part).items()}
        kept = {key: value for key, value in state.items() if key.startswith(("conv", "head"))}
        metric.load_state_dict({key if key.startswith("head") else f"trunk.{key}": kept[key] for key in kept})
    except (SafetensorError, RuntimeError) as error:
        raise FileError(f"{source}: not LPIPS weights: {first_line(error)}", hint="fetch them anew") from error
    return metric.requires_grad_(False).eval()
