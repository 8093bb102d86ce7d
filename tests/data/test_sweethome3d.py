"""SweetHome3D's libraries, on a tiny one made here: names, licences, escapes, the turn, the axes, what is broken."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from trellis_cli.data.sources import plain_words
from trellis_cli.data.sources.sweethome3d import list_objects, read_catalogue
from trellis_cli.errors import FileError

CATALOGUE = """# a comment = not an entry
id=Test#Models
name=Test catalogue
license=Creative Commons Attribution 3.0 license
name#2=Letters box
model#2=/lib/box/box.obj
category#2=Exterior
tags#2=Tree, Test
creator#2=Jos\\u00e9
name#1=Armchair
model#1=/lib/chair/chair.obj
category#1=Living room
creator#1=K\xf6nig
modelRotation#1=1 0 0 0 0 1 0 -1 0
name#3=Bookcase
model#3=/lib/gone/gone.obj
category#3=Living room
"""
# 1 wide (x), 2 high (y up), 3 deep (z towards the viewer): told apart on every axis.
OBJ = "mtllib m.mtl\nusemtl red\nv 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 2 3\nf 1 2 4\n"
MTL = "newmtl red\nKd 1 0 0\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "usr" / "Test.sh3f"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE.encode("latin-1"))
        for name in ("chair", "box"):
            archive.writestr(f"lib/{name}/{name}.obj", OBJ)
            archive.writestr(f"lib/{name}/m.mtl", MTL)
    return tmp_path


def test_lists_in_catalogue_order_with_english_names(library):
    chair, box, bookcase = list_objects(library)
    assert (chair.name, chair.category, chair.key) == ("armchair", "living room", "Test/lib/chair/chair.obj")
    assert (box.name, box.synonyms) == ("letter box", ("tree",))
    assert bookcase.synonyms == ("bookshelf",)
    assert chair.licence == "CC-BY-3.0"
    assert "König" in chair.credit and "José" in box.credit


def test_a_public_domain_library_says_so():
    header, rows = read_catalogue(b"license=Public domain\nname#7=TV 16:9\n")
    assert header == {"license": "Public domain"} and rows == {7: {"name": "TV 16:9"}}


def test_plain_models_go_from_y_up_to_z_up(library):
    mesh = list_objects(library)[1].load()
    assert np.allclose(mesh.vertices.min(0), [0, -3, 0]) and np.allclose(mesh.vertices.max(0), [1, 0, 2])
    assert mesh.materials[mesh.face_materials[0]].colour[:3] == (1, 0, 0)


def test_the_catalogues_turn_comes_first(library):
    """(x, y, z) -> (x, z, -y) by the turn: 3 high, 2 deep; then the axes."""
    mesh = list_objects(library)[0].load()
    assert np.allclose(np.ptp(mesh.vertices, axis=0), [1, 2, 3])
    assert np.allclose(mesh.vertices.max(0), [1, 2, 3])


def test_what_is_missing_is_named(library, tmp_path):
    with pytest.raises(FileError, match=r"its model /lib/gone/gone\.obj is missing"):
        list_objects(library)[2].load()
    with pytest.raises(FileError, match="no .sh3f library"):
        list_objects(tmp_path / "nowhere")
    (tmp_path / "bad.sh3f").write_bytes(b"PK no")
    with pytest.raises(FileError, match="not a furniture library"):
        list_objects(tmp_path)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Red_chair-02", "red chair"),
        ("oakTable", "oak table"),
        ("Café Hôi", "cafe hoi"),
        ("42", "42"),
        ("3 cups", "3 cups"),
    ],
)
def test_plain_words(label, words):
    assert plain_words(label) == words
