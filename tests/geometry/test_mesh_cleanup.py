"""Clean-up on shapes whose pieces, holes and colours are known."""

import numpy as np
import pytest
import torch

from trellis_cli.geometry.mesh_cleanup import (
    clean_mesh,
    components,
    drop_cavities,
    drop_hidden,
    drop_specks,
    keep_faces,
    simplify,
    weld,
)
from trellis_cli.geometry.mesh_holes import boundary_loops, fill_holes, triangulate
from trellis_cli.representations.mesh import Mesh


def ball(
    radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0), *, rings: int = 16, inside_out: bool = False
) -> Mesh:
    """A closed ball of 4 rings (rings - 1) faces; its colours are its positions + 0.5, its normals point outward."""
    theta = torch.linspace(0, torch.pi, rings + 1, dtype=torch.float64)[1:-1, None]
    phi = torch.arange(2 * rings, dtype=torch.float64) * torch.pi / rings
    ring = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos().expand(-1, len(phi))], -1)
    poles = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64)
    normals = torch.cat([ring.reshape(-1, 3), poles]).float()
    n, top, bottom = 2 * rings, len(normals) - 2, len(normals) - 1
    faces = []
    for j in range(n):
        k = (j + 1) % n
        faces += [(top, j, k), (bottom, (rings - 2) * n + k, (rings - 2) * n + j)]
        for i in range(rings - 2):
            a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + k, i * n + k
            faces += [(a, b, c), (a, c, d)]
    vertices = normals * radius + torch.tensor(centre)
    faces = torch.tensor(faces)
    return Mesh(vertices, faces.flip(1) if inside_out else faces, vertices + 0.5, normals)


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(
        torch.cat([m.vertices for m in meshes]),
        torch.cat([m.faces + int(s) for m, s in zip(meshes, starts, strict=False)]),
        torch.cat([m.colours for m in meshes]),
        torch.cat([m.normals for m in meshes]),
    )


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def num_pieces(mesh: Mesh) -> int:
    return int(components(mesh).max()) + 1


def without_cap(mesh: Mesh, height: float) -> Mesh:
    """The faces with no corner above `height`."""
    return keep_faces(mesh, (mesh.vertices[mesh.faces][..., 2] <= height).all(1).numpy())


def test_specks_go_and_small_parts_stay():
    """A speck of 1/40 the radius goes; a piece is kept for its area, or for its length."""
    rod = ball(0.05, (0.0, 0.45, 0.0))
    rod = Mesh(rod.vertices * torch.tensor([0.02, 1.0, 1.0]), rod.faces, rod.colours, rod.normals)
    mesh = together(ball(0.01, (0.4, 0.0, 0.0)), ball(0.4), ball(0.08, (0.0, 0.0, 0.47)), rod)
    kept = drop_specks(mesh, min_area_share=0.005, min_size_share=0.07)
    assert num_pieces(mesh) == 4 and num_pieces(kept) == 3
    assert kept.vertices[:, 0].max() < 0.401
    assert torch.equal(kept.colours[: 2 * 16 * 15], ball(0.4).colours[: 2 * 16 * 15])
    assert len(drop_specks(ball(0.01)).faces) == len(ball(0.01).faces)  # the largest piece stays, however small


def test_cavity_walls_go_and_an_inside_out_mesh_stays():
    solid, hollow = ball(0.4), ball(0.3, inside_out=True)
    kept = drop_cavities(together(hollow, solid))
    assert torch.equal(kept.vertices, solid.vertices) and volume(kept) == pytest.approx(volume(solid))
    assert len(drop_cavities(hollow).faces) == len(hollow.faces)
    open_wall = without_cap(hollow, 0.1)  # no cavity: it can be looked into
    assert len(drop_cavities(together(solid, open_wall)).faces) == len(solid.faces) + len(open_wall.faces)


def test_hidden_faces_go_and_what_shows_through_an_opening_stays():
    shell, inner = ball(0.4), ball(0.1)
    assert len(drop_hidden(together(shell, inner), num_views=12, size=128).faces) == len(shell.faces)
    bowl = without_cap(shell, 0.1)
    assert len(drop_hidden(together(bowl, inner), num_views=12, size=128).faces) > len(bowl.faces)


