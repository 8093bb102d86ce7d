"""A few toys through every stage, by the commands a user types: data to training to words to files.

The networks are tiny and hardly trained, so nothing here says how good a result looks; it says that each stage takes
what the one before it wrote, that ids travel along, and that the same work again is either skipped or the same bytes.

A long file, as all of it stands on one set of trained networks, which takes most of its time.
"""

import json
import shlex
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from typer.main import get_command

from trellis_cli.data.index import read_manifest
from trellis_cli.io.gaussian_files import read_gaussians
from trellis_cli.io.mesh_files import read_mesh
from trellis_cli.io.model_folders import SHIPPED
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.main import app, run
from trellis_cli.stages.prompts import prompts_of

NUM, GRID, VIEWS, SIZE = 4, 16, 4, 64
GAUSSIANS = (
    "{num_gaussians = 2, voxel_size = 1.5, perturb_offset = true, '2d_filter_kernel_size' = 0.1,"
    " '3d_filter_kernel_size' = 9e-4, scaling_bias = 8e-3, opacity_bias = 0.1, scaling_activation = 'softplus',"
    " lr = {_xyz = 1.0, _features_dc = 1.0, _opacity = 1.0, _scaling = 1.0, _rotation = 0.1}}"
)
TRUNK = f"resolution = {GRID}, model_channels = 32, latent_channels = 4, num_blocks = 1, num_heads = 2, window_size = 4"
FLOW = (
    "model_channels = 32, cond_channels = 384, pooled_channels = 384, num_blocks = 1, num_heads = 2,"
    " patch_size = 2, share_mod = true, qk_rms_norm = true"
)
IMAGE_FLOW = FLOW.replace("384", "172")
# Changes to the shipped recipes: the same keys, tiny values. float32, so that every processor does the same.
RECIPES = {
    "structure-vae": (
        "encoder.args={in_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [8, 16, 16]}",
        "decoder.args={out_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [16, 16, 8]}",
        "loss.bce=0.0", "optimizer.steps=20", "optimizer.batch=4", "optimizer.learning_rate=3e-3",
    ),
    "slat-vae": (
        f"encoder.args={{in_channels = 131, {TRUNK}}}",
        f"decoder.args={{{TRUNK}, representation_config = {GAUSSIANS}}}",
        "optimizer.steps=2", "optimizer.batch=2", "num_views=1",
    ),
    "mesh-decoder": (
        f"decoder.args={{{TRUNK}, num_norm_groups = 4, representation_config = {{use_color = true}}}}",
        "optimizer.steps=3", "optimizer.batch=1", "num_views=1",
    ),
    "rf-decoder": (
        f"decoder.args={{{TRUNK}, representation_config = {{rank = 2, dim = 2}}}}",
        "optimizer.steps=2", "optimizer.batch=1",
    ),
    "structure-flow": (
        f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, {FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=4",
    ),
    "slat-flow": (
        f"network.args={{resolution = {GRID}, in_channels = 4, out_channels = 4, io = 'packed', {FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=2",
    ),
    "image-structure-flow": (
        f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, {IMAGE_FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=4",
    ),
    "image-slat-flow": (
        f"network.args={{resolution = {GRID}, in_channels = 4, out_channels = 4, io = 'packed', {IMAGE_FLOW}}}",
        "optimizer.steps=3", "optimizer.batch=2",
    ),
}  # fmt: skip

PROMPTS = ("log cabin", "round table")


def trellis(*arguments: object, code: int = 0) -> str:
    """What the command prints to stdout; it must end with `code`."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        run([str(a) for a in arguments])
    assert (caught.value.code or 0) == code, err.getvalue()
    return out.getvalue()


def done_once(out: Path, *arguments: object) -> Path:
    """Run a command that writes `out`; run again, it must find all done and touch nothing."""
    assert "done already" not in trellis(*arguments, "-o", out)
    before = {p: p.read_bytes() for p in _files(out)}
    assert before and "done already" in trellis(*arguments, "-o", out)
    assert {p: p.read_bytes() for p in _files(out)} == before
    return out


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


@dataclass
class World:
    """Where everything lies once the whole chain has run."""

    data: Path
    runs: Path
    autoencoder: Path
    model: Path

    def train(self, command: str, recipe: str, run: Path | None = None) -> Path:
        changes = (*RECIPES[recipe], "optimizer.precision='float32'", "optimizer.warmup=0", "loop.evaluate_every=100")
        sets = [word for change in changes for word in ("--set", change)]
        run = run or self.runs / recipe
        said = trellis(
            command, f"mini-cpu/{recipe}", "--data", self.data, "--out", run, "--device", "cpu", "--quiet", *sets,
            *(("--preview", self.autoencoder) if command == "train-flow" else ()),
            *(("--start-from", self.runs / recipe.removeprefix("image-")) if recipe.startswith("image-") else ()),
        )  # fmt: skip
        assert "finished" in said
        return run

    def sample(self, out: Path, *options: object) -> Path:
        words = [word for prompt in PROMPTS for word in ("--text", prompt)]
        trellis("sample", *words, "--model", self.model, "--steps", 2, *FIXED, "-o", out, *options)
        return out


FIXED = ("--device", "cpu", "--dtype", "float32")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("end-to-end")
    w = World(home / "data", home / "runs", home / "autoencoder", home / "model")
    trellis("data", "export", "toybox", "-o", w.data, "--num", NUM)
    meshes, files = w.data / "objects", {n: w.data / f"{n}.h5" for n in ("voxels", "views", "features", "latents")}
    done_once(files["voxels"], "voxelize", meshes, "--resolution", GRID)
    pictures = ("--num-views", VIEWS, "--size", SIZE, "--supersample", 1, "--depth", "--normal")
    done_once(files["views"], "render", meshes, *pictures)
    done_once(files["features"], "featurize", files["voxels"], files["views"], "--device", "cpu")
    vaes = [w.train("train-vae", recipe) for recipe in ("structure-vae", "slat-vae")]
    trellis("models", "pack", *vaes, "-o", w.autoencoder)
    done_once(files["latents"], "encode", files["features"], "--model", w.autoencoder, *FIXED)
    decoders = [w.train("train-vae", recipe) for recipe in ("mesh-decoder", "rf-decoder")]
    flows = [w.train("train-flow", recipe) for recipe in ("structure-flow", "slat-flow")]
    flows += [w.train("train-flow", recipe) for recipe in ("image-structure-flow", "image-slat-flow")]
    encoders = SHIPPED / "mini" / "ckpts"
    trellis("models", "pack", *vaes, *decoders, *flows, encoders, "-o", w.model, "--store", "int8")
    return w


def test_every_stage_holds_every_object(world: World) -> None:
    manifest = read_manifest(world.data / "manifest.jsonl")
    assert len(manifest) == NUM and all(row["captions"] for row in manifest.values())
    paths = sorted(world.data.glob("*.h5"))
    reports = json.loads(trellis("inspect", *paths, "--json"))
    groups = {name: group for report in reports for name, group in report["groups"].items()}
    assert sorted(groups) == ["features", "slat", "structure", "views", "voxels"]
    for group in groups.values():
        assert group["ids"] == sorted(manifest)
    shapes = {(g, d): of["shape"] for g, group in groups.items() for d, of in group["datasets"].items()}
    num_voxels = shapes["voxels", "coords"][0]
    assert shapes["features", "feats"] == [num_voxels, 131] and shapes["slat", "feats"] == [num_voxels, 4]
    assert shapes["structure", "latent"] == [NUM, 4, 4, 4, 4]
    assert shapes["views", "depth"] == [NUM * VIEWS, SIZE, SIZE]
    encoded = next(r for r in reports if "slat" in r["groups"])
    model = json.loads(trellis("models", "info", world.autoencoder, "--json"))
    assert encoded["made_by"]["model"] == {"id": "autoencoder", "digest": model["digest"]}


def test_training_leaves_pictures(world: World) -> None:
    flows = [f"{image}{stage}-flow" for image in ("", "image-") for stage in ("structure", "slat")]
    for name, pattern in (("slat-vae", "*_000002.png"), *((name, "000003.png") for name in flows)):
        sheets = list((world.runs / name / "samples").glob(pattern))
        assert sheets
        with Image.open(sheets[0]) as picture:
            assert len(picture.getcolors(1 << 20) or ()) > 10


def test_voxels_travel_unchanged_to_the_latents(world: World) -> None:
    with open_stage(world.data / "voxels.h5") as voxels, open_stage(world.data / "latents.h5") as latents:
        for index in range(NUM):
            coords = voxels.group("voxels").asset(index)["coords"]
            np.testing.assert_array_equal(coords, latents.group("slat").asset(index)["coords"])


def test_features_on_a_finer_grid_are_pooled(world: World, tmp_path: Path) -> None:
    """`voxelize` has 64^3 by default, whatever the model works at: twice its grid gives the very same voxels."""
    voxels, features, latents = (tmp_path / f"{name}.h5" for name in ("voxels", "features", "latents"))
    trellis("voxelize", world.data / "objects", "--resolution", 2 * GRID, "-o", voxels)
    trellis("featurize", voxels, world.data / "views.h5", "-o", features, "--device", "cpu")
    trellis("encode", features, "-o", latents, "--model", world.autoencoder, *FIXED)
    with open_stage(world.data / "voxels.h5") as native, open_stage(latents) as pooled:
        assert pooled.group("slat").attrs["resolution"] == GRID
        for index in range(NUM):
            coords = native.group("voxels").asset(index)["coords"]
            np.testing.assert_array_equal(coords, pooled.group("slat").asset(index)["coords"])
    trellis("voxelize", world.data / "objects", "--resolution", GRID + 1, "-o", voxels, "--overwrite")
    trellis("featurize", voxels, world.data / "views.h5", "-o", features, "--device", "cpu", "--overwrite")
    trellis("encode", features, "-o", tmp_path / "no.h5", "--model", world.autoencoder, *FIXED, code=3)


def test_features_of_another_encoder_are_refused(world: World, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.h5"
    asset = with_ids("0" * 64, lengths=1, coords=np.zeros((1, 3), "int16"), feats=np.zeros((1, 7), "float16"))
    attrs = {"encoder": "another", "resolution": GRID}
    write_stage(foreign, {"features": ([asset], attrs)}, Provenance("featurize", {}))
    trellis("encode", foreign, "-o", tmp_path / "no.h5", "--model", world.autoencoder, *FIXED, code=3)


def test_shards_together_are_the_whole(world: World, tmp_path: Path) -> None:
    """One object of four lands in each of more shards than there are objects, so some shards are empty."""
    stages = {
        "voxels": ("voxelize", world.data / "objects", "--resolution", GRID),
        "views": ("render", world.data / "objects", "--num-views", 1, "--size", 16),
        "features": ("featurize", world.data / "voxels.h5", world.data / "views.h5", "--device", "cpu"),
        "slat": ("encode", world.data / "features.h5", "--model", world.autoencoder, *FIXED),
    }
    for group, command in stages.items():
        held = []
        for i in range(9):
            out = tmp_path / f"{group}-{i}.h5"
            trellis(*command, "--shard", f"{i}/9", "-o", out)
            with open_stage(out) as file:
                held.append(file.group(group).ids)
        assert [] in held
        assert sorted(sum(held, [])) == sorted(read_manifest(world.data / "manifest.jsonl"))


def test_the_same_recipe_trains_the_same_weights(world: World, tmp_path: Path) -> None:
    """Also after other work in the process: what is random follows the recipe's seed alone."""
    again = world.train("train-flow", "structure-flow", tmp_path / "again")
    name = "ckpts/sparse_structure_flow_model.safetensors"
    assert (again / name).read_bytes() == (world.runs / "structure-flow" / name).read_bytes()


def test_a_flow_from_images_began_with_the_one_from_texts(world: World) -> None:
    """Three steps hardly move the weights; those that read the condition are new."""
    text, image = (
        load_file(world.runs / run / "ckpts" / f"sparse_structure_flow_model{suffix}.safetensors")
        for run, suffix in (("structure-flow", ""), ("image-structure-flow", "_image"))
    )
    key = "blocks.0.self_attn.to_qkv.weight"
    assert (text[key] - image[key]).abs().max() < 0.1 * text[key].abs().max()
    assert text["pooled_layer.weight"].shape != image["pooled_layer.weight"].shape


def test_the_packed_model_has_all_networks(world: World) -> None:
    info = json.loads(trellis("models", "info", world.model, "--json"))
    assert info["networks"].keys() == {
        "slat_decoder_gs", "slat_decoder_mesh", "slat_decoder_rf", "slat_encoder", "slat_flow_model",
        "sparse_structure_decoder", "sparse_structure_encoder", "sparse_structure_flow_model",
        "slat_flow_model_image", "sparse_structure_flow_model_image",
    }  # fmt: skip
    whole, small = (m / "ckpts" / "slat_encoder.safetensors" for m in (world.autoencoder, world.model))
    assert small.stat().st_size < 0.5 * whole.stat().st_size  # int8 beside float32


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
        names = prompts_of(file.attrs)
        assert [names[id_] for id_ in file.group("slat").ids] == ["log cabin", "box.png"]
    done_once(tmp_path / "each", *command)
    assert [p.name for p in _files(tmp_path / "each")] == ["0000-log-cabin.slat.h5", "0001-box.slat.h5"]


def test_latents_to_files_that_others_open(world: World, tmp_path: Path) -> None:
    """The mesh decoder has learnt next to nothing, but starts at the voxels' own surface: it does find one."""
    latents = world.sample(tmp_path / "x.slat.h5")
    command = ("decode", latents, "--model", world.model, *FIXED)
    with open_stage(latents) as file:
        ids, lengths = file.group("slat").ids, file.group("slat").lengths
    meshes = done_once(tmp_path / "meshes", *command)
    splats = done_once(tmp_path / "splats", *command, "--format", "gaussians")
    assert [p.name for p in _files(meshes)] == sorted(f"{i}.glb" for i in ids)
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


def test_prompts_in_shards_are_those_of_one_go(world: World, tmp_path: Path) -> None:
    """Three prompts, two assets each, over four shards: the last is empty; put together, they are the whole."""
    prompts = ("--text", "log cabin", "--text", "chair", "--text", "log cabin", "--num", 2, "--seed", 7)
    command = ("sample", *prompts, "--model", world.model, "--steps", 1, *FIXED)
    whole = done_once(tmp_path / "whole.h5", *command)
    parts = [tmp_path / f"part-{i}.h5" for i in range(4)]
    for i, part in enumerate(parts):
        trellis(*command, "--shard", f"{i}/4", "-o", part)
    with ExitStack() as stack:
        files = [stack.enter_context(open_stage(path)) for path in (whole, *parts)]
        slats, structures = ([file.group(name) for file in files] for name in ("slat", "structure"))
        assert [len(group) for group in slats] == [6, 2, 2, 2, 0]
        assert slats[0].ids == sum((group.ids for group in slats[1:]), []) and len(set(slats[0].ids)) == 6
        for groups in (slats, structures):
            pieces = [group.asset(k) for group in groups[1:] for k in range(len(group))]
            for k, piece in enumerate(pieces):
                for name, array in groups[0].asset(k).items():
                    np.testing.assert_array_equal(piece[name], array)
        assert {json.dumps(file.attrs) for file in files} == {json.dumps(files[0].attrs)}
    trellis(*command, "--shard", "1/4", "-o", whole, code=2)  # the whole is not what this shard makes


def test_every_file_says_a_command_that_can_be_typed(world: World, tmp_path: Path) -> None:
    """With an output to write, the command line takes each as it stands, and would make the same."""
    picture = tmp_path / "box.png"
    Image.new("RGB", (20, 20), "brown").convert("RGBA").crop((-5, -5, 25, 25)).save(picture)
    asked = ("--text", "log cabin", "--image", picture, "--steps", "2,1", "--model", world.model, *FIXED)
    for out in (tmp_path / "x.slat.h5", tmp_path / "each"):
        trellis("sample", *asked, "-o", out)
    fields = tmp_path / "x.rf.h5"
    trellis("decode", tmp_path / "x.slat.h5", "--model", world.model, *FIXED, "-o", fields)
    said = {}
    for path in (*sorted(world.data.glob("*.h5")), *sorted(tmp_path.rglob("*.h5"))):
        with open_stage(path) as file:
            said[path.name] = file.attrs["command"]
        name, *words = shlex.split(said[path.name])[1:]
        typed = get_command(app).commands[name].make_context(name, [*words, "-o", "out.h5"]).params  # type: ignore[attr-defined]
        if name == "render":
            assert (typed["num_views"], typed["size"], typed["depth"]) == (VIEWS, SIZE, True)
        if name == "encode":
            assert [p.name for p in typed["inputs"]] == ["features.h5"] and typed["model"] == "autoencoder"
    assert len(said) == 4 + 1 + 2 + 1
    assert said["x.slat.h5"].startswith("trellis sample --text 'log cabin' --image box.png --steps 2,1 ")
    assert said["0001-box.slat.h5"].startswith("trellis sample --image box.png --steps 2,1 ")
    assert said["0001-box.slat.h5"].endswith(" --seed 1")
    assert said["x.rf.h5"] == "trellis decode x.slat.h5 --dtype float32 --format radiance-field --model model"


def test_an_empty_shard_goes_through_every_stage(world: World, tmp_path: Path) -> None:
    voxels, views, features, latents, meshes = (tmp_path / f"{n}.h5" for n in ("vo", "vi", "f", "l", "m"))
    for i in range(NUM + 1):  # one of five shards has none of four objects
        trellis(
            "voxelize", world.data / "objects", "--resolution", GRID, "--shard", f"{i}/5", "-o", voxels, "--overwrite"
        )
        with open_stage(voxels) as file:
            if not len(file.group("voxels")):
                break
    trellis("render", world.data / "objects", "--shard", f"{i}/5", "-o", views)
    trellis("featurize", voxels, views, "-o", features, "--device", "cpu")
    trellis("encode", features, "-o", latents, "--model", world.autoencoder, *FIXED)
    trellis("decode", latents, "-o", meshes, "--model", world.model, *FIXED)
    for path, group in ((features, "features"), (latents, "slat"), (latents, "structure"), (meshes, "mesh")):
        with open_stage(path) as file:
            assert len(file.group(group)) == 0
    trellis("decode", latents, "-o", tmp_path / "files", "--model", world.model, *FIXED)
    assert not (tmp_path / "files").exists()
    trellis("decode", latents, "-o", tmp_path / "x.glb", "--model", world.model, *FIXED, code=3)
    trellis("inspect", latents)


def test_a_model_without_flows_is_missing_something(world: World, tmp_path: Path) -> None:
    """However many prompts there are: it is no fault of one of them."""
    command = (
        "sample",
        "--text",
        "hut",
        "--text",
        "barn",
        "--model",
        world.autoencoder,
        "-o",
        tmp_path / "x.h5",
        *FIXED,
    )
    trellis(*command, code=4)
    flows = [world.runs / name for name in ("structure-vae", "structure-flow", "slat-flow")]
    trellis("models", "pack", *flows, "-o", tmp_path / "no-text")
    trellis(*command[:5], "--model", tmp_path / "no-text", "-o", tmp_path / "x.h5", *FIXED, code=4)
    assert [p.name for p in tmp_path.iterdir()] == ["no-text"]


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
            names = prompts_of(file.attrs)
            assert [names[id_] for id_ in file.group("slat").ids] == wanted
    with open_stage(world.data / "latents.h5") as file:
        assert prompts_of(file.attrs) == {}


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
