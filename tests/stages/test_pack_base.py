"""`models pack --base`: runs put into a model that gives the rest; a diffusion sampled, edited and planned."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.flow.test_diffusion import kept
from tests.published_models import FLOW, image_model, write_network
from tests.tiny_world import trellis
from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import UsageError
from trellis_cli.geometry.packed import dense_to_packed
from trellis_cli.io.model_folders import SHIPPED, ModelFolder, open_model
from trellis_cli.io.stage_files import open_stage
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.networks.text_encoder import load_text_encoder
from trellis_cli.stages.pack_models import DEFAULT_SAMPLERS, pack
from trellis_cli.stages.pipeline import SamplerSettings, sampling_times
from trellis_cli.stages.sample import sample

STRUCTURE = "sparse_structure_flow_model"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a diffusion of structures from texts, which fits `both_model`."""
    torch.manual_seed(1)
    args = {**FLOW, "cond_channels": 384, "pooled_channels": 384, "resolution": 4, "patch_size": 1}
    write_network(tmp_path / "run", STRUCTURE, "SparseStructureFlowModel", {**args, "objective": "diffusion"})
    return tmp_path / "run"


@pytest.fixture
def model(run: Path, both_model: Path, tmp_path: Path) -> ModelFolder:
    pack([run], tmp_path / "packed", base=open_model(str(both_model)))
    return open_model(str(tmp_path / "packed"))


def test_the_base_gives_what_the_runs_do_not_hold(model: ModelFolder, run: Path, both_model: Path) -> None:
    base = open_model(str(both_model))
    assert model.models.keys() == base.models.keys()
    for key in base.models:
        same = [model.stem(key).with_suffix(s).read_bytes() == base.stem(key).with_suffix(s).read_bytes()
                for s in (".json", ".safetensors")]  # fmt: skip
        assert all(same) == (key != STRUCTURE), key
    given = open_model(str(both_model)).pipeline
    assert model.pipeline["slat_normalization"] == given["slat_normalization"]
    assert model.pipeline["slat_sampler"]["params"] == given["slat_sampler"]["params"]
    sampler, params = model.pipeline["sparse_structure_sampler"], dict(given["sparse_structure_sampler"]["params"])
    assert params.pop("rescale_t") == 3.0 and sampler["params"] == params and sampler["name"] == "DDIMSampler"
    assert model.pipeline["text_cond_model"] == "ckpts" and model.pipeline["image_cond_model"] == "ckpts"


def test_the_encoders_of_a_shipped_model_come_along(run: Path, tmp_path: Path) -> None:
    trellis("models", "pack", run, "--base", "mini", "-o", tmp_path / "new")
    new, mini = open_model(str(tmp_path / "new")), open_model("mini")
    assert {k: new.pipeline[k] for k in ("text_cond_model", "image_cond_model")} == dict.fromkeys(
        ("text_cond_model", "image_cond_model"), "ckpts"
    )
    assert set(new.models) == set(mini.models) and not [p for p in new.files.values() if SHIPPED in p.parents]
    trellis("models", "pack", run, "--base", "mini", "-o", tmp_path / "new", code=2)
    with pytest.raises(UsageError, match="the base itself"):
        pack([run], tmp_path / "new", base=new, overwrite=True)


def test_flows_of_a_model_for_images_stay_those_for_images(run: Path, tmp_path: Path) -> None:
    """Beside a flow for texts they answer to `_image`; a run of one of them takes its place."""
    base = open_model(str(image_model(tmp_path / "large", width=8, conditioner="dinov2_vitl14_reg")))
    pack([run], tmp_path / "both", base=base)
    models = open_model(str(tmp_path / "both")).models
    assert {STRUCTURE, f"{STRUCTURE}_image", "slat_flow_model_image"} <= set(models) and "slat_flow_model" not in models
    (tmp_path / "again" / "ckpts").mkdir(parents=True)
    for end in (".json", ".safetensors"):
        found = (run / "ckpts" / STRUCTURE).with_suffix(end)
        (tmp_path / "again" / "ckpts" / f"{STRUCTURE}_image{end}").write_bytes(found.read_bytes())
    pack([tmp_path / "again"], tmp_path / "one", base=base)
    one = open_model(str(tmp_path / "one"))
    assert set(one.models) == set(base.models)
    assert json.loads(one.stem(STRUCTURE).with_suffix(".json").read_text())["args"]["objective"] == "diffusion"


