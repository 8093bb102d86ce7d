"""`trellis decode`: latents in, meshes, Gaussians or radiance fields out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def decode(
    inputs: Annotated[list[Path], typer.Argument(help="Stage files with /slat.", show_default=False)],
    format: Annotated[
        str | None, typer.Option(help="mesh, gaussians or radiance-field; -o's name tells too.", show_default=False)
    ] = None,
    out: o.MaybeOut = None,
    model: o.Model = "mini",
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
    require_gpu: o.RequireGpu = False,
    backend: o.Backend = None,
    keep_loaded: o.KeepLoaded = None,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    dry_run: o.DryRun = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Decode latents to files that other programs open.

    mesh: .glb .obj .ply .stl; gaussians: .ply .splat; all three, radiance-field alone: .h5. Without -o, x.slat.h5 gives
    x.glb or x.ply beside it, of several assets a folder x with a file each; a radiance-field goes to x.rf.h5, with all.

    Example:  trellis decode cabin.slat.h5 --format mesh -o cabin.glb
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu, workers=workers,
        item_timeout=item_timeout, worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.io.inputs import gather
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.decode import decode as stage
        from trellis_cli.stages.decode import decode_plan

        paths, folder = gather(inputs, (".h5",), what="a stage file"), open_model(model)
        computed = o.torso_dtype(dtype, chosen)
        if dry_run:
            plan = decode_plan(
                paths, folder, kind=format, out=out, device=chosen, dtype=computed, keep_loaded=keep_loaded
            )
            return console.result(plan.text, plan.table, as_json=json)
        done = stage(
            paths, folder, kind=format, out=out, device=chosen, dtype=computed, keep_loaded=keep_loaded,
            shard=parse_shard(shard), overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(done.text, done, as_json=json)
