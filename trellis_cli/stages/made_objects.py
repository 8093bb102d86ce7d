"""What a suite scores: objects that a model makes, or files that any program has made."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trellis_cli.data.prompt_lists import Prompt
from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.geometry.cameras import Cameras
from trellis_cli.geometry.packed import Packed
from trellis_cli.io.digests import source_digest
from trellis_cli.io.gaussian_files import is_gaussian_file, read_gaussians
from trellis_cli.io.mesh_files import READABLE
from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import open_stage
from trellis_cli.renderers import gaussians as gaussian_renderer
from trellis_cli.renderers.mesh import render_views, textured
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import TexturedMesh
from trellis_cli.stages.decode import Decoder
from trellis_cli.stages.object_suite import ObjectSuite
from trellis_cli.stages.pipeline import SamplerSettings
from trellis_cli.stages.reconstruction_scores import Pictures, on_black, shown
from trellis_cli.stages.sample import model_settings, sample
from trellis_cli.stages.sources import into_cube
from trellis_cli.stages.suite_assets import encode_mesh
from trellis_cli.stages.suite_objects import SuiteObject

TABLE = "assets.csv"
KINDS = (*READABLE, ".splat", ".npz")
Draw = Callable[[Cameras, int], Pictures]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One object. draw: kind to what draws it, on black; surface, points: None where it has none."""

    draw: dict[str, Draw] = field(default_factory=dict)
    surface: Callable[[], TexturedMesh] | None = None
    points: Float[Tensor, "n 3"] | None = None


@runtime_checkable
class Maker(Protocol):
    """Where the objects come from that are scored."""

    provenance: dict[str, Any]

    def identity(self, one: SuiteObject) -> dict[str, Any]:
        """All that decides what it makes of an object. Raises TrellisError where it has none."""
        ...

    def rebuilt(self, one: SuiteObject, mesh: Path) -> Made:
        """An object put together again. Raises TrellisError."""
        ...

    def anew(self, one: SuiteObject, prompt: Prompt) -> Made:
        """An object made of a prompt. Raises TrellisError."""
        ...


class ModelMaker:
    """A model folder: encodes and decodes, and samples; what it makes stays in `work`."""

    def __init__(
        self, suite: ObjectSuite, model: ModelFolder, work: Path, device: str, dtype: torch.dtype, overwrite: bool
    ) -> None:
        self.suite, self.model, self.work = suite, model, work
        self.device, self.dtype, self.overwrite = device, dtype, overwrite
        self.provenance = dict(model.provenance)
        self._decoders: dict[str, Decoder] = {}

    def identity(self, one: SuiteObject) -> dict[str, Any]:
        return {"model": self.model.digest, "dtype": str(self.dtype)}

    def rebuilt(self, one: SuiteObject, mesh: Path) -> Made:
        protocol = self.suite.reconstruction
        slat = encode_mesh(
            mesh, self.model, self.work / "encoded", name=one.name, num_views=protocol.input_views,
            size=protocol.input_size, encoder=protocol.encoder, device=self.device, dtype=self.dtype,
        )  # fmt: skip
        return self._made(slat, protocol.representations)

    def anew(self, one: SuiteObject, prompt: Prompt) -> Made:
        out = self.work / "sampled" / f"{one.name}.slat.h5"
        first, second = (self._asked(settings) for settings in model_settings(self.model))
        sample(
            [prompt], out, self.model, seed=self.suite.generation.seed + one.seed, settings=(first, second),
            device=self.device, dtype=self.dtype, overwrite=self.overwrite,
        )  # fmt: skip
        return self._made(out, (self.suite.generation.representation,))

    def _made(self, path: Path, kinds: tuple[str, ...]) -> Made:
        with open_stage(path) as file:
            group = file.group("slat")
            if not len(group):
                raise TrellisError(f"{path} holds no asset", hint="run it again with --overwrite")
            latents = self._decoder(kinds[0]).latents(group, 0)
        draw = {kind: self._draw(kind, latents) for kind in kinds}
        return Made(draw, lambda: textured(self._decoder("mesh").mesh(latents)))

    def _draw(self, kind: str, latents: Packed) -> Draw:
        return lambda cameras, size: shown(self._decoder(kind), latents, cameras, size)

    def _decoder(self, kind: str) -> Decoder:
        if kind not in self._decoders:
            self._decoders[kind] = Decoder(self.model, kind, device=self.device, dtype=self.dtype)
        return self._decoders[kind]

    def _asked(self, settings: SamplerSettings) -> SamplerSettings:
        """A sampler's own settings, but for what the protocol says."""
        protocol = self.suite.generation
        settings = settings.changed(steps=protocol.steps) if protocol.steps else settings
        return settings.changed(guidance=protocol.guidance) if protocol.guidance >= 0 else settings


