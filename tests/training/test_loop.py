"""The training loop on a task of one matrix: a run that is stopped and started again does the same steps."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trellis_cli.errors import FileError, TrellisError
from trellis_cli.training.loop import LoopRecipe, step_generator, train
from trellis_cli.training.optim import OptimizerRecipe

LOOP = LoopRecipe(log_every=1, checkpoint_every=3, evaluate_every=100)


class Regression:
    """Learns y = 2 x from random x; the target turns into NaN at a chosen call."""

    def __init__(self, nan_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(4, 4)
        self.nan_at, self.calls = nan_at, 0

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(size, 4, generator=generator)

    def loss(self, module: nn.Module, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.calls += 1
        error = (module(batch) - 2 * batch).square().mean()
        return {"loss": error * float("nan") if self.calls == self.nan_at else error}

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {"score": float(step)}


def recipe(steps: int) -> OptimizerRecipe:
    return OptimizerRecipe(learning_rate=0.05, batch=8, steps=steps, schedule="constant", ema_decay=0.9)


def run(folder: Path, *stops: int) -> dict[str, Tensor]:
    for steps in stops:
        task = Regression()
        train(task, recipe(steps), LOOP, folder, seed=5, device="cpu")
    return task.module.state_dict()


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    whole, parts = run(tmp_path / "a", 20), run(tmp_path / "b", 7, 13, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_it_learns_and_logs_each_step_once(tmp_path):
    run(tmp_path, 7, 40)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = {r["step"]: r["loss"] for r in rows if "loss" in r}
    assert sorted(losses) == list(range(1, 41))
    assert losses[40] < 0.5 * losses[1]
    assert {"step": 40, "scores": {"score": 40.0}} in rows


def test_nan_stops_with_a_message_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(TrellisError, match=r"step 4: the loss is nan"):
        train(Regression(nan_at=5), recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    task = Regression()
    train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    whole = run(tmp_path / "whole", 20)
    assert all(torch.equal(whole[k], v) for k, v in task.module.state_dict().items())


def test_damaged_checkpoint_is_named(tmp_path):
    run(tmp_path, 4)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="cannot be resumed from"):
        run(tmp_path, 8)


def test_each_step_and_process_draws_its_own():
    draws = {float(torch.rand((), generator=step_generator(1, step, rank))) for step in range(4) for rank in range(2)}
    assert len(draws) == 8
