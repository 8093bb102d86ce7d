"""The sets that the paper trains on, each as a small stand-in of its published layout: found, named, licensed, read."""

import csv
import errno
import gzip
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.tiny_world import trellis
from trellis_cli.data import toybox
from trellis_cli.io.glb import textured_glb
from trellis_cli.io.stage_files import open_stage
from trellis_cli.stages.export_objects import list_source

OBJ = "mtllib model.mtl\nusemtl wood\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 {z}\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
MTL = "newmtl wood\nKd 0.6 0.4 0.2\n"
CAPTIONS = ["A small wooden chair with a high back and four legs.", "wooden chair", "chair"]


def glb(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(textured_glb(toybox.make("chair", seed).mesh))
    return path


def obj(folder: Path, name: str, z: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.mtl").write_text(MTL)
    (folder / name).write_text(OBJ.format(z=z))
    return folder / name


def metadata(root: Path, *rows: dict) -> None:
    root.mkdir(parents=True, exist_ok=True)
    names = ["sha256", "file_identifier", "aesthetic_score", "captions", *({k for r in rows for k in r} - {"id"})]
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(names)))
        writer.writeheader()
        for row in rows:
            told = {"sha256": "0" * 64, "aesthetic_score": "5.9", "captions": json.dumps(CAPTIONS)}
            writer.writerow(told | {k: v for k, v in row.items() if k != "id"} | {"file_identifier": row["id"]})


def objaverse(root: Path) -> None:
    uid, other = "b74a3e5b9e6c4547b2692299fdd740c7", "8e95e24a076d4cb39519defe71d3b18b"
    glb(root / f"raw/hf-objaverse-v1/glbs/000-134/{uid}.glb", 1)
    inner = glb(root / "tmp/models/seat.glb", 2)
    (root / "raw/github/repos/alice").mkdir(parents=True)
    with zipfile.ZipFile(root / "raw/github/repos/alice/furniture.zip", "w") as archive:
        archive.write(inner, "models/seat.glb")
        archive.writestr("README.md", "seats")
    shutil.rmtree(root / "tmp")
    blob = "https://github.com/alice/furniture/blob/0123456789abcdef0123456789abcdef01234567/models/seat.glb"
    metadata(
        root, {"id": f"https://sketchfab.com/3d-models/{uid}", "license": "by"},
        {"id": f"https://sketchfab.com/3d-models/{other}"},  # not downloaded
        {"id": blob, "aesthetic_score": "5.5", "local_path": "raw/github/repos/alice/furniture.zip/models/seat.glb"},
    )  # fmt: skip


def abo(root: Path) -> None:
    for seed, name in enumerate(("B07B4D8Y8D", "B07B4DBBPY", "B07B4DNONE")):
        glb(root / f"3dmodels/original/{name[-1]}/{name}.glb", seed)
    listings = root / "listings/metadata"
    listings.mkdir(parents=True)
    names = [{"language_tag": "de_DE", "value": "Stuhl"}, {"language_tag": "en_US", "value": "Rivet Bar_Stool 24"}]
    line = {"3dmodel_id": "B07B4D8Y8D", "item_name": names, "product_type": [{"value": "STOOL_SEATING"}]}
    with gzip.open(listings / "listings_0.json.gz", "wt") as file:
        file.write(json.dumps(line) + "\n" + json.dumps({"item_id": "x"}) + "\n")


def future(root: Path) -> None:
    for z, name in ((1.0, "0a5a346b"), (2.0, "0b22c22a")):
        obj(root / "3D-FUTURE-model" / name, "raw_model.obj", z)
    info = [{"model_id": "0a5a346b", "super-category": "Chair", "category": "Lounge Chair", "style": "Modern"}]
    (root / "3D-FUTURE-model/model_info.json").write_text(json.dumps(info))
    metadata(root, {"id": "3D-FUTURE-model/0a5a346b"})


def hssd(root: Path) -> None:
    for seed, name in enumerate(("0a3f9c", "1b2e77")):
        glb(root / f"objects/{name[0]}/{name}.glb", seed)
    glb(root / "objects/decomposed/0a3f9c/0a3f9c_part_1.glb", 9)
    (root / "semantics").mkdir()
    (root / "semantics/objects.csv").write_text(
        "id,name,main_category\n0a3f9c,Cane Chair,chair\n1b2e77,,\n", encoding="utf-8"
    )


