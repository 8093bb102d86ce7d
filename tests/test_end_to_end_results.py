"""Words and pictures to latents, to meshes, Gaussians and radiance fields, and to sheets, by tiny trained networks."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.tiny_world import FIXED, GRID, NUM, PROMPTS, World, done_once, files_of, trellis
from trellis_cli.io.gaussian_files import read_gaussians
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.stages.captions import captions


def test_words_to_latents(world: World, tmp_path: Path) -> None:
    first, again, other = (
        world.sample(tmp_path / f"{n}.slat.h5", "--seed", s) for n, s in (("a", 0), ("b", 0), ("c", 5))
    )
    assert first.read_bytes() == again.read_bytes()
    with open_stage(first) as a, open_stage(other) as c:
        assert len(a.group("slat")) == len(PROMPTS) and a.group("slat").ids == a.group("structure").ids
        assert not set(a.group("slat").ids) & set(c.group("slat").ids)
        assert not np.array_equal(a.group("structure").asset(0)["latent"], c.group("structure").asset(0)["latent"])
        asked = json.loads(a.attrs["parameters"])["prompts"]
        assert asked == [{"line": line, "text": text} for line, text in enumerate(PROMPTS)]


def test_a_picture_to_latents(world: World, tmp_path: Path) -> None:
    """Of a box before a wall; the trained flow for images answers, in one list with words."""
    Image.new("RGB", (60, 60), "white").save(tmp_path / "box.png")
    with Image.open(tmp_path / "box.png") as picture:
        picture.paste("brown", (10, 20, 50, 50))
        picture.save(tmp_path / "box.png")
    (tmp_path / "list.csv").write_text("text,image\nlog cabin,\n,box.png\n")
    command = ("sample", "--prompts", tmp_path / "list.csv", "--model", world.model, "--steps", "2,1", *FIXED)
    with open_stage(done_once(tmp_path / "x.slat.h5", *command)) as file:
        names = captions(file.attrs)
        assert [names[id_] for id_ in file.group("slat").ids] == ["log cabin", "box.png"]
    done_once(tmp_path / "each", *command)
    assert [p.name for p in files_of(tmp_path / "each")] == ["0000-log-cabin.slat.h5", "0001-box.slat.h5"]


def test_latents_to_files_that_others_open(world: World, tmp_path: Path) -> None:
    """The mesh decoder has learnt next to nothing, but starts at the voxels' own surface: it does find one."""
    latents = world.sample(tmp_path / "x.slat.h5")
    command = ("decode", latents, "--model", world.model, *FIXED)
    with open_stage(latents) as file:
        ids, lengths = file.group("slat").ids, file.group("slat").lengths
    meshes = done_once(tmp_path / "meshes", *command)
    splats = done_once(tmp_path / "splats", *command, "--format", "gaussians")
    assert [p.name for p in files_of(meshes)] == sorted(f"{i}.glb" for i in ids)
    for id_, length in zip(ids, lengths, strict=True):
        mesh = read_mesh(meshes / f"{id_}.glb")
        assert len(mesh.faces) > 100 and mesh.vertex_colours is not None
        assert np.abs(mesh.vertices).max() <= 0.6
        assert len(read_gaussians(splats / f"{id_}.ply")) == 2 * length
    for suffix in (".obj", ".ply", ".stl"):
        one = done_once(tmp_path / f"one{suffix}", "decode", _single(world, tmp_path), "--model", world.model, *FIXED)
        assert len(read_mesh(one).faces) > 100
    splat = done_once(tmp_path / "one.splat", "decode", _single(world, tmp_path), "--model", world.model, *FIXED)
    assert len(read_gaussians(splat)) > 100
    for kind in ("mesh", "gaussians", "radiance-field"):
        stage = done_once(tmp_path / f"{kind}.h5", *command, "--format", kind)
        with open_stage(stage) as file:
            assert sorted(file.group(kind.replace("-", "_")).ids) == sorted(ids)


def test_latents_to_radiance_fields_that_can_be_seen(world: World, tmp_path: Path) -> None:
    """Beside the latents by default; two terms of 2^3 points a voxel; from file and latents alike."""
    latents = world.sample(tmp_path / "x.slat.h5")
    command = ("decode", latents, "--model", world.model, *FIXED, "--format", "radiance-field")
    trellis(*command)
    assert "done already" in trellis(*command)
    fields = tmp_path / "x.rf.h5"
    with open_stage(latents) as slat, open_stage(fields) as rf:
        group = rf.group("radiance_field")
        assert group.attrs["resolution"] == GRID and group.ids == sorted(slat.group("slat").ids)
        assert sorted(group.lengths) == sorted(slat.group("slat").lengths)
        assert group.asset(0)["factors"].shape[1:] == (2, 3, 2)
    sheets = []
    for source, options in ((fields, ()), (_reordered(latents), ("--format", "radiance-field", *FIXED))):
        sheet = tmp_path / f"{source.name}.png"
        small = ("--views", 2, "--size", 32, "--no-captions")
        trellis("view", source, "-o", sheet, "--model", world.model, *small, *options)
        with Image.open(sheet) as picture:
            sheets.append(np.asarray(picture.convert("RGB")))
    assert np.array_equal(*sheets)
    assert (sheets[0] < 250).any() and sheets[0].max() == 255  # something stands on white
    trellis(*command, "-o", tmp_path / "x.glb", code=2)


