"""Options of `trellis edit` that say what is to change, and where."""

from pathlib import Path
from typing import Annotated

import typer

Inputs = Annotated[
    list[Path],
    typer.Argument(
        help="Stage files with /slat, folders of them, or a .txt list; with --vary also meshes and /voxels.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", help="The .h5 to write; by default x.slat.h5 goes to x-replace.slat.h5 (or -vary, -add, ...).",
        show_default=False,
    ),
]  # fmt: skip
Vary = Annotated[bool, typer.Option("--vary", help="Keep the voxels, make all details anew.")]
Add = Annotated[bool, typer.Option("--add", help="Put something into the region; what is there stays.")]
Remove = Annotated[bool, typer.Option("--remove", help="Empty the region, and close what is left.")]
KeepStructure = Annotated[
    bool, typer.Option("--keep-structure", help="Keep the region's voxels too, and make its details anew.")
]
Boxes = Annotated[
    list[str] | None,
    typer.Option(
        "--box", metavar="X0,Y0,Z0,X1,Y1,Z1", help="A box, lower corner first; repeatable.", show_default=False
    ),
]
Spheres = Annotated[
    list[str] | None, typer.Option("--sphere", metavar="X,Y,Z,R", help="A ball; repeatable.", show_default=False)
]
Masks = Annotated[
    list[Path] | None,
    typer.Option(
        "--mask", help="A mesh in the object's own coordinates: what it touches or encloses.", show_default=False
    ),
]
Voxels = Annotated[
    list[Path] | None,
    typer.Option("--voxels", help="A stage file with one asset's /voxels or /slat; repeatable.", show_default=False),
]
Units = Annotated[
    str, typer.Option("--units", metavar="cube|voxels", help="Of boxes and spheres: from -0.5 to 0.5, or from 0 to N.")
]
Grow = Annotated[int, typer.Option("--grow", min=0, max=64, help="Voxels by which the region grows on all sides.")]
Text = Annotated[str | None, typer.Option("--text", help="What is to be there, in words.", show_default=False)]
Images = Annotated[
    list[Path] | None,
    typer.Option("--image", help="What is to be there, as a picture; several with --multi.", show_default=False),
]
ImageMasks = Annotated[
    list[Path] | None,
    typer.Option(
        "--image-mask", help="The object in a picture, white on black; one for each --image.", show_default=False
    ),
]
Jump = Annotated[
    str | None,
    typer.Option("--jump", metavar="N[,N]", help="Steps of a stretch that is resampled.", show_default=False),
]
Resample = Annotated[
    str | None,
    typer.Option(
        "--resample", metavar="N[,N]", help="How often each stretch is walked; 1 is once.", show_default=False
    ),
]
Feather = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="How strongly coarse cells across the region's border are held to what they were.",
        show_default="1, with --add 0.25",
    ),
]
Preview = Annotated[
    Path | None,
    typer.Option("--preview", help="A .png: each asset before, with its region, and after.", show_default=False),
]
