"""Marching: every backend against the reference, the reference against rays worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.march import march, march_views
from trellis_ops.testing import assert_matches

BACKENDS = [
    pytest.param("cpu", "cpu", id="cpu"),
    pytest.param("cpu", "cuda", id="cpu-on-copies", marks=pytest.mark.gpu),
]
SHAPES = [  # n, r, d, resolution, v, width, height, density, distance of the camera
    pytest.param(1, 1, 2, 1, 1, 1, 1, 1.0, 1.5, id="one-of-each"),
    pytest.param(0, 3, 4, 5, 2, 5, 3, 1.0, 1.5, id="empty"),
    pytest.param(40, 5, 4, 6, 2, 19, 13, 20.0, 1.5, id="odd"),
    pytest.param(40, 16, 8, 6, 1, 33, 18, 2.0, 1.5, id="thin"),
    pytest.param(60, 33, 3, 6, 2, 17, 20, 5.0, 1.5, id="three-blocks-of-ranks"),
    pytest.param(150, 4, 4, 6, 3, 18, 14, 10.0, 0.2, id="camera-inside"),
    pytest.param(60, 2, 60, 4, 1, 21, 17, 2.0, 1.0, id="many-cells"),  # rows of pixels with more than 512 samples
]
# RMS error of gradients over the reference's RMS: 4 x the worst of 20 seeds of these shapes.
GRADIENT_RATIO = 2e-5
PARAMETERS = ("factors", "density", "colours")


def scene(n, r, d, resolution, v, width, height, density, distance, rng: torch.Generator) -> dict[str, object]:
    """Voxels at random before, beside and, where the camera is near, behind `v` cameras; a jitter for each ray."""
    grid = torch.cartesian_prod(*[torch.arange(resolution)] * 3)
    extrinsics = torch.eye(4).repeat(v, 1, 1)
    extrinsics[:, :3, :3] = torch.linalg.qr(torch.randn(v, 3, 3, generator=rng))[0]
    extrinsics[:, :3, :3] *= torch.linalg.det(extrinsics[:, :3, :3]).sign()[:, None, None]
    extrinsics[:, :3, 3] = torch.tensor([0.0, 0.0, distance]) + 0.1 * torch.randn(v, 3, generator=rng)
    intrinsics = torch.tensor([[1.4, 0.0, 0.45], [0.0, 1.3, 0.55], [0.0, 0.0, 1.0]]).repeat(v, 1, 1)
    return {
        "coords": grid[torch.randperm(len(grid), generator=rng)[:n]],
        "factors": 1 + 0.5 * torch.randn(n, r, 3, d, generator=rng),
        "density": density * torch.randn(n, r, generator=rng),
        "colours": torch.randn(n, r, 3, generator=rng),
        "extrinsics": extrinsics,
        "intrinsics": intrinsics,
        "resolution": resolution,
        "width": width,
        "height": height,
        "background": torch.tensor([0.3, 0.6, 0.9]),
        "jitter": torch.rand(v, height, width, generator=rng),
    }


def straight(coords: list[tuple[int, int, int]], z: float = 2.0, **changes: object) -> dict[str, object]:
    """Voxels of one value each in a grid of 4^3, before a camera z before the centre that looks along z.

    The middle ray of the 9 x 9 pixels goes along (0, 0, z), the lower face in x and y of the voxels (2, 2, z).
    """
    n = len(coords)
    camera = torch.eye(4)
    camera[2, 3] = z
    return {
        "coords": torch.tensor(coords).reshape(n, 3),
        "factors": torch.ones(n, 1, 3, 2),
        "density": torch.full((n, 1), 3.0),
        "colours": torch.zeros(n, 1, 3),
        "extrinsics": camera,
        "intrinsics": torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]),
        "resolution": 4,
        "width": 9,
        "height": 9,
        "background": torch.tensor([1.0, 0.0, 0.0]),
    } | changes


def with_gradients(inputs: dict[str, object], backend: str | None) -> dict[str, Tensor]:
    """Images, alphas, depths, and the gradients of a fixed random mix of all three."""
    leaves = {k: inputs[k].detach().clone().requires_grad_() for k in (*PARAMETERS, "background")}
    outputs = march_views(**inputs | leaves, backend=backend)
    mix = torch.Generator().manual_seed(7)
    sum((t * torch.randn(t.shape, generator=mix).to(t)).sum() for t in outputs).backward()
    named = dict(zip(("images", "alphas", "depths"), (t.detach() for t in outputs), strict=True))
    return named | {k: torch.zeros_like(t) if t.grad is None else t.grad for k, t in leaves.items()}


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("n", "r", "d", "resolution", "v", "width", "height", "density", "distance"), SHAPES)
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_matches_reference(backend, device, n, r, d, resolution, v, width, height, density, distance, rng):
    inputs = scene(n, r, d, resolution, v, width, height, density, distance, rng)
    inputs = {k: t.to(device) if isinstance(t, Tensor) else t for k, t in inputs.items()}
    want, got = with_gradients(inputs, "reference"), with_gradients(inputs, backend)
    assert n == 0 or float(want["alphas"].max()) > 1e-3
    for name in want:
        ratio = GRADIENT_RATIO if name in PARAMETERS else None
        assert_matches(got[name], want[name], what=f"{backend} {name} {n=} {r=} {d=}", ratio=ratio)


def test_opaque_voxels_match_but_for_the_last_thousandth(rng):
    """Where alphas reach their limit of 0.999, rounding decides whether one sample more counts: for 1e-3 at most."""
    inputs = scene(80, 4, 4, 6, 2, 19, 13, 400.0, 1.5, rng)
    want, got = with_gradients(inputs, "reference"), with_gradients(inputs, "cpu")
    assert float(want["alphas"].max()) > 0.9999
    for name in ("images", "alphas"):
        torch.testing.assert_close(got[name], want[name], atol=1e-3, rtol=0)
    torch.testing.assert_close(got["depths"], want["depths"], atol=3e-3, rtol=0)
    for name in PARAMETERS:
        assert_matches(got[name], want[name], what=name, ratio=2e-3)


def test_reference_gradients_are_the_differences_of_its_output(rng):
    inputs = scene(8, 2, 3, 2, 1, 4, 3, 4.0, 1.5, rng)
    inputs = {k: t.double() if isinstance(t, Tensor) and k != "coords" else t for k, t in inputs.items()}
    leaves = [inputs.pop(k).requires_grad_() for k in (*PARAMETERS, "background")]

    def call(*parameters: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip((*PARAMETERS, "background"), parameters, strict=True))
        return march_views(**inputs | named, backend="reference")

    assert torch.autograd.gradcheck(call, leaves, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_one_voxel_by_hand(backend):
    """Four samples of equal density and colour, at depths 2 + 1/32, 3/32, 5/32, 7/32: step = 0.5 / (4 * 2) = 1/16."""
    inputs = straight([(2, 2, 2)], colours=torch.tensor([[[1.0, 0.0, -2.0]]]))
    image, alpha, depth = march(**inputs, backend=backend)
    kept = math.exp(-math.log1p(math.exp(3)) / 16)
    assert alpha[4, 4].item() == pytest.approx(1 - kept**4, rel=1e-5)
    weights = [(1 - kept) * kept**i for i in range(4)]
    want = sum(w * (2 + (2 * i + 1) / 32) for i, w in enumerate(weights))
    assert depth[4, 4].item() == pytest.approx(want, rel=1e-5)
    for channel, (weight, ground) in enumerate(((1.0, 1.0), (0.0, 0.0), (-2.0, 0.0))):
        colour = 1 / (1 + math.exp(-0.28209479 * weight))
        assert image[4, 4, channel].item() == pytest.approx((1 - kept**4) * colour + kept**4 * ground, rel=1e-5)
    assert alpha[4, 3] == 0 and alpha[3, 4] == 0  # pixels to the left and above look past it


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_factors_are_interpolated_and_extrapolated(backend):
    """Along z, values 1 and 2 at the cells' centres, z = 1/4 and 3/4 of the voxel; samples at 1/8, 3/8, 5/8, 7/8."""
    factors = torch.ones(1, 1, 3, 2)
    factors[0, 0, 2] = torch.tensor([1.0, 2.0])
    _, alpha, _ = march(**straight([(2, 2, 2)], factors=factors), backend=backend)
    optical = sum(math.log1p(math.exp(3 * value)) / 16 for value in (0.75, 1.25, 1.75, 2.25))
    assert alpha[4, 4].item() == pytest.approx(1 - math.exp(-optical), rel=1e-5)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(("jitter", "num"), [(0.0, 4), (0.25, 4), (1.0, 4)])
