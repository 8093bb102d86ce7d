"""`trellis train-flow`: a recipe and a data folder with latents in, a trained flow out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def train_flow(
    recipe: Annotated[str, typer.Argument(help="A recipe's path, or the name of a shipped one.", show_default=False)],
    data: Annotated[Path, typer.Option(help="A data folder: manifest.jsonl and stage files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the run.", show_default=False)],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="The text or image encoder: a folder, or an id on the hub; the recipe's by default.",
            show_default=False,
        ),
    ] = None,
    init: o.Init = None,
    preview: Annotated[
        str | None,
        typer.Option(help="A model whose decoder draws samples at each evaluation.", show_default=False),
    ] = None,
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
    """Train a rectified flow, of structures or of latents, conditioned on captions or on views.

    The same command again goes on where the run stopped. Weights lie in OUT/ckpts.

    Example:  trellis train-flow mini-cpu/structure-flow --data data/mini --out runs/structure-flow
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu) as chosen:
        if dry_run:
            from trellis_cli.stages.train_flow import STAGES
            from trellis_cli.stages.training_plan import plan_text, training_plan

            plan = training_plan(recipe, overrides or (), STAGES)
            console.result(plan_text(plan), plan, as_json=json)
            return
        from trellis_cli.io.model_folders import open_model
        from trellis_cli.stages.train_flow import train_flow as stage

        summary = stage(
            recipe, data, out, encoder=encoder,
            preview=open_model(preview) if preview else None, init=init,
            overrides=overrides or (), device=chosen, max_minutes=max_minutes,
        )  # fmt: skip
        console.result(o.run_text(summary), summary, as_json=json)
