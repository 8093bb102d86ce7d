"""CLIP as a measure: pictures and texts as unit vectors, whose cosine says how well they go together.

Source: Radford et al. 2021 (arXiv:2103.00020), through transformers.
"""

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.errors import FileError, MissingError, first_line
from trellis_cli.io import encoder_files, hub
from trellis_cli.networks.quiet_transformers import quietly

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ClipSimilarity:
    """Both towers of a CLIP model."""

    def __init__(self, network: nn.Module, tokenizer: Any) -> None:
        self.network, self.tokenizer = network.eval().requires_grad_(False), tokenizer
        config = cast(Any, network.config)  # transformers' own, which nn.Module's type cannot name
        self.image_size: int = config.vision_config.image_size
        self.max_tokens: int = config.text_config.max_position_embeddings

    @torch.no_grad()
    def pictures(self, images: Float[Tensor, "v 3 s s"]) -> Float[Tensor, "v d"]:
        """Unit vectors of square pictures in [0, 1], of any size."""
        size = (self.image_size, self.image_size)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        mean, std = (torch.tensor(values)[:, None, None].to(images) for values in (MEAN, STD))
        network = cast(Any, self.network)
        pooled = network.vision_model(pixel_values=(images - mean) / std).pooler_output
        return F.normalize(network.visual_projection(pooled), dim=1)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Float[Tensor, "n d"]:
        """Unit vectors of texts; what is longer than CLIP reads is cut."""
        words = self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        device = next(self.network.parameters()).device
        network = cast(Any, self.network)
        pooled = network.text_model(**{k: words[k].to(device) for k in ("input_ids", "attention_mask")}).pooler_output
        return F.normalize(network.text_projection(pooled), dim=1)


def load_clip_similarity(source: Path | str = encoder_files.CLIP, *, device: str = "cpu") -> ClipSimilarity:
    """CLIP of a transformers folder, or of a hub id in the cache; nothing is fetched.

    Raises:
        MissingError: the files are not on this machine.
        FileError: they are no CLIP model with both towers.
    """
    from transformers import AutoTokenizer, CLIPModel

    here: dict[str, Any] = {"local_files_only": True, "cache_dir": hub.cache_folder()}
    try:
        with quietly():
            network = CLIPModel.from_pretrained(str(source), **here)
            tokenizer = AutoTokenizer.from_pretrained(str(source), **here)
    except OSError as error:
        raise MissingError(f"{source}: CLIP is not on this machine", hint=encoder_files.remedy(source)) from error
    except Exception as error:  # transformers, tokenizers and safetensors each raise their own
        raise FileError(f"{source}: not CLIP: {first_line(error)}", hint="fetch it anew") from error
    return ClipSimilarity(cast(nn.Module, network).to(device), tokenizer)
