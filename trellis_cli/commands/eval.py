"""`trellis eval`: a suite of tasks, run and scored."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o
from trellis_cli.errors import UsageError


def eval(
    suite: Annotated[str, typer.Option("--suite", help="A shipped suite's name, or a .toml.", show_default=False)],
    out: o.Out,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", help="Where assets, edits and scores are kept; by default beside -o.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this task alone; repeatable.", show_default=False)
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Of edits repaint, no-resampling or paste, else reconstruction or generation; repeatable.",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="How often each task is run, from other seeds.")] = 1,
    model: Annotated[
        str | None, typer.Option("--model", help="Instead of the suite's own.", show_default=False)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="A .png: each edit before, its region, and after.", show_default=False),
    ] = None,
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
    require_gpu: o.RequireGpu = False,
    backend: o.Backend = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure a model by a suite: how near it puts objects together again and makes new ones, or how it edits.

    `mini` is the paper's two tables at a small size (docs/evaluation.md), `edit-mini` edits (docs/editing.md). Stopped,
    it goes on where it was.

    Example:  trellis eval --suite mini -o scores.json
    Example:  trellis eval --suite edit-mini -o edits.json
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu) as chosen:
        from trellis_cli.stages.edit_suite import EditSuite
        from trellis_cli.stages.eval_edits import METHODS, eval_edits
        from trellis_cli.stages.eval_objects import PARTS, eval_objects
        from trellis_cli.stages.suites import read_suite

        found, place = read_suite(suite), work or out.with_suffix(".work")
        computed = o.torso_dtype(dtype, chosen)
        if isinstance(found, EditSuite):
            result = eval_edits(
                found, out, work=place, model=model, only=only or (), methods=method or METHODS, draws=draws,
                device=chosen, dtype=computed, sheet=sheet, overwrite=overwrite,
            )  # fmt: skip
        else:
            if sheet is not None or draws > 1:
                raise UsageError("--sheet and --draws are of suites of edits alone", hint="leave them out")
            result = eval_objects(
                found, out, work=place, model=model, only=only or (), parts=method or PARTS, device=chosen,
                dtype=computed, overwrite=overwrite,
            )  # fmt: skip
        console.result(result.text, result.report, as_json=json)