def test_weld_joins_faces_given_apart():
    """A triangle soup of a ball becomes the ball, once repeated faces and ones without area are gone."""
    solid = ball(0.4)
    corners = solid.faces.flatten()
    soup = Mesh(solid.vertices[corners], torch.arange(len(corners)).view(-1, 3), solid.colours[corners])
    again = torch.cat([soup.faces, soup.faces[:5].roll(1, 1), torch.tensor([[0, 0, 1]])])
    welded = weld(Mesh(soup.vertices, again, soup.colours))
    assert (len(welded.vertices), len(welded.faces)) == (len(solid.vertices), len(solid.faces))
    assert not boundary_loops(welded.faces.numpy()) and volume(welded) == pytest.approx(volume(solid))
    assert torch.equal(welded.colours, welded.vertices + 0.5)


def test_small_holes_are_closed_and_large_ones_are_not():
    pierced = keep_faces(ball(0.4), np.arange(len(ball(0.4).faces)) % 300 != 7)
    assert len(boundary_loops(pierced.faces.numpy())) == 4
    assert fill_holes(pierced, max_perimeter=0.1) is pierced
    closed = fill_holes(pierced, max_perimeter=0.3)
    assert not boundary_loops(closed.faces.numpy()) and volume(closed) == pytest.approx(volume(ball(0.4)))
    bowl = without_cap(ball(0.4), 0.1)
    assert fill_holes(bowl) is bowl


def test_a_hole_in_the_wall_of_the_cube_is_closed_at_any_size():
    cut = without_cap(ball(0.4, (0.0, 0.0, 0.35)), 0.5)
    ((loop,)) = boundary_loops(cut.faces.numpy())
    wall = float(0.5 - cut.vertices[torch.from_numpy(loop), 2].min()) + 1e-3
    assert fill_holes(cut, wall=wall / 2) is cut
    closed = fill_holes(cut, wall=wall)
    assert not boundary_loops(closed.faces.numpy()) and volume(closed) > 0


def test_a_bent_polygon_is_triangulated_without_overlap():
    """An L: six corners, four triangles, and their areas add up only if none lies outside."""
    corner = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], dtype=np.float64)
    triangles = triangulate(corner)
    a, b, c = (corner[triangles[:, i]] for i in range(3))
    areas = np.cross(b - a, c - a)[:, 2] / 2
    assert len(triangles) == 4 and (areas > 0).all() and areas.sum() == pytest.approx(3)


def test_two_holes_that_touch_in_a_vertex_are_two_loops():
    solid = ball(0.4)
    first = solid.faces[100].tolist()
    others = [i for i, f in enumerate(solid.faces.tolist()) if len(set(f) & set(first)) == 1 and i > 100]
    keep = np.ones(len(solid.faces), dtype=bool)
    keep[[100, others[0]]] = False
    pierced = keep_faces(solid, keep)
    assert sorted(len(loop) for loop in boundary_loops(pierced.faces.numpy())) == [3, 3]
    assert not boundary_loops(fill_holes(pierced, max_perimeter=0.3).faces.numpy())


def test_simplify_keeps_shape_and_colours():
    dense = ball(0.4, rings=64)
    simple = simplify(dense, 1500)
    assert 1000 < len(simple.faces) <= 1500
    assert volume(simple) == pytest.approx(volume(dense), rel=0.01)
    assert (simple.colours - (simple.vertices + 0.5)).abs().max() < 0.02
    assert (simple.normals.norm(dim=1) - 1).abs().max() < 1e-5
    assert torch.cosine_similarity(simple.normals, simple.vertices, dim=1).min() > 0.99
    assert torch.equal(simple.faces, simplify(dense, 1500).faces)
    with pytest.raises(ValueError, match="at least 4 faces, got max_faces = 3"):
        simplify(dense, 3)


def test_clean_mesh_does_it_all_and_keeps_an_empty_mesh_empty():
    mesh = together(ball(0.4, rings=40), ball(0.3, inside_out=True), ball(0.01, (0.45, 0.0, 0.0)))
    mesh = keep_faces(mesh, np.arange(len(mesh.faces)) != 17)
    clean = clean_mesh(mesh, max_faces=1000, hidden_views=6)
    assert num_pieces(clean) == 1 and len(clean.faces) <= 1000 and not boundary_loops(clean.faces.numpy())
    assert volume(clean) == pytest.approx(volume(ball(0.4)), rel=0.02)
    empty = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 3))
    assert clean_mesh(empty).faces.shape == (0, 3)
