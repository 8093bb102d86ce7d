"""`sample --structure FILE`: voxels from a stage file in the place of the first flow's."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from trellis_cli.errors import FileError, UsageError
from trellis_cli.io.digests import file_digest
from trellis_cli.io.stage_files import open_stage


@dataclass(frozen=True)
class GivenVoxels:
    """Active voxels for the second flow: of one asset, for all prompts, or of one for each prompt.

    coords: of each asset, int32 [n, 3], in lexicographic order.
    input: the file's sha256 and base name.
    """

    coords: tuple[Int[Tensor, "_ 3"], ...]
    input: tuple[str, str]

    @property
    def digests(self) -> list[str]:
        """sha256 of each asset's voxels, whatever file they stand in."""
        return [hashlib.sha256(c.numpy().astype("<i2").tobytes()).hexdigest() for c in self.coords]

    def of(self, line: int) -> Int[Tensor, "_ 3"]:
        """The voxels of a prompt, by its place in the list."""
        return self.coords[line if len(self.coords) > 1 else 0]


def read_voxels(path: Path, *, resolution: int, prompts: int) -> GivenVoxels:
    """The voxels of a file's /voxels, or of its /slat.

    Raises:
        FileError: no stage file with either, another resolution than the model's, or an asset without voxels.
        UsageError: neither one asset, nor as many as there are prompts.
    """
    with open_stage(path) as file:
        group = file.group("voxels" if "voxels" in file.groups else "slat")
        if (found := int(group.attrs["resolution"])) != resolution:
            other = f"{path.name.partition('.')[0]}-{resolution}.voxels.h5"  # never the name of the file given
            raise FileError(
                f"{path} holds voxels of a {found}^3 grid, the model works at {resolution}^3",
                hint=f"trellis voxelize MESH --resolution {resolution} -o {other}",
            )
        if len(group) not in (1, prompts):
            raise UsageError(
                f"--structure {path} holds {len(group)} assets for {prompts} prompts",
                hint="give a file with one asset, for all prompts, or with one for each",
            )
        coords = tuple(torch.from_numpy(group.asset(i)["coords"]).int() for i in range(len(group)))
    if empty := [i for i, c in enumerate(coords) if not len(c)]:
        raise FileError(f"{path}: asset {empty[0]} has no voxels", hint="`trellis inspect` shows what it holds")
    return GivenVoxels(coords, (file_digest(path), path.name))
