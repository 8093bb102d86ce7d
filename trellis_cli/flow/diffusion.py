"""The paper's baseline: diffusion that predicts its noise, and DDIM as Euler's method on the path of the flows.

x_k = sqrt(a_k) x_0 + sqrt(1 - a_k) noise for k = 0 .. 999, a_k the product of 1 - beta, beta linear from 1e-4 to 0.02.
Up to its scale that is a point of the straight path (path.py), at the time t where both weights have the same relation;
and a step of DDIM without fresh noise, which keeps the predicted x_0 and noise and changes their weights alone, is a
step of Euler's method along the velocity that these two give. So a network that predicts noise is made to look like one
that predicts a velocity (`as_velocity`), and guidance, repainting and the sampler need not know of it.
Source: DDPM (arXiv:2006.11239), DDIM (arXiv:2010.02502, equation 12, sigma 0); TRELLIS (arXiv:2412.01506), table 4,
which leaves the details open.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.flow.guidance import Velocity
from trellis_cli.flow.path import SIGMA_MIN, velocity

NUM_TIMES = 1000
BETAS = (1e-4, 0.02)

_KEPT = np.cumprod(1 - np.linspace(*BETAS, NUM_TIMES))  # a_k
_RELATION = np.sqrt(_KEPT / (1 - _KEPT))  # weight of the data over that of the noise


def draw_times(num: int, *, generator: torch.Generator | None = None) -> Float[Tensor, " b"]:
    """`num` of the 1000 times k, evenly, as the network is told of them: k / 1000. On the CPU."""
    return torch.randint(NUM_TIMES, (num,), generator=generator) / NUM_TIMES


def diffused(
    x0: Float[Tensor, "*n c"], noise: Float[Tensor, "*n c"], t: Float[Tensor, "*n 1"]
) -> Float[Tensor, "*n c"]:
    """x_k of k = 1000 t: sqrt(a_k) x_0 + sqrt(1 - a_k) noise."""
    kept = torch.as_tensor(_KEPT, device=t.device)[(NUM_TIMES * t).round().long()]
    return kept.sqrt().to(x0) * x0 + (1 - kept).sqrt().to(x0) * noise


def ddim_times(num_steps: int) -> list[float]:
    """num_steps + 1 times on the straight path, from the last k, evenly spaced in k, to 0, which is data.

    Raises:
        ValueError: fewer than one step, or more than there are times.
    """
    if not 1 <= num_steps <= NUM_TIMES:
        raise ValueError(f"diffusion samples in 1 to {NUM_TIMES} steps, got {num_steps}")
    ks = np.round(np.arange(NUM_TIMES, 0, -NUM_TIMES / num_steps)[:num_steps]).astype(int) - 1
    relation = _RELATION[ks]
    return [*((1 - SIGMA_MIN * relation) / (1 + (1 - SIGMA_MIN) * relation)).tolist(), 0.0]


def as_velocity(noise_of: Velocity) -> Velocity:
    """The velocity on the straight path that a prediction of noise amounts to.

    Args:
        noise_of: the noise in x_k, at k / 1000.
    """

    def v(x: Float[Tensor, "n c"], t: float) -> Float[Tensor, "n c"]:
        of_data, of_noise = 1 - t, SIGMA_MIN + (1 - SIGMA_MIN) * t
        k = float(np.interp(-math.log(of_data / of_noise), -np.log(_RELATION), np.arange(NUM_TIMES)))
        noise = noise_of(x / math.hypot(of_data, of_noise), k / NUM_TIMES)
        return velocity((x - of_noise * noise) / of_data, noise)

    return v
