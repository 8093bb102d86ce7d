"""`trellis stats`: what latents are like."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def stats(
    inputs: Annotated[list[Path], typer.Argument(help="Stage files with /slat, or data folders.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write mean and deviation there, as JSON.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="train, test or all.")] = "train",
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Tell mean and deviation of latents a channel, and how many voxels assets have.

    In a data folder, normalization.json is what `train-flow` normalises latents by; without it each training reads all.

    Example:  trellis stats data -o data/normalization.json
    """
    with o.running(quiet=quiet, verbose=verbose):
        from trellis_cli.errors import UsageError
        from trellis_cli.stages.stats import stats as stage

        if split not in ("train", "test", "all"):
            raise UsageError(f"--split {split!r} is not known", hint="one of: train, test, all")
        found = stage(inputs, out, split=split, overwrite=overwrite)
        console.result(found.text, found, as_json=json)
