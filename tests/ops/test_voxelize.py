"""`voxelize`: every backend against the reference, the reference against counts by hand, and what must always hold."""

from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trellis_ops._dispatch import BackendUnavailable
from trellis_ops.voxelize import cpu, voxelize

UNIT_SQUARE = [[0, 1, 2], [0, 2, 3]]


def soup(num_vertices: int, num_faces: int, size: float, rng: torch.Generator) -> dict[str, torch.Tensor]:
    """Triangles of about `size` anywhere in the cube, some of them without area."""
    centres = torch.rand(num_vertices, 1, 3, generator=rng, dtype=torch.float64) - 0.5
    corners = centres + size * torch.randn(num_vertices, 3, 3, generator=rng, dtype=torch.float64)
    faces = torch.arange(3 * num_vertices).reshape(-1, 3)[:num_faces]
    faces[::7, 2] = faces[::7, 1]
    return {"vertices": corners.reshape(-1, 3).clamp(-0.5, 0.5), "faces": faces}


@pytest.mark.parametrize(
    ("num_faces", "size", "resolution"),
    [
        pytest.param(1, 0.3, 1, id="one-voxel"),
        pytest.param(40, 0.02, 64, id="small-faces"),
        pytest.param(8, 0.2, 13, id="large-faces-odd-grid"),
        pytest.param(60, 0.05, 24, id="middling"),
    ],
)
def test_matches_reference(num_faces, size, resolution, rng):
    mesh = soup(num_faces, num_faces, size, rng)
    want = voxelize(**mesh, resolution=resolution, backend="reference")
    assert len(want) > 0
    assert torch.equal(voxelize(**mesh, resolution=resolution, backend="cpu"), want)


@pytest.mark.parametrize("resolution", [2, 3, 8])
def test_matches_reference_where_everything_touches(resolution, rng):
    """Corners on the grid's own lattice: each is shared by eight voxels, each edge and plane lies between layers."""
    lattice = torch.randint(0, resolution + 1, (20, 3), generator=rng) / resolution - 0.5
    mesh = {"vertices": lattice.double(), "faces": torch.randint(0, 20, (15, 3), generator=rng)}
    want = voxelize(**mesh, resolution=resolution, backend="reference")
    assert torch.equal(voxelize(**mesh, resolution=resolution, backend="cpu"), want)


def test_slabs_are_seamless(rng, monkeypatch):
    """A grid too large for one pass is done in layers; the seams must not show."""
    mesh = soup(40, 40, 0.2, rng)
    want = voxelize(**mesh, resolution=20, backend="cpu")
    monkeypatch.setattr(cpu, "SLAB_BYTES", 3 * 20 * 20)
    assert torch.equal(voxelize(**mesh, resolution=20, backend="cpu"), want)


