"""`trellis models`: which models there are, what they hold, fetching them, and how runs become one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o

app = typer.Typer(no_args_is_help=True, help="List, show, fetch, check and pack models.")
Name = Annotated[str, typer.Argument(help="A model's name, folder, or id on the Hugging Face hub.")]


@app.command("list")
def list_(json: o.Json = False) -> None:
    """List the shipped and the released models, and which are on this machine.

    Example:  trellis models list
    """
    from trellis_cli.stages.models import listing

    entries = listing()
    lines = (f"{e.id:32} {e.state:12} {e.megabytes:8.1f} MB  {e.licence}  {e.says}".rstrip() for e in entries)
    console.result("\n".join(lines), [asdict(e) for e in entries], as_json=json)


@app.command()
def info(model: Name = "mini", json: o.Json = False) -> None:
    """Show a model's networks, sizes, licence and weights digest.

    Example:  trellis models info mini
    """
    from trellis_cli.stages.models import describe

    report = describe(model)
    lines = [f"{k:30} {v}" for k, v in report.items() if k != "networks"]
    for key, n in report["networks"].items():
        told = n.get("problem") or (
            f"{n['name']}, {n['parameters'] / 1e6:.1f} M parameters, {n['megabytes']} MB of {n['dtype']}"
        )
        lines.append(f"{key:30} {told}")
    console.result("\n".join(lines), report, as_json=json)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="Its id on the Hugging Face hub, owner/name.", show_default=False)],
    json: o.Json = False,
) -> None:
    """Fetch a model into the hub's cache: its networks, and the encoder of its prompts.

    The only command that asks the network. What is there already stays; a broken download goes on.

    Example:  trellis models fetch microsoft/TRELLIS-image-large
    """
    from trellis_cli.stages.models import fetch as stage

    report = stage(model)
    console.result(f"{report['id']}: {report['megabytes']} MB in {report['path']}", report, as_json=json)


@app.command()
def check(model: Name = "mini", json: o.Json = False) -> None:
    """Load every network and encoder of prompts, one after another; compare keys and shapes.

    Exit code 3 where one does not fit, 4 where one is missing.

    Example:  trellis models check ./my-model
    """
    from trellis_cli.stages.check_model import check as stage
    from trellis_cli.stages.check_model import complaint

    found = stage(model)
    verdicts = {key: "ok" if error is None else error.problem for key, error in found.items()}
    console.result("\n".join(f"{key:30} {text}" for key, text in verdicts.items()), verdicts, as_json=json)
    if error := complaint(model, found):
        raise error


@app.command()
def pack(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Training runs (also of the published trainer), and folders with encoders.", show_default=False
        ),
    ],
    out: o.Out,
    base: Annotated[
        str | None, typer.Option(help="A model that gives what the runs do not hold.", show_default=False)
    ] = None,
    store: Annotated[str, typer.Option(help="float32, float16 or int8.")] = "float32",
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file with the samplers' settings.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
) -> None:
    """Turn training runs into a model folder in the published layout.

    Example:  trellis models pack runs/* -o my-model --store float16
    Example:  trellis models pack runs/structure-flow --base mini -o finetuned
    """
    from trellis_cli.io.model_folders import open_model
    from trellis_cli.stages.pack_models import pack as stage

    held = open_model(base) if base else None
    report = stage(runs, out, base=held, store=store, settings=settings, overwrite=overwrite)
    console.result(f"{out}: {len(report['networks'])} networks, {report['megabytes']} MB", report, as_json=json)
