"""Anybody's outputs under the same protocol: meshes, Gaussians and clouds, matched by name or by a table."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.stages.test_eval_objects import SMALL
from tests.tiny_world import trellis
from trellis_cli.data import toybox
from trellis_cli.errors import FileError, UsageError
from trellis_cli.geometry.cameras import orbit
from trellis_cli.io.digests import source_digest
from trellis_cli.io.gaussian_files import write_gaussians
from trellis_cli.io.glb import textured_glb
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.stages.made_objects import FileMaker, read_made
from trellis_cli.stages.object_suite import ObjectSpec
from trellis_cli.stages.suite_assets import make_toy
from trellis_cli.stages.suite_objects import SuiteObject


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The very objects of the small suite."""
    folder = tmp_path_factory.mktemp("truth")
    for name, category in (("hut", "house"), ("seat", "chair")):
        make_toy(category, 5, folder / f"{name}.glb")
    return folder


def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def some_gaussians(n: int = 50) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=1)
    scales, opacities = torch.full((n, 3), 0.05), torch.full((n,), 0.9)
    return Gaussians(torch.rand(n, 3, generator=generator) - 0.5, quats, scales, opacities, torch.ones(n, 1, 3))


def test_the_objects_themselves_are_perfect_wherever_they_lie_and_however_large(truth: Path, tmp_path: Path) -> None:
    for name in ("hut", "seat"):
        mesh = read_mesh(truth / f"{name}.glb")
        (tmp_path / f"{name}.glb").write_bytes(
            textured_glb(replace(mesh, vertices=3 * mesh.vertices + [5.0, 6.0, 7.0]))
        )
    command = ("eval", "--suite", suite(tmp_path), "--assets", tmp_path, "--quiet")
    trellis(*command, "-o", tmp_path / "a.json")
    report = json.loads((tmp_path / "a.json").read_text())
    means = report["reconstruction"]["means"]
    assert (
        means["given.psnr"]["mean"] > 35 and means["given.lpips"]["mean"] < 0.01 and means["normals.psnr"]["mean"] > 30
    )
    assert means["mesh.f_score"]["mean"] == 1.0 and means["mesh.chamfer"]["mean"] < 0.05
    assert report["generation"]["alexnet"]["frechet"]["value"] < 0.1 and report["model"] == {"assets": tmp_path.name}


def test_another_object_is_far_from_perfect(truth: Path, tmp_path: Path) -> None:
    """The two change places by a table."""
    (tmp_path / "assets").mkdir()
    for name in ("hut", "seat"):
        (tmp_path / "assets" / f"{name}.glb").write_bytes((truth / f"{name}.glb").read_bytes())
    (tmp_path / "assets" / "assets.csv").write_text("object,file\nhut,seat.glb\nseat,hut.glb\n")
    command = ("eval", "--suite", suite(tmp_path), "--assets", tmp_path / "assets", "--quiet")
    trellis(*command, "-o", tmp_path / "a.json", "--part", "reconstruction")
    means = json.loads((tmp_path / "a.json").read_text())["reconstruction"]["means"]
    assert means["given.psnr"]["mean"] < 20 and means["mesh.f_score"]["mean"] < 0.9


def test_other_programs_get_the_prompts_and_give_files_by_them(truth: Path, tmp_path: Path) -> None:
    """The table of prompts with a column of files, whatever these are called, is the table that is read."""
    prompts, assets = tmp_path / "prompts.csv", tmp_path / "theirs"
    trellis("eval", "--suite", suite(tmp_path), "--prompts", prompts)
    rows = list(csv.DictReader(prompts.read_text().splitlines()))
    assert [row["object"] for row in rows] == ["hut", "seat"]
    assert all(row["prompt"] in toybox.make(c, 5).captions for row, c in zip(rows, ("house", "chair"), strict=True))
    trellis("eval", "--suite", suite(tmp_path), "--prompts", prompts, code=2)
    trellis("eval", "--suite", suite(tmp_path), "--prompts", tmp_path / "prompts.txt", code=2)
    trellis("eval", "--suite", "edit-mini", "--prompts", tmp_path / "x.csv", code=2)
    assets.mkdir()
    for k, row in enumerate(rows):
        (assets / f"out_{k}.glb").write_bytes((truth / f"{row['object']}.glb").read_bytes())
    for head, key in (("prompt,file", "prompt"), ("object,file", "object")):
        lines = [f'"{row[key]}",out_{k}.glb' for k, row in enumerate(rows)]
        (assets / "assets.csv").write_text("\n".join([head, *reversed(lines)]))
        objects = [
            SuiteObject("hut", ObjectSpec("hut", "house", 5)),
            SuiteObject("seat", ObjectSpec("seat", "chair", 5)),
        ]
        maker = FileMaker(assets, objects)
        for one in objects:
            assert maker.identity(one) == {"asset": source_digest(truth / f"{one.name}.glb")}


