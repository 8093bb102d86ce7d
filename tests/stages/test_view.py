"""Contact sheets and videos: what is loaded for them, what they show."""

import math
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from trellis_cli.errors import MissingError, UsageError
from trellis_cli.io.stage_files import Provenance, with_ids, write_stage
from trellis_cli.representations.radiance_field import RadianceField
from trellis_cli.stages import view as stage
from trellis_cli.stages.decode_stage_files import field_asset


def test_the_decoder_is_loaded_once_for_all_files(tmp_path: Path, monkeypatch) -> None:
    loaded = []

    class Counted(stage.Decoder):
        def __init__(self, model, kind, **options):
            loaded.append(model)
            self.kind = kind

        def latents(self, group, index):
            return None

        def gaussians(self, latents):
            return stage.voxel_gaussians(torch.zeros(1, 3, dtype=torch.int16), 16)

    monkeypatch.setattr(stage, "Decoder", Counted)
    monkeypatch.setattr(stage, "open_model", lambda name: name)
    monkeypatch.setattr(stage, "gaussian_row", lambda *_: [np.zeros((16, 16, 3), np.uint8)])
    files = [tmp_path / f"{k}.slat.h5" for k in range(2)]
    for k, path in enumerate(files):
        asset = with_ids(f"{k:064x}", lengths=1, coords=np.zeros((1, 3), np.int16), feats=np.zeros((1, 4), np.float32))
        write_stage(path, {"slat": ([asset], {"resolution": 16})}, Provenance("encode", {}))
    assert stage.view(files, tmp_path / "x.png", "m", num_views=1, size=16) == 2
    assert loaded == ["m"]


def field(resolution: int = 8) -> RadianceField:
    """A row of four red, opaque voxels, two terms of which one is nothing."""
    n, r, d = 4, 2, 4
    density, colours = torch.zeros(n, r), torch.zeros(n, r, 3)
    density[:, 0] = 500.0
    colours[:, 0] = torch.tensor([20.0, -20.0, -20.0])
    coords = torch.stack([torch.full((n,), 4), torch.full((n,), 4), torch.arange(2, 2 + n)], 1).short()
    return RadianceField(coords, torch.ones(n, r, 3, d), density, colours, resolution)


def rf_file(path: Path) -> Path:
    write_stage(
        path,
        {"radiance_field": ([field_asset("0" * 64, field())], {"resolution": 8})},
        Provenance("decode", {}),
    )
    return path


def test_radiance_fields_are_shown(tmp_path: Path) -> None:
    sheet = tmp_path / "x.png"
    assert stage.view([rf_file(tmp_path / "x.rf.h5")], sheet, "m", num_views=2, size=32, captions=False) == 1
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (32, 66, 3)
    for half in (pixels[:, :32], pixels[:, 34:]):
        red = (half[..., 0] > 200) & (half[..., 1:] < 40).all(-1)
        assert 4 < red.sum() < 200  # the row of voxels, on white
        assert (half[0] == 255).all()


def test_latents_are_decoded_to_radiance_fields_first(tmp_path: Path, monkeypatch) -> None:
    class Fake:
        kind = "radiance-field"

        def __init__(self, model, kind, **options):
            assert kind == self.kind

        def latents(self, group, index):
            return None

        def radiance_field(self, latents):
            return field()

    monkeypatch.setattr(stage, "Decoder", Fake)
    monkeypatch.setattr(stage, "open_model", lambda name: name)
    asset = with_ids("1" * 64, lengths=1, coords=np.zeros((1, 3), np.int16), feats=np.zeros((1, 4), np.float32))
    write_stage(tmp_path / "x.slat.h5", {"slat": ([asset], {"resolution": 16})}, Provenance("encode", {}))
    options = {"num_views": 2, "size": 32, "captions": False}
    stage.view([tmp_path / "x.slat.h5"], tmp_path / "a.png", "m", kind="radiance-field", **options)
    stage.view([rf_file(tmp_path / "x.rf.h5")], tmp_path / "b.png", "m", **options)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def voxel_file(path: Path, num: int) -> Path:
    """Assets of a few voxels, more of them each time."""
    assets = [
        with_ids(
            f"{k:064x}", lengths=k + 1, coords=np.array([[4, 4, z] for z in range(k + 1)], np.int16),
            source_to_cube=np.eye(4),
        ) for k in range(num)
    ]  # fmt: skip
    write_stage(path, {"voxels": (assets, {"resolution": 8})}, Provenance("voxelize", {}))
    return path


def test_a_video_goes_round_all_assets(tmp_path: Path) -> None:
    video = tmp_path / "x.mp4"
    assert stage.view([voxel_file(tmp_path / "x.h5", 3)], video, "m", num_frames=8, size=32, captions=False) == 3
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) == 8 and frames[0].shape == (66, 66, 3)  # 2 x 2 cells, 2 pixels between
    cells = [frames[0][y : y + 32, x : x + 32] for y in (0, 34) for x in (0, 34)]
    drawn = [(cell < 200).any(-1).sum() for cell in cells]
    assert 0 < drawn[0] < drawn[1] < drawn[2] and drawn[3] == 0
    assert np.abs(frames[4] - frames[0]).max() > 50
    stage.view([tmp_path / "x.h5"], video, "m", num_frames=2, size=32, overwrite=True)
    with av.open(str(video)) as container:
        assert next(container.decode(video=0)).height > 66 + 2 * 10  # captions


def test_a_video_is_drawn_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Camera by camera, and a few frames of each asset ahead, however long it is."""
    drawn: list[int] = []
    written: list[int] = []
    render = stage.gaussian_renderer.render

    def counted(gaussians, cameras, **options):
        drawn.append(len(cameras))
        return render(gaussians, cameras, **options)

    def save(path: Path, frames, *, fps: int) -> None:
        written.extend(len(drawn) for _ in frames)

    monkeypatch.setattr(stage.gaussian_renderer, "render", counted)
    monkeypatch.setattr(stage, "save_video", save)
    monkeypatch.setattr(stage, "require_video_writer", lambda: None)
    stage.view([voxel_file(tmp_path / "x.h5", 2)], tmp_path / "x.mp4", "m", num_frames=20, size=16)
    assert set(drawn) == {1}
    assert written == [16] * 8 + [32] * 8 + [40] * 4


def test_turntable_begins_at_the_front_and_comes_round(tmp_path: Path) -> None:
    cameras = stage.turntable(100)
    centres = cameras.centres
    assert centres[0, 1] < -1.9 and abs(float(centres[0, 0])) < 1e-5
    steps = (centres - centres.roll(1, 0)).norm(dim=1)
    assert float(steps.max()) < 2 * 2 * math.pi * 2 / 100
    assert math.degrees(float(torch.asin(centres[25, 2] / 2))) == pytest.approx(math.degrees(0.75), abs=0.01)


@pytest.mark.parametrize("name", ["x.mp4", "x.png"])
def test_only_so_many_assets_are_shown(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setattr(stage, "MAX_ASSETS", {".png": 2, ".mp4": 2})
    options = {"num_views": 1, "num_frames": 1, "size": 16}
    assert stage.view([voxel_file(tmp_path / "x.h5", 3)], tmp_path / name, "m", **options) == 2


def test_what_cannot_be_written_is_said_before_anything_is_decoded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    missing = [tmp_path / "not there.h5"]
    with pytest.raises(MissingError, match="PyAV"):
        stage.view(missing, tmp_path / "x.mp4", "m")
    with pytest.raises(UsageError, match="a view is a .png or an .mp4"):
        stage.view(missing, tmp_path / "x.gif", "m")
