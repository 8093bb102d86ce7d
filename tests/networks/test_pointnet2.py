"""PointNet++ for sets of points: held to a version written with plain loops, and to what its features must not see."""

import pytest
import torch
import torch.nn.functional as F

from tests.networks.hashed_weights import hash_weights
from trellis_cli.networks.pointnet2 import PointNet2, SetAbstraction, farthest, within


def cloud(b: int = 2, n: int = 600) -> torch.Tensor:
    return torch.randn(b, n, 3, generator=torch.Generator().manual_seed(1))


def by_loops(layer: SetAbstraction, points: torch.Tensor, feats: torch.Tensor) -> torch.Tensor:
    """One cloud: each centre's neighbours found one by one, the network on each alone."""
    assert layer.num is not None
    chosen = [0]
    while len(chosen) < layer.num:
        apart = ((points[:, None] - points[chosen]) ** 2).sum(2).min(1).values
        chosen.append(int(apart.argmax()))
    out = []
    for c in chosen:
        near = [i for i in range(len(points)) if float(((points[i] - points[c]) ** 2).sum()) <= layer.radius**2]
        near = (near + near[:1] * layer.neighbours)[: layer.neighbours]
        rows = []
        for i in near:
            x = torch.cat([points[i] - points[c], feats[i]])
            for conv, norm in zip(layer.mlp_convs, layer.mlp_bns, strict=True):
                x = norm((conv.weight[:, :, 0, 0] @ x + conv.bias)[None, :, None, None])[0, :, 0, 0].relu()
            rows.append(x)
        out.append(torch.stack(rows).amax(0))
    return torch.stack(out)


def test_a_layer_is_what_plain_loops_say() -> None:
    torch.manual_seed(0)
    layer = SetAbstraction(7, 0.9, 5, 4, (6, 8)).eval()
    for norm in layer.mlp_bns:
        norm.running_mean.uniform_(-0.1, 0.1), norm.running_var.uniform_(0.5, 2)
    points, feats = cloud(2, 40), torch.randn(2, 40, 4)
    with torch.no_grad():
        _, found = layer(points, feats)
        want = torch.stack([by_loops(layer, p, f) for p, f in zip(points, feats, strict=True)])
    torch.testing.assert_close(found, want)


def test_neighbours_are_the_first_within_the_radius_filled_up_with_the_first() -> None:
    line = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0], [0.5, 0, 0], [0.2, 0, 0], [0.1, 0, 0]]])
    centres = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0]]])
    assert within(line, centres, 0.6, 3).tolist() == [[[0, 2, 3], [1, 1, 1]]]
    assert farthest(line, 3).tolist() == [[0, 1, 2]]


def test_size_and_names_are_the_published_ones() -> None:
    state = PointNet2().state_dict()
    shapes = {
        "sa1.mlp_convs.0.weight": (128, 3, 1, 1),
        "sa2.mlp_convs.0.weight": (256, 259, 1, 1),
        "sa3.mlp_convs.2.weight": (2048, 1024, 1, 1),
        "sa3.mlp_bns.2.running_mean": (2048,),
        "fc1.weight": (1024, 2048),
        "bn2.weight": (512,),
        "fc3.weight": (40, 512),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_features_see_neither_place_nor_size_nor_what_is_beside() -> None:
    torch.manual_seed(0)
    network, points = PointNet2(1).eval(), cloud()
    with torch.no_grad():
        found = network(points)
        torch.testing.assert_close(network(3 * points + 5), found, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network(points[1:]), found[1:])
        assert found.shape == (2, 256) and not torch.allclose(found[0], found[1], rtol=1e-3)
        last = F.relu(network.bn1(network.fc1(torch.zeros(1, 1024))))
        assert network.bn2(network.fc2(last)).shape == (1, 256)


def test_features_of_known_weights_stay_what_they_were() -> None:
    """Frozen once, on weights and a cloud that are plain arithmetic: whatever changes a layer changes these."""
    network = PointNet2().eval().requires_grad_(False)
    hash_weights(network)
    i = torch.arange(700.0)
    turn, out = 2.4 * i, (i / 700).sqrt()
    found = network(torch.stack([turn.cos() * out, turn.sin() * out, ((37 * i) % 700) / 700], 1)[None])[0]
    frozen = torch.tensor([-0.2267799, -0.6361411, -2.1030128, -0.5991722, -0.4400671])
    torch.testing.assert_close(found[[0, 50, 100, 150, 255]], frozen, rtol=1e-3, atol=1e-3)
    assert float(found.mean()) == pytest.approx(-0.0893099, abs=1e-4)
    assert float(found.std()) == pytest.approx(0.9233944, rel=1e-4)
