"""How near a decoder's pictures come to rendered views, for the trainings whose decoders are drawn."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from trellis_cli.data.index import DataFolder
from trellis_cli.data.views import Views, decode_views
from trellis_cli.io.pictures import save_grid
from trellis_cli.metrics.image import psnr

NUM_ASSETS, NUM_SHOWN, VIEW = 24, 12, 3


@torch.no_grad()
def score_views(
    draw: Callable[[str, Views], Tensor],
    data: DataFolder,
    splits: Mapping[str, Sequence[str]],
    folder: Path,
    step: int,
    *,
    lpips: Callable[[Tensor, Tensor], Tensor],
    device: torch.device,
) -> dict[str, float]:
    """PSNR and LPIPS at one fixed view, on black, of up to 24 assets of each split; a sheet of truth above result.

    Args:
        draw: an asset's id and its view to the picture [1, 3, h, w] on black.
        splits: the assets by the name of their split.
        folder: where `<split>_<step>.png` goes.
    """
    scores: dict[str, float] = {}
    for name, ids in splits.items():
        rows: list[tuple[Tensor, Tensor]] = []
        for id_ in ids[:: max(1, len(ids) // NUM_ASSETS)][:NUM_ASSETS]:
            shown = min(VIEW, data.length("views", id_) - 1)
            view = decode_views(data.views(id_, [shown], surfaces=False)).to(device)
            rows.append((view.on(torch.zeros(3, device=device)), draw(id_, view).clamp(0, 1)))
        if rows:
            scores[f"psnr_{name}"] = sum(float(psnr(g, w)) for w, g in rows) / len(rows)
            scores[f"lpips_{name}"] = sum(float(lpips(g, w).mean()) for w, g in rows) / len(rows)
            shown = rows[:NUM_SHOWN]
            pictures = [p[0].permute(1, 2, 0) for pair in zip(*shown, strict=True) for p in pair]
            save_grid(folder / f"{name}_{step:06d}.png", pictures, columns=len(shown))
    return scores
