"""Files appear whole or not at all, and what a killed process left aside goes with the next write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trellis_cli.errors import DiskError
from trellis_cli.io.aside import _sweep, aside, write_text


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), aside(path) as part:
        part.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_an_error_of_the_disk_is_told_in_a_line_any_other_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"x\.txt could not be written: two") as caught, aside(tmp_path / "x.txt"):
        raise OSError("two\nlines")
    assert caught.value.code == 1 and caught.value.hint
    with pytest.raises(RuntimeError), aside(tmp_path / "x.txt"):
        raise RuntimeError
    with pytest.raises(DiskError), aside(tmp_path / "x.txt", also=(RuntimeError,)):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_what_killed_processes_left_aside_goes(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with aside(tmp_path / "now.txt") as part:
        tag = part.name.split("-")[1]
        part.touch()
    (tmp_path / "now.txt").unlink()
    _sweep.cache_clear()  # a folder is swept once a process
    left = [tmp_path / f".{name}.trellis-{tag}-{dead.pid}.part" for name in ("x.txt", "other.h5")]
    elsewhere = tmp_path / f".x.txt.trellis-{'0' * 8}-{dead.pid}.part"  # of a machine that shares the folder
    living = tmp_path / f".x.txt.trellis-{tag}-{os.getppid()}.part"
    kept = [elsewhere, living, tmp_path / ".x.txt.part", tmp_path / "x.part"]
    for path in left + kept:
        path.write_text("half")
    write_text(tmp_path / "x.txt", "whole")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "x.txt"])
