"""Diffusion: its schedule, its points, and DDIM as Euler's method, against the formulas written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trellis_cli.flow.diffusion import NUM_TIMES, as_velocity, ddim_times, diffused, draw_times
from trellis_cli.flow.guidance import guided
from trellis_cli.flow.path import begin, interpolate
from trellis_cli.flow.sampler import euler


def kept(k: int) -> float:
    """a_k as DDPM has it: the product of 1 - beta_i, beta_i from 1e-4 to 0.02."""
    return math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(k + 1))


def ddim(noise_of, noise: Tensor, num_steps: int) -> Tensor:
    """Song et al., equation 12 with sigma 0, on the points x_k themselves."""
    ks = [round(NUM_TIMES - i * NUM_TIMES / num_steps) - 1 for i in range(num_steps)]
    x = math.sqrt(1 - kept(ks[0])) * noise
    for k, after in zip(ks, [*ks[1:], None], strict=True):
        predicted = noise_of(x, k / NUM_TIMES)
        data = (x - math.sqrt(1 - kept(k)) * predicted) / math.sqrt(kept(k))
        a = 1.0 if after is None else kept(after)
        x = math.sqrt(a) * data + math.sqrt(1 - a) * predicted
    return x


def test_almost_nothing_is_left_of_the_data_at_the_end() -> None:
    assert kept(999) == pytest.approx(4.0358e-5, rel=1e-4)  # the published value of this schedule
    x0, noise = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    for k in (0, 1, 500, 999):
        assert float(diffused(x0, noise, torch.tensor([[k / NUM_TIMES]]))) == pytest.approx(math.sqrt(kept(k)))
        assert float(diffused(noise, x0, torch.tensor([[k / NUM_TIMES]]))) == pytest.approx(math.sqrt(1 - kept(k)))


def test_every_time_is_drawn_alike_and_names_its_k(rng: torch.Generator) -> None:
    t = draw_times(200_000, generator=rng)
    counts = torch.bincount((1000 * t.double()).round().long(), minlength=NUM_TIMES)
    assert len(counts) == NUM_TIMES and counts.min() > 0
    assert float((counts - 200).double().square().mean()) == pytest.approx(200, rel=0.2)  # as dice fall
    assert float((1000 * t - (1000 * t).round()).abs().max()) < 1e-4  # the network's embedding sees whole numbers


@given(steps=st.sampled_from([1, 2, 3, 7, 25, 50, 1000]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_euler_on_the_path_is_ddim(steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    mix = torch.randn(3, 3, dtype=torch.float64, generator=generator) / 2

    def noise_of(x: Tensor, t: float) -> Tensor:
        return torch.tanh(x @ mix * (1 + t)) + x / 2

    times = ddim_times(steps)
    got = euler(as_velocity(noise_of), begin(noise, times[0]), times)
    want = ddim(noise_of, noise, steps)
    # the path keeps 1e-5 of the noise at t = 0, and the first step divides by sqrt(a_999) = 0.0064
    assert float((got - want).abs().max()) < 1e-4 * max(1.0, float(want.abs().max()))


def test_the_network_is_asked_at_whole_times() -> None:
    asked: list[float] = []

    def noise_of(x: Tensor, t: float) -> Tensor:
        asked.append(t * NUM_TIMES)
        return x

    euler(as_velocity(noise_of), torch.ones(1, 1), ddim_times(25))
    assert asked == pytest.approx(list(range(999, 0, -40)), abs=1e-6)


def test_the_best_guess_leads_from_noise_to_the_data_s_own_law() -> None:
    """Of data N(m, s^2) the expected noise is known; sampling then maps noise z to m + s z."""
    m, s = 1.5, 0.3

    def noise_of(x: Tensor, t: float) -> Tensor:
        a = kept(round(t * NUM_TIMES))
        return math.sqrt(1 - a) * (x - math.sqrt(a) * m) / (a * s**2 + 1 - a)

    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    errors = []
    for steps in (25, 250):
        times = ddim_times(steps)
        got = euler(as_velocity(noise_of), begin(noise, times[0]), times)
        errors.append(float((got - (m + s * noise)).abs().max()))
    assert errors[1] < 0.03 and errors[1] < errors[0] / 4


def test_a_point_of_the_path_is_a_point_of_the_diffusion(rng: torch.Generator) -> None:
    """At each of DDIM's times the network sees x_k of the same data and noise, and the true noise leads back."""
    x0, noise = torch.randn(4, 2, generator=rng).double(), torch.randn(4, 2, generator=rng).double()
    for t in ddim_times(10)[:-1]:

        def noise_of(x: Tensor, told: float) -> Tensor:
            want = diffused(x0, noise, torch.full((4, 1), told, dtype=torch.float64))
            torch.testing.assert_close(x, want, atol=1e-6, rtol=0)
            return noise

        v = as_velocity(noise_of)(interpolate(x0, noise, t), t)
        torch.testing.assert_close(v, (1 - 1e-5) * noise - x0, atol=1e-6, rtol=0)


def test_guided_noise_is_guided_velocity(rng: torch.Generator) -> None:
    x = torch.randn(3, 2, generator=rng).double()
    first, second = (lambda x, t: torch.sin(x), lambda x, t: x.square() / 4)
    both = guided(first, second, strength=3.0)
    for t in ddim_times(5)[:-1]:
        want = as_velocity(both)(x, t)
        got = guided(as_velocity(first), as_velocity(second), strength=3.0)(x, t)
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_that_there_are_not(steps: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        ddim_times(steps)
