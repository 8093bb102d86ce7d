"""Objects cut out of plain backgrounds: held to the outline they were drawn with."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from trellis_cli.data import background
from trellis_cli.data.background import cut_out_by_rembg, cut_out_plain, has_rembg
from trellis_cli.errors import FileError, MissingError

SIZE = 200


def ring(draw: ImageDraw.ImageDraw, scale: int) -> None:
    draw.ellipse([40 * scale, 40 * scale, 160 * scale, 160 * scale], fill=255)
    draw.ellipse([80 * scale, 80 * scale, 120 * scale, 120 * scale], fill=0)


def chair(draw: ImageDraw.ImageDraw, scale: int) -> None:
    for box in ((60, 30, 70, 120), (60, 100, 140, 120), (60, 120, 66, 180), (134, 120, 140, 180)):
        draw.rectangle([v * scale for v in box], fill=255)


def cut_by_the_border(draw: ImageDraw.ImageDraw, scale: int) -> None:
    draw.rectangle([v * scale for v in (70, 90, 130, 200)], fill=255)


def outline(shape: Callable[[ImageDraw.ImageDraw, int], None]) -> np.ndarray:
    """Coverage [h, w] in [0, 1], antialiased."""
    large = Image.new("L", (4 * SIZE, 4 * SIZE))
    shape(ImageDraw.Draw(large), 4)
    return np.asarray(large.resize((SIZE, SIZE), Image.Resampling.BOX)) / 255


def plain(rng: np.random.Generator) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), (235.0, 235.0, 230.0))


def falling_light(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    return np.array((180.0, 200.0, 220.0)) * (1 - 0.9 * (x**2 + y**2) - 0.2 * y)[..., None]


def noisy(rng: np.random.Generator) -> np.ndarray:
    return plain(rng) - 20 + rng.normal(0, 4, (SIZE, SIZE, 3))


def picture(back: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A textured object, some of whose pixels have the background's colour."""
    front = np.array((150.0, 60.0, 40.0)) + rng.normal(0, 12, (SIZE, SIZE, 1))
    front[95:99, 62:68] = back[95:99, 62:68]
    return Image.fromarray((front * alpha[..., None] + back * (1 - alpha[..., None])).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("shape", [ring, chair, cut_by_the_border])
@pytest.mark.parametrize("back", [plain, falling_light, noisy])
@pytest.mark.parametrize("compressed", [False, True])
def test_outlines(tmp_path: Path, shape, back, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    alpha = outline(shape)
    whole = picture(back(rng), alpha, rng)
    if compressed:
        whole.save(tmp_path / "x.jpg", quality=85)
        whole = Image.open(tmp_path / "x.jpg").convert("RGB")
    got = np.asarray(cut_out_plain(whole)).astype(float)
    found = got[..., 3] / 255
    inside, outside = alpha > 0.99, alpha < 0.01
    assert ((found > 0.5) & inside).sum() >= 0.995 * inside.sum()
    assert ((found > 0.5) & outside).sum() <= 0.01 * inside.sum()  # JPEG blurs what is six pixels wide
    assert abs(found - alpha).mean() < 0.01
    edge = (found > 0.2) & (alpha < 0.8) & (alpha > 0.2)  # no halo of the background's colour
    assert got[edge][:, 0].mean() < 175


def test_what_stands_apart_and_is_large_stays(rng=np.random.default_rng(1)) -> None:  # noqa: B008
    alpha = np.zeros((SIZE, SIZE))
    alpha[50:150, 40:90] = alpha[50:150, 110:160] = 1  # a pair
    alpha[10:12, 10:12] = 1  # dirt
    found = np.asarray(cut_out_plain(picture(plain(rng), alpha, rng)))[..., 3] > 127
    assert found[100, 60] and found[100, 140] and not found[11, 11]


def test_backgrounds_that_are_not_plain(rng=np.random.default_rng(2)) -> None:  # noqa: B008
    floor = plain(rng)
    floor[SIZE // 2 :] = (90, 60, 30)
    noise = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    grass = np.asarray(Image.fromarray(noise).filter(ImageFilter.BoxBlur(2)))
    for back in (floor.astype(np.uint8), noise, grass):
        with pytest.raises(FileError, match="the background is not plain") as caught:
            cut_out_plain(Image.fromarray(back))
        assert "--mask" in caught.value.hint and "rembg" in caught.value.hint


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 200), (64, 64)])
def test_nothing_but_background(size: tuple[int, int]) -> None:
    with pytest.raises(FileError, match="nothing stands out"):
        cut_out_plain(Image.new("RGB", size, (200, 210, 220)))


