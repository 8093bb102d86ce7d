"""A tiny model that answers to texts and images alike, laid out as mini."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.published_models import DECODERS, FLOW, write_network
from trellis_cli.io.model_folders import SHIPPED
from trellis_cli.networks.image_tokens import load_image_tokens

ENCODERS = str(SHIPPED / "mini" / "ckpts")


@pytest.fixture(scope="session")
def both_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random flows for texts and for images beside the shipped encoders; two steps a stage."""
    folder = tmp_path_factory.mktemp("models") / "both"
    torch.manual_seed(0)
    widths = {"": 384, "_image": load_image_tokens(Path(ENCODERS)).channels}
    models = {}
    for suffix, width in widths.items():
        flow = {**FLOW, "cond_channels": width, "pooled_channels": width, "share_mod": True}
        for key, name, more in (
            ("sparse_structure_flow_model", "SparseStructureFlowModel", {"resolution": 4, "patch_size": 1}),
            ("slat_flow_model", "SLatFlowModel", {"resolution": 16, "patch_size": 2, "io": "packed"}),
        ):
            write_network(folder, key + suffix, name, flow | more)
            models[key + suffix] = f"ckpts/{key}{suffix}"
    file, name, args = DECODERS["sparse_structure_decoder"]
    write_network(folder, file, name, args)
    sampler = {"params": {"steps": 2, "cfg_strength": 2.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0}}
    arguments = {
        "models": models | {"sparse_structure_decoder": f"ckpts/{file}"},
        "sparse_structure_sampler": sampler,
        "slat_sampler": sampler,
        "slat_normalization": {"mean": [0.0] * 8, "std": [1.0] * 8},
        "text_cond_model": ENCODERS,
        "image_cond_model": ENCODERS,
    }
    (folder / "pipeline.json").write_text(json.dumps({"name": "both", "args": arguments}))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three of one kind: a coloured box before a plain wall, opaque."""
    paths = []
    for k, colour in enumerate(("red", "green", "blue")):
        picture = Image.new("RGB", (80, 60), "white")
        picture.paste(colour, (20 + 5 * k, 10, 50, 50))
        picture.save(tmp_path / f"{colour}.png")
        paths.append(tmp_path / f"{colour}.png")
    return paths
