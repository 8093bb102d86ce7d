"""The rasteriser: CPU against the reference, the reference against what is counted by hand, gradients against both."""

import math

import pytest
import torch
from torch import Tensor

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.rasterize import Fragments, coverage, interpolate, rasterize
from trellis_ops.testing import assert_matches

BACKENDS = [pytest.param("cpu", id="cpu"), pytest.param("reference", id="reference")]


def camera(distance: float = 2.0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Looks at the origin along +z, turned about two axes so that nothing lines up with the pixels."""
    a, b = 0.7, -0.4
    turn_y = torch.tensor([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]], dtype=dtype)
    turn_x = torch.tensor([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]], dtype=dtype)
    w2c = torch.eye(4, dtype=dtype)
    w2c[:3, :3] = turn_x @ turn_y
    w2c[2, 3] = distance
    K = torch.tensor([[1.4, 0, 0.52], [0, 1.3, 0.47], [0, 0, 1]], dtype=dtype)
    return {"extrinsics": w2c, "intrinsics": K}


def straight() -> dict[str, Tensor]:
    """One unit in front of the plane z = 0; with 8 x 8 pixels, one pixel is 1 / 8 there, and u = x + 0.5."""
    w2c = torch.eye(4, dtype=torch.float64)
    w2c[2, 3] = 1.0
    K = torch.tensor([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]], dtype=torch.float64)
    return {"extrinsics": w2c, "intrinsics": K}


def rubble(num_vertices: int, num_faces: int, rng: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random triangles through each other, a degenerate one among them."""
    positions = torch.rand(num_vertices, 3, generator=rng, dtype=dtype) - 0.5
    faces = torch.randint(0, num_vertices, (num_faces, 3), generator=rng)
    return {"positions": positions, "faces": faces}


def rectangle(left: float, right: float, top: float, bottom: float) -> dict[str, Tensor]:
    """In the plane z = 0, given in pixels of the straight camera at 8 x 8."""
    x0, x1, y0, y1 = (edge / 8 - 0.5 for edge in (left, right, top, bottom))
    corners = [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]]
    return {"positions": torch.tensor(corners, dtype=torch.float64), "faces": torch.tensor([[0, 1, 2], [0, 2, 3]])}


SCENES = [  # vertices, faces, width, height, distance
    pytest.param(3, 1, 1, 1, 2.0, id="one-of-each"),
    pytest.param(40, 60, 33, 17, 2.0, id="odd"),
    pytest.param(30, 40, 24, 40, 0.3, id="through-the-camera"),
    pytest.param(5, 0, 8, 8, 2.0, id="no-faces"),
]


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("v", "f", "width", "height", "distance"), SCENES)
def test_matches_reference(v, f, width, height, distance, dtype, rng):
    scene = rubble(v, f, rng, dtype) | camera(distance, dtype) | {"width": width, "height": height}
    weights = torch.randn(height, width, 4, generator=rng, dtype=dtype)
    results, gradients = {}, {}
    for backend in ("reference", "cpu"):
        scene["positions"] = scene["positions"].detach().requires_grad_()
        got = rasterize(**scene, backend=backend)
        results[backend] = got
        total = (got.depth * weights[..., 0]).sum() + (got.barycentrics * weights[..., 1:]).sum()
        if f:
            (gradients[backend],) = torch.autograd.grad(total, scene["positions"])
    want, got = results["reference"], results["cpu"]
    assert torch.equal(got.face_id, want.face_id)
    assert_matches(got.depth.detach(), want.depth.detach(), what="depth")
    assert_matches(got.barycentrics.detach(), want.barycentrics.detach(), what="barycentrics")
    if f:
        assert_matches(gradients["cpu"], gradients["reference"], what="gradient")
    with torch.no_grad():
        plain = rasterize(**scene, backend="cpu")
    assert torch.equal(plain.face_id, want.face_id)
    assert_matches(plain.depth, want.depth.detach(), what="depth without gradients")
    assert_matches(plain.barycentrics, want.barycentrics.detach(), what="barycentrics without gradients")


