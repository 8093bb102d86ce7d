"""Attention over sequences of different lengths that lie end to end in one tensor: full, windowed and cross."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trellis_ops._dispatch import Op
from trellis_ops._rows import permute_rows

_op = Op("packed_attention", __name__, ("cpu", "cuda", "reference"))


def packed_attention(
    q: Float[Tensor, "n h k"],
    k: Float[Tensor, "m h k"],
    v: Float[Tensor, "m h k"],
    offsets: Int[Tensor, " b_plus_1"],
    *,
    kv_offsets: Int[Tensor, " _b_plus_1"] | None = None,
    backend: str | None = None,
) -> Float[Tensor, "n h k"]:
    """softmax(q k^T / sqrt(k)) v within each sequence and head; without a mask, without a bias.

    Args:
        q: queries; sequence i holds the rows offsets[i]:offsets[i + 1].
        k: keys, packed by `kv_offsets`, or by `offsets` where that is None (self-attention).
        v: values, packed as the keys.
        offsets: starts with 0, ends with n, never falls.
        kv_offsets: the keys' offsets, for cross attention: sequence i of q attends to sequence i of k alone.
        backend: a name to force; by default the first that does not refuse the call.

    Returns:
        One row a query, in its dtype. A query whose sequence has no keys gets zeros.

    Raises:
        BackendUnavailable: the backend named here cannot run this call.
        ValueError: offsets that do not fit the rows, or that differ in number of sequences.

    Gradients flow to q, k and v. Source: TRELLIS (arXiv:2412.01506), section 3.2; the layout is FlashAttention's.
    """
    kv_offsets = offsets if kv_offsets is None else kv_offsets
    _check(offsets, len(q), "offsets")
    _check(kv_offsets, len(k), "kv_offsets")
    if len(offsets) != len(kv_offsets):
        raise ValueError(f"offsets name {len(offsets) - 1} sequences, kv_offsets {len(kv_offsets) - 1}")
    return _op(q, k, v, offsets, kv_offsets, backend=backend)


def windows(
    coords: Int[Tensor, "n 3"], offsets: Int[Tensor, " b_plus_1"], *, window: int, shift: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " w_plus_1"]]:
    """The tokens gathered by window: the group of a token is (sample, floor((coords + shift) / window)).

    Args:
        coords: voxel indices of the tokens, non-negative.
        offsets: the samples of the tokens; a window never holds tokens of two of them.
        window: edge of a window in voxels.
        shift: added to the coordinates first; windows at the border are smaller, nothing wraps round.

    Returns:
        order: x[order] has each window's tokens side by side, in the order they had; windows are sorted.
        window_offsets: where each window of x[order] starts; only windows that hold tokens are there.

    Raises:
        ValueError: offsets that do not fit the coordinates.

    Source: TRELLIS (arXiv:2412.01506), section 3.2, "3D shifted window attention".
    """
    _check(offsets, len(coords), "offsets")
    lengths = offsets.diff().to(coords.device)
    sample = torch.arange(len(lengths), device=coords.device).repeat_interleave(lengths)
    cell = (coords.long() + shift).div(window, rounding_mode="floor")
    side = int(cell.max()) + 1 if len(cell) else 1
    key = ((sample * side + cell[:, 0]) * side + cell[:, 1]) * side + cell[:, 2]
    sorted_key, order = key.sort(stable=True)
    counts = torch.unique_consecutive(sorted_key, return_counts=True)[1]
    return order, torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def windowed_attention(
    q: Float[Tensor, "n h k"],
    k: Float[Tensor, "n h k"],
    v: Float[Tensor, "n h k"],
    coords: Int[Tensor, "n 3"],
    offsets: Int[Tensor, " b_plus_1"],
    *,
    window: int,
    shift: int,
    backend: str | None = None,
) -> Float[Tensor, "n h k"]:
    """`packed_attention` within the `windows` of the tokens; rows stay in the order given. Raises as those two do."""
    order, window_offsets = windows(coords, offsets, window=window, shift=shift)
    inverse = order.argsort()
    q, k, v = (permute_rows(x, order, inverse) for x in (q, k, v))
    return permute_rows(packed_attention(q, k, v, window_offsets, backend=backend), inverse, order)


def _check(offsets: Tensor, rows: int, name: str) -> None:
    if len(offsets) < 1 or int(offsets[0]) != 0 or int(offsets[-1]) != rows or bool((offsets.diff() < 0).any()):
        raise ValueError(f"{name} must rise from 0 to {rows}, the number of rows; got {offsets.tolist()[:8]} ...")
