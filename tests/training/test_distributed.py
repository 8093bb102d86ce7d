"""Two processes over gloo do the steps of one: the same global batches, the same weights within rounding."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_world import RECIPES, World

CHECKPOINT = "checkpoint.safetensors"


def command(world: World, recipe: str, out: Path, steps: int, *more: str) -> list[str]:
    changes = (*RECIPES[recipe], "optimizer.precision='float32'", "optimizer.warmup=0", f"optimizer.steps={steps}")
    words = [word for change in (*changes, "loop.log_every=1", *more) for word in ("--set", change)]
    name = "train-flow" if "flow" in recipe else "train-vae"
    return ["-m", "trellis_cli", name, f"mini-cpu/{recipe}", "--data", str(world.data), "--out", str(out),
            "--device", "cpu", "--quiet", *words]  # fmt: skip


def start(processes: int, words: list[str]) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    arguments = [*launcher, *words] if processes > 1 else words
    # One thread each: the same order of sums in both.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> None:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == code, said


def losses(run: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {r["step"]: r["loss"] for r in rows if "loss" in r}


@pytest.mark.parametrize(("recipe", "more"), [("slat-flow", "optimizer.batch=5"), ("slat-vae", "optimizer.batch=3")])
def test_two_processes_do_the_steps_of_one(world: World, tmp_path: Path, recipe: str, more: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    running = [start(n, command(world, recipe, run, 3, more)) for n, run in ((1, one), (2, two))]
    for process in running:
        finish(process)
    assert losses(one) == pytest.approx(losses(two), rel=1e-4)
    first, second = load_file(one / CHECKPOINT), load_file(two / CHECKPOINT)
    assert first.keys() == second.keys()
    for key in (k for k in first if k.startswith("optimizer.") and k.endswith(".exp_avg")):  # the gradients' means
        torch.testing.assert_close(second[key], first[key], atol=1e-6, rtol=2e-3)


def test_a_signal_to_two_processes_saves_and_they_go_on(world: World, tmp_path: Path) -> None:
    """SIGTERM to one of two: both end after the same step, saved; the run goes on to where an unbroken one comes."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    same = "optimizer.schedule=constant"  # the rate of a step does not depend on how many there are
    process = start(2, command(world, "slat-flow", run, 100_000, same))
    deadline = time.monotonic() + 200
    while not (run / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    process.communicate(timeout=200)
    assert process.returncode
    done = max(losses(run))
    finish(start(2, command(world, "slat-flow", run, done + 2, same)))
    finish(start(1, command(world, "slat-flow", whole, done + 2, same)))
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)
