"""Contact sheets and turntables of what is in mesh, Gaussian and stage files, so that results can be looked at."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from trellis_cli import console
from trellis_cli.errors import FileError, UsageError
from trellis_cli.geometry.cameras import Cameras, orbit
from trellis_cli.geometry.grid import voxel_centres
from trellis_cli.io.gaussian_files import is_gaussian_file, read_gaussians
from trellis_cli.io.inputs import require_file
from trellis_cli.io.mesh_files import READABLE
from trellis_cli.io.model_folders import open_model
from trellis_cli.io.pictures import grid, labelled, on_background, save_picture, to_uint8
from trellis_cli.io.stage_files import StageFile, open_stage
from trellis_cli.io.videos import require_video_writer, save_video
from trellis_cli.renderers import gaussians as gaussian_renderer
from trellis_cli.renderers import radiance_field as field_renderer
from trellis_cli.renderers.mesh import render_mesh, render_views
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh
from trellis_cli.representations.radiance_field import RadianceField
from trellis_cli.representations.spherical_harmonics import from_colours
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.prompts import prompts_of
from trellis_cli.stages.sources import into_cube

VIEWABLE = (*READABLE, ".splat", ".h5")
PITCH_DEG = 20.0
MAX_ASSETS = {".png": 64, ".mp4": 16}
FPS = 30
FIELD_SUPERSAMPLE = 2  # rays along a pixel's edge: half the published renderings' 4, a quarter of the time
Row = tuple[str, list[np.ndarray]]  # an asset's name or id, and its pictures


def sheet_cameras(num_views: int) -> Cameras:
    """Evenly spread yaws from a view of the front, slightly from above."""
    yaws = [math.radians(180 - 30 + 360 * i / num_views) for i in range(num_views)]
    return orbit(yaws, [math.radians(PITCH_DEG)] * num_views, radius=2.0, fov=math.radians(40))


def turntable(num_frames: int) -> Cameras:
    """Once round an asset from its front, up and down meanwhile: pitch 0.25 + 0.5 sin(yaw), as published videos go."""
    turns = [2 * math.pi * i / num_frames for i in range(num_frames)]
    return orbit([math.pi + t for t in turns], [0.25 + 0.5 * math.sin(t) for t in turns], radius=2.0)


def view(
    inputs: Sequence[Path],
    out: Path,
    model: str,
    *,
    num_views: int = 4,
    num_frames: int = 120,
    size: int = 256,
    kind: str = "gaussians",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    captions: bool = True,
    overwrite: bool = False,
) -> int:
    """Write a PNG with one row an asset, or an MP4 that goes round all of them; returns how many.

    Latents are decoded to `kind` first.

    Args:
        num_views, num_frames: pictures an asset in a PNG, and in an MP4.
        captions: write over each row what it shows: the prompt, the name of its file, or else the id.

    Raises:
        UsageError: an output that is no .png or .mp4 or exists, or an input of no kind that can be looked at.
        MissingError: an .mp4 without the library that writes it.
        FileError: an input that is broken.
    """
    suffix = out.suffix.lower()
    if suffix not in MAX_ASSETS:
        raise UsageError(f"-o {out}: a view is a .png or an .mp4", hint="for example -o sheet.png")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists", hint="pass --overwrite to replace it")
    if suffix == ".mp4":
        require_video_writer()
    cameras = turntable(num_frames) if suffix == ".mp4" else sheet_cameras(num_views)

    @cache
    def decoder() -> Decoder:  # not before there are latents
        return Decoder(open_model(model), kind, device=device, dtype=dtype)

    every = (row for p in inputs for row in _rows(require_file(p), cameras, size, decoder))
    rows = list(islice(every, MAX_ASSETS[suffix]))
    if next(every, None) is not None:
        console.note(f"{out}: the first {MAX_ASSETS[suffix]} assets alone are shown")
    if not rows:
        raise FileError("nothing to look at: the inputs hold no asset", hint="see `trellis inspect`")
    rows = [(text if captions else "", pictures) for text, pictures in rows]
    if suffix == ".mp4":
        save_video(out, (_frame(rows, i) for i in range(num_frames)), fps=FPS)
    else:
        save_picture(out, labelled(rows))
    return len(rows)


def _frame(rows: Sequence[Row], index: int) -> np.ndarray:
    """Picture `index` of each asset, side by side in a grid that is about as wide as high."""
    blank = " " if any(text for text, _ in rows) else ""  # all cells are of one height
    cells = [labelled([(text or blank, [pictures[index]])]) for text, pictures in rows]
    return grid(cells, columns=math.ceil(math.sqrt(len(cells))))


def _rows(path: Path, cameras: Cameras, size: int, decoder: Callable[[], Decoder]) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if suffix == ".splat" or (suffix == ".ply" and is_gaussian_file(path)):
        yield path.name, gaussian_row(read_gaussians(path), cameras, size)
    elif suffix in READABLE:
        mesh, _ = into_cube(path)
        yield path.name, _on_white(render_views(mesh, cameras, size=size).rgba)
    elif suffix == ".h5":
        with open_stage(path) as file:
            names = _names(file)
            for id_, pictures in _stage_rows(file, cameras, size, decoder):
                yield names.get(id_, id_[:12]), pictures
    else:
        raise UsageError(
            f"{path} cannot be viewed", hint=f"meshes ({', '.join(READABLE)}), .splat, and stage files (.h5) can"
        )


def _names(file: StageFile) -> dict[str, str]:
    """id -> what the file says of its assets: their prompts, or the names of the files they were made from."""
    try:
        inputs = json.loads(file.attrs.get("inputs", "[]"))
        named = {digest: name for digest, name in inputs if not name.startswith(digest)}
        return named | prompts_of(file.attrs)
    except (ValueError, TypeError, KeyError):  # captions are no reason to refuse a file
        return {}


def _stage_rows(file: StageFile, cameras: Cameras, size: int, decoder: Callable[[], Decoder]) -> Iterator[Row]:
    if "slat" in file.groups:
        group = file.group("slat")
        for i in range(len(group)):
            latents = decoder().latents(group, i)
            if decoder().kind == "mesh":
                yield group.ids[i], mesh_row(decoder().mesh(latents), cameras, size)
            elif decoder().kind == "gaussians":
                yield group.ids[i], gaussian_row(decoder().gaussians(latents), cameras, size)
            else:
                yield group.ids[i], field_row(decoder().radiance_field(latents), cameras, size)
    elif "gaussians" in file.groups:
        group = file.group("gaussians")
        for i in range(len(group)):
            a = {
                k: torch.from_numpy(v)
                for k, v in group.asset(i).items()
                if k in ("means", "quats", "scales", "opacities", "sh")
            }
            yield group.ids[i], gaussian_row(Gaussians(**a), cameras, size)
    elif "radiance_field" in file.groups:
        group = file.group("radiance_field")
        for i in range(len(group)):
            a = {k: torch.from_numpy(group.asset(i)[k]) for k in ("coords", "factors", "density", "colours")}
            field = RadianceField(**a, resolution=int(group.attrs["resolution"]))
            yield group.ids[i], field_row(field, cameras, size)
    elif "mesh" in file.groups:
        group = file.group("mesh")
        for i in range(len(group)):
            a = group.asset(i)
            yield (
                group.ids[i],
                mesh_row(Mesh(*(torch.from_numpy(a[k]) for k in ("vertices", "faces", "colours"))), cameras, size),
            )
    elif "views" in file.groups:
        yield from _view_rows(file, len(cameras), size)
    elif "voxels" in file.groups or "features" in file.groups:
        yield from _voxel_rows(file, cameras, size)
    else:
        raise UsageError(
            f"{file.path} holds {', '.join(file.groups)}: nothing to look at", hint="see `trellis inspect`"
        )


def _view_rows(file: StageFile, columns: int, size: int) -> Iterator[Row]:
    from PIL import Image

    from trellis_cli.data.views import decode_views

    group = file.group("views")
    for i in range(len(group)):
        asset = group.asset(i)
        num = int(asset["lengths"])
        got = decode_views(asset, [round(k * (num - 1) / max(1, columns - 1)) for k in range(columns)])
        pictures = on_background(got.rgb.permute(0, 2, 3, 1), got.alpha.permute(0, 2, 3, 1)).numpy()
        yield (
            group.ids[i],
            [np.asarray(Image.fromarray((p * 255).astype(np.uint8)).resize((size, size))) for p in pictures],
        )


def _voxel_rows(file: StageFile, cameras: Cameras, size: int) -> Iterator[Row]:
    group = file.group("voxels" if "voxels" in file.groups else "features")
    resolution = int(group.attrs["resolution"])
    for i in range(len(group)):
        yield group.ids[i], voxel_row(torch.from_numpy(group.asset(i)["coords"]), resolution, cameras, size)


def voxel_row(coords: torch.Tensor, resolution: int, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of active voxels [n, 3] as round Gaussians, coloured by where they stand."""
    means = voxel_centres(coords, resolution)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    scales, opacities = torch.full_like(means, 0.4 / resolution), torch.full((len(means),), 0.95)
    return gaussian_row(Gaussians(means, quats, scales, opacities, from_colours(means + 0.5)[:, None]), cameras, size)


@torch.no_grad()
def gaussian_row(gaussians: Gaussians, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of Gaussians on white."""
    images, _ = gaussian_renderer.render(gaussians, cameras, size=size, background=torch.ones(3))
    return [to_uint8(p) for p in images]


@torch.no_grad()
def field_row(field: RadianceField, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of a radiance field on white."""
    white, rays = torch.ones(3), FIELD_SUPERSAMPLE
    views = (field_renderer.render(field, c, size=size, background=white, supersample=rays)[0] for c in cameras)
    return [to_uint8(images[0]) for images in views]


def mesh_row(mesh: Mesh, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of a vertex-coloured mesh on white."""
    return _on_white(render_mesh(mesh, cameras, size=size).rgba)


def _on_white(rgba: np.ndarray) -> list[np.ndarray]:
    pixels = torch.from_numpy(np.ascontiguousarray(rgba)).float() / 255
    return [(on_background(p[..., :3], p[..., 3:]) * 255 + 0.5).byte().numpy() for p in pixels]
