"""`trellis train-vae`: a recipe and a data folder in, trained encoders and decoders out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def train_vae(
    recipe: Annotated[str, typer.Argument(help="A recipe's path, or the name of a shipped one.", show_default=False)],
    data: Annotated[Path, typer.Option(help="A data folder: manifest.jsonl and stage files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the run.", show_default=False)],
    init: o.Init = None,
    overrides: o.Set = None,
    max_minutes: o.MaxMinutes = None,
    plot: o.Plot = None,
    device: o.Device = "auto",
    require_gpu: o.RequireGpu = False,
    backend: o.Backend = None,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Train a structure VAE, a SLAT encoder with its Gaussian decoder, a mesh or a radiance field decoder.

    The same command again goes on where the run stopped. Weights lie in OUT/ckpts.

    Example:  trellis train-vae mini-cpu/structure-vae --data data/mini --out runs/structure-vae
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu) as chosen:
        if dry_run:
            from trellis_cli.stages.train_vae import STAGES
            from trellis_cli.stages.training_plan import plan_text, training_plan

            plan = training_plan(recipe, overrides or (), STAGES)
            console.result(plan_text(plan), plan, as_json=json)
            return
        from trellis_cli.stages.train_vae import train_vae as stage

        summary = stage(recipe, data, out, overrides=overrides or (), device=chosen, max_minutes=max_minutes, init=init)
        console.result(o.run_text(summary), summary, as_json=json)
