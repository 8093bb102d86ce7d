"""The path between data and noise."""

import torch

from trellis_cli.flow.path import SIGMA_MIN, data_at, interpolate, noise_at, velocity


def test_ends_of_the_path(rng):
    x0, noise = torch.randn(2, 5, 3, generator=rng).double()
    torch.testing.assert_close(interpolate(x0, noise, 0.0), x0 + SIGMA_MIN * noise)
    torch.testing.assert_close(interpolate(x0, noise, 1.0), noise)


def test_velocity_is_the_slope_of_the_path(rng):
    x0, noise = torch.randn(2, 5, 3, generator=rng).double()
    slope = (interpolate(x0, noise, 0.7) - interpolate(x0, noise, 0.2)) / 0.5
    torch.testing.assert_close(velocity(x0, noise), slope)


def test_data_and_noise_come_back_at_every_time(rng):
    x0, noise = torch.randn(2, 50, 3, generator=rng).double()
    t = torch.rand(50, 1, generator=rng).double()  # one a token
    x_t, v = interpolate(x0, noise, t), velocity(x0, noise)
    torch.testing.assert_close(data_at(x_t, v, t), x0)
    torch.testing.assert_close(noise_at(x_t, v, t), noise)
