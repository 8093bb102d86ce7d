"""`submanifold_conv` against its reference and against a dense convolution; the moves between resolutions by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trellis_ops import _processor
from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.submanifold_conv import (
    _gather,
    _neighbours,
    downsample,
    neighbour_table,
    subdivide,
    submanifold_conv,
    upsample,
)
from trellis_ops.testing import assert_matches

BACKENDS = [
    pytest.param("cpu", "cpu", id="cpu"),
    pytest.param("cuda", "cuda", id="cuda", marks=pytest.mark.gpu),
]
SHAPES = [  # voxels drawn in a grid of 6^3, channels in, out
    pytest.param(1, 1, 1, id="one"),
    pytest.param(40, 5, 7, id="odd"),
    pytest.param(90, 56, 3, id="wide-in"),
    pytest.param(0, 4, 4, id="nothing"),
]


def voxels(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """About n voxels of two samples in 6^3, in no order."""
    drawn = torch.unique(torch.randint(0, 6, (n, 3), generator=rng), dim=0)
    drawn = drawn[torch.randperm(len(drawn), generator=rng)]
    return drawn, torch.tensor([0, len(drawn) // 3, len(drawn)])


def scene(n: int, c: int, d: int, rng: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    coords, offsets = voxels(n, rng)
    return {
        "feats": torch.randn(len(coords), c, generator=rng).to(dtype),
        "weight": torch.randn(d, 3, 3, 3, c, generator=rng).to(dtype),
        "bias": torch.randn(d, generator=rng).to(dtype),
        "table": neighbour_table(coords, offsets),
    }


def with_gradients(inputs: dict[str, Tensor], backend: str) -> list[Tensor]:
    leaves = {k: t.clone().requires_grad_() if t.is_floating_point() else t for k, t in inputs.items()}
    out = submanifold_conv(**leaves, backend=backend)
    pattern = torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, [leaves[k] for k in ("feats", "weight", "bias")], pattern)]


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("n", "c", "d"), SHAPES)
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_matches_reference(backend, device, n, c, d, rng):
    inputs = {k: t.to(device) for k, t in scene(n, c, d, rng).items()}
    names = ("out", "feats", "weight", "bias")
    if not n:
        assert submanifold_conv(**inputs, backend=backend).shape == (0, d)
        return
    for name, got, want in zip(
        names, with_gradients(inputs, backend), with_gradients(inputs, "reference"), strict=True
    ):
        assert_matches(got, want, what=f"{backend} {n=} {c=} {d=} {name}")


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype, fast, rng, monkeypatch):
    """With a processor that has bfloat16 products and with one that has not."""
    monkeypatch.setattr("trellis_ops.submanifold_conv.cpu.has_fast_bfloat16", lambda: fast)
    inputs = scene(80, 24, 16, rng, dtype)
    for got, want in zip(with_gradients(inputs, "cpu"), with_gradients(inputs, "reference"), strict=True):
        assert_matches(got, want, what=f"{dtype} {fast=}")


def test_processor_flags_are_read(monkeypatch):
    for flags, fast in (({"avx2"}, False), ({"avx2", "amx_bf16"}, True), ({"avx512_bf16"}, True), (set(), False)):
        monkeypatch.setattr(_processor, "_cpu_flags", lambda flags=flags: flags)
        assert _processor.has_fast_bfloat16.__wrapped__() is fast


@pytest.mark.parametrize("one_product", [True, False])
def test_chunks_join(one_product, rng, monkeypatch):
    """Both ways to multiply, the one in chunks of 64 rows, against a dense convolution with zeros between."""
    monkeypatch.setattr(_gather, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(_gather, "_in_one_product", lambda feats: one_product)
    coords = torch.unique(torch.randint(0, 8, (200, 3), generator=rng), dim=0)
    feats, weight, bias = (torch.randn(*s, generator=rng) for s in ((len(coords), 5), (4, 3, 3, 3, 5), (4,)))
    x, y, z = coords.T
    grid = torch.zeros(1, 5, 8, 8, 8)
    grid[0, :, x, y, z] = feats.T
    dense = F.conv3d(grid, weight.permute(0, 4, 1, 2, 3), bias, padding=1)
    table = neighbour_table(coords, torch.tensor([0, len(coords)]))
    assert_matches(submanifold_conv(feats, weight, bias, table), dense[0, :, x, y, z].T, what="dense conv3d")


def test_double_precision_gradients_by_differences(rng):
    inputs = scene(12, 2, 3, rng, torch.float64)
    leaves = [inputs[k].requires_grad_() for k in ("feats", "weight", "bias")]
    assert torch.autograd.gradcheck(lambda *x: submanifold_conv(*x, inputs["table"]), leaves)


def test_table_by_hand():
    """Three voxels in a row along z, one of them another sample's."""
    coords = torch.tensor([[1, 2, 3], [1, 2, 4], [1, 2, 5]])
    table = neighbour_table(coords, torch.tensor([0, 2, 3]))
    want = torch.full((3, 27), -1)
    want[0, 13], want[0, 14] = 0, 1  # itself, and the one above in z
    want[1, 13], want[1, 12] = 1, 0
    want[2, 13] = 2
    assert torch.equal(table, want.int())


