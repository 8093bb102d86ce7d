"""Splatting: every backend against the reference, the reference against a Gaussian worked out by hand."""

import math
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.splat import splat, splat_views
from trellis_ops.testing import assert_matches

BACKENDS = [
    pytest.param("cpu", "cpu", id="cpu"),
    pytest.param("cpu", "cuda", id="cpu-on-copies", marks=pytest.mark.gpu),
    pytest.param(
        "gsplat",
        "cuda",
        id="gsplat",
        marks=[pytest.mark.gpu, pytest.mark.skipif(find_spec("gsplat") is None, reason="gsplat is not installed")],
    ),
]
SHAPES = [  # g, v, width, height, scale
    pytest.param(1, 1, 1, 1, 0.1, id="one-of-each"),
    pytest.param(0, 1, 5, 3, 0.1, id="empty"),
    pytest.param(60, 1, 37, 19, 0.05, id="odd"),
    pytest.param(150, 2, 33, 50, 0.1, id="opaque"),  # pixels end early, alphas reach their limit
    pytest.param(300, 3, 16, 16, 0.01, id="thin"),
]
# RMS error of gradients over the reference's RMS: 4 x the worst of 20 seeds of these shapes, but for one seed where a
# transmittance so near to 1e-4 rounds to the other side that a pixel ends one Gaussian apart (then 5e-4).
GRADIENT_RATIO = 5e-6
PARAMETERS = ("means", "quats", "scales", "opacities", "colours")


def scene(g: int, v: int, width: int, height: int, scale: float, rng: torch.Generator) -> dict[str, object]:
    """Gaussians about the cube, some of them outside the image or behind, before `v` cameras two edges away."""
    extrinsics = torch.eye(4).repeat(v, 1, 1)
    extrinsics[:, :3, :3] = torch.linalg.qr(torch.randn(v, 3, 3, generator=rng))[0]
    extrinsics[:, :3, :3] *= torch.linalg.det(extrinsics[:, :3, :3]).sign()[:, None, None]
    extrinsics[:, :3, 3] = torch.tensor([0.0, 0.0, 2.0]) + 0.1 * torch.randn(v, 3, generator=rng)
    intrinsics = torch.tensor([[1.4, 0.0, 0.45], [0.0, 1.3, 0.55], [0.0, 0.0, 1.0]]).repeat(v, 1, 1)
    return {
        "means": 0.6 * torch.randn(g, 3, generator=rng),
        "quats": torch.randn(g, 4, generator=rng),
        "scales": scale * (0.2 + torch.rand(g, 3, generator=rng)),
        "opacities": torch.rand(g, generator=rng),
        "colours": torch.rand(g, 3, generator=rng),
        "extrinsics": extrinsics,
        "intrinsics": intrinsics,
        "width": width,
        "height": height,
        "background": torch.tensor([0.3, 0.6, 0.9]),
    }


def one_gaussian(**changes: object) -> dict[str, object]:
    """An isotropic Gaussian at the centre of the view: 1 px at depth 2 is 2 / 9 of a cube edge."""
    camera = torch.eye(4)
    camera[2, 3] = 2.0
    return {
        "means": torch.zeros(1, 3),
        "quats": torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        "scales": torch.full((1, 3), 0.3),
        "opacities": torch.tensor([0.8]),
        "colours": torch.tensor([[0.2, 0.4, 1.5]]),
        "extrinsics": camera,
        "intrinsics": torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]),
        "width": 9,
        "height": 9,
        "background": torch.tensor([1.0, 0.0, 0.0]),
    } | changes


def with_gradients(inputs: dict[str, object], backend: str, rng_seed: int = 7) -> dict[str, Tensor]:
    """Images, alphas, and the gradients of a fixed random mix of both."""
    leaves = {k: inputs[k].detach().clone().requires_grad_() for k in (*PARAMETERS, "background")}
    images, alphas = splat_views(**inputs | leaves, backend=backend)
    rng = torch.Generator().manual_seed(rng_seed)
    mix = [torch.randn(t.shape, generator=rng).to(t.device) for t in (images, alphas)]
    ((images * mix[0]).sum() + (alphas * mix[1]).sum()).backward()
    return {"images": images.detach(), "alphas": alphas.detach()} | {
        k: torch.zeros_like(t) if t.grad is None else t.grad for k, t in leaves.items()
    }


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize(("g", "v", "width", "height", "scale"), SHAPES)
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_matches_reference(backend, device, g, v, width, height, scale, rng):
    inputs = scene(g, v, width, height, scale, rng)
    inputs = {k: t.to(device) if isinstance(t, Tensor) else t for k, t in inputs.items()}
    want, got = with_gradients(inputs, "reference"), with_gradients(inputs, backend)
    for name in want:
        ratio = GRADIENT_RATIO if name in PARAMETERS else None
        assert_matches(got[name], want[name], what=f"{backend} {name} {g=} {v=}", ratio=ratio)


