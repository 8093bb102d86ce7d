"""Assets, manifests and folders that are not as they should be: each costs itself alone, and nobody's file is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.tiny_world import FIXED, World, trellis
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import open_stage
from trellis_cli.stages.export_objects import export_objects

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
BAD = {
    "long": f"mtllib {'x' * 5000}\n{OBJ}", "zero": f"mtllib a\0b.mtl\n{OBJ}", "bare": f"mtllib bare.mtl\n{OBJ}",
    "none": "no mesh at all",
}  # fmt: skip


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Three toys, and files that would trip a careless reader."""
    export_objects("toybox", None, tmp_path, num=3)
    for name, text in BAD.items():
        (tmp_path / "objects" / f"{name}.obj").write_text(text)
    (tmp_path / "objects" / "bare.mtl").write_bytes(b"newmtl a\nmap_Kd \r\n")
    return tmp_path / "objects"


def held(path: Path, group: str = "voxels") -> int:
    with open_stage(path) as file:
        return len(file.group(group))


def test_no_mesh_stops_the_others(meshes: Path, tmp_path: Path) -> None:
    trellis("voxelize", meshes, "-o", tmp_path / "v.h5", "--resolution", 16, code=5)
    assert held(tmp_path / "v.h5") == 5  # materials that are not there are no fault of a mesh
    trellis("data", "index", "folder", meshes, "-o", tmp_path / "m.jsonl")
    trellis("voxelize", tmp_path / "m.jsonl", "-o", tmp_path / "w.h5", "--resolution", 16, code=5)
    assert held(tmp_path / "w.h5") == 5


def test_names_of_any_kind_go_through_a_manifest(meshes: Path, tmp_path: Path) -> None:
    toys = sorted(meshes.glob("*.glb"))
    toys[0].rename(meshes / "so\u2028fa\x85 with\nmore.glb")
    for name in ("none", "long"):
        (meshes / f"{name}.obj").unlink()
    trellis("data", "index", "folder", meshes, "-o", tmp_path / "m.jsonl")
    trellis("voxelize", tmp_path / "m.jsonl", "-o", tmp_path / "v.h5", "--resolution", 16)
    trellis("data", "score", tmp_path / "m.jsonl", "--scorer", "simple", "-o", tmp_path / "s.jsonl")
    assert held(tmp_path / "v.h5") == 5 == (tmp_path / "s.jsonl").read_bytes().count(b"\n")


def test_a_shard_has_an_output_whatever_fails(meshes: Path, tmp_path: Path) -> None:
    """The stages after it wait for it: an empty one lets the others of an array go on."""
    for path in meshes.iterdir():
        if path.suffix != ".glb":
            path.unlink()
    for path in meshes.glob("*.glb"):
        path.write_text("no mesh")  # of different bytes, or they would be one
        path.write_text(path.name)
    codes = set()
    for k in range(4):
        words = ("--shard", f"{k}/4")
        here = [tmp_path / f"{name}-{k}.h5" for name in ("voxels", "views", "features")]
        for command, out in zip(("voxelize", "render"), here, strict=False):
            size = ("--resolution", 16) if command == "voxelize" else ("--num-views", 1, "--size", 16)
            done = subprocess.run(
                [sys.executable, "-m", "trellis_cli", command, str(meshes), "-o", str(out), *map(str, (*size, *words))],
                capture_output=True, check=False,
            )  # fmt: skip
            codes.add(done.returncode)
            assert held(out, "voxels" if command == "voxelize" else "views") == 0
        trellis("featurize", *here[:2], "-o", here[2], "--device", "cpu", *words)
    assert codes == {0, 5}


