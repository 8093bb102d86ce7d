"""`trellis study`: whom people prefer."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o

app = typer.Typer(no_args_is_help=True, help="Make the page of a user study, and count its answers.")


@app.command("page")
def page(
    cases: Annotated[Path, typer.Argument(help="A .csv with case,method,file and text or image.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .html to write.", show_default=False)],
    trials: Annotated[int, typer.Option(min=1, help="Cases that a participant is asked, at random.")] = 50,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
) -> None:
    """Write a page that shows a prompt and every method's object, turning, in random order.

    It is one file that opens from disk; which method made what stands in the key beside it alone. Meshes and Gaussians
    are drawn; videos and pictures are shown as they are.

    Example:  trellis study page cases.csv -o study.html
    """
    with o.running():
        from trellis_cli.stages.study import build_study, read_cases

        found = read_cases(cases)
        key = build_study(found, out, trials=trials, overwrite=overwrite)
        said = {"page": str(out), "key": str(key), "cases": len(found)}
        console.result(f"{out}: {len(found)} cases; keep {key} to yourself", said, as_json=json)


@app.command("tally")
def tally(
    key: Annotated[Path, typer.Argument(help="The study's .key.json.", show_default=False)],
    answers: Annotated[list[Path], typer.Argument(help="Files that the page saved.", show_default=False)],
    json: o.Json = False,
) -> None:
    """Count answers: selections and per cent of each method, with intervals.

    Example:  trellis study tally study.key.json answers-*.json
    """
    with o.running():
        from dataclasses import asdict

        from trellis_cli.stages.study import tally as counted

        found = counted(key, answers)
        console.result(found.text, asdict(found), as_json=json)
