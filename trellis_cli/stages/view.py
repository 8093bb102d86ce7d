"""Contact sheets and turntables of what is in mesh, Gaussian and stage files, so that results can be looked at."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
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
from trellis_cli.io.stage_files import Asset, StageFile, StageGroup, open_stage
from trellis_cli.io.videos import require_video_writer, save_video
from trellis_cli.renderers import gaussians as gaussian_renderer
from trellis_cli.renderers import radiance_field as field_renderer
from trellis_cli.renderers.mesh import render_mesh, render_views
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh, TexturedMesh
from trellis_cli.representations.radiance_field import RadianceField
from trellis_cli.representations.spherical_harmonics import from_colours
from trellis_cli.stages.captions import captions
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.sources import into_cube

VIEWABLE = (*READABLE, ".splat", ".h5")
PITCH_DEG = 20.0
MAX_ASSETS = {".png": 64, ".mp4": 16}
FPS = 30
FIELD_SUPERSAMPLE = 2  # rays along a pixel's edge: half the published renderings' 4, a quarter of the time
FRAMES_AT_ONCE = 8  # of each asset: what a video keeps in memory, and views of a mesh that are drawn side by side
Row = tuple[str, list[np.ndarray]]  # an asset's name or id, and its pictures
Drawing = tuple[str, Callable[[slice], list[np.ndarray]]]  # the same, with pictures drawn when some are asked for
ALL = slice(None)


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

    every = (row for p in inputs for row in _drawings(require_file(p), cameras, size, decoder))
    shown = (((text if captions else ""), draw) for text, draw in islice(every, MAX_ASSETS[suffix]))
    if suffix == ".mp4":
        drawings = list(shown)
        _check_shown(out, len(drawings), every)
        save_video(out, _frames(drawings, num_frames), fps=FPS)
        return len(drawings)
    rows = [(text, draw(ALL)) for text, draw in shown]
    _check_shown(out, len(rows), every)
    save_picture(out, labelled(rows))
    return len(rows)


def _check_shown(out: Path, shown: int, others: Iterator[Drawing]) -> None:
    """Raises FileError where there is nothing to look at; says so where there is more than is shown."""
    if not shown:
        raise FileError("nothing to look at: the inputs hold no asset", hint="see `trellis inspect`")
    if next(others, None) is not None:
        console.note(f"{out}: the first {shown} assets alone are shown")


def _frames(drawings: Sequence[Drawing], num: int) -> Iterator[np.ndarray]:
    """A video's pictures one after the other, of which no more than a few are in memory, however long it is."""
    for start in range(0, num, FRAMES_AT_ONCE):
        some = slice(start, min(start + FRAMES_AT_ONCE, num))
        rows = [(text, draw(some)) for text, draw in drawings]
        yield from (_frame(rows, i) for i in range(some.stop - start))


def _frame(rows: Sequence[Row], index: int) -> np.ndarray:
    """Picture `index` of each asset, side by side in a grid that is about as wide as high."""
    blank = " " if any(text for text, _ in rows) else ""  # all cells are of one height
    cells = [labelled([(text or blank, [pictures[index]])]) for text, pictures in rows]
    return grid(cells, columns=math.ceil(math.sqrt(len(cells))))


def _drawings(path: Path, cameras: Cameras, size: int, decoder: Callable[[], Decoder]) -> Iterator[Drawing]:
    suffix = path.suffix.lower()
    if suffix == ".splat" or (suffix == ".ply" and is_gaussian_file(path)):
        gaussians = read_gaussians(path)
        yield path.name, lambda some: gaussian_row(gaussians, cameras[some], size)
    elif suffix in READABLE:
        mesh, _ = into_cube(path)
        yield path.name, lambda some: textured_row(mesh, cameras[some], size)
    elif suffix == ".h5":
        with open_stage(path) as file:
            names = _names(file)
            for id_, draw in _stage_drawings(file, cameras, size, decoder):
                yield names.get(id_, id_[:12]), draw
    else:
        raise UsageError(
            f"{path} cannot be viewed", hint=f"meshes ({', '.join(READABLE)}), .splat, and stage files (.h5) can"
        )


def _names(file: StageFile) -> dict[str, str]:
    """id -> what the file says of its assets: their prompts, or the names of the files they were made from."""
    try:
        inputs = json.loads(file.attrs.get("inputs", "[]"))
        named = {digest: name for digest, name in inputs if not name.startswith(digest)}
        return named | captions(file.attrs)
    except (ValueError, TypeError, KeyError):  # captions are no reason to refuse a file
        return {}