def test_jitter_moves_the_samples_along_the_ray(backend, jitter, num):
    _, alpha, depth = march(**straight([(2, 2, 2)]), jitter=jitter, backend=backend)
    kept = math.exp(-math.log1p(math.exp(3)) / 16)
    first = 2 + (jitter % 1) / 16  # at 1 each sample has taken the next one's place
    want = sum((1 - kept) * kept**i * (first + i / 16) for i in range(num))
    assert alpha[4, 4].item() == pytest.approx(1 - kept**num, rel=1e-5)
    assert depth[4, 4].item() == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_nearer_one_hides_the_farther(backend, reverse):
    """Red before green, whichever is given first; turned round, green before red."""
    two = straight([(2, 2, 1), (2, 2, 3)], density=torch.full((2, 1), 60.0), background=torch.zeros(3))
    two["colours"] = 60 * torch.tensor([[[1.0, -1.0, -1.0]], [[-1.0, 1.0, -1.0]]])
    if reverse:
        two |= {k: two[k].flip(0) for k in ("coords", *PARAMETERS)}
    image, alpha, _ = march(**two, backend=backend)
    torch.testing.assert_close(image[4, 4], torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
    assert alpha[4, 4].item() == pytest.approx(1, abs=1e-3)
    behind = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    behind[2, 3] = 2.0
    image, _, _ = march(**two | {"extrinsics": behind, "width": 10}, backend=backend)
    torch.testing.assert_close(image[4, 4], torch.tensor([0.0, 1.0, 0.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_what_lies_behind_the_camera_is_not_seen(backend):
    image, alpha, depth = march(**straight([(2, 2, 1)], z=-0.25), backend=backend)
    assert not alpha.any() and not depth.any()
    assert torch.equal(image, torch.tensor([1.0, 0.0, 0.0]).expand(9, 9, 3))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_camera_within_a_voxel_sees_what_is_before_it(backend):
    """From z = 1/8, the middle of the voxel (2, 2, 2), two samples of it are left: at 1/32 and 3/32."""
    _, alpha, depth = march(**straight([(2, 2, 2)], z=-0.125), backend=backend)
    kept = math.exp(-math.log1p(math.exp(3)) / 16)
    assert alpha[4, 4].item() == pytest.approx(1 - kept**2, rel=1e-5)
    assert depth[4, 4].item() == pytest.approx((1 - kept) / 32 + (1 - kept) * kept * 3 / 32, rel=1e-5)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_each_sample_lies_in_one_voxel(backend):
    """A full grid of equal voxels is one block: neither a seam between two of them nor a sample counted twice."""
    full = [(x, y, z) for x in range(4) for y in range(4) for z in range(4)]
    _, alpha, _ = march(**straight(full), jitter=0.0, backend=backend)  # with samples on the faces themselves
    kept = math.exp(-math.log1p(math.exp(3)) / 16)
    assert alpha[4, 4].item() == pytest.approx(1 - kept**16, rel=1e-5)


def test_equal_inputs_give_equal_bytes_on_any_number_of_threads(rng):
    from trellis_ops._numba import set_num_threads

    inputs = scene(100, 7, 5, 6, 2, 70, 50, 10.0, 1.5, rng)
    runs = []
    for threads in (1, 2, 2):
        set_num_threads(threads)
        runs.append(with_gradients(inputs, "cpu"))
    for name, first in runs[0].items():
        assert all(torch.equal(first, other[name]) for other in runs[1:]), name


def test_views_equal_single_ones(rng):
    inputs = scene(100, 3, 4, 6, 3, 40, 24, 10.0, 1.5, rng)
    together = march_views(**inputs)
    for i in range(3):
        single = march(**inputs | {k: inputs[k][i] for k in ("extrinsics", "intrinsics", "jitter")})
        assert all(torch.equal(one, many[i]) for one, many in zip(single, together, strict=True))


def test_without_gradients_nothing_is_kept_and_nothing_changes(rng, monkeypatch):
    from trellis_ops.march import _rays

    inputs = scene(60, 3, 4, 6, 1, 20, 20, 10.0, 1.5, rng)
    leaves = {k: inputs[k].clone().requires_grad_() for k in PARAMETERS}
    rows, march_rays = [], _rays.march
    monkeypatch.setattr(_rays, "march", lambda *args: (rows.append(len(args[-1])), march_rays(*args)))
    plain, kept = march_views(**inputs), march_views(**inputs | leaves)
    with torch.no_grad():
        march_views(**inputs | leaves)
    assert rows[0] == rows[2] == 0 < rows[1]
    assert all(torch.equal(a, b) for a, b in zip(plain, kept, strict=True))
    assert plain[0].grad_fn is None and kept[0].grad_fn is not None


def test_half_precision_is_computed_in_float32(rng):
    inputs = scene(40, 3, 4, 6, 1, 20, 20, 10.0, 1.5, rng)
    half = inputs | {k: inputs[k].half() for k in PARAMETERS}
    got, want = march_views(**half), march_views(**half | {k: half[k].float() for k in PARAMETERS})
    assert all(torch.equal(a, b.half()) for a, b in zip(got, want, strict=True))


def test_refusals_are_sentences(rng):
    inputs = scene(1, 1, 2, 2, 1, 2, 2, 1.0, 1.5, rng)
    double = {k: t.double() if isinstance(t, Tensor) and k != "coords" else t for k, t in inputs.items()}
    with pytest.raises(BackendUnavailable, match="cannot run on 'cpu': factors is float64"):
        march_views(**double, backend="cpu")
    assert march_views(**double)[0].dtype == torch.float64
    with pytest.raises(BackendUnavailable, match="129 cells along an axis, this backend takes up to 128"):
        march_views(**inputs | {"factors": torch.ones(1, 1, 3, 129)}, backend="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "got 1 views of 0 x 9"),
        ({"factors": torch.ones(1, 1, 3, 1)}, "two cells or more along an axis, got 1"),
        ({"coords": torch.tensor([[0, 4, 0]])}, r"coords must lie in \[0, 4\), got 0 to 4"),
        ({"coords": torch.tensor([[0, -1, 0]])}, r"coords must lie in \[0, 4\), got -1 to 0"),
        ({"jitter": 1.5}, r"jitter must lie in \[0, 1\], got 1.5"),
        ({"jitter": float("nan")}, r"jitter must lie in \[0, 1\], got nan"),
    ],
)
def test_what_cannot_be_marched_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        march(**straight([(2, 2, 2)]) | changes)


def test_a_voxel_given_twice_is_an_error():
    with pytest.raises(ValueError, match="each voxel once, 1 of 3 are there already"):
        march(**straight([(2, 2, 2), (1, 2, 2), (2, 2, 2)]))
