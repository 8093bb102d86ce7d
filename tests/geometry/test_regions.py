"""Regions as grids: which voxels belong, against plain loops over their centres."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trellis_cli.geometry.regions import (
    Box,
    Region,
    Sphere,
    Triple,
    VoxelSet,
    dilated,
    enclosed,
    occupancy,
    solid_voxels,
    touched_cells,
)

N = 8
side = st.floats(-0.7, 0.7)
corner = st.tuples(side, side, side)
coords = st.lists(st.tuples(*[st.integers(0, N - 1)] * 3), min_size=1, max_size=9, unique=True).map(torch.tensor)


def centre(index: int, resolution: int = N) -> float:
    return (index + 0.5) / resolution - 0.5


def members(grid: Tensor) -> set[tuple[int, ...]]:
    return {tuple(v) for v in torch.argwhere(grid).tolist()}


def all_voxels(resolution: int = N) -> list[tuple[int, int, int]]:
    return [(x, y, z) for x in range(resolution) for y in range(resolution) for z in range(resolution)]


@given(corner, corner)
@settings(deadline=None, max_examples=40)
def test_a_box_holds_the_voxels_with_their_centres_in_it(a: Triple, b: Triple) -> None:
    grid = Box(a, b).grid(N)
    want = {v for v in all_voxels() if all(a[k] <= centre(v[k]) < b[k] for k in range(3))}
    assert members(grid) == want


def test_a_centre_on_the_lower_face_belongs_and_one_on_the_upper_does_not() -> None:
    low, high = centre(2), centre(4)
    assert members(Box((low,) * 3, (high,) * 3).grid(N)) == {v for v in all_voxels() if set(v) <= {2, 3}}
    by_index = Box((2.0,) * 3, (4.0,) * 3, "voxels").grid(N)
    assert members(by_index) == {v for v in all_voxels() if set(v) <= {2, 3}}


@given(corner, st.floats(0.01, 0.9))
@settings(deadline=None, max_examples=40)
def test_a_ball_holds_the_voxels_with_their_centres_in_it(c: Triple, radius: float) -> None:
    grid = Sphere(c, radius).grid(N)
    near = {v for v in all_voxels() if sum((centre(v[k]) - c[k]) ** 2 for k in range(3)) <= radius**2}
    assert members(grid) == near
    scaled = Sphere(((c[0] + 0.5) * N, (c[1] + 0.5) * N, (c[2] + 0.5) * N), radius * N, "voxels").grid(N)
    assert len(members(scaled) ^ near) <= 1  # one on the very edge may round to either side


@given(coords)
@settings(deadline=None, max_examples=20)
def test_voxels_of_another_grid(own: Tensor) -> None:
    there = {tuple(v) for v in own.tolist()}
    shape = VoxelSet(own.int(), N)
    assert members(shape.grid(N)) == there
    assert members(shape.grid(N // 2)) == {tuple(i // 2 for i in v) for v in there}
    assert members(shape.grid(2 * N)) == {v for v in all_voxels(2 * N) if tuple(i // 2 for i in v) in there}


@given(coords, coords, st.integers(0, 2))
@settings(deadline=None, max_examples=20)
def test_a_region_is_the_union_grown_on_all_sides(a: Tensor, b: Tensor, grow: int) -> None:
    region = Region((VoxelSet(a.int(), N), VoxelSet(b.int(), N)), grow)
    both = a.tolist() + b.tolist()
    want = {v for v in all_voxels() if any(max(abs(v[k] - o[k]) for k in range(3)) <= grow for o in both)}
    assert members(region.grid(N)) == want


@given(coords)
@settings(deadline=None, max_examples=20)
def test_a_coarse_cell_is_touched_where_one_voxel_of_it_belongs(own: Tensor) -> None:
    cells = touched_cells(occupancy(own, N), 2)
    assert members(cells) == {tuple(i // 4 for i in v) for v in own.tolist()}
    with pytest.raises(ValueError, match="do not divide"):
        touched_cells(occupancy(own, N), 3)


def test_the_inside_of_a_shell_with_an_open_bottom() -> None:
    shell = torch.zeros(N, N, N, dtype=torch.bool)
    shell[1:7, 1:7, 0:7] = True
    shell[2:6, 2:6, 0:6] = False  # hollow, open below
    assert members(enclosed(shell)) == {
        v for v in all_voxels() if v[0] in range(2, 6) and v[1] in range(2, 6) and v[2] < 6
    }
    plate = torch.zeros(N, N, N, dtype=torch.bool)
    plate[:, :, 4] = True
    assert not enclosed(plate).any()


def box_mesh(low: float, high: float) -> tuple[Tensor, Tensor]:
    corners = torch.tensor([[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, torch.tensor([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))])


def test_a_closed_mesh_holds_what_it_touches_and_encloses() -> None:
    grid = solid_voxels(*box_mesh(-0.2, 0.2), N).grid(N)  # 0.3 to 0.7 of 8 voxels: 2.4 to 5.6
    assert members(grid) == {v for v in all_voxels() if all(2 <= i <= 5 for i in v)}


def test_a_mesh_that_reaches_out_of_the_cube_is_not_squeezed_into_it() -> None:
    assert solid_voxels(*box_mesh(-2.0, 2.0), N).grid(N).all()
    corners, faces = box_mesh(-1.0, 0.1)
    assert members(solid_voxels(corners, faces, N).grid(N)) == {v for v in all_voxels() if all(i <= 4 for i in v)}
    with pytest.raises(ValueError, match="reaches"):
        solid_voxels(*box_mesh(-100.0, 100.0), N)


def test_an_open_mesh_holds_what_it_touches() -> None:
    square = torch.tensor([[-0.4, -0.4, 0.06], [0.4, -0.4, 0.06], [0.4, 0.4, 0.06], [-0.4, 0.4, 0.06]])
    grid = solid_voxels(square, torch.tensor([[0, 1, 2], [0, 2, 3]]), N).grid(N)
    assert np.unique(torch.argwhere(grid)[:, 2].numpy()).tolist() == [4]
    assert int(grid.sum()) == 8 * 8 - 0 * N


def test_growing_by_nothing_changes_nothing() -> None:
    grid = occupancy(torch.tensor([[1, 2, 3]]), N)
    assert torch.equal(dilated(grid, 0), grid)