@pytest.mark.parametrize("backend", BACKENDS)
def test_counted_by_hand(backend):
    """A rectangle over pixels 2..4 x 1..6, one unit away: depth one, the first triangle above its diagonal."""
    got = rasterize(**rectangle(2, 5, 1, 7), **straight(), width=8, height=8, backend=backend)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[1:7, 2:5] = True
    assert torch.equal(got.face_id >= 0, expected)
    assert torch.equal(got.depth, expected.double())
    assert got.face_id[1, 4] == 0 and got.face_id[6, 2] == 1
    # pixel (1, 4) is (2.5, 0.5) from the corner of a 3 x 6 rectangle: barycentrics 1 - 2.5/3, 2.5/3 - 0.5/6, 0.5/6
    assert got.barycentrics[1, 4].tolist() == pytest.approx([1 / 6, 0.75, 1 / 12])


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearer_faces_win_whatever_their_order_and_winding(backend):
    near, far = rectangle(0, 8, 0, 8), rectangle(0, 8, 0, 8)
    near["positions"] = near["positions"] * 0.5 - torch.tensor([0.0, 0, 0.2])
    positions = torch.cat([far["positions"], near["positions"]])
    faces = torch.cat([far["faces"], near["faces"].flip(1) + 4])
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        got = rasterize(positions, faces[order], **straight(), width=8, height=8, backend=backend)
        assert (got.face_id >= 0).all()
        assert sorted(got.depth.unique().tolist()) == pytest.approx([0.8, 1.0])
    twice = rasterize(positions, faces[[0, 1, 0, 1]], **straight(), width=8, height=8, backend=backend)
    assert twice.face_id.max() == 1, "of equal faces the first is seen"


