"""Runs that begin with weights that are there: of a model, whole or by adapters (LoRA); and what a run leaves."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_world import FIXED, GRID, RECIPES, World, trellis
from trellis_cli.io.lock import held_alone

FLOW = "sparse_structure_flow_model"


def train(world: World, run: Path, recipe: str, *more: str, init: object = None, code: int = 0) -> str:
    changes = (*RECIPES[recipe], "optimizer.precision='float32'", "optimizer.warmup=0", *more)
    words = [word for change in changes for word in ("--set", change)]
    command = "train-flow" if "flow" in recipe else "train-vae"
    begin = () if init is None else ("--init", init)
    return trellis(
        command, f"mini-cpu/{recipe}", "--data", world.data, "--out", run, "--device", "cpu", "--quiet", *begin, *words,
        code=code,
    )  # fmt: skip


def weights(folder: Path, key: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "ckpts" / f"{key}.safetensors")


@pytest.mark.parametrize(("recipe", "key"), [("structure-flow", FLOW), ("structure-vae", "sparse_structure_decoder")])
def test_a_run_begins_with_a_models_weights(world: World, tmp_path: Path, recipe: str, key: str) -> None:
    """The model of the world holds them as 8-bit numbers: equal up to that."""
    train(world, tmp_path / "run", recipe, "optimizer.learning_rate=0.0", "optimizer.steps=1", init=world.model)
    got, want = weights(tmp_path / "run", key), weights(world.runs / recipe, key)
    for name in want:
        torch.testing.assert_close(got[name], want[name], atol=float(want[name].abs().max()) / 100 + 1e-6, rtol=0)


def test_adapters_alone_are_trained_and_the_export_is_a_plain_network(world: World, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lora = ("lora.rank=2", "lora.targets=['to_qkv']", "optimizer.learning_rate=0.01", "optimizer.ema_decay=0.0")
    train(world, run, "structure-flow", *lora, init=world.runs / "structure-flow")
    got, want = weights(run, FLOW), weights(world.runs / "structure-flow", FLOW)
    assert got.keys() == want.keys()
    changed = {name for name in want if not torch.equal(got[name], want[name])}
    assert changed == {name for name in want if name.endswith("to_qkv.weight")} != set()
    for name in changed:
        assert torch.linalg.matrix_rank(got[name] - want[name], rtol=1e-3) <= 2
    state = load_file(run / "checkpoint.safetensors")
    assert {k.rsplit(".", 1)[0] for k in state if k.startswith("optimizer.")} == {"optimizer.0", "optimizer.1"}
    train(world, run, "structure-flow", *lora, "optimizer.steps=5", init=world.runs / "structure-flow")  # goes on
    assert not torch.equal(weights(run, FLOW)[next(iter(changed))], got[next(iter(changed))])


def test_a_finetuned_flow_makes_a_model(world: World, tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    train(world, run, "structure-flow", "lora.rank=2", init=world.model)
    trellis("models", "pack", run, "--base", world.model, "-o", model)
    trellis("sample", "--text", "a log cabin", "--model", model, "--steps", 2, *FIXED, "-o", tmp_path / "x.slat.h5")


def test_a_refused_beginning_leaves_nothing(world: World, tmp_path: Path) -> None:
    """Weights of another size, or none to adapt: and what the wrong source said of latents does not stay."""
    run, wrong = tmp_path / "run", tmp_path / "wrong"
    (wrong / "ckpts").mkdir(parents=True)
    (wrong / "normalization.json").write_text(json.dumps({"mean": [9.0] * 4, "std": [1.0] * 4}))
    for suffix in ("safetensors", "json"):
        shutil.copy(world.model / "ckpts" / f"slat_encoder.{suffix}", wrong / "ckpts" / f"slat_flow_model.{suffix}")
    train(world, run, "slat-flow", init=wrong, code=3)
    train(world, run, "structure-flow", "lora.rank=2", code=2)
    assert not run.exists()
    train(world, run, "slat-flow", init=world.model)
    want = json.loads((world.model / "pipeline.json").read_text())["args"]["slat_normalization"]
    assert json.loads((run / "normalization.json").read_text()) == want
    wide = "network.args.model_channels=64"
    train(world, tmp_path / "wide", "structure-flow", wide, init=world.model, code=3)


def test_a_network_of_another_grid_learns_nothing_from_this_data(world: World, tmp_path: Path) -> None:
    for recipe, key in (("slat-vae", "encoder"), ("mesh-decoder", "decoder"), ("rf-decoder", "decoder")):
        train(world, tmp_path / "run", recipe, f"{key}.args.resolution={2 * GRID}", code=3)
    for recipe, grid in (("slat-flow", 2 * GRID), ("structure-flow", 8)):
        train(world, tmp_path / "run", recipe, f"network.args.resolution={grid}", code=3)
    for bad in ("num_views=0", "loop.keep=0"):
        train(world, tmp_path / "run", "slat-vae", bad, code=2)
    for bad in ("drop_condition=7.0", "t_std=-1.0", "source_weights={toybox=-1.0}", "lora.rank=-1"):
        train(world, tmp_path / "run", "slat-flow", bad, code=2)
    assert not (tmp_path / "run").exists()


def test_a_run_is_trained_by_one_at_a_time_and_mended_in_between(world: World, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with held_alone(run, "training in"):
        train(world, run, "structure-flow", code=2)
    train(world, run, "structure-flow")
    lower = ("optimizer.learning_rate=1e-5", "optimizer.spike=5.0", "optimizer.steps=5")
    train(world, run, "structure-flow", *lower)
    train(world, run, "structure-flow", *lower, "seed=1", code=2)


def test_layers_that_are_not_there_are_named(world: World, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train(world, tmp_path / "run", "structure-flow", "lora.rank=2", "lora.targets=['query']", code=2)
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_curves_for_tensorboard_and_its_best_weights(world: World, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    train(world, run, "structure-flow", "loop.log_every=1", "loop.evaluate_every=3")
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    curve = [(e.step, e.value) for e in events.Scalars("loss")]
    assert curve == [(r["step"], pytest.approx(r["loss"], rel=1e-5)) for r in rows if "loss" in r]
    scores = json.loads((run / "best" / "scores.json").read_text())
    assert scores["step"] == 3 and "loss_train" in scores
    best, last = weights(run / "best", FLOW), weights(run, FLOW)
    assert all(torch.equal(best[k], last[k]) for k in last)
    for row in (r for r in rows if "loss" in r):
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-3)


def test_curves_are_drawn(world: World, tmp_path: Path) -> None:
    from PIL import Image

    run = tmp_path / "run"
    train(world, run, "slat-vae", "loop.log_every=1", "loop.evaluate_every=1", "optimizer.steps=3")
    assert trellis("train-vae", "--plot", run).strip() == str(run / "curves.png")
    with Image.open(run / "curves.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(1 << 24)) > 50
    trellis("train-flow", "--plot", tmp_path, code=3)


@pytest.mark.parametrize("recipe", ["structure-flow", "slat-vae"])
def test_blocks_run_again_for_their_gradients_learn_the_same(world: World, tmp_path: Path, recipe: str) -> None:
    args = {"structure-flow": ["network"], "slat-vae": ["encoder", "decoder"]}[recipe]
    again = [f"{part}.args.use_checkpoint=true" for part in args]
    for name, more in (("plain", ()), ("again", again)):
        train(world, tmp_path / name, recipe, *more)
    plain, checkpointed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("plain", "again"))
    assert plain.keys() == checkpointed.keys()
    for key, value in plain.items():
        torch.testing.assert_close(checkpointed[key], value, atol=1e-6, rtol=1e-5)


def test_float16_is_trained_with_a_loss_scale(world: World, tmp_path: Path) -> None:
    from safetensors import safe_open

    run = tmp_path / "run"
    train(world, run, "structure-flow", "optimizer.precision='float16'", "loop.log_every=1", "optimizer.steps=6")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    taken = [r for r in rows if "loss" in r]
    assert taken and all(0 < r["loss"] < 10 and 0 < r["norm"] < 100 for r in taken)
    with safe_open(run / "checkpoint.safetensors", "pt") as file:
        extra = json.loads(file.metadata()["trellis"])["extra"]
    skipped = sum(r.get("skipped", 0) for r in rows)
    assert extra["log_scale"] == pytest.approx(20 - skipped + 0.001 * len(taken))
    assert all(v.isfinite().all() for v in weights(run, FLOW).values())


def test_a_latent_flow_goes_on_with_the_models_normalisation(world: World, tmp_path: Path) -> None:
    """Not with that of the new data, by which the borrowed weights would see other latents."""
    want = json.loads((world.model / "pipeline.json").read_text())["args"]["slat_normalization"]
    other = {"mean": [1.0] * 4, "std": [2.0] * 4}
    for k, init in enumerate((world.model, world.runs / "slat-flow")):
        run = tmp_path / f"run{k}"
        train(world, run, "slat-flow", init=init)
        assert json.loads((run / "normalization.json").read_text()) == want
    (run / "normalization.json").write_text(json.dumps(other))
    train(world, run, "slat-flow", "optimizer.steps=4")  # what the run began with stays
    assert json.loads((run / "normalization.json").read_text()) == other


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_trainer_goes_on_bit_for_bit(world: World, tmp_path: Path, recipe: str) -> None:
    """Stopped after one step and after two, it comes where an unbroken run comes; pictures and scores too."""
    evaluated = ("loop.evaluate_every=3", "loop.log_every=1", "optimizer.schedule=constant")
    train(world, tmp_path / "whole", recipe, "optimizer.steps=3", *evaluated)
    for steps in (1, 2, 3):
        train(world, tmp_path / "parts", recipe, f"optimizer.steps={steps}", *evaluated)
    whole, parts = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)
    if recipe.startswith(("structure-vae", "slat-vae", "mesh", "rf")):
        pictures = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "samples").iterdir()}
        assert pictures and all((tmp_path / "parts" / "samples" / n).read_bytes() == b for n, b in pictures.items())


def test_a_flow_begins_with_a_released_models_weights(tmp_path: Path) -> None:
    """In the released layout the flows from images have no name of their own, and their torsos are float16."""
    from tests.published_models import _flows, image_model
    from trellis_cli.networks.published import build_network
    from trellis_cli.stages.initial_weights import borrow_weights, borrowed_normalization

    folder = image_model(tmp_path / "released", width=24, conditioner="dinov2_vitl14_reg")
    for key, (file, name, args) in _flows("img_dit_L", 24).items():
        network = build_network(name, args)
        assert borrow_weights(network, str(folder), f"{key}_image") == len(network.state_dict())
        stored = load_file(folder / "ckpts" / f"{file}.safetensors")
        assert all(torch.equal(stored[k].float(), v) for k, v in network.state_dict().items())
    assert borrowed_normalization(str(folder)).std.tolist() == [2.0] * 8
