"""Open3D's voxel grid, what the published data preparation calls.

It rounds in its own way: triangles that touch a voxel without entering it may be judged otherwise, and ones without
area may be missed.
"""

import importlib
from importlib.util import find_spec

import torch
from torch import Tensor


def refusal(vertices: Tensor, faces: Tensor, *, resolution: int) -> str | None:
    if vertices.device.type != "cpu":
        return f"vertices is on {vertices.device}, not on the CPU"
    if find_spec("open3d") is None:
        return "open3d is not installed (pip install 'trellis-slat[open3d]')"
    try:  # its wheels want libraries of the system, and only importing tells whether these are there
        importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        return f"open3d cannot be loaded ({error})"
    return None


def run(vertices: Tensor, faces: Tensor, *, resolution: int) -> Tensor:
    o3d = importlib.import_module("open3d")
    points, corners = vertices.detach().double().numpy(), faces.cpu().int().numpy()
    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(points), o3d.utility.Vector3iVector(corners))
    grid = o3d.geometry.VoxelGrid.create_from_triangle_mesh_within_bounds(
        mesh, voxel_size=1 / resolution, min_bound=(-0.5,) * 3, max_bound=(0.5,) * 3
    )
    indices = (tuple(int(i) for i in voxel.grid_index) for voxel in grid.get_voxels())
    # A triangle in the cube's own faces also marks the layer beyond them.
    rows = sorted(index for index in indices if all(0 <= i < resolution for i in index))
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, 3)
