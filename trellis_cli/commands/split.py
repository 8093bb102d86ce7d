"""`trellis split`: a stage file taken apart."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def split(
    file: Annotated[Path, typer.Argument(help="A stage file, .h5.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.", show_default=False)],
    parts: Annotated[
        int | None, typer.Option(min=1, help="How many files.", show_default="of about 1000 assets each")
    ] = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Take a stage file apart into part-00000.h5 and so on, each to the bytes that `--shard i/n` writes.

    Example:  trellis split features.h5 -o features --parts 4
    """
    with o.running(quiet=quiet, verbose=verbose):
        from trellis_cli.stages.split import split as stage

        written = stage(file, out, parts=parts, overwrite=overwrite)
        console.result(f"{out}: {len(written)} parts", {"parts": [str(p) for p in written]}, as_json=json)
