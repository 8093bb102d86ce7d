"""Options of `trellis sample` that say what to make and how both stages sample."""

from pathlib import Path
from typing import Annotated

import typer

OutOrFolder = Annotated[
    Path,
    typer.Option("-o", "--out", help="A .h5 for all assets, or a folder for a file of each.", show_default=False),
]
Text = Annotated[list[str] | None, typer.Option("--text", help="A prompt; repeatable.", show_default=False)]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        "--image", help="A picture of an object, a folder or a .txt list of pictures; repeatable.", show_default=False
    ),
]
Masks = Annotated[
    list[Path] | None,
    typer.Option("--mask", help="The object in a picture, white on black; one for each --image.", show_default=False),
]
Lists = Annotated[
    list[Path] | None,
    typer.Option("--prompts", help="A list of prompts: .txt, .csv or .jsonl; repeatable.", show_default=False),
]
Negative = Annotated[
    str | None, typer.Option("--negative", help="What text prompts are to be led away from.", show_default=False)
]
Multi = Annotated[
    str | None,
    typer.Option(
        "--multi", metavar="stochastic|multidiffusion", help="All images show one object.", show_default=False
    ),
]
Background = Annotated[
    str,
    typer.Option("--background", metavar="auto|keep|plain|rembg", help="How opaque pictures lose their background."),
]
Prepared = Annotated[
    Path | None,
    typer.Option("--prepared", help="Put the pictures here as the encoder sees them.", show_default=False),
]
Steps = Annotated[
    str | None,
    typer.Option("--steps", metavar="N[,N]", help="Steps: of both stages, or structure,latents.", show_default=False),
]
Guidance = Annotated[
    str | None, typer.Option("--guidance", metavar="W[,W]", help="Guidance strength; 0 is none.", show_default=False)
]
Interval = Annotated[
    str | None,
    typer.Option("--interval", metavar="LO-HI[,LO-HI]", help="The t within which guidance acts.", show_default=False),
]
RescaleT = Annotated[
    str | None,
    typer.Option("--rescale-t", metavar="R[,R]", help="Above 1: more steps near the noise.", show_default=False),
]
Structure = Annotated[
    Path | None,
    typer.Option(
        "--structure",
        help="A stage file with /voxels or /slat: take its voxels, and make latents alone. One asset, or one a prompt.",
        show_default=False,
    ),
]
