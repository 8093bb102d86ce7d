"""Assets of a data folder as the networks take them: packed end to end."""

import torch

from trellis_cli.data.index import DataFolder
from trellis_cli.errors import FileError
from trellis_cli.geometry.packed import Packed, pack


def tokens(data: DataFolder, group: str, ids: list[str]) -> Packed:
    """The voxels of assets with what `group` (/features or /slat) holds of each, in the order of `ids`."""
    assets = [data.asset(group, i) for i in ids]
    return pack([(torch.from_numpy(a["coords"]).int(), torch.from_numpy(a["feats"]).float()) for a in assets])


def fitting(data: DataFolder, group: str, ids: list[str], max_voxels: int) -> list[str]:
    """Those of `ids` with at least one voxel and at most so many."""
    return [i for i in ids if 0 < data.length(group, i) <= max_voxels]


def check_grid(data: DataFolder, group: str, resolution: int) -> None:
    """Raises FileError where the voxels of a group lie on another grid than the network's: everything would seem to
    work, and each object fill a corner of the cube."""
    found = int(data.attr(group, "resolution"))
    if found != resolution:
        raise FileError(
            f"{data.folder} holds /{group} at {found}^3, the network works at {resolution}^3",
            hint=f"make it from `voxelize --resolution {resolution}`, or take another recipe",
        )
