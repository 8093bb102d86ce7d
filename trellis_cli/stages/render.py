"""Meshes to pictures from many sides: /views files."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from trellis_cli.data.views import encode_png
from trellis_cli.geometry.cameras import condition_cameras, hammersley_cameras
from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.renderers.lighting import description
from trellis_cli.renderers.mesh import render_views
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.stages.sources import input_pairs, into_cube, mesh_items

CONDITION_FOVS_DEG = (10.0, 70.0)


def render(
    inputs: Sequence[Path],
    out: Path,
    *,
    num_views: int = 150,
    size: int = 512,
    supersample: int = 2,
    radius: float = 2.0,
    fov_deg: float = 40.0,
    depth: bool = False,
    normal: bool = False,
    conditions: bool = False,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Render every mesh from cameras on a Hammersley sphere, shifted at random an asset: /views.

    conditions: pictures to condition on instead, /conditions: each camera has its own angle of view, between
        CONDITION_FOVS_DEG, and the distance that goes with it; `radius` and `fov_deg` count for nothing.

    Source: TRELLIS (arXiv:2412.01506), appendix A.1: 150 views, radius 2, 40 degrees; the lighting is ours.
    """
    items, bad = mesh_items(inputs, shard)
    fixed = {"radius": radius, "fov_deg": fov_deg} if not conditions else {"conditions": True}
    parameters = {"num_views": num_views, "size": size, "supersample": supersample, "depth": depth, "normal": normal}
    parameters |= fixed
    group = "conditions" if conditions else "views"

    def work(item: Item) -> dict[str, Asset]:
        generator = torch.Generator().manual_seed((int(item.id[:12], 16) + seed) % 2**63)
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        if conditions:
            fovs = (math.radians(CONDITION_FOVS_DEG[0]), math.radians(CONDITION_FOVS_DEG[1]))
            cameras = condition_cameras(num_views, fovs=fovs, offset=(u, v), generator=generator)
        else:
            cameras = hammersley_cameras(num_views, radius=radius, fov=math.radians(fov_deg), offset=(u, v), remap=True)
        mesh, _ = into_cube(*item.payload)
        got = render_views(mesh, cameras, size=size, supersample=supersample, depth=depth, normals=normal)
        pictures = [encode_png(p) for p in got.rgba]
        extra = ({"depth": got.depth} if depth else {}) | ({"normal": got.normal} if normal else {})
        lengths = [len(p) for p in pictures]
        return {group: with_ids(
            item.id, lengths=num_views, image_bytes=sum(lengths), images=np.frombuffer(b"".join(pictures), np.uint8),
            image_offsets=np.cumsum([0, *lengths]), extrinsics=cameras.extrinsics.numpy(),
            intrinsics=cameras.intrinsics.numpy(), **extra,
        )}  # fmt: skip

    provenance = Provenance("render", parameters, seed=seed, inputs=input_pairs(items))
    attrs = {group: {"size": size, "lighting": description()}}
    return run_batch(
        items, work, out, provenance, attrs, overwrite=overwrite, retry_failed=retry_failed, bad_inputs=bad,
        shard=shard,
    )  # fmt: skip
