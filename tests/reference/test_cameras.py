"""The published look-at, projection, Hammersley sphere and mean over views."""

import pytest
import torch

from trellis_cli.geometry.cameras import orbit, project, projection_matrix, sphere_hammersley
from trellis_ops.view_average import view_average


@pytest.fixture
def rig(primitives):
    yaw, pitch, radius, degrees = primitives["cam.yaw_pitch_r_fovdeg"].T
    return orbit(yaw, pitch, radius=radius, fov=degrees.deg2rad())


def test_look_at(rig, primitives, assert_near):
    assert_near(rig.extrinsics, primitives["cam.extrinsics"], what="extrinsics")
    assert_near(rig.intrinsics, primitives["cam.intrinsics"], what="intrinsics")


def test_projection(rig, primitives, assert_near):
    uv, depth = project(primitives["cam.points"], rig.extrinsics, rig.intrinsics)
    assert_near(uv, primitives["cam.project_uv"], what="uv")
    assert_near(depth, primitives["cam.project_depth"], what="depth")
    matrix = projection_matrix(rig.intrinsics, near=0.8, far=1.6)
    assert_near(matrix, primitives["cam.projection_near0.8_far1.6"], what="projection matrix")


@pytest.mark.parametrize(
    ("name", "offset", "remap"),
    [
        pytest.param("sphere_hammersley_10", (0.0, 0.0), False, id="plain"),
        pytest.param("sphere_hammersley_10_remap_off", (0.3, 0.7), True, id="remap"),
    ],
)
def test_hammersley_sphere(name, offset, remap, primitives, assert_near):
    want = primitives[name]
    got = [sphere_hammersley(i, len(want), offset=offset, remap=remap) for i in range(len(want))]
    assert_near(torch.tensor(got, dtype=torch.float64), want, what=name, tolerance=1e-12)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_mean_over_views(backend, primitives, assert_near):
    """The published points are not voxel centres; a grid of 2^20 has a centre within 5e-7 of each.

    They need not lie in the cube either: points and cameras drawn nearer together alike look the same.
    """
    resolution, points = 1 << 20, primitives["cam.points"]
    shrink = min(1.0, 0.499 / float(points.abs().max()))
    extrinsics = primitives["cam.extrinsics"].clone()
    extrinsics[:, :3, 3] *= shrink
    got = view_average(
        ((shrink * points + 0.5) * resolution).int(),
        primitives["agg.featmap"],
        extrinsics,
        primitives["cam.intrinsics"],
        resolution=resolution,
        backend=backend,
    )
    assert_near(got, primitives["agg.per_view_mean"], what="mean over views", tolerance=4e-5)
