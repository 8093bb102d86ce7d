"""The command line as users meet it: results on stdout, exit codes, and two lines for every expected error."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


def test_bad_inputs_of_one(trellis: Trellis, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nan = _box(tmp_path / "nan.obj", "nan")
    out = tmp_path / "x.h5"
    _refused(trellis("voxelize", tmp_path / "none.glb", "-o", out), 3, "no such file")
    _refused(trellis("voxelize", tmp_path / "empty", "-o", out), 3, "holds no")
    _refused(trellis("voxelize", nan, "-o", out), 3, "nan.obj")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "nan.obj"]


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


def test_one_broken_of_several(trellis: Trellis, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, height in (("a", 0.5), ("b", "nan"), ("c", 0.7)):
        _box(tmp_path / "in" / f"{name}.obj", height)
    out = tmp_path / "x.h5"
    answer = trellis("voxelize", tmp_path / "in", "-o", out, "--resolution", 8, "--quiet")
    _refused(answer, 5, "1 of 3 inputs failed")
    with open_stage(out) as file:
        assert len(file.group("voxels")) == 2
    row = json.loads((tmp_path / "x.h5.ledger.jsonl").read_text())
    assert row["name"] == "b.obj"


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
    _refused(trellis("sample", "-o", tmp_path / "x.h5"), 2, "empty prompt")
    _refused(trellis("sample", "--text", "hut", "--model", "no-such", "-o", tmp_path / "x.h5"), 4, "no-such")


def test_recipes_are_read_strictly(trellis: Trellis, tmp_path: Path) -> None:
    command = ("train-vae", "mini-cpu/structure-vae", "--data", tmp_path, "--out", tmp_path / "run")
    (tmp_path / "manifest.jsonl").write_text("")
    _refused(trellis(*command, "--set", "stepz=3"), 2, "no such key 'stepz'")
    _refused(trellis("recipe", "show", "no-such"), 2, "no-such")
    listed = trellis("recipe", "list")
    assert listed.code == 0 and "mini-cpu/structure-vae" in listed.out.split()
