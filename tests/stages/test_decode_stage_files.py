"""Radiance fields as stage files: where they go, what is done already, on past bad inputs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trellis_cli.errors import FileError, SomeFailed, TrellisError, UsageError
from trellis_cli.io.model_folders import ModelFolder, save_network
from trellis_cli.io.stage_files import Provenance, open_stage, with_ids, write_stage
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.stages.decode import Decoder, decode, resolve_kind

ARGS = {
    "resolution": 16, "model_channels": 8, "latent_channels": 4, "num_blocks": 1, "num_heads": 1, "window_size": 4,
    "representation_config": {"rank": 2, "dim": 3},
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    folder = tmp_path / "model"
    network = RadianceFieldDecoder(**ARGS)
    save_network(folder / "ckpts" / "slat_decoder_rf", "SLatRadianceFieldDecoder", ARGS, network)
    pipeline = {"name": "x", "args": {"models": {"slat_decoder_rf": "ckpts/slat_decoder_rf"}}}
    (folder / "pipeline.json").write_text(json.dumps(pipeline))
    return ModelFolder("model", folder)


def _slat(path: Path, *values: int, channels: int = 4) -> Path:
    """One asset of two voxels for each value, which is its id and all its latents."""
    assets = [
        with_ids(f"{v:064x}", lengths=2, coords=np.array([[0, 0, v], [1, 0, v]], np.int16),
                 feats=np.full((2, channels), v, np.float32)) for v in values
    ]  # fmt: skip
    write_stage(path, {"slat": (assets, {"resolution": 16})}, Provenance("encode", {}))
    return path


def _run(inputs: Sequence[Path], model: ModelFolder, **options: Any):
    return decode(list(inputs), model, kind="radiance-field", **options)


def _ids(path: Path) -> list[int]:
    with open_stage(path) as file:
        return [int(id_, 16) for id_ in file.group("radiance_field").ids]


def test_a_file_beside_each_input_with_all_its_assets(tmp_path: Path, model: ModelFolder) -> None:
    inputs = [_slat(tmp_path / "one.slat.h5", 1), _slat(tmp_path / "two.slat.h5", 2, 3)]
    done = _run(inputs, model)
    assert done.files == (tmp_path / "one.rf.h5", tmp_path / "two.rf.h5") and (done.done, done.kept) == (3, 0)
    assert [_ids(p) for p in done.files] == [[1], [2, 3]]
    before = [p.read_bytes() for p in done.files]
    again = _run(inputs, model)
    assert (again.done, again.kept) == (0, 3) and "done already" in again.text
    assert [p.read_bytes() for p in again.files] == before
    elsewhere = _run(inputs, model, out=tmp_path / "out")
    assert elsewhere.files == (tmp_path / "out" / "one.rf.h5", tmp_path / "out" / "two.rf.h5")
    assert [p.read_bytes() for p in elsewhere.files] == before
    whole = _run(inputs, model, out=tmp_path / "all.h5")
    assert whole.files == (tmp_path / "all.h5",) and _ids(tmp_path / "all.h5") == [1, 2, 3]


def test_the_file_holds_the_decoders_field(tmp_path: Path, model: ModelFolder) -> None:
    slat = _slat(tmp_path / "x.slat.h5", 1, 2)
    (path,) = _run([slat], model).files
    decoder = Decoder(model, "radiance-field")
    with open_stage(slat) as latents, open_stage(path) as file:
        group = file.group("radiance_field")
        assert group.attrs["resolution"] == 16
        for i in range(2):
            field = decoder.radiance_field(decoder.latents(latents.group("slat"), i))
            asset = group.asset(i)
            for name in ("coords", "factors", "density", "colours"):
                np.testing.assert_array_equal(asset[name], getattr(field, name).numpy(), err_msg=name)


def test_on_past_bad_inputs(tmp_path: Path, model: ModelFolder) -> None:
    good, other = _slat(tmp_path / "a.slat.h5", 1), _slat(tmp_path / "b.slat.h5", 2, channels=5)
    broken = tmp_path / "c.slat.h5"
    broken.write_bytes(good.read_bytes()[:1000])
    with pytest.raises(FileError, match="5 channels"):
        _run([other], model)
    with pytest.raises(FileError):
        _run([broken], model)
    assert not list(tmp_path.glob("*.rf.h5*"))
    with pytest.raises(SomeFailed, match="2 of 3 inputs failed"):
        _run([broken, other, good], model)
    ledger = tmp_path / "decode.ledger.jsonl"
    assert {json.loads(line)["name"] for line in ledger.read_text().splitlines()} == {str(broken), "b.slat.h5"}
    assert [p.name for p in tmp_path.glob("*.rf.h5*")] == ["a.rf.h5"]
    for path, value in ((broken, 3), (other, 2)):
        path.unlink()
        _slat(path, value)
    assert _run([broken, other, good], model).done == 2
    assert not ledger.exists()


def test_some_bad_assets_of_a_file(tmp_path: Path, model: ModelFolder, monkeypatch) -> None:
    """The others are there; the ledger lies beside the file they are in, and --retry-failed takes the bad ones."""
    sound = Decoder.radiance_field

    def fragile(self: Decoder, latents):
        if float(latents.feats[0, 0]) == 2:
            raise TrellisError("broken")
        return sound(self, latents)

    inputs = [_slat(tmp_path / "x.slat.h5", 1, 2), _slat(tmp_path / "y.slat.h5", 3)]
    monkeypatch.setattr(Decoder, "radiance_field", fragile)
    with pytest.raises(SomeFailed):
        _run(inputs, model)
    assert [_ids(tmp_path / f"{n}.rf.h5") for n in "xy"] == [[1], [3]]
    assert (tmp_path / "x.rf.h5.ledger.jsonl").exists()
    monkeypatch.undo()
    assert _run(inputs, model, retry_failed=True).done == 1
    assert _ids(tmp_path / "x.rf.h5") == [1, 2] and not list(tmp_path.glob("*ledger*"))


def test_names_in_the_way(tmp_path: Path, model: ModelFolder) -> None:
    a, b = _slat(tmp_path / "a" / "x.slat.h5", 1), _slat(tmp_path / "b" / "x.slat.h5", 2)
    with pytest.raises(UsageError, match="would both be written to"):
        _run([a, b], model, out=tmp_path / "out")
    (a.parent / "x.rf.h5").write_text("mine")
    with pytest.raises(UsageError, match="exists and was not made by this very command"):
        _run([a, b], model)
    assert (a.parent / "x.rf.h5").read_text() == "mine"
    assert _run([a, b], model, overwrite=True).done == 2


def test_a_file_of_no_asset(tmp_path: Path, model: ModelFolder) -> None:
    (path,) = _run([_slat(tmp_path / "none.slat.h5")], model).files
    assert _ids(path) == []


def test_what_the_names_say(tmp_path: Path) -> None:
    kinds = {"x.glb": "mesh", "x.splat": "gaussians", "x.h5": "mesh", "x.rf.h5": "radiance-field", "folder": "mesh"}
    assert {name: resolve_kind(None, tmp_path / name) for name in kinds} == kinds
    assert resolve_kind(None, None) == "mesh"
    assert resolve_kind("radiance-field", tmp_path / "x.h5") == "radiance-field"
    with pytest.raises(UsageError, match="radiance-field cannot be written as .glb"):
        resolve_kind("radiance-field", tmp_path / "x.glb")
    with pytest.raises(UsageError, match="'rf' is not known"):
        resolve_kind("rf", None)