def test_a_killed_job_knows_what_failed_and_leaves_no_workers(meshes: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\nif '--as-worker' in sys.orig_argv:\n"
        "    import time, trellis_cli.io.mesh_files as files\n    original = files.read_mesh\n"
        "    def read_mesh(path):\n        time.sleep(1000 if path.suffix == '.glb' else 0)\n"
        "        return original(path)\n    files.read_mesh = read_mesh\n"
    )
    out = tmp_path / "v.h5"
    words = [sys.executable, "-m", "trellis_cli", "voxelize", str(meshes), "-o", str(out), "--workers", "4"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(hook), *sys.path])}
    parent = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    ledger, until = tmp_path / "v.h5.ledger.jsonl", time.monotonic() + 120
    while not ledger.exists() and time.monotonic() < until:
        time.sleep(0.1)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGTERM)
    parent.wait(30)
    assert "none.obj" in ledger.read_text() and children
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_few_files_are_open_at_a_time(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("encode", "decode", "featurize"):
        monkeypatch.setattr(f"trellis_cli.stages.{stage}.OpenStages", partial(OpenStages, 1))
    for name in ("voxels", "views", "features", "latents"):
        trellis("split", world.data / f"{name}.h5", "-o", tmp_path / name, "--parts", 3)
    ids = {}
    parts = sorted((tmp_path / "voxels").iterdir()) + sorted((tmp_path / "views").iterdir())
    for group, words in {
        "features": ("featurize", *parts, "--device", "cpu"),
        "structure": ("encode", tmp_path / "features", "--model", world.autoencoder, *FIXED),
        "gaussians": ("decode", tmp_path / "latents", "--model", world.model, *FIXED, "--format", "gaussians"),
    }.items():
        out = tmp_path / f"{group}.h5"
        trellis(*words, "-o", out)
        with open_stage(out) as file:
            ids[group] = sorted(file.group(group).ids)
    assert ids["features"] == ids["structure"] == ids["gaussians"] and len(ids["features"]) == 4


def test_other_files_are_not_written_over(world: World, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text("notes")
    trellis("stats", world.data, "-o", mine, code=2)
    trellis("stats", world.data, "-o", tmp_path / "latents.h5", code=2)
    assert mine.read_text() == "notes"
    trellis("stats", world.data, "-o", mine, "--overwrite")
    trellis("stats", world.data, "-o", mine)  # an earlier one gives way
    other = tmp_path / "other.jsonl"
    other.write_text("notes")
    trellis("data", "score", world.data / "manifest.jsonl", "--scorer", "simple", "-o", other, code=2)
    assert other.read_text() == "notes"
    trellis("split", world.data / "voxels.h5", "-o", tmp_path / "parts", "--parts", 3)
    trellis("split", world.data / "voxels.h5", "-o", tmp_path / "parts", "--parts", 2, "--overwrite", code=2)
    assert len(list((tmp_path / "parts").iterdir())) == 3


ROW = {"id": "a" * 64, "split": "train"}


@pytest.mark.parametrize(
    "row",
    [b"\xff\xfe", b"[1]", b'{"id": 7}', json.dumps({**ROW, "path": 7}).encode(),
     json.dumps({**ROW, "captions": "x"}).encode(), json.dumps({**ROW, "split": "some"}).encode(),
     json.dumps({**ROW, "more": 1}).encode()],
)  # fmt: skip
def test_damaged_manifests_are_named(row: bytes, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(row + b"\n")
    trellis("data", "score", manifest, "--scorer", "simple", "-o", tmp_path / "s.jsonl", code=3)
    trellis("data", "export", "toybox", "-o", tmp_path, "--num", 1, code=3)
    trellis("merge", manifest, "-o", tmp_path / "m.jsonl", code=3)
    assert manifest.read_bytes() == row + b"\n"


def test_latents_of_two_widths_have_no_statistics(world: World, tmp_path: Path) -> None:
    import h5py
    import numpy as np

    trellis("split", world.data / "latents.h5", "-o", tmp_path, "--parts", 2)
    path = next(p for p in sorted(tmp_path.iterdir()) if held(p, "slat"))
    with h5py.File(path, "r+") as file:
        feats = np.asarray(file["slat/feats"])
        del file["slat/feats"]
        file["slat/feats"] = np.concatenate([feats, feats], 1)
    trellis("stats", tmp_path, world.data / "latents.h5", "--split", "all", code=3)
