"""Statistics of latents, and pictures for conditions: what training at scale reads beside the latents themselves."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_world import RECIPES, World, trellis
from trellis_cli.data.statistics import Normalization
from trellis_cli.errors import FileError
from trellis_cli.geometry.cameras import Cameras, condition_cameras, fov_from_intrinsics, project
from trellis_cli.io.stage_files import open_stage


def test_every_asset_counts_alike() -> None:
    """Two assets of three voxels and one: by hand."""
    found = Normalization.of([np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], np.float32), np.array([[6.0, 3.0]])])
    assert found.mean.tolist() == [4.0, 2.0]
    want = [math.sqrt((20 / 3 + 36) / 2 - 16), math.sqrt((1 + 9) / 2 - 4)]
    assert found.std.tolist() == pytest.approx(want, rel=1e-6)
    with pytest.raises(ValueError, match="no latent"):
        Normalization.of([])


def test_a_training_takes_the_data_folders_statistics(world: World, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    (data / "latents.h5").symlink_to(world.data / "latents.h5")
    (data / "manifest.jsonl").symlink_to(world.data / "manifest.jsonl")
    told = json.loads(trellis("stats", data, "-o", data / "normalization.json", "--json"))
    own = json.loads((world.runs / "slat-flow" / "normalization.json").read_text())
    assert told["mean"] == own["mean"] and told["std"] == own["std"] and told["assets"] == 4
    assert told["voxels"] == sorted(told["voxels"]) and told["voxels"][0] > 0
    other = {"mean": [1.0] * 4, "std": [2.0] * 4}
    (data / "normalization.json").write_text(json.dumps(other))
    words = [w for change in (*RECIPES["slat-flow"], "optimizer.warmup=0") for w in ("--set", change)]
    trellis("train-flow", "mini-cpu/slat-flow", "--data", data, "--out", run, "--device", "cpu", "--quiet", *words)
    assert json.loads((run / "normalization.json").read_text()) == other


@pytest.mark.parametrize(
    "text", ["[]", '{"mean": [1]}', '{"mean": [1], "std": [0]}', '{"mean": [1], "std": [1, 2]}', "x"]
)
def test_a_damaged_normalisation_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "normalization.json"
    path.write_text(text)
    with pytest.raises(FileError, match="is no normalisation"):
        Normalization.read(path)


def test_nothing_to_tell(world: World, tmp_path: Path) -> None:
    trellis("stats", world.data / "voxels.h5", code=3)
    trellis("stats", world.data / "latents.h5", "--split", "some", code=2)


def test_condition_cameras_hold_the_cube_at_every_distance() -> None:
    fovs = (math.radians(10), math.radians(70))
    generator = torch.Generator().manual_seed(0)
    cameras = condition_cameras(2000, fovs=fovs, offset=(0.3, 0.6), generator=generator)
    fov, distance = fov_from_intrinsics(cameras.intrinsics), cameras.centres.norm(dim=1)
    assert fovs[0] < float(fov.min()) < 1.1 * fovs[0] and 0.98 * fovs[1] < float(fov.max()) < fovs[1]
    torch.testing.assert_close((fov / 2).sin() * distance, torch.full((2000,), math.sqrt(3) / 2), atol=2e-4, rtol=0)
    even = (distance.double() ** -2).sort().values  # evenly spread between its ends
    line = torch.linspace(float(even[0]), float(even[-1]), 2000, dtype=torch.float64)
    assert float((even - line).abs().max() / even[-1]) < 0.05
    corners = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * 3)
    uv, depth = project(corners, cameras.extrinsics, cameras.intrinsics)
    assert bool((depth > 0).all()) and float(uv.min()) > -1e-3 and float(uv.max()) < 1 + 1e-3


def test_flows_from_images_learn_from_conditions(world: World, tmp_path: Path) -> None:
    """/conditions beside /views: the flow takes the former, and no other training is led astray."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("latents.h5", "manifest.jsonl"):
        (data / name).symlink_to(world.data / name)
    trellis(
        "render", world.data / "objects", "-o", data / "conditions.h5", "--conditions", "--num-views", 3, "--size", 48
    )
    with open_stage(data / "conditions.h5") as file:
        assert file.groups == ["conditions"] and "--conditions" in file.attrs["command"]
        asset = file.group("conditions").asset(0)
    cameras = Cameras(torch.from_numpy(asset["extrinsics"]), torch.from_numpy(asset["intrinsics"]))
    assert len(set(cameras.centres.norm(dim=1).tolist())) == 3
    changes = (*RECIPES["image-structure-flow"], "optimizer.warmup=0", "optimizer.precision='float32'")
    words = [w for change in changes for w in ("--set", change)]
    command = ("train-flow", "mini-cpu/image-structure-flow", "--device", "cpu", "--quiet", *words)
    said = trellis(*command, "--data", data, "--out", tmp_path / "run")  # there are no /views at all
    assert "finished" in said
    trellis("verify", data)
    trellis("view", data / "conditions.h5", "-o", tmp_path / "sheet.png")