def test_no_crack_and_no_thread_between_faces(rng):
    """A fan of slivers about an inner point covers its square wholly, at a size where cracks would show."""
    angles = torch.sort(torch.rand(400, generator=rng, dtype=torch.float64) * 2 * math.pi).values
    rim = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], 1)
    positions = torch.cat([torch.tensor([[0.013, -0.027, 0.0]], dtype=torch.float64), rim]).float()
    ring = torch.arange(1, 401)
    faces = torch.stack([torch.zeros_like(ring), ring, ring.roll(-1)], 1)
    got = rasterize(positions, faces, **straight(), width=257, height=255)
    assert (got.face_id >= 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_near_plane_cuts_through_faces(backend):
    """A floor that runs from behind the camera to far ahead is seen from `near` on, at the depth of each row."""
    floor = torch.tensor([[-9.0, 0.5, -9], [9, 0.5, -9], [9, 0.5, 9], [-9, 0.5, 9]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    w2c, K = torch.eye(4, dtype=torch.float64), straight()["intrinsics"]
    got = rasterize(floor, faces, w2c, K, width=8, height=8, near=1.2, backend=backend)
    rows = torch.tensor([0.5 / (j / 8 + 1 / 16 - 0.5) if j >= 4 else 0.0 for j in range(8)], dtype=torch.float64)
    expected = torch.where((rows >= 1.2) & (rows <= 9), rows, 0.0)
    assert torch.allclose(got.depth, expected[:, None].expand(8, 8))
    assert (expected > 0).sum() == 3  # of the rows 4 to 7 one lies nearer: the test can fail on both sides


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_behind_are_peeled_one_by_one(backend, dtype, rng):
    scene = rubble(30, 40, rng, dtype) | camera(dtype=dtype) | {"width": 16, "height": 16}
    last, ids = torch.zeros(16, 16, dtype=dtype), []
    for _ in range(4):
        got = rasterize(**scene, beyond=last, backend=backend)
        seen = got.face_id >= 0
        assert (got.depth[seen] > last[seen]).all()
        last = torch.where(seen, got.depth, torch.inf)
        ids.append(got.face_id)
    assert (ids[0] >= 0).sum() > (ids[3] >= 0).sum() > 0
    stacked = torch.stack(ids)
    for i in range(4):
        for j in range(i):
            assert not ((stacked[i] == stacked[j]) & (stacked[i] >= 0)).any(), "a face lies behind itself"


def test_interpolation_is_exact_for_what_is_linear_in_space(rng):
    scene = rubble(20, 30, rng, torch.float64) | camera()
    got = rasterize(**scene, width=20, height=20)
    seen = got.face_id >= 0
    points = interpolate(scene["positions"], scene["faces"], got)
    in_camera = points[seen] @ scene["extrinsics"][:3, :3].T + scene["extrinsics"][:3, 3]
    row, column = torch.nonzero(seen, as_tuple=True)
    u = scene["intrinsics"][0, 0] * in_camera[:, 0] / in_camera[:, 2] + scene["intrinsics"][0, 2]
    v = scene["intrinsics"][1, 1] * in_camera[:, 1] / in_camera[:, 2] + scene["intrinsics"][1, 2]
    assert torch.allclose(u * 20 - 0.5, column.double()) and torch.allclose(v * 20 - 0.5, row.double())
    assert torch.allclose(in_camera[:, 2], got.depth[seen])
    assert (points[~seen] == 0).all()


def central_differences(function, x: Tensor, step: float = 1e-6) -> Tensor:
    out = torch.zeros_like(x)
    for i in range(x.numel()):
        moved = x.clone().reshape(-1)
        moved[i] += step
        up = function(moved.reshape(x.shape))
        moved[i] -= 2 * step
        out.reshape(-1)[i] = (up - function(moved.reshape(x.shape))) / (2 * step)
    return out


def test_gradients_inside_the_outline_match_finite_differences(rng):
    """Depth and interpolated attributes; pixels whose face changes under the step would break it, and none does."""
    scene = rubble(6, 1, rng, torch.float64)
    faces, view = torch.tensor([[0, 1, 2], [3, 4, 5]]), camera()
    attributes = torch.randn(6, 2, generator=rng, dtype=torch.float64)
    weights = torch.randn(12, 12, 3, generator=rng, dtype=torch.float64)

    def total(positions: Tensor, values: Tensor) -> Tensor:
        got = rasterize(positions, faces, **view, width=12, height=12)
        return (got.depth * weights[..., 0]).sum() + (interpolate(values, faces, got) * weights[..., 1:]).sum()

    positions = scene["positions"].clone().requires_grad_()
    values = attributes.clone().requires_grad_()
    by_position, by_value = torch.autograd.grad(total(positions, values), (positions, values))
    assert by_position.abs().max() > 1
    wanted = central_differences(lambda p: total(p, attributes), scene["positions"], 1e-7)
    assert_matches(by_position, wanted, what="positions", ratio=1e-5)
    assert_matches(
        by_value, central_differences(lambda a: total(scene["positions"], a), attributes), what="values", ratio=1e-6
    )


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_cuda_tensors_are_computed_on_copies(rng):
    scene = rubble(40, 60, rng, torch.float32) | camera(2.0, torch.float32)
    results = []
    for device in ("cpu", "cuda"):
        moved = {k: t.detach().to(device) for k, t in scene.items()}
        moved["positions"].requires_grad_()
        fragments = rasterize(**moved, width=33, height=17, backend="cpu")
        covered = coverage(**moved, fragments=fragments, backend="cpu")
        total = fragments.depth.sum() + fragments.barycentrics[..., 0].sum() + covered.sum()
        (gradient,) = torch.autograd.grad(total, moved["positions"])
        results.append([fragments.face_id, fragments.depth.detach(), covered.detach(), gradient])
        assert all(t.device.type == device for t in results[-1])
    for here, there in zip(*results, strict=True):
        assert_matches(there.cpu(), here, what="on copies")


@pytest.mark.parametrize(("v", "f", "width", "height", "distance"), SCENES)
def test_coverage_matches_reference(v, f, width, height, distance, rng):
    scene = rubble(v, f, rng, torch.float64) | camera(distance)
    fragments = rasterize(**scene, width=width, height=height)
    weights = torch.randn(height, width, generator=rng, dtype=torch.float64)
    got, gradients = {}, {}
    for backend in ("reference", "cpu"):
        scene["positions"] = scene["positions"].detach().requires_grad_()
        got[backend] = coverage(**scene, fragments=fragments, backend=backend)
        if f:
            total = (got[backend] * weights).sum()
            (gradients[backend],) = torch.autograd.grad(total, scene["positions"], allow_unused=True)
    assert_matches(got["cpu"].detach(), got["reference"].detach(), what="coverage")
    assert got["cpu"].min() >= 0 and got["cpu"].max() <= 1
    if f and gradients["reference"] is not None:
        assert_matches(gradients["cpu"], gradients["reference"], what="gradient")


@pytest.mark.parametrize("backend", BACKENDS)
def test_coverage_of_a_rectangle_is_its_area(backend):
    """Edges at 2.3, 5.8, 1.4 and 6.9 pixels: rows and columns through the inside have the exact fractions."""
    scene = rectangle(2.3, 5.8, 1.4, 6.9) | straight()
    got = coverage(**scene, fragments=rasterize(**scene, width=8, height=8), backend=backend)
    assert got[4].tolist() == pytest.approx([0, 0, 0.7, 1, 1, 0.8, 0, 0])
    assert got[:, 4].tolist() == pytest.approx([0, 0.6, 1, 1, 1, 1, 0.9, 0])


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 63, 90])
def test_coverage_changes_as_the_area_does(degrees):
    """A disc of 300 thin triangles grows: the sum of all pixels, and its gradient, are the area and its change."""
    angles = torch.arange(300, dtype=torch.float64) / 300 * 2 * math.pi + math.radians(degrees)
    rim = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], 1)
    ring = torch.arange(1, 301)
    faces = torch.stack([torch.zeros_like(ring), ring, ring.roll(-1)], 1)
    radius = torch.tensor(0.371, dtype=torch.float64, requires_grad=True)
    positions = torch.cat([torch.zeros(1, 3, dtype=torch.float64), rim * radius])
    fragments = rasterize(positions.detach(), faces, **straight(), width=48, height=48)
    mask = coverage(positions, faces, **straight(), fragments=fragments)
    area = 150 * math.sin(2 * math.pi / 300) * 48**2  # of the unit polygon, in pixels
    assert mask.sum().item() == pytest.approx(area * 0.371**2, rel=2e-3)
    (change,) = torch.autograd.grad(mask.sum(), radius)
    assert change.item() == pytest.approx(2 * area * 0.371, rel=0.03)


