"""A sheet of what `edit` made: each asset before, with the region that may change, and after."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from trellis_cli import console
from trellis_cli.geometry.packed import pack
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import open_stage
from trellis_cli.stages.captions import captions
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.edit_asset import Change
from trellis_cli.stages.edit_ids import edited_ids
from trellis_cli.stages.edit_sheet import SIZE, Grid, Pictures, before_columns, cameras, save_sheet, sheet_row
from trellis_cli.stages.edit_sources import EditSource, gather_sources
from trellis_cli.stages.pipeline import fine_resolution
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.view import Row, gaussian_row, textured_row, voxel_row

MAX_ROWS = 64


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
    decoder = Decoder(model, "gaussians", device=device, dtype=dtype)
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
            after = gaussian_row(decoder.gaussians(decoder.latents(group, index)), cameras(), size)
            rows.append(sheet_row(f"{source.name}, {texts[id_]}", [*_before(source, decoder, region, size), after]))
    if len(group) > MAX_ROWS:
        console.note(f"{out}: the first {MAX_ROWS} assets alone are shown")
    save_sheet(out, rows)
    return len(rows)


def _before(source: EditSource, decoder: Decoder, region: Grid | None, size: int) -> list[Pictures]:
    """Pictures of an asset as it was and, where there is a region, the same under a veil."""
    if source.path.suffix.lower() != ".h5":
        return [textured_row(into_cube(source.path)[0], cameras(), size)]
    voxels = source.load(decoder.network.resolution)
    if voxels.feats is None:
        return [voxel_row(voxels.coords, decoder.network.resolution, cameras(), size)]
    return before_columns(decoder.gaussians(pack([(voxels.coords, voxels.feats)])), region, size)
