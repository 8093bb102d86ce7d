"""`trellis models pack`: runs of the published trainer, what they attend to, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.published_models import clip, dino, image_model, in_cache, text_model
from tests.test_published_pipelines import trellis
from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.model_folders import open_model
from trellis_cli.stages.pack_models import DEFAULT_SAMPLERS, pack

WIDTH = 12
STEP = "{}_ema0.9999_step0000100.pt"
IMAGES, TEXTS = {"image_cond_model": "dinov2_vitl14_reg"}, {"text_cond_model": "openai/clip-vit-large-patch14"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return image_model(tmp_path / "TRELLIS-image-large", width=WIDTH, conditioner="dinov2_vitl14_reg")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return text_model(tmp_path / "TRELLIS-text-base", width=WIDTH, conditioner="openai/clip-vit-large-patch14")


def published_run(folder: Path, stem: Path, files: tuple[str, ...], *, model: str = "denoiser", **trainer: str) -> Path:
    """A run of the published trainer that trained a network of a tiny model: float32 masters in .pt files."""
    network = json.loads(stem.with_suffix(".json").read_text())
    state = {k: v.float() for k, v in load_file(stem.with_suffix(".safetensors")).items()}
    (folder / "ckpts").mkdir(parents=True)
    config = {
        "models": {model: network},
        "dataset": {"args": {"normalization": {"mean": [0.5] * 8, "std": [1.5] * 8}}},
        "trainer": {"name": "FlowMatchingCFGTrainer", "args": {"max_steps": 1000, **trainer}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    for k, name in enumerate(files):
        torch.save({key: value + k for key, value in state.items()}, folder / "ckpts" / name)
    return folder


def latent_flow(folder: Path) -> Path:
    return next((folder / "ckpts").glob("slat_flow*.json")).with_suffix("")


def runs_of(folder: Path, home: Path, **trainer: str) -> list[Path]:
    """A run for each flow of a model, and for its structure decoder where it has one."""
    runs = []
    for pattern, model in (("slat_flow*", "denoiser"), ("ss_flow*", "denoiser"), ("ss_dec*", "decoder")):
        for stem in (p.with_suffix("") for p in (folder / "ckpts").glob(f"{pattern}.json")):
            of_flow = trainer if model == "denoiser" else {}
            runs.append(published_run(home / stem.name, stem, (STEP.format(model),), model=model, **of_flow))
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "text"])
def test_pack_a_published_run(
    kind: str, image: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    in_cache(dino(tmp_path / "dino", width=WIDTH), tmp_path / "hub", "facebook/dinov2-with-registers-large")
    in_cache(clip(tmp_path / "clip", width=WIDTH), tmp_path / "hub", "openai/clip-vit-large-patch14")
    runs = runs_of(image if kind == "image" else text, tmp_path / "runs", **(IMAGES if kind == "image" else TEXTS))
    if kind == "text":
        runs += [run for run in runs_of(image, tmp_path / "others", **IMAGES) if run.name.startswith("ss_dec")]
    flow = runs[0] / "ckpts"
    state = torch.load(flow / STEP.format("denoiser"), weights_only=True)
    torch.save({k: v + 1 for k, v in state.items()}, flow / "denoiser_step0000300.pt")
    newest = {k: v + 0.25 for k, v in state.items()}
    torch.save(newest, flow / "denoiser_ema0.9999_step0000200.pt")
    torch.save({"lr": torch.ones(1)}, flow / "misc_step0000200.pt")

    report = pack(runs, tmp_path / "packed", store="float32")
    assert report["networks"] == ["slat_flow_model", "sparse_structure_decoder", "sparse_structure_flow_model"]
    packed = open_model(str(tmp_path / "packed"))
    assert packed.pipeline["slat_normalization"] == {"mean": [0.5] * 8, "std": [1.5] * 8}
    got = packed.load("slat_flow_model").state_dict()
    for key, value in newest.items():
        assert torch.equal(got[key], value), key
    guidance, interval, name = {
        "image": (5.0, [0.5, 1.0], "TrellisImageTo3DPipeline"),
        "text": (7.5, [0.5, 0.95], "TrellisTextTo3DPipeline"),
    }[kind]
    released = {"steps": 25, "cfg_strength": guidance, "cfg_interval": interval, "rescale_t": 3.0}
    assert [packed.pipeline[f"{s}_sampler"]["params"] for s in ("sparse_structure", "slat")] == [released] * 2
    assert json.loads((tmp_path / "packed" / "pipeline.json").read_text())["name"] == name

    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[8:30, 10:34] = (200, 30, 60, 255)
    Image.fromarray(rgba).save(tmp_path / "chair.png")
    prompt = ("--image", tmp_path / "chair.png") if kind == "image" else ("--text", "a red chair")
    out = tmp_path / "x.slat.h5"
    said = trellis("sample", "--model", tmp_path / "packed", *prompt, "--steps", 2, "--device", "cpu", "-o", out)[0]
    assert "1 assets" in said


@pytest.mark.parametrize(
    ("trainer", "width", "wanted"),
    [
        ({}, 1024, IMAGES),
        ({}, 768, TEXTS),
        ({"image_cond_model": "dinov2_vitb14_reg"}, 768, {"image_cond_model": "dinov2_vitb14_reg"}),
        ({"name": "TextConditionedSparseFlowMatchingCFGTrainer"}, 1024, TEXTS),
        ({"name": "ImageConditionedFlowMatchingCFGTrainer"}, 768, IMAGES),
    ],
)
def test_what_a_published_flow_attends_to(
    trainer: dict[str, str], width: int, wanted: dict[str, str], tmp_path: Path
) -> None:
    made = text_model(tmp_path / "made", width=width, conditioner="any")
    run = published_run(tmp_path / "run", latent_flow(made), (STEP.format("denoiser"),))
    config = json.loads((run / "config.json").read_text())
    config["trainer"] = {"name": trainer.pop("name", "FlowMatchingCFGTrainer"), "args": trainer}
    (run / "config.json").write_text(json.dumps(config))
    pack([run], tmp_path / "packed")
    pipeline = open_model(str(tmp_path / "packed")).pipeline
    assert {k: v for k, v in pipeline.items() if k.endswith("_cond_model")} == wanted
    assert pipeline["sparse_structure_sampler"]["params"] == DEFAULT_SAMPLERS["sparse_structure_sampler"]


def test_a_flow_of_unknown_prompts_is_refused(image: Path, tmp_path: Path) -> None:
    runs = runs_of(image, tmp_path / "runs")
    with pytest.raises(FileError, match="does not say what its flow attends to") as caught:
        pack(runs, tmp_path / "packed")
    assert "image_cond_model" in caught.value.hint and not (tmp_path / "packed").exists()


def test_flows_from_images_beside_flows_from_texts(image: Path, text: Path, tmp_path: Path) -> None:
    runs = runs_of(image, tmp_path / "a", **IMAGES) + runs_of(text, tmp_path / "b", **TEXTS)
    report = pack(runs, tmp_path / "packed", store="float16")
    assert {"slat_flow_model", "slat_flow_model_image", "sparse_structure_flow_model_image"} <= set(report["networks"])
    pipeline = open_model(str(tmp_path / "packed")).pipeline
    assert IMAGES.items() | TEXTS.items() <= {k: v for k, v in pipeline.items() if isinstance(v, str)}.items()


@pytest.mark.parametrize("own", [False, True])
def test_two_runs_of_one_network_are_refused(own: bool, image: Path, tmp_path: Path) -> None:
    first, second = runs_of(image, tmp_path / "a", **IMAGES)[0], runs_of(image, tmp_path / "b", **IMAGES)[0]
    key = "slat_flow_model_image"
    if own:
        pack([second], tmp_path / "own")
        second = tmp_path / "own"
    with pytest.raises(UsageError, match=f"{first} and {second} both hold a {key}") as caught:
        pack([first, second], tmp_path / "packed")
    assert caught.value.hint and not (tmp_path / "packed").exists()


def test_an_encoder_that_no_flow_answers_to_is_not_named(image: Path, tmp_path: Path) -> None:
    """The shipped folder of encoders has both kinds."""
    from trellis_cli.io.model_folders import SHIPPED

    pack([*runs_of(image, tmp_path / "a", **IMAGES), SHIPPED / "mini" / "ckpts"], tmp_path / "packed")
    pipeline = open_model(str(tmp_path / "packed")).pipeline
    assert pipeline["image_cond_model"] == "ckpts" and "text_cond_model" not in pipeline


class Malice:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_pickle_that_does_more_is_refused(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = published_run(
        tmp_path / "run",
        latent_flow(image),
        ("denoiser_ema0.9999_step0000100.pt",),
        **IMAGES,
    )
    torch.save({"a": Malice()}, run / "ckpts" / "denoiser_ema0.9999_step0000100.pt")
    with pytest.raises(FileError, match="holds more than weights") as caught:
        pack([run], tmp_path / "packed")
    assert "safetensors" in caught.value.hint
    assert not (tmp_path / "made-by-a-pickle").exists()


def test_a_published_run_without_weights(image: Path, tmp_path: Path) -> None:
    run = published_run(
        tmp_path / "run",
        latent_flow(image),
        ("other_ema0.9999_step0000100.pt",),
        **IMAGES,
    )
    with pytest.raises(FileError, match="no denoiser_ema"):
        pack([run], tmp_path / "packed")
