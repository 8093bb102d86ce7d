"""recipes/mini/make.sh, with a stand-in for `trellis` that only notes how it was called."""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "recipes" / "mini" / "make.sh"
TRELLIS = """#!/usr/bin/env bash
echo "$@" >>"$CALLS"
[ "$1 $2" != "$HANG" ] || { sleep 300; exit 1; }
[ "$1 $2" != "$BREAK" ] || exit 3
finished=true
[ "$1 $2" != "$LATE" ] || finished=false
while [ $# -gt 0 ]; do
    case $1 in
        --out) mkdir -p "$2/ckpts"; touch "$2/ckpts/x"
            [ -e "$2/checkpoint.safetensors" ] || touch "$2/checkpoint.safetensors" ;;
        -o) case $2 in
            *.h5) mkdir -p "$(dirname "$2")"; touch "$2" ;;
            *) mkdir -p "$2"; touch "$2/pipeline.json" ;;
        esac ;;
    esac
    shift
done
echo "{\\"finished\\": $finished}"
"""
PYTHON = """#!/usr/bin/env bash
case $1 in
    -c) echo "${GPU:-False False}" ;;
    *fetch_weights.py) mkdir -p "$3"; touch "$3/text_encoder.json" ;;
esac
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A work folder with its packages unpacked, and the stand-ins on the PATH."""
    (tmp_path / "bin").mkdir()
    for name, text in (("trellis", TRELLIS), ("python", PYTHON)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("sweethome3d", "0ad"):
        (tmp_path / "work" / "raw" / name).mkdir(parents=True)
        (tmp_path / "work" / "raw" / name / ".complete").touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for name in ("HANG", "BREAK", "LATE"):
        monkeypatch.setenv(name, "none")
    return tmp_path / "work"


def make(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *map(str, args)], capture_output=True, text=True, timeout=60)


def calls(work: Path) -> list[str]:
    """How `trellis` was called, since this was last asked."""
    path = work.parent / "calls"
    lines = path.read_text().splitlines()
    path.unlink()
    return [line.replace(str(work), "WORK") for line in lines]


def trained(lines: list[str]) -> list[str]:
    return sorted(line.split()[1].partition("/")[2] for line in lines if line.startswith("train"))


ALL = [
    "image-slat-flow",
    "image-structure-flow",
    "mesh-decoder",
    "rf-decoder",
    "slat-flow",
    "slat-vae",
    "structure-flow",
    "structure-vae",
]


@pytest.mark.parametrize(
    "args",
    [(), ("--recipes", "mini"), ("W", "--recipes"), ("W", "--max-minutes"), ("W", "--x"), ("W", "--recipes", "x")],
)
def test_wrong_calls_make_nothing(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got = make(*args)
    assert got.returncode == 2 and "usage: recipes/mini/make.sh WORK" in got.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("gpu", ["False False", "True True"])
def test_from_nothing_to_mini_and_again(work, gpu, monkeypatch):
    monkeypatch.setenv("GPU", gpu)
    got = make(work, "--recipes", "mini-cpu", "--max-minutes", "5")
    assert got.returncode == 0, got.stderr
    first = calls(work)
    assert trained(first) == ALL and (work / "mini" / "pipeline.json").exists()
    assert all("mini-cpu/" in line and "--max-minutes 5" in line for line in first if line.startswith("train"))
    assert sum(line.startswith("models pack") for line in first) == 3
    assert make(work).returncode == 0
    again = calls(work)
    assert trained(again) == ALL and sum(line.startswith("models pack") for line in again) == 1
    assert not any(line.startswith("data export") for line in again)
    assert (work / "latents" / "latents.h5").exists()


def test_models_are_packed_anew_where_a_run_went_on(work):
    assert make(work).returncode == 0
    calls(work)
    later = time.time() + 60
    os.utime(work / "runs" / "slat-vae" / "checkpoint.safetensors", (later, later))
    assert make(work).returncode == 0
    packed = [line for line in calls(work) if line.startswith("models pack") and "WORK/models/" in line]
    assert packed == ["models pack structure-vae slat-vae -o WORK/models/encoders --overwrite"]


def test_out_of_time_in_one_lane_ends_both(work, monkeypatch):
    monkeypatch.setenv("LATE", "train-vae mini/structure-vae")
    got = make(work)
    assert got.returncode == 75 and "structure-vae: out of time" in got.stderr
    assert trained(calls(work)) == ["slat-vae", "structure-vae"]
    monkeypatch.setenv("LATE", "none")
    assert make(work).returncode == 0


def test_an_error_counts_for_more_than_lack_of_time(work, monkeypatch):
    monkeypatch.setenv("BREAK", "train-vae mini/structure-vae")
    assert make(work).returncode == 3


def test_a_gpu_without_gsplat(work, monkeypatch):
    monkeypatch.setenv("GPU", "True False")
    got = make(work)
    assert got.returncode == 4 and "pip install 'trellis-slat[gpu]'" in got.stderr


def test_a_stopped_script_leaves_no_children_and_no_lock(work, monkeypatch):
    monkeypatch.setenv("HANG", "train-flow mini/structure-flow")
    process = subprocess.Popen([SCRIPT, work], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    begun = work / "structure-flow.json"
    while not begun.exists():
        time.sleep(0.05)
    second = make(work)
    assert second.returncode == 1 and "another make.sh" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    with (work / ".lock").open("w") as lock:  # every child would hold it
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
