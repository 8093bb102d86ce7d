"""Every released network at its true size, as recipes/random_model.py writes it, against the table of released keys."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from trellis_cli.networks.published import build_network

ROOT = Path(__file__).parents[2]
ELSEWHERE = {  # the autoencoders' sections of the table, by checkpoint
    "ss_enc_conv3d_16l8_fp16": ("ss_vae_conv3d_16l8_fp16", "encoder"),
    "ss_dec_conv3d_16l8_fp16": ("ss_vae_conv3d_16l8_fp16", "decoder"),
    "slat_enc_swin8_B_64l8_fp16": ("slat_vae_enc_dec_gs_swin8_B_64l8_fp16", "encoder"),
    "slat_dec_gs_swin8_B_64l8gs32_fp16": ("slat_vae_enc_dec_gs_swin8_B_64l8_fp16", "decoder"),
    "slat_dec_rf_swin8_B_64l8r16_fp16": ("slat_vae_dec_rf_swin8_B_64l8_fp16", "decoder"),
    "slat_dec_mesh_swin8_B_64l8m256c_fp16": ("slat_vae_dec_mesh_swin8_B_64l8_fp16", "decoder"),
}


def random_model() -> ModuleType:
    spec = importlib.util.spec_from_file_location("random_model", ROOT / "recipes" / "random_model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONFIGS = ("image-large", "text-base", "text-large", "text-xlarge")
NETWORKS = {file: entry for config in CONFIGS for file, entry in random_model().networks(config).items()}


def section(file: str) -> tuple[str, str]:
    return ELSEWHERE.get(file, (file, "denoiser"))


@pytest.mark.parametrize("file", list(NETWORKS))
def test_keys_shapes_and_stored_dtypes(file: str, released_layout) -> None:
    _, name, args = NETWORKS[file]
    with torch.device("meta"):
        network = build_network(name, args)
    got = {
        key: (tuple(t.shape), torch.float16 if network.is_half(key) else torch.float32)
        for key, t in network.state_dict().items()
    }
    config, role = section(file)
    assert got == released_layout(f"{config}.json", role)


def test_no_released_network_is_left_out() -> None:
    table = (Path(__file__).parent / "data" / "STATE_KEYS.txt").read_text()
    released = set(re.findall(r"^== (\S+)\.json :: (\w+) = ", table, flags=re.MULTILINE))
    assert {section(file) for file in NETWORKS} == released


def test_a_small_model_is_drawn_whole(rng: torch.Generator) -> None:
    """No layer is zero, and buffers are what the networks compute."""
    args = {
        "resolution": 4, "in_channels": 2, "out_channels": 2, "model_channels": 12, "cond_channels": 6,
        "num_blocks": 1, "num_heads": 2, "patch_size": 2, "qk_rms_norm": True,
    }  # fmt: skip
    with torch.device("meta"):
        network = build_network("SparseStructureFlowModel", args)
    state = random_model().draw(network, rng)
    real = build_network("SparseStructureFlowModel", args)
    assert torch.equal(state["pos_emb"], real.state_dict()["pos_emb"])
    real.load_state_dict({k: v.float() for k, v in state.items()}, strict=True)
    assert all(value.any() for key, value in state.items() if key.endswith("weight"))