class FileMaker:
    """Anybody's outputs in a folder, each moved and scaled into the cube as the objects are.

    Meshes and 3DGS files are drawn; meshes have surfaces; clouds in .npz (`points` or `arr_0`, [n 3]) are only points.
    """

    def __init__(self, folder: Path, objects: Sequence[SuiteObject] = ()) -> None:
        """`objects`: of the suite, in order. Raises FileError for a folder that is none, or a table that is none."""
        if not folder.is_dir():
            raise FileError(f"--assets {folder} is no folder", hint="one with a file for each object")
        self.folder, self._table = folder, _read_table(folder / TABLE, objects)
        self.provenance: dict[str, Any] = {"assets": folder.resolve().name}

    def identity(self, one: SuiteObject) -> dict[str, Any]:
        return {"asset": source_digest(self._path(one))}

    def rebuilt(self, one: SuiteObject, mesh: Path) -> Made:
        return read_made(self._path(one))

    def anew(self, one: SuiteObject, prompt: Prompt) -> Made:
        return read_made(self._path(one))

    def _path(self, one: SuiteObject) -> Path:
        if one.name in self._table:
            return self.folder / self._table[one.name]
        found = [path for suffix in KINDS if (path := self.folder / f"{one.name}{suffix}").is_file()]
        if len(found) != 1:
            said = "nothing" if not found else ", ".join(path.name for path in found)
            raise FileError(f"{self.folder} holds {said} for {one.name}", hint=f"one file, or a line in {TABLE}")
        return found[0]


def read_made(path: Path) -> Made:
    """A mesh, Gaussians or a cloud of points from a file, in the cube. Raises FileError, UsageError."""
    if not path.name.lower().endswith(KINDS):
        raise UsageError(f"{path} is nothing that can be scored", hint=f"one of {', '.join(KINDS)}")
    if is_gaussian_file(path):
        gaussians = _centred(read_gaussians(path))

        def draw(cameras: Cameras, size: int) -> Pictures:
            images, _ = gaussian_renderer.render(gaussians, cameras, size=size)
            return images.permute(0, 3, 1, 2).clamp(0, 1)

        return Made({"given": draw})
    if path.suffix.lower() == ".npz":
        return Made(points=_read_points(path))
    mesh, _ = into_cube(path)
    return Made({"given": lambda cameras, size: on_black(render_views(mesh, cameras, size=size).rgba)}, lambda: mesh)


def _centred(gaussians: Gaussians) -> Gaussians:
    """Moved and scaled so that their means fill the cube."""
    low, high = gaussians.means.amin(0), gaussians.means.amax(0)
    extent = float((high - low).max())
    if extent == 0:
        raise FileError("all Gaussians are at one place", hint="the file is damaged or of another kind")
    return replace(gaussians, means=(gaussians.means - (low + high) / 2) / extent, scales=gaussians.scales / extent)


def _read_points(path: Path) -> Float[Tensor, "n 3"]:
    try:
        with np.load(path, allow_pickle=False) as file:
            array = np.asarray(file["points" if "points" in file.files else "arr_0"], np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{path}: no cloud of points: {error}", hint="an array `points` or `arr_0`, [n 3]") from error
    if array.ndim != 2 or array.shape[1] < 3 or not len(array) or not np.isfinite(array).all():
        raise FileError(f"{path}: {array.shape} is no cloud of finite points", hint="an array [n 3]")
    return torch.from_numpy(np.ascontiguousarray(array[:, :3]))


def _read_table(path: Path, objects: Sequence[SuiteObject]) -> dict[str, str]:
    """Object to file, of a table with the columns file and object, or prompt; empty where there is none.

    Of a prompt that several objects have, the first takes the first line with it, and so on.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or rows[0].get("object") is not None:
            return {row["object"]: row["file"] for row in rows}
        files: dict[str, list[str]] = {}
        for row in rows:
            files.setdefault(row["prompt"], []).append(row["file"])
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(
            f"{path}: no table of assets: {error}", hint="a header with object,file or prompt,file"
        ) from error
    lines = {prompt: iter(of) for prompt, of in files.items()}
    found = {one.name: next(lines.get(one.prompt or "", iter(())), None) for one in objects}
    return {name: file for name, file in found.items() if file is not None}
