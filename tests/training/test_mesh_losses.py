"""The mesh decoder's losses on views of a ball, whose depth, normals and signed distance are known exactly."""

import math

import pytest
import torch
from torch import Tensor

from trellis_cli.geometry.cameras import Cameras, hammersley_cameras
from trellis_cli.training.mesh_losses import (
    MeshViews,
    colour,
    geometry,
    regularisation,
    signed_distance,
    tsdf_from_depth,
)


def ball_views(cameras: Cameras, radius: float, *, size: int = 64) -> MeshViews:
    """Rays from each pixel's centre met with a ball about the origin. Its colours are its positions + 0.5."""
    pixel = (torch.arange(size) + 0.5) / size
    image = torch.stack([pixel.expand(size, size), pixel[:, None].expand(size, size), torch.ones(size, size)], -1)
    views = []
    for extrinsics, intrinsics in zip(cameras.extrinsics, cameras.intrinsics, strict=True):
        direction = image @ torch.linalg.inv(intrinsics).T  # z = 1, so that the ray's parameter is the depth
        rotation, centre = extrinsics[:3, :3], extrinsics[:3, 3]
        a, b = direction.square().sum(-1), direction @ centre
        root = b.square() - a * (centre.square().sum() - radius**2)
        seen = root > 0
        depth = torch.where(seen, (b - root.clamp_min(0).sqrt()) / a, 0.0)
        position = (direction * depth[..., None] - centre) @ rotation
        normals = position / radius * seen[..., None]
        views.append(
            (seen.float(), depth, normals.permute(2, 0, 1), ((position + 0.5) * seen[..., None]).permute(2, 0, 1))
        )
    mask, depth, normals, colours = (torch.stack(part) for part in zip(*views, strict=True))
    return MeshViews(mask, depth, normals, colours, normals)


def alike(got: Tensor, want: Tensor) -> Tensor:
    """In place of SSIM: one for equal pictures, less otherwise."""
    return 1 - (got - want).square().mean()


def unlike(got: Tensor, want: Tensor) -> Tensor:
    """In place of LPIPS, one number a view."""
    return (got - want).square().mean((1, 2, 3))


def test_equal_views_cost_nothing_and_a_larger_ball_costs_in_every_term():
    cameras = hammersley_cameras(3)
    want = ball_views(cameras, 0.4)
    same = geometry(want, want, resolution=32, ssim=alike, lpips=unlike)
    assert all(float(term) == 0 for term in same.values())
    got = geometry(ball_views(cameras, 0.45), want, resolution=32, ssim=alike, lpips=unlike)
    assert all(float(term) > 0 for term in got.values())
    total = got["mask"] + 10 * got["depth"] + got["normal"]
    assert float(got["geometry"]) == pytest.approx(float(total))
    assert float(got["mask"]) == pytest.approx(float((ball_views(cameras, 0.45).mask - want.mask).abs().mean()))


def test_depth_is_compared_where_both_see_and_bends_at_half_a_cube():
    """One pixel of four off by d: d^2 / (2 beta) under beta, d - beta / 2 over it; one seen by one side is left out."""
    want = MeshViews(torch.ones(1, 2, 2), torch.tensor([[[2.0, 2.0], [2.0, 0.0]]]), torch.zeros(1, 3, 2, 2))
    for off, cost in ((0.01, 0.01**2 / (2 / 16)), (0.5, 0.5 - 1 / 32)):
        depth = want.depth.clone()
        depth[0, 0, 0] += off
        depth[0, 1, 1] = 1.0
        got = MeshViews(want.mask, depth, want.normals)
        terms = geometry(got, want, resolution=8, ssim=alike, lpips=None)
        assert float(terms["depth"]) == pytest.approx(cost / 4, rel=1e-4)


