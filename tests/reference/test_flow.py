"""The published flow networks of both stages, number for number, and their key layouts at full size."""

import math

import pytest
import torch

from trellis_cli.geometry.packed import dense_to_packed, packed_to_dense
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.embeddings import time_embedding
from trellis_cli.networks.flow_io import patchify, unpatchify
from trellis_cli.networks.published import build_network, network_with

SIZES = {  # depth, width, heads
    "B": (12, 768, 12),
    "L": (24, 1024, 16),
    "XL": (28, 1280, 16),
}


@pytest.mark.parametrize("name", ["ss_flow", "ss_flow_v2"])
@torch.no_grad()
def test_structure_flow(name, load_case, assert_near):
    case = load_case(name)
    network = network_with(case.name, case.args, case.weights)
    x = dense_to_packed(case.inputs["x"])
    v = network(x, case.inputs["t"].double() / 1000, Condition.dense(case.inputs["cond"]))
    assert_near(packed_to_dense(x.with_feats(v)), case.outputs["v"], what="velocity")


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("name", ["slat_flow", "slat_flow_v2"])
@torch.no_grad()
def test_slat_flow(name, planned, load_case, assert_near):
    case = load_case(name)
    network = network_with(case.name, case.args, case.weights)
    x = case.packed()
    plan = network.plan(x.coords, x.offsets) if planned else None
    v = network(x, case.inputs["t"].double() / 1000, Condition.dense(case.inputs["cond"]), plan)
    assert torch.equal(case.inputs["coords"], case.outputs["coords"])  # rows keep their order
    assert_near(v, case.outputs["v"], what="velocity")


def test_time_embedding(primitives, assert_near):
    """The frequencies are float32 exponentials, whose last bit depends on the processor's library, and a thousand times
    that bit shows: a channel must agree for the frequency as it is here or for one of its two neighbours."""
    t, want = primitives["temb.t"], primitives["temb.out"]
    half = want.shape[1] // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    neighbours = [torch.nextafter(frequencies, torch.tensor(limit)) for limit in (0.0, 2.0)]
    waves = [_waves(t, f) for f in (frequencies, *neighbours)]
    assert_near(time_embedding(t.double() / 1000, want.shape[1]), waves[0], what="time embedding", tolerance=1e-6)
    error = torch.stack([(w - want).abs().amax(0) for w in waves]).amin(0)
    assert float(error.max()) <= 1e-5


def _waves(t, frequencies):
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def test_patchify(primitives, assert_near):
    grid = primitives["patchify.in"]
    resolution = grid.shape[-1]
    packed = dense_to_packed(grid)
    tokens = patchify(packed.feats, resolution, 2)
    want = primitives["patchify.out"].flatten(2).transpose(1, 2).flatten(0, 1)  # tokens in x, y, z order
    assert_near(tokens, want, what="patchify", tolerance=0)
    assert torch.equal(unpatchify(tokens, resolution, 2), packed.feats)


@pytest.mark.parametrize(
    ("kind", "condition", "size"), [("img", 1024, "L"), ("txt", 768, "B"), ("txt", 768, "L"), ("txt", 768, "XL")]
)
@pytest.mark.parametrize("stage", ["ss", "slat"])
def test_released_keys_shapes_and_dtypes(stage, kind, condition, size, released_layout):
    depth, width, heads = SIZES[size]
    args = {
        "resolution": 16 if stage == "ss" else 64,
        "in_channels": 8,
        "out_channels": 8,
        "model_channels": width,
        "cond_channels": condition,
        "num_blocks": depth,
        "num_heads": heads,
        "mlp_ratio": 4,
        "patch_size": 1 if stage == "ss" else 2,
        "qk_rms_norm": True,
        "use_fp16": True,
    }
    if stage == "ss":
        name, config = "SparseStructureFlowModel", f"ss_flow_{kind}_dit_{size}_16l8_fp16.json"
        args["qk_rms_norm_cross"] = size == "XL"
    else:
        name, config = "ElasticSLatFlowModel", f"slat_flow_{kind}_dit_{size}_64l8p2_fp16.json"
        args |= {"io_block_channels": [256 if size == "XL" else 128], "num_io_res_blocks": 3 if size == "XL" else 2}
    with torch.device("meta"):
        network = build_network(name, args)
    got = {
        key: (tuple(t.shape), torch.float16 if network.is_half(key) else torch.float32)
        for key, t in network.state_dict().items()
    }
    assert got == released_layout(config, "denoiser")
