"""AdamW with a learning-rate schedule, and gradient clipping that follows the norms it has seen."""

import math
from dataclasses import dataclass

import torch
from torch import nn

CLIP_WINDOW = 1000  # gradient norms remembered; the published training clips at their 95th percentile
CLIP_CEILING = 1.0


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """How a network is optimised. `batch` counts assets a step over all processes; `ema_decay` 0 keeps no average."""

    learning_rate: float
    batch: int
    steps: int
    weight_decay: float = 0.0
    warmup: int = 0
    schedule: str = "constant"
    ema_decay: float = 0.9999
    precision: str = "auto"

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

    def __call__(self, parameters: list[nn.Parameter]) -> float:
        """Clip in place; returns the norm before."""
        norm = float(nn.utils.clip_grad_norm_(parameters, self.limit()))
        if math.isfinite(norm):
            self.norms = [*self.norms, norm][-CLIP_WINDOW:]
        return norm
