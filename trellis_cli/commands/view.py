"""`trellis view`: anything with a shape in, a contact sheet or a video out."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def view(
    inputs: Annotated[list[Path], typer.Argument(help="Mesh, Gaussian or stage files.", show_default=False)],
    out: o.Out,
    num_views: Annotated[int, typer.Option("--views", min=1, max=32, help="Views an asset, of a .png.")] = 4,
    num_frames: Annotated[int, typer.Option("--frames", min=1, max=1800, help="Of an .mp4, 30 a second.")] = 120,
    size: Annotated[int, typer.Option(min=16, max=2048, help="Width and height of each in pixels.")] = 256,
    format: Annotated[str, typer.Option(help="Decode latents to gaussians, mesh or radiance-field.")] = "gaussians",
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
    """Make a contact sheet (.png), one row an asset, several views each, or a video that goes round them (.mp4).

    Takes meshes, .splat and 3DGS .ply files, and stage files. Videos need `pip install 'trellis-slat[video]'`.

    Example:  trellis view chairs.slat.h5 -o chairs.png
    """
    with o.running(quiet=quiet, verbose=verbose, backend=backend, device=device) as chosen:
        from trellis_cli.io.inputs import gather
        from trellis_cli.stages.decode import resolve_kind
        from trellis_cli.stages.view import VIEWABLE
        from trellis_cli.stages.view import view as stage

        rows = stage(
            gather(inputs, VIEWABLE, what="something to look at", others=True), out, model,
            num_views=num_views, num_frames=num_frames, size=size, kind=resolve_kind(format, None), captions=captions,
            device=chosen, dtype=o.torso_dtype(dtype, chosen), overwrite=overwrite,
        )  # fmt: skip
        many = f"{num_frames} frames" if out.suffix.lower() == ".mp4" else f"{num_views} views each"
        console.result(f"{out}: {rows} assets, {many}", {"out": out, "assets": rows}, as_json=json)
