"""Repaint: sample some rows of x anew while the others follow data that are known. No sampler learns of it.

RePaint (Lugmayr et al. 2022, arXiv:2201.09865) carried over from diffusion to rectified flow. A kept row is never
sampled: it stands, at every t, on the straight path between its data and its own noise, where the network sees it
beside the free ones. So far the free rows can only follow; resampling lets both sides of a seam agree: after some steps
x is noised back to where they began, and they are walked again (their algorithm 1 and its jumps).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trellis_cli.flow.guidance import Velocity
from trellis_cli.flow.path import SIGMA_MIN, begin, data_at, interpolate, velocity_to
from trellis_cli.flow.path import velocity as path_velocity
from trellis_cli.flow.sampler import euler


@dataclass(frozen=True, slots=True)
class Resampling:
    """How often each stretch of the way is walked, and how many of the sampler's steps make a stretch.

    `resample` 1 walks it once: no jump at all. The velocity is asked resample times as often.
    """

    jump: int = 1
    resample: int = 1

    def __post_init__(self) -> None:
        if self.jump < 1 or self.resample < 1:
            raise ValueError(f"jump and resample are at least 1, got {self.jump} and {self.resample}")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The rows that are not to change, as a sampler of one asset wants it.

    data: what the kept rows are at t = 0; of a free row, what it is pulled to.
    free: the rows to be sampled.
    generator: of the asset, on the CPU; fresh noise is drawn from it at every jump.
    pull: how much of a free row's data is to be as it was, from 0 to 1; None for nothing of any.
    """

    data: Float[Tensor, "n c"]
    free: Bool[Tensor, " n"]
    resampling: Resampling
    generator: torch.Generator
    pull: Float[Tensor, " n"] | None = None

    def to(self, device: torch.device | str) -> "Kept":
        pull = None if self.pull is None else self.pull.to(device)
        return replace(self, data=self.data.to(device), free=self.free.to(device), pull=pull)


def beside_kept(velocity: Velocity, noise: Float[Tensor, "n c"], kept: Kept) -> Velocity:
    """A velocity that leads the free rows as `velocity` says, and the kept ones along the path from `noise` to data.

    Whatever x says of a kept row, `velocity` sees it where its path is at t. Of a free row that is pulled, the data
    that `velocity` points at are mixed with what it was, and the velocity made to point there.
    """
    chosen, along = kept.free[:, None], path_velocity(kept.data, noise)
    pull = None if kept.pull is None else kept.pull[:, None]

    def v(x: Float[Tensor, "n c"], t: float) -> Float[Tensor, "n c"]:
        seen = torch.where(chosen, x, interpolate(kept.data, noise, t))
        led = velocity(seen, t)
        if pull is not None:
            led = velocity_to(seen, torch.lerp(data_at(seen, led, t), kept.data, pull), t)
        return torch.where(chosen, led, along)

    return v


def noised_back(x: Float[Tensor, "n c"], fresh: Float[Tensor, "n c"], t: float, t_up: float) -> Float[Tensor, "n c"]:
    """x at t with as much fresh noise as makes it one at t_up, where t <= t_up and t < 1.

    x_t = (1 - t) x_0 + sigma_t noise has to become (1 - t_up) x_0 plus normal noise of width sigma_up:
    a x_t + b fresh with a = (1 - t_up) / (1 - t) and b^2 = sigma_up^2 - a^2 sigma_t^2.
    """
    a = (1 - t_up) / (1 - t)
    sigma, sigma_up = (SIGMA_MIN + (1 - SIGMA_MIN) * time for time in (t, t_up))
    return a * x + max(sigma_up**2 - (a * sigma) ** 2, 0.0) ** 0.5 * fresh


def repaint(velocity: Velocity, noise: Float[Tensor, "n c"], times: list[float], kept: Kept) -> Float[Tensor, "n c"]:
    """As `sampler.euler`, with the kept rows on their path and the way walked in stretches; kept rows come out exact.

    Args:
        noise: of all rows, on the device of `kept`; a jump draws as much again on the CPU, free rows or not.
    """
    beside = beside_kept(velocity, noise, kept)
    x, jump = begin(noise, times[0]), kept.resampling.jump
    for start in range(0, len(times) - 1, jump):
        stretch = times[start : start + jump + 1]
        for walk in range(kept.resampling.resample):
            if walk:
                fresh = torch.randn(x.shape, generator=kept.generator).to(x)
                x = noised_back(x, fresh, stretch[-1], stretch[0])
            x = euler(beside, x, stretch)
    return torch.where(kept.free[:, None], x, kept.data)
