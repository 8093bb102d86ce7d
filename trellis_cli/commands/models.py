"""`trellis models`: which models there are, what they hold, and how runs become one."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o

app = typer.Typer(no_args_is_help=True, help="List, show and pack models.")


@app.command("list")
def list_(json: o.Json = False) -> None:
    """List the shipped models.

    Example:  trellis models list
    """
    from trellis_cli.io.model_folders import shipped

    console.result("\n".join(shipped()), shipped(), as_json=json)


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")] = "mini", json: o.Json = False
) -> None:
    """Show a model's networks, sizes and weights digest.

    Example:  trellis models info mini
    """
    from trellis_cli.stages.models import describe

    report = describe(model)
    console.result("\n".join(f"{k:30} {v}" for k, v in report.items()), report, as_json=json)


@app.command()
def pack(
    runs: Annotated[list[Path], typer.Argument(help="Training runs, and folders with encoders.", show_default=False)],
    out: o.Out,
    store: Annotated[str, typer.Option(help="float32, float16 or int8.")] = "float32",
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file with the samplers' settings.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
) -> None:
    """Turn training runs into a model folder in the published layout.

    Example:  trellis models pack runs/* -o my-model --store float16
    """
    from trellis_cli.stages.models import pack as stage

    report = stage(runs, out, store=store, settings=settings, overwrite=overwrite)
    console.result(f"{out}: {len(report['networks'])} networks, {report['megabytes']} MB", report, as_json=json)
