"""torch's own attention on a GPU: the variable-length kernel where torch has it and the dtype allows, else padding."""

from importlib.util import find_spec

import torch
from torch import Tensor

from trellis_ops.packed_attention._padding import padded_attention


def refusal(q: Tensor, *args: object, **kwargs: object) -> str | None:
    return None if q.is_cuda else f"q is on {q.device}, not a CUDA device"


def run(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, kv_offsets: Tensor) -> Tensor:
    offsets, kv_offsets = offsets.to(q.device), kv_offsets.to(q.device)
    lengths, kv_lengths = offsets.diff(), kv_offsets.diff()
    if not q.numel() or not k.numel():
        return torch.zeros_like(q)
    half = q.dtype in (torch.float16, torch.bfloat16) and q.shape[2] % 8 == 0
    if half and int(kv_lengths.min()) > 0 and find_spec("torch.nn.attention.varlen"):  # torch 2.10 and later
        from torch.nn.attention.varlen import varlen_attn

        starts, kv_starts = offsets.int(), kv_offsets.int()
        out = varlen_attn(q, k, v, starts, kv_starts, int(lengths.max()), int(kv_lengths.max()))
        return out if isinstance(out, Tensor) else out[0]
    return padded_attention(q, k, v, offsets, kv_offsets)
