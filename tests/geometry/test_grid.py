"""The grid's arithmetic, and the way into the cube."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trellis_cli.geometry.grid import (
    coarser,
    lexicographic_order,
    source_to_cube,
    transform_points,
    voxel_centres,
    voxel_index,
)
from trellis_ops.voxelize import voxelize


def test_centres_are_where_the_convention_says():
    got = voxel_centres(torch.tensor([[0, 1, 3]]), 4)
    assert torch.equal(got, torch.tensor([[-0.375, -0.125, 0.375]]))


@pytest.mark.parametrize("resolution", [1, 7, 64, 256, 1024])
def test_a_centre_lies_in_its_own_voxel(resolution, rng):
    coords = torch.randint(0, resolution, (100, 3), generator=rng, dtype=torch.int32)
    assert torch.equal(voxel_index(voxel_centres(coords, resolution), resolution), coords)


def test_the_cubes_faces_belong_to_the_outer_voxels():
    xyz = torch.tensor([[-0.5, 0.0, 0.5]])
    assert voxel_index(xyz, 4).tolist() == [[0, 2, 3]]


@given(rows=st.lists(st.tuples(*[st.integers(-3, 3)] * 4), max_size=40))
def test_order_is_pythons_order(rows):
    """Sorted with the sample first, as tuples sort; stable, so equal rows keep their order."""
    table = torch.tensor(rows, dtype=torch.int32).reshape(-1, 4)
    want = sorted(range(len(rows)), key=lambda i: rows[i])
    assert lexicographic_order(table[:, 1:], table[:, 0]).tolist() == want
    want = sorted(range(len(rows)), key=lambda i: rows[i][1:])
    assert lexicographic_order(table[:, 1:]).tolist() == want


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(vertices=hnp.arrays(np.float64, st.tuples(st.integers(2, 8), st.just(3)), elements=finite))
def test_an_asset_fills_the_cube_along_its_longest_side(vertices):
    extents = np.ptp(vertices, axis=0)
    if extents.max() < 1e-3 * max(1.0, np.abs(vertices).max()):
        return  # a speck far from the origin: what is left of it after cancellation is rounding
    inside = transform_points(source_to_cube(vertices), vertices)
    assert np.abs(inside).max() <= 0.5 + 1e-9
    low, high = inside.min(axis=0), inside.max(axis=0)
    np.testing.assert_allclose(low, -high, atol=1e-9)
    np.testing.assert_allclose(np.max(high - low), 1.0, atol=1e-9)
    np.testing.assert_allclose(high - low, extents / extents.max(), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_very_small_and_very_large_assets_fit(scale):
    corners = np.array([[-1.0, 0.0, 0.0], [1.0, 0.5, 0.0]]) * scale
    inside = transform_points(source_to_cube(corners), corners)
    np.testing.assert_allclose(inside, [[-0.5, -0.125, 0.0], [0.5, 0.125, 0.0]], atol=1e-12)


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        pytest.param(np.zeros((0, 3)), "without vertices", id="empty"),
        pytest.param(np.array([[0.0, 0.0, np.nan], [1.0, 1.0, 1.0]]), "1 of 2 vertices are not finite", id="nan"),
        pytest.param(np.ones((5, 3)), "all vertices lie in one point", id="point"),
        pytest.param(np.array([[0.0, 0.0, 0.0], [5e-324, 0.0, 0.0]]), "all vertices lie in one point", id="subnormal"),
    ],
)
def test_an_asset_without_size_is_refused(vertices, message):
    with pytest.raises(ValueError, match=message):
        source_to_cube(vertices)


def test_coarser_pools_eight_voxels_into_one():
    coords = torch.tensor([[0, 0, 0], [1, 1, 1], [2, 0, 0], [3, 5, 7]], dtype=torch.int32)
    feats = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
    pooled, mean = coarser(coords, feats, 2)
    assert pooled.tolist() == [[0, 0, 0], [1, 0, 0], [1, 2, 3]] and pooled.dtype == torch.int32
    assert mean.tolist() == [[2.0], [5.0], [7.0]]


def test_coarser_voxels_are_those_that_the_coarse_grid_finds(rng):
    triangles = torch.rand(40, 3, generator=rng) - 0.5
    faces = torch.arange(39).reshape(-1, 3)
    fine, coarse = (voxelize(triangles, faces, resolution=r) for r in (64, 32))
    assert torch.equal(coarser(fine, torch.zeros(len(fine), 1), 2)[0].int(), coarse.int())
