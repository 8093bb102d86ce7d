"""Vertex colours from Gaussians."""

import torch

from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import from_colours
from trellis_cli.stages.painting import colours_at


def _gaussians(means: torch.Tensor, colours: torch.Tensor, opacities: torch.Tensor) -> Gaussians:
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    return Gaussians(means, quats, torch.full_like(means, 0.01), opacities, from_colours(colours)[:, None])


def test_a_point_takes_the_colour_that_is_near_it(rng):
    left, right = torch.rand(50, 3, generator=rng) * 0.1 - 0.4, torch.rand(50, 3, generator=rng) * 0.1 + 0.3
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    g = _gaussians(torch.cat([left, right]), torch.stack([red] * 50 + [blue] * 50), torch.full((100,), 0.9))
    got = colours_at(torch.tensor([[-0.35, -0.35, -0.35], [0.35, 0.35, 0.35]]), g)
    torch.testing.assert_close(got, torch.stack([red, blue]))


def test_opacity_weighs():
    means = torch.tensor([[0.01, 0, 0], [-0.01, 0, 0]])
    g = _gaussians(means, torch.tensor([[1.0, 1, 1], [0, 0, 0]]), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(colours_at(torch.zeros(1, 3), g), torch.full((1, 3), 0.75))


def test_colours_stay_in_range():
    g = _gaussians(torch.zeros(1, 3), torch.tensor([[3.0, -1.0, 0.5]]), torch.ones(1))
    torch.testing.assert_close(colours_at(torch.ones(2, 3), g), torch.tensor([[1.0, 0, 0.5]] * 2))
