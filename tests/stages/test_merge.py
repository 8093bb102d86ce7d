"""`merge` and `split`: shards put together are the bytes of one go, and taken apart those of shards."""

from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny_world import FIXED, GRID, PROMPTS, World, trellis
from trellis_cli.io.open_stages import OpenStages
from trellis_cli.io.stage_files import open_stage


def shards(folder: Path, num: int, *arguments: object) -> list[Path]:
    """The outputs of each shard of a command, some of them perhaps empty."""
    paths = [folder / f"part-{i}.h5" for i in range(num)]
    for i, path in enumerate(paths):
        trellis(*arguments, "-o", path, "--shard", f"{i}/{num}", "--quiet")
    return paths


@pytest.mark.parametrize("stage", ["voxelize", "render", "featurize", "encode", "sample", "decode"])
def test_shards_together_are_the_bytes_of_one_go(stage: str, world: World, tmp_path: Path) -> None:
    data, meshes = world.data, world.data / "objects"
    asked = [word for prompt in (*PROMPTS, "boat") for word in ("--text", prompt)]
    for name, colour in (("red", (255, 0, 0, 255)), ("blue", (0, 0, 255, 255))):
        picture = Image.new("RGBA", (40, 40))
        picture.paste(colour, (8, 8, 30, 30))
        picture.save(tmp_path / f"{name}.png")
        asked += ["--image", str(tmp_path / f"{name}.png")]
    arguments: dict[str, tuple[object, ...]] = {
        "voxelize": (meshes, "--resolution", GRID),
        "render": (meshes, "--num-views", 2, "--size", 32),
        "featurize": (data / "voxels.h5", data / "views.h5", "--device", "cpu"),
        "encode": (data / "features.h5", "--model", world.model, *FIXED),
        "sample": (*asked, "--model", world.model, "--steps", 1, "--num", 2, *FIXED),
    }
    if stage == "decode":
        sampled = world.sample(tmp_path / "sampled.h5")
        command: tuple[object, ...] = ("decode", sampled, "--model", world.model, "--format", "gaussians", *FIXED)
        parts = [tmp_path / "whole.gs.h5"]
        trellis(*command, "-o", parts[0], "--quiet")
        whole = parts[0]
    else:
        command = (stage, *arguments[stage])
        whole = tmp_path / "whole.h5"
        trellis(*command, "-o", whole, "--quiet")
        parts = shards(tmp_path, 3, *command)
    out = tmp_path / "merged.h5"
    trellis("merge", *reversed(parts), "-o", out)
    assert out.read_bytes() == whole.read_bytes()
    assert "done already" in trellis("merge", *parts, "-o", out)
    trellis("merge", *parts, *parts, "-o", tmp_path / "twice.h5")  # what several hold is there once
    assert (tmp_path / "twice.h5").read_bytes() == whole.read_bytes()
    trellis("split", out, "-o", tmp_path / "split", "--parts", len(parts))
    again = sorted((tmp_path / "split").iterdir())
    assert [p.name for p in again] == [f"part-{i:05d}.h5" for i in range(len(parts))]
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in parts]
    trellis("merge", tmp_path / "split", "-o", tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == whole.read_bytes()


def test_more_files_than_are_open_at_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trellis_cli.stages.merge.OpenStages", partial(OpenStages, 2))
    parts = shards(tmp_path, 5, "voxelize", world.data / "objects", "--resolution", GRID)
    trellis("merge", *parts, "-o", tmp_path / "x.h5")
    with open_stage(tmp_path / "x.h5") as file, open_stage(world.data / "voxels.h5") as whole:
        assert file.group("voxels").ids == whole.group("voxels").ids


def test_files_of_other_work_and_others_in_the_way(world: World, tmp_path: Path) -> None:
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    trellis("voxelize", world.data / "objects", "--resolution", 8, "--shard", "0/2", "-o", a)
    trellis("voxelize", world.data / "objects", "--resolution", 4, "--shard", "1/2", "-o", b)
    trellis("merge", a, b, "-o", tmp_path / "x.h5", code=2)
    trellis("merge", a, world.data / "views.h5", "-o", tmp_path / "x.h5", code=2)
    trellis("merge", a, tmp_path / "none.h5", "-o", tmp_path / "x.h5", code=3)
    trellis("merge", a, "-o", tmp_path / "x.png", code=2)
    trellis("merge", a, "-o", b, code=2)
    assert not (tmp_path / "x.h5").exists()
    trellis("merge", a, "-o", b, "--overwrite")
    assert a.read_bytes() == b.read_bytes()
    (tmp_path / "c.h5").write_bytes(a.read_bytes()[: len(a.read_bytes()) // 2])
    trellis("merge", a, tmp_path / "c.h5", "-o", tmp_path / "x.h5", code=3)
