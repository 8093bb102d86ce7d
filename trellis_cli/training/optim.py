"""AdamW with a learning-rate schedule, and gradient clipping that follows the norms it has seen."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from trellis_cli.recipes import check_values

CLIP_WINDOW = 1000  # gradient norms remembered; the published training clips at their 95th percentile
CLIP_CEILING = 1.0
SCHEDULES, PRECISIONS = ("constant", "cosine"), ("auto", "bfloat16", "float16", "float32")

COUNTS = ("steps", "warmup", "micro_batch", "max_tokens", "spike")


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """How a network is optimised.

    batch: assets a step, over all processes and micro-batches.
    ema_decay: of the averaged weights; 0 keeps no average.
    precision: what the torso computes in; "auto" (bfloat16 where that is fast), "bfloat16", "float16", "float32".
    micro_batch, max_tokens: assets and voxels that go through a device at a time at most; 0 is no limit.
    memory: the share of a card's memory to fill, from which `max_tokens` is then learnt; 0 keeps it as it is.
    spike: a step whose loss is this many times farther above the median than the 95th percentile of the steps before
        is left out; 0 takes every finite step.
    """

    learning_rate: float
    batch: int
    steps: int
    weight_decay: float = 0.0
    warmup: int = 0
    schedule: str = "constant"
    ema_decay: float = 0.9999
    precision: str = "auto"
    micro_batch: int = 0
    max_tokens: int = 0
    memory: float = 0.0
    spike: float = 0.0

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        allowed: dict[str, tuple[bool, str]] = {
            "learning_rate": (0 <= self.learning_rate < math.inf, "a finite number of 0 or more"),
            "batch": (self.batch >= 1, "1 or more"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a finite number of 0 or more"),
            "ema_decay": (0 <= self.ema_decay < 1, "0 or more, and less than 1"),
            "memory": (0 <= self.memory < 1, "a share of the card: 0 or more, and less than 1"),
            "schedule": (self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            **{name: (getattr(self, name) >= 0, "0 or more") for name in COUNTS},
        }
        check_values(self, allowed, "optimizer.")

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then constant or a cosine to 0."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.schedule == "cosine":
            rise *= 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return self.learning_rate * rise


def make_optimizer(parameters: list[nn.Parameter], recipe: OptimizerRecipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


class AdaptiveClip:
    """Clip at min(1, 95th percentile of the last 1000 norms) once that many were seen, at 1 before."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def limit(self) -> float:
        if len(self.norms) < CLIP_WINDOW:
            return CLIP_CEILING
        return min(CLIP_CEILING, float(torch.tensor(self.norms).quantile(0.95)))

    def __call__(self, parameters: list[nn.Parameter], scale: float = 1.0) -> float:
        """Divide gradients by `scale`, which their loss was multiplied with, and clip them; returns the norm before."""
        if scale != 1:
            for grad in (p.grad for p in parameters if p.grad is not None):
                grad.div_(scale)
        return float(nn.utils.clip_grad_norm_(parameters, self.limit()))

    def remember(self, norm: float) -> None:
        """A step with this norm was taken."""
        self.norms = [*self.norms, norm][-CLIP_WINDOW:]
