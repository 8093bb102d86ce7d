"""Multi-head attention on packed tokens: one module for full and windowed self-attention and for cross attention."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from trellis_cli.networks.norms import HeadRMSNorm
from trellis_cli.networks.precision import Linear
from trellis_ops._rows import permute_rows
from trellis_ops.packed_attention import packed_attention, windows


@dataclass(frozen=True, slots=True)
class Groups:
    """Which tokens attend to which: those of one group to each other, or to the context tokens of the same group.

    offsets: the groups of the tokens, after they are put in `order` where there is one.
    context_offsets: the groups of the context's tokens, for cross attention.
    order, inverse: the permutation that gathers each group's tokens, and the one that puts them back.
    """

    offsets: Int[Tensor, " g_plus_1"]
    context_offsets: Int[Tensor, " g_plus_1"] | None = None
    order: Int[Tensor, " n"] | None = None
    inverse: Int[Tensor, " n"] | None = None


def windowed(coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"], *, window: int, shift: int) -> Groups:
    """Groups of the tokens that share a window; found once, they serve every block of that shift."""
    order, window_offsets = windows(coords, offsets, window=window, shift=shift)
    return Groups(window_offsets, order=order, inverse=order.argsort())


class MultiHeadAttention(nn.Module):
    """Keys as published: `to_qkv` (self) or `to_q`, `to_kv` (cross), `to_out`; `q_rms_norm`, `k_rms_norm` if asked.

    Args:
        channels: width of the tokens; a multiple of num_heads.
        num_heads: heads of channels / num_heads each.
        context_channels: width of the context; makes this cross attention.
        qk_rms_norm: scale queries and keys to a learnt length, which keeps half precision in range.
    """

    def __init__(
        self, channels: int, num_heads: int, *, context_channels: int | None = None, qk_rms_norm: bool = False
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"{channels} channels do not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.is_cross = context_channels is not None
        if context_channels is None:
            self.to_qkv = Linear(channels, 3 * channels)
        else:
            self.to_q = Linear(channels, channels)
            self.to_kv = Linear(context_channels, 2 * channels)
        self.qk_rms_norm = qk_rms_norm
        if qk_rms_norm:
            self.q_rms_norm = HeadRMSNorm(num_heads, channels // num_heads)
            self.k_rms_norm = HeadRMSNorm(num_heads, channels // num_heads)
        self.to_out = Linear(channels, channels)

    def forward(
        self, x: Float[Tensor, "n c"], groups: Groups, context: Float[Tensor, "m d"] | None = None
    ) -> Float[Tensor, "n c"]:
        # Axes: n = tokens, m = context tokens, h = heads, k = channels of a head.
        if groups.order is not None and groups.inverse is not None:
            x = permute_rows(x, groups.order, groups.inverse)
        if context is None:
            q_nhk, k_mhk, v_mhk = self.to_qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        else:
            q_nhk = self.to_q(x).unflatten(-1, (self.num_heads, -1))
            k_mhk, v_mhk = self.to_kv(context).unflatten(-1, (2, self.num_heads, -1)).unbind(1)
        if self.qk_rms_norm:
            q_nhk, k_mhk = self.q_rms_norm(q_nhk), self.k_rms_norm(k_mhk)
        out_nhk = packed_attention(q_nhk, k_mhk, v_mhk, groups.offsets, kv_offsets=groups.context_offsets)
        out = self.to_out(out_nhk.flatten(1))
        if groups.order is not None and groups.inverse is not None:
            out = permute_rows(out, groups.inverse, groups.order)
        return out
