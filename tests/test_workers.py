"""Batches with worker processes: the same bytes as without; what hangs or kills one costs itself alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_world import trellis
from trellis_cli.stages.export_objects import export_objects

HOOK = """
import os, sys
if "--as-worker" in sys.orig_argv:
    import signal, time
    import trellis_cli.io.mesh_files as files
    original = files.read_mesh
    def read_mesh(path):
        if "hang" in path.name:
            time.sleep(1000)
        if "crash" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "greedy" in path.name:
            keep = bytearray(8 << 30)
        if "full" in path.name:
            from trellis_cli.errors import DiskError
            raise DiskError("the disk is full", hint="make room")
        return original(path)
    files.read_mesh = read_mesh
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six toys; workers that find what their names say."""
    export_objects("toybox", None, tmp_path, num=6)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hook"), *sys.path]))
    return tmp_path / "objects"


def spoil(toys: Path, *names: str) -> None:
    """Some toys under names that the hook knows, and with ids of their own."""
    for path, name in zip(sorted(toys.glob("*.glb")), names, strict=False):
        path.rename(toys / f"{name}.glb")


def reasons(out: Path) -> dict[str, str]:
    rows = map(json.loads, out.with_name(out.name + ".ledger.jsonl").read_text().splitlines())
    return {row["name"]: row["reason"] for row in rows}


def test_workers_write_the_same_bytes(toys: Path, tmp_path: Path) -> None:
    (toys / "broken.glb").write_text("no mesh")
    outs = [tmp_path / "one.h5", tmp_path / "two.h5"]
    trellis("voxelize", toys, "-o", outs[0], "--resolution", 16, code=5)
    trellis("voxelize", toys, "-o", outs[1], "--resolution", 16, "--workers", 3, code=5)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert reasons(outs[0]) == reasons(outs[1]) and "broken.glb" in reasons(outs[1])


def test_what_hangs_or_dies_costs_itself_alone(toys: Path, tmp_path: Path) -> None:
    spoil(toys, "hang", "crash", "greedy")
    out = tmp_path / "v.h5"
    limits = ("--workers", 2, "--item-timeout", 20, "--worker-memory", 6)
    trellis("voxelize", toys, "-o", out, "--resolution", 16, *limits, code=5)
    said = reasons(out)
    assert said.keys() == {"hang.glb", "crash.glb", "greedy.glb"}
    assert "not done after 20 seconds" in said["hang.glb"] and "SIGKILL" in said["crash.glb"]
    assert "memory" in said["greedy.glb"].lower()
    for path in toys.iterdir():  # their names told the hook; the content was sound
        path.rename(path.with_stem(path.stem.upper()))
    trellis("voxelize", toys, "-o", out, "--resolution", 16, *limits, "--retry-failed")
    trellis("voxelize", toys, "-o", tmp_path / "plain.h5", "--resolution", 16)
    contents = [trellis("inspect", path, "--json") for path in (out, tmp_path / "plain.h5")]
    assert json.loads(contents[0])["groups"] == json.loads(contents[1])["groups"]


def test_a_full_disk_is_no_fault_of_the_item(toys: Path, tmp_path: Path) -> None:
    spoil(toys, "full")
    trellis("voxelize", toys, "-o", tmp_path / "v.h5", "--resolution", 16, "--workers", 2, code=1)
    assert not (tmp_path / "v.h5.ledger.jsonl").exists()


def test_workers_end_with_their_parent(toys: Path, tmp_path: Path) -> None:
    spoil(toys, "hang")
    words = ["voxelize", str(toys), "-o", str(tmp_path / "v.h5"), "--workers", "2"]
    parent = subprocess.Popen([sys.executable, "-m", "trellis_cli", *words], stderr=subprocess.DEVNULL)
    children: list[str] = []
    until = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < until:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        time.sleep(0.1)
    time.sleep(4)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 130
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_a_manifest_names_the_meshes_of_a_shard(toys: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    for k in range(2):
        outs = [tmp_path / f"{name}{k}.h5" for name in ("folder", "manifest")]
        for given, out in zip((toys, manifest), outs, strict=True):
            trellis("voxelize", given, "-o", out, "--resolution", 16, "--shard", f"{k}/2")
        assert outs[0].read_bytes() == outs[1].read_bytes()
    changed = next(iter(sorted(toys.iterdir())))
    changed.write_bytes(changed.read_bytes() + b" ")
    trellis("voxelize", manifest, "-o", tmp_path / "c.h5", "--resolution", 16, code=5)
    assert "not what its manifest says" in next(iter(reasons(tmp_path / "c.h5").values()))
