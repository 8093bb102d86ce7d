"""Pictures of every kind that users have: each is read as it looks, or refused in a sentence."""

import logging
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trellis_cli.errors import FileError
from trellis_cli.io.picture_files import read_mask, read_picture, says_transparency

RED, CLEAR = (200, 30, 10), (0, 0, 0, 0)


def half_red(mode: str = "RGB") -> Image.Image:
    """24 x 16: the left half red, the right half white."""
    picture = Image.new("RGB", (24, 16), "white")
    picture.paste(RED, (0, 0, 12, 16))
    return picture.quantize() if mode == "P" else picture.convert(mode)


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


LOSSLESS = [
    ("x.png", "RGB", {}), ("x.png", "RGBA", {}), ("x.png", "P", {}), ("x.webp", "RGB", {"lossless": True}),
    ("x.bmp", "RGB", {}), ("x.tiff", "RGB", {}), ("x.tif", "CMYK", {}), ("x.gif", "RGB", {}), ("x.ppm", "RGB", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mode", "options"), LOSSLESS)
def test_colours_survive(tmp_path: Path, name: str, mode: str, options: dict[str, object]) -> None:
    got = read_picture(saved(tmp_path / name, half_red(mode), **options))
    assert got.size == (24, 16) and got.mode in ("RGB", "RGBA") and not says_transparency(got)
    pixels = np.asarray(got.convert("RGB")).astype(int)
    assert abs(pixels[:, :12] - RED).max() <= 3 and (pixels[:, 12:] > 250).all()


@pytest.mark.parametrize(("name", "mode"), [("x.jpg", "RGB"), ("x.jpg", "CMYK"), ("x.jpg", "L"), ("x.avif", "RGB")])
def test_lossy_ones_nearly(tmp_path: Path, name: str, mode: str) -> None:
    got = read_picture(saved(tmp_path / name, half_red(mode), quality=95))
    want = np.asarray(half_red(mode).convert("RGB")).astype(int)
    assert got.mode == "RGB" and abs(np.asarray(got).astype(int) - want).mean() < 6


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "I", "F"])
def test_greys_of_every_depth(tmp_path: Path, mode: str) -> None:
    levels = np.repeat(np.linspace(0, 1, 5), 2)[None].repeat(4, 0)
    whole = {"I;16": (levels * 65535).astype(np.uint16), "I": (levels * 65535).astype(np.int32),
             "F": levels.astype(np.float32)}  # fmt: skip
    picture = Image.fromarray(whole[mode]) if mode in whole else Image.fromarray((levels * 255).astype(np.uint8))
    got = np.asarray(read_picture(saved(tmp_path / "x.tif", picture.convert(mode) if mode == "1" else picture)))
    assert got.shape == (4, 10, 3)
    if mode != "1":
        assert abs(got[..., 0] - levels * 255).max() <= 1


def test_16_bit_colour(tmp_path: Path) -> None:
    """A PNG of 16 bits a channel, written by hand: Pillow writes none."""
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 0, 257 * 128, 0, 65535, 0) for _ in range(2))
    (tmp_path / "x.png").write_bytes(_png(2, 2, depth=16, colour=2, data=rows))
    assert np.asarray(read_picture(tmp_path / "x.png"))[0].tolist() == [[255, 0, 128], [0, 255, 0]]


def _png(width: int, height: int, *, depth: int, colour: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_transparency_of_every_kind(tmp_path: Path) -> None:
    rgba = half_red("RGBA")
    rgba.paste(CLEAR, (12, 0, 24, 16))
    palette = half_red("P")
    white = palette.getpixel((20, 3))
    files = [
        saved(tmp_path / "rgba.png", rgba),
        saved(tmp_path / "la.png", rgba.convert("LA")),
        saved(tmp_path / "p.png", palette, transparency=white),
        saved(tmp_path / "p.gif", palette, transparency=white),
        saved(tmp_path / "rgb.png", half_red(), transparency=(255, 255, 255)),
        saved(tmp_path / "x.webp", rgba, lossless=True),
    ]
    for path in files:
        got = read_picture(path)
        assert got.mode == "RGBA" and says_transparency(got), path
        assert got.getpixel((3, 3))[3] == 255 and got.getpixel((20, 3))[3] == 0, path  # type: ignore[index]


def test_exif_turns_it_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: show it turned right
    got = read_picture(saved(tmp_path / "x.jpg", half_red(), exif=exif, quality=95))
    assert got.size == (16, 24)
    red, white = got.getpixel((8, 3)), got.getpixel((8, 20))
    assert red[1] < 60 and white[1] > 240  # type: ignore[index]


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.tif", "x.webp"])
def test_the_first_picture_of_many(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = [half_red(), Image.new("RGB", (24, 16), "blue"), Image.new("RGB", (24, 16), "green")]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING):
        red = read_picture(path).convert("RGB").getpixel((3, 3))
    assert red[0] > 150 and red[2] < 60  # type: ignore[index,operator]
    assert [r.message for r in caplog.records] == [f"{name} holds 3 pictures, the first is taken"]


def _jpeg() -> bytes:
    whole = BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "JPEG")
    return whole.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
REFUSED = {
    "empty": ("x.png", b"", "the file is empty"),
    "words": ("x.png", b"hello", "no picture that can be read here"),
    "svg": ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that can be read here"),
    "runs a program": ("x.eps", EPS, "no picture that can be read here"),
    "truncated jpeg": ("x.jpg", _jpeg()[:-400], "is damaged"),
    "truncated png": ("x.png", _png(40, 40, depth=8, colour=2, data=bytes(121 * 40))[:50], "is damaged"),
    "30000 x 30000": ("x.png", _png(30000, 30000, depth=8, colour=0, data=b"\0"), "far too many"),
    "12000 x 12000": ("x.png", _png(12000, 12000, depth=8, colour=0, data=b"\0"), "12000 x 12000 pixels; at most 100"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    name, content, words = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=words) as caught:
        read_picture(tmp_path / name)
    assert name in caught.value.problem and caught.value.hint


def test_no_file_or_a_folder(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "none.png", "no such file")):
        with pytest.raises(FileError, match=words):
            read_picture(path)


def test_floats_that_are_no_greys(tmp_path: Path) -> None:
    for k, value in enumerate((np.nan, -1.0, 1e6)):
        path = saved(tmp_path / f"{k}.tif", Image.fromarray(np.full((4, 4), value, np.float32)))
        with pytest.raises(FileError, match="holds values"):
            read_picture(path)


def test_masks(tmp_path: Path) -> None:
    grey = Image.new("L", (24, 16), 0)
    grey.paste(255, (0, 0, 12, 16))
    clear = Image.new("RGBA", (24, 16), (9, 9, 9, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 12, 16))
    for path in (saved(tmp_path / "grey.png", grey), saved(tmp_path / "clear.png", clear)):
        mask = read_mask(path, (24, 16))
        assert mask.mode == "L" and (mask.getpixel((3, 3)), mask.getpixel((20, 3))) == (255, 0)
    with pytest.raises(FileError, match="the mask is 24x16, its picture 16x24"):
        read_mask(tmp_path / "grey.png", (16, 24))
