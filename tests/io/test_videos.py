"""Videos: every frame there, in order and colour; equal bytes for equal frames; what is said where PyAV is missing."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from trellis_cli.errors import MissingError
from trellis_cli.io.videos import save_video


def frames(height: int, width: int) -> list[np.ndarray]:
    """Ten greys from dark to light, each with a red left half."""
    shades = [np.full((height, width, 3), 20 * i, np.uint8) for i in range(10)]
    for picture in shades:
        picture[:, : width // 2] = (200, 0, 0)
    return shades


def test_frames_come_back(tmp_path: Path) -> None:
    save_video(tmp_path / "x.mp4", iter(frames(48, 64)), fps=30)
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 30
        got = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(got) == 10
    for want, picture in zip(frames(48, 64), got, strict=True):
        assert np.abs(picture[8:-8, 40:-8].astype(int) - want[8:-8, 40:-8]).max() < 6
        assert np.abs(picture[8:-8, 8:24].astype(int) - want[8:-8, 8:24]).max() < 12
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]


def test_equal_frames_make_equal_bytes(tmp_path: Path) -> None:
    """Many times, with other memory each time: an encoder that reads what nobody wrote differs once in a few dozen."""
    rng = np.random.default_rng(0)
    made = set()
    for _ in range(60):
        used = [rng.integers(0, 255, size, dtype=np.uint8) for size in rng.integers(1000, 20000, 50)]
        del used
        save_video(tmp_path / "x.mp4", frames(32, 32), fps=30)
        made.add((tmp_path / "x.mp4").read_bytes())
    assert len(made) == 1


def test_odd_sizes_get_a_white_line(tmp_path: Path) -> None:
    save_video(tmp_path / "x.mp4", [np.zeros((31, 33, 3), np.uint8)], fps=30)
    with av.open(str(tmp_path / "x.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape == (32, 34, 3)
    assert picture[-1].mean() > picture[:-2].mean() + 50


def test_no_frame_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        save_video(tmp_path / "x.mp4", [], fps=30)
    assert not list(tmp_path.iterdir())


def test_without_pyav_the_command_that_gets_it_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingError) as caught:
        save_video(tmp_path / "x.mp4", frames(16, 16), fps=30)
    assert caught.value.hint == "pip install 'trellis-slat[video]'"
    assert not list(tmp_path.iterdir())
