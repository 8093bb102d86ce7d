"""What the networks that look at pictures are given, and what of their output counts."""

from pathlib import Path

import pytest
import torch

from tests.published_models import dino, in_cache
from trellis_cli.stages.feature_networks import Features


def test_dinov2_is_transformers_own_class_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of 224 pixels, less ImageNet's mean; the class token after the last norm."""
    from transformers import AutoModel
    from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = in_cache(dino(tmp_path / "dino", width=12), tmp_path / "hub", "facebook/dinov2-with-registers-large")
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    with torch.no_grad():
        seen = AutoModel.from_pretrained(snapshot).eval()(pixel_values=(images - mean) / std)
    found = Features(tmp_path)("dinov2", images)
    torch.testing.assert_close(found, seen.last_hidden_state[:, 0])
    flat = torch.full((1, 3, 64, 64), 0.25)
    wide = torch.full((1, 3, 224, 224), 0.25)
    torch.testing.assert_close(Features(tmp_path)("dinov2", flat), Features(tmp_path)("dinov2", wide))


def test_alexnet_is_the_mean_of_its_last_grid() -> None:
    """Five convolutions written out: 11/4/2, pool, 5/1/2, pool, three of 3/1/1; each with a ReLU."""
    from torch.nn import functional as F

    from trellis_cli.networks.image_encoders import load_image_encoder

    trunk = load_image_encoder("alexnet").trunk  # type: ignore[attr-defined]
    convs = [m for m in trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        for k, (conv, (stride, padding)) in enumerate(
            zip(convs, [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)], strict=True)
        ):
            x = F.max_pool2d(x, 3, 2) if k in (1, 2) else x
            x = F.relu(F.conv2d(x, conv.weight, conv.bias, stride=stride, padding=padding))
    torch.testing.assert_close(Features(Path())("alexnet", images), x.mean((2, 3)), rtol=1e-4, atol=1e-5)
