"""The training loop on a task of one matrix: a run that is stopped and started again does the same steps."""

import json
import signal
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from trellis_cli.errors import DiskError, FileError, TrellisError
from trellis_cli.training import state
from trellis_cli.training.loop import LoopRecipe, step_generator, train
from trellis_cli.training.optim import OptimizerRecipe
from trellis_cli.training.stopping import Stopped

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


class Interrupted(Regression):
    """Ctrl-C, `times` times, within the loss of one step."""

    def __init__(self, *, at: int, times: int = 1) -> None:
        super().__init__()
        self.at, self.times = at, times

    def loss(self, module: nn.Module, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        terms = super().loss(module, batch, generator)
        for _ in range(self.times if self.calls == self.at else 0):
            signal.raise_signal(signal.SIGINT)
        return terms


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


@pytest.mark.parametrize("killed_at", [4, 6])
def test_scores_that_a_kill_took_are_made_up_for(tmp_path, killed_at):
    """Killed within the evaluation, after the checkpoint: of a step in the middle, or of the last."""

    class Killed(Regression):
        def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
            if step == killed_at:
                raise SystemExit
            return super().evaluate(module, folder, step)

    loop = LoopRecipe(log_every=1, checkpoint_every=2, evaluate_every=4)
    with pytest.raises(SystemExit):
        train(Killed(), recipe(6), loop, tmp_path, seed=5, device="cpu")
    for _ in range(2):  # the second time nothing is missing
        train(Regression(), recipe(6), loop, tmp_path, seed=5, device="cpu")
        rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert [r for r in rows if "scores" in r] == [{"step": s, "scores": {"score": float(s)}} for s in (4, 6)]


def test_no_minutes_are_no_steps(tmp_path):
    task = Regression()
    assert not train(task, recipe(6), LOOP, tmp_path, seed=5, device="cpu", max_minutes=0.0)
    assert task.calls == 0


def test_nan_stops_with_a_message_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(TrellisError, match=r"step 4: the loss is nan"):
        train(Regression(nan_at=5), recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    task = Regression()
    train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    whole = run(tmp_path / "whole", 20)
    assert all(torch.equal(whole[k], v) for k, v in task.module.state_dict().items())


def test_ctrl_c_finishes_and_saves_the_step(tmp_path):
    """A real signal, in the middle of step 7; checkpoints are due at 3, 6 and 9."""
    task = Interrupted(at=7)
    with pytest.raises(Stopped):
        train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert task.calls == 7
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        assert file.metadata()["step"] == "7"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # ours is gone again
    whole, parts = run(tmp_path / "whole", 20), run(tmp_path, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_second_ctrl_c_stops_at_once_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        train(Interrupted(at=8, times=2), recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert not isinstance(caught.value, Stopped)
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        assert file.metadata()["step"] == "6"
    whole, parts = run(tmp_path / "whole", 20), run(tmp_path, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_half_a_row_of_the_log_does_no_harm(tmp_path):
    run(tmp_path, 6)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    run(tmp_path, 9)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows if "loss" in r] == list(range(1, 10))


def test_a_full_disk_keeps_the_checkpoint(tmp_path, monkeypatch):
    def full(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        run(tmp_path, 3)
        before = (tmp_path / "checkpoint.safetensors").read_bytes()
        patch.setattr(state, "save_file", full)
        with pytest.raises(DiskError, match="checkpoint.safetensors could not be written: No space left on device"):
            run(tmp_path, 20)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_damaged_checkpoint_is_named(tmp_path):
    run(tmp_path, 4)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="cannot be resumed from"):
        run(tmp_path, 8)


def test_each_step_and_process_draws_its_own():
    draws = {float(torch.rand((), generator=step_generator(1, step, rank))) for step in range(4) for rank in range(2)}
    assert len(draws) == 8
