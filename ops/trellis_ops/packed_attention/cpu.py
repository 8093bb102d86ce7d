"""torch's fused attention on the CPU: one call where all lengths are equal, else one a sequence.

Padding sequences of similar length into one call was measured, and lost: with 194 windows of 3 to 119 tokens, 12 heads
of 64, forward and backward took 788 ms of processor time padded, and 350 ms (bfloat16: 270) one by one.
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from trellis_ops._processor import has_fast_bfloat16

_SHORT = 512  # tokens: up to here a head's matrix of weights is small enough to be made again for the gradients

_EVERY = 4  # of how many keys one is asked for the largest score: 1 to 8 were measured, 24 to 19 ms
_BLOCK = 256  # queries at a time: their scores against 4,096 keys stay in the cache (measured, 64 to 1,024)


def refusal(q: Tensor, *args: object, **kwargs: object) -> str | None:
    return None if q.device.type == "cpu" else f"q is on {q.device}, not the CPU"


def run(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, kv_offsets: Tensor) -> Tensor:
    if q.dtype == torch.float16 or (q.dtype == torch.bfloat16 and not has_fast_bfloat16()):
        return run(q.float(), k.float(), v.float(), offsets, kv_offsets).to(q.dtype)
    lengths, kv_lengths = offsets.diff().tolist(), kv_offsets.diff().tolist()
    if not lengths or 0 in (q.numel(), k.numel()):
        return torch.zeros_like(q)
    if len(set(lengths)) == 1 and len(set(kv_lengths)) == 1:
        return _equal(q, k, v, len(lengths))
    if max(lengths) <= _SHORT and max(kv_lengths) <= _SHORT:
        return _ManyShort.apply(q, k, v, lengths, kv_lengths)
    return _one_by_one(q, k, v, lengths, kv_lengths)


def _one_by_one(q: Tensor, k: Tensor, v: Tensor, lengths: list[int], kv_lengths: list[int]) -> Tensor:
    return torch.cat([_equal(q_n, k_m, v_m, 1) for q_n, k_m, v_m in _sequences(lengths, kv_lengths, q, k, v)])


def _equal(q: Tensor, k: Tensor, v: Tensor, sequences: int) -> Tensor:
    if not len(k):
        return torch.zeros_like(q)
    q_bhnk, k_bhmk, v_bhmk = (x.unflatten(0, (sequences, -1)).transpose(1, 2) for x in (q, k, v))
    if q.dtype == torch.bfloat16 and k_bhmk.shape[2] <= _SHORT and torch.is_grad_enabled():
        return _Dense.apply(q_bhnk, k_bhmk, v_bhmk).transpose(1, 2).flatten(0, 1)
    if q.dtype == torch.bfloat16 and k_bhmk.shape[2] > _SHORT and not torch.is_grad_enabled():
        return _in_blocks(q_bhnk, k_bhmk, v_bhmk).transpose(1, 2).flatten(0, 1)
    return scaled_dot_product_attention(q_bhnk, k_bhmk, v_bhmk).transpose(1, 2).flatten(0, 1)


def _in_blocks(q_bhnk: Tensor, k_bhmk: Tensor, v_bhmk: Tensor) -> Tensor:
    """Plain matrix products, head by head and some queries at a time: these reach the processor's bfloat16 units, which
    torch's fused forward does not. 4,096 queries and keys of 64 take 20 ms of a core, and took it 44.

    Scores come out rounded to bfloat16, so the largest, which weigh most, would be the least exact. A softmax bears any
    shift: about each query's largest score (over some of the keys) is taken off within the product, by one more column,
    before the rounding. With scores that deviate by 4 the error falls from 1.3e-2 to 3e-3; fused it is 2e-3.
    """
    out_bhnk = q_bhnk.new_empty(q_bhnk.shape)
    scaled_bhmk = k_bhmk * q_bhnk.shape[-1] ** -0.5
    for b, h in product(*map(range, q_bhnk.shape[:2])):
        k_mk, v_mk = scaled_bhmk[b, h], v_bhmk[b, h]
        some_kl = k_mk[::_EVERY].contiguous().T
        keys_km = torch.cat([k_mk, k_mk.new_ones(len(k_mk), 1)], dim=1).T
        for q_nk, out_nk in zip(q_bhnk[b, h].split(_BLOCK), out_bhnk[b, h].split(_BLOCK), strict=True):
            largest_n1 = (q_nk @ some_kl).amax(-1, keepdim=True)
            out_nk.copy_((torch.cat([q_nk, -largest_n1], dim=1) @ keys_km).softmax(-1) @ v_mk)
    return out_bhnk


def _sequences(
    lengths: list[int], kv_lengths: list[int], q: Tensor, k: Tensor, v: Tensor, *more: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """Each sequence's queries, keys, values, and its part of further tensors packed as q, q, k, v are."""
    splits = (lengths, kv_lengths, kv_lengths, lengths, lengths, kv_lengths, kv_lengths)
    return zip(*(x.split(s) for x, s in zip((q, k, v, *more), splits, strict=False)), strict=True)


class _Dense(torch.autograd.Function):
    """The fused forward, and a backward of plain matrix products.

    torch's fused bfloat16 backward leaves the processor's matrix units idle: on one core, 128 sequences of 64 tokens, 6
    heads of 64, took 261 ms forward and backward, and take 106 so.
    From about 500 keys on, and in float32, torch's is as good.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, q_bhnk: Tensor, k_bhmk: Tensor, v_bhmk: Tensor) -> Tensor:
        ctx.save_for_backward(q_bhnk, k_bhmk, v_bhmk)
        return scaled_dot_product_attention(q_bhnk, k_bhmk, v_bhmk)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_bhnk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_bhnk, k_bhmk, v_bhmk = ctx.saved_tensors
        return _gradients(q_bhnk, k_bhmk, v_bhmk, grad_bhnk)


class _ManyShort(torch.autograd.Function):
    """Sequence after sequence; the backward makes the attention weights again instead of keeping them."""

    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor, lengths: list[int], kv_lengths: list[int]) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.lengths = lengths, kv_lengths
        return _one_by_one(q, k, v, lengths, kv_lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v = ctx.saved_tensors
        grad_q, grad_k, grad_v = (torch.zeros_like(x) for x in (q, k, v))
        for q_n, k_m, v_m, grad_n, *outs in _sequences(*ctx.lengths, q, k, v, grad, grad_q, grad_k, grad_v):
            if len(q_n) and len(k_m):
                parts = _gradients(*(x.transpose(0, 1) for x in (q_n, k_m, v_m, grad_n)))
                for out, part in zip(outs, parts, strict=True):
                    out.copy_(part.transpose(0, 1))
        return grad_q, grad_k, grad_v, None, None


def _gradients(q_hnk: Tensor, k_hmk: Tensor, v_hmk: Tensor, grad_hnk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to queries, keys and values of one sequence, or of several with an axis in front."""
    scale = q_hnk.shape[-1] ** -0.5
    scaled_hnk = q_hnk * scale
    weights_hnm = (scaled_hnk @ k_hmk.mT).softmax(-1)
    scores_hnm = torch.ops.aten._softmax_backward_data(grad_hnk @ v_hmk.mT, weights_hnm, -1, weights_hnm.dtype)
    return scores_hnm @ k_hmk * scale, scores_hnm.mT @ scaled_hnk, weights_hnm.mT @ grad_hnk
