"""Flows trained on what released models are conditioned on: CLIP's states of captions, DINOv2's tokens of pictures."""

from pathlib import Path

import pytest
import torch

from tests.published_models import clip, dino
from tests.tiny_world import RECIPES, World, trellis
from trellis_cli import recipes
from trellis_cli.data.index import DataFolder
from trellis_cli.io.model_folders import load_network
from trellis_cli.stages.conditioners import text_encoding
from trellis_cli.stages.train_flow import FlowRecipe, FlowTask

WIDTH = 24
ARGS = (
    f"network.args={{resolution = 4, in_channels = 4, out_channels = 4, model_channels = 32, cond_channels = {WIDTH},"
    " num_blocks = 1, num_heads = 2, patch_size = 2, share_mod = true, qk_rms_norm = true}"
)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("encoders")
    return {"text": clip(home / "clip", width=WIDTH), "image": dino(home / "dino", width=WIDTH)}


def task(world: World, kind: str, encoder: Path | str, *more: str) -> FlowTask:
    changes = (ARGS, f"condition={kind}", *more)
    recipe = recipes.load(FlowRecipe, "mini-cpu/structure-flow", changes)
    return FlowTask(recipe, DataFolder(world.data), encoder)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_flow_of_such_tokens_is_trained_and_saved(
    world: World, encoders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    words = [w for change in (ARGS, *RECIPES["structure-flow"][1:], f"condition={kind}") for w in ("--set", change)]
    said = trellis(
        "train-flow", "mini-cpu/structure-flow", "--data", world.data, "--out", tmp_path, "--encoder", encoders[kind],
        *words, "--set", "optimizer.warmup=0", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert "finished" in said
    key = "sparse_structure_flow_model" + ("_image" if kind == "image" else "")
    network = load_network(tmp_path / "ckpts" / key)
    assert torch.stack([p.abs().sum() for n, p in network.named_parameters() if "cross_attn.to_kv.weight" in n]).all()


def test_captions_are_those_of_the_sampler(world: World, encoders: dict[str, Path]) -> None:
    """77 states each, the dropped one that of the empty text, as `sample` has them."""
    conditions = task(world, "text", encoders["text"]).conditions
    got = conditions(["a red chair", None], [False, False])
    clip_text = text_encoding(encoders["text"], str(encoders["text"]), "cpu")
    for k, text in enumerate(["a red chair", ""]):
        want = clip_text.encode([text]).tokens
        assert len(want) == 77
        torch.testing.assert_close(got[k].tokens, want, atol=2e-3, rtol=2e-3)  # kept in float16
    assert got.pooled is None


def test_dropped_pictures_are_zeros_of_as_many_tokens(world: World, encoders: dict[str, Path]) -> None:
    learner = task(world, "image", encoders["image"])
    pick = learner.conditions.pick(learner.train_ids[0], None)
    got = learner.conditions([pick, None], [False, False])
    assert got.offsets.tolist() == [0, 1374, 2748]  # [cls], four registers, 37 x 37 patches
    assert got[0].tokens.any() and not got[1].tokens.any()


def test_the_recipe_names_the_encoder(world: World, encoders: dict[str, Path], tmp_path: Path) -> None:
    named = task(world, "text", "", f"condition_encoder={encoders['text']}")
    assert named.conditions.channels == WIDTH
    error = trellis(
        "train-flow",
        "paper/text-structure-flow-B",
        "--data",
        world.data,
        "--out",
        tmp_path,
        "--quiet",
        "--set",
        "network.args.resolution=4",
        code=4,
    )
    assert not error and not list(tmp_path.iterdir())
