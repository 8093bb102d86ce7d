"""Cameras: what can be said of them without the published tensors (tests/reference/test_cameras.py has those)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trellis_cli.geometry import cameras
from trellis_cli.geometry.cameras import hammersley_cameras, intrinsics_from_fov, orbit, project


def close(got: torch.Tensor, want: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(got, want, atol=atol, rtol=0)


def test_a_camera_in_front_sees_up_as_up_and_left_as_x():
    """Yaw 0 stands at +y and looks towards -y: x grows to the picture's left, z to its top; counted by hand."""
    camera = orbit([0.0], [0.0], radius=2.0, fov=math.radians(90))
    close(camera.centres, torch.tensor([[0.0, 2.0, 0.0]]))
    points = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.5, 0.0]])
    uv, depth = project(points, camera.extrinsics, camera.intrinsics)
    close(uv[0], torch.tensor([[0.5, 0.5], [0.375, 0.5], [0.5, 0.375], [0.5, 0.5]]))
    close(depth[0], torch.tensor([2.0, 2.0, 2.0, 1.5]))


angles = st.floats(-10, 10)


@given(yaw=angles, pitch=st.floats(-math.pi / 2, math.pi / 2), radius=st.floats(0.1, 100))
def test_orbit_is_rigid_upright_and_centred(yaw, pitch, radius):
    camera = orbit([yaw], [pitch], radius=radius)
    rotation = camera.extrinsics[0, :3, :3]
    close(rotation @ rotation.T, torch.eye(3))
    assert torch.linalg.det(rotation) > 0
    assert rotation[0, 2].abs() < 1e-6, "the picture's x axis is level"
    assert rotation[1, 2] <= 1e-6, "z does not point down in the picture"
    uv, depth = project(torch.zeros(1, 3), camera.extrinsics, camera.intrinsics)
    close(uv[0, 0], torch.tensor([0.5, 0.5]))
    close(depth[0, 0] / radius, torch.tensor(1.0))
    want = radius * cameras.directions(torch.tensor([yaw]), torch.tensor([pitch]))
    close(camera.centres / radius, want / radius)


def test_straight_down_is_a_picture_like_any_other():
    """At the pole a look-at by cross products has no axis left; the yaw still tells how the picture turns."""
    near, at = (orbit([0.7], [pitch]) for pitch in (math.pi / 2 - 1e-4, math.pi / 2))
    close(near.extrinsics, at.extrinsics, atol=5e-4)


@pytest.mark.parametrize("remap", [False, True])
def test_hammersley_covers_the_sphere(remap):
    centres = hammersley_cameras(256, radius=2.0, offset=(0.4, 0.2), remap=remap).centres
    close(centres.norm(dim=1), torch.full((256,), 2.0))
    below = (centres[:, 2] < 0).sum().item()
    assert below == (64 if remap else 128)
    # No direction is far from a camera; below the horizon remap leaves half as many, 1.4 times as far apart.
    probes = torch.nn.functional.normalize(torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    nearest = (probes @ centres.T / 2).max(dim=1).values.clamp(max=1).acos()
    assert nearest.max() < math.radians(17 if remap else 12)


def test_cameras_are_indexed_like_a_list():
    rig = hammersley_cameras(5)
    assert [len(rig[i]) for i in (0, -1, slice(1, 4))] == [1, 1, 3]
    assert torch.equal(rig[-1].extrinsics[0], rig.extrinsics[4])
    assert torch.equal(rig[torch.tensor([3, 1])].extrinsics, rig.extrinsics[[3, 1]])
    assert sum(1 for _ in rig) == 5
    with pytest.raises(IndexError):
        rig[5]


def test_fov_survives_the_round_trip():
    for degrees in (8.0, 40.0, 90.0, 170.0):
        intrinsics = intrinsics_from_fov(math.radians(degrees), 2)
        assert intrinsics.shape == (2, 3, 3)
        close(cameras.fov_from_intrinsics(intrinsics).rad2deg(), torch.full((2,), degrees), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"fov": 0.0}, r"fov must lie in \(0, pi\)", id="no-fov"),
        pytest.param({"fov": 3.2}, r"fov must lie in \(0, pi\)", id="fov-of-a-half-turn"),
        pytest.param({"radius": 0.0}, "radius must be positive, got 0", id="in-the-centre"),
        pytest.param({"radius": float("nan")}, "radius must be positive, got nan", id="nowhere"),
        pytest.param({"pitches": [0.0, 0.1]}, "got 1 and 2", id="unpaired"),
    ],
)
def test_impossible_cameras_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        orbit(**{"yaws": [0.0], "pitches": [0.0]} | arguments)
