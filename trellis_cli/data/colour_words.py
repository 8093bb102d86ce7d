"""The colour a person would name: of one sRGB colour, and of a whole textured mesh."""

import numpy as np

from trellis_cli.representations.mesh import TexturedMesh

NUM_POINTS = 4096
MAIN_SHARE = 0.45  # of the surface, for a colour to be that of the object
SECOND_SHARE = 0.22

# (hue up to, degrees) -> word for a saturated colour of that hue; the first entry closes the circle again.
_HUES = ((14, "red"), (40, "orange"), (68, "yellow"), (168, "green"), (258, "blue"), (292, "purple"), (342, "pink"))
WORDS = ("black", "white", "grey", "brown", "beige", "red", "orange", "yellow", "green", "blue", "purple", "pink")


def colour_words(colours: np.ndarray) -> np.ndarray:
    """A word of WORDS for each sRGB colour in [0, 1], [n, 3] -> [n] of str.

    Rules on hue, saturation and value; dark or dull orange and yellow are brown, pale ones beige.
    """
    high, low = colours.max(1), colours.min(1)
    chroma = high - low
    saturation = chroma / np.maximum(high, 1e-6)
    hue = _hue(colours, high, chroma)
    words = np.full(len(colours), "red", dtype="<U6")
    for limit, word in reversed(_HUES):
        words[hue < limit] = word
    words[hue >= _HUES[-1][0]] = "red"
    warm = (hue < 68) | (hue >= 342)
    words[warm & (hue < 342) & (high < 0.68) & (hue >= 10)] = "brown"
    words[warm & (hue >= 10) & (hue < 342) & (saturation < 0.62) & (high < 0.78)] = "brown"
    words[warm & ((hue < 10) | (hue >= 342)) & (saturation < 0.6) & (high < 0.55)] = "brown"
    words[warm & (hue >= 10) & (hue < 342) & (saturation < 0.42) & (high >= 0.68)] = "beige"
    words[((hue < 14) | (hue >= 300)) & (saturation < 0.5) & (high >= 0.78)] = "pink"
    dull = (saturation < 0.14) | (chroma < 0.07)
    words[dull & (high >= 0.8)] = "white"
    words[dull & (high < 0.8)] = "grey"
    words[(high < 0.12) | ((high < 0.2) & (saturation < 0.45)) | (dull & (high < 0.27))] = "black"
    return words


def _hue(colours: np.ndarray, high: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Degrees in [0, 360); 0 for greys."""
    r, g, b = colours.T
    safe = np.maximum(chroma, 1e-6)
    sextant = np.where(high == r, ((g - b) / safe) % 6, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4))
    return np.where(chroma > 1e-6, 60 * sextant, 0.0)


def dominant_colours(mesh: TexturedMesh) -> tuple[str, ...]:
    """The object's colour, then perhaps a second one that also covers much of it; empty where no colour rules."""
    words, counts = np.unique(colour_words(surface_colours(mesh)), return_counts=True)
    if not counts.sum():
        return ()
    shares = counts / counts.sum()
    order = np.argsort(-shares, kind="stable")
    if shares[order[0]] < MAIN_SHARE:
        return ()
    second = [str(words[i]) for i in order[1:2] if shares[i] >= SECOND_SHARE]
    return (str(words[order[0]]), *second)


def surface_colours(mesh: TexturedMesh, num: int = NUM_POINTS) -> np.ndarray:
    """Base colours [m, 3] in [0, 1] at `num` points spread evenly over the surface, less those that are cut out."""
    corners = mesh.vertices[mesh.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    ends = np.cumsum(areas)
    if not len(ends) or not ends[-1] > 0:
        return np.zeros((0, 3))
    rng = np.random.default_rng(0)
    picks = np.searchsorted(ends, (np.arange(num) + rng.random(num)) / num * ends[-1]).clip(max=len(ends) - 1)
    a, b = np.sort(rng.random((2, num)), axis=0)
    weights = np.stack([a, b - a, 1 - b], 1)
    colours = np.ones((num, 4))
    of_face = mesh.face_materials[picks]
    for index in np.unique(of_face):
        here, material = of_face == index, mesh.materials[int(index)]
        colours[here] *= material.colour
        if material.texture is not None and mesh.uvs is not None:
            uv = np.einsum("nk,nkc->nc", weights[here], mesh.uvs[picks[here]])
            colours[here] *= _texels(material.texture, uv) / 255
        if material.alpha_mode == "opaque":
            colours[here, 3] = 1
    if mesh.vertex_colours is not None:
        colours *= np.einsum("nk,nkc->nc", weights, mesh.vertex_colours[mesh.faces[picks]])
    return colours[colours[:, 3] >= 0.5, :3]


def _texels(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The nearest texels, repeating; v = 0 is the bottom row."""
    height, width = texture.shape[:2]
    u, v = np.nan_to_num(uv).T % 1.0
    return texture[((1 - v) * height).astype(int).clip(0, height - 1), (u * width).astype(int).clip(0, width - 1)]
