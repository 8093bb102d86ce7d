"""`trellis featurize`: voxels and views in, averaged image features out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def featurize(
    inputs: Annotated[list[Path], typer.Argument(help="Stage files with /voxels and /views.", show_default=False)],
    out: o.Out,
    encoder: Annotated[
        str, typer.Option(help="alexnet (shipped), dinov2, or a folder with DINOv2 weights.")
    ] = "alexnet",
    device: o.Device = "auto",
    require_gpu: o.RequireGpu = False,
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
    """Average image features over the views at each active voxel.

    Assets of the two files are joined by id. Writes /features.

    Example:  trellis featurize chairs.voxels.h5 chairs.views.h5 -o chairs.features.h5
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu, workers=workers,
        item_timeout=item_timeout, worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.io.inputs import gather
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.featurize import featurize as stage

        summary = stage(
            gather(inputs, (".h5",), what="a stage file"),
            out,
            encoder=encoder,
            device=chosen,
            shard=parse_shard(shard),
            overwrite=overwrite,
            retry_failed=retry_failed,
        )
        console.result(summary.text, summary, as_json=json)
