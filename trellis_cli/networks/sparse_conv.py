"""Submanifold convolutions as layers, with the published keys and the published 1^3 quirk."""

import math

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from trellis_ops.submanifold_conv import submanifold_conv


class _Convolution(nn.Module):
    """Weight [out, k, k, k, in] and bias; drawn as torch draws its convolutions'."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, size, size, size, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = 1 / math.sqrt(in_channels * size**3)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)


class SubmanifoldConv(nn.Module):
    """A 3^3 convolution on active voxels, in its input's dtype. Keys `conv.weight` [out, 3, 3, 3, in], `conv.bias`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _Convolution(in_channels, out_channels, 3)

    def forward(self, x: Float[Tensor, "n c"], table: Int32[Tensor, "n 27"]) -> Float[Tensor, "n d"]:
        return submanifold_conv(x, self.conv.weight.to(x.dtype), self.conv.bias.to(x.dtype), table)


class PointwiseConv(nn.Module):
    """A 1^3 convolution with the published weights' meaning. Keys `conv.weight` [out, 1, 1, 1, in], `conv.bias`.

    The library the published networks ran on reads the buffer of [out, in] numbers anew as [in, out], without turning
    it; the released weights were trained so, and an ordinary linear layer gives other numbers.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _Convolution(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        matrix = self.conv.weight.to(x.dtype).reshape(x.shape[1], -1)
        return torch.addmm(self.conv.bias.to(x.dtype), x, matrix)
