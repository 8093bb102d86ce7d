"""`trellis verify`: whether the stage files of a folder are whole, and of what is there."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli.commands import options as o


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder with stage files, or one of them.", show_default=False)],
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find every damaged or stale stage file below a folder; exit code 5 where there is one.

    Damaged: its values are not those that were written. Stale: a file that it was made of has changed since. Work that
    was stopped is listed too.

    Example:  trellis verify data
    """
    with o.running(quiet=quiet, verbose=verbose):
        from trellis_cli.stages.verify import complain
        from trellis_cli.stages.verify import verify as stage

        complain(stage(folder), as_json=json)
