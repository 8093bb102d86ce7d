"""The object of a picture cut out of its background: by rembg where it is installed, or where the background is plain.

What is cut out is RGBA, with colours of the edge freed from the background that shone through.
"""

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage as _ndimage
from skimage.color import rgb2lab

from trellis_cli.errors import FileError, MissingError

ndimage: Any = _ndimage  # whose annotations name every overload at once
REMBG_MODEL = "u2net"  # as published
BORDER = 0.01  # of the shorter side: the frame from which the background's colour is read
# In Lab units, where about 2 is the least difference that an eye sees.
NOISE = (1.5, 6.0)  # the spread that a background is taken to have, at least, and may have, at most
NEAR = 4.0  # spreads within which a pixel has the background's colour
SAME = 2.0  # Lab units within which a hole's mean colour has to be: an object may be nearly as light as the wall
PLAIN = 0.75  # of the border has to have it; the object may leave the picture through the rest
SHADOW = 40.0  # the most that a shadow takes from the background's lightness, in Lab units
SOFT = 1.0  # Lab units of lightness a pixel of a picture 512 high: a shadow's slope is less, an edge's more
KEPT = 0.3  # of what stands out has to be left when shadows are taken away
HOLE = 0.002  # of the picture: background that shows through the object; anything smaller is the object's own colour
SPECK = 0.01  # of the largest piece: anything smaller that lies apart is dirt
HINT = (
    "give the outline: --mask mask.png, or a PNG with transparency; or `pip install 'trellis-slat[rembg]'` and "
    "--background rembg"
)


def cut_out_plain(picture: Image.Image) -> Image.Image:
    """An RGB picture before a plain background, as RGBA with the background transparent.

    The background is a surface of second order in Lab, fitted to the border so that an object which leaves the picture
    does not bend it: even colour, or light that falls off smoothly. What is near it and connected to the border is
    background, and so are large holes through the object, and soft shadows on it.

    Raises:
        FileError: the border is not plain, or all of the picture is.
    """
    rgb = np.asarray(picture, np.float64) / 255
    lab = rgb2lab(rgb)
    background, spread = _background(lab)
    away = lab - background
    del lab
    near = np.linalg.norm(away, axis=2) < NEAR * spread
    object_ = _object(near, away)
    without = _object(near | _shadow(away, near, spread), away)
    if without.sum() > KEPT * object_.sum():  # less is left of an object as light as its own shadow: better keep both
        object_ = without
    if not object_.any():
        raise FileError("nothing stands out from the background", hint=HINT)
    alpha, rgb = _soft_edge(rgb, object_, background)
    rgba = np.concatenate([rgb, alpha[..., None]], 2)
    return Image.fromarray((rgba * 255 + 0.5).astype(np.uint8), "RGBA")


def _background(lab: Float[np.ndarray, "h w 3"]) -> tuple[Float[np.ndarray, "h w 3"], float]:
    """The background's Lab colour at each pixel, and how far its pixels spread around it. Raises FileError."""
    height, width = lab.shape[:2]
    frame = max(1, round(BORDER * min(height, width)))
    border = np.ones((height, width), bool)
    border[frame : height - frame, frame : width - frame] = False
    rows, columns = np.nonzero(border)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), 20_000)).astype(int)  # evenly along the frame
    design = _monomials(rows[chosen] / height, columns[chosen] / width)
    colours = lab[rows[chosen], columns[chosen]]
    surface = np.zeros((design.shape[1], 3))
    surface[0] = np.median(colours, 0)
    for _ in range(20):  # least distances, by reweighted least squares: an object on the border pulls but little
        weights = 1 / np.maximum(np.linalg.norm(colours - design @ surface, axis=1), 0.5)
        left = design.T * weights
        surface = np.linalg.lstsq(left @ design + 1e-6 * np.eye(len(left)), left @ colours, rcond=None)[0]
    away = np.linalg.norm(colours - design @ surface, axis=1)
    spread = max(NOISE[0], float(np.median(away)))
    if spread > NOISE[1] or (away < NEAR * spread).mean() < PLAIN:
        raise FileError("the background is not plain: its colours differ along the picture's border", hint=HINT)
    grid = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    return _monomials(*grid) @ surface, spread


def _monomials(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], -1)


