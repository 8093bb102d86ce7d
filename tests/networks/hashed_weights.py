"""Weights that are the same numbers everywhere: a hash of each one's place, whatever library draws random numbers."""

import hashlib

import numpy as np
import torch
from torch import nn


def hash_weights(network: nn.Module) -> None:
    """Fill a network in place: evenly spread numbers of He's width; norms near 1, running variances above 0."""
    for name, tensor in sorted(network.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        start = np.uint32(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
        x = np.arange(tensor.numel(), dtype=np.uint32) + start
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        even = torch.from_numpy(x / 2.0**32 - 0.5).float().reshape(tensor.shape)
        if tensor.ndim > 1:
            tensor.copy_(even * (24 / tensor[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            tensor.copy_(1 + even)
        else:
            tensor.copy_(0.2 * even + (1.0 if name.endswith("weight") else 0.0))
