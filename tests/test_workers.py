"""Batches with worker processes: the same bytes as without; what hangs or kills one costs itself alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_world import FIXED, World, files_of, trellis
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
        if "absent" in path.name:
            raise ImportError("No module named 'fast_meshes'")
        if "bug" in path.name:
            raise IndexError("no such vertex")
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


def test_the_only_item_ends_the_command_as_it_would_without(toys: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.glb"
    broken.write_text("no mesh")
    trellis("voxelize", broken, "-o", tmp_path / "v.h5", "--workers", 2, code=3)
    spoil(toys, "hang")
    trellis("voxelize", toys / "hang.glb", "-o", tmp_path / "v.h5", "--item-timeout", 5, code=1)
    assert not list(tmp_path.glob("v.h5*"))


@pytest.mark.parametrize("more", [(), ("--workers", 2)])
def test_what_every_item_would_meet_stops_the_batch(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[object, ...]
) -> None:
    """A forced backend that cannot run, a library that is not there: no fault of an item, so that no ledger has it."""
    (tmp_path / "hook" / "open3d.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path / "hook"))
    words = ("voxelize", toys, "-o", tmp_path / "v.h5", "--resolution", 16, *more)
    trellis(*words, "--backend", "voxelize=open3d", code=2)
    spoil(toys, "absent", "absent2")
    monkeypatch.setattr("trellis_cli.io.mesh_files.read_mesh", absent)
    monkeypatch.setattr("trellis_cli.stages.sources.read_mesh", absent)
    trellis(*words, code=4)
    assert not list(tmp_path.glob("v.h5*"))


def absent(path: Path) -> None:
    raise ImportError("No module named 'fast_meshes'")


def test_a_bug_costs_its_item_and_is_seen(toys: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spoil(toys, "bug")
    out = tmp_path / "v.h5"
    trellis("voxelize", toys, "-o", out, "--resolution", 16, "--workers", 1, "--item-timeout", 60, code=5)
    assert reasons(out) == {"bug.glb": "IndexError: no such vertex"}
    assert "Traceback" in capfd.readouterr().err


def test_manifests_by_workers_and_in_shards_are_those_of_one_go(toys: Path, tmp_path: Path) -> None:
    """Export, index, score: the same bytes by two processes, and from three shards put together."""
    home = toys.parent
    trellis("data", "export", "toybox", "-o", tmp_path / "two", "--num", 6, "--workers", 2)
    assert (tmp_path / "two" / "manifest.jsonl").read_bytes() == (home / "manifest.jsonl").read_bytes()
    assert {p.name for p in (tmp_path / "two" / "objects").iterdir()} == {p.name for p in toys.iterdir()}
    works = {
        "index": ("data", "index", "folder", toys),
        "score": ("data", "score", home / "manifest.jsonl", "--scorer", "simple"),
    }
    for name, words in works.items():
        whole, apart, merged = (home / f"{name}.{kind}.jsonl" for kind in ("whole", "apart", "merged"))
        trellis(*words, "-o", whole)
        trellis(*words, "-o", apart, "--workers", 2)
        assert apart.read_bytes() == whole.read_bytes() and len(whole.read_text().splitlines()) == 6
        parts = [home / f"{name}.{k}.jsonl" for k in range(3)]
        for k, part in enumerate(parts):
            trellis(*words, "-o", part, "--shard", f"{k}/3")
        assert [len(part.read_text().splitlines()) for part in parts] != [6, 6, 6]
        trellis("merge", *parts, "-o", merged)
        assert merged.read_bytes() == whole.read_bytes()
        assert "done already" in trellis("merge", *parts, "-o", merged)
    trellis("merge", whole, "-o", home / "apart.h5", code=2)
    trellis("merge", *parts, "-o", whole.with_name("index.whole.jsonl"), code=2)  # another file is in the way


def test_exports_in_shards_put_together_are_those_of_one_go(toys: Path, tmp_path: Path) -> None:
    folders = [tmp_path / f"part-{k}" for k in range(2)]
    for k, folder in enumerate(folders):
        trellis("data", "export", "toybox", "-o", folder, "--num", 6, "--shard", f"{k}/2")
    merged = tmp_path / "merged.jsonl"
    trellis("merge", *(folder / "manifest.jsonl" for folder in folders), "-o", merged)
    rows = [{**json.loads(line), "path": ""} for line in merged.read_text().splitlines()]
    assert rows == [{**json.loads(line), "path": ""} for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    trellis("voxelize", merged, "-o", tmp_path / "merged.h5", "--resolution", 16)
    trellis("voxelize", toys, "-o", tmp_path / "whole.h5", "--resolution", 16)
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_latents_are_decoded_by_workers_and_in_shards(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To plain files, to one stage file, to one a latent file: the same bytes, whoever made them."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as this very process has: sums depend on it in their last digits
    each = tmp_path / "each"
    world.sample(each, "--workers", 2)
    world.sample(tmp_path / "alone")
    assert contents(each) == contents(tmp_path / "alone") and len(contents(each)) == 2
    for name, words in (
        ("folder", ("--format", "gaussians")), ("one.h5", ("--format", "gaussians")),
        ("fields", ("--format", "radiance-field")),
    ):  # fmt: skip
        command = ("decode", each, "--model", world.model, *FIXED, *words)
        trellis(*command, "-o", tmp_path / name)
        trellis(*command, "-o", tmp_path / f"two-{name}", "--workers", 2)
        assert contents(tmp_path / name) == contents(tmp_path / f"two-{name}")
        assert len(contents(tmp_path / name)) == (1 if name == "one.h5" else 2)
    shards = tmp_path / "shards"
    for k in range(3):
        trellis(
            "decode", each, "--model", world.model, *FIXED, "--format", "gaussians", "-o", shards, "--shard", f"{k}/3"
        )
    assert contents(shards) == contents(tmp_path / "folder")


def contents(path: Path) -> dict[str, bytes]:
    return {file.name if path.is_dir() else "": file.read_bytes() for file in files_of(path)}
