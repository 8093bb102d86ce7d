"""The FID's Inception: what is known of it from outside, its pools, and weights from a file."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.networks.hashed_weights import hash_weights
from trellis_cli.errors import FileError, MissingError
from trellis_cli.networks.inception import ConvNorm, InceptionV3, average
from trellis_cli.networks.weight_files import load_torch_weights

BODY, HEAD = 21_785_568, 2048 * 1008 + 1008  # parameters of Inception-v3 without its classifier, and of this one's


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    torch.manual_seed(0)
    return InceptionV3().eval().requires_grad_(False)


def test_size_and_names_are_the_published_ones(network: InceptionV3) -> None:
    assert sum(p.numel() for p in network.parameters()) == BODY + HEAD
    state = network.state_dict()
    shapes = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch7x7_2.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch1x1.bn.running_var": (320,),
        "fc.weight": (1008, 2048),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert not any(key.startswith("Mixed_6a.branch_pool") for key in state)


def test_features_are_means_of_the_last_grid_and_do_not_depend_on_what_is_beside(network: InceptionV3) -> None:
    images = torch.rand(2, 3, 80, 60, generator=torch.Generator().manual_seed(1))
    found = network(images)
    assert found.shape == (2, 2048) and bool((found >= 0).all()) and bool(found.std() > 0)
    torch.testing.assert_close(network(images[1:]), found[1:])
    assert not torch.allclose(network(1 - images), found, rtol=1e-2)


def test_blocks_are_their_branches_side_by_side(network: InceptionV3) -> None:
    """Two of them written out by hand; the last one pools by maximum, the others leave out the padding."""
    x = torch.rand(1, 192, 9, 9, generator=torch.Generator().manual_seed(2))
    b = network.Mixed_5b
    pooled = (
        F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)
        * 9
        / F.conv2d(F.pad(torch.ones(1, 1, 9, 9), (1, 1, 1, 1)), torch.ones(1, 1, 3, 3))
    )
    torch.testing.assert_close(average(x), pooled)
    double = b.branch3x3dbl_3(b.branch3x3dbl_2(b.branch3x3dbl_1(x)))
    want = [b.branch1x1(x), b.branch5x5_2(b.branch5x5_1(x)), double, b.branch_pool(pooled)]
    torch.testing.assert_close(b(x), torch.cat(want, 1))
    x, b = torch.rand(1, 2048, 8, 8, generator=torch.Generator().manual_seed(3)), network.Mixed_7c
    first, second = b.branch3x3_1(x), b.branch3x3dbl_2(b.branch3x3dbl_1(x))
    want = [b.branch1x1(x), b.branch3x3_2a(first), b.branch3x3_2b(first), b.branch3x3dbl_3a(second),
            b.branch3x3dbl_3b(second), b.branch_pool(F.max_pool2d(x, 3, 1, 1))]  # fmt: skip
    torch.testing.assert_close(b(x), torch.cat(want, 1))


def test_features_of_known_weights_stay_what_they_were() -> None:
    """Frozen once, on weights and a picture that are plain arithmetic: whatever changes a layer changes these."""
    network = InceptionV3().eval().requires_grad_(False)
    hash_weights(network)
    y, x = torch.meshgrid(torch.arange(90.0), torch.arange(75.0), indexing="ij")
    found = network(torch.stack([x / 75, y / 90, ((x * y) % 17) / 17])[None])[0]
    frozen = torch.tensor([2.3030796, 0.0, 2.2819645, 0.0621311, 0.0])
    torch.testing.assert_close(found[[0, 500, 1000, 1500, 2047]], frozen, rtol=1e-3, atol=1e-3)
    assert float(found.mean()) == pytest.approx(1.6232724, rel=1e-4)
    assert float(found.std()) == pytest.approx(2.1256738, rel=1e-4)


def test_a_step_is_convolution_norm_and_relu() -> None:
    torch.manual_seed(0)
    step = ConvNorm(3, 4, 3, padding=1).eval()
    step.bn.running_mean.uniform_(-1, 1), step.bn.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    x = torch.randn(1, 3, 6, 6)
    y = F.conv2d(x, step.conv.weight, padding=1)
    mean, var = (v[:, None, None] for v in (step.bn.running_mean, step.bn.running_var))  # type: ignore[index]
    torch.testing.assert_close(step(x), ((y - mean) / (var + 0.001).sqrt()).clamp(min=0))


def test_weights_come_from_a_file_that_may_lack_counters(network: InceptionV3, tmp_path: Path) -> None:
    path, other = tmp_path / "w.pth", InceptionV3()
    old = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(old, path)
    load_torch_weights(other, path, what="Inception", where="https://example.org/w.pth")
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(other(images), network(images))
    assert not other.training and not any(p.requires_grad for p in other.parameters())
    torch.save({"state": old}, path)
    load_torch_weights(other, path, what="Inception", where="", under="state")
    with pytest.raises(FileError, match="not Inception"):
        load_torch_weights(other, path, what="Inception", where="")
    del old["fc.weight"]
    torch.save(old, path)
    with pytest.raises(FileError, match="not Inception"):
        load_torch_weights(other, path, what="Inception", where="")
    path.write_bytes(b"no torch file")
    with pytest.raises(FileError, match="not Inception"):
        load_torch_weights(other, path, what="Inception", where="")
    with pytest.raises(MissingError) as caught:
        load_torch_weights(other, tmp_path / "x.pth", what="Inception", where="https://example.org/w.pth")
    assert caught.value.hint == f"curl -L --create-dirs -o {tmp_path / 'x.pth'} https://example.org/w.pth"
