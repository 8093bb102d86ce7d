"""Stage files: what is written comes back, and what is not ours is refused before it can do harm."""

import errno
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from trellis_cli.errors import FileError, SchemaError
from trellis_cli.io.aside import aside
from trellis_cli.io.schema import GROUPS
from trellis_cli.io.stage_files import Asset, Provenance, StageGroup, open_stage, with_ids, write_stage

PROVENANCE = Provenance("test", {"resolution": 16}, seed=3, inputs=[("b" * 64, "y.glb"), ("a" * 64, "x.glb")])
ATTRS = {
    "voxels": {"resolution": 16},
    "views": {"size": 8, "lighting": "white"},
    "slat": {"resolution": 16},
    "mesh": {},
}


def _asset(group: str, number: int, n: int) -> Asset:
    rng = np.random.default_rng(number)
    coords = rng.integers(0, 16, (n, 3), dtype=np.int16)
    id_ = f"{number:064x}"
    if group == "voxels":
        return with_ids(id_, lengths=n, coords=coords, source_to_cube=rng.normal(size=(4, 4)))
    if group == "slat":
        return with_ids(id_, lengths=n, coords=coords, feats=rng.normal(size=(n, 8)).astype(np.float32))
    if group == "mesh":
        faces = rng.integers(0, max(n, 1), (2 * n, 3), dtype=np.int32)
        vertices, colours = rng.normal(size=(n, 3)).astype(np.float32), rng.random((n, 3), dtype=np.float32)
        return with_ids(id_, lengths=n, face_lengths=2 * n, vertices=vertices, faces=faces, colours=colours)
    sizes = rng.integers(1, 3000, n)
    return with_ids(
        id_, lengths=n, image_bytes=sizes.sum(), images=rng.integers(0, 256, sizes.sum(), dtype=np.uint8),
        image_offsets=np.cumsum([0, *sizes]), extrinsics=rng.normal(size=(n, 4, 4)).astype(np.float32),
        intrinsics=rng.normal(size=(n, 3, 3)).astype(np.float32), depth=rng.random((n, 8, 8), dtype=np.float32),
    )  # fmt: skip


def _write(path: Path, group: str = "voxels", sizes: tuple[int, ...] = (5, 0, 700)) -> Path:
    write_stage(path, {group: ([_asset(group, k, n) for k, n in enumerate(sizes)], ATTRS[group])}, PROVENANCE)
    return path


@pytest.mark.parametrize("group", ATTRS)
def test_every_asset_comes_back(tmp_path: Path, group: str) -> None:
    sizes = (5, 0, 700, 1)
    path = _write(tmp_path / "x.h5", group, sizes)
    with open_stage(path) as file:
        assert file.groups == [group]
        assert file.attrs["seed"] == 3 and file.attrs["command"] == "trellis test x.glb y.glb --resolution 16"
        opened = file.group(group)
        assert len(opened) == 4 and opened.lengths.tolist() == list(sizes)
        for index, n in enumerate(sizes):
            got, wanted = opened.asset(index), _asset(group, index, n)
            assert got.keys() == wanted.keys()
            for name, array in wanted.items():
                assert np.asarray(got[name]).dtype == GROUPS[group].fields[name].dtype
                np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_views_of_an_asset_slice_its_own_pictures(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.h5", "views", (2, 3))
    wanted = _asset("views", 1, 3)
    with open_stage(path) as file, h5py.File(path) as raw:
        got = file.group("views").asset(1)
        offsets = raw["views/image_offsets"][:]
        assert len(offsets) == 6 and (np.diff(offsets) > 0).all()
        np.testing.assert_array_equal(
            raw["views/images"][offsets[3] : offsets[4]],
            wanted["images"][: got["image_offsets"][2]][got["image_offsets"][1] :],
        )
    assert got["image_offsets"][0] == 0 and got["image_offsets"][-1] == len(got["images"])


@pytest.mark.parametrize("group", ATTRS)
def test_a_file_without_assets_is_valid(tmp_path: Path, group: str) -> None:
    with open_stage(_write(tmp_path / "x.h5", group, ())) as file:
        assert len(file.group(group)) == 0


@pytest.mark.parametrize("group", ATTRS)
def test_same_content_same_bytes(tmp_path: Path, group: str) -> None:
    a, b = _write(tmp_path / "a.h5", group), _write(tmp_path / "b.h5", group)
    assert a.read_bytes() == b.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def _refused(path: Path, kind: type[FileError], words: str, group: str = "voxels") -> None:
    with pytest.raises(kind, match=words) as caught, open_stage(path) as file:
        file.group(group)
    assert caught.value.code == 3 and caught.value.hint


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "none.h5", FileError, "no such file")
    (tmp_path / "text.h5").write_text("solid")
    _refused(tmp_path / "text.h5", FileError, "not a stage file")
    with h5py.File(tmp_path / "foreign.h5", "w") as h5:
        h5["voxels/coords"] = np.zeros((1, 3))
    _refused(tmp_path / "foreign.h5", FileError, "'format' is None")
    _refused(_write(tmp_path / "slat.h5", "slat"), SchemaError, "has no /voxels, it holds /slat")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = _write(tmp_path / "x.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    _refused(path, FileError, "damaged")


def test_bytes_behind_a_user_block_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"#!/bin/sh\n".ljust(512) + _write(tmp_path / "y.h5").read_bytes())
    _refused(path, FileError, "user block")


