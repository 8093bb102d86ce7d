"""The structure VAE: a dense 0/1 grid of active voxels to a small latent grid, and back to logits.

3D convolutions only. Keys and layouts are the published SparseStructureEncoder's and SparseStructureDecoder's, so that
released weights load as they are. Activations travel in torch's channels-last memory format: the norms over channels
then read contiguous memory, and the convolutions of CPUs with bf16 units run several times faster.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from trellis_cli.networks.precision import Conv3d, TorsoNetwork

Norm = Literal["layer", "group"]


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of each voxel; the statistics are float32 whatever the input's dtype."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-5)

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x y z"]:
        last = x.movedim(1, -1)
        if x.device.type != "cpu":  # on the CPU torch takes half-precision input with float32 gains, in half the time
            last = last.float()
        out = F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)
        return out.to(x.dtype).movedim(-1, 1)


class ChannelGroupNorm(nn.GroupNorm):
    """GroupNorm of 32 groups, in float32: the published `norm_type="group"`, used before the output layer alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(32, channels)

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x y z"]:
        return super().forward(x.float()).to(x.dtype)


class ResBlock(nn.Module):
    """x + conv2(silu(norm2(conv1(silu(norm1(x)))))), all of one width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels)
        self.norm2 = ChannelLayerNorm(channels)
        self.conv1 = Conv3d(channels, channels, 3, padding=1)
        self.conv2 = Conv3d(channels, channels, 3, padding=1)
        for parameter in self.conv2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c x y z"]:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Downsample(nn.Module):
    """Halve the grid with a 2^3 convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b d _x _y _z"]:
        return self.conv(x)


class Upsample(nn.Module):
    """Double the grid: a convolution to eight times the channels, which then take their places in the 2^3 block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3d(in_channels, out_channels * 8, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b d _x _y _z"]:
        return pixel_shuffle_3d(self.conv(x), 2)


def pixel_shuffle_3d(x: Float[Tensor, "b c x y z"], factor: int) -> Float[Tensor, "b d _x _y _z"]:
    """Channels to space: channel d * f^3 + (dx * f^2 + dy * f + dz) goes to channel d of voxel (f x + dx, ...)."""
    b, c, *sides = x.shape
    blocks = x.movedim(1, -1).unflatten(-1, (c // factor**3, factor, factor, factor))  # b x y z d dx dy dz
    spread = blocks.permute(0, 1, 5, 2, 6, 3, 7, 4)  # b x dx y dy z dz d: channels-last memory, as everywhere here
    return spread.reshape(b, *(s * factor for s in sides), c // factor**3).movedim(-1, 1)


def _output_layer(channels: int, out_channels: int, norm_type: Norm) -> nn.Sequential:
    norm = {"layer": ChannelLayerNorm, "group": ChannelGroupNorm}[norm_type](channels)
    return nn.Sequential(norm, nn.SiLU(), Conv3d(channels, out_channels, 3, padding=1))


class StructureEncoder(TorsoNetwork):
    """Grids of 0/1 to the mean and log variance of their latents; each level but the last halves the grid.

    Args: as published: `channels` of each level from fine to coarse, `num_res_blocks` a level, and as many in the
    middle as `num_res_blocks_middle`; `norm_type` reaches the output layer alone; `use_fp16` see TorsoNetwork.
    """

    torso = ("blocks", "middle_block")

    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        num_res_blocks: int,
        channels: list[int],
        num_res_blocks_middle: int = 2,
        norm_type: Norm = "layer",
        use_fp16: bool = False,
    ) -> None:
        super().__init__(use_fp16=use_fp16)
        self.in_channels, self.latent_channels = in_channels, latent_channels
        self.factor = 2 ** (len(channels) - 1)  # fine voxels along one edge of a latent voxel
        self.input_layer = Conv3d(in_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            self.blocks.extend(ResBlock(width) for _ in range(num_res_blocks))
            if level + 1 < len(channels):
                self.blocks.append(Downsample(width, channels[level + 1]))
        self.middle_block = nn.Sequential(*(ResBlock(channels[-1]) for _ in range(num_res_blocks_middle)))
        self.out_layer = _output_layer(channels[-1], latent_channels * 2, norm_type)

    def forward(
        self, grid: Float[Tensor, "b 1 r r r"]
    ) -> tuple[Float[Tensor, "b c s s s"], Float[Tensor, "b c s s s"]]:
        h = self.input_layer(grid.to(memory_format=torch.channels_last_3d)).to(self.dtype)
        for block in self.blocks:
            h = block(h)
        mean, logvar = self.out_layer(self.middle_block(h).to(grid.dtype)).chunk(2, dim=1)
        return mean, logvar


class StructureDecoder(TorsoNetwork):
    """Latents to logits of the fine grid: a voxel is active where its logit is above 0.

    Args: as the encoder's, with `channels` from coarse to fine.
    """

    torso = ("blocks", "middle_block")

    def __init__(
        self,
        out_channels: int,
        latent_channels: int,
        num_res_blocks: int,
        channels: list[int],
        num_res_blocks_middle: int = 2,
        norm_type: Norm = "layer",
        use_fp16: bool = False,
    ) -> None:
        super().__init__(use_fp16=use_fp16)
        self.out_channels, self.latent_channels = out_channels, latent_channels
        self.factor = 2 ** (len(channels) - 1)
        self.input_layer = Conv3d(latent_channels, channels[0], 3, padding=1)
        self.middle_block = nn.Sequential(*(ResBlock(channels[0]) for _ in range(num_res_blocks_middle)))
        self.blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            self.blocks.extend(ResBlock(width) for _ in range(num_res_blocks))
            if level + 1 < len(channels):
                self.blocks.append(Upsample(width, channels[level + 1]))
        self.out_layer = _output_layer(channels[-1], out_channels, norm_type)

    def forward(self, latent: Float[Tensor, "b c s s s"]) -> Float[Tensor, "b 1 r r r"]:
        h = self.input_layer(latent.to(memory_format=torch.channels_last_3d)).to(self.dtype)
        h = self.middle_block(h)
        for block in self.blocks:
            h = block(h)
        return self.out_layer(h.to(latent.dtype))
