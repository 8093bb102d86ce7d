"""Rendering Gaussians: cameras on the right side, colours as published, gradients to the fields."""

import torch

from trellis_cli.geometry.cameras import orbit
from trellis_cli.renderers.gaussians import render
from trellis_cli.representations.gaussians import Gaussians


def test_each_camera_sees_the_colour_on_its_side():
    """Two opaque balls on the x axis: red at +x, and one of negative colour at -x, which is black."""
    balls = Gaussians(
        means=torch.tensor([[0.3, 0.0, 0.0], [-0.3, 0.0, 0.0]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2),
        scales=torch.full((2, 3), 0.05),
        opacities=torch.full((2,), 0.99),
        sh=torch.tensor([[[0.5, -0.5, -0.5]], [[-9.0, -9.0, -9.0]]]) / 0.28209479,
    )
    cameras = orbit([torch.pi / 2, -torch.pi / 2], [0.0, 0.0])  # at +x and at -x
    images, alphas = render(balls, cameras, size=33, background=(0.0, 0.0, 1.0))
    assert images.shape == (2, 33, 33, 3) and alphas.shape == (2, 33, 33)
    torch.testing.assert_close(images[0, 16, 16], torch.tensor([1.0, 0.0, 0.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(images[1, 16, 16], torch.tensor([0.0, 0.0, 0.0]), atol=0.1, rtol=0)
    assert torch.equal(images[:, 0, 0], torch.tensor([[0.0, 0.0, 1.0]] * 2))
    assert float(alphas[:, 16, 16].min()) > 0.9


def test_gradients_reach_the_fields(rng):
    fields = {
        "means": 0.3 * torch.randn(20, 3, generator=rng),
        "quats": torch.randn(20, 4, generator=rng),
        "scales": 0.05 + 0.05 * torch.rand(20, 3, generator=rng),
        "opacities": torch.rand(20, generator=rng),
        "sh": torch.rand(20, 1, 3, generator=rng),
    }
    leaves = {name: t.requires_grad_() for name, t in fields.items()}
    images, _ = render(Gaussians(**leaves), orbit([0.4], [0.2]), size=24)
    images.square().sum().backward()
    assert all(float(t.grad.abs().sum()) > 0 for t in leaves.values())
