"""A sheet of edits: each asset before, with the region that may change, and after."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from trellis_cli import console
from trellis_cli.errors import UsageError
from trellis_cli.geometry.cameras import Cameras
from trellis_cli.geometry.grid import voxel_centres
from trellis_cli.geometry.packed import pack
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.pictures import labelled, save_picture
from trellis_cli.io.stage_files import open_stage
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.spherical_harmonics import from_colours
from trellis_cli.stages.captions import captions
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.edit_asset import Change
from trellis_cli.stages.edit_ids import edited_ids
from trellis_cli.stages.edit_sources import EditSource, gather_sources
from trellis_cli.stages.pipeline import fine_resolution
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.view import Row, gaussian_row, sheet_cameras, textured_row, voxel_row

MAX_ROWS = 64
SIZE = 192
ORANGE = (1.0, 0.45, 0.0)
VEIL = 0.05  # opacity of a region's voxel: what lies within is to be seen through it


def check_preview(out: Path | None, *, overwrite: bool = False) -> None:
    """Raises UsageError for a sheet that cannot be written; before the work, not after it."""
    if out is None:
        return
    if out.suffix.lower() != ".png":
        raise UsageError(f"--preview {out}: a preview is a .png", hint="for example --preview edit.png")
    if out.exists() and not overwrite:
        raise UsageError(f"--preview {out} exists", hint="pass --overwrite to replace it")


def preview(
    inputs: Sequence[Path],
    edited: Path,
    out: Path,
    model: ModelFolder,
    change: Change,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    size: int = SIZE,
) -> int:
    """Write a row an asset of `edited`, which `edit` made of `inputs`: two views before, region, after. How many rows.

    Raises:
        MissingError: the model has no decoder of Gaussians.
    """
    decoder, cameras = Decoder(model, "gaussians", device=device, dtype=dtype), sheet_cameras(3)[:2]
    resolution = fine_resolution(model)
    region = None if change.region is None else change.region.region.grid(resolution)
    with open_stage(edited) as file:
        group, texts = file.group("slat"), captions(file.attrs)
        parameters = json.loads(file.attrs["parameters"])
        made = edited_ids(parameters, model.digest, int(file.attrs["seed"]))
        content = {id_: parameters["sources"][k]["content"] for k, _, id_ in made}
        channels = dict(group.datasets())["feats"].shape[1]
        sources = gather_sources(inputs, resolution=resolution, channels=channels, latents=change.mode != "vary")
        of_content = {source.content: source for source in sources.assets}
        rows: list[Row] = []
        for index, id_ in enumerate(group.ids[:MAX_ROWS]):
            source = of_content[content[id_]]
            after = gaussian_row(decoder.gaussians(decoder.latents(group, index)), cameras, size)
            columns = [*_before(source, decoder, region, cameras, size), after]
            views = [picture for view in zip(*columns, strict=True) for picture in view]
            rows.append((f"{source.name}, {texts[id_]}", views))
    if len(group) > MAX_ROWS:
        console.note(f"{out}: the first {MAX_ROWS} assets alone are shown")
    save_picture(out, labelled(rows))
    return len(rows)


def _before(
    source: EditSource, decoder: Decoder, region: Bool[Tensor, "r r r"] | None, cameras: Cameras, size: int
) -> list[list[np.ndarray]]:
    """Pictures of an asset as it was and, where there is a region, the same under a veil."""
    if source.path.suffix.lower() != ".h5":
        return [textured_row(into_cube(source.path)[0], cameras, size)]
    voxels = source.load(decoder.network.resolution)
    if voxels.feats is None:
        return [voxel_row(voxels.coords, decoder.network.resolution, cameras, size)]
    own = decoder.gaussians(pack([(voxels.coords, voxels.feats)]))
    shown = [own] if region is None else [own, _joined(own, veil(region, int(own.sh.shape[1])))]
    return [gaussian_row(gaussians, cameras, size) for gaussians in shown]


def veil(region: Bool[Tensor, "r r r"], harmonics: int = 1) -> Gaussians:
    """A region's voxels as faint orange Gaussians."""
    means = voxel_centres(torch.argwhere(region), len(region))
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    sh = torch.zeros(len(means), harmonics, 3)
    sh[:, 0] = from_colours(torch.tensor(ORANGE))
    return Gaussians(means, quats, torch.full_like(means, 0.5 / len(region)), torch.full((len(means),), VEIL), sh)


def _joined(a: Gaussians, b: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh")
    return Gaussians(**{name: torch.cat([getattr(a, name).cpu(), getattr(b, name)]) for name in names})
