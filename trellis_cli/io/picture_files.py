"""Pictures that a user gives: read with suspicion, upright, in 8 bits, as RGB or straight RGBA."""

import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trellis_cli.errors import FileError, first_line
from trellis_cli.io.inputs import require_file

_log = logging.getLogger(__name__)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm")
# Only formats that are plain pixels: some others of Pillow's run programs, or know themselves by hardly a byte.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
MAX_PIXELS = 100_000_000  # 400 MB as RGBA
_EXPORT = "export it as PNG or JPEG first"


def read_picture(path: Path) -> Image.Image:
    """A picture file as "RGB", or as "RGBA" where it says anything of transparency.

    Upright as its EXIF orientation says; 16-bit and float pictures are brought to 8 bits; of an animation the first
    frame is taken, with a warning.

    Raises:
        FileError: no such file, empty, of a format that is not read here, damaged, or of more than MAX_PIXELS.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder, not a picture", hint="name a picture in it")
    if require_file(path).stat().st_size == 0:
        raise FileError(f"{path}: the file is empty", hint="write or copy it anew")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are checked here
        try:
            with Image.open(path, formats=_readable()) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise _too_large(path, f"{picture.width} x {picture.height}")
                _note_frames(path, picture)
                picture.load()
                return _in_8_bits(ImageOps.exif_transpose(picture), path)
        except (FileError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(path, "far too many") from error
        except UnidentifiedImageError as error:
            raise FileError(f"{path} is no picture that can be read here", hint=_other_kind(path)) from error
        except Exception as error:  # each of Pillow's formats raises its own for damaged files
            reason = first_line(error)
            raise FileError(f"{path} is damaged: {reason}", hint="write or copy it anew") from error


def says_transparency(picture: Image.Image) -> bool:
    """Whether any pixel is not opaque."""
    return picture.mode == "RGBA" and int(picture.getchannel("A").getextrema()[0]) < 255  # type: ignore[arg-type]


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """A mask as "L": its transparency where it has any, else its greys; white is the object.

    Raises:
        FileError: as `read_picture`; or another size (width, height) than the picture's.
    """
    picture = read_picture(path)
    if picture.size != size:
        found, wanted = ("x".join(map(str, s)) for s in (picture.size, size))
        raise FileError(f"{path}: the mask is {found}, its picture {wanted}", hint="a mask has its picture's size")
    return picture.getchannel("A") if says_transparency(picture) else picture.convert("L")


def _in_8_bits(picture: Image.Image, path: Path) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _scaled(picture, path)
    if picture.mode in ("La", "RGBa"):  # premultiplied
        picture = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
    clear = "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA")
    return picture.convert("RGBA" if clear else "RGB")


def _scaled(picture: Image.Image, path: Path) -> Image.Image:
    """Grey levels of 16 bits, or floats from 0 to 1 or to 255, as "L"."""
    values = np.asarray(picture).astype(np.float64)
    if not np.isfinite(values).all() or values.min(initial=0) < 0:
        raise FileError(f"{path} holds values that are no grey levels", hint=_EXPORT)
    top = values.max(initial=0)
    full = 1.0 if picture.mode == "F" and top <= 1 else 255.0 if picture.mode in ("F", "I") and top <= 255 else 65535.0
    if top > full:
        raise FileError(f"{path} holds values up to {top:g}, more than 16 bits", hint=_EXPORT)
    return Image.fromarray((values / full * 255 + 0.5).astype(np.uint8), "L")


def _note_frames(path: Path, picture: Image.Image) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # the other frames of a phone's picture are no animation
        _log.warning("%s holds %d pictures, the first is taken", path.name, frames)
        picture.seek(0)


def _readable() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # AVIF is not in every build


def _too_large(path: Path, pixels: str) -> FileError:
    return FileError(
        f"{path}: {pixels} pixels; at most {MAX_PIXELS // 1_000_000} million are read",
        hint="scale it down first, 1024 pixels a side are enough",
    )


def _other_kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind in (".svg", ".svgz", ".pdf", ".eps", ".ai"):
        return f"{kind} holds drawings, not pixels: {_EXPORT}"
    return f"{_EXPORT}; read are {', '.join(SUFFIXES)}"
