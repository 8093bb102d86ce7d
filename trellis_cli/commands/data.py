"""`trellis data`: the objects a model is trained on."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import data_curation
from trellis_cli.commands import options as o

app = typer.Typer(no_args_is_help=True, help="Make data folders of objects with captions.")


Source = Annotated[
    str,
    typer.Argument(
        help="objaverse-xl, abo, 3d-future, hssd, toys4k, sweethome3d, 0ad, folder or toybox.", show_default=False
    ),
]
Root = Annotated[
    Path | None, typer.Argument(help="The folder the source is in; toybox needs none.", show_default=False)
]
Num = Annotated[int | None, typer.Option(min=1, help="Only so many objects.", show_default="all; of toybox 2000")]


@app.callback()
def data() -> None:
    pass


@app.command("export")
def export(
    source: Source,
    root: Root = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The data folder to write to.", show_default=False)] = ...,  # type: ignore[assignment]
    num: Num = None,
    seed: o.Seed = 0,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write a source's objects as GLB files with a manifest of captions, licences and splits.

    Fills DIR/objects and DIR/manifest.jsonl; several sources may share a folder, and the same command again goes on.

    Example:  trellis data export toybox -o toys --num 100
    """
    with o.running(
        quiet=quiet, verbose=verbose, workers=workers, item_timeout=item_timeout, worker_memory=worker_memory
    ):
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.export_objects import export_objects

        summary = export_objects(
            source, root, out, num=num, seed=seed, shard=parse_shard(shard), retry_failed=retry_failed
        )
        console.result(summary.text, summary, as_json=json)


@app.command("index")
def index(
    source: Source,
    root: Root = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The manifest to write, .jsonl.", show_default=False)] = ...,  # type: ignore[assignment]
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Only objects of this licence, as CC-BY*; repeatable.", show_default=False),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Only objects of at least this aesthetic score.", show_default=False)
    ] = None,
    num: Num = None,
    seed: o.Seed = 0,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write a manifest of a source's objects where they lie; voxelize and render take it in place of meshes.

    Example:  trellis data index abo /data/abo --licence "CC-BY*" -o abo/manifest.jsonl
    """
    with o.running(
        quiet=quiet, verbose=verbose, workers=workers, item_timeout=item_timeout, worker_memory=worker_memory
    ):
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.index_objects import index_objects

        summary = index_objects(
            source, root, out, licences=licence or (), min_score=min_score, num=num, seed=seed,
            shard=parse_shard(shard), overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)


app.command("score")(data_curation.score)
app.command("caption")(data_curation.caption)


@app.command("samples")
def samples(
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to copy them to.", show_default=False)],
    overwrite: o.Overwrite = False,
    json: o.Json = False,
) -> None:
    """Copy the sample files that docs/editing.md edits: four objects with their latents, meshes, a mask, a picture.

    Example:  trellis data samples -o samples
    """
    with o.running():
        from trellis_cli.stages.shipped_samples import copy_samples

        files = copy_samples(out, overwrite=overwrite)
        console.result(f"{out}: {len(files)} sample files", [str(path) for path in files], as_json=json)