def _stage_drawings(file: StageFile, cameras: Cameras, size: int, decoder: Callable[[], Decoder]) -> Iterator[Drawing]:
    """Each asset's id and drawing. What is drawn is read or decoded here, while the file is open."""
    shown = ("slat", "gaussians", "radiance_field", "mesh", "views", "conditions", "voxels", "features")
    name = next((name for name in shown if name in file.groups), None)
    if name is None:
        raise UsageError(
            f"{file.path} holds {', '.join(file.groups)}: nothing to look at", hint="see `trellis inspect`"
        )
    group = file.group(name)
    for i in range(len(group)):
        if name in ("views", "conditions"):
            yield group.ids[i], partial(_stored_views, group.asset(i), len(cameras), size)
        elif name in ("voxels", "features"):
            coords, resolution = torch.from_numpy(group.asset(i)["coords"]), int(group.attrs["resolution"])
            yield group.ids[i], _drawing(voxel_gaussians(coords, resolution), cameras, size)
        else:
            shape = _decoded(decoder, group, i) if name == "slat" else _stored(group, i)
            yield group.ids[i], _drawing(shape, cameras, size)


Shape = Gaussians | RadianceField | Mesh


def _decoded(decoder: Callable[[], Decoder], group: StageGroup, index: int) -> Shape:
    latents, kind = decoder().latents(group, index), decoder().kind
    if kind == "mesh":
        return decoder().mesh(latents)
    return decoder().gaussians(latents) if kind == "gaussians" else decoder().radiance_field(latents)


def _stored(group: StageGroup, index: int) -> Shape:
    """An asset of /gaussians, /radiance_field or /mesh."""
    a = {name: torch.from_numpy(np.asarray(array)) for name, array in group.asset(index).items() if name != "ids"}
    if group.spec.name == "gaussians":
        return Gaussians(**{name: a[name] for name in ("means", "quats", "scales", "opacities", "sh")})
    if group.spec.name == "mesh":
        return Mesh(a["vertices"], a["faces"], a["colours"])
    fields = {name: a[name] for name in ("coords", "factors", "density", "colours")}
    return RadianceField(**fields, resolution=int(group.attrs["resolution"]))


def _drawing(shape: Shape, cameras: Cameras, size: int) -> Callable[[slice], list[np.ndarray]]:
    if isinstance(shape, Mesh):
        return lambda some: mesh_row(shape, cameras[some], size)
    if isinstance(shape, Gaussians):
        return lambda some: gaussian_row(shape, cameras[some], size)
    return lambda some: field_row(shape, cameras[some], size)


def _stored_views(asset: Asset, columns: int, size: int, some: slice) -> list[np.ndarray]:
    """Of `columns` views that are spread over those of an asset, some."""
    from PIL import Image

    from trellis_cli.data.views import decode_views

    num = int(asset["lengths"])
    got = decode_views(asset, [round(k * (num - 1) / max(1, columns - 1)) for k in range(columns)][some])
    pictures = on_background(got.rgb.permute(0, 2, 3, 1), got.alpha.permute(0, 2, 3, 1)).numpy()
    return [np.asarray(Image.fromarray((p * 255).astype(np.uint8)).resize((size, size))) for p in pictures]


def voxel_gaussians(coords: torch.Tensor, resolution: int) -> Gaussians:
    """Active voxels [n, 3] as round Gaussians, coloured by where they stand."""
    means = voxel_centres(coords, resolution)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    scales, opacities = torch.full_like(means, 0.4 / resolution), torch.full((len(means),), 0.95)
    return Gaussians(means, quats, scales, opacities, from_colours(means + 0.5)[:, None])


def voxel_row(coords: torch.Tensor, resolution: int, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of active voxels [n, 3]."""
    return gaussian_row(voxel_gaussians(coords, resolution), cameras, size)


@torch.no_grad()
def gaussian_row(gaussians: Gaussians, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of Gaussians on white, one by one: in floats they are large."""
    white = torch.ones(3)
    views = (gaussian_renderer.render(gaussians, c, size=size, background=white)[0] for c in cameras)
    return [to_uint8(images[0]) for images in views]


@torch.no_grad()
def field_row(field: RadianceField, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of a radiance field on white."""
    white, rays = torch.ones(3), FIELD_SUPERSAMPLE
    views = (field_renderer.render(field, c, size=size, background=white, supersample=rays)[0] for c in cameras)
    return [to_uint8(images[0]) for images in views]


def mesh_row(mesh: Mesh, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of a vertex-coloured mesh on white."""
    return _on_white(render_mesh(mesh, cameras, size=size).rgba)


def textured_row(mesh: TexturedMesh, cameras: Cameras, size: int) -> list[np.ndarray]:
    """Pictures of a mesh from a file on white."""
    return _on_white(render_views(mesh, cameras, size=size).rgba)


def _on_white(rgba: np.ndarray) -> list[np.ndarray]:
    pixels = torch.from_numpy(np.ascontiguousarray(rgba)).float() / 255
    return [(on_background(p[..., :3], p[..., 3:]) * 255 + 0.5).byte().numpy() for p in pixels]
