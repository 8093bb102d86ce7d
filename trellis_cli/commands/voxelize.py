"""`trellis voxelize`: meshes in, their active voxels out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def voxelize(
    inputs: Annotated[
        list[Path], typer.Argument(help="Mesh files, folders, a .txt list or a manifest.jsonl.", show_default=False)
    ],
    out: o.Out,
    resolution: Annotated[int, typer.Option(min=4, max=1024, help="Voxels along one edge of the cube.")] = 64,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    backend: o.Backend = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find the voxels that a mesh's surface touches.

    Scales each mesh into the cube [-0.5, 0.5]^3 (longest side 1, centred, z up) and writes /voxels.

    Example:  trellis voxelize chairs/*.glb -o chairs.voxels.h5
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, workers=workers, item_timeout=item_timeout,
        worker_memory=worker_memory,
    ):  # fmt: skip
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.voxelize import voxelize as stage

        summary = stage(
            inputs, out, resolution=resolution, shard=parse_shard(shard), overwrite=overwrite, retry_failed=retry_failed
        )
        console.result(summary.text, summary, as_json=json)
