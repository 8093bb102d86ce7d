"""Exporting objects: what is written, what a second run does, what one broken object costs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trellis_cli.data.index import DataFolder
from trellis_cli.data.manifest import split_of
from trellis_cli.data.sources import SourceObject
from trellis_cli.errors import FileError, SomeFailed, UsageError
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.representations.mesh import Material, TexturedMesh
from trellis_cli.stages.export_objects import export_objects, export_one, prepared

OBJ = """mtllib {0}.mtl
usemtl m
v 0 0 0
v 1 0 0
v 0 {1} 0
v 0 0 2
vt 0 0
vt 1 0
vt 0 1
f 1/1 2/2 3/3
f 1/1 2/2 4/3
"""


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    root = tmp_path / "meshes" / "chairs"
    root.mkdir(parents=True)
    for k, name in enumerate(("red_chair", "armchair-2")):
        (root / f"{name}.obj").write_text(OBJ.format(name, k + 1))
        (root / f"{name}.mtl").write_text("newmtl m\nKd 0.8 0.1 0.1\n")
    return root.parent


def bytes_under(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_objects_and_manifest(meshes, tmp_path):
    out = tmp_path / "data"
    summary = export_objects("folder", meshes, out)
    assert (summary.done, summary.kept, summary.failed) == (2, 0, 0)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [r["name"] for r in rows] == ["armchair", "red chair"] and rows[0]["category"] == "chairs"
    assert rows[0]["captions"][0] == "armchair" and "a red armchair" in rows[0]["captions"]
    for row in rows:
        path = out / "objects" / f"{row['id']}.glb"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["id"]
        assert np.isclose(np.ptp(read_mesh(path).vertices, axis=0)[1], 2)
    folder = DataFolder(out)
    assert folder.captions(rows[0]["id"]) == rows[0]["captions"] and folder.split(rows[0]["id"]) == rows[0]["split"]
    folder.close()


def test_again_does_nothing_and_in_parts_gives_the_same_bytes(meshes, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    export_objects("folder", meshes, whole)
    before = bytes_under(whole)
    assert export_objects("folder", meshes, whole).kept == 2
    assert bytes_under(whole) == before
    export_objects("folder", meshes, parts, num=1)
    assert export_objects("folder", meshes, parts).done == 1
    assert bytes_under(parts) == before
    next((parts / "objects").iterdir()).unlink()
    assert export_objects("folder", meshes, parts).done == 1  # a lost object is made anew
    assert bytes_under(parts) == before


def test_one_broken_object_costs_only_itself(meshes, tmp_path):
    (meshes / "broken.obj").write_text("v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n")
    out = tmp_path / "data"
    with pytest.raises(SomeFailed, match="1 of 3 objects failed"):
        export_objects("folder", meshes, out)
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 2
    ledger = json.loads((out / "export.ledger.jsonl").read_text())
    assert ledger["id"] == "broken.obj" and "not finite" in ledger["reason"]
    with pytest.raises(SomeFailed):  # still failed, not tried again
        export_objects("folder", meshes, out)
    (meshes / "broken.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert export_objects("folder", meshes, out, retry_failed=True).done == 1
    assert not (out / "export.ledger.jsonl").exists()


def test_wrong_calls(tmp_path):
    with pytest.raises(UsageError, match="no source 'shapenet'"):
        export_objects("shapenet", tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="needs the folder"):
        export_objects("0ad", None, tmp_path / "out")
    with pytest.raises(FileError, match="holds no mesh"):
        (tmp_path / "empty").mkdir()
        export_objects("folder", tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def triangle(texture: np.ndarray | None = None, scale: float = 1.0) -> TexturedMesh:
    vertices = scale * np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0)])
    material = Material(colour=(1.0, 1.0, 1.0, 1.0), texture=texture, alpha_mode="mask")
    uvs = np.array([[(0, 0), (1, 0), (0, 1)]], np.float32)
    return TexturedMesh(vertices, np.array([[0, 1, 2]], np.int32), np.zeros(1, np.int32), (material,), uvs=uvs)


def test_large_textures_shrink_and_keep_the_colour_under_their_mask():
    texture = np.zeros((300, 1200, 4), np.uint8)
    texture[..., 1] = 200  # green, with alpha 0 everywhere
    small = prepared(triangle(texture), "x").materials[0].texture
    assert small.shape == (128, 512, 4) and (small[..., 1] == 200).all() and (small[..., 3] == 0).all()
    little = np.zeros((4, 4, 4), np.uint8)
    assert prepared(triangle(little), "x").materials[0].texture is little


def test_meshes_that_no_stage_could_use():
    with pytest.raises(FileError, match="one point"):
        prepared(triangle(scale=0.0), "x")
    with pytest.raises(FileError, match="not finite"):
        prepared(triangle(scale=float("nan")), "x")


def test_textured_object_reads_back_as_it_was(tmp_path):
    (tmp_path / "objects").mkdir()
    texture = np.asarray(Image.new("RGBA", (8, 8), (10, 200, 30, 255)))
    source = SourceObject("s", "k", "leaf", "c", "leaf", "CC0-1.0", "", lambda: triangle(texture))
    row = export_one(source, tmp_path)
    assert row.colours == ["green"] and row.num_faces == 1
    back = read_mesh(tmp_path / "objects" / f"{row.id}.glb")
    assert np.allclose(np.sort(back.vertices, 0), np.sort(triangle().vertices, 0))
    assert (back.materials[0].texture == texture).all() and back.materials[0].alpha_mode == "mask"


def test_a_group_that_grows_into_a_general_word_moves_to_training_whole(tmp_path):
    word = next(f"{letter}thing" for letter in "abcdefghiklmnopqrstuvwxyz" if split_of(f"{letter}thing") == "test")
    root = tmp_path / "meshes"
    root.mkdir()
    for k in range(6):
        (root / f"{word}_{k}.obj").write_text(f"v 0 0 0\nv {k + 1} 0 0\nv 0 1 0\nf 1 2 3\n")
    splits = {}
    for num in (4, 6):
        export_objects("folder", root, tmp_path / "data", num=num)
        rows = [json.loads(line) for line in (tmp_path / "data" / "manifest.jsonl").read_text().splitlines()]
        splits[num] = [row["split"] for row in rows]
    assert splits == {4: ["test"] * 4, 6: ["train"] * 6}


def test_the_same_object_twice_is_one_row_with_both_names(meshes, tmp_path):
    chair = meshes / "chairs" / "red_chair.obj"
    (meshes / "chairs" / "seat.obj").write_text(chair.read_text())
    out = tmp_path / "data"
    assert export_objects("folder", meshes, out).done == 3
    before = bytes_under(out)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [(r["key"], r["aliases"]) for r in rows][1] == ("chairs/red_chair.obj", ["chairs/seat.obj"])
    assert len(rows) == 2 and {"red chair", "red seat"} <= set(rows[1]["captions"])
    assert export_objects("folder", meshes, out).kept == 3
    assert bytes_under(out) == before