def test_reference_gradients_are_the_differences_of_its_output(rng):
    inputs = {k: t.double() if isinstance(t, Tensor) else t for k, t in scene(6, 1, 7, 5, 0.3, rng).items()}
    leaves = [inputs.pop(k).requires_grad_() for k in (*PARAMETERS, "background")]

    def call(*parameters: Tensor) -> tuple[Tensor, Tensor]:
        named = dict(zip((*PARAMETERS, "background"), parameters, strict=True))
        return splat_views(**inputs | named, backend="reference")

    assert torch.autograd.gradcheck(call, leaves, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_one_gaussian_by_hand(backend):
    image, alpha = splat(**one_gaussian(), backend=backend)
    before = (0.3 * 9 / 2) ** 2  # variance in px^2
    after = before + 0.1
    opacity = 0.8 * math.sqrt(before**2 / (after**2 + 1e-6) + 1e-6)
    for row, col in ((4, 4), (4, 5), (2, 7)):
        want = opacity * math.exp(-0.5 * ((row - 4) ** 2 + (col - 4) ** 2) / after)
        assert alpha[row, col].item() == pytest.approx(want, rel=1e-5)
        for channel, (colour, ground) in enumerate(((0.2, 1.0), (0.4, 0.0), (1.5, 0.0))):
            assert image[row, col, channel].item() == pytest.approx(want * colour + (1 - want) * ground, rel=1e-5)
    assert alpha[0, 0] == 0  # 0.8 exp(-0.5 * 32 / 1.92) = 2e-4 is under 1/255


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_nearer_one_hides_the_farther(backend):
    two = one_gaussian(
        means=torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, -0.1]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2),
        scales=torch.full((2, 3), 3.0),
        opacities=torch.tensor([0.9, 0.5]),
        colours=torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        background=torch.zeros(3),
    )
    image, alpha = splat(**two, backend=backend)
    torch.testing.assert_close(image[4, 4], torch.tensor([0.5 * 0.9, 0.5, 0.0]), atol=2e-3, rtol=0)
    tie, _ = splat(**two | {"means": torch.zeros(2, 3)}, backend=backend)  # equal depths: the order given
    torch.testing.assert_close(tie[4, 4], torch.tensor([0.9, 0.1 * 0.5, 0.0]), atol=2e-3, rtol=0)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("z", [-1.81, -4.0, float("nan")], ids=["too near", "behind", "NaN"])
def test_gaussians_too_near_are_left_out(backend, z):
    image, alpha = splat(**one_gaussian(means=torch.tensor([[0.0, 0.0, z]])), backend=backend)
    assert not alpha.any()
    assert torch.equal(image, torch.tensor([1.0, 0.0, 0.0]).expand(9, 9, 3))


def test_equal_inputs_give_equal_bytes_on_any_number_of_threads(rng):
    from trellis_ops._numba import set_num_threads

    inputs = scene(500, 2, 70, 50, 0.03, rng)
    runs = []
    for threads in (1, 2, 2):
        set_num_threads(threads)
        runs.append(with_gradients(inputs, "cpu"))
    for name, first in runs[0].items():
        assert all(torch.equal(first, other[name]) for other in runs[1:]), name


@pytest.mark.parametrize("rows_at_once", [1 << 22, 450, 1], ids=["together", "two and one", "one by one"])
def test_views_equal_single_ones(rng, monkeypatch, rows_at_once):
    monkeypatch.setattr("trellis_ops.splat.cpu.ROWS_AT_ONCE", rows_at_once)
    inputs = scene(200, 3, 40, 24, 0.05, rng)
    images, alphas = splat_views(**inputs)
    for i in range(3):
        single = inputs | {"extrinsics": inputs["extrinsics"][i], "intrinsics": inputs["intrinsics"][i]}
        image, alpha = splat(**single)
        assert torch.equal(image, images[i])
        assert torch.equal(alpha, alphas[i])


def test_half_precision_is_computed_in_float32(rng):
    inputs = scene(50, 1, 20, 20, 0.1, rng)
    half = inputs | {k: inputs[k].half() for k in PARAMETERS}
    images, _ = splat_views(**half)
    want, _ = splat_views(**half | {k: half[k].float() for k in PARAMETERS})
    assert torch.equal(images, want.half())


def test_refusals_are_sentences(rng):
    inputs = scene(1, 1, 2, 2, 0.1, rng)
    why = "means is on cpu" if find_spec("gsplat") else "gsplat is not installed"
    with pytest.raises(BackendUnavailable, match=f"cannot run on 'gsplat': {why}"):
        splat_views(**inputs, backend="gsplat")
    double = {k: t.double() if isinstance(t, Tensor) else t for k, t in inputs.items()}
    with pytest.raises(BackendUnavailable, match="means is float64"):
        splat_views(**double, backend="cpu")
    assert splat_views(**double)[0].dtype == torch.float64


def test_nothing_to_draw_on_is_an_error(rng):
    inputs = scene(1, 1, 2, 2, 0.1, rng)
    with pytest.raises(ValueError, match="got 1 views of 0 x 2"):
        splat_views(**inputs | {"width": 0})
    with pytest.raises(ValueError, match="got 0 views"):
        splat_views(**inputs | {"extrinsics": torch.zeros(0, 4, 4), "intrinsics": torch.zeros(0, 3, 3)})
    with pytest.raises(ValueError, match="mip_filter must not be negative"):
        splat_views(**inputs, mip_filter=-0.1)
