"""DINOv2's tokens of a picture: what the released image models are conditioned on.

Source: the published image pipeline: 518 x 518 pixels on black, every token of DINOv2 ViT-L/14 with registers ([cls],
4 registers, 37 x 37 patches) before its final norm, then a layer norm without weights.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trellis_cli.data.object_crop import on_black
from trellis_cli.io.encoder_files import HUB_IDS
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.image_encoders import DinoV2Encoder, load_dinov2


class DinoV2Tokens:
    """All tokens of a picture, normalised; no pooled vector."""

    def __init__(self, encoder: DinoV2Encoder) -> None:
        self.encoder = encoder
        self.image_size, self.channels = encoder.image_size, encoder.channels

    def to(self, device: torch.device | str) -> "DinoV2Tokens":
        self.encoder.to(device)
        return self

    def __call__(self, pictures: Float[Tensor, "b 4 s s"]) -> Condition:
        """Conditions of pictures as `crop_to_object` gives them: straight RGBA in [0, 1], s = image_size."""
        tokens = self.encoder.tokens(on_black(pictures)).float()
        return Condition.dense(F.layer_norm(tokens, tokens.shape[-1:]))


def load_dino_tokens(source: str, *, device: str = "cpu") -> DinoV2Tokens:
    """The tokens by torch.hub's name of the network, by a hub id, or of a transformers folder.

    Raises:
        MissingError: the weights are not on this machine; nothing is fetched.
    """
    return DinoV2Tokens(load_dinov2(HUB_IDS.get(source, source))).to(device)
