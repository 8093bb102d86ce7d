"""The command line as users meet it: results on stdout, exit codes, and two lines for every expected error."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
from PIL import Image

from trellis_cli.io.stage_files import open_stage
from trellis_cli.main import run

FACES = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))


def _box(path: Path, height: float | str = 0.5) -> Path:
    corners = [f"v {x} {y} {z}" for x in (0, 1) for y in (0, height) for z in (0, 1)]
    path.write_text("\n".join([*corners, *("f " + " ".join(map(str, f)) for f in FACES)]) + "\n")
    return path


@dataclass
class Answer:
    code: int
    out: str
    err: str


Trellis = Callable[..., Answer]


@pytest.fixture
def trellis(capsys: pytest.CaptureFixture[str]) -> Trellis:
    def call(*arguments: object) -> Answer:
        with pytest.raises(SystemExit) as caught:
            run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Answer(int(caught.value.code or 0), captured.out, captured.err)

    return call


def _refused(answer: Answer, code: int, words: str) -> None:
    """The code, and exactly the two lines."""
    lines = answer.err.splitlines()
    assert answer.code == code, answer.err
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith(" hint: "), answer.err
    assert words in lines[0]
    assert not answer.out


def test_voxelize_and_again(trellis: Trellis, tmp_path: Path) -> None:
    mesh, out = _box(tmp_path / "box.obj"), tmp_path / "box.h5"
    first = trellis("voxelize", mesh, "-o", out, "--resolution", 8)
    assert (first.code, first.err) == (0, "") and "1 assets" in first.out
    with open_stage(out) as file:
        coords = file.group("voxels").asset(0)["coords"]
    assert coords.min() == 0 and coords.max() == 7
    before = out.read_bytes()
    again = trellis("voxelize", mesh, "-o", out, "--resolution", 8)
    assert again.code == 0 and "done already" in again.out and out.read_bytes() == before
    _refused(trellis("voxelize", mesh, "-o", out, "--resolution", 16), 2, "was not made by this very command")


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
NO_BUFFER = {
    "asset": {"version": "2.0"},
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
    "bufferViews": [{"buffer": 0, "byteLength": 36}],
    "buffers": [{"byteLength": 36}],
}


def _glb(document: dict) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text


BAD_MESHES: dict[str, tuple[str, str | bytes, str]] = {
    "empty file": ("x.obj", "", "x.obj: the file is empty"),
    "no faces": ("x.obj", TRIANGLE, "x.obj: it holds no triangles"),
    "not a number": ("x.obj", TRIANGLE.replace("v 1", "v nan") + "f 1 2 3\n", "1 of 3 vertices are not finite"),
    "no area": ("x.obj", TRIANGLE + "f 1 2 2\nf 3 3 3\n", "none of its 2 faces has an area"),
    "no buffer": ("x.glb", _glb(NO_BUFFER), "buffer 0 should have 36 bytes, there is none"),
    "lost buffer": ("x.gltf", json.dumps({**NO_BUFFER, "buffers": [{"uri": "x.bin", "byteLength": 36}]}), "'x.bin'"),
    "cut off": ("x.glb", _glb(NO_BUFFER)[:100], "it has 100"),
    "too many faces": ("x.stl", bytes(80) + struct.pack("<I", 2**32 - 1), "needs 214748364834 for its 4294967295"),
    "list of nothing": ("x.txt", "# no mesh\n", "x.txt lists nothing"),
    "list that is none": ("x.txt", bytes(range(256)), "x.txt is no list"),
    "list of lost files": ("x.txt", "lost.obj\n", "lost.obj: no such file"),
}


@pytest.mark.parametrize("case", BAD_MESHES)
def test_bad_meshes(trellis: Trellis, tmp_path: Path, case: str) -> None:
    name, content, words = BAD_MESHES[case]
    mesh = tmp_path / name
    mesh.write_bytes(content.encode() if isinstance(content, str) else content)
    for command in ("voxelize", "render"):
        _refused(trellis(command, mesh, "-o", tmp_path / "x.h5"), 3, words)
    assert [p.name for p in tmp_path.iterdir()] == [name]


MESHES_ONLY = ("voxelize", "render")


def test_inputs_that_are_not_there(trellis: Trellis, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (*MESHES_ONLY, "featurize", "inspect", "view"):
        out = () if command == "inspect" else ("-o", tmp_path / ("x.png" if command == "view" else "x.h5"))
        _refused(trellis(command, tmp_path / "none.h5", *out), 2 if command in MESHES_ONLY else 3, "none.h5")
        _refused(trellis(command, tmp_path / "empty", *out), 3, "empty holds nothing")
    _refused(trellis("voxelize", tmp_path / "none.glb", "-o", tmp_path / "x.h5"), 3, "no such file")
    _refused(trellis("voxelize", _box(tmp_path / "box.obj"), "-o", tmp_path / "box.obj" / "x.h5"), 1, "is not a folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["box.obj", "empty"]


@pytest.mark.parametrize(
    ("library", "material", "words"),
    [
        ("lost.mtl", "", "'lost.mtl' cannot be read"),
        ("../x.mtl", "", "'../x.mtl' lies outside the mesh's folder"),
        ("x.mtl", "map_Kd lost.png", "'lost.png' cannot be read"),
        ("x.mtl", "map_Kd /etc/hostname", "'/etc/hostname' lies outside the mesh's folder"),
    ],
)
def test_lost_materials_are_a_warning(
    trellis: Trellis, tmp_path: Path, library: str, material: str, words: str
) -> None:
    mesh = _box(tmp_path / "box.obj")
    mesh.write_text(f"mtllib {library}\nusemtl one\n" + mesh.read_text())
    (tmp_path / "x.mtl").write_text(f"newmtl one\n{material}\n")
    answer = trellis("render", mesh, "-o", tmp_path / "x.h5", "--num-views", 1, "--size", 16)
    (line,) = answer.err.splitlines()
    assert answer.code == 0 and line.startswith(f"WARNING: {mesh}: ") and words in line


def _broken_stage_files(voxels: Path) -> dict[Path, str]:
    """Files that no command may take, made of a good one, and what is said of each."""
    cut, foreign, newer, text = (voxels.with_name(f"{name}.h5") for name in ("cut", "foreign", "newer", "text"))
    cut.write_bytes(voxels.read_bytes()[:-100])
    with h5py.File(foreign, "w") as h5:
        h5["voxels"] = [1, 2, 3]
    shutil.copy(voxels, newer)
    with h5py.File(newer, "r+") as h5:
        h5.attrs["version"] = 2
    text.write_text("hello")
    return {cut: "cut.h5 is damaged", foreign: "not a stage file", newer: "is format 2, this program reads 1",
            text: "is not a stage file (HDF5)"}  # fmt: skip


def test_broken_stage_files(trellis: Trellis, tmp_path: Path) -> None:
    voxels, out = tmp_path / "v.h5", tmp_path / "x.h5"
    trellis("voxelize", _box(tmp_path / "box.obj"), "-o", voxels, "--resolution", 8)
    for path, words in _broken_stage_files(voxels).items():
        _refused(trellis("inspect", path), 3, words)
        _refused(trellis("view", path, "-o", tmp_path / "x.png"), 3, words)
        _refused(trellis("featurize", voxels, path, "-o", out), 3, words)
        (tmp_path / "data").mkdir()
        path.rename(tmp_path / "data" / path.name)
        command = ("train-vae", "mini-cpu/structure-vae", "--data", tmp_path / "data", "--out", tmp_path / "run")
        _refused(trellis(*command), 3, words)
        shutil.rmtree(tmp_path / "data")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["box.obj", "v.h5"]


def test_wrong_usage(trellis: Trellis, tmp_path: Path) -> None:
    mesh, out = _box(tmp_path / "box.obj"), tmp_path / "x.h5"
    _refused(trellis("voxelize", mesh, "-o", out, "--colour"), 2, "--colour")
    _refused(trellis("voxelize", mesh), 2, "--out")
    _refused(trellis("voxelise", mesh), 2, "voxelise")
    _refused(trellis("voxelize", mesh, "-o", out, "--resolution", "many"), 2, "--resolution")
    _refused(trellis("voxelize", mesh, "-o", out, "--shard", "3/2"), 2, "--shard")
    _refused(trellis("voxelize", mesh, "-o", out, "--backend", "voxelize=abacus"), 2, "abacus")
    _refused(trellis("voxelize", tmp_path / "x.pdf", "-o", out), 2, "is not a mesh")
    _refused(trellis("voxelize", mesh, "-o", tmp_path / "x.png"), 2, ".h5")
    assert [p.name for p in tmp_path.iterdir()] == ["box.obj"]


def test_one_broken_of_a_hundred(trellis: Trellis, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(100):
        _box(tmp_path / "in" / f"{k:02}.obj", "nan" if k == 42 else 0.2 + k / 200)
    out = tmp_path / "x.h5"
    answer = trellis("voxelize", tmp_path / "in", "-o", out, "--resolution", 8, "--quiet")
    _refused(answer, 5, "1 of 100 inputs failed")
    with open_stage(out) as file:
        assert len(file.group("voxels")) == 99
    row = json.loads((tmp_path / "x.h5.ledger.jsonl").read_text())
    assert row["name"] == "42.obj" and "not finite" in row["reason"]
    _box(tmp_path / "in" / "42.obj")
    assert trellis("voxelize", tmp_path / "in", "-o", out, "--resolution", 8, "--retry-failed").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "x.h5"]


def test_meshes_to_features(trellis: Trellis, tmp_path: Path) -> None:
    mesh = _box(tmp_path / "box.obj")
    voxels, views, features = (tmp_path / f"box.{n}.h5" for n in ("voxels", "views", "features"))
    assert trellis("voxelize", mesh, "-o", voxels, "--resolution", 8).code == 0
    rendered = trellis("render", mesh, "-o", views, "--num-views", 2, "--size", 32, "--supersample", 1, "--depth")
    assert (rendered.code, rendered.err) == (0, "")
    _refused(trellis("featurize", voxels, "-o", features), 3, "none of the inputs holds /views")
    answer = trellis("featurize", voxels, views, "-o", features, "--device", "cpu", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out)["done"] == 1

    answer = trellis("inspect", features, views, "--json")
    of_features, of_views = json.loads(answer.out)
    with open_stage(voxels) as file:
        n, ids = file.group("voxels").lengths[0], file.group("voxels").ids
    assert of_features["groups"]["features"]["datasets"]["feats"]["shape"][0] == n
    assert of_features["groups"]["features"]["ids"] == of_views["groups"]["views"]["ids"] == ids
    assert of_views["groups"]["views"]["datasets"]["depth"]["shape"] == [2, 32, 32]
    assert of_views["made_by"]["parameters"]["num_views"] == 2
    assert "/features" in trellis("inspect", features).out

    for source in (voxels, views):
        sheet = tmp_path / f"{source.name}.png"
        assert trellis("view", source, "-o", sheet, "--views", 2, "--size", 32).code == 0
        with Image.open(sheet) as picture:
            assert picture.width >= 64 and picture.height >= 32

    trellis("render", mesh, "-o", views, "--num-views", 3, "--size", 32, "--supersample", 1, "--overwrite")
    again = trellis("featurize", voxels, views, "-o", features)
    _refused(again, 2, "was not made by this very command")  # of the same assets, but of other views


def test_view_of_a_mesh(trellis: Trellis, tmp_path: Path) -> None:
    mesh, out = _box(tmp_path / "box.obj"), tmp_path / "box.png"
    assert trellis("view", mesh, "-o", out, "--views", 2, "--size", 32).code == 0
    with Image.open(out) as picture:
        low, high = picture.convert("L").getextrema()
    assert high == 255 and low < 240  # something stands on white
    _refused(trellis("view", mesh, "-o", out), 2, "exists")
    _refused(trellis("view", mesh, "-o", tmp_path / "x.h5"), 2, ".png")


def test_inspect_refuses_what_is_no_stage_file(trellis: Trellis, tmp_path: Path) -> None:
    _refused(trellis("inspect", _box(tmp_path / "box.obj")), 3, "not a stage file")


def test_prompts_that_say_nothing(trellis: Trellis, tmp_path: Path) -> None:
    _refused(trellis("sample", "--text", "", "-o", tmp_path / "x.h5"), 2, "empty prompt")
    _refused(trellis("sample", "-o", tmp_path / "x.h5"), 2, "no prompt is given")
    _refused(trellis("sample", "--text", "hut", "--model", "no-such", "-o", tmp_path / "x.h5"), 4, "no-such")


def test_prompts_and_samplers_are_read_before_anything_is_loaded(trellis: Trellis, tmp_path: Path) -> None:
    out, picture, listed = tmp_path / "x.h5", tmp_path / "a.png", tmp_path / "x.csv"
    Image.new("RGB", (8, 8)).save(picture)
    listed.write_text("text,seed\nhut,many\n")
    hut = ("sample", "--text", "hut", "-o", out)
    _refused(trellis(*hut, "--steps", "0"), 2, "--steps '0'")
    _refused(trellis(*hut, "--guidance", "3,-1"), 2, "--guidance '3,-1': below 0")
    _refused(trellis(*hut, "--interval", "1-0"), 2, "--interval '1-0'")
    _refused(trellis(*hut, "--rescale-t", "nan"), 2, "--rescale-t 'nan'")
    _refused(trellis(*hut, "--seed", "9" * 30), 2, "seed")
    _refused(trellis(*hut, "--mask", picture), 2, "1 --mask for 0 --image")
    _refused(trellis(*hut, "--multi", "stochastic"), 2, "several images of one object")
    _refused(trellis(*hut, "--background", "foo"), 2, "--background 'foo' is not known")
    _refused(trellis(*hut, "--background", "foo", "--dry-run"), 2, "--background 'foo' is not known")
    _refused(trellis(*hut, "--prompts", listed), 3, "x.csv line 2: seed 'many'")
    _refused(trellis(*hut, "--prompts", picture), 2, "a.png is no list of prompts")
    _refused(trellis("sample", "--image", picture, "--negative", "red", "-o", out), 2, "--negative goes with text")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "x.csv"]


def test_recipes_are_read_strictly(trellis: Trellis, tmp_path: Path) -> None:
    command = ("train-vae", "mini-cpu/structure-vae", "--data", tmp_path, "--out", tmp_path / "run")
    (tmp_path / "manifest.jsonl").write_text("")
    _refused(trellis(*command, "--set", "stepz=3"), 2, "no such key 'stepz'")
    _refused(trellis("recipe", "show", "no-such"), 2, "no-such")
    listed = trellis("recipe", "list")
    assert listed.code == 0 and "mini-cpu/structure-vae" in listed.out.split()
    assert not (tmp_path / "run").exists()


def test_no_command_at_all_shows_the_help(trellis: Trellis) -> None:
    for arguments, word in (((), "voxelize"), (("data",), "export")):
        answer = trellis(*arguments)
        assert answer.code == 2 and word in answer.out + answer.err and "error:" not in answer.err
