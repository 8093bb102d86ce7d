"""PointNet++ for sets of points, as Point-E measures with: the classifier with one scale, twice as wide.

Source: Qi et al. 2017 (arXiv:1706.02413); Nichol et al. 2022 (Point-E, arXiv:2212.08751) for the weights, whose key
names are those of the widespread torch version, and for which layer is the feature.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

CLASSES = 40  # of ModelNet40


class SetAbstraction(nn.Module):
    """Points to fewer points with features: the largest of what a small network says of each neighbour.

    num: centres, the farthest from each other; None for a single one that all points belong to, at the origin.
    radius, neighbours: of a centre's surroundings; of more points within the radius the first in order count, of fewer
    the first of them fills up the rest.
    """

    def __init__(self, num: int | None, radius: float, neighbours: int, width: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.num, self.radius, self.neighbours = num, radius, neighbours
        widths = (width + 3, *channels)
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths[:-1], channels, strict=True))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)

    def forward(
        self, points: Float[Tensor, "b n 3"], feats: Float[Tensor, "b n c"] | None
    ) -> tuple[Float[Tensor, "b m 3"], Float[Tensor, "b m d"]]:
        if self.num is None:
            centres = points.new_zeros(len(points), 1, 3)
            near = torch.arange(points.shape[1], device=points.device).expand(len(points), 1, -1)
        else:
            centres = _taken(points, farthest(points, self.num)[:, :, None])[:, :, 0]
            near = within(points, centres, self.radius, self.neighbours)
        grouped = _taken(points, near) - centres[:, :, None]
        if feats is not None:
            grouped = torch.cat([grouped, _taken(feats, near)], -1)
        x = grouped.permute(0, 3, 1, 2)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return centres, x.amax(3).transpose(1, 2)


class PointNet2(nn.Module):
    """Clouds of points to features, 256 times `wide` each."""

    def __init__(self, wide: int = 2) -> None:
        super().__init__()
        w = wide
        self.sa1 = SetAbstraction(512, 0.2, 32, 0, (64 * w, 64 * w, 128 * w))
        self.sa2 = SetAbstraction(128, 0.4, 64, 128 * w, (128 * w, 128 * w, 256 * w))
        self.sa3 = SetAbstraction(None, 0.0, 0, 256 * w, (256 * w, 512 * w, 1024 * w))
        self.fc1, self.bn1 = nn.Linear(1024 * w, 512 * w), nn.BatchNorm1d(512 * w)
        self.fc2, self.bn2 = nn.Linear(512 * w, 256 * w), nn.BatchNorm1d(256 * w)
        self.fc3 = nn.Linear(256 * w, CLASSES)  # of the weights' file; no distance needs it

    def forward(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b d"]:
        """points: at least 512 a cloud, of any place and size; moved to their mean and scaled into the unit ball."""
        x = points - points.mean(1, keepdim=True)
        x = x / x.norm(dim=2).amax(1)[:, None, None]
        _, feats = self.sa3(*self.sa2(*self.sa1(x, None)))
        return self.bn2(self.fc2(F.relu(self.bn1(self.fc1(feats[:, 0])))))


def farthest(points: Float[Tensor, "b n 3"], num: int) -> Int[Tensor, "b num"]:
    """Indices of the farthest points of each cloud, from its first on.

    The published code begins with point i in the i-th cloud of a batch, so that a cloud's features depend on its place;
    here they do not.
    """
    nearest = points.new_full(points.shape[:2], torch.inf)
    chosen = torch.zeros(len(points), num, dtype=torch.long, device=points.device)
    for i in range(1, num):
        last = points.gather(1, chosen[:, i - 1, None, None].expand(-1, -1, 3))
        nearest = torch.minimum(nearest, (points - last).square().sum(2))
        chosen[:, i] = nearest.argmax(1)
    return chosen


def within(
    points: Float[Tensor, "b n 3"], centres: Float[Tensor, "b m 3"], radius: float, num: int
) -> Int[Tensor, "b m num"]:
    """Indices of the first `num` points within the radius of each centre; the first again where there are fewer."""
    n = points.shape[1]
    apart = (centres[:, :, None] - points[:, None]).square().sum(3)
    index = torch.arange(n, device=points.device).expand(apart.shape).masked_fill(apart > radius**2, n)
    first = index.topk(num, largest=False, sorted=True).values
    return torch.where(first == n, first[..., :1], first)


def _taken(values: Float[Tensor, "b n c"], index: Int[Tensor, "b m k"]) -> Float[Tensor, "b m k c"]:
    batch = torch.arange(len(values), device=values.device)[:, None, None]
    return values[batch, index]
