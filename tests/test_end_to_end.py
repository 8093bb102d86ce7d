"""A few toys through every stage, by the commands a user types: data to training to latents, in parts and at once.

Each stage takes what the one before it wrote, ids travel along, and the same work again is either skipped or the same
bytes. What is made of words and pictures is in test_end_to_end_results.py.
"""

import json
import shlex
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from typer.main import get_command

from tests.tiny_world import FIXED, GRID, NUM, SIZE, VIEWS, World, done_once, trellis
from trellis_cli.data.index import read_manifest
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.main import app


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
