"""`trellis sample`: words or pictures in, a structured latent out."""

from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o
from trellis_cli.commands import prompt_options as p


def sample(
    out: p.OutOrFolder,
    text: p.Text = None,
    image: p.Images = None,
    mask: p.Masks = None,
    prompts: p.Lists = None,
    negative: p.Negative = None,
    multi: p.Multi = None,
    background: p.Background = "auto",
    prepared: p.Prepared = None,
    structure: p.Structure = None,
    model: o.Model = "mini",
    num: Annotated[int, typer.Option(min=1, help="Assets a prompt.")] = 1,
    steps: p.Steps = None,
    guidance: p.Guidance = None,
    interval: p.Interval = None,
    rescale_t: p.RescaleT = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
    require_gpu: o.RequireGpu = False,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    backend: o.Backend = None,
    keep_loaded: o.KeepLoaded = None,
    dry_run: o.DryRun = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make 3D objects from words or pictures.

    Two flows: first which voxels are active, then a latent on each. Writes /structure and /slat; `trellis decode`
    makes a mesh or Gaussians of them. What samplers are told is for both stages, or with a comma for each.

    Example:  trellis sample --text "log cabin" -o cabin.slat.h5
    Example:  trellis sample --image chair.png --steps 25,12 -o chair.slat.h5
    Example:  trellis sample --prompts list.csv --shard 0/8 -o out
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu, workers=workers,
        item_timeout=item_timeout, worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages import sample as stage
        from trellis_cli.stages.prompts import gather_prompts
        from trellis_cli.stages.sampler_options import changed_settings

        asked, way = gather_prompts(
            text or [], image or [], prompts or [], masks=mask or [], negative=negative, multi=multi,
            background=background,
        )  # fmt: skip  # before a model is looked for
        folder, part = open_model(model), parse_shard(shard)
        settings = changed_settings(
            stage.model_settings(folder), steps=steps, guidance=guidance, interval=interval, rescale_t=rescale_t
        )
        computed = o.torso_dtype(dtype, chosen)
        if dry_run:
            plan = stage.sample_plan(
                asked, folder, num=num, settings=settings, multi=way, structure=structure, keep_loaded=keep_loaded,
                device=chosen, dtype=computed, shard=part,
            )  # fmt: skip
            return console.result(plan.text, plan.table, as_json=json)
        summary = stage.sample(
            asked, out, folder, num=num, seed=seed, settings=settings, multi=way, background=background,
            prepared=prepared, structure=structure, keep_loaded=keep_loaded, device=chosen, dtype=computed,
            shard=part, overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)
