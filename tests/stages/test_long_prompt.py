"""A prompt of 10,000 words through `trellis sample`: cut to the encoder's length, and said once."""

import json
from pathlib import Path

import pytest
import torch

from trellis_cli.io.model_folders import SHIPPED, save_network
from trellis_cli.io.stage_files import open_stage
from trellis_cli.main import run
from trellis_cli.networks.published import build_network

FLOW = {
    "in_channels": 2, "out_channels": 2, "model_channels": 16, "cond_channels": 384, "pooled_channels": 384,
    "num_blocks": 1, "num_heads": 2, "patch_size": 2, "share_mod": True,
}  # fmt: skip
NETWORKS = {
    "sparse_structure_flow_model": ("SparseStructureFlowModel", FLOW | {"resolution": 4}),
    "slat_flow_model": ("SLatFlowModel", FLOW | {"resolution": 16, "io": "packed"}),
    "sparse_structure_decoder": (
        "SparseStructureDecoder",
        {"out_channels": 1, "latent_channels": 2, "num_res_blocks": 1, "channels": [8, 8, 8]},
    ),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Untrained networks beside the shipped text encoder."""
    torch.manual_seed(0)
    sampler = {"params": {"steps": 1, "cfg_strength": 1.0, "rescale_t": 1.0}}
    arguments = {
        "models": {key: f"ckpts/{key}" for key in NETWORKS},
        "sparse_structure_sampler": sampler,
        "slat_sampler": sampler,
        "slat_normalization": {"mean": [0.0, 0.0], "std": [1.0, 1.0]},
        "text_cond_model": str(SHIPPED / "mini" / "ckpts"),
    }
    for key, (name, args) in NETWORKS.items():
        save_network(tmp_path / "model" / "ckpts" / key, name, args, build_network(name, args))
    (tmp_path / "model" / "pipeline.json").write_text(json.dumps({"name": "test", "args": arguments}))
    return tmp_path / "model"


def test_ten_thousand_words(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.h5"
    prompt = "household " * 10_000
    with pytest.raises(SystemExit) as caught:
        run(["sample", "--text", prompt, "--num", "2", "--model", str(model), "--device", "cpu", "-o", str(out)])
    warnings = capsys.readouterr().err.splitlines()
    assert (caught.value.code or 0) == 0
    assert warnings == ["WARNING: 1 text(s) cut to 128 tokens (the longest has 10002 tokens)"]
    with open_stage(out) as file:
        assert len(file.group("slat")) == 2
