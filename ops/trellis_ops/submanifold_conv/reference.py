"""The definition, one voxel and one neighbour at a time. Slow, in float64, and never optimised."""

import torch
from torch import Tensor


def refusal(*args: object, **kwargs: object) -> None:
    return None


def run(feats: Tensor, weight: Tensor, bias: Tensor, table: Tensor) -> Tensor:
    taps = weight.double().flatten(1, 3)  # output channel, neighbour, input channel
    x, start = feats.double(), bias.double()
    rows = []
    for neighbours in table.tolist():
        total = start
        for tap, row in enumerate(neighbours):
            if row >= 0:
                total = total + taps[:, tap] @ x[row]
        rows.append(total)
    return torch.stack(rows).to(feats.dtype) if rows else feats.new_zeros(0, len(weight))
