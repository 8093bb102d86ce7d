"""Stamped files say what made them, and notice every change since."""

from pathlib import Path

import pytest
import torch

from trellis_cli.io.gaussian_files import gaussian_bytes, read_gaussians
from trellis_cli.io.mesh_files import mesh_bytes, read_mesh
from trellis_cli.io.stamps import BLANK, is_stamped, stamped
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.representations.mesh import Mesh

WORK, OTHER = "a" * 64, "b" * 64


def _mesh() -> Mesh:
    return Mesh(torch.eye(4, 3) - 0.4, torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.rand(4, 3))


def _gaussians() -> Gaussians:
    return Gaussians(
        torch.rand(3, 3), torch.tensor([[1.0, 0, 0, 0]] * 3), torch.full((3, 3), 0.1), torch.full((3,), 0.5),
        torch.rand(3, 1, 3),
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl", "gaussians"])
def test_a_stamped_file_knows_its_work(tmp_path: Path, suffix: str) -> None:
    if suffix == "gaussians":
        data = gaussian_bytes(_gaussians(), ".ply", work=WORK)
        path = tmp_path / "a.ply"
    else:
        data = mesh_bytes(_mesh(), suffix, work=WORK)
        path = tmp_path / f"a{suffix}"
    assert BLANK.encode() not in data
    assert is_stamped(data, WORK) and not is_stamped(data, OTHER)
    for position in (len(data) // 2, len(data) - 1):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        assert not is_stamped(changed, WORK)
    assert not is_stamped(data[:-8], WORK)
    path.write_bytes(data)
    if suffix == "gaussians":
        assert len(read_gaussians(path)) == 3
    else:
        assert len(read_mesh(path).faces) == 2


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_without_work_there_is_no_stamp(suffix: str) -> None:
    data = mesh_bytes(_mesh(), suffix)
    assert b"trellis:" not in data and not is_stamped(data, "")


def test_bytes_without_room_stay_as_they_are() -> None:
    assert stamped(b"no room", WORK) == b"no room"
    assert not is_stamped(b"no room", WORK)
    assert not is_stamped(BLANK.encode(), WORK)
