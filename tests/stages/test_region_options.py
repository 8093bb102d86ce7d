"""Regions as options give them: numbers, meshes and files of voxels, and what is no region."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trellis_cli import recipes
from trellis_cli.errors import FileError, TrellisError, UsageError
from trellis_cli.geometry.regions import Box, Sphere, occupancy
from trellis_cli.io.stage_files import Provenance, with_ids, write_stage
from trellis_cli.stages.region_options import gather_region, parse_box, parse_sphere, read_mask, read_voxel_set

N = 16
SAMPLES = recipes.folder() / "samples"


def grid(**options: object) -> torch.Tensor:
    found = gather_region(resolution=N, **options)  # type: ignore[arg-type]
    assert found is not None
    return found.region.grid(N)


def test_boxes_and_balls_in_both_units() -> None:
    assert parse_box("0.1,-0.5,0,0.5,0.5,0.5") == Box((0.1, -0.5, 0.0), (0.5, 0.5, 0.5))
    assert parse_sphere(" 1, 2,3 ,4", "voxels") == Sphere((1.0, 2.0, 3.0), 4.0, "voxels")
    assert torch.equal(grid(boxes=["0,-0.5,-0.5,0.5,0.5,0.5"]), grid(boxes=["8,0,0,16,16,16"], units="voxels"))
    assert int(grid(boxes=["3,3,3,4,5,6"], units="voxels").sum()) == 1 * 2 * 3
    assert int(grid(spheres=["8,8,8,1"], units="voxels").sum()) == 8


def test_a_region_is_all_that_is_given_grown_together() -> None:
    both = grid(boxes=["0,0,0,2,2,2"], spheres=["12,12,12,2"], units="voxels")
    assert torch.equal(both, grid(boxes=["0,0,0,2,2,2"], units="voxels") | grid(spheres=["12,12,12,2"], units="voxels"))
    assert int(grid(boxes=["0,0,0,2,2,2"], units="voxels", grow=3).sum()) == 5**3
    assert gather_region(resolution=N) is None


def test_a_box_may_reach_out_of_the_cube() -> None:
    assert int(grid(boxes=["-9,-9,-9,9,9,9"]).sum()) == N**3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"boxes": ["0,0,0,1,1"]}, "is not 6 finite numbers"),
        ({"boxes": ["0,0,0,1,1,nan"]}, "is not 6 finite numbers"),
        ({"boxes": ["0,0,0,1,1,inf"]}, "is not 6 finite numbers"),
        ({"boxes": ["a,b,c,d,e,f"]}, "is no list of numbers"),
        ({"boxes": [""]}, "is no list of numbers"),
        ({"boxes": ["0.5,0,0,0.1,1,1"]}, "is empty: x goes from 0.5 to 0.1"),
        ({"boxes": ["0,0,0,0,0,0"]}, "is empty"),
        ({"boxes": ["1,1,1,2,2,2"]}, "lies outside the cube"),
        ({"boxes": ["8,0,0,16,16,16"]}, "lies outside the cube"),
        ({"boxes": ["17,0,0,18,16,16"], "units": "voxels"}, "lies outside the cube, which goes from 0 to 16"),
        ({"boxes": ["0,0,0,0.01,0.01,0.01"]}, "holds no voxel"),
        ({"spheres": ["0,0,0"]}, "is not 4 finite numbers"),
        ({"spheres": ["0,0,0,-1"]}, "its radius is -1"),
        ({"spheres": ["5,5,5,0.1"]}, "holds no voxel"),
        ({"boxes": ["0,0,0,1,1,1"], "units": "metres"}, "--units 'metres' is not known"),
        ({"boxes": ["0,0,0,1,1,1"], "grow": 65}, "--grow 65 is not from 0 to 64"),
        ({"masks": [Path("a.png")]}, "is no mesh"),
    ],
)
def test_what_is_no_region_says_so(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        gather_region(resolution=N, **options)  # type: ignore[arg-type]
    assert said in caught.value.problem and caught.value.hint


def test_a_mask_is_filled_and_stays_where_it_is() -> None:
    """The sample is a closed box of 0.6 x 0.48 x 0.13 cube edges; a mask is not scaled into the cube."""
    inside = read_mask(SAMPLES / "seat.glb", 32).grid(32)
    low, high = torch.argwhere(inside).min(0).values, torch.argwhere(inside).max(0).values
    assert low.tolist() == [6, 6, 15] and high.tolist() == [25, 21, 20]
    assert int(inside.sum()) == int((high - low + 1).prod())
    with pytest.raises(TrellisError):
        read_mask(Path("missing.glb"), 32)


def test_voxels_of_other_grids_and_of_several_assets(tmp_path: Path) -> None:
    coords = np.array([[0, 0, 0], [31, 31, 31]], np.int16)
    one = with_ids("0" * 64, lengths=2, coords=coords, source_to_cube=np.eye(4))
    two = with_ids("1" * 64, lengths=2, coords=coords, source_to_cube=np.eye(4))
    write_stage(tmp_path / "one.h5", {"voxels": ([one], {"resolution": 32})}, Provenance("voxelize", {}))
    found = grid(voxels=[tmp_path / "one.h5"])
    assert torch.equal(found, occupancy(torch.tensor([[0, 0, 0], [15, 15, 15]]), N))
    write_stage(tmp_path / "two.h5", {"voxels": ([one, two], {"resolution": 32})}, Provenance("voxelize", {}))
    with pytest.raises(FileError, match="holds 2 assets"):
        read_voxel_set(tmp_path / "two.h5")
    slat = read_voxel_set(SAMPLES / "house.slat.h5")
    assert slat.resolution == 32 and len(slat.coords) > 1000
    with pytest.raises(FileError):
        read_voxel_set(SAMPLES / "leather.png")


def test_what_is_written_of_a_region_names_files_and_their_content() -> None:
    found = gather_region(masks=[SAMPLES / "seat.glb"], voxels=[SAMPLES / "mask.voxels.h5"], grow=1, resolution=32)
    assert found is not None
    assert found.parameters == {
        "units": "cube", "grow": 1, "mask": ["seat.glb"], "voxels": ["mask.voxels.h5"],
        "files": [digest for digest, _ in found.inputs],
    }  # fmt: skip
    assert [name for _, name in found.inputs] == ["seat.glb", "mask.voxels.h5"]
