"""`verify`: every kind of damage is found, and so is what was made of something else than is there now."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.tiny_world import FIXED, GRID, World, trellis
from trellis_cli.io.schema import CONTENT


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A copy of a data folder: meshes, voxels and views of them, features of both, latents."""
    for name in ("voxels.h5", "views.h5", "features.h5", "latents.h5"):
        shutil.copy(world.data / name, tmp_path / name)
    shutil.copytree(world.data / "objects", tmp_path / "objects")
    return tmp_path


def verify(folder: Path, code: int = 0) -> dict[str, str]:
    """File -> state of what is not as it should be."""
    found = json.loads(trellis("verify", folder, "--json", code=code))
    return {f["file"]: f["state"] for f in found["findings"]}


def test_a_folder_that_is_whole(folder: Path) -> None:
    assert verify(folder) == {}
    assert "4 stage files" in trellis("verify", folder)
    assert "1 stage files" in trellis("verify", folder / "features.h5")
    trellis("verify", folder / "nothing", code=3)


DATASETS = [
    ("voxels.h5", "voxels/coords"), ("voxels.h5", "voxels/source_to_cube"), ("voxels.h5", "voxels/ids"),
    ("views.h5", "views/images"), ("views.h5", "views/extrinsics"), ("views.h5", "views/normal"),
    ("features.h5", "features/feats"), ("latents.h5", "slat/feats"), ("latents.h5", "structure/latent"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dataset"), DATASETS)
def test_a_single_changed_value_is_found(name: str, dataset: str, folder: Path) -> None:
    """The least change that the type can hold, in the middle of the data: no check of ranges would see it."""
    with h5py.File(folder / name, "r+") as file:
        data = file[dataset]
        assert isinstance(data, h5py.Dataset)
        values = data[:]
        raw = np.frombuffer(values.tobytes(), np.uint8).copy()
        raw[len(raw) // 2 // values.itemsize * values.itemsize] ^= 1
        data[...] = np.frombuffer(raw.tobytes(), values.dtype).reshape(values.shape)
    assert verify(folder, code=5)[name] == "damaged"


def test_files_cut_short_and_of_another_kind(folder: Path) -> None:
    whole = (folder / "views.h5").read_bytes()
    (folder / "views.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "other.h5").write_bytes(b"no HDF5")
    assert verify(folder, code=5) == {"views.h5": "damaged", "other.h5": "damaged", "features.h5": "stale"}


def test_what_was_made_of_something_else_is_stale(folder: Path) -> None:
    """Voxels made anew at another resolution: the features of the old ones are stale; a lost input says nothing."""
    trellis("voxelize", folder / "objects", "-o", folder / "voxels.h5", "--resolution", GRID // 2, "--overwrite")
    assert verify(folder, code=5) == {"features.h5": "stale"}
    (folder / "voxels.h5").unlink()
    assert verify(folder) == {}
    mesh = sorted((folder / "objects").iterdir())[0]
    mesh.write_bytes(sorted((folder / "objects").iterdir())[1].read_bytes())
    assert verify(folder, code=5) == {"views.h5": "stale"}


def test_parts_of_every_stage_have_one_name(world: World, folder: Path) -> None:
    """A chain calls the parts of every stage alike: those of another stage are no proof of a change."""
    for name in ("voxels", "views", "features", "latents"):
        (folder / name).mkdir()
        (folder / f"{name}.h5").rename(folder / name / "part-00000.h5")
    voxels, views = folder / "voxels" / "part-00000.h5", folder / "views" / "part-00000.h5"
    features, latents = folder / "features" / "part-00000.h5", folder / "latents" / "part-00000.h5"
    trellis("featurize", voxels, views, "-o", features, "--device", "cpu", "--overwrite")
    trellis("encode", features, "-o", latents, "--model", world.autoencoder, *FIXED, "--overwrite")
    assert verify(folder) == {}
    features.unlink()  # as one may, once they are encoded
    assert verify(folder) == {}
    trellis("featurize", voxels, views, "-o", features, "--device", "cpu")
    trellis("voxelize", folder / "objects", "-o", voxels, "--resolution", GRID // 2, "--overwrite")
    assert "features/part-00000.h5" in verify(folder, code=5)
    voxels.unlink()
    assert verify(folder) == {}


def test_files_from_before_such_digests_and_stopped_work(folder: Path) -> None:
    with h5py.File(folder / "voxels.h5", "r+") as file:
        del file["voxels"].attrs[CONTENT]
    parts = folder / "more.h5.parts" / "0123"
    parts.mkdir(parents=True)
    shutil.copy(folder / "latents.h5", parts / "x.h5")
    (folder / "features.h5").unlink()  # it would be stale: the voxels' bytes are others now
    assert verify(folder) == {"more.h5.parts/0123": "unfinished"}
    assert "1 files say no digest" in trellis("verify", folder)
