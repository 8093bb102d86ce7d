"""Classifier-free guidance: a velocity made of two velocities. The sampler never learns of it."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

Velocity = Callable[[Float[Tensor, "n c"], float], Float[Tensor, "n c"]]
"""dx/dt at x and t: a flow network with its condition, its coordinates and its batch already bound."""

ALWAYS = (0.0, 1.0)


def guided(cond: Velocity, uncond: Velocity, *, strength: float, interval: tuple[float, float] = ALWAYS) -> Velocity:
    """v = (1 + w) v_cond - w v_uncond where t lies inside the interval, ends included; outside it v_cond alone.

    `strength` w = 0 is no guidance; the published samplers count alike. Outside the interval a step costs half.
    """

    def v(x: Float[Tensor, "n c"], t: float) -> Float[Tensor, "n c"]:
        if strength == 0 or not interval[0] <= t <= interval[1]:
            return cond(x, t)
        return (1 + strength) * cond(x, t) - strength * uncond(x, t)

    return v
