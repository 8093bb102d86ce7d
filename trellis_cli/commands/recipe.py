"""`trellis recipe`: the shipped recipes."""

from typing import Annotated

import typer

from trellis_cli import console, recipes
from trellis_cli.commands import options as o

app = typer.Typer(no_args_is_help=True, help="List and show the shipped recipes.")


@app.command("list")
def list_(json: o.Json = False) -> None:
    """List the shipped recipes.

    Example:  trellis recipe list
    """
    console.result("\n".join(recipes.names()), recipes.names(), as_json=json)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A shipped recipe, or a path.", show_default=False)]) -> None:
    """Print a recipe, ready to be saved and changed.

    Example:  trellis recipe show mini-cpu/structure-flow
    """
    console.result(recipes.find(name).read_text(encoding="utf-8").rstrip())
