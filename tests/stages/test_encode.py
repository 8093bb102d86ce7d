"""Encoding of voxels with a network that gives the grid back."""

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from trellis_cli.io.model_folders import ModelFolder
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.stages.encode import encode

ID = "0" * 64
COORDS = np.array([[0, 1, 2], [3, 0, 1]], np.int16)


class Itself(nn.Module):
    """The grid as its own posterior's mean."""

    def forward(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        return grid, grid


def encoded(folder: Path, *, mirror: bool) -> list[list[int]]:
    """The active cells of the latent."""
    out = folder / f"{mirror}.h5"
    encode([folder / "voxels.h5"], out, ModelFolder("itself", folder), mirror=mirror)
    with open_stage(out) as file:
        latent = file.group("structure").asset(0)["latent"]
    assert latent.shape == (1, 4, 4, 4)
    return np.argwhere(latent[0]).tolist()


def test_mirror_flips_x_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelFolder, "load", lambda self, key, **kwargs: Itself())
    (tmp_path / "pipeline.json").write_text('{"args": {"models": {}}}')
    asset = with_ids(ID, lengths=len(COORDS), coords=COORDS, source_to_cube=np.eye(4))
    write_stage(tmp_path / "voxels.h5", {"voxels": ([asset], {"resolution": 4})}, Provenance("test", {}))
    assert encoded(tmp_path, mirror=False) == [[0, 1, 2], [3, 0, 1]]
    assert encoded(tmp_path, mirror=True) == [[0, 0, 1], [3, 1, 2]]
