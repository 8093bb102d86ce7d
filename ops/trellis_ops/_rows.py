"""Reordering rows with gradients that are again a reordering.

Autograd's own backward of an index is a scatter with additions, which on the CPU walks row by row. Where no row is
taken twice, the gradient is a plain copy; these functions say so.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, rows: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(rows)
        return x.new_zeros(size, *x.shape[1:]).index_copy_(0, rows, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.size = len(x)
        return x.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        rows = ctx.saved_tensors[0]
        return grad.new_zeros(ctx.size, *grad.shape[1:]).index_copy_(0, rows, grad), None


def permute_rows(
    x: Float[Tensor, "n *c"], order: Int[Tensor, " n"], inverse: Int[Tensor, " n"]
) -> Float[Tensor, "n *c"]:
    """x[order], where `order` is a permutation and `inverse` its inverse."""
    return _Permute.apply(x, order, inverse)


def spread_rows(x: Float[Tensor, "n *c"], rows: Int[Tensor, " n"], size: int) -> Float[Tensor, "size *c"]:
    """Zeros of `size` rows with row i of x at rows[i]; no two rows may meet."""
    return _Spread.apply(x, rows, size)


def take_rows(x: Float[Tensor, "m *c"], rows: Int[Tensor, " n"]) -> Float[Tensor, "n *c"]:
    """x[rows], where no row is taken twice: the inverse of `spread_rows`."""
    return _Take.apply(x, rows)
