"""The convolutions of AlexNet and VGG16: five taps of rising depth, for features and for LPIPS. Frozen.

Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (arXiv:1404.5997), the one-column
AlexNet; Simonyan and Zisserman, "VGG" (arXiv:1409.1556), configuration D.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with ReLU; `pool` (size, stride) is a max pool before it; `tap` keeps its output."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: tuple[int, int] | None = None
    tap: bool = True


def _vgg16() -> tuple[Conv, ...]:
    stages = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    return tuple(
        Conv(channels, pool=(2, 2) if s and not i else None, tap=i == count - 1)
        for s, (channels, count) in enumerate(stages)
        for i in range(count)
    )


PLANS: dict[str, tuple[Conv, ...]] = {
    "alexnet": (
        Conv(64, kernel=11, stride=4, padding=2),
        Conv(192, kernel=5, padding=2, pool=(3, 2)),
        Conv(384, pool=(3, 2)),
        Conv(256),
        Conv(256),
    ),
    "vgg16": _vgg16(),
}


class ConvTrunk(nn.Module):
    """Parameters `conv<i>.weight` and `conv<i>.bias`, i from 1, as `recipes/mini/fetch_weights.py` writes them."""

    def __init__(self, name: Literal["alexnet", "vgg16"]) -> None:
        super().__init__()
        self.plan = PLANS[name]
        self.tap_channels = tuple(conv.channels for conv in self.plan if conv.tap)
        width = 3
        for i, conv in enumerate(self.plan, start=1):
            self.add_module(f"conv{i}", nn.Conv2d(width, conv.channels, conv.kernel, conv.stride, conv.padding))
            width = conv.channels
        self.requires_grad_(False).eval()

    def forward(self, x: Float[Tensor, "b 3 h w"], num_taps: int = 5) -> list[Float[Tensor, "b _ _ _"]]:
        """The first `num_taps` outputs after ReLU; x is normalised already. Differentiable with respect to x."""
        taps = []
        for i, conv in enumerate(self.plan, start=1):
            if len(taps) == num_taps:
                break
            if conv.pool:
                x = F.max_pool2d(x, *conv.pool)
            x = F.relu(getattr(self, f"conv{i}")(x))
            if conv.tap:
                taps.append(x)
        return taps

    @property
    def tap_grids(self) -> tuple[tuple[int, float], ...]:
        """(stride, centre of the first cell) of each tap, in pixels of the input from its top left corner."""
        stride, centre, grids = 1, 0.5, []
        for conv in self.plan:
            for size, step, padding in ([(*conv.pool, 0)] if conv.pool else []) + [
                (conv.kernel, conv.stride, conv.padding)
            ]:
                centre += ((size - 1) / 2 - padding) * stride
                stride *= step
            if conv.tap:
                grids.append((stride, centre))
        return tuple(grids)


def imagenet_normalised(images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
    """Images in [0, 1] less ImageNet's mean colour, over its deviation."""
    mean, std = (torch.tensor(x, dtype=images.dtype, device=images.device)[:, None, None] for x in
                 (IMAGENET_MEAN, IMAGENET_STD))  # fmt: skip
    return (images - mean) / std