def _replace(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def edit(h5: h5py.File) -> None:
        data = change(h5[name][:])
        del h5[name]
        h5[name] = data

    return edit


def _set(name: str, index: object, value: float) -> Callable[[h5py.File], None]:
    def edit(h5: h5py.File) -> None:
        h5[name][index] = value

    return edit


def _attr(group: str, name: str, value: object) -> Callable[[h5py.File], None]:
    def edit(h5: h5py.File) -> None:
        h5[group].attrs[name] = value

    return edit


def _drop(name: str) -> Callable[[h5py.File], None]:
    def edit(h5: h5py.File) -> None:
        del h5[name]

    return edit


def _no_group(h5: h5py.File) -> None:
    del h5["voxels"]
    h5["voxels"] = 1


BROKEN = {
    "dataset for a group": ("voxels", _no_group, SchemaError, "/voxels is no group"),
    "another format": ("voxels", _attr("/", "format", "their-format"), FileError, "their-format"),
    "format no text": ("voxels", _attr("/", "format", 7), FileError, "'format' is"),
    "newer file": ("voxels", _attr("/", "version", 2), SchemaError, "format 2, this program reads 1"),
    "version no number": ("voxels", _attr("/", "version", "one"), SchemaError, "format one"),
    "newer group": ("voxels", _attr("voxels", "version", 9), SchemaError, "/voxels is format 9"),
    "group version no number": ("voxels", _attr("voxels", "version", "x"), SchemaError, "/voxels is format x"),
    "attribute of another type": ("voxels", _attr("voxels", "resolution", "16"), SchemaError, "'resolution'"),
    "dataset missing": ("voxels", _drop("voxels/coords"), SchemaError, "/voxels/coords is missing"),
    "other type": ("voxels", _replace("voxels/coords", lambda a: a.astype(np.int32)), SchemaError, "int32"),
    "other shape": ("voxels", _replace("voxels/coords", lambda a: a[:, :2]), SchemaError, "expected int16"),
    "lengths": ("voxels", _set("voxels/lengths", 0, 6), SchemaError, "add up to 706, but there are 705"),
    "negative length": ("voxels", _replace("voxels/lengths", lambda a: a + [-6, 6, 0]), SchemaError, "lengths holds"),
    "outside the grid": ("voxels", _set("voxels/coords", (3, 1), 16), SchemaError, r"allowed are \[0, 15\]"),
    "negative voxel": ("voxels", _set("voxels/coords", (3, 1), -1), SchemaError, r"\[-1, 15\]"),
    "not a number": ("slat", _set("slat/feats", (600, 2), np.nan), SchemaError, "not finite"),
    "infinite": ("slat", _set("slat/feats", (0, 0), np.inf), SchemaError, "not finite"),
    "offsets": ("views", _set("views/image_offsets", 3, 10**6), SchemaError, "do not cover"),
    "face of another asset": ("mesh", _set("mesh/faces", (0, 0), 5), SchemaError, "name vertex 5 of 5"),
    "ids and lengths": ("slat", _replace("slat/ids", lambda a: a[:2]), SchemaError, "/slat/lengths is"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_the_schema_does_not_allow_is_refused(tmp_path: Path, case: str) -> None:
    group, edit, kind, words = BROKEN[case]
    path = _write(tmp_path / "x.h5", group)
    with h5py.File(path, "r+") as h5:
        edit(h5)
    _refused(path, kind, words, group)


def _linked(link: object) -> Callable[[h5py.File], None]:
    def edit(h5: h5py.File) -> None:
        del h5["voxels/coords"]
        h5["voxels/coords"] = link

    return edit


def _virtual(h5: h5py.File) -> None:
    layout = h5py.VirtualLayout((705, 3), "int16")
    layout[:] = h5py.VirtualSource("other.h5", "voxels/coords", (705, 3))
    del h5["voxels/coords"]
    h5.create_virtual_dataset("voxels/coords", layout)


def _external(h5: h5py.File) -> None:
    del h5["voxels/coords"]
    h5.create_dataset("voxels/coords", (705, 3), "int16", external=[("other.bin", 0, 4230)])


def _bomb(h5: h5py.File) -> None:
    del h5["voxels/coords"]
    h5.create_dataset("voxels/coords", (10**9, 3), "int16", chunks=(10**6, 3))


REACHING_OUT = {
    "soft link": (_linked(h5py.SoftLink("/voxels/ids")), "SoftLink"),
    "external link": (_linked(h5py.ExternalLink("other.h5", "voxels/coords")), "ExternalLink"),
    "virtual dataset": (_virtual, "other files"),
    "external storage": (_external, "other files"),
    "more than it stores": (_bomb, "claims 6000000000 bytes"),
    "nested group": (lambda h5: h5.create_group("voxels/inner"), "group within a group"),
}


@pytest.mark.parametrize("case", REACHING_OUT)
def test_data_from_elsewhere_is_refused(tmp_path: Path, case: str) -> None:
    edit, words = REACHING_OUT[case]
    _write(tmp_path / "other.h5")
    (tmp_path / "other.bin").write_bytes(bytes(4230))
    path = _write(tmp_path / "x.h5")
    with h5py.File(path, "r+") as h5:
        edit(h5)
    _refused(path, FileError, words)


def test_datasets_the_schema_does_not_name_are_passed_over(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.h5")
    with h5py.File(path, "r+") as h5:
        h5["voxels/image_offsets"] = np.zeros(3)
    with open_stage(path) as file:
        assert "image_offsets" not in file.group("voxels").asset(0)


def test_a_refused_write_leaves_nothing(tmp_path: Path) -> None:
    asset = _asset("slat", 0, 4)
    asset["feats"][0] = np.nan
    with pytest.raises(SchemaError, match="not finite"):
        write_stage(tmp_path / "x.h5", {"slat": ([asset], ATTRS["slat"])}, PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_caller_is_not_the_files(tmp_path: Path) -> None:
    """torch, too, raises RuntimeError, for want of memory for example."""
    path = _write(tmp_path / "x.h5")
    with pytest.raises(RuntimeError, match="^out of memory$"), open_stage(path):
        raise RuntimeError("out of memory")


def test_an_input_that_cannot_be_read_is_named_not_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.h5"
    write_stage(path, {"voxels": ([_asset("voxels", 0, 4)], ATTRS["voxels"])}, PROVENANCE)

    def broken(self: object, index: int) -> Asset:
        raise OSError(errno.EIO, "file read failed")

    monkeypatch.setattr(StageGroup, "_asset", broken)
    with pytest.raises(FileError, match=r"in\.h5 could not be read: Input/output error"):  # noqa: SIM117 (one block in another)
        with aside(tmp_path / "out.h5") as part, open_stage(path) as file:
            part.touch()
            file.group("voxels").asset(0)
    assert list(tmp_path.iterdir()) == [path]