def test_colour_sums_what_is_there_and_says_what_is_not():
    cameras = hammersley_cameras(2)
    want, got = ball_views(cameras, 0.4), ball_views(cameras, 0.45)
    terms = colour(got, want, ssim=alike, lpips=unlike)
    assert float(terms["appearance"]) == pytest.approx(float(terms["colour"] + terms["predicted_normal"]))
    assert float(terms["colour"]) > 0
    plain = MeshViews(got.mask, got.depth, got.normals)
    assert float(colour(plain, want, ssim=alike, lpips=None)["appearance"]) == 0
    with pytest.raises(ValueError, match="have no colours"):
        colour(got, plain, ssim=alike, lpips=None)


def test_gradients_reach_every_picture_and_stay_finite():
    cameras = hammersley_cameras(2)
    want, start = ball_views(cameras, 0.4, size=16), ball_views(cameras, 0.42, size=16)
    fields = {name: getattr(start, name).clone().requires_grad_() for name in MeshViews.__slots__}
    got = MeshViews(**fields)
    total = geometry(got, want, resolution=16, ssim=alike, lpips=unlike)["geometry"]
    total = total + 0.1 * colour(got, want, ssim=alike, lpips=unlike)["appearance"]
    for name, grad in zip(fields, torch.autograd.grad(total, list(fields.values())), strict=True):
        assert torch.isfinite(grad).all() and grad.abs().max() > 0, name


def test_regularisation_is_the_weighted_sum(rng):
    weights = torch.ones(4, 21)
    weights[:, 20] = 100.0  # gamma is not held down
    deviation = torch.tensor([0.1, 0.3])
    terms = regularisation(deviation=deviation, consistency=torch.tensor(0.5), weights=weights, tsdf=torch.tensor(2.0))
    assert float(terms["regularisation"]) == pytest.approx(0.5 + 0.5 * 0.2 + 0.2 * 1 + 0.01 * 2)
    nothing = regularisation(deviation=deviation[:0], consistency=torch.tensor(0.5), weights=weights * 0)
    assert float(nothing["regularisation"]) == pytest.approx(0.5)


def test_signed_distance_ignores_the_unknown_and_what_lies_further_out():
    target, valid = torch.tensor([0.1, -0.1, 0.02, 0.05]), torch.tensor([True, True, True, False])
    sdf = torch.tensor([0.7, -0.05, 0.05, 9.0], requires_grad=True)
    loss = signed_distance(sdf, target, valid, truncation=0.1)
    assert float(loss.detach()) == pytest.approx((0.05**2 + 0.03**2) / 3)
    (grad,) = torch.autograd.grad(loss, sdf)
    assert grad[0] == grad[3] == 0 and grad[1] > 0 > -grad[2]


def test_tsdf_of_a_ball(rng):
    """The right sign but for a third of a pixel, and an upper bound of the distance, near it on the mean."""
    cameras, truncation = hammersley_cameras(24), 3 / 32
    views = ball_views(cameras, 0.4, size=128)
    points = torch.rand(4000, 3, generator=rng) - 0.5
    got, valid = tsdf_from_depth(
        points, views.depth, views.mask, cameras.extrinsics, cameras.intrinsics, truncation=truncation
    )
    true = points.norm(dim=1) - 0.4
    pixel = 2 * math.tan(math.radians(20)) * 2 / 128
    assert valid.all() and got.abs().max() <= truncation
    assert ((got > 0) == (true > 0))[true.abs() > pixel / 3].all()
    over = (got.abs() - true.abs())[true.abs() < truncation]
    # Measured: 0.12 and 1.1 cubes of 1/32; 0.24 and 1.9 with twelve views.
    assert over.min() > -pixel / 3 and over.mean() < 0.2 / 32 and over.max() < 1.5 / 32


def test_tsdf_beyond_the_frame_is_not_valid_and_what_none_can_see_is_solid():
    cameras = hammersley_cameras(6)
    views = ball_views(cameras, 0.4, size=32)
    points = torch.tensor([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]])
    sdf, valid = tsdf_from_depth(
        points, views.depth, views.mask, cameras.extrinsics, cameras.intrinsics, truncation=0.1
    )
    assert valid.tolist() == [True, False] and float(sdf[0]) == pytest.approx(-0.1)
