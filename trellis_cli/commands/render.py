"""`trellis render`: meshes in, views from all sides out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def render(
    inputs: Annotated[
        list[Path], typer.Argument(help="Mesh files, folders, a .txt list or a manifest.jsonl.", show_default=False)
    ],
    out: o.Out,
    num_views: Annotated[int, typer.Option(min=1, max=4096, help="Views a mesh, spread over the sphere.")] = 150,
    size: Annotated[int, typer.Option(min=8, max=4096, help="Width and height in pixels.")] = 512,
    supersample: Annotated[int, typer.Option(min=1, max=8, help="Samples along one edge of a pixel.")] = 2,
    radius: Annotated[float, typer.Option(min=0.9, help="Distance of the cameras in cube edges.")] = 2.0,
    fov_deg: Annotated[float, typer.Option(min=1, max=170, help="Full angle of view in degrees.")] = 40.0,
    depth: Annotated[bool, typer.Option("--depth", help="Keep depth maps too.")] = False,
    normal: Annotated[bool, typer.Option("--normal", help="Keep normal maps too.")] = False,
    conditions: Annotated[
        bool, typer.Option("--conditions", help="Views for image prompts: 10 to 70 degrees, from near and far.")
    ] = False,
    seed: o.Seed = 0,
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    backend: o.Backend = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Render meshes from all sides.

    Cameras stand on a Hammersley sphere; pictures are RGBA. Writes /views, or with --conditions /conditions, which
    flows from images are trained on.

    Example:  trellis render chairs/*.glb -o chairs.views.h5
    """
    with o.running(
        quiet=quiet, verbose=verbose, backend=backend, workers=workers, item_timeout=item_timeout,
        worker_memory=worker_memory,
    ):  # fmt: skip
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.render import render as stage

        summary = stage(
            inputs, out, num_views=num_views, size=size, supersample=supersample, radius=radius, fov_deg=fov_deg,
            depth=depth, normal=normal, conditions=conditions, seed=seed, shard=parse_shard(shard),
            overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)
