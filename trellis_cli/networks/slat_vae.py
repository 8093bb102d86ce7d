"""The structured latent's transformer: the encoder to latents, and the trunk that every decoder head grows on.

Tokens are active voxels; attention stays within windows of the grid, shifted by half a window in every second block.
Keys are the published SLatEncoder's and SLat*Decoder's.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trellis_cli.geometry.packed import Packed
from trellis_cli.networks.attention import Groups, windowed
from trellis_cli.networks.blocks import TransformerBlock, init_linear_layers, zero
from trellis_cli.networks.embeddings import position_embedding
from trellis_cli.networks.norms import final_norm
from trellis_cli.networks.precision import Linear, TorsoNetwork


class SlatTransformer(TorsoNetwork):
    """Input layer, position embedding and blocks: what encoder and decoders share.

    Args:
        resolution: voxels along one edge of the grid the tokens live on.
        in_channels: width of the tokens' features.
        model_channels: width of the blocks.
        num_blocks: how many.
        num_heads: heads of a block; None takes model_channels / num_head_channels.
        mlp_ratio: hidden width of the feed-forward networks over model_channels.
        attn_mode: "swin" (windows, shifted in odd blocks), "windowed" (never shifted) or "full" (the whole sample).
        window_size: edge of a window in voxels.
        pe_mode: "ape", the absolute position embedding, is the only one.
        use_fp16: the torso is stored in float16; see TorsoNetwork.
        use_checkpoint: in training keep each block's input alone and run it again for the gradients.
        qk_rms_norm: see MultiHeadAttention.

    Raises:
        ValueError: an attn_mode or pe_mode this program does not have; widths that do not divide.
    """

    torso = ("blocks",)

    def __init__(
        self,
        *,
        resolution: int,
        in_channels: int,
        model_channels: int,
        num_blocks: int,
        num_heads: int | None = None,
        num_head_channels: int = 64,
        mlp_ratio: float | int = 4,
        attn_mode: str = "swin",
        window_size: int = 8,
        pe_mode: str = "ape",
        use_fp16: bool = False,
        use_checkpoint: bool = False,
        qk_rms_norm: bool = False,
    ) -> None:
        super().__init__(use_fp16=use_fp16)
        if attn_mode not in ("full", "windowed", "swin"):
            raise ValueError(f"attn_mode must be 'swin', 'windowed' or 'full', got {attn_mode!r}")
        if pe_mode != "ape":
            raise ValueError(f"pe_mode must be 'ape', got {pe_mode!r}")
        self.resolution, self.in_channels, self.model_channels = resolution, in_channels, model_channels
        self.attn_mode, self.window_size, self.use_checkpoint = attn_mode, window_size, use_checkpoint
        self.input_layer = Linear(in_channels, model_channels)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                model_channels,
                num_heads or model_channels // num_head_channels,
                mlp_ratio=mlp_ratio,
                qk_rms_norm=qk_rms_norm,
            )
            for _ in range(num_blocks)
        )

    def trunk(self, x: Packed) -> Float[Tensor, "n c"]:
        """Tokens after the last block, in the torso's dtype."""
        h = self.input_layer(x.feats.float()) + position_embedding(x.coords, self.model_channels)
        h = h.to(self.dtype)
        groups = self._groups(x)
        for i, block in enumerate(self.blocks):
            h = self.run_block(block, h, groups[i % 2])
        return h

    def run_block(self, block: nn.Module, *args: Any) -> Any:
        """block(*args); with `use_checkpoint`, its inner activations are made again for the gradients, not kept."""
        if self.use_checkpoint and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)

    def _groups(self, x: Packed) -> tuple[Groups, Groups]:
        """Who attends to whom in even and in odd blocks."""
        if self.attn_mode == "full":
            return Groups(x.offsets), Groups(x.offsets)
        even = windowed(x.coords, x.offsets, window=self.window_size, shift=0)
        if self.attn_mode == "windowed":
            return even, even
        return even, windowed(x.coords, x.offsets, window=self.window_size, shift=self.window_size // 2)


class SlatEncoder(SlatTransformer):
    """Image features at the active voxels to the mean and log variance of their latents."""

    def __init__(self, *, resolution: int, in_channels: int, model_channels: int, latent_channels: int, **kwargs):
        super().__init__(resolution=resolution, in_channels=in_channels, model_channels=model_channels, **kwargs)
        self.latent_channels = latent_channels
        self.out_layer = Linear(model_channels, 2 * latent_channels)
        init_linear_layers(self)
        zero(self.out_layer)

    def forward(self, x: Packed) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
        h = self.trunk(x).float()
        mean, logvar = self.out_layer(final_norm(h)).chunk(2, dim=-1)
        return mean, logvar