def test_rembg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a module that stands in for it: asked with its own network, and only where nothing has to be fetched."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setattr(background, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="rembg is not installed"):
        cut_out_by_rembg(Image.new("RGB", (4, 4)))
    monkeypatch.setattr(background, "find_spec", lambda name: name)
    with pytest.raises(MissingError, match="u2net.onnx is not there") as caught:
        cut_out_by_rembg(Image.new("RGB", (4, 4)))
    assert "new_session('u2net')" in caught.value.hint and not has_rembg()
    newer, older = tmp_path / "models" / "u2net" / "u2net.onnx", tmp_path / "u2net.onnx"
    newer.parent.mkdir(parents=True)
    newer.write_bytes(b"weights")
    assert has_rembg()
    newer.replace(older)
    stand_in = ModuleType("rembg")
    stand_in.new_session = lambda name: f"session of {name}"  # type: ignore[attr-defined]

    def remove(picture: Image.Image, *, session: str) -> Image.Image:
        assert session == "session of u2net"
        picture = picture.copy()
        picture.putalpha(7)
        return picture

    stand_in.remove = remove  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rembg", stand_in)
    assert has_rembg()
    assert cut_out_by_rembg(Image.new("RGB", (4, 4))).getpixel((0, 0)) == (0, 0, 0, 7)


@pytest.mark.parametrize("grey", [60.0, 120.0, 170.0])
def test_a_soft_shadow_is_background_and_a_grey_object_is_not(grey):
    rng = np.random.default_rng(0)
    size = 400
    alpha = np.zeros((size, size))
    alpha[120:300, 140:260] = 1
    blot = Image.new("L", (size, size))
    ImageDraw.Draw(blot).ellipse([110, 270, 290, 330], fill=75)
    shadow = np.asarray(blot.filter(ImageFilter.GaussianBlur(14)))[..., None] / 255
    pixels = 215 * (1 - shadow) * (1 - alpha[..., None]) + grey * alpha[..., None] + rng.normal(0, 2, (size, size, 3))
    found = np.asarray(cut_out_plain(Image.fromarray(pixels.clip(0, 255).astype(np.uint8))))[..., 3] / 255
    object_, wall = alpha == 1, ndimage.binary_dilation(alpha > 0, iterations=6) == 0
    assert shadow[wall].max() > 0.15  # there is one to be taken away
    assert (found[object_] > 0.5).mean() > 0.99
    if grey < 150:  # a lighter one has its shadow's grey somewhere along its edge, and keeps it
        assert (found[wall] > 0.5).mean() < 0.002


def test_a_part_nearly_as_light_as_the_wall_is_no_hole():
    rng = np.random.default_rng(0)
    pixels = np.full((SIZE, SIZE, 3), 200.0)
    pixels[40:160, 40:160] = (40, 90, 200)
    pixels[80:120, 60:140] = 212  # a bumper
    pixels += rng.normal(0, 1.5, pixels.shape)
    alpha = np.asarray(cut_out_plain(Image.fromarray(pixels.clip(0, 255).astype(np.uint8))))[..., 3]
    assert (alpha[45:155, 45:155] > 127).mean() > 0.99 and (alpha[:35] > 127).mean() < 0.01
