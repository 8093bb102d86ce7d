"""LPIPS: zero for equal images, the published formula otherwise, finite gradients, real weights where they ship."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from trellis_cli.errors import FileError, MissingError
from trellis_cli.metrics.lpips import LPIPS, load_lpips


@pytest.fixture
def metric(rng: torch.Generator) -> LPIPS:
    metric = LPIPS("alexnet").eval()
    for name, value in metric.state_dict().items():
        drawn = 0.1 * torch.randn(value.shape, generator=rng)
        value.copy_(drawn.abs() if "head" in name else drawn)
    return metric


def test_equals_the_published_formula(metric, rng):
    a, b = torch.rand(2, 2, 3, 48, 64, generator=rng)
    mean, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    want = torch.zeros(2)
    for k in range(2):
        taps = [metric.trunk(((2 * x[k] - 1 - mean[:, None, None]) / scale[:, None, None])[None]) for x in (a, b)]
        for i, (p, q) in enumerate(zip(*taps, strict=True), start=1):
            p, q = (F.normalize(x[0], dim=0, eps=1e-10) for x in (p, q))
            want[k] += ((p - q).square() * getattr(metric, f"head{i}")[:, None, None]).sum(0).mean()
    torch.testing.assert_close(metric(a, b), want, atol=1e-6, rtol=1e-4)
    assert torch.equal(metric(a, a), torch.zeros(2))


def test_gradient_is_finite_on_black_and_points_somewhere(metric, rng):
    image = torch.zeros(1, 3, 48, 48, requires_grad=True)
    metric(image, torch.rand(1, 3, 48, 48, generator=rng)).sum().backward()
    assert image.grad.isfinite().all() and image.grad.abs().max() > 0


def test_files(tmp_path, metric, rng):
    with pytest.raises(MissingError, match="LPIPS weights are missing"):
        load_lpips(tmp_path)
    state = metric.state_dict()
    trunk = {key.removeprefix("trunk."): state[key] for key in state if key.startswith("trunk.")}
    save_file(trunk | {"reduce1.bias": torch.zeros(3)}, tmp_path / "image_encoder.safetensors")
    save_file({key: state[key] for key in state if key.startswith("head")}, tmp_path / "lpips.safetensors")
    a, b = torch.rand(2, 1, 3, 48, 48, generator=rng)
    assert torch.equal(load_lpips(tmp_path)(a, b), metric(a, b))
    (tmp_path / "vgg.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match="not LPIPS weights"):
        load_lpips(tmp_path / "vgg.safetensors")


def test_shipped_weights_rank_blur_and_noise_as_people_do():
    """A shifted picture looks nearer to the original than a blurred one, although its pixels differ more."""
    grid = torch.linspace(0, 12, 64)
    picture = (0.5 + 0.5 * torch.sin(grid[:, None] * 2) * torch.cos(grid[None] * 3)).expand(1, 3, 64, 64)
    blurred = F.avg_pool2d(picture, 9, 1, 4)
    shifted = picture.roll(1, 3)
    metric = load_lpips()
    near, far = float(metric(picture, shifted)), float(metric(picture, blurred))
    assert 0 < near < far
