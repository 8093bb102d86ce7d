"""Weights stored as int8: a matrix as `<key>` int8 and `<key>.scale` float16, one scale a row; all else as float16.

An extension of the published layout, for shipped models; readers put float32 back. A row is everything behind the first
axis, so convolutions have one scale an output channel.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

SCALE = ".scale"
MIN_COLUMNS = 16  # shorter rows would save nothing


def quantise(state: Mapping[str, Tensor], chosen: Callable[[str], bool] = lambda key: True) -> dict[str, Tensor]:
    """The chosen matrices as int8 with scales, the rest as float16 (integers stay)."""
    stored = {}
    for key, value in state.items():
        if not value.is_floating_point():
            stored[key] = value
        elif value.ndim < 2 or value[0].numel() < MIN_COLUMNS or not chosen(key):
            stored[key] = value.half()
        else:
            rows = value.float().flatten(1)
            # The scale is rounded to float16 first, so that what divides is exactly what multiplies again.
            scale = (rows.abs().amax(1) / 127).clamp(min=1e-7).half()
            whole = (rows / scale.float()[:, None]).round().clamp(-127, 127)
            stored[key], stored[key + SCALE] = whole.to(torch.int8).reshape(value.shape), scale
    return stored


def dequantise(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 weights of `quantise`, or of plainly stored ones; integers that have no scale stay."""
    state = {}
    for key, value in stored.items():
        if key.endswith(SCALE):
            continue
        scale = stored.get(key + SCALE)
        if scale is not None:
            value = dequantised(value, scale)
        state[key] = value.float() if value.is_floating_point() else value
    return state


def dequantised(whole: Tensor, scale: Tensor) -> Tensor:
    """One matrix in float32, from its int8 numbers and the scale of each row."""
    return whole.float() * scale.float().view(-1, *[1] * (whole.ndim - 1))
