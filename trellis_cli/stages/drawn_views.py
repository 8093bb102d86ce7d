"""The views of an asset that a step compares with, on a ground that is black or white."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.data.index import DataFolder
from trellis_cli.data.views import Views, decode_views
from trellis_cli.training.micro_batches import Item


@dataclass(frozen=True, slots=True, eq=False)
class DrawnViews:
    """Pictures and the colour behind them."""

    views: Views
    background: Float[Tensor, "3"]


def drawn_views(data: DataFolder, item: Item, num: int) -> DrawnViews:
    """`num` views of the asset `item.what`, without one twice, and black or white, by the item's generator."""
    picks = torch.randperm(data.length("views", item.what), generator=item.generator)[:num].tolist()
    white = float(torch.rand((), generator=item.generator) < 0.5)
    return DrawnViews(decode_views(data.views(item.what, picks, surfaces=False)), torch.full((3,), white))
