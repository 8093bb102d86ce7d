"""Tiny random models in the released layout: file names, float16 torsos, decoders that live in another repository.

`image_model` writes what microsoft/TRELLIS-image-large holds, `text_model` what a text model does; `in_cache` puts such
a folder into a hub cache as huggingface_hub lays it out; `clip` and `dino` write random encoders of prompts.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trellis_cli.networks.published import build_network

IMAGE, TEXT = "microsoft/TRELLIS-image-large", "microsoft/TRELLIS-text-base"
OLD_IMAGE = "JeffreyXiang/TRELLIS-image-large"  # as published pipelines name it
FINE, COARSE, CHANNELS = 16, 4, 8  # of the released 64, 16, 8
FLOW = {
    "in_channels": CHANNELS, "out_channels": CHANNELS, "model_channels": 36, "num_blocks": 1, "num_heads": 2,
    "mlp_ratio": 2, "pe_mode": "ape", "qk_rms_norm": True, "use_fp16": True,
}  # fmt: skip
VAE = {"latent_channels": CHANNELS, "num_res_blocks": 1, "num_res_blocks_middle": 1, "use_fp16": True}
SLAT = {
    "resolution": FINE, "latent_channels": CHANNELS, "num_blocks": 2, "num_heads": 2, "mlp_ratio": 2,
    "attn_mode": "swin", "window_size": 4, "use_fp16": True,
}  # fmt: skip
GAUSSIANS = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
    "perturb_offset": True, "voxel_size": 1.5, "num_gaussians": 2, "2d_filter_kernel_size": 0.1,
    "3d_filter_kernel_size": 9e-4, "scaling_bias": 4e-3, "opacity_bias": 0.1, "scaling_activation": "softplus",
}  # fmt: skip
ENCODERS = {
    "ss_enc_conv3d_16l8_fp16": ("SparseStructureEncoder", {**VAE, "in_channels": 1, "channels": [8, 16, 16]}),
    "slat_enc_swin8_B_64l8_fp16": ("ElasticSLatEncoder", {**SLAT, "model_channels": 24, "in_channels": 32}),
}
DECODERS = {
    "sparse_structure_decoder": ("ss_dec_conv3d_16l8_fp16", "SparseStructureDecoder",
                                 {**VAE, "out_channels": 1, "channels": [16, 16, 8]}),
    "slat_decoder_gs": ("slat_dec_gs_swin8_B_64l8gs32_fp16", "ElasticSLatGaussianDecoder",
                        {**SLAT, "model_channels": 24, "representation_config": GAUSSIANS}),
    "slat_decoder_rf": ("slat_dec_rf_swin8_B_64l8r16_fp16", "ElasticSLatRadianceFieldDecoder",
                        {**SLAT, "model_channels": 24, "representation_config": {"rank": 2, "dim": 4}}),
    # 256 channels are the fewest that 32 norm groups allow after two divisions.
    "slat_decoder_mesh": ("slat_dec_mesh_swin8_B_64l8m256c_fp16", "ElasticSLatMeshDecoder",
                          {**SLAT, "model_channels": 256, "num_blocks": 1,
                           "representation_config": {"use_color": True}}),
}  # fmt: skip


def _flows(short: str, width: int) -> dict[str, tuple[str, str, dict[str, Any]]]:
    structure = {**FLOW, "resolution": COARSE, "patch_size": 1, "cond_channels": width}
    latents = {
        **FLOW, "resolution": FINE, "patch_size": 2, "cond_channels": width, "io_block_channels": [8],
        "num_io_res_blocks": 2,
    }  # fmt: skip
    return {
        "sparse_structure_flow_model": (f"ss_flow_{short}_16l8_fp16", "SparseStructureFlowModel", structure),
        "slat_flow_model": (f"slat_flow_{short}_64l8p2_fp16", "ElasticSLatFlowModel", latents),
    }


def image_model(folder: Path, *, width: int, conditioner: str) -> Path:
    """A model from images, with all decoders, and the encoders that its pipeline.json does not name.

    width, conditioner: of the condition's tokens, and image_cond_model: what makes them.
    """
    networks = _flows("img_dit_L", width) | DECODERS
    for file, (name, args) in ENCODERS.items():
        write_network(folder, file, name, args)
    for file, name, args in networks.values():
        write_network(folder, file, name, args)
    models = {key: f"ckpts/{file}" for key, (file, _, _) in networks.items()}
    _write_pipeline(folder, "TrellisImageTo3DPipeline", models, {"image_cond_model": conditioner})
    return folder


def text_model(folder: Path, *, width: int, conditioner: str, decoders_of: str = OLD_IMAGE) -> Path:
    """A model from texts: its two flows, and a pipeline.json whose decoders lie in the repository `decoders_of`."""
    flows = _flows("txt_dit_B", width)
    for file, name, args in flows.values():
        write_network(folder, file, name, args)
    models = {key: f"ckpts/{file}" for key, (file, _, _) in flows.items()}
    models |= {key: f"{decoders_of}/ckpts/{file}" for key, (file, _, _) in DECODERS.items()}
    _write_pipeline(folder, "TrellisTextTo3DPipeline", models, {"text_cond_model": conditioner})
    return folder


def write_network(folder: Path, file: str, name: str, args: dict[str, Any]) -> None:
    """Random weights, as the released files store them; no layer is zero."""
    ckpts = folder / "ckpts"
    ckpts.mkdir(parents=True, exist_ok=True)
    network = build_network(name, args)
    generator = torch.Generator().manual_seed(int(hashlib.sha256(file.encode()).hexdigest()[:8], 16))
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter.data, std=0.2, generator=generator)
    state = {k: v.half() if network.is_half(k) else v for k, v in network.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, ckpts / f"{file}.safetensors")
    (ckpts / f"{file}.json").write_text(json.dumps({"name": name, "args": args}))


def _write_pipeline(folder: Path, name: str, models: dict[str, str], conditioner: dict[str, str]) -> None:
    sampler = {
        "name": "FlowEulerGuidanceIntervalSampler",
        "args": {"sigma_min": 1e-5},
        "params": {"steps": 2, "cfg_strength": 5.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0},
    }
    args = {
        "models": models,
        "sparse_structure_sampler": sampler,
        "slat_sampler": sampler,
        "slat_normalization": {"mean": [0.1] * CHANNELS, "std": [2.0] * CHANNELS},
        **conditioner,
    }
    (folder / "pipeline.json").write_text(json.dumps({"name": name, "args": args}))


def in_cache(folder: Path, cache: Path, repository: str) -> Path:
    """Move a folder into a hub cache as a repository's only revision: blobs by sha256, links to them; its snapshot."""
    home = cache / ("models--" + repository.replace("/", "--"))
    snapshot = home / "snapshots" / ("0" * 40)
    (home / "refs").mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    for path in (p for p in sorted(folder.rglob("*")) if p.is_file()):
        data = path.read_bytes()
        large = path.suffix == ".safetensors"  # kept by sha256; small files are named by git's sha1
        digest = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(data).hexdigest()
        path.replace(home / "blobs" / digest)
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(*[".."] * (len(link.relative_to(home).parts) - 1)) / "blobs" / digest)
    return snapshot


def clip(folder: Path, *, width: int) -> Path:
    """A random CLIP text tower of 77 positions with a word tokenizer, as transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3, "a": 4, "red": 5, "chair": 6}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<start>", eos_token="<end>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPTextModel(config).save_pretrained(folder)
    return folder


def dino(folder: Path, *, width: int) -> Path:
    """A random DINOv2 with registers for pictures of 28 pixels."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        num_register_tokens=4, mlp_ratio=2,
    )  # fmt: skip
    torch.manual_seed(0)
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    return folder


def describer(folder: Path) -> Path:
    """A random LLaVA that sees pictures of 28 pixels and knows ten words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "a", "chair", "red", "USER:", "ASSISTANT:"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    template = (
        "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = LlavaProcessor(
        image_processor=pictures, tokenizer=fast, patch_size=14, vision_feature_select_strategy="default",
        chat_template=template, num_additional_image_tokens=1,
    )  # fmt: skip
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    vision = CLIPVisionConfig(**small, num_hidden_layers=2, image_size=28, patch_size=14, projection_dim=8)
    text = LlamaConfig(**small, vocab_size=len(words), num_hidden_layers=1, num_key_value_heads=2)
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=4, image_token_id=4, image_seq_length=4
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
