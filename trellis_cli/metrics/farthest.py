"""Farthest-point sampling: few points that cover what many do."""

import torch
from jaxtyping import Float
from torch import Tensor


def farthest_points(points: Float[Tensor, "n 3"], num: int, *, start: int = 0) -> Float[Tensor, "num 3"]:
    """`num` of the points, the first that at `start`, each further one the farthest from all taken before.

    Of several that are equally far the first is taken.

    Raises:
        ValueError: fewer points than are asked for, or a start that is none of them.
    """
    if not 0 < num <= len(points) or not 0 <= start < len(points):
        raise ValueError(f"cannot take {num} of {len(points)} points from number {start} on")
    columns = points.detach().double().T.contiguous()  # by axis: each pass over one is a stream
    nearest = torch.full_like(columns[0], torch.inf)
    apart, step = torch.empty_like(nearest), torch.empty_like(nearest)
    chosen = [start]
    while len(chosen) < num:
        apart.zero_()
        for axis in columns:
            torch.sub(axis, axis[chosen[-1]], out=step)
            apart.addcmul_(step, step)
        torch.minimum(nearest, apart, out=nearest)
        chosen.append(int(nearest.argmax()))
    return points[chosen]
