"""Repainting: what is kept stays, what is free follows the velocity, and jumps noise back to the right width."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trellis_cli.flow.path import SIGMA_MIN, interpolate
from trellis_cli.flow.repaint import Kept, Resampling, beside_kept, noised_back, repaint
from trellis_cli.flow.sampler import euler
from trellis_cli.flow.schedule import time_steps


def kept(data: Tensor, free: Tensor, *, jump: int = 1, resample: int = 1, seed: int = 0) -> Kept:
    return Kept(data, free, Resampling(jump, resample), torch.Generator().manual_seed(seed))


def leads_to(target: Tensor) -> Callable[[Tensor, float], Tensor]:
    """The velocity of a model that is sure of its data: straight from wherever x is to the target."""

    def v(x: Tensor, t: float) -> Tensor:
        sigma = SIGMA_MIN + (1 - SIGMA_MIN) * t
        return (1 - SIGMA_MIN) * (x - (1 - t) * target) / sigma - target

    return v


@given(
    free=st.lists(st.booleans(), min_size=6, max_size=6),
    steps=st.integers(1, 6),
    jump=st.integers(1, 7),
    resample=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_kept_rows_come_out_exact_and_free_ones_where_the_velocity_leads(
    free: list[bool], steps: int, jump: int, resample: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    data, noise, target = (torch.randn(6, 3, generator=generator) for _ in range(3))
    chosen, times = torch.tensor(free), time_steps(steps, rescale=3.0)
    got = repaint(leads_to(target), noise, times, kept(data, chosen, jump=jump, resample=resample, seed=seed))
    assert torch.equal(got[~chosen], data[~chosen])
    torch.testing.assert_close(got[chosen], target[chosen], atol=1e-3, rtol=1e-3)
    again = repaint(leads_to(target), noise, times, kept(data, chosen, jump=jump, resample=resample, seed=seed))
    assert torch.equal(got, again)


def test_the_network_sees_kept_rows_on_their_own_path_at_every_t() -> None:
    data, noise, chosen = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([True, False, True, False])
    seen: list[tuple[float, Tensor]] = []

    def spy(x: Tensor, t: float) -> Tensor:
        seen.append((t, x.clone()))
        return torch.full_like(x, 7.0)  # leads nowhere near the data

    times = time_steps(5, rescale=2.0)
    repaint(spy, noise, times, kept(data, chosen, jump=2, resample=3))
    assert [t for t, _ in seen] == [t for i in (0, 2, 4) for t in times[i : min(i + 2, 5)] * 3]
    for t, x in seen:
        torch.testing.assert_close(x[~chosen], interpolate(data, noise, t)[~chosen])


def test_one_walk_with_all_rows_free_is_the_plain_sampler() -> None:
    noise, target = torch.randn(5, 2), torch.randn(5, 2)
    times = time_steps(4)
    everything = kept(torch.zeros(5, 2), torch.ones(5, dtype=torch.bool), jump=3)
    assert torch.equal(repaint(leads_to(target), noise, times, everything), euler(leads_to(target), noise, times))


def test_a_kept_row_moves_along_its_path_by_the_sampler_itself() -> None:
    data, noise = torch.randn(3, 2), torch.randn(3, 2)
    v = beside_kept(lambda x, t: x * 0, noise, kept(data, torch.zeros(3, dtype=torch.bool)))
    torch.testing.assert_close(euler(v, noise, time_steps(3)), data + SIGMA_MIN * noise, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("t", "t_up"), [(0.0, 0.3), (0.4, 0.7), (0.9, 1.0), (0.5, 0.5)])
def test_noised_back_has_the_mean_and_the_width_of_the_later_time(t: float, t_up: float) -> None:
    """Against draws of x at t_up itself: 200,000 of each, so that means and widths agree to about 0.5 %."""
    generator = torch.Generator().manual_seed(1)
    x0 = torch.full((200_000, 1), 2.0)
    first, fresh = (torch.randn(x0.shape, generator=generator) for _ in range(2))
    got = noised_back(interpolate(x0, first, t), fresh, t, t_up)
    assert got.mean().item() == pytest.approx(2.0 * (1 - t_up), abs=0.01)
    assert got.std().item() == pytest.approx(SIGMA_MIN + (1 - SIGMA_MIN) * t_up, rel=0.01, abs=1e-4)


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_a_pulled_row_comes_out_between_what_it_was_and_where_it_is_led(pull: list[float], steps: int) -> None:
    data, noise, target = (torch.randn(4, 2) for _ in range(3))
    everything = kept(data, torch.ones(4, dtype=torch.bool))
    weights = torch.tensor(pull)
    got = repaint(leads_to(target), noise, time_steps(steps), replace(everything, pull=weights))
    torch.testing.assert_close(got, torch.lerp(target, data, weights[:, None]), atol=1e-3, rtol=1e-3)


def test_a_jump_draws_fresh_noise_of_its_own_generator() -> None:
    data, noise, free = torch.zeros(2, 1), torch.randn(2, 1), torch.tensor([True, False])
    still = repaint(lambda x, t: x * 0, noise, time_steps(3), kept(data, free, resample=2, seed=0))
    other = repaint(lambda x, t: x * 0, noise, time_steps(3), kept(data, free, resample=2, seed=1))
    assert not torch.equal(still, other)


@pytest.mark.parametrize(("jump", "resample"), [(0, 1), (1, 0)])
def test_a_stretch_has_a_step_and_is_walked(jump: int, resample: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Resampling(jump, resample)