def _shadow(away: Float[np.ndarray, "h w 3"], near: Bool[np.ndarray, "h w"], spread: float) -> Bool[np.ndarray, "h w"]:
    """Where the background is darker, but of its own hue, and reached from where it is not across no edge.

    A shadow begins softly; an object, even a grey one before a grey wall, begins with an edge.
    """
    if min(near.shape) < 3:
        return np.zeros_like(near)
    hue = np.linalg.norm(away[..., 1:], axis=2) < NEAR * spread
    unit = min(near.shape) / 512
    light = ndimage.gaussian_filter(away[..., 0], 1.5 * max(1.0, unit))
    slope = np.hypot(*np.gradient(light)) * unit
    soft = near | (hue & (light < 0) & (light > -SHADOW) & (slope < SOFT))
    labels, count = ndimage.label(soft)
    reached = np.zeros(count + 1, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reached[side] = True
    reached[0] = False
    shadow = reached[labels] & ~near
    # the object's edge, smoothed, holds this a few pixels off the object: those are taken too
    rim = ndimage.binary_dilation(shadow, iterations=max(2, round(3 * unit)))
    return shadow | (rim & hue & (away[..., 0] < 0) & (away[..., 0] > -SHADOW))


def _object(near: Bool[np.ndarray, "h w"], away: Float[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """The object's pixels, given those near the background's colour, of which some are the object's own, and how far
    each is from it in Lab."""
    labels, count = ndimage.label(near)
    size = ndimage.sum_labels(near, labels, np.arange(count + 1))
    outside = np.zeros(count + 1, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[side] = True
    means = [ndimage.sum_labels(away[..., k], labels, np.arange(count + 1)) / np.maximum(size, 1) for k in range(3)]
    outside |= (size >= HOLE * near.size) & (np.linalg.norm(means, axis=0) < SAME)
    outside[0] = False
    object_ = ~outside[labels]
    pieces, count = ndimage.label(object_, np.ones((3, 3)))
    size = ndimage.sum_labels(object_, pieces, np.arange(count + 1))
    size[0] = 0
    return (size >= max(4, SPECK * size.max()))[pieces] & object_


def _soft_edge(
    rgb: Float[np.ndarray, "h w 3"], object_: Bool[np.ndarray, "h w"], background_lab: Float[np.ndarray, "h w 3"]
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """(alpha, colours). In a band of two pixels along the outline a pixel is a mix of background and object:

    alpha is where it stands between the background's colour and that of the nearest pixel inside, whose colour it gets.
    """
    inside = ndimage.binary_erosion(object_, iterations=2, border_value=1)
    alpha = object_.astype(np.float64)
    if not inside.any():
        return alpha, rgb
    band = ndimage.binary_dilation(object_) & ~inside
    rows, columns = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)[:, band]
    far = np.hypot(*(a - b for a, b in zip((rows, columns), np.nonzero(band), strict=True))) > 4  # thin parts
    nearest = rgb[rows, columns]
    behind = _srgb(background_lab[band])
    along = nearest - behind
    mix = ((rgb[band] - behind) * along).sum(1) / np.maximum((along**2).sum(1), 1e-6)
    mix = np.where(far, object_[band], mix.clip(0, 1))
    alpha[band] = mix
    out = rgb.copy()
    out[band] = np.where(far[:, None], rgb[band], nearest)
    return alpha, out


def _srgb(lab: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    import warnings

    from skimage.color import lab2rgb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fitted colour may lie a little outside sRGB, and is then clipped
        return np.asarray(lab2rgb(lab))


def rembg_weights() -> Path:
    """Where rembg keeps the network's file: newer releases of it in one folder, older ones in another."""
    env = os.environ
    old = Path(env.get("U2NET_HOME") or Path(env.get("XDG_DATA_HOME") or "~") / ".u2net")
    base = Path(env["XDG_DATA_HOME"]) / "rembg" if env.get("XDG_DATA_HOME") else Path("~/.rembg")
    home = old if env.get("U2NET_HOME") else Path(env.get("REMBG_HOME") or base)
    file = f"{REMBG_MODEL}.onnx"
    places = [place.expanduser() for place in (home / "models" / REMBG_MODEL / file, old / file)]
    return next((place for place in places if place.is_file()), places[0])


def has_rembg() -> bool:
    """Whether rembg can run here without fetching anything."""
    return find_spec("rembg") is not None and rembg_weights().is_file()


def cut_out_by_rembg(picture: Image.Image) -> Image.Image:
    """An RGB picture cut out by rembg's u2net, as the published code does it.

    Raises:
        MissingError: rembg is not installed, or its network is not on this machine.
    """
    if find_spec("rembg") is None:
        raise MissingError("rembg is not installed", hint="pip install rembg[cpu], or --background plain, or --mask")
    if not rembg_weights().is_file():
        fetch = f"import rembg; rembg.new_session('{REMBG_MODEL}')"
        raise MissingError(f"rembg's network {rembg_weights()} is not there", hint=f'python -c "{fetch}" fetches it')
    rembg: Any = importlib.import_module("rembg")
    return rembg.remove(picture, session=rembg.new_session(REMBG_MODEL)).convert("RGBA")
