"""`trellis edit`: latents with some of them made anew."""

from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import edit_options as e
from trellis_cli.commands import options as o
from trellis_cli.commands import prompt_options as p


def edit(
    inputs: e.Inputs,
    out: e.Out = None,
    vary: e.Vary = False,
    add: e.Add = False,
    remove: e.Remove = False,
    keep_structure: e.KeepStructure = False,
    box: e.Boxes = None,
    sphere: e.Spheres = None,
    mask: e.Masks = None,
    voxels: e.Voxels = None,
    units: e.Units = "cube",
    grow: e.Grow = 0,
    text: e.Text = None,
    image: e.Images = None,
    image_mask: e.ImageMasks = None,
    negative: p.Negative = None,
    multi: p.Multi = None,
    background: p.Background = "auto",
    model: o.Model = "mini",
    num: Annotated[int, typer.Option(min=1, help="Variants of each asset, with seeds from --seed on.")] = 1,
    steps: p.Steps = None,
    guidance: p.Guidance = None,
    interval: p.Interval = None,
    rescale_t: p.RescaleT = None,
    jump: e.Jump = None,
    resample: e.Resample = None,
    feather: e.Feather = None,
    preview: e.Preview = None,
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
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make details anew, or a region; the rest stays as it is, bit for bit.

    Without --vary, --add or --remove a region is replaced. A region is the union of all boxes, spheres, masks and
    voxels given; a voxel belongs where its centre does. Writes /structure and /slat with the edits before it.

    Example:  trellis edit house.slat.h5 --vary --text "a snow-covered stone house" -o stone.slat.h5
    Example:  trellis edit house.slat.h5 --box "0.1,-0.5,0,0.5,0.5,0.5" --text "a round tower" -o tower.slat.h5
    Example:  trellis edit chair.slat.h5 --mask seat.glb --image leather.png --preview seat.png
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu, workers=workers,
        item_timeout=item_timeout, worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages import edit as stage
        from trellis_cli.stages import edit_options as gather
        from trellis_cli.stages.edit_preview import preview as draw
        from trellis_cli.stages.edit_sheet import check_sheet

        check_sheet("--preview", preview, overwrite=overwrite)
        mode = gather.mode_of(vary=vary, add=add, remove=remove)
        prompt, way = gather.gather_prompt(
            text, image or [], masks=image_mask or [], negative=negative, multi=multi, background=background
        )
        target = out or gather.default_out(inputs, mode)
        folder = open_model(model)
        change = gather.gather_change(
            mode, folder, boxes=box or [], spheres=sphere or [], masks=mask or [], voxels=voxels or [], units=units,
            grow=grow, keep_structure=keep_structure, jump=jump, resample=resample, feather=feather,
        )  # fmt: skip
        settings = gather.settings_of(folder, steps=steps, guidance=guidance, interval=interval, rescale_t=rescale_t)
        computed = o.torso_dtype(dtype, chosen)
        summary = stage.edit(
            inputs, target, folder, change, prompt=prompt, num=num, seed=seed, settings=settings, multi=way,
            background=background, keep_loaded=keep_loaded, device=chosen, dtype=computed, shard=parse_shard(shard),
            overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        if preview is not None:
            draw(inputs, target, preview, folder, change, device=chosen, dtype=computed)
        console.result(summary.text, summary, as_json=json)
