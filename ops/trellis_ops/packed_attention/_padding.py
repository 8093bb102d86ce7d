"""Sequences of similar length padded into one dense call each: at most a handful of calls, with gradients."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from trellis_ops._rows import spread_rows, take_rows

_STEPS_PER_DOUBLING = 3  # buckets end at powers of 2^(1/3): padding adds at most 26 %, 13 % on average


def padded_attention(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, kv_offsets: Tensor) -> Tensor:
    """Attention within each sequence; arguments and result as `packed_attention`, on any device."""
    lengths, kv_lengths = offsets.diff(), kv_offsets.diff()
    out = torch.zeros_like(q)
    bucket = _size_class(lengths) * 1024 + _size_class(kv_lengths)
    for number in bucket[(lengths > 0) & (kv_lengths > 0)].unique().tolist():
        members = (bucket == number).nonzero()[:, 0]
        rows, at = _positions(offsets, members)
        kv_rows, kv_at = _positions(kv_offsets, members)
        longest, kv_longest = int(lengths[members].max()), int(kv_lengths[members].max())
        q_bhnk = _pad(q, rows, at, len(members), longest)
        k_bhmk, v_bhmk = (_pad(x, kv_rows, kv_at, len(members), kv_longest) for x in (k, v))
        mask = None
        if int(kv_lengths[members].min()) < kv_longest:
            mask = (torch.arange(kv_longest, device=q.device) < kv_lengths[members, None])[:, None, None]
        dense = scaled_dot_product_attention(q_bhnk, k_bhmk, v_bhmk, attn_mask=mask)
        flat = dense.transpose(1, 2).flatten(0, 1)
        out = out.index_copy(0, rows, take_rows(flat, at[0] * longest + at[1]))
    return out


def _size_class(lengths: Tensor) -> Tensor:
    return (lengths.clamp_min(1).double().log2() * _STEPS_PER_DOUBLING - 1e-9).ceil().long()


def _positions(offsets: Tensor, members: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The rows of the members' tokens, and where each goes: (member, place within it)."""
    lengths = offsets.diff()[members]
    member = torch.arange(len(members), device=offsets.device).repeat_interleave(lengths)
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])[:-1]
    place = torch.arange(len(member), device=offsets.device) - starts[member]
    return offsets[members][member] + place, (member, place)


def _pad(x: Tensor, rows: Tensor, at: tuple[Tensor, Tensor], members: int, longest: int) -> Tensor:
    """[members, h, longest, k], zeros where a member is shorter."""
    flat = spread_rows(take_rows(x, rows), at[0] * longest + at[1], members * longest)
    return flat.unflatten(0, (members, longest)).transpose(1, 2)
