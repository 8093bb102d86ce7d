"""`trellis sample`: words in, a structured latent out."""

from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def sample(
    out: o.Out,
    text: Annotated[list[str] | None, typer.Option("--text", help="A prompt; repeatable.", show_default=False)] = None,
    model: o.Model = "mini",
    num: Annotated[int, typer.Option(min=1, help="Assets a prompt.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Steps of both stages; the model's own by default.", show_default=False),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Guidance strength of both stages; 0 is none.", show_default=False)
    ] = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
    require_gpu: o.RequireGpu = False,
    shard: o.Shard = None,
    backend: o.Backend = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make a 3D object from words.

    Two flows: first which voxels are active, then a latent on each. Writes /structure and /slat; `trellis decode`
    makes a mesh or Gaussians of them.

    Example:  trellis sample --text "log cabin" -o cabin.slat.h5
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu) as chosen:
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.session import parse_shard
        from trellis_cli.stages.sample import check_prompts
        from trellis_cli.stages.sample import sample as stage

        check_prompts(text or [])  # before a model is looked for
        summary = stage(
            text or [], out, open_model(model), num=num, seed=seed, steps=steps, guidance=guidance,
            device=chosen, dtype=o.torso_dtype(dtype, chosen), shard=parse_shard(shard),
            overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)
