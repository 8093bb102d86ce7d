"""The region of an edit as a command's options give it: boxes, balls, closed meshes and files of voxels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch

from trellis_cli.errors import FileError, UsageError
from trellis_cli.geometry.regions import Box, Region, Shape, Sphere, Units, VoxelSet, solid_voxels
from trellis_cli.io.digests import file_digest, source_digest
from trellis_cli.io.inputs import require_file
from trellis_cli.io.mesh_files import READABLE, read_mesh
from trellis_cli.io.stage_files import open_stage

MAX_GROW = 64
BOX, SPHERE = "0.1,-0.5,0,0.5,0.5,0.5", "0,0,0.3,0.2"


@dataclass(frozen=True)
class GivenRegion:
    """A region in words and in voxels.

    parameters: of a file's provenance; files go by their base names there, and by sha256.
    inputs: sha256 and base name of each file.
    """

    region: Region
    parameters: dict[str, Any]
    inputs: tuple[tuple[str, str], ...] = ()


def gather_region(
    boxes: Sequence[str] = (),
    spheres: Sequence[str] = (),
    masks: Sequence[Path] = (),
    voxels: Sequence[Path] = (),
    *,
    units: str = "cube",
    grow: int = 0,
    resolution: int,
) -> GivenRegion | None:
    """All that is given, as one region; None where nothing is.

    Args:
        boxes, spheres: x0,y0,z0,x1,y1,z1 and x,y,z,r, in `units`.
        masks: meshes in the cube's own coordinates, as `decode` writes them; what they touch or enclose belongs.
        voxels: stage files with one asset's /voxels or /slat, in a grid of any resolution.
        grow: voxels by which the whole is grown.
        resolution: of the grid that it is for.

    Raises:
        UsageError: text that is no such shape, a shape outside the cube, or no voxel in all of them.
        FileError: a mesh or a stage file that is not what it should be.
    """
    if units not in get_args(Units):
        raise UsageError(f"--units {units!r} is not known", hint=f"one of: {', '.join(get_args(Units))}")
    if not 0 <= grow <= MAX_GROW:
        raise UsageError(f"--grow {grow} is not from 0 to {MAX_GROW}", hint="it counts voxels")
    of = cast(Units, units)
    shapes: list[tuple[str, Shape]] = [(f"--box {text}", parse_box(text, of)) for text in boxes]
    shapes += [(f"--sphere {text}", parse_sphere(text, of)) for text in spheres]
    shapes += [(f"--mask {path}", read_mask(path, resolution)) for path in masks]
    shapes += [(f"--voxels {path}", read_voxel_set(path)) for path in voxels]
    if not shapes:
        return None
    for what, shape in shapes:
        _check_inside(what, shape, resolution)
    pairs = [(source_digest(path), path.name) for path in masks]
    pairs += [(file_digest(path), path.name) for path in voxels]
    parameters = {"box": list(boxes), "sphere": list(spheres), "units": units, "grow": grow}
    parameters |= {"mask": [p.name for p in masks], "voxels": [p.name for p in voxels], "files": [d for d, _ in pairs]}
    region = Region(tuple(shape for _, shape in shapes), grow)
    return GivenRegion(region, {key: value for key, value in parameters.items() if value}, tuple(pairs))


def parse_box(text: str, units: Units = "cube") -> Box:
    """`x0,y0,z0,x1,y1,z1`, lower corner first. Raises UsageError."""
    low, high = _triples(_numbers("--box", text, 6, BOX))
    for axis, a, b in zip("xyz", low, high, strict=True):
        if a >= b:
            raise UsageError(
                f"--box {text!r} is empty: {axis} goes from {a:g} to {b:g}", hint=f"lower corner first, as {BOX}"
            )
    return Box(low, high, units)


def parse_sphere(text: str, units: Units = "cube") -> Sphere:
    """`x,y,z,r`. Raises UsageError."""
    *centre, radius = _numbers("--sphere", text, 4, SPHERE)
    if radius <= 0:
        raise UsageError(f"--sphere {text!r} is empty: its radius is {radius:g}", hint=f"for example {SPHERE}")
    return Sphere(cast(Any, tuple(centre)), radius, units)


def read_mask(path: Path, resolution: int) -> VoxelSet:
    """The voxels that a mesh in cube units touches or encloses. Raises UsageError, FileError."""
    if not path.name.lower().endswith(READABLE):
        raise UsageError(f"--mask {path} is no mesh", hint=f"one of {', '.join(READABLE)}; pictures go by --image-mask")
    mesh = read_mesh(require_file(path))
    try:
        return solid_voxels(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces), resolution)
    except ValueError as error:
        raise FileError(
            f"--mask {path}: {error}", hint="a mask is in the coordinates of the decoded object, not scaled into them"
        ) from error


def read_voxel_set(path: Path) -> VoxelSet:
    """The voxels of the only asset of a file. Raises FileError."""
    with open_stage(path) as file:
        group = file.group("voxels" if "voxels" in file.groups else "slat")
        if len(group) != 1:
            raise FileError(f"{path} holds {len(group)} assets", hint="a region is one asset's voxels")
        coords = torch.from_numpy(group.asset(0)["coords"]).int()
        return VoxelSet(coords, int(group.attrs["resolution"]))


def _check_inside(what: str, shape: Shape, resolution: int) -> None:
    """Raises UsageError for a shape without any voxel of the grid."""
    if bool(shape.grid(resolution).any()):
        return
    if isinstance(shape, Box):
        low, high = (0, resolution) if shape.units == "voxels" else (-0.5, 0.5)
        if any(a >= high or b <= low for a, b in zip(shape.low, shape.high, strict=True)):
            raise UsageError(
                f"{what} lies outside the cube, which goes from {low} to {high}",
                hint="--units voxels counts from 0, --units cube from -0.5",
            )
    raise UsageError(
        f"{what} holds no voxel of the {resolution}^3 grid: no centre lies in it",
        hint=f"make it larger; a voxel is {1 / resolution:g} of the cube wide",
    )


def _numbers(option: str, text: str, num: int, example: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text!r} is no list of numbers", hint=f"for example {example}") from None
    if len(values) != num or not all(map(math.isfinite, values)):
        raise UsageError(f"{option} {text!r} is not {num} finite numbers", hint=f"for example {example}")
    return values


def _triples(values: list[float]) -> tuple[Any, Any]:
    return tuple(values[:3]), tuple(values[3:])
