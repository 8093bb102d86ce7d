"""Guidance, and several conditions at once: a velocity made of other velocities. The sampler never learns of it."""

from collections.abc import Callable, Sequence

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


def in_turn(velocities: Sequence[Velocity], times: Sequence[float]) -> Velocity:
    """Step i, the one that leaves from times[i], follows velocity i mod n alone: as dear as a single condition.

    The published code calls it "stochastic", though nothing in it is drawn. With fewer steps than conditions the last
    conditions are never heard.

    Args:
        times: those that the sampler visits; the velocity answers at no other time.

    Raises:
        ValueError: no velocity at all.
    """
    if not velocities:
        raise ValueError("in_turn needs at least one velocity")
    turns = {t: velocities[i % len(velocities)] for i, t in enumerate(times)}

    def v(x: Float[Tensor, "n c"], t: float) -> Float[Tensor, "n c"]:
        return turns[t](x, t)

    return v


def averaged(velocities: Sequence[Velocity]) -> Velocity:
    """The mean of all velocities at every step: what the published code calls "multidiffusion".

    Raises:
        ValueError: no velocity at all.
    """
    if not velocities:
        raise ValueError("averaged needs at least one velocity")

    def v(x: Float[Tensor, "n c"], t: float) -> Float[Tensor, "n c"]:
        total = velocities[0](x, t)
        for other in velocities[1:]:
            total = total + other(x, t)
        return total / len(velocities)

    return v
