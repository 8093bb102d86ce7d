"""`trellis encode`: features in, latents out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def encode(
    inputs: Annotated[list[Path], typer.Argument(help="Stage files with /features (or /voxels).", show_default=False)],
    out: o.Out,
    model: o.Model = "mini",
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Flip voxels at x = 0 first: more data for training.")
    ] = False,
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
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
    """Encode assets to latents.

    From /features both /slat and /structure, from /voxels /structure alone.

    Example:  trellis encode chairs.features.h5 -o chairs.slat.h5
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu, workers=workers,
        item_timeout=item_timeout, worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.io.inputs import gather
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.encode import encode as stage

        summary = stage(
            gather(inputs, (".h5",), what="a stage file"), out, open_model(model), mirror=mirror, device=chosen,
            dtype=o.torso_dtype(dtype, chosen),
            shard=parse_shard(shard), overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)