def test_coverage_gradients_match_finite_differences(rng):
    """For fixed fragments the rule is smooth but for its weights, which are held: a far edge moves along its normal."""
    scene = rectangle(2.3, 5.8, 1.4, 6.9) | straight()
    fragments = rasterize(**scene, width=8, height=8)
    weights = torch.randn(8, 8, generator=rng, dtype=torch.float64)
    shift = torch.zeros(2, dtype=torch.float64)
    directions = torch.tensor([[1.0, 0, 0], [0, 1, 0]], dtype=torch.float64)

    def total(by: Tensor) -> Tensor:
        moved = scene["positions"] + by @ directions
        return (coverage(moved, scene["faces"], **straight(), fragments=fragments) * weights).sum()

    (gradient,) = torch.autograd.grad(total(shift.requires_grad_()), shift)
    assert gradient.abs().min() > 0.1
    assert_matches(gradient, central_differences(total, shift.detach()), what="shift", ratio=1e-6)


def test_descending_on_coverage_finds_the_outline():
    """A triangle grows into a target mask by gradient descent on the mask alone."""
    target = rectangle(1.3, 6.6, 1.2, 6.7) | straight()
    want = coverage(**target, fragments=rasterize(**target, width=8, height=8))
    positions = rectangle(3.2, 4.9, 3.1, 5.2)["positions"].requires_grad_()
    optimizer = torch.optim.Adam([positions], lr=0.02)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.94)
    for _ in range(60):
        fragments = rasterize(positions, target["faces"], **straight(), width=8, height=8)
        loss = (coverage(positions, target["faces"], **straight(), fragments=fragments) - want).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert loss.item() < 0.02


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 0}, "at least one pixel, got 0 x 8"),
        ({"near": 0.0}, "near must be positive"),
        ({"positions": torch.full((4, 3), math.nan, dtype=torch.float64)}, "4 of 4 positions are not finite"),
        ({"faces": torch.tensor([[0, 1, 4]])}, r"faces must name vertices in \[0, 4\), got indices in \[0, 4\]"),
    ],
)
def test_bad_calls_are_named(change, says):
    call = rectangle(1, 2, 1, 2) | straight() | {"width": 8, "height": 8} | change
    with pytest.raises(ValueError, match=says):
        rasterize(**call)


def test_unknown_backend_is_named():
    with pytest.raises(BackendUnavailable, match="no backend 'cuda'"):
        rasterize(**rectangle(1, 2, 1, 2), **straight(), width=8, height=8, backend="cuda")


def test_fragments_have_the_documented_types():
    got = rasterize(**rectangle(1, 2, 1, 2), **straight(), width=8, height=4)
    assert isinstance(got, Fragments)
    assert (got.face_id.dtype, got.depth.dtype) == (torch.int32, torch.float64)
    assert got.barycentrics.shape == (4, 8, 3)
