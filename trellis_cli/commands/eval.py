"""`trellis eval`: a suite of tasks, run and scored."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o
from trellis_cli.errors import UsageError


def eval(
    suite: Annotated[
        str | None, typer.Option("--suite", help="A shipped suite's name, or a .toml.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="A .json; of objects also an .html, with the .json beside.", show_default="SUITE.json"
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", help="Where assets, edits and scores are kept; by default beside -o.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this task alone; repeatable.", show_default=False)
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option("--part", help="Of objects: reconstruction or generation; by default both.", show_default=False),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Of edits: repaint, no-resampling or paste; by default all.", show_default=False),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Of edits: how often each is made, from other seeds.")] = 1,
    model: Annotated[
        str | None, typer.Option("--model", help="Instead of the suite's own.", show_default=False)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="A .png: each edit before, its region, and after.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The folder of the set that a suite chooses its objects from.", show_default=False),
    ] = None,
    assets: Annotated[
        Path | None,
        typer.Option("--assets", help="Score these files instead of a model: one an object.", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="Where downloaded weights of feature networks lie.",
            show_default="~/.cache/trellis/weights",
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="A B", help="Instead of a run: how two reports differ.", show_default=False),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="Instead of a run: a .csv of the prompts, for other programs.", show_default=False
        ),
    ] = None,
    dry_run: o.DryRun = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Compute nothing: put together what shards left in --work.")
    ] = False,
    shard: o.Shard = None,
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

    `toys4k` is the paper's protocol, `mini` the same at a small size and offline (docs/evaluation.md), `edit-mini` is
    of edits (docs/editing.md). Stopped, it goes on where it was.

    Example:  trellis eval --suite mini -o report.html
    Example:  trellis eval --suite edit-mini -o edits.json
    Example:  trellis eval --compare before.json after.json
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device, require_gpu=require_gpu) as chosen:
        if compare is not None:
            from trellis_cli.stages.eval_compare import compare as compared

            found, table = compared(compare)
            console.result(table, found, as_json=json)
            return
        if dry_run and suite is not None:
            from trellis_cli.stages.run_suite import suite_plan

            plan = suite_plan(suite, draws=draws)
            console.result(plan.text, plan.table, as_json=json)
            return
        if suite is None:
            raise UsageError("nothing says what to measure", hint="for example --suite mini")
        out = out or Path(f"{Path(suite).stem}.json")
        work = work or out.with_suffix(".work")
        if prompts is not None:
            from trellis_cli.stages.run_suite import suite_prompts

            num = suite_prompts(suite, prompts, work=work, data=data, overwrite=overwrite)
            console.result(f"{prompts}: {num} prompts", {"out": str(prompts), "prompts": num}, as_json=json)
            return
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.run_suite import run_suite

        result = run_suite(
            suite, out, work=work, model=model, only=only or (), parts=part or (),
            methods=method or (), draws=draws, sheet=sheet, data=data, assets=assets, weights=weights,
            shard=parse_shard(shard), merge=merge, device=chosen, overwrite=overwrite,
            dtype=o.torso_dtype(dtype, chosen),
        )  # fmt: skip
        console.result(result.text, result.report, as_json=json)