def _reordered(latents: Path) -> Path:
    """A file of the same latents in the order of their ids, in which decoded assets are."""
    out = latents.with_name("ordered.slat.h5")
    with open_stage(latents) as file:
        group = file.group("slat")
        assets = [group.asset(k) for k in sorted(range(len(group)), key=lambda k: group.ids[k])]
        write_stage(out, {"slat": (assets, dict(group.attrs))}, Provenance("sample", {}))
    return out


def _single(world: World, folder: Path) -> Path:
    out = folder / "single.slat.h5"
    if not out.exists():
        trellis("sample", "--text", "hut", "--model", world.model, "--steps", 2, *FIXED, "-o", out)
    return out


def test_everything_can_be_looked_at(world: World, tmp_path: Path) -> None:
    latents = world.sample(tmp_path / "x.slat.h5")
    mesh = next(iter((world.data / "objects").iterdir()))
    for source, rows in ((latents, 2), (world.data / "views.h5", NUM), (world.data / "voxels.h5", NUM), (mesh, 1)):
        sheet = tmp_path / f"{source.name}.png"
        said = trellis(
            "view", source, "-o", sheet, "--model", world.model, "--views", 2, "--size", 48, "--json", "--no-captions"
        )
        assert json.loads(said)["assets"] == rows
        with Image.open(sheet) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels.shape == (50 * rows - 2, 98, 3)
        assert pixels.max() == 255 and (pixels < 250).any()  # something stands on white
        trellis("view", source, "-o", sheet, "--model", world.model, "--views", 2, "--size", 48, "--overwrite")
        with Image.open(sheet) as picture:
            assert picture.height > pixels.shape[0] + 10 * rows  # a line of text over each row


def test_assets_know_their_prompts(world: World, tmp_path: Path) -> None:
    """By their ids, so that the second of two shards does not take the first one's names."""
    for options, wanted in (
        (("--num", 2), ["log cabin (1)", "log cabin (2)", "round table (1)", "round table (2)"]),
        (("--shard", "1/2"), ["round table"]),
    ):
        with open_stage(world.sample(tmp_path / f"{len(wanted)}.h5", *options)) as file:
            names = captions(file.attrs)
            assert [names[id_] for id_ in file.group("slat").ids] == wanted
    with open_stage(world.data / "latents.h5") as file:
        assert captions(file.attrs) == {}


def test_decode_goes_on_past_bad_inputs(world: World, tmp_path: Path) -> None:
    good = _single(world, tmp_path)
    bad = tmp_path / "bad.slat.h5"
    bad.write_bytes(good.read_bytes()[:3000])
    command = ("--model", world.model, *FIXED, "--format", "gaussians", "--quiet")
    trellis("decode", bad, *command, code=3)
    assert not (tmp_path / "bad.ply").exists()
    trellis("decode", bad, good, *command, code=5)
    assert len(read_gaussians(tmp_path / "single.ply")) > 100
    trellis("decode", bad, good, *command, "-o", tmp_path / "x.h5", code=5)
    with open_stage(tmp_path / "x.h5") as file:
        assert len(file.group("gaussians")) == 1
    trellis("decode", bad, good, *command, "-o", tmp_path / "x.ply", code=2)
    (tmp_path / "single.ply").write_bytes(b"ply")
    trellis("decode", good, *command, code=2)
    trellis("decode", good, *command, "--overwrite")
    assert len(read_gaussians(tmp_path / "single.ply")) > 100


def test_latents_of_another_model_are_refused(world: World, tmp_path: Path) -> None:
    coords, feats = np.array([[0, 0, 0], [0, 0, 1]], np.int16), np.zeros((2, 8), np.float32)
    asset = with_ids("a" * 64, lengths=2, coords=coords, feats=feats)
    write_stage(tmp_path / "x.slat.h5", {"slat": ([asset], {"resolution": 64})}, Provenance("encode", {}))
    trellis("decode", tmp_path / "x.slat.h5", "--model", world.model, *FIXED, code=3)
    assert [p.name for p in tmp_path.iterdir()] == ["x.slat.h5"]
