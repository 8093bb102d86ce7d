"""Pictures of edits side by side: an object before, the region that may change under an orange veil, and after."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from trellis_cli.errors import UsageError
from trellis_cli.geometry.cameras import Cameras
from trellis_cli.geometry.grid import voxel_centres
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import from_colours
from trellis_cli.stages.view import Row, gaussian_row, sheet_cameras

SIZE = 192
ORANGE = (1.0, 0.45, 0.0)
VEIL = 0.05  # opacity of a region's voxel: what lies within is to be seen through it
Grid = Bool[Tensor, "r r r"]
Pictures = list[np.ndarray]


def check_sheet(option: str, out: Path | None, *, overwrite: bool = False) -> None:
    """Raises UsageError for a sheet that cannot be written; before the work, not after it."""
    if out is None:
        return
    if out.suffix.lower() != ".png":
        raise UsageError(f"{option} {out}: it is a .png", hint=f"for example {option} edit.png")
    if out.exists() and not overwrite:
        raise UsageError(f"{option} {out} exists", hint="pass --overwrite to replace it")


def cameras() -> Cameras:
    """Two views: of the front from one side, and from behind on the other."""
    return sheet_cameras(3)[:2]


def before_columns(own: Gaussians, region: Grid | None, size: int = SIZE) -> list[Pictures]:
    """An object as it is and, where there is a region, the same under a veil; each from both cameras."""
    shown = [own] if region is None else [own, _joined(own, veil(region, int(own.sh.shape[1])))]
    return [gaussian_row(gaussians, cameras(), size) for gaussians in shown]


def sheet_row(text: str, columns: Iterable[Pictures]) -> Row:
    """All columns from the first camera, then all from the second."""
    return text, [picture for view in zip(*columns, strict=True) for picture in view]


def save_sheet(out: Path, rows: list[Row]) -> None:
    """Raises DiskError."""
    save_picture(out, labelled(rows))


def veil(region: Grid, harmonics: int = 1) -> Gaussians:
    """A region's voxels as faint orange Gaussians."""
    means = voxel_centres(torch.argwhere(region), len(region))
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    sh = torch.zeros(len(means), harmonics, 3)
    sh[:, 0] = from_colours(torch.tensor([ORANGE]))
    return Gaussians(means, quats, torch.full_like(means, 0.5 / len(region)), torch.full((len(means),), VEIL), sh)


def _joined(a: Gaussians, b: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh")
    return Gaussians(**{name: torch.cat([getattr(a, name).cpu(), getattr(b, name)]) for name in names})