def toys4k(root: Path) -> None:
    for z, name in ((1.0, "hammer/hammer_075"), (2.0, "fox/fox_003")):
        obj(root / "toys4k_obj_files" / name, "mesh.obj", z)
    metadata(root, {"id": "hammer/hammer_075/hammer_075.blend", "aesthetic_score": "4.6", "captions": ""})


SETS = {  # what stands in for a set, and what each of its objects must be called: key, name, licence, score
    "objaverse-xl": (objaverse, [
        ("https://sketchfab.com/3d-models/b74a3e5b9e6c4547b2692299fdd740c7", "chair", "by", 5.9),
        ("https://github.com/alice/furniture/blob/0123456789abcdef0123456789abcdef01234567/models/seat.glb", "chair",
         "unknown", 5.5),
    ]),
    "abo": (abo, [
        ("D/B07B4D8Y8D.glb", "rivet bar stool", "CC-BY-4.0", None), ("E/B07B4DNONE.glb", "object", "CC-BY-4.0", None),
        ("Y/B07B4DBBPY.glb", "object", "CC-BY-4.0", None),
    ]),
    "3d-future": (future, [("0a5a346b", "lounge chair", "3D-FUTURE-terms", 5.9)]),
    "hssd": (hssd, [
        ("0/0a3f9c.glb", "cane chair", "CC-BY-NC-4.0", None), ("1/1b2e77.glb", "object", "CC-BY-NC-4.0", None),
    ]),
    "toys4k": (toys4k, [("hammer/hammer_075", "hammer", "various", 4.6)]),
}  # fmt: skip


@pytest.mark.parametrize("source", SETS)
def test_a_set_is_read_as_published(source: str, tmp_path: Path) -> None:
    """Listed with names, licences and scores; its meshes open; the manifest leads the stages to them."""
    make, wanted = SETS[source]
    make(tmp_path / "set")
    items = list_source(source, tmp_path / "set")
    assert [(i.key, i.name, i.licence, i.score) for i in items] == wanted
    assert all(len(item.load().faces) for item in items)
    manifest, out = tmp_path / "index" / "manifest.jsonl", tmp_path / "voxels.h5"
    told = json.loads(trellis("data", "index", source, tmp_path / "set", "-o", manifest, "--json"))
    assert told["rows"] == told["files"] == len(wanted)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert {(r["key"], r["licence"]) for r in rows} == {(key, licence) for key, _, licence, _ in wanted}
    trellis("voxelize", manifest, "-o", out, "--resolution", 16)
    with open_stage(out) as file:
        assert sorted(file.group("voxels").ids) == sorted(r["id"] for r in rows)
    trellis("data", "export", source, tmp_path / "set", "-o", tmp_path / "data")
    assert len((tmp_path / "data/manifest.jsonl").read_text().splitlines()) == len(wanted)


def test_published_captions_and_scores_travel(tmp_path: Path) -> None:
    objaverse(tmp_path / "set")
    manifest = tmp_path / "manifest.jsonl"
    trellis("data", "index", "objaverse-xl", tmp_path / "set", "-o", manifest, "--min-score", 5.7)
    [row] = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert row["captions"] == CAPTIONS and row["score"] == 5.9
    digest = hashlib.sha256(next((tmp_path / "set").rglob("*.glb")).read_bytes()).hexdigest()
    assert row["id"] == digest


def test_licences_filter(tmp_path: Path) -> None:
    abo(tmp_path / "set")
    manifest = tmp_path / "manifest.jsonl"
    trellis("data", "index", "abo", tmp_path / "set", "-o", manifest, "--licence", "cc0*", code=2)
    assert not manifest.exists()
    trellis("data", "index", "abo", tmp_path / "set", "-o", manifest, "--licence", "cc0*", "--licence", "cc-by-4*")
    assert len(manifest.read_text().splitlines()) == 3
    trellis("data", "index", "abo", tmp_path / "set", "-o", manifest)
    assert len(manifest.read_text().splitlines()) == 3
    assert "done already" in trellis("data", "index", "abo", tmp_path / "set", "-o", manifest)
    manifest.write_text("mine")
    trellis("data", "index", "abo", tmp_path / "set", "-o", manifest, code=2)
    assert manifest.read_text() == "mine"


