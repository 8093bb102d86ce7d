"""The law from which training draws t, and the times at which sampling stops."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def logit_normal(
    num: int, *, mean: float = 1.0, std: float = 1.0, generator: torch.Generator | None = None
) -> Float[Tensor, " b"]:
    """`num` times in (0, 1): sigmoid of normal draws, on the CPU. mean > 0 leans towards the noise.

    Source: TRELLIS (arXiv:2412.01506), appendix B.2 and table 7, logit-normal (1, 1).
    """
    return torch.sigmoid(mean + std * torch.randn(num, generator=generator))


def uniform(num: int, *, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
    """`num` times in [0, 1), on the CPU."""
    return torch.rand(num, generator=generator)


def time_steps(num_steps: int, *, rescale: float | int = 1.0) -> list[float]:
    """num_steps + 1 times from 1 to 0; rescale > 1 spends more of them near the noise.

    t' = r t / (1 + (r - 1) t) of evenly spaced t, in float64 as published (`rescale_t`).

    Raises:
        ValueError: fewer than one step, or a rescale that is not positive.
    """
    if num_steps < 1 or not rescale > 0:
        raise ValueError(f"sampling needs at least 1 step and a rescale above 0, got {num_steps} and {rescale}")
    t = np.linspace(1, 0, num_steps + 1)  # not torch's, whose last digits differ from the published times
    return (rescale * t / (1 + (rescale - 1) * t)).tolist()
