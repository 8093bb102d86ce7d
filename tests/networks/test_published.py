"""Published names: parameter counts against the paper's table, strict weights in any dtype, and what is refused."""

import pytest
import torch

from trellis_cli.errors import FileError
from trellis_cli.networks.published import build_network, network_with, num_parameters

SLAT = {"resolution": 64, "model_channels": 768, "latent_channels": 8, "num_blocks": 12, "num_heads": 12}
STRUCTURE_VAE = {"latent_channels": 8, "num_res_blocks": 2, "num_res_blocks_middle": 2}
GAUSSIANS = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True,
    "voxel_size": 1.5,
    "num_gaussians": 32,
    "2d_filter_kernel_size": 0.1,
    "3d_filter_kernel_size": 9e-4,
    "scaling_bias": 4e-3,
    "opacity_bias": 0.1,
    "scaling_activation": "softplus",
}
WIDTHS = {"B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1280, 16)}  # depth, width, heads


def flow(size: str, condition: int, **more) -> dict:
    depth, width, heads = WIDTHS[size]
    shape = {"model_channels": width, "num_blocks": depth, "num_heads": heads, "cond_channels": condition}
    return {"in_channels": 8, "out_channels": 8, "mlp_ratio": 4, "qk_rms_norm": True, **shape, **more}


def structure_flow(size: str, condition: int) -> dict:
    return flow(size, condition, resolution=16, patch_size=1, qk_rms_norm_cross=size == "XL")


def slat_flow(size: str, condition: int) -> dict:
    io, blocks = (256, 3) if size == "XL" else (128, 2)
    return flow(size, condition, resolution=64, patch_size=2, io_block_channels=[io], num_io_res_blocks=blocks)


TABLE_6 = [  # millions of trainable parameters, as the paper gives them
    ("SparseStructureEncoder", {"in_channels": 1, "channels": [32, 128, 512], **STRUCTURE_VAE}, 59.3),
    ("SparseStructureDecoder", {"out_channels": 1, "channels": [512, 128, 32], **STRUCTURE_VAE}, 73.7),
    ("SLatEncoder", {"in_channels": 1024, **SLAT}, 85.8),
    ("SLatGaussianDecoder", {"representation_config": GAUSSIANS, **SLAT}, 85.4),
    ("SLatRadianceFieldDecoder", {"representation_config": {"rank": 16, "dim": 8}, **SLAT}, 85.4),
    ("SLatMeshDecoder", {"representation_config": {"use_color": True}, **SLAT}, 90.9),
    ("SparseStructureFlowModel", structure_flow("B", 768), 157),
    ("SparseStructureFlowModel", structure_flow("L", 768), 543),
    ("SparseStructureFlowModel", structure_flow("XL", 768), 975),
    ("SparseStructureFlowModel", structure_flow("L", 1024), 556),
    ("SLatFlowModel", slat_flow("B", 768), 185),
    ("SLatFlowModel", slat_flow("L", 768), 588),
    ("ElasticSLatFlowModel", slat_flow("XL", 768), 1073),
    ("ElasticSLatFlowModel", slat_flow("L", 1024), 600),
]
SMALL = {
    "resolution": 4,
    "in_channels": 2,
    "out_channels": 2,
    "model_channels": 12,
    "cond_channels": 6,
    "num_blocks": 1,
    "num_heads": 2,
    "patch_size": 2,
    "use_fp16": True,
}


@pytest.mark.parametrize(("name", "args", "millions"), TABLE_6)
def test_as_many_parameters_as_the_paper_says(name, args, millions):
    with torch.device("meta"):
        network = build_network(name, args)
    assert num_parameters(network) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_weights_of_either_dtype_load_as_float32(dtype):
    source = build_network("SparseStructureFlowModel", SMALL)
    state = {
        key: t.to(dtype) if source.is_half(key) and key != "pos_emb" else t for key, t in source.state_dict().items()
    }
    loaded = network_with("SparseStructureFlowModel", SMALL, state)
    assert {t.dtype for t in loaded.state_dict().values()} == {torch.float32}
    for key, t in loaded.state_dict().items():
        assert torch.equal(t, state[key].float()), key


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.pop("out_layer.bias"), 'Missing key.*"out_layer.bias"'),
        (lambda state: state.update(extra=torch.zeros(1)), 'Unexpected key.*"extra"'),
        (lambda state: state.update({"out_layer.bias": torch.zeros(3)}), "size mismatch for out_layer.bias"),
    ],
)
def test_weights_are_taken_strictly(spoil, message):
    state = build_network("SparseStructureFlowModel", SMALL).state_dict()
    spoil(state)
    with pytest.raises(FileError, match=message):
        network_with("SparseStructureFlowModel", SMALL, state)


def test_unknown_names_and_arguments_are_named():
    with pytest.raises(FileError, match="no network 'SLatNothing'") as caught:
        build_network("SLatNothing", {})
    assert "SLatFlowModel" in caught.value.hint
    with pytest.raises(FileError, match="cannot be built from its arguments"):
        build_network("SparseStructureFlowModel", {**SMALL, "colour": "red"})
    with pytest.raises(FileError, match="pe_mode must be 'ape'"):
        build_network("SparseStructureFlowModel", {**SMALL, "pe_mode": "rope"})
