"""Pictures of an object made ready for an image encoder: cut out of their background, cropped, scaled."""

from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from trellis_cli.data.background import HINT, cut_out_by_rembg, cut_out_plain, has_rembg
from trellis_cli.data.object_crop import crop_to_object
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.picture_files import read_mask, read_picture, says_transparency

Background = Literal["auto", "keep", "plain", "rembg"]
MAX_SIDE = 1024  # pixels, of a picture whose background has to be found


def check_background(background: str) -> str:
    """The word itself. Raises UsageError for one that is no `Background`."""
    if background not in get_args(Background):
        known = ", ".join(get_args(Background))
        raise UsageError(f"--background {background!r} is not known", hint=f"one of: {known}")
    return background


def resolved(background: str) -> str:
    """What `auto` means on this machine: rembg where it can run, else plain. Raises UsageError for another word."""
    check_background(background)
    return background if background != "auto" else "rembg" if has_rembg() else "plain"


def cut_out(path: Path, *, mask: Path | None = None, background: str = "plain") -> Image.Image:
    """The object of a picture as RGBA.

    A mask says what the object is; else the picture's own transparency where it has any, as published; else what
    `background` (keep, plain or rembg) finds in the picture scaled down to at most 1024 pixels a side.

    Raises:
        FileError: a file that cannot be read, a mask of another size, or a background that is not plain.
        MissingError: rembg or its network is not on this machine.
    """
    picture = read_picture(path)
    if mask is not None:
        picture = picture.convert("RGB")
        picture.putalpha(read_mask(mask, picture.size))
        return picture
    if says_transparency(picture):
        return picture
    picture = picture.convert("RGB")
    if background == "keep":
        picture.putalpha(255)
        return picture
    scale = min(1.0, MAX_SIDE / max(picture.size))
    if scale < 1:
        width, height = (max(1, int(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    try:
        return cut_out_by_rembg(picture) if background == "rembg" else cut_out_plain(picture)
    except FileError as error:
        raise FileError(f"{path}: {error.problem}", hint=error.hint) from error


def prepared(path: Path, *, size: int, mask: Path | None = None, background: str = "plain") -> Image.Image:
    """The object of a picture, cropped to it, as RGBA of size x size pixels: see `cut_out` and `crop_to_object`.

    Raises:
        FileError: as `cut_out`; or a picture of which nothing is opaque.
        MissingError: as `cut_out`.
    """
    cropped = crop_to_object(cut_out(path, mask=mask, background=background), size=size)
    if cropped is None:
        where = f"{mask}: the mask of {path}" if mask is not None else str(path)
        raise FileError(f"{where} shows no object: nothing of it is opaque", hint=HINT)
    return cropped
