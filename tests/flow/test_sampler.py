"""Guidance as a wrapped velocity, and Euler's method."""

import pytest
import torch

from trellis_cli.flow.guidance import guided
from trellis_cli.flow.path import SIGMA_MIN, velocity
from trellis_cli.flow.sampler import euler, euler_steps
from trellis_cli.flow.schedule import time_steps


@pytest.fixture
def calls():
    return []


@pytest.fixture
def pair(calls):
    """A velocity of 2 with the condition and of 1 without; both note that they were asked."""

    def constant(name, value):
        def v(x, t):
            calls.append(name)
            return torch.full_like(x, value)

        return v

    return constant("cond", 2.0), constant("uncond", 1.0)


@pytest.mark.parametrize(("t", "inside"), [(1.0, True), (0.5, True), (0.95, True), (0.49, False)])
def test_guidance_acts_inside_its_interval_ends_included(t, inside, pair, calls):
    v = guided(*pair, strength=3.0, interval=(0.5, 1.0))
    got = v(torch.zeros(2, 3), t)
    assert torch.equal(got, torch.full((2, 3), 4 * 2.0 - 3 * 1.0 if inside else 2.0))
    assert sorted(calls) == (["cond", "uncond"] if inside else ["cond"])


def test_no_strength_costs_no_second_pass(pair, calls):
    assert torch.equal(guided(*pair, strength=0.0)(torch.zeros(1, 1), 0.7), torch.full((1, 1), 2.0))
    assert calls == ["cond"]


@pytest.mark.parametrize("steps", [1, 7])
def test_euler_follows_the_straight_path_exactly(steps, rng):
    """Along one straight path the velocity is constant, so any number of steps ends at the data (and s noise)."""
    x0, noise = torch.randn(2, 6, 4, generator=rng).double()
    got = euler(lambda x, t: velocity(x0, noise), noise, time_steps(steps, rescale=3.0))
    torch.testing.assert_close(got, x0 + SIGMA_MIN * noise)


def test_euler_converges_on_a_curve(rng):
    """dx/dt = x from 1 to 0 divides x by e; the error halves with twice the steps."""
    x = torch.randn(5, 1, generator=rng).double()
    errors = [float((euler(lambda x, t: x, x, time_steps(n)) - x / torch.e).abs().max()) for n in (64, 128)]
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.05)


def test_every_step_is_shown(rng):
    x0, noise = torch.randn(2, 6, 4, generator=rng).double()
    times = time_steps(3)
    steps = list(euler_steps(lambda x, t: velocity(x0, noise), noise, times))
    assert [s.t for s in steps] == times[1:]
    for step in steps:
        torch.testing.assert_close(step.x0, x0)
    torch.testing.assert_close(steps[-1].x, euler(lambda x, t: velocity(x0, noise), noise, times))