def test_wide_grids_find_the_same_neighbours(rng, monkeypatch):
    coords, offsets = voxels(60, rng)
    want = neighbour_table(coords, offsets)
    monkeypatch.setattr(_neighbours, "_LARGEST_GRID", 0)
    assert torch.equal(neighbour_table(coords, offsets), want)


def test_downsample_divides_by_one_more_than_the_count():
    coords = torch.tensor([[3, 0, 0], [0, 0, 1], [2, 1, 1], [0, 0, 0]])
    feats = torch.tensor([[6.0], [3.0], [9.0], [4.0]])
    got = downsample(coords, torch.tensor([0, 3, 4]), feats)
    parents, offsets, mixed, index = got
    assert parents.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]] and offsets.tolist() == [0, 2, 3]
    assert mixed.flatten().tolist() == [1.5, 5.0, 2.0]
    assert upsample(mixed, index).flatten().tolist() == [5.0, 1.5, 5.0, 2.0]


def test_downsample_keeps_an_empty_sample():
    parents, offsets, mixed, _ = downsample(torch.tensor([[5, 5, 5]]), torch.tensor([0, 0, 1, 1]), torch.ones(1, 2))
    assert parents.tolist() == [[2, 2, 2]] and offsets.tolist() == [0, 0, 1, 1] and mixed.tolist() == [[0.5, 0.5]]


def test_subdivide_counts_z_fastest():
    coords, feats = subdivide(torch.tensor([[1, 0, 2]]), torch.tensor([[7.0]]))
    assert coords.tolist() == [[2 + i, j, 4 + k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    assert feats.flatten().tolist() == [7.0] * 8


def test_moves_between_resolutions_have_gradients(rng):
    coords, offsets = voxels(20, rng)
    feats = torch.randn(len(coords), 2, generator=rng, dtype=torch.float64, requires_grad=True)

    def there_and_back(x: Tensor) -> Tensor:
        _, _, coarse, index = downsample(coords, offsets, x)
        return subdivide(coords, upsample(coarse, index))[1]

    assert torch.autograd.gradcheck(there_and_back, [feats])


def test_forced_backend_says_why_not(rng):
    with pytest.raises(BackendUnavailable, match="cannot run on 'cuda': feats is on cpu"):
        submanifold_conv(**scene(3, 1, 1, rng), backend="cuda")


def test_mixed_dtypes_are_named(rng):
    inputs = scene(3, 1, 1, rng) | {"bias": torch.zeros(1, dtype=torch.float64)}
    with pytest.raises(ValueError, match="one dtype is needed, got feats torch.float32"):
        submanifold_conv(**inputs)


def test_bad_voxels_are_named():
    with pytest.raises(ValueError, match="coords must not be negative, got -1"):
        neighbour_table(torch.tensor([[0, -1, 0]]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="offsets must rise from 0 to 1"):
        neighbour_table(torch.tensor([[0, 0, 0]]), torch.tensor([0, 2]))
