"""Normalisations of packed tokens. All compute in float32 and give back their input's dtype."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK_EPS = 1e-6  # inside transformer blocks
FINAL_EPS = 1e-5  # of the parameter-free norm before an output layer


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of each token; without parameters unless `affine`."""

    def __init__(self, channels: int, *, eps: float = BLOCK_EPS, affine: bool = False) -> None:
        super().__init__(channels, eps=eps, elementwise_affine=affine)

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        if self.weight is None or x.device.type == "cpu":
            # torch keeps the statistics of half precision in float32 by itself, and on the CPU takes float32 gains with
            # it: half the time of casting to and fro.
            return super().forward(x)
        return super().forward(x.float()).to(x.dtype)


def final_norm(x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """The norm before an output layer, in the dtype of `x`, as published."""
    return F.layer_norm(x, x.shape[-1:], eps=FINAL_EPS)


class HeadRMSNorm(nn.Module):
    """Each head's vector scaled to the length sqrt(k) times a learnt gain. Key `gamma` [h, k], as published."""

    def __init__(self, num_heads: int, head_channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_heads, head_channels))
        self.scale = head_channels**0.5

    def forward(self, x: Float[Tensor, "n h k"]) -> Float[Tensor, "n h k"]:
        return (F.normalize(x.float(), dim=-1) * self.gamma * self.scale).to(x.dtype)


class SampleGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics run over all voxels of one sample and the channels of one group."""

    def __init__(self, num_groups: int, channels: int) -> None:
        if channels % num_groups:
            raise ValueError(f"{channels} channels do not divide into {num_groups} norm groups")
        super().__init__(num_groups, channels, eps=1e-5)

    def forward(self, x: Float[Tensor, "n c"], offsets: Int[Tensor, " b_plus_1"]) -> Float[Tensor, "n c"]:
        samples = x.split(offsets.diff().tolist())
        normed = [super(SampleGroupNorm, self).forward(s.float().T[None])[0].T if len(s) else s for s in samples]
        return torch.cat([s.to(x.dtype) for s in normed])
