"""Several conditions as one velocity, on velocities whose answers are known."""

import pytest
import torch
from torch import Tensor

from trellis_cli.flow.guidance import Velocity, averaged, guided, in_turn
from trellis_cli.flow.sampler import euler
from trellis_cli.flow.schedule import time_steps


def constant(value: float, calls: list[float]) -> Velocity:
    def v(x: Tensor, t: float) -> Tensor:
        calls.append(value)
        return torch.full_like(x, value)

    return v


@pytest.mark.parametrize("num", [1, 2, 3])
def test_in_turn_every_step_follows_the_next(num: int) -> None:
    """dx/dt = k on step i with k = i mod n: what is left of x is the sum of the steps, each with its own velocity."""
    calls: list[float] = []
    times = time_steps(7, rescale=3.0)
    got = euler(in_turn([constant(float(k), calls) for k in range(num)], times), torch.ones(2, 3).double(), times)
    assert calls == [i % num for i in range(7)]
    want = 1 - sum((times[i] - times[i + 1]) * (i % num) for i in range(7))
    torch.testing.assert_close(got, torch.full((2, 3), want, dtype=torch.float64))


def test_in_turn_begins_anew_with_each_stage() -> None:
    calls: list[float] = []
    velocities = [constant(0.0, calls), constant(1.0, calls)]
    for steps in (3, 3):
        euler(in_turn(velocities, time_steps(steps)), torch.zeros(1, 1), time_steps(steps))
    assert calls == [0, 1, 0, 0, 1, 0]


def test_averaged_is_the_mean_at_every_step(rng: torch.Generator) -> None:
    """Velocities a x + b t average to mean(a) x + mean(b) t."""
    terms = [(0.5, 1.0), (-2.0, 3.0), (0.25, -1.0)]
    x = torch.randn(4, 2, generator=rng).double()
    got = averaged([lambda x, t, a=a, b=b: a * x + b * t for a, b in terms])
    torch.testing.assert_close(got(x, 0.3), -1.25 / 3 * x + 0.3)


def test_guidance_asks_the_negative_once() -> None:
    """(1 + w) mean(v_c) - w v_u, as published: one unconditional pass however many images."""
    calls: list[float] = []
    v = guided(averaged([constant(2.0, calls), constant(4.0, calls)]), constant(1.0, calls), strength=5.0)
    assert float(v(torch.zeros(1, 1), 0.5)) == 6 * 3 - 5 * 1
    assert sorted(calls) == [1, 2, 4]


@pytest.mark.parametrize("combine", [averaged, lambda velocities: in_turn(velocities, [1.0, 0.0])])
def test_no_velocity_is_an_error(combine) -> None:
    with pytest.raises(ValueError, match="at least one velocity"):
        combine([])
