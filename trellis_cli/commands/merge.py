"""`trellis merge`: shards of a stage put together."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def merge(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Stage files of one command, folders of them, lists (.txt); or manifests (.jsonl).", show_default=False
        ),
    ],
    out: o.Out,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Put stage files of one work together, such as the shards of an array job: to the bytes of a run in one go.

    Example:  trellis merge voxels-*.h5 -o voxels.h5
    """
    with o.running(quiet=quiet, verbose=verbose):
        from trellis_cli.stages.manifest_rows import SUFFIX
        from trellis_cli.stages.merge import merge as merge_stage_files
        from trellis_cli.stages.merge_manifests import merge_manifests

        manifests = any(path.suffix.lower() == SUFFIX for path in (*inputs, out))
        summary = (merge_manifests if manifests else merge_stage_files)(inputs, out, overwrite=overwrite)
        console.result(summary.text, summary, as_json=json)
