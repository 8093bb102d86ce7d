"""What an edit is measured by: seams with jumps that are known, loose parts, kept pixels and kept surfaces."""

import math

import pytest
import torch
from torch import Tensor

from trellis_cli.geometry.cameras import orbit
from trellis_cli.geometry.regions import Box, occupancy
from trellis_cli.metrics import seam
from trellis_cli.metrics.geometry import surface_points
from trellis_cli.metrics.kept import changed_share, kept_chamfer, kept_pixels
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.representations.spherical_harmonics import from_colours

N = 16
RIGHT = Box((0.0, -1.0, -1.0), (1.0, 1.0, 1.0)).grid(N)  # the half with x > 0


def sheet(angle_deg: float, right: tuple[float, float, float]) -> Mesh:
    """Two squares that meet at x = 0, the right one turned up by an angle; the left one is black."""
    c, s = 0.4 * math.cos(math.radians(angle_deg)), 0.4 * math.sin(math.radians(angle_deg))
    vertices = torch.tensor([
        [-0.4, -0.4, 0.0], [0.0, -0.4, 0.0], [0.0, 0.4, 0.0], [-0.4, 0.4, 0.0],
        [0.0, -0.4, 0.0], [c, -0.4, s], [c, 0.4, s], [0.0, 0.4, 0.0],
    ])  # fmt: skip
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    colours = torch.tensor([[0.0, 0.0, 0.0]] * 4 + [list(right)] * 4)
    return Mesh(vertices, faces, colours)


@pytest.mark.parametrize("angle", [0.0, 30.0, 75.0])
def test_a_jump_is_the_angle_and_the_colours_distance(angle: float) -> None:
    found = seam.jump(sheet(angle, (0.0, 0.6, 0.8)), RIGHT)
    assert found is not None and found.pairs > seam.FEWEST
    assert found.normal == pytest.approx(angle, abs=0.1)
    assert found.colour == pytest.approx(1.0, abs=1e-5)


def test_a_face_that_looks_the_other_way_is_no_jump() -> None:
    mesh = sheet(0.0, (0.0, 0.0, 0.0))
    turned = Mesh(mesh.vertices, torch.cat([mesh.faces[:2], mesh.faces[2:].flip(1)]), mesh.colours)
    found = seam.jump(turned, RIGHT)
    assert found is not None and found.normal < 0.1


def test_no_surface_across_the_border_is_no_seam() -> None:
    mesh = sheet(0.0, (0.0, 0.0, 0.0))
    assert seam.jump(Mesh(mesh.vertices, mesh.faces[:2], mesh.colours), RIGHT) is None
    apart = mesh.vertices + torch.tensor([0.2, 0.0, 0.0]) * (torch.arange(8) >= 4)[:, None]
    assert seam.jump(Mesh(apart, mesh.faces, mesh.colours), RIGHT) is None


def bar(*spans: tuple[int, int]) -> Tensor:
    """Voxels along x at y = z = 5, from a to b - 1."""
    return occupancy(torch.tensor([[x, 5, 5] for a, b in spans for x in range(a, b)]), N)


def test_gaps_and_loose_parts() -> None:
    before = bar((2, 14))
    assert seam.gap(before, before, RIGHT) == 0.0
    assert seam.gap(before, bar((2, 8), (9, 14)), RIGHT) == 1.0
    assert seam.gap(bar((2, 8)), before, RIGHT) is None  # nothing crossed the border before
    kept = before & ~RIGHT
    assert seam.loose(before, kept) == 0.0
    assert seam.loose(bar((2, 8), (10, 14)), kept) == 1.0
    assert seam.loose(bar((2, 10), (12, 14)), kept) == 0.5
    assert seam.loose(kept, kept) is None


def test_a_cut_lays_the_inside_open_and_a_lid_closes_it() -> None:
    shell = torch.zeros(N, N, N, dtype=torch.bool)
    shell[2:14, 2:14, 2:14] = True
    shell[3:13, 3:13, 3:13] = False
    cut = shell & ~RIGHT
    lid = cut.clone()
    lid[8, 3:13, 3:13] = True
    assert seam.laid_open(shell, cut, RIGHT) == 1.0
    assert seam.laid_open(shell, lid, RIGHT) == 0.0
    lid[8, 3:8, 3:13] = False
    assert seam.laid_open(shell, lid, RIGHT) == 0.5
    assert seam.laid_open(cut, cut & False, RIGHT) == 1.0
    assert seam.laid_open(bar((2, 14)), bar((2, 8)), RIGHT) is None  # there is no inside


def test_points_are_even_over_a_surface(rng: torch.Generator) -> None:
    """Of two triangles, one three times as large, three in four lie on it; weights give back the points."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [8, 0, 0], [5, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    points, face, weights = surface_points(vertices, faces, 40_000, rng)
    assert (face == 1).float().mean().item() == pytest.approx(0.75, abs=0.01)
    again = torch.einsum("nk,nkd->nd", weights, vertices[faces[face]])
    torch.testing.assert_close(points, again)
    assert points[face == 0].mean(0)[:2].tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.01)
    with pytest.raises(ValueError, match="no area"):
        surface_points(vertices[:1].repeat(3, 1), faces[:1], 4, rng)


def test_the_kept_surface_is_compared_outside_the_region_alone() -> None:
    flat, bent = sheet(0.0, (0.0, 0.0, 0.0)), sheet(60.0, (0.0, 0.0, 0.0))
    same = kept_chamfer(flat, bent, RIGHT)
    assert same is not None and same < 0.01  # the left halves are one; half of the points' spacing is left
    left = kept_chamfer(flat, bent, ~RIGHT)
    assert left is not None and left > 0.1
    assert kept_chamfer(flat, bent, torch.ones_like(RIGHT)) is None


def balls(*centres: tuple[float, float, float]) -> Gaussians:
    means = torch.tensor(centres)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    sh = from_colours(torch.full_like(means, 0.7))[:, None]
    return Gaussians(means, quats, torch.full_like(means, 0.05), torch.full((len(means),), 0.99), sh)


def test_pixels_that_see_only_kept_voxels() -> None:
    """From the front (yaw 180, looking along +y) the ball at the left is kept, the one at the right is not."""
    before = balls((-0.25, 0.0, 0.0), (0.25, 0.0, 0.0))
    after = balls((-0.25, 0.0, 0.0), (-0.25, -0.3, 0.0))  # the new one hides the kept one
    camera = orbit([math.pi], [0.0])
    changed = torch.tensor([False, True])
    share, alpha = changed_share(before, changed, camera, size=64)
    assert share[0, 32, 16:24].max() < 0.01 < 0.9 < alpha[0, 32, 16:24].max()
    mask = kept_pixels(before, before, changed, changed, camera, size=64)[0]
    assert mask[32, 18:24].any() and not mask[:, 40:].any()
    hidden = kept_pixels(before, after, changed, changed, camera, size=64)
    assert not hidden.any()
