"""Times of training and of sampling."""

import pytest
import torch

from trellis_cli.flow.schedule import logit_normal, time_steps, uniform


def test_logit_normal_has_its_mean_and_deviation(rng):
    t = logit_normal(20_000, mean=1.0, std=0.5, generator=rng)
    assert ((t > 0) & (t < 1)).all()
    normal = torch.logit(t.double())
    assert float(normal.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(normal.std()) == pytest.approx(0.5, abs=0.02)


def test_draws_repeat_with_the_generator():
    def draws(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.cat([logit_normal(3, generator=generator), uniform(3, generator=generator)])

    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))


def test_even_steps():
    assert time_steps(4) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_rescaled_steps_crowd_near_the_noise():
    """t' = 3 t / (1 + 2 t), counted by hand at t = 1/2: 1.5 / 2."""
    assert time_steps(2, rescale=3.0) == [1.0, 0.75, 0.0]
    times = time_steps(12, rescale=3.0)
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(("steps", "rescale"), [(0, 1.0), (5, 0.0), (5, -1.0), (5, float("nan"))])
def test_no_steps_and_no_rescale(steps, rescale):
    with pytest.raises(ValueError, match="at least 1 step and a rescale above 0"):
        time_steps(steps, rescale=rescale)
