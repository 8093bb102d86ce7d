"""An exponential moving average of a network's parameters: what is sampled with and shipped."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    """Keeps `module`, a copy whose parameters follow the trained ones. The decay rises with the step, as
    min(decay, (1 + step) / (10 + step)), so that short runs are not averages of the initialisation."""

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(trained).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, trained: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        ours, theirs = self.module.state_dict(), trained.state_dict()
        floats = [k for k, v in ours.items() if v.is_floating_point()]
        get_ema_multi_avg_fn(decay)([ours[k] for k in floats], [theirs[k].detach() for k in floats], None)
