"""Gather, multiply, add: the convolution and its gradients with no more memory than a chunk of gathered rows.

The gradient to the input is the same convolution with the kernel turned round: row j is the neighbour (dx, dy, dz) of
row i exactly where i is the neighbour (-dx, -dy, -dz) of j, so the same table serves.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_CHUNK_BYTES = 2**22  # gathered at a time for the 27-wide product: what stays in the cache (measured, 2^18 to 2^24)
_NARROW = 48  # below this width gathering costs more than multiplying zeros (measured in float32: 32 below, 128 above)


def convolve(feats: Tensor, weight: Tensor, bias: Tensor, table: Tensor) -> Tensor:
    """Arguments and result as `submanifold_conv`; differentiable in feats, weight and bias."""
    return _Convolution.apply(feats, weight, bias, table)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, feats: Tensor, weight: Tensor, bias: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(feats, weight, table)
        return _apply(feats, weight, table, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        feats, weight, table = ctx.saved_tensors
        grad = grad.contiguous()
        grad_feats = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(1, 2, 3).permute(4, 1, 2, 3, 0)
            grad_feats = _apply(grad, turned, table, None)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(feats, grad, table).view(weight.shape).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(0)
        return grad_feats, grad_weight, grad_bias, None


def _apply(feats: Tensor, weight: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
    return (_all_taps if _in_one_product(feats) else _tap_by_tap)(feats, weight, table, bias)


def _in_one_product(feats: Tensor) -> bool:
    return feats.dtype in (torch.float16, torch.bfloat16) or feats.shape[1] < _NARROW


def _tap_by_tap(feats: Tensor, weight: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
    """One product a neighbour over the voxels that have it: about 9 of 27 on a surface, so no work on zeros."""
    taps = weight.flatten(1, 3).unbind(1)
    out = feats @ taps[13].T
    if bias is not None:
        out += bias
    for tap in (t for t in range(27) if t != 13):
        rows, sources = _pairs(table, tap)
        if len(rows):
            out.index_add_(0, rows, feats.index_select(0, sources) @ taps[tap].T)
    return out


def _all_taps(feats: Tensor, weight: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
    """One product over all 27 neighbours, zeros for the absent: sums stay in the product's float32."""
    matrix = weight.flatten(1).T.contiguous()
    out = feats.new_empty(len(feats), len(weight))
    for start, gathered in _gathered(feats, table):
        part = gathered @ matrix if bias is None else torch.addmm(bias, gathered, matrix)
        out[start : start + len(gathered)] = part
    return out


def _weight_gradient(feats: Tensor, grad: Tensor, table: Tensor) -> Tensor:
    """[out, 27, in]."""
    if _in_one_product(feats):
        exact = torch.promote_types(feats.dtype, torch.float32)
        total = torch.zeros(grad.shape[1], 27 * feats.shape[1], dtype=exact, device=feats.device)
        for start, gathered in _gathered(feats, table):
            total += grad[start : start + len(gathered)].T @ gathered
        return total.unflatten(1, (27, -1))
    total = feats.new_zeros(27, grad.shape[1], feats.shape[1])
    for tap in range(27):
        rows, sources = _pairs(table, tap)
        torch.mm(grad.index_select(0, rows).T, feats.index_select(0, sources), out=total[tap])
    return total.transpose(0, 1)


def _pairs(table: Tensor, tap: int) -> tuple[Tensor, Tensor]:
    """The rows that have this neighbour, and the neighbours' rows."""
    column = table[:, tap]
    rows = (column >= 0).nonzero()[:, 0]
    return rows, column.index_select(0, rows)


def _gathered(feats: Tensor, table: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Chunk by chunk, its first row and the features of its rows' neighbours, [rows, 27 c]."""
    padded = torch.cat([feats, feats.new_zeros(1, feats.shape[1])])  # row -1, the absent, is the last
    step = max(64, _CHUNK_BYTES // (27 * feats.shape[1] * feats.element_size()))
    for start in range(0, len(table), step):
        index = table[start : start + step].reshape(-1)
        yield start, padded.index_select(0, torch.where(index < 0, len(feats), index)).view(-1, 27 * feats.shape[1])
