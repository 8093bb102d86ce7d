"""A model folder of a released model's true sizes with random weights: to measure memory and time, not to look at.

    python recipes/random_model.py /tmp/random-large --config image-large
    trellis sample --model /tmp/random-large --structure voxels.h5 --steps 2 ...

The layout, the file names and the stored dtypes are the released ones (float16 torsos). Layers that training starts at
zero are drawn like all others, so that something comes out; the last layers are biased so that about one voxel in
twenty is active and about a tenth of a mesh's cubes lie inside. One network is in memory at a time.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from trellis_cli.networks.embeddings import grid_coords, position_embedding
from trellis_cli.networks.heads import gaussian_perturbation
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.networks.published import build_network

SIZES = {"base": (12, 768, 12), "large": (24, 1024, 16), "xlarge": (28, 1280, 16)}  # blocks, width, heads
LETTER = {"base": "B", "large": "L", "xlarge": "XL"}
DECODERS = {
    "sparse_structure_decoder": "ss_dec_conv3d_16l8_fp16",
    "slat_decoder_gs": "slat_dec_gs_swin8_B_64l8gs32_fp16",
    "slat_decoder_rf": "slat_dec_rf_swin8_B_64l8r16_fp16",
    "slat_decoder_mesh": "slat_dec_mesh_swin8_B_64l8m256c_fp16",
}
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
NORMALIZATION = {  # of the released latents
    "mean": [-2.16875458, -0.00434705, -0.13352349, -0.08418073, -0.52712065, 0.72386891, -1.14144504, 1.20393634],
    "std": [2.37765074, 2.38638829, 2.12441802, 2.17485523, 2.66394472, 2.37119222, 2.62174463, 2.68452311],
}


def networks(config: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Checkpoint's name -> (key in pipeline.json, class, arguments) of a released model's own networks."""
    kind, _, size = config.partition("-")
    blocks, width, heads = SIZES[size]
    flow = {
        "in_channels": 8, "out_channels": 8, "model_channels": width, "num_blocks": blocks, "num_heads": heads,
        "cond_channels": 1024 if kind == "image" else 768, "mlp_ratio": 4, "pe_mode": "ape", "qk_rms_norm": True,
        "use_fp16": True,
    }  # fmt: skip
    structure = {"resolution": 16, "patch_size": 1, "qk_rms_norm_cross": size == "xlarge"}
    latents = {
        "resolution": 64, "patch_size": 2, "io_block_channels": [256 if size == "xlarge" else 128],
        "num_io_res_blocks": 3 if size == "xlarge" else 2,
    }  # fmt: skip
    short = f"{'img' if kind == 'image' else 'txt'}_dit_{LETTER[size]}"
    found = {
        f"ss_flow_{short}_16l8_fp16": (
            "sparse_structure_flow_model", "SparseStructureFlowModel", {**flow, **structure},
        ),
        f"slat_flow_{short}_64l8p2_fp16": ("slat_flow_model", "ElasticSLatFlowModel", {**flow, **latents}),
    }  # fmt: skip
    return found | (autoencoders() if kind == "image" else {})


def autoencoders() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Those that image-large alone holds; the encoders stand in no pipeline.json."""
    structure = {"latent_channels": 8, "num_res_blocks": 2, "num_res_blocks_middle": 2, "use_fp16": True}
    slat = {
        "resolution": 64, "model_channels": 768, "latent_channels": 8, "num_blocks": 12, "num_heads": 12,
        "mlp_ratio": 4, "attn_mode": "swin", "window_size": 8, "use_fp16": True,
    }  # fmt: skip
    configs = {
        "slat_decoder_gs": ("ElasticSLatGaussianDecoder", GAUSSIANS),
        "slat_decoder_rf": ("ElasticSLatRadianceFieldDecoder", {"rank": 16, "dim": 8}),
        "slat_decoder_mesh": ("ElasticSLatMeshDecoder", {"use_color": True}),
    }
    encoder, decoder = {"in_channels": 1, "channels": [32, 128, 512]}, {"out_channels": 1, "channels": [512, 128, 32]}
    found: dict[str, tuple[str, str, dict[str, Any]]] = {
        "ss_enc_conv3d_16l8_fp16": ("", "SparseStructureEncoder", {**structure, **encoder}),
        DECODERS["sparse_structure_decoder"]: (
            "sparse_structure_decoder", "SparseStructureDecoder", {**structure, **decoder},
        ),
        "slat_enc_swin8_B_64l8_fp16": ("", "ElasticSLatEncoder", {**slat, "in_channels": 1024}),
    }  # fmt: skip
    for key, (name, config) in configs.items():
        found[DECODERS[key]] = (key, name, {**slat, "representation_config": config})
    return found


def draw(network: TorsoNetwork, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights for a network on the meta device, in its stored dtypes."""
    state = {}
    for name, value in network.state_dict().items():
        dtype = torch.float16 if network.is_half(name) else torch.float32
        state[name] = _weight(network, name, value, generator).to(dtype)
    _bias_outputs(network, state)
    return state


