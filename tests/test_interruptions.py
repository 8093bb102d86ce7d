"""kill -9, Ctrl-C, a closed pipe and a full disk: nothing finished is lost, nothing is left half-written.

The killed processes are real ones. So that a slow machine cannot miss the moment, each kills itself: `CHILD` does so
when it calls a function of `os` for the n-th time.
"""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import trellis_cli.stages.voxelize
from trellis_cli.io.stage_files import open_stage
from trellis_cli.main import run
from trellis_cli.stages.export_objects import export_objects

Captured = pytest.CaptureFixture[str]
NUM = 8
CHILD = """
import os, signal, sys
where, when, *arguments = sys.argv[1:]
original, count = getattr(os, where), 0
def counting(*call, **options):
    global count
    count += 1
    if count == int(when):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*call, **options)
setattr(os, where, counting)
from trellis_cli.main import run
run(arguments)
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    export_objects("toybox", None, folder, num=NUM)
    return folder / "objects"


@pytest.fixture(scope="module")
def whole(toys: Path) -> bytes:
    """The output of a run that nobody disturbed."""
    out = toys.parent / "whole.h5"
    _trellis(*_voxelize(toys, out))
    return out.read_bytes()


def _voxelize(toys: Path, out: Path) -> list[str]:
    return ["voxelize", str(toys), "-o", str(out), "--resolution", "16"]


def _trellis(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        run(list(arguments))
    assert (caught.value.code or 0) == code


def _killed(where: str, when: int, *arguments: str) -> None:
    command = [sys.executable, "-c", CHILD, where, str(when), *arguments]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: sums of floats depend on it
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=one)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


# In a run of 8 meshes: which call it dies at, and how many of the parts are finished by then.
MOMENTS = {
    "third part about to take its name": ("replace", 3, 2),
    "output about to take its name": ("replace", NUM + 1, NUM),
    "output there, parts not yet gone": ("rmdir", 1, NUM),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_anywhere_goes_on(
    moment: str, toys: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, when, finished = MOMENTS[moment]
    out = tmp_path / "x.h5"
    _killed(where, when, *_voxelize(toys, out))
    assert out.exists() == (where == "rmdir")
    assert not out.exists() or out.read_bytes() == whole

    original, calls = trellis_cli.stages.voxelize.voxelize_file, []

    def counting(path: Path, *rest: str, **options: int):
        calls.append(path.name)
        return original(path, *rest, **options)

    monkeypatch.setattr(trellis_cli.stages.voxelize, "voxelize_file", counting)
    _trellis(*_voxelize(toys, out))
    assert len(calls) == NUM - finished  # what was finished is not done again
    assert out.read_bytes() == whole
    assert _files(tmp_path) == [out] and not (tmp_path / "x.h5.parts").exists()


@pytest.fixture(scope="module")
def chain(toys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each stage reads: voxels, views and features of the toys."""
    folder = tmp_path_factory.mktemp("chain")
    _trellis("voxelize", str(toys), "-o", str(folder / "voxels.h5"), "--resolution", "32")
    _trellis("render", str(toys), "-o", str(folder / "views.h5"), "--num-views", "2", "--size", "32")
    torch.set_num_threads(1)
    _trellis("featurize", str(folder / "voxels.h5"), str(folder / "views.h5"), "-o", str(folder / "features.h5"))
    return folder


