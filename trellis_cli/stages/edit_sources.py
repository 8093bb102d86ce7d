"""What `edit` starts from: the assets of stage files, and meshes, each with a digest of its content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.io.digests import file_digest, source_digest
from trellis_cli.io.history import step_of
from trellis_cli.io.inputs import gather, require_file
from trellis_cli.io.mesh_files import READABLE
from trellis_cli.io.stage_files import StageFile, open_stage
from trellis_cli.stages.voxelize import voxelize_file

SUFFIXES = (".h5", *READABLE)


@dataclass(frozen=True, slots=True, eq=False)
class Voxels:
    """One asset in memory.

    coords: active voxels, in lexicographic order.
    feats: a latent on each; None where there are bare voxels.
    structure: the structure's latent, where the file has it.
    """

    coords: Int[Tensor, "n 3"]
    feats: Float[Tensor, "n c"] | None = None
    structure: Float[Tensor, "d r r r"] | None = None


@dataclass(frozen=True, slots=True)
class EditSource:
    """One asset to be edited: where it lies, its id there, and what an edit takes from it.

    digest: sha256 of the file; content: of the asset's voxels and latents, whatever else the file holds.
    """

    path: Path
    index: int
    num: int  # assets in the file
    id: str
    digest: str
    content: str
    has_structure: bool = False

    @property
    def name(self) -> str:
        return self.path.name if self.num == 1 else f"{self.path.name}:{self.index}"

    def load(self, resolution: int) -> Voxels:
        """The asset itself, in a resolution^3 grid. Raises FileError."""
        if self.path.suffix.lower() != ".h5":
            asset = voxelize_file(self.path, self.id, resolution=resolution)
            return Voxels(torch.from_numpy(asset["coords"]).int())
        with open_stage(self.path) as file:
            return _voxels(file, self.index)


@dataclass(frozen=True)
class EditSources:
    """All assets of the inputs.

    inputs: sha256 and base name of each file; history: what made the stage files among them (io.history).
    bad: inputs that could not be read, with their errors.
    """

    assets: tuple[EditSource, ...]
    inputs: tuple[tuple[str, str], ...]
    history: tuple[dict[str, object], ...]
    bad: tuple[tuple[str, TrellisError], ...]


def gather_sources(paths: Sequence[Path], *, resolution: int, channels: int, latents: bool) -> EditSources:
    """The assets of stage files, folders, lists and, where no latents are needed, meshes and bare voxels.

    Args:
        resolution, channels: of the model's latents; other files are bad.
        latents: whether the edit keeps any.

    Raises:
        UsageError: a mesh where latents are needed, or a file of no kind that can be edited.
        FileError: a folder or list without any file.
    """
    assets: list[EditSource] = []
    inputs: list[tuple[str, str]] = []
    history: dict[str, dict[str, object]] = {}
    bad: list[tuple[str, TrellisError]] = []
    for path in gather(paths, SUFFIXES, what="a stage file or a mesh"):
        is_mesh = path.suffix.lower() != ".h5"
        if is_mesh and latents:
            raise UsageError(
                f"{path} is a mesh, and an edit of a region keeps latents, which it has not",
                hint="make them with `trellis encode` (docs/editing.md#from-a-mesh), or edit it whole with --vary",
            )
        try:
            if is_mesh:
                digest = source_digest(require_file(path))
                found = [EditSource(path, 0, 1, digest, digest, digest)]
            else:
                with open_stage(path) as file:
                    digest = file_digest(path)
                    found = _assets(file, digest, resolution, channels, latents)
                    history |= {str(step["file"]): step for step in step_of(file.attrs, digest, path.name)}
        except FileError as error:
            bad.append((str(path), error))
            continue
        assets += found
        inputs.append((digest, path.name))
    return EditSources(tuple(assets), tuple(dict.fromkeys(inputs)), tuple(history.values()), tuple(bad))


def _assets(file: StageFile, digest: str, resolution: int, channels: int, latents: bool) -> list[EditSource]:
    """The assets of one file. Raises FileError where the model was not made for them."""
    name = "slat" if latents or "slat" in file.groups else "voxels"
    group = file.group(name)
    if (found := int(group.attrs["resolution"])) != resolution:
        raise FileError(
            f"{file.path} holds voxels of a {found}^3 grid, the model works at {resolution}^3",
            hint="give the --model that made them; `trellis inspect` names it",
        )
    if name == "slat" and (width := dict(group.datasets())["feats"].shape[1]) != channels and len(group):
        raise FileError(
            f"{file.path} holds latents of {width} channels, the model takes {channels}",
            hint="give the --model that made them; `trellis inspect` names it",
        )
    has_structure = "structure" in file.groups and file.group("structure").ids == group.ids
    found_assets = []
    for index, id_ in enumerate(group.ids):
        voxels = _voxels(file, index)
        if not len(voxels.coords):
            raise FileError(f"{file.path}: asset {index} has no voxels", hint="`trellis inspect` shows what it holds")
        found_assets.append(EditSource(file.path, index, len(group), id_, digest, _digest(voxels), has_structure))
    return found_assets


def _voxels(file: StageFile, index: int) -> Voxels:
    name = "slat" if "slat" in file.groups else "voxels"
    asset = file.group(name).asset(index)
    coords = torch.from_numpy(asset["coords"]).int()
    feats = torch.from_numpy(asset["feats"]) if name == "slat" else None
    structure = None
    if "structure" in file.groups and (group := file.group("structure")).ids == file.group(name).ids:
        structure = torch.from_numpy(np.asarray(group.asset(index)["latent"]))
    return Voxels(coords, feats, structure)


def _digest(voxels: Voxels) -> str:
    whole = hashlib.sha256()
    for part in (voxels.coords.short(), voxels.feats, voxels.structure):
        whole.update(b"-" if part is None else part.numpy().astype(part.numpy().dtype.newbyteorder("<")).tobytes())
    return whole.hexdigest()
