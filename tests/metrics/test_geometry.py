"""Chamfer distance and F-score against brute force and counts by hand; points from depth against `project`."""

import pytest
import torch

from trellis_cli.geometry.cameras import hammersley_cameras, project
from trellis_cli.metrics.geometry import chamfer_distance, choose_points, f_score, points_from_depth


def test_chamfer_against_brute_force(rng):
    x, y = torch.rand(60, 3, generator=rng).double(), torch.rand(45, 3, generator=rng).double()
    between = torch.cdist(x, y)
    want = between.min(1).values.mean() + between.min(0).values.mean()
    assert chamfer_distance(x.float(), y.float()) == pytest.approx(float(want), rel=1e-6)
    assert chamfer_distance(x, x) == 0


def test_chamfer_is_a_sum_of_distances_not_of_squares():
    assert chamfer_distance(torch.zeros(1, 3), torch.tensor([[0.0, 3.0, 4.0]])) == 10


def test_f_score_counted_by_hand():
    truth = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    reconstructed = torch.tensor([[0.04, 0, 0], [1.04, 0, 0], [1.02, 0, 0], [9, 0, 0]])
    # one reconstructed point is far from the truth (FP), two true ones from the reconstruction (FN): TP = 4 - 1
    precision, recall = 3 / (3 + 1), 3 / (3 + 2)
    assert f_score(reconstructed, truth) == pytest.approx(2 * precision * recall / (precision + recall))
    assert f_score(truth, truth) == 1
    assert f_score(truth + 10, truth) == 0
    assert f_score(reconstructed, truth, radius=0.03) == 0.25  # only 1.02 is near: FP = FN = 3, TP = 1


def test_points_from_depth_land_on_their_pixels():
    cameras = hammersley_cameras(5)
    rng = torch.Generator().manual_seed(0)
    depth = 1.5 + torch.rand(5, 6, 9, generator=rng, dtype=torch.float64)
    depth[:, 2:4] = 0  # nothing there
    intrinsics = cameras.intrinsics.clone()
    intrinsics[:, 0, 0] *= 0.7  # not square
    for i in range(5):
        points = points_from_depth(depth[i : i + 1], cameras.extrinsics[i : i + 1], intrinsics[i : i + 1])
        assert len(points) == 4 * 9
        uv, z = project(points, cameras.extrinsics[i : i + 1].double(), intrinsics[i : i + 1].double())
        rows, cols = torch.nonzero(depth[i], as_tuple=True)
        want = torch.stack([(cols + 0.5) / 9, (rows + 0.5) / 6], dim=1).double()
        torch.testing.assert_close(uv[0], want, atol=1e-5, rtol=0)
        torch.testing.assert_close(z[0], depth[i][depth[i] > 0], atol=1e-5, rtol=0)
    together = points_from_depth(depth, cameras.extrinsics, intrinsics)
    torch.testing.assert_close(together[-36:], points)


def test_chosen_points_are_distinct_as_long_as_they_can_be():
    points = torch.arange(30.0).reshape(10, 3)
    seeded = torch.Generator().manual_seed(1)
    assert len(choose_points(points, 10, seeded).unique(dim=0)) == 10
    assert torch.isin(choose_points(points, 25, seeded), points).all()
    again = [choose_points(points, 4, torch.Generator().manual_seed(2)) for _ in range(2)]
    assert torch.equal(*again)


def test_nothing_to_compare_is_an_error():
    none, one = torch.zeros(0, 3), torch.zeros(1, 3)
    for measure in (chamfer_distance, f_score):
        with pytest.raises(ValueError, match="got 0 and 1"):
            measure(none, one)
    with pytest.raises(ValueError, match="no view shows a surface"):
        choose_points(none, 5, torch.Generator())
