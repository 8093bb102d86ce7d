"""Parity of `isosurface`, the rules of its cases, a sphere. Stored meshes: tests/reference/test_isosurface.py."""

import pytest
import torch
from torch import Tensor

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.isosurface import Isosurface, isosurface
from trellis_ops.isosurface.cases import EDGES, crossed_edges, edge_groups, problem_face, tables
from trellis_ops.testing import assert_matches

BACKENDS = [
    pytest.param("cpu", "cpu", id="cpu"),
    pytest.param("triton", "cuda", id="triton", marks=pytest.mark.gpu),
]
SHAPES = [  # resolution, share of cubes given, attributes
    pytest.param(1, 1.0, 1, id="one-cube"),
    pytest.param(2, 1.0, 0, id="no-attributes"),
    pytest.param(4, 1.0, 2, id="dense"),
    pytest.param(5, 0.3, 6, id="scattered"),
]
FIELDS = ("sdf", "deform", "weights", "attributes")
CORNERS = torch.tensor([[j & 1, j >> 1 & 1, j >> 2 & 1] for j in range(8)])


def scene(resolution: int, share: float, num_attributes: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Random cubes with random signs: most have several dual vertices, and problem cases meet."""
    coords = all_cubes(resolution)
    coords = coords[torch.rand(len(coords), generator=rng) < share]
    coords = coords[torch.randperm(len(coords), generator=rng)]
    return {"coords": coords} | {
        name: torch.randn(len(coords), *shape, generator=rng)
        for name, shape in zip(FIELDS, ((8,), (8, 3), (21,), (8, num_attributes)), strict=True)
    }


def all_cubes(resolution: int) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(resolution)] * 3).int()


def ball(resolution: int, radius: float, *, hollow: float = 1.0) -> dict[str, Tensor]:
    """The cubes of a ball (without those `hollow` deep inside), and its signed distance (less the op's bias)."""
    coords = all_cubes(resolution)
    depth = radius - ((coords + 0.5) / resolution - 0.5).norm(dim=1)
    coords = coords[(-2 / resolution < depth) & (depth < hollow)]
    corners = (coords[:, None] + CORNERS) / resolution - 0.5
    n = len(coords)
    return {
        "coords": coords,
        "sdf": corners.norm(dim=2) - radius + 1 / resolution,
        "deform": torch.zeros(n, 8, 3),
        "weights": torch.zeros(n, 21),
        "attributes": torch.logit(corners + 0.5, eps=1e-6),
    }


def volume(mesh: Isosurface) -> float:
    """Signed volume: positive when faces wind counter-clockwise seen from outside."""
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def is_closed(faces: Tensor) -> bool:
    """Every directed edge once, and once the other way round: closed, oriented, and manifold at edges."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth = {tuple(e) for e in edges.tolist()}
    return len(forth) == len(edges) and all((b, a) in forth for a, b in forth)


@pytest.mark.usefixtures("nan_scratch")
@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize(("resolution", "share", "num_attributes"), SHAPES)
@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_matches_reference(backend, device, resolution, share, num_attributes, training, rng):
    inputs = scene(resolution, share, num_attributes, rng)

    def run(backend: str, device: str) -> tuple[Isosurface, list[Tensor]]:
        own = {k: t.to(device).requires_grad_(k in FIELDS) for k, t in inputs.items()}
        mesh = isosurface(**own, resolution=resolution, training=training, backend=backend)
        generator = torch.Generator().manual_seed(1)
        loss = sum(
            (torch.randn(t.shape, generator=generator).to(device) * t).sum()
            for t in (getattr(mesh, name) for name in mesh.__slots__)
            if t is not None and t.is_floating_point()
        )
        if not loss.requires_grad:  # neither surface nor losses
            return mesh, []
        grads = torch.autograd.grad(loss, [own[k] for k in FIELDS], materialize_grads=True)
        return mesh, [g.cpu() for g in grads]

    want, want_grads = run("reference", "cpu")
    got, got_grads = run(backend, device)
    for name in want.__slots__:
        if getattr(want, name) is None:
            assert getattr(got, name) is None
            continue
        assert_matches(getattr(got, name).cpu(), getattr(want, name), what=f"{backend} {name}")
    assert len(got_grads) == len(want_grads) == len(FIELDS)
    for name, g, w in zip(FIELDS, got_grads, want_grads, strict=True):
        assert_matches(g, w, what=f"{backend} gradient of {name}", ratio=6e-5)


def test_cases_follow_the_rules():
    """36 problem cases, in pairs of mirrored faces; each crossed edge in one group of 3 to 7; two edges a face meet."""
    group, number, across = tables()
    assert sum(problem_face(case) is not None for case in range(256)) == 36
    assert int(number.max()) == 4 and number[[0, 255]].tolist() == [0, 0]
    for case in range(256):
        groups = edge_groups(case)
        assert sorted(e for g in groups for e in g) == crossed_edges(case)
        assert all(3 <= len(g) <= 7 for g in groups)
        assert (group[case] >= 0).nonzero().flatten().tolist() == crossed_edges(case)
        assert (problem_face(case) is not None) == bool(across[case].any())
    assert edge_groups(1) == [[0, 3, 8]]  # one corner inside: its three edges, counted by hand
    assert [EDGES[e] for e in edge_groups(1)[0]] == [(0, 1), (0, 4), (2, 0)]
    assert len(edge_groups(1 | 1 << 7)) == 2  # two opposite corners


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_one_inside_vertex_makes_a_cube_counted_by_hand(backend):
    """Eight cubes, the centre vertex at -1, all others at +1: a dual vertex a cube, at the mean of three crossings."""
    coords = all_cubes(2)
    bias = 1 / 2
    sdf = torch.ones(8, 8) + bias
    for n, cube in enumerate(coords):
        sdf[n, int(((1 - cube) * torch.tensor([1, 2, 4])).sum())] = -1 + bias
    fields = sdf, torch.zeros(8, 8, 3), torch.zeros(8, 21), torch.zeros(8, 8, 1)
    mesh = isosurface(coords, *fields, resolution=2, backend=backend)
    signs = all_cubes(2) * 2 - 1
    assert torch.allclose(mesh.vertices, signs / 12)  # a third of half an edge of 1/2 along each axis
    assert torch.allclose(mesh.attributes, torch.full((8, 1), 0.5))
    assert len(mesh.faces) == 12 and is_closed(mesh.faces)
    assert volume(mesh) == pytest.approx(1 / 6**3, rel=1e-5)
    deviation = isosurface(coords, *fields, resolution=2, training=True, backend=backend).deviation
    assert deviation.shape == (24,) and deviation.abs().max() < 1e-7  # each is as far from its three crossings


@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
def test_ball_is_closed_and_has_its_volume(training):
    mesh = isosurface(**ball(24, 0.4), resolution=24, training=training)
    assert is_closed(mesh.faces)
    assert volume(mesh) == pytest.approx(4 / 3 * torch.pi * 0.4**3, rel=2e-2)
    assert (mesh.vertices.norm(dim=1) - 0.4).abs().max() < 3e-3
    normals = torch.linalg.cross(*(mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2)))
    outward = mesh.vertices[mesh.faces].mean(1)
    assert (torch.cosine_similarity(normals, outward, dim=1) > 0.95).all()
    # attributes whose sigmoid is the position are interpolated as the position is
    assert torch.allclose(mesh.attributes, mesh.vertices + 0.5, atol=1e-4)


def test_cubes_not_given_are_outside_even_in_a_solid():
    """Of a hollow ball's cubes alone, the surface has two walls: the outer one, and one round the hollow."""
    solid, shell = (isosurface(**ball(24, 0.4, hollow=hollow), resolution=24) for hollow in (1.0, 0.1))
    assert is_closed(shell.faces)
    inner = shell.vertices.norm(dim=1) < 0.35
    assert inner.any() and int((~inner).sum()) == len(solid.vertices)
    assert volume(shell) < 0.7 * volume(solid)


def test_surface_closes_between_given_cubes_and_others():
    """A ball of which only the lower half is given: everything else is outside, so a lid closes it."""
    inputs = ball(16, 0.3)
    lower = inputs["coords"][:, 2] < 8
    mesh = isosurface(**{k: t[lower] for k, t in inputs.items()}, resolution=16)
    assert is_closed(mesh.faces)
    assert volume(mesh) == pytest.approx(2 / 3 * torch.pi * 0.3**3, rel=0.1)


def test_random_signs_inside_the_grid_make_a_closed_surface(rng):
    """Ambiguous and problem cases side by side, away from the grid's border: still closed and manifold at edges."""
    coords = all_cubes(8)[torch.rand(512, generator=rng) < 0.5] + 1
    n = len(coords)
    fields = [torch.randn(n, *s, generator=rng) for s in ((8,), (8, 3), (21,), (8, 1))]
    mesh = isosurface(coords, *fields, resolution=10)
    assert len(mesh.faces) > 1000 and is_closed(mesh.faces)


def test_no_surface_and_no_cubes_give_empty_meshes():
    none = isosurface(*(t[:0] for t in scene(2, 1.0, 3, torch.Generator()).values()), resolution=2, training=True)
    assert none.faces.shape == (0, 3) and none.attributes.shape == (0, 3)
    inputs = scene(2, 1.0, 3, torch.Generator()) | {"sdf": torch.full((8, 8), 2.0, requires_grad=True)}
    outside = isosurface(**inputs, resolution=2, training=True)
    assert outside.faces.shape == (0, 3) and outside.deviation.shape == (0,) and len(outside.grid_sdf) == 27
    (grad,) = torch.autograd.grad(outside.grid_sdf.sum() + outside.vertices.sum(), inputs["sdf"])
    assert float(grad.sum()) == pytest.approx(27)


def test_training_terms_of_a_ball():
    """Cubes that agree have no inconsistency; dual vertices lie off their crossings; every weight has a gradient."""
    inputs = ball(8, 0.3)
    inputs["weights"].requires_grad_()
    mesh = isosurface(**inputs, resolution=8, training=True)
    assert 0 < float(mesh.deviation.detach().mean()) < 1 / 8
    assert float(mesh.consistency) < 1e-10
    assert torch.allclose(mesh.grid_sdf, mesh.grid_positions.norm(dim=1) - 0.3, atol=1e-6)
    (grad,) = torch.autograd.grad(mesh.vertices.square().sum(), inputs["weights"])
    assert all(grad[:, part].abs().max() > 0 for part in (slice(0, 12), slice(12, 20), slice(20, 21)))


@pytest.mark.parametrize(("bad", "message"), [(2, r"coords must lie in \[0, 2\), got"), (0, "each cube once, got 1")])
def test_bad_coords_are_named(bad, message, rng):
    inputs = scene(2, 1.0, 1, rng)
    inputs["coords"] = all_cubes(2)
    inputs["coords"][-1] = torch.tensor([0, 0, bad])
    with pytest.raises(ValueError, match=message):
        isosurface(**inputs, resolution=2)


def test_forced_backend_says_why_not(rng):
    with pytest.raises(BackendUnavailable, match="cannot run on 'triton': sdf is on cpu"):
        isosurface(**scene(1, 1.0, 1, rng), resolution=1, backend="triton")