BACKENDS = ["cpu", "reference"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_square_inside_a_layer_marks_that_layer(backend):
    corners = torch.tensor([[-0.5, -0.5, 0.1], [0.5, -0.5, 0.1], [0.5, 0.5, 0.1], [-0.5, 0.5, 0.1]])
    got = voxelize(corners, torch.tensor(UNIT_SQUARE), resolution=4, backend=backend)
    assert got.tolist() == [[x, y, 2] for x in range(4) for y in range(4)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_square_between_layers_marks_both(backend):
    corners = torch.tensor([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
    got = voxelize(corners, torch.tensor(UNIT_SQUARE), resolution=4, backend=backend)
    assert got.tolist() == [[x, y, z] for x in range(4) for y in range(4) for z in (1, 2)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_point_counts_as_a_point(backend):
    """All three corners in one place: one voxel, or the eight that share a corner of the grid."""
    face = torch.tensor([[0, 0, 0]])
    assert voxelize(torch.tensor([[0.1, 0.1, 0.1]]), face, resolution=4, backend=backend).tolist() == [[2, 2, 2]]
    assert len(voxelize(torch.zeros(1, 3), face, resolution=4, backend=backend)) == 8
    assert voxelize(torch.full((1, 3), 0.5), face, resolution=4, backend=backend).tolist() == [[3, 3, 3]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diagonal_segment_touches_seven_voxels_a_crossing(backend):
    """The cube's diagonal passes through n voxels and n - 1 lattice points, each of which six more voxels share."""
    ends = torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5]])
    got = voxelize(ends, torch.tensor([[0, 1, 1]]), resolution=4, backend=backend)
    assert len(got) == 4 + 3 * 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slanted_triangle_leaves_most_of_its_box_alone(backend):
    """In voxels: corners (3.75, 0.25, 0.25) and so on, in the plane x + y + z = 4.25, whose box meets all 64 voxels.

    The voxel (i, j, k) spans sums from i + j + k to i + j + k + 3, so the plane meets those of sum 2, 3 and 4: of
    these there are 6, 10 and 12. Each of them meets the triangle too, (3, 1, 0) and its like in one point.
    """
    corners = (torch.full((3, 3), 0.25) + 3.5 * torch.eye(3)) / 4 - 0.5
    got = voxelize(corners, torch.tensor([[0, 1, 2]]), resolution=4, backend=backend)
    assert len(got) == 6 + 10 + 12
    assert set(got.sum(dim=1).tolist()) == {2, 3, 4}


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_gives_nothing(backend):
    none = torch.zeros(0, 3, dtype=torch.int64)
    assert voxelize(torch.zeros(0, 3), none, resolution=8, backend=backend).shape == (0, 3)
    assert voxelize(torch.zeros(4, 3), none, resolution=8, backend=backend).dtype == torch.int32


def rows_of(coords: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in coords.tolist()}


# Multiples of 2^-16 keep every sum below exact, so that a mirrored mesh is the mirrored mesh.
exact = st.integers(-(1 << 15), 1 << 15).map(lambda i: i / (1 << 16))
points = st.tuples(exact, exact, exact)
triangles = st.tuples(points, points, points)
WEIGHTS = torch.tensor([[i, j, 7 - i - j] for i in range(8) for j in range(8 - i)], dtype=torch.float64) / 7


@settings(max_examples=30, deadline=None)
@given(triangle=triangles, resolution=st.integers(1, 33))
def test_one_triangle_obeys_the_contract(triangle, resolution):
    corners, face = torch.tensor(triangle, dtype=torch.float64), torch.tensor([[0, 1, 2]])
    got = voxelize(corners, face, resolution=resolution)
    rows = got.tolist()
    assert rows == [list(row) for row in sorted({tuple(row) for row in rows})]
    assert 0 <= int(got.min()) <= int(got.max()) < resolution

    # Any point of the triangle lies in a voxel that was found.
    inside = ((WEIGHTS @ corners + 0.5) * resolution).floor().clamp(0, resolution - 1).int()
    assert rows_of(inside) <= rows_of(got)

    # The order of corners does not matter, and axes may be swapped or mirrored.
    for order in ([1, 2, 0], [1, 0, 2]):
        assert torch.equal(voxelize(corners, torch.tensor([order]), resolution=resolution), got)
    swapped = voxelize(corners[:, [2, 0, 1]], face, resolution=resolution)
    assert rows_of(swapped) == rows_of(got[:, [2, 0, 1]])
    mirrored = voxelize(-corners, face, resolution=resolution)
    assert rows_of(mirrored) == rows_of(resolution - 1 - got)


@settings(max_examples=20, deadline=None)
@given(mesh=st.lists(triangles, min_size=2, max_size=6), resolution=st.integers(1, 24))
def test_a_mesh_is_the_union_of_its_faces(mesh, resolution):
    corners = torch.tensor(mesh, dtype=torch.float64).reshape(-1, 3)
    faces = torch.arange(len(corners)).reshape(-1, 3)
    whole = rows_of(voxelize(corners, faces, resolution=resolution))
    parts = [rows_of(voxelize(corners, f[None], resolution=resolution)) for f in faces]
    assert whole == set().union(*parts)


@settings(max_examples=20, deadline=None)
@given(triangle=triangles, resolution=st.integers(1, 16))
def test_a_coarser_grid_holds_the_finer_ones_voxels(triangle, resolution):
    corners, face = torch.tensor(triangle, dtype=torch.float64), torch.tensor([[0, 1, 2]])
    fine = voxelize(corners, face, resolution=2 * resolution)
    coarse = voxelize(corners, face, resolution=resolution)
    assert rows_of(fine // 2) == rows_of(coarse)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"vertices": torch.tensor([[0.0, 0.0, 0.51]] * 3)}, "must be finite and lie in", id="outside"),
        pytest.param({"vertices": torch.tensor([[0.0, float("nan"), 0.0]] * 3)}, "must be finite", id="nan"),
        pytest.param({"faces": torch.tensor([[0, 1, 3]])}, r"index 3 vertices, got indices in \[0, 3\]", id="index"),
        pytest.param({"faces": torch.tensor([[0, -1, 2]])}, r"got indices in \[-1, 2\]", id="negative-index"),
        pytest.param({"resolution": 0}, "resolution must be at least 1", id="no-grid"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"vertices": torch.zeros(3, 3), "faces": torch.tensor([[0, 1, 2]]), "resolution": 8}
    with pytest.raises(ValueError, match=message):
        voxelize(**good | change)


@pytest.mark.skipif(find_spec("open3d") is not None, reason="open3d is installed here")
def test_open3d_says_why_not():
    with pytest.raises(BackendUnavailable, match=r"cannot run on 'open3d': open3d is not installed \(pip install"):
        voxelize(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]), resolution=8, backend="open3d")


def test_an_open3d_that_cannot_be_loaded_is_a_refusal(monkeypatch):
    from trellis_ops.voxelize import open3d

    def broken(name: str) -> None:
        raise ImportError("libusb-1.0.so.0: cannot open shared object file")

    monkeypatch.setattr(open3d, "find_spec", lambda name: name)
    monkeypatch.setattr(open3d.importlib, "import_module", broken)
    assert open3d.refusal(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]), resolution=8) == (
        "open3d cannot be loaded (libusb-1.0.so.0: cannot open shared object file)"
    )


@pytest.mark.skipif(find_spec("open3d") is None, reason="open3d is not installed here")
def test_open3d_agrees_where_nothing_merely_touches(rng):
    mesh = soup(30, 30, 0.1, rng)
    mesh["faces"] = mesh["faces"][mesh["faces"][:, 1] != mesh["faces"][:, 2]]  # it may miss what has no area
    want = voxelize(**mesh, resolution=16, backend="cpu")
    assert torch.equal(voxelize(**mesh, resolution=16, backend="open3d"), want)