def test_objects_without_a_file_are_counted(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    said = trellis("data", "index", "toybox", "-o", manifest, "--num", 3)
    assert "3 have no mesh file of their own: `trellis data export` writes them" in said
    trellis("voxelize", manifest, "-o", tmp_path / "v.h5", code=5)


@pytest.mark.parametrize("source", SETS)
def test_another_folder_is_no_such_set(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    trellis("data", "index", source, tmp_path / "empty", "-o", tmp_path / "m.jsonl", code=3)
    trellis("data", "index", source, tmp_path / "nowhere", "-o", tmp_path / "m.jsonl", code=3)
    trellis("data", "index", source, "-o", tmp_path / "m.jsonl", code=2)


@pytest.mark.parametrize("table", ["a,b\n1,2\n", "sha256,file_identifier\n\x00\xff", ""])
def test_a_table_that_is_none_is_named(table: str, tmp_path: Path) -> None:
    objaverse(tmp_path)
    (tmp_path / "metadata.csv").write_text(table, encoding="latin-1")
    trellis("data", "index", "objaverse-xl", tmp_path, "-o", tmp_path / "m.jsonl", code=3)


def test_a_zip_that_is_damaged_costs_its_objects_alone(tmp_path: Path) -> None:
    objaverse(tmp_path / "set")
    archive = tmp_path / "set/raw/github/repos/alice/furniture.zip"
    archive.write_bytes(archive.read_bytes()[:300])
    trellis("data", "index", "objaverse-xl", tmp_path / "set", "-o", tmp_path / "m.jsonl", code=5)
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 1
    assert "cannot be unpacked" in (tmp_path / "m.jsonl.ledger.jsonl").read_text()


def test_a_full_temporary_disk_is_no_fault_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objaverse(tmp_path)

    def full(self: zipfile.ZipFile, *args: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    trellis("data", "index", "objaverse-xl", tmp_path, "-o", tmp_path / "manifest.jsonl", code=1)
    assert not list(tmp_path.glob("manifest.jsonl")) + list(tmp_path.glob("*.ledger.jsonl"))


def test_downloads_that_are_not_quite_whole(tmp_path: Path) -> None:
    """Links of the hub's cache, marks of byte order, lines cut off, words that are no English."""
    hssd(tmp_path / "hssd")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted((tmp_path / "hssd/objects").glob("?/*.glb"))):
        path.rename(blobs / f"deadbeef{number}")
        path.symlink_to(blobs / f"deadbeef{number}")
    table = tmp_path / "hssd/semantics/objects.csv"
    table.write_text("\ufeff" + table.read_text() + "2c\n", encoding="utf-8")
    manifest = tmp_path / "hssd.jsonl"
    trellis("data", "index", "hssd", tmp_path / "hssd", "-o", manifest)
    trellis("voxelize", manifest, "-o", tmp_path / "v.h5", "--resolution", 16)

    future(tmp_path / "future")
    info = tmp_path / "future/3D-FUTURE-model/model_info.json"
    info.write_text(json.dumps([{"model_id": "0a5a346b", "category": "沙发", "super-category": None}]))
    trellis("data", "index", "3d-future", tmp_path / "future", "-o", tmp_path / "future.jsonl")
    assert json.loads((tmp_path / "future.jsonl").read_text())["name"] == "furniture"

    objaverse(tmp_path / "xl")
    published = tmp_path / "xl/metadata.csv"
    published.write_text(published.read_text() + "abc", encoding="utf-8-sig")
    trellis("data", "index", "objaverse-xl", tmp_path / "xl", "-o", tmp_path / "xl.jsonl", code=3)


def test_an_archive_with_spoilt_bytes_costs_its_object(tmp_path: Path) -> None:
    objaverse(tmp_path)
    archive = next(tmp_path.rglob("*.zip"))
    manifest = tmp_path / "manifest.jsonl"
    trellis("data", "index", "objaverse-xl", tmp_path, "-o", manifest)
    with zipfile.ZipFile(archive) as opened:
        seat = opened.read("models/seat.glb")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("models/seat.glb", seat)
    data = bytearray(archive.read_bytes())
    data[200:260] = bytes(60)
    archive.write_bytes(data)
    trellis("voxelize", manifest, "-o", tmp_path / "v.h5", "--resolution", 16, code=5)
    trellis("data", "index", "objaverse-xl", tmp_path, "-o", manifest, "--overwrite", code=5)
    assert len(manifest.read_text().splitlines()) == 1
