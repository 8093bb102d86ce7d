"""Time the rendering of a textured 50,000-face object from 150 views; one JSON line.

Usage:  python ops/bench/render_views.py [SIZE] [SUPERSAMPLE]
"""

import json
import platform
import sys
import time

import numba
import numpy as np

from trellis_cli.geometry.cameras import hammersley_cameras
from trellis_cli.renderers.mesh import render_views
from trellis_cli.representations.mesh import Material, TexturedMesh


def torus(around: int = 250, across: int = 100) -> TexturedMesh:
    """2 x 250 x 100 faces in the cube under a 1024^2 picture of noise over a gradient."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    corner = np.stack(
        [np.stack([u, v], -1), np.stack([u + 1, v], -1), np.stack([u + 1, v + 1], -1), np.stack([u, v + 1], -1)], 2
    )
    corners = corner.reshape(-1, 4, 2)[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 2)
    faces = (corners[..., 0] % around * across + corners[..., 1] % across).astype(np.int32)
    a, b = 2 * np.pi * u.ravel() / around, 2 * np.pi * v.ravel() / across
    vertices = np.stack(
        [np.cos(a) * (0.33 + 0.15 * np.cos(b)), np.sin(a) * (0.33 + 0.15 * np.cos(b)), 0.15 * np.sin(b)], 1
    )
    picture = np.random.default_rng(0).integers(0, 120, (1024, 1024, 4), dtype=np.uint8)
    picture += np.linspace(0, 120, 1024).astype(np.uint8)[:, None, None]
    material = Material(texture=picture, colour=(1.0, 1.0, 1.0, 1.0))
    uvs = (corners / [around, across]).astype(np.float32)
    return TexturedMesh(vertices, faces, np.zeros(len(faces), np.int32), (material,), uvs)


def main(size: int = 512, supersample: int = 2) -> None:
    mesh, cameras = torus(), hammersley_cameras(150)
    render_views(mesh, cameras[:2], size=size, supersample=supersample)  # compiles
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        render_views(mesh, cameras, size=size, supersample=supersample)
        seconds.append(round(time.perf_counter() - start, 2))
    row = {
        "case": f"render_views, {len(mesh.faces)} textured faces, 150 views, {size}^2, {supersample}x{supersample}",
        "device": platform.processor() or platform.machine(),
        "threads": numba.get_num_threads(),
        "s_min": min(seconds),
        "s_median": sorted(seconds)[1],
        "s_max": max(seconds),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
