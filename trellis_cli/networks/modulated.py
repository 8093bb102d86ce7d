"""The transformer block of the flows: self-attention and MLP modulated by the time, and cross-attention to a condition.

One block serves both stages: tokens of all samples lie end to end, and a dense grid is the case of equal lengths.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from trellis_cli.networks.attention import Groups, MultiHeadAttention
from trellis_cli.networks.blocks import FeedForward, zero
from trellis_cli.networks.norms import LayerNorm
from trellis_cli.networks.precision import Linear


@dataclass(frozen=True, slots=True)
class Samples:
    """Which tokens are whose. Built once a forward pass, so that no block asks again."""

    offsets: Int[Tensor, " b_plus_1"]
    equal: bool  # all samples have equally many tokens

    @staticmethod
    def of(offsets: Int[Tensor, " b_plus_1"]) -> "Samples":
        lengths = offsets.diff()
        return Samples(offsets, bool((lengths == lengths[:1]).all()))

    def scale_shift(
        self, x: Float[Tensor, "n c"], scale: Float[Tensor, "b c"], shift: Float[Tensor, "b c"]
    ) -> Float[Tensor, "n c"]:
        """x (1 + scale) + shift, each token with its sample's."""
        if self.equal:
            rows = x.view(len(scale), -1, x.shape[1])
            return torch.addcmul(shift[:, None], rows, 1 + scale[:, None]).view_as(x)
        return torch.addcmul(self.spread(shift), x, self.spread(1 + scale))

    def gated(
        self, x: Float[Tensor, "n c"], gate: Float[Tensor, "b c"], update: Float[Tensor, "n c"]
    ) -> Float[Tensor, "n c"]:
        """x + gate update, each token with its sample's gate."""
        if self.equal:
            shape = (len(gate), -1, x.shape[1])
            return torch.addcmul(x.view(shape), gate[:, None], update.view(shape)).view_as(x)
        return torch.addcmul(x, self.spread(gate), update)

    def spread(self, values: Float[Tensor, "b c"]) -> Float[Tensor, "n c"]:
        """Each token's sample's row."""
        return _Spread.apply(values, self.offsets)


class _Spread(torch.autograd.Function):
    """Rows repeated over their samples' tokens; the gradient is a sum over each sample.

    Autograd's own backward of an index adds row by row on one core; summing slices takes a tenth of that.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, offsets: Tensor) -> Tensor:
        ctx.lengths = offsets.diff().tolist()
        return values.repeat_interleave(offsets.diff(), dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return torch.stack([part.sum(0) for part in grad.split(ctx.lengths)]), None


class ModulatedCrossBlock(nn.Module):
    """x += gate SelfAttn(mod(LN x)); x += CrossAttn(LN x, condition); x += gate MLP(mod(LN x)).

    Args:
        channels, context_channels: width of the tokens and of the condition's tokens.
        num_heads: of both attentions.
        mlp_ratio: hidden width of the MLP over `channels`.
        qk_rms_norm, qk_rms_norm_cross: normalise queries and keys in the one or the other attention.
        share_mod: the six modulations come ready made from the network instead of from the block's own layer.

    Source: the published ModulatedTransformerCrossBlock and its sparse twin; keys as there.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        qk_rms_norm: bool = False,
        qk_rms_norm_cross: bool = False,
        share_mod: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.norm2 = LayerNorm(channels, affine=True)
        self.norm3 = LayerNorm(channels)
        self.self_attn = MultiHeadAttention(channels, num_heads, qk_rms_norm=qk_rms_norm)
        self.cross_attn = MultiHeadAttention(
            channels, num_heads, context_channels=context_channels, qk_rms_norm=qk_rms_norm_cross
        )
        self.mlp = FeedForward(channels, mlp_ratio)
        if not share_mod:
            self.adaLN_modulation = modulation_layer(channels)

    def forward(
        self,
        x: Float[Tensor, "n c"],
        time: Float[Tensor, "b t"],
        samples: Samples,
        context: Float[Tensor, "m k"],
        context_offsets: Int[Tensor, " b_plus_1"],
    ) -> Float[Tensor, "n c"]:
        """`time` is the time embedding [b, c], or with share_mod the six modulations [b, 6 c]."""
        six = self.adaLN_modulation(time) if hasattr(self, "adaLN_modulation") else time
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = six.chunk(6, dim=1)
        h = samples.scale_shift(self.norm1(x), scale_attn, shift_attn)
        x = samples.gated(x, gate_attn, self.self_attn(h, Groups(samples.offsets)))
        x = x + self.cross_attn(self.norm2(x), Groups(samples.offsets, context_offsets), context)
        h = samples.scale_shift(self.norm3(x), scale_mlp, shift_mlp)
        return samples.gated(x, gate_mlp, self.mlp(h))


def modulation_layer(channels: int) -> nn.Sequential:
    """The time embedding to shift, scale and gate of the attention, then of the MLP."""
    return nn.Sequential(nn.SiLU(), Linear(channels, 6 * channels))


def silence_modulations(network: nn.Module) -> None:
    """Zero every modulation layer in `network`, so that an untrained block passes its input on. As published."""
    for name, module in network.named_modules():
        if name.split(".")[-2:] == ["adaLN_modulation", "1"] and isinstance(module, nn.Linear):
            zero(module)
