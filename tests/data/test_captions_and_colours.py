"""The words for colours, and captions made of names and colours."""

import numpy as np
import pytest

from trellis_cli.data.captions import captions_of, with_article
from trellis_cli.data.colour_words import WORDS, colour_words, dominant_colours
from trellis_cli.data.manifest import split_of
from trellis_cli.data.sources import SourceObject
from trellis_cli.representations.mesh import Material, TexturedMesh

NAMED = {
    "red": (0.8, 0.1, 0.1), "blue": (0.12, 0.3, 0.8), "green": (0.14, 0.56, 0.2), "yellow": (0.96, 0.82, 0.12),
    "white": (0.95, 0.95, 0.93), "black": (0.09, 0.09, 0.1), "grey": (0.52, 0.53, 0.54), "brown": (0.4, 0.24, 0.12),
    "orange": (0.94, 0.48, 0.07), "purple": (0.48, 0.18, 0.64), "pink": (0.96, 0.56, 0.7), "beige": (0.87, 0.78, 0.62),
}  # fmt: skip


def square(*materials: Material, sizes: tuple[float, ...]) -> TexturedMesh:
    """Right triangles with legs of the given sizes, a material each."""
    vertices = np.concatenate([[(3 * i, 0, 0), (3 * i + s, 0, 0), (3 * i, s, 0)] for i, s in enumerate(sizes)])
    faces = np.arange(3 * len(sizes), dtype=np.int32).reshape(-1, 3)
    uvs = np.tile(np.array([(0, 0), (1, 0), (0, 1)], np.float32), (len(sizes), 1, 1))
    return TexturedMesh(vertices.astype(float), faces, np.arange(len(sizes), dtype=np.int32), materials, uvs=uvs)


@pytest.mark.parametrize("word", NAMED)
def test_plain_colours_have_their_names(word):
    assert colour_words(np.array([NAMED[word]])).tolist() == [word]
    assert word in WORDS


def test_every_colour_has_a_word_of_the_list():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 12)] * 3), -1).reshape(-1, 3)
    words = set(colour_words(grid).tolist())
    assert words == set(WORDS)


def test_dominant_colours_go_by_area():
    red, blue = (Material(colour=(*NAMED[w], 1.0)) for w in ("red", "blue"))
    assert dominant_colours(square(red, blue, sizes=(2.0, 0.5))) == ("red",)
    assert dominant_colours(square(red, blue, sizes=(1.0, 1.4))) == ("blue", "red")
    many = [Material(colour=(*NAMED[w], 1.0)) for w in ("red", "blue", "green")]
    assert dominant_colours(square(*many, sizes=(1.0, 1.0, 1.0))) == ()


def test_textures_and_cut_outs_count():
    texture = np.zeros((2, 2, 4), np.uint8)
    texture[0] = (30, 80, 200, 0)  # top row, v > 0.5: blue, cut out
    texture[1] = (200, 30, 30, 255)
    skin = Material(colour=(1.0, 1.0, 1.0, 1.0), texture=texture, alpha_mode="mask")
    assert dominant_colours(square(skin, sizes=(1.0,))) == ("red",)
    opaque = Material(colour=(1.0, 1.0, 1.0, 1.0), texture=texture)
    assert dominant_colours(square(opaque, sizes=(1.0,))) == ("red", "blue")


def item(name: str, **extra) -> SourceObject:
    return SourceObject("s", "k", name, "c", name, "CC0-1.0", "", lambda: square(sizes=()), **extra)


def test_captions_from_the_name_to_the_longest():
    got = captions_of(item("sofa", synonyms=("couch",)), ("red", "white"))
    assert got[0] == "sofa"
    assert {"a sofa", "couch", "red sofa", "a red sofa", "red couch", "a red and white sofa"} <= set(got)
    assert len(got) == len(set(got))
    assert captions_of(item("black table"), ("brown",)) == ["black table", "a black table"]
    own = item("toy", captions=("oak tree", "an oak tree", "oak tree"))
    assert captions_of(own, ("red",)) == ["oak tree", "an oak tree"]


def test_articles():
    got = [with_article(word) for word in ("oak", "glass", "glasses", "house")]
    assert got == ["an oak", "a glass", "glasses", "a house"]


def test_split_is_by_group_and_keeps_general_words_in_training():
    names = [f"group {i}" for i in range(2000)]
    share = sum(split_of(n) == "test" for n in names) / len(names)
    assert 0.06 < share < 0.10
    held_out = next(n for n in names if split_of(n) == "test")
    assert split_of(held_out, 4) == "test" and split_of(held_out, 5) == "train"
