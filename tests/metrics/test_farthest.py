"""Farthest points, held to a plain loop over all distances."""

import pytest
import torch

from trellis_cli.metrics.farthest import farthest_points


def by_all_distances(points: torch.Tensor, num: int, start: int) -> list[int]:
    apart = torch.cdist(points.double(), points.double())
    chosen = [start]
    while len(chosen) < num:
        chosen.append(int(apart[chosen].min(0).values.argmax()))
    return chosen


@pytest.mark.parametrize(("num", "start"), [(1, 3), (20, 0), (60, 59)])
def test_farthest_points_are_those_of_a_plain_loop(num: int, start: int) -> None:
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(farthest_points(points, num, start=start), points[by_all_distances(points, num, start)])


def test_a_line_is_halved() -> None:
    line = torch.stack([torch.arange(9.0), torch.zeros(9), torch.zeros(9)], 1)
    assert farthest_points(line, 5)[:, 0].tolist() == [0, 8, 4, 2, 6]
    with pytest.raises(ValueError, match="cannot take 10 of 9"):
        farthest_points(line, 10)
