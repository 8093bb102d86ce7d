"""Euler's method along a velocity, from noise to data."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from trellis_cli.flow.guidance import Velocity
from trellis_cli.flow.path import data_at


class Step(NamedTuple):
    """Where sampling stands after one step."""

    t: float  # the time reached
    x: Float[Tensor, "n c"]
    x0: Float[Tensor, "n c"]  # the data that the velocity at the step's start pointed at


def euler_steps(velocity: Velocity, noise: Float[Tensor, "n c"], times: list[float]) -> Iterator[Step]:
    """Every step of `euler`, for whoever draws a bar, keeps the path or edits on the way.

    Each x may be changed in place before the next step is asked for.
    """
    x = noise
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        v = velocity(x, t)
        x0 = data_at(x, v, t)
        x = x - (t - t_next) * v
        yield Step(t_next, x, x0)


def euler(velocity: Velocity, noise: Float[Tensor, "n c"], times: list[float]) -> Float[Tensor, "n c"]:
    """Integrate dx/dt = v from t = times[0] (noise) to t = times[-1] (data).

    Source: the published FlowEulerSampler; times come from `schedule.time_steps`.
    """
    x = noise
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        x = x - (t - t_next) * velocity(x, t)
    return x
