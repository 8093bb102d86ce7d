"""`trellis view`: anything with a shape in, a contact sheet out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def view(
    inputs: Annotated[list[Path], typer.Argument(help="Mesh, Gaussian or stage files.", show_default=False)],
    out: o.Out,
    num_views: Annotated[int, typer.Option("--views", min=1, max=32, help="Views an asset.")] = 4,
    size: Annotated[int, typer.Option(min=16, max=2048, help="Width and height of each in pixels.")] = 256,
    format: Annotated[str, typer.Option(help="What to decode latents to first: gaussians or mesh.")] = "gaussians",
    captions: Annotated[bool, typer.Option("--captions/--no-captions", help="Write over each row what it is.")] = True,
    model: o.Model = "mini",
    device: o.Device = "auto",
    dtype: o.Dtype = "auto",
    backend: o.Backend = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make a contact sheet: one row an asset, several views each.

    Takes meshes, .splat and 3DGS .ply files, and stage files.

    Example:  trellis view chairs.slat.h5 -o chairs.png
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device) as chosen:
        from trellis_cli.io.inputs import gather
        from trellis_cli.stages.decode import resolve_kind
        from trellis_cli.stages.view import VIEWABLE
        from trellis_cli.stages.view import view as stage

        rows = stage(
            gather(inputs, VIEWABLE, what="something to look at", others=True), out, model,
            num_views=num_views, size=size, kind=resolve_kind(format, None), captions=captions,
            device=chosen, dtype=o.torso_dtype(dtype, chosen), overwrite=overwrite,
        )  # fmt: skip
        console.result(f"{out}: {rows} assets, {num_views} views each", {"out": out, "assets": rows}, as_json=json)
