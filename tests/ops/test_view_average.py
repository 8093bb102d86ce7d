"""`view_average`: every backend against the reference, the reference against counts by hand."""

import pytest
import torch

from trellis_ops.testing import assert_matches
from trellis_ops.view_average import cpu, view_average

RATIO = 5e-7  # of float32 maps: four times the worst of 20 seeds over these shapes, 1.2e-7


def scene(n: int, v: int, c: int, h: int, w: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
    """Voxels in a 64^3 grid before `v` cameras two cube edges away, looking down +z; some voxels out of view."""
    w2c = torch.eye(4).repeat(v, 1, 1)
    w2c[:, :3, 3] = torch.tensor([0.0, 0.0, 2.0]) + 0.2 * torch.randn(v, 3, generator=rng)
    K = torch.tensor([[1.8, 0.0, 0.5], [0.0, 1.6, 0.45], [0.0, 0.0, 1.0]]).repeat(v, 1, 1)
    return {
        "coords": torch.randint(0, 64, (n, 3), generator=rng),
        "feature_maps": torch.randn(v, c, h, w, generator=rng),
        "extrinsics": w2c,
        "intrinsics": K,
    }


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize("backend", ["cpu"])
@pytest.mark.parametrize(
    ("n", "v", "c", "h", "w"),
    [
        pytest.param(0, 1, 3, 2, 2, id="no-voxel"),
        pytest.param(1, 1, 1, 1, 1, id="one-of-each"),
        pytest.param(129, 3, 7, 5, 9, id="odd"),
        pytest.param(64, 2, 32, 37, 37, id="dinov2-grid"),
    ],
)
def test_matches_reference(backend, n, v, c, h, w, rng):
    inputs = scene(n, v, c, h, w, rng)
    want = view_average(**inputs, resolution=64, backend="reference")
    got = view_average(**inputs, resolution=64, backend=backend)
    assert_matches(got, want, what=f"{backend} {n=} {v=} {c=}", ratio=RATIO)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_matches_reference_in_other_dtypes(dtype, rng):
    inputs = scene(40, 2, 5, 6, 4, rng)
    inputs["feature_maps"] = inputs["feature_maps"].to(dtype)
    want = view_average(**inputs, resolution=64, backend="reference")
    assert_matches(view_average(**inputs, resolution=64, backend="cpu"), want, what=str(dtype))


@pytest.mark.gpu
def test_cuda_tensors_are_computed_on_copies(rng):
    inputs = scene(40, 2, 5, 6, 4, rng)
    got = view_average(**{k: t.cuda() for k, t in inputs.items()}, resolution=64, backend="cpu")
    assert got.is_cuda and torch.equal(got.cpu(), view_average(**inputs, resolution=64, backend="cpu"))


def test_a_device_out_of_reach_is_refused(rng):
    inputs = {k: t.to("meta") for k, t in scene(1, 1, 1, 1, 1, rng).items()}
    assert "neither on the CPU nor on a CUDA device" in str(cpu.refusal(**inputs, resolution=64))


def test_memory_order_of_the_maps_does_not_matter(rng):
    inputs = scene(40, 2, 5, 6, 4, rng)
    want = view_average(**inputs, resolution=64)
    inputs["feature_maps"] = inputs["feature_maps"].contiguous(memory_format=torch.channels_last)
    assert torch.equal(view_average(**inputs, resolution=64), want)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_texel_looked_at_is_the_one_read(backend, rng):
    """A voxel on the optical axis of a 1 x 1 map returns that one texel: counted by hand, not by code."""
    inputs = scene(1, 1, 4, 1, 1, rng) | {"coords": torch.tensor([[0, 0, 0]])}
    inputs["extrinsics"][0, :3, 3] = torch.tensor([0.0, 0.0, 2.0])
    inputs["intrinsics"][0, 1, 2] = 0.5
    got = view_average(**inputs, resolution=1, backend=backend)
    assert torch.equal(got[0], inputs["feature_maps"][0, :, 0, 0])


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_quarter_step_reads_two_texels(backend):
    """Straight ahead, u = 0.5 + x / z: at x = 0.25, z = 2 that is column 2.5 * 0.5 ... of a 4-wide row, by hand.

    u = 0.625, so the column is 0.625 * 4 - 0.5 = 2.0 exactly; at x = -0.25 it is 1.0; v = 0.5 lies between rows.
    """
    camera = torch.eye(4)[None].clone()
    camera[0, 2, 3] = 1.75  # centres of a 2^3 grid lie at +-0.25, so the far ones are 2 away and the near ones 1.5
    maps = torch.arange(8.0).reshape(1, 1, 2, 4)
    K = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 1.0]]])
    coords = torch.tensor([[1, 0, 1], [0, 0, 1]])
    got = view_average(coords, maps, camera, K, resolution=2, backend=backend)
    assert got[:, 0].tolist() == [(2 + 6) / 2, (1 + 5) / 2]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_unseeing_views_count(backend, rng):
    """A second camera that looks away, and a third from which the voxel is out of the picture, each add zero."""
    inputs = scene(5, 1, 3, 4, 4, rng)
    alone = view_average(**inputs, resolution=64, backend=backend)
    away, aside = inputs["extrinsics"].clone(), inputs["extrinsics"].clone()
    away[0, 2] *= -1
    aside[0, 0, 3] = 1e30
    more = {
        "coords": inputs["coords"],
        "feature_maps": inputs["feature_maps"].repeat(3, 1, 1, 1),
        "extrinsics": torch.cat([inputs["extrinsics"], away, aside]),
        "intrinsics": inputs["intrinsics"].repeat(3, 1, 1),
    }
    torch.testing.assert_close(view_average(**more, resolution=64, backend=backend), alone / 3)


def test_no_view_is_refused(rng):
    inputs = scene(1, 1, 1, 1, 1, rng)
    none = {k: t if k == "coords" else t[:0] for k, t in inputs.items()}
    with pytest.raises(ValueError, match="needs at least one view, got feature_maps with v = 0"):
        view_average(**none, resolution=64)


def test_voxel_outside_the_grid_is_named(rng):
    inputs = scene(1, 1, 1, 1, 1, rng) | {"coords": torch.tensor([[0, 0, 64]])}
    with pytest.raises(ValueError, match=r"coords must lie in \[0, 64\), got values in \[0, 64\]"):
        view_average(**inputs, resolution=64)
