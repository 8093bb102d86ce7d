"""Meshes to active voxels: /voxels files."""

from collections.abc import Sequence
from pathlib import Path

import torch

from trellis_cli.io.stage_files import Asset, Provenance, with_ids
from trellis_cli.session import Item, Summary, run_batch
from trellis_cli.stages.sources import input_pairs, into_cube, mesh_items
from trellis_ops.voxelize import voxelize as voxelize_op


def voxelize(
    inputs: Sequence[Path],
    out: Path,
    *,
    resolution: int = 64,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    retry_failed: bool = False,
) -> Summary:
    """Write the active voxels of every mesh: those of the resolution^3 grid that its surface touches.

    Source: TRELLIS (arXiv:2412.01506), section 3.1.
    """
    items, bad = mesh_items(inputs, shard)

    def work(item: Item) -> dict[str, Asset]:
        path, told = item.payload
        return {"voxels": voxelize_file(path, item.id, resolution=resolution, told=told)}

    provenance = Provenance("voxelize", {"resolution": resolution}, inputs=input_pairs(items))
    return run_batch(
        items, work, out, provenance, {"voxels": {"resolution": resolution}},
        overwrite=overwrite, retry_failed=retry_failed, bad_inputs=bad, shard=shard,
    )  # fmt: skip


def voxelize_file(path: Path, id_: str, *, resolution: int, told: str | None = None) -> Asset:
    """One mesh file as an asset of /voxels; `told`, as of `into_cube`."""
    mesh, matrix = into_cube(path, told)
    coords = voxelize_op(torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.faces), resolution=resolution)
    return with_ids(id_, lengths=len(coords), coords=coords.numpy().astype("int16"), source_to_cube=matrix)