def _weight(network: TorsoNetwork, name: str, value: Tensor, generator: torch.Generator) -> Tensor:
    if name == "pos_emb":
        return position_embedding(grid_coords(round(len(value) ** (1 / 3))), value.shape[1])
    if name == "offset_perturbation":
        return gaussian_perturbation(len(value), GAUSSIANS["voxel_size"])
    if value.ndim == 1 or name.endswith(".gamma"):  # biases, and the gains of norms
        return torch.zeros(value.shape) if name.endswith("bias") else torch.ones(value.shape)
    inputs = value.shape[1:].numel()
    spread = 0.3 if "adaLN" in name else 1.0
    return torch.randn(value.shape, generator=generator) * spread * inputs**-0.5


def _bias_outputs(network: TorsoNetwork, state: dict[str, Tensor]) -> None:
    if "out_layer.2.bias" in state and len(state["out_layer.2.bias"]) == 1:  # the structure decoder
        state["out_layer.2.bias"] -= 1.0
    if type(network).__name__ == "MeshDecoder":
        state["out_layer.weight"] *= 0.1
        state["out_layer.bias"][:8] += 0.06  # the signed distances


def pipeline(config: str, decoders_of: str) -> dict[str, Any]:
    """pipeline.json as the released one is; a text model's decoders lie in the repository `decoders_of`."""
    image = config.startswith("image")
    sampler = {
        "name": "FlowEulerGuidanceIntervalSampler",
        "args": {"sigma_min": 1e-5},
        "params": {
            "steps": 25, "cfg_strength": 5.0 if image else 7.5, "cfg_interval": [0.5, 1.0 if image else 0.95],
            "rescale_t": 3.0,
        },
    }  # fmt: skip
    own = {key: f"ckpts/{file}" for file, (key, _, _) in networks(config).items() if key}
    elsewhere = {} if image else {key: f"{decoders_of}/ckpts/{file}" for key, file in DECODERS.items()}
    conditioner = {"image_cond_model": "dinov2_vitl14_reg"} if image else {
        "text_cond_model": "openai/clip-vit-large-patch14"}  # fmt: skip
    return {
        "name": "TrellisImageTo3DPipeline" if image else "TrellisTextTo3DPipeline",
        "args": {
            "models": own | elsewhere,
            "sparse_structure_sampler": sampler,
            "slat_sampler": sampler,
            "slat_normalization": NORMALIZATION,
            **conditioner,
        },
    }


def write(out: Path, config: str, seed: int) -> None:
    ckpts = out / "ckpts"
    ckpts.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    for file, (_, name, args) in networks(config).items():
        with torch.device("meta"):
            network = build_network(name, args)
        save_file(draw(network, generator), ckpts / f"{file}.safetensors")
        (ckpts / f"{file}.json").write_text(json.dumps({"name": name, "args": args}, indent=4) + "\n")
    text = json.dumps(pipeline(config, "microsoft/TRELLIS-image-large"), indent=4) + "\n"
    (out / "pipeline.json").write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", default="image-large", choices=["image-large", *(f"text-{s}" for s in SIZES)])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.out, args.config, args.seed)
