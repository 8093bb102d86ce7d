"""Inception-v3 as Fréchet distances are measured with: the network of the published FID, with its weights' key names.

Source: Szegedy et al. 2015 (arXiv:1512.00567). The FID network (Heusel et al. 2017) differs from others of that name in
three places: average pools leave out the padding, the last block pools by maximum, and there are 1,008 classes.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIZE, CLASSES = 299, 1008
Shape = int | tuple[int, int]
Pool = Callable[[Tensor], Tensor]
average = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
largest = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
halved = partial(F.max_pool2d, kernel_size=3, stride=2)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, width: int, channels: int, kernel: Shape = 1, *, stride: int = 1, padding: Shape = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return F.relu(self.bn(self.conv(x)))


# A step of a branch: its name, output channels, kernel and stride. Steps of stride 1 keep the size.
Step = tuple[str, int, Shape, int]


class Block(nn.Module):
    """Branches beside each other, their outputs side by side: chains of steps, then one that pools.

    A chain may end in two steps that share their input (names with a and b), whose outputs are both kept.
    """

    def __init__(self, width: int, chains: list[list[Step]], pool: Pool, pooled: int | None = None) -> None:
        super().__init__()
        self.chains, self.pool = [[step[0] for step in chain] for chain in chains], pool
        self.width = sum(chain[-1][1] * (2 if chain[-1][0].endswith("b") else 1) for chain in chains)
        self.width += width if pooled is None else pooled
        for chain in chains:
            channels = width
            for name, out, kernel, stride in chain:
                self.add_module(name, ConvNorm(channels, out, kernel, stride=stride, padding=_same(kernel, stride)))
                channels = channels if name.endswith("a") else out
        self.branch_pool = None if pooled is None else ConvNorm(width, pooled)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        outputs = []
        for chain in self.chains:
            y = x
            for name in chain:
                z = getattr(self, name)(y)
                if name.endswith("a"):
                    outputs.append(z)
                else:
                    y = z
            outputs.append(y)
        pooled = self.pool(x)
        return torch.cat([*outputs, pooled if self.branch_pool is None else self.branch_pool(pooled)], 1)


class InceptionV3(nn.Module):
    """Pictures to 2,048 numbers each: the last average pool."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        width = 192
        self.blocks = []
        for name, block in _blocks():
            made = block(width)
            self.add_module(name, made)
            self.blocks.append(name)
            width = made.width
        self.fc = nn.Linear(width, CLASSES)  # of the weights' file; no distance needs it

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048"]:
        """images: in [0, 1], of any size; brought to 299^2 bilinearly without antialiasing, as published."""
        x = 2 * F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1
        x = halved(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = halved(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name in self.blocks:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


def _same(kernel: Shape, stride: int) -> Shape:
    """Padding that keeps the size of a step of stride 1; steps of stride 2 have none."""
    if stride > 1:
        return 0
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


def _blocks() -> list[tuple[str, Callable[[int], Block]]]:
    """In their order; letters as in the paper's figures 5, 6, 7 and 10."""
    return [
        *((f"Mixed_5{n}", partial(_five, pooled=pooled)) for n, pooled in (("b", 32), ("c", 64), ("d", 64))),
        ("Mixed_6a", _to_seventeen),
        *(
            (f"Mixed_6{n}", partial(_seven, inner=inner))
            for n, inner in (("b", 128), ("c", 160), ("d", 160), ("e", 192))
        ),
        ("Mixed_7a", _to_eight),
        ("Mixed_7b", partial(_split, pool=average)),
        ("Mixed_7c", partial(_split, pool=largest)),
    ]


def _five(width: int, *, pooled: int) -> Block:
    chains: list[list[Step]] = [
        [("branch1x1", 64, 1, 1)],
        [("branch5x5_1", 48, 1, 1), ("branch5x5_2", 64, 5, 1)],
        [("branch3x3dbl_1", 64, 1, 1), ("branch3x3dbl_2", 96, 3, 1), ("branch3x3dbl_3", 96, 3, 1)],
    ]
    return Block(width, chains, average, pooled)


def _to_seventeen(width: int) -> Block:
    chains: list[list[Step]] = [
        [("branch3x3", 384, 3, 2)],
        [("branch3x3dbl_1", 64, 1, 1), ("branch3x3dbl_2", 96, 3, 1), ("branch3x3dbl_3", 96, 3, 2)],
    ]
    return Block(width, chains, halved)


def _seven(width: int, *, inner: int) -> Block:
    row, column = (1, 7), (7, 1)
    double = [1, column, row, column, row]
    chains: list[list[Step]] = [
        [("branch1x1", 192, 1, 1)],
        [("branch7x7_1", inner, 1, 1), ("branch7x7_2", inner, row, 1), ("branch7x7_3", 192, column, 1)],
        [(f"branch7x7dbl_{i}", 192 if i == 5 else inner, kernel, 1) for i, kernel in enumerate(double, start=1)],
    ]
    return Block(width, chains, average, 192)


def _to_eight(width: int) -> Block:
    chains: list[list[Step]] = [
        [("branch3x3_1", 192, 1, 1), ("branch3x3_2", 320, 3, 2)],
        [
            ("branch7x7x3_1", 192, 1, 1),
            ("branch7x7x3_2", 192, (1, 7), 1),
            ("branch7x7x3_3", 192, (7, 1), 1),
            ("branch7x7x3_4", 192, 3, 2),
        ],
    ]
    return Block(width, chains, halved)


def _split(width: int, *, pool: Pool) -> Block:
    row, column = (1, 3), (3, 1)
    chains: list[list[Step]] = [
        [("branch1x1", 320, 1, 1)],
        [("branch3x3_1", 384, 1, 1), ("branch3x3_2a", 384, row, 1), ("branch3x3_2b", 384, column, 1)],
        [
            ("branch3x3dbl_1", 448, 1, 1),
            ("branch3x3dbl_2", 384, 3, 1),
            ("branch3x3dbl_3a", 384, row, 1),
            ("branch3x3dbl_3b", 384, column, 1),
        ],
    ]
    return Block(width, chains, pool, 192)
