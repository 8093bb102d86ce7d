"""`trellis inspect`: what a stage file holds and what made it."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def inspect(
    inputs: Annotated[list[Path], typer.Argument(help="Stage files (.h5).", show_default=False)],
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show what stage files hold and what made them; checks them whole on the way.

    Example:  trellis inspect chairs.slat.h5 --json
    """
    with o.running(quiet=quiet, verbose=verbose):
        from trellis_cli.io.inputs import gather
        from trellis_cli.stages.inspect import as_text
        from trellis_cli.stages.inspect import inspect as stage

        reports = [stage(path) for path in gather(inputs, (".h5",), what="a stage file", others=True)]
        console.result(
            "\n".join(as_text(r) for r in reports), reports if len(reports) > 1 else reports[0], as_json=json
        )
