"""The same matrix products over gathered rows on a GPU, through torch."""

from torch import Tensor

from trellis_ops.submanifold_conv import _gather


def refusal(feats: Tensor, *args: object, **kwargs: object) -> str | None:
    return None if feats.is_cuda else f"feats is on {feats.device}, not a CUDA device"


def run(feats: Tensor, weight: Tensor, bias: Tensor, table: Tensor) -> Tensor:
    return _gather.convolve(feats, weight, bias, table)
