"""Matrix products over gathered rows: one a neighbour in float32, one over all 27 in bfloat16 where that is fast."""

import torch
from torch import Tensor

from trellis_ops._processor import has_fast_bfloat16
from trellis_ops.submanifold_conv import _gather


def refusal(feats: Tensor, *args: object, **kwargs: object) -> str | None:
    return None if feats.device.type == "cpu" else f"feats is on {feats.device}, not the CPU"


def run(feats: Tensor, weight: Tensor, bias: Tensor, table: Tensor) -> Tensor:
    if feats.dtype == torch.bfloat16 and has_fast_bfloat16():
        return _gather.convolve(feats, weight, bias, table)
    if feats.dtype in (torch.bfloat16, torch.float16):  # no hardware for it: float32 is faster and exact
        return _gather.convolve(feats.float(), weight.float(), bias.float(), table).to(feats.dtype)
    return _gather.convolve(feats, weight, bias, table)
