"""The published extraction: cube corners to grid vertices, and the mesh decoder's stored channels to its meshes."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from trellis_ops.isosurface import isosurface
from trellis_ops.isosurface.reference import _corner, _Grid

BACKENDS = ["cpu", "reference"]


@pytest.fixture
def corners(primitives):
    """Cubes with four channels a corner, sdf and deform, and the resolution of their grid."""
    resolution = round(len(primitives["c2v.dense4"]) ** (1 / 3)) - 1
    feats = primitives["c2v.feats"]
    n = len(feats)
    fields = feats[..., 0], feats[..., 1:], torch.zeros(n, 21), torch.zeros(n, 8, 0)
    return primitives["c2v.coords"], fields, resolution


@pytest.mark.parametrize("backend", BACKENDS)
def test_vertices_are_means_of_the_cubes_that_touch_them(backend, corners, primitives, assert_near):
    coords, fields, resolution = corners
    mesh = isosurface(coords, *fields, resolution=resolution, training=True, backend=backend)
    bias, want, vertices = 1 / resolution, primitives["c2v.out"], primitives["c2v.verts"]
    order = np.lexsort(vertices.flip(1).T.numpy())
    assert_near(mesh.grid_sdf, want[order, 0] - bias, what="sdf at vertices")
    shift = (1 - 1e-8) / (2 * resolution) * want[order, 1:].tanh()
    assert_near(mesh.grid_positions, vertices[order] / resolution - 0.5 + shift, what="moved vertices")
    assert_near(mesh.consistency, primitives["c2v.con_loss"], what="consistency")


def test_vertices_that_no_cube_touches_are_outside(corners, primitives, assert_near):
    """All of the dense grid: what the cubes say where they touch it, the defaults elsewhere."""
    coords, fields, resolution = corners
    grid = _Grid(coords, *(f.double() for f in fields), resolution)
    axis = range(resolution + 1)
    vertices = [(x, y, z) for x in axis for y in axis for z in axis]
    stored = primitives["c2v.dense4"].double()
    touched = torch.tensor([v in grid.touching for v in vertices])
    want_sdf = stored[:, 0] - touched.double() / resolution  # only given values are biased
    assert_near(torch.stack([grid.sdf(v) for v in vertices]), want_sdf, what="dense sdf")
    want = torch.tensor(vertices) / resolution - 0.5 + (1 - 1e-8) / (2 * resolution) * stored[:, 1:].tanh()
    assert_near(torch.stack([grid.position(v) for v in vertices]), want, what="dense positions")


def test_corners_are_numbered_as_published(primitives):
    vertices = [(x, y, z) for x, y, z in primitives["grid2.verts"].tolist()]
    for cube in primitives["grid2.cubes"].tolist():
        assert [_corner(vertices[cube[0]], j) for j in range(8)] == [vertices[i] for i in cube]


@pytest.mark.parametrize("backend", BACKENDS)
def test_meshes(backend, load_case):
    """Raw channels of the published decoder in, its stored meshes out: vertices, attributes and winding as sets."""
    case = load_case("slat_decoder_mesh")
    stored, resolution = case.outputs, 4 * case.args["resolution"]
    coords, raw = stored["coords"], stored["raw_feats"]
    for item in coords[:, 0].unique().tolist():
        own = coords[:, 0] == item
        sdf, deform, weights, attributes = raw[own].split([8, 24, 21, 48], dim=1)
        mesh = isosurface(
            coords[own, 1:], sdf, deform.unflatten(1, (8, 3)), weights, attributes.unflatten(1, (8, 6)),
            resolution=resolution, backend=backend,
        )  # fmt: skip
        distance, place = cKDTree(stored[f"{item}.vertices"].numpy()).query(mesh.vertices.numpy())
        assert sorted(place) == list(range(len(stored[f"{item}.vertices"])))
        assert distance.max() < 1e-5
        assert np.abs(stored[f"{item}.vertex_attrs"].numpy()[place] - mesh.attributes.numpy()).max() < 1e-5
        assert turned(place[mesh.faces.numpy()]) == turned(stored[f"{item}.faces"].numpy())


def turned(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Triangles as a set, each turned to start at its lowest vertex; the winding stays."""
    start = faces.argmin(1)
    return {tuple(np.roll(face, -s).tolist()) for face, s in zip(faces, start, strict=True)}