STAGES = {
    "render": ("render", "{toys}", "--num-views", "2", "--size", "32"),
    "conditions": ("render", "{toys}", "--num-views", "2", "--size", "32", "--conditions"),
    "featurize": ("featurize", "{chain}/voxels.h5", "{chain}/views.h5", "--device", "cpu"),
    "encode": ("encode", "{chain}/features.h5", "--device", "cpu", "--dtype", "float32"),
    "sample": ("sample", "--text", "a bed", "--num", "3", "--steps", "1", "--device", "cpu", "--dtype", "float32"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_goes_on_after_a_kill(stage: str, toys: Path, chain: Path, tmp_path: Path) -> None:
    """Dies as its third part is about to take its name; then done, to the bytes of a run that nobody disturbed."""
    words = [word.format(toys=toys, chain=chain) for word in STAGES[stage]]
    torch.set_num_threads(1)
    _killed("replace", 3, *words, "-o", str(tmp_path / "x.h5"))
    assert len(list((tmp_path / "x.h5.parts").rglob("*.h5"))) == 2 and not (tmp_path / "x.h5").exists()
    for name in ("x.h5", "undisturbed.h5"):
        _trellis(*words, "-o", str(tmp_path / name))
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()


TRAINING = (
    "encoder.args={in_channels = 1, latent_channels = 2, num_res_blocks = 1, channels = [8, 8, 8]}",
    "decoder.args={out_channels = 1, latent_channels = 2, num_res_blocks = 1, channels = [8, 8, 8]}",
    "optimizer.steps=6", "optimizer.batch=2", "optimizer.precision='float32'",
    "loop.checkpoint_every=2", "loop.log_every=1", "loop.evaluate_every=100",
)  # fmt: skip


def test_killed_training_goes_on_bit_for_bit(toys: Path, whole: bytes, tmp_path: Path) -> None:
    """Dies as the checkpoint of step 4 is about to take its name: before it came recipe.json and that of step 2."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "voxels.h5").write_bytes(whole)
    sets = [word for change in TRAINING for word in ("--set", change)]
    command = ["train-vae", "mini-cpu/structure-vae", "--data", str(data), "--device", "cpu", "--quiet", *sets]
    torch.set_num_threads(1)  # numba's pool, which made the voxels, may have changed it
    _killed("replace", 3, *command, "--out", str(tmp_path / "run"))
    _trellis(*command, "--out", str(tmp_path / "run"))
    _trellis(*command, "--out", str(tmp_path / "undisturbed"))
    files = sorted(p.relative_to(tmp_path / "run") for p in _files(tmp_path / "run"))
    weights = [file for file in files if file.suffix == ".safetensors"]
    curves = [file for file in files if file.parts[0] == "tensorboard"]
    assert len(curves) == 2 and len(weights) == 5  # of both calls; the checkpoint, two networks, and the best ones
    pictures = [file for file in files if file.parts[0] == "samples"]
    assert len(pictures) == 1
    assert len(files) == 2 + 5 + 4 + 1 + 2 + 1  # recipe, log; weights; a .json a network; the best's scores; curves
    for file in weights:
        one, two = (load_file(tmp_path / name / file) for name in ("run", "undisturbed"))
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one), file


@pytest.mark.parametrize("write", [1, 8, 60])
def test_ctrl_c_ends_in_two_lines(
    write: int, toys: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    out, original, count = tmp_path / "x.h5", os.pwrite, 0

    def interrupted(*call: Any) -> int:
        nonlocal count
        count += 1
        if count == write:
            signal.raise_signal(signal.SIGINT)
        return original(*call)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", interrupted)
        _trellis(*_voxelize(toys, out), code=130)
    said = capsys.readouterr()
    problem, hint = said.err.splitlines()
    assert problem == "error: stopped by the user" and hint.startswith(" hint: what was finished is kept")
    assert not said.out and not out.exists() and not list(tmp_path.rglob(".*"))
    _trellis(*_voxelize(toys, out))
    assert out.read_bytes() == whole


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "typer.Abort"])
def test_ctrl_c_within_the_work(
    raised: str, toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import typer

    def stop(*_: object, **__: object) -> None:
        raise {"KeyboardInterrupt": KeyboardInterrupt, "typer.Abort": typer.Abort}[raised]

    monkeypatch.setattr(trellis_cli.stages.voxelize, "voxelize_file", stop)
    _trellis(*_voxelize(toys, tmp_path / "x.h5"), code=130)
    assert capsys.readouterr().err.splitlines()[0] == "error: stopped by the user"
    assert not _files(tmp_path)


def test_a_bug_costs_the_item_that_met_it_and_keeps_its_traceback(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    original, calls = trellis_cli.stages.voxelize.voxelize_file, []

    def bug(*arguments: Any, **options: Any):
        calls.append(arguments)
        if len(calls) == 2:
            raise ZeroDivisionError("of zero by zero")
        return original(*arguments, **options)

    monkeypatch.setattr(trellis_cli.stages.voxelize, "voxelize_file", bug)
    _trellis(*_voxelize(toys, tmp_path / "x.h5"), code=5)
    said = capsys.readouterr().err
    assert "Traceback" in said and "ZeroDivisionError: of zero by zero" in said
    (row,) = (tmp_path / "x.h5.ledger.jsonl").read_text().splitlines()
    assert "ZeroDivisionError: of zero by zero" in row and len(calls) == NUM


@pytest.mark.parametrize("arguments", [("recipe", "show", "mini-cpu/slat-vae"), ("render", "--help")])
def test_a_closed_pipe_ends_quietly(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "trellis_cli", *arguments]
    try:
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writer)
    assert ended.stderr == "" and ended.returncode != 0


@pytest.mark.parametrize("calls", [1, 30, 100])
def test_a_full_disk_costs_nothing_that_was_finished(
    calls: int,
    toys: Path,
    whole: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    out, original, count = tmp_path / "x.h5", os.pwrite, 0

    def until_full(*call: Any) -> int:
        nonlocal count
        count += 1
        if count > calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*call)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", until_full)
        _trellis(*_voxelize(toys, out), code=1)
    problem, hint = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"error: {out}") and problem.endswith("could not be written: No space left on device")
    assert hint.startswith(" hint: free some disk space")
    assert not out.exists()
    for part in _files(tmp_path):
        with open_stage(part) as file:
            assert len(file.group("voxels")) == 1
    _trellis(*_voxelize(toys, out))
    assert out.read_bytes() == whole


def test_a_line_on_a_full_disk_is_no_bug_either(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "log.jsonl")

    monkeypatch.setattr(trellis_cli.stages.voxelize, "run_batch", full)
    _trellis(*_voxelize(toys, tmp_path / "x.h5"), code=1)
    assert capsys.readouterr().err.splitlines()[0] == "error: log.jsonl: No space left on device"