def test_objects_of_one_prompt_take_its_lines_in_turn(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.glb").write_bytes(name.encode())
    (tmp_path / "assets.csv").write_text("prompt,file\na cup,a.glb\na box,b.glb\na cup,c.glb\n")
    objects = [SuiteObject(f"cup{k}", tmp_path / "x.glb", "a cup") for k in range(3)]
    maker = FileMaker(tmp_path, objects)
    wanted = [{"asset": source_digest(tmp_path / f"{name}.glb")} for name in "ac"]
    assert [maker.identity(one) for one in objects[:2]] == wanted
    with pytest.raises(FileError, match="holds nothing for cup2"):
        maker.identity(objects[2])


def test_gaussians_are_drawn_and_have_no_surface(tmp_path: Path) -> None:
    own = some_gaussians()
    write_gaussians(tmp_path / "a.ply", own)
    write_gaussians(tmp_path / "b.ply", replace(own, means=2 * own.means + 3, scales=2 * own.scales))
    camera = orbit([0.3], [0.2])
    a, b = read_made(tmp_path / "a.ply"), read_made(tmp_path / "b.ply")
    assert a.surface is None and a.points is None
    picture = a.draw["given"](camera, 32)
    assert picture.shape == (1, 3, 32, 32) and picture.max() > 0.5
    torch.testing.assert_close(b.draw["given"](camera, 32), picture, rtol=1e-3, atol=1e-3)


def test_clouds_are_points_alone(truth: Path, tmp_path: Path) -> None:
    cloud = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    np.savez(tmp_path / "a.npz", points=cloud)
    np.savez(tmp_path / "b.npz", cloud)
    for name in "ab":
        made = read_made(tmp_path / f"{name}.npz")
        assert made.points is not None and not made.draw and made.surface is None
        np.testing.assert_array_equal(made.points.numpy(), cloud[:, :3])
    for broken in (np.zeros((0, 3)), np.zeros(3), np.full((4, 3), np.nan)):
        np.savez(tmp_path / "c.npz", points=broken)
        with pytest.raises(FileError, match="no cloud"):
            read_made(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_bytes(b"no archive")
    with pytest.raises(FileError, match="no cloud"):
        read_made(tmp_path / "c.npz")
    for name in ("hut", "seat"):
        np.savez(tmp_path / f"{name}.npz", points=cloud)
    command = ("eval", "--suite", suite(tmp_path), "--assets", tmp_path, "--quiet", "--part", "generation")
    trellis(*command, "-o", tmp_path / "a.json", code=5)
    failed = json.loads((tmp_path / "a.json").read_text())["failed"]
    assert len(failed) == 2 and "points alone cannot be drawn" in failed[0]["reason"]


def test_what_is_not_there_there_twice_or_nothing_to_score(truth: Path, tmp_path: Path) -> None:
    one = SuiteObject("hut", ObjectSpec("hut", "house", 5))
    with pytest.raises(FileError, match="is no folder"):
        FileMaker(tmp_path / "nothing")
    with pytest.raises(FileError, match="holds nothing for hut"):
        FileMaker(tmp_path).identity(one)
    for suffix in (".glb", ".ply"):
        (tmp_path / f"hut{suffix}").write_bytes(b"x")
    with pytest.raises(FileError, match=r"holds hut\.glb, hut\.ply for hut"):
        FileMaker(tmp_path).identity(one)
    with pytest.raises(UsageError, match="nothing that can be scored"):
        read_made(tmp_path / "hut.txt")
    (tmp_path / "assets.csv").write_text("name,path\na,b\n")
    with pytest.raises(FileError, match="no table of assets"):
        FileMaker(tmp_path)
    trellis("eval", "--suite", suite(tmp_path), "--assets", truth, "--model", "mini", "-o", tmp_path / "x.json", code=2)