def test_without_a_base_a_diffusion_has_the_default_settings(run: Path, tmp_path: Path) -> None:
    pack([run], tmp_path / "alone")
    sampler = open_model(str(tmp_path / "alone")).pipeline["sparse_structure_sampler"]
    want = {k: v for k, v in DEFAULT_SAMPLERS["sparse_structure_sampler"].items() if k != "rescale_t"}
    assert sampler["params"] == want and sampler["args"]["betas"] == [1e-4, 0.02]


@torch.no_grad()
def test_a_diffusion_is_sampled_by_ddim(model: ModelFolder, tmp_path: Path) -> None:
    """Both written out on the points x_k: guided noise, three steps from k = 999, 666 and 332."""
    settings = SamplerSettings(3, 2.0, (0.0, 1.0), 1.0)
    sample([Prompt("a cup")], tmp_path / "x.h5", model, seed=5, settings=(settings, settings))
    with open_stage(tmp_path / "x.h5") as file:
        got = torch.from_numpy(np.asarray(file.group("structure").asset(0)["latent"])).flatten()
    network = model.load(STRUCTURE)
    assert isinstance(network, FlowNetwork)
    encoder = load_text_encoder(model.path / model.pipeline["text_cond_model"])
    given = [encoder.encode([text]) for text in ("a cup", "")]
    noise = dense_to_packed(torch.randn(1, 8, 4, 4, 4, generator=torch.Generator().manual_seed(5)))

    def predicted(x: Tensor, k: int) -> Tensor:
        t = torch.full((1,), k / 1000, dtype=torch.float64)
        with_prompt, without = (network(noise.with_feats(x), t, c) for c in given)
        return 3 * with_prompt - 2 * without

    ks = [999, 666, 332]
    x = math.sqrt(1 - kept(999)) * noise.feats
    for k, after in zip(ks, [*ks[1:], None], strict=True):
        e = predicted(x, k)
        a, b = kept(k), 1.0 if after is None else kept(after)
        x = math.sqrt(b) * (x - math.sqrt(1 - a) * e) / math.sqrt(a) + math.sqrt(1 - b) * e
    want = x.T.reshape(-1)
    assert float((got - want).abs().max()) < 1e-3 * float(want.abs().max())


def test_a_diffusion_is_edited_planned_and_told_no_rescaled_time(model: ModelFolder, tmp_path: Path) -> None:
    out = tmp_path / "x.slat.h5"
    command = ("--model", model.path, "--device", "cpu", "--dtype", "float32", "--quiet")
    trellis("sample", "--text", "a cup", *command, "--steps", 2, "-o", out)
    trellis("edit", out, "--text", "a mug", "--box", "-0.5,-0.5,-0.5,0.5,0.5,0", *command, "--steps", 2,
            "-o", tmp_path / "y.slat.h5")  # fmt: skip
    plan = json.loads(trellis("sample", "--text", "a", *command, "--steps", 4, "--dry-run", "--json", "-o", out))
    assert [stage["steps"] for stage in plan["stages"] if stage["steps"]] == [4, 4]
    trellis("sample", "--text", "a cup", *command, "--rescale-t", 3, "-o", tmp_path / "z.slat.h5", code=2)
    with pytest.raises(UsageError, match="steps are even"):
        sampling_times(SamplerSettings(3, 2.0, (0.0, 1.0), 3.0), "diffusion")
