"""The training loop on a task of one matrix: a run that is stopped and started again does the same steps."""

import json
import signal
import weakref
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trellis_cli.errors import DiskError, FileError, MissingError, RecipeError, TrellisError, UsageError
from trellis_cli.training import best, state
from trellis_cli.training.distributed import check_together
from trellis_cli.training.loop import LoopRecipe, train
from trellis_cli.training.micro_batches import Item, item_generator
from trellis_cli.training.optim import OptimizerRecipe
from trellis_cli.training.stopping import Stopped

LOOP = LoopRecipe(log_every=1, checkpoint_every=3, evaluate_every=100)


class Regression:
    """Learns y = 2 x from random x; the target turns into NaN at a chosen call."""

    best_by: tuple[str, int] = ("score", 1)

    def __init__(self, nan_at: Container[int] = ()) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(4, 4)
        self.nan_at, self.calls = nan_at, 0

    def item(self, generator: torch.Generator) -> Item:
        """One to five rows."""
        return Item(None, int(torch.randint(1, 6, (), generator=generator)), generator)

    def batch(self, items: Sequence[Item]) -> Tensor:
        return torch.cat([torch.randn(item.tokens, 4, generator=item.generator) for item in items])

    def weight(self, items: Sequence[Item]) -> int:
        return sum(item.tokens for item in items)

    def loss(self, module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        error = (module(batch) - 2 * batch).square().mean()
        return {"loss": error * float("nan") if self.calls in self.nan_at else error}

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {"score": float(step)}


class Interrupted(Regression):
    """A signal, Ctrl-C unless said otherwise, `times` times, within the loss of one step."""

    def __init__(self, *, at: int, times: int = 1, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.at, self.times, self.number = at, times, number

    def loss(self, module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        terms = super().loss(module, batch)
        for _ in range(self.times if self.calls == self.at else 0):
            signal.raise_signal(self.number)
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


def test_bad_steps_in_a_row_stop_with_a_message_and_keep_the_checkpoint(tmp_path):
    with pytest.raises(TrellisError, match=r"step 13: the loss is nan.*10th bad step in a row"):
        train(Regression(nan_at=range(5, 99)), recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    task = Regression()
    assert train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert all(v.isfinite().all() for v in task.module.state_dict().values())


def test_a_bad_step_is_left_out_and_said_so(tmp_path):
    """One step of NaN changes nothing; the run is that of a step less, with the draws of its own numbers."""
    train(Regression(nan_at=[5]), recipe(5), LOOP, tmp_path / "with", seed=5, device="cpu")
    train(Regression(), recipe(4), LOOP, tmp_path / "without", seed=5, device="cpu")
    kept = [load_file(tmp_path / name / "checkpoint.safetensors") for name in ("with", "without")]
    assert all(torch.equal(kept[0][k], kept[1][k]) for k in kept[0])
    last = json.loads((tmp_path / "with" / "log.jsonl").read_text().splitlines()[-2])
    assert last["step"] == 5 and last["skipped"] == 1 and "loss" not in last


def test_a_spike_is_left_out_and_a_resumed_run_leaves_out_the_same(tmp_path):
    class Spiked(Regression):
        def batch(self, items: Sequence[Item]) -> Tensor:
            return super().batch(items) * (30 if self.batches() == 250 else 1)

        def batches(self) -> int:
            self.made = getattr(self, "made", -1) + 1
            return self.made

    def spiked(folder: Path, steps: int, skip: int = 0) -> Spiked:
        task = Spiked()
        task.made = skip - 1
        settings = replace(recipe(steps), learning_rate=1e-4, spike=10.0)
        train(task, settings, LoopRecipe(log_every=1, checkpoint_every=50), folder, seed=5, device="cpu")
        return task

    whole = spiked(tmp_path / "whole", 260).module.state_dict()
    spiked(tmp_path / "parts", 245)
    parts = spiked(tmp_path / "parts", 260, skip=245).module.state_dict()
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    for folder in ("whole", "parts"):
        rows = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        assert [r["step"] for r in rows if r.get("skipped")] == [251]


@pytest.mark.parametrize("limits", [{"micro_batch": 3}, {"max_tokens": 6}, {"max_tokens": 1}])
def test_micro_batches_make_the_same_step(tmp_path, limits):
    """However the batch is divided: rows, which differ in number from asset to asset, count alike."""
    whole = run(tmp_path / "whole", 12)
    task = Regression()
    train(task, replace(recipe(12), **limits), LOOP, tmp_path / "parts", seed=5, device="cpu")
    assert task.calls > 12
    for key, value in task.module.state_dict().items():
        torch.testing.assert_close(value, whole[key], atol=1e-6, rtol=1e-5)
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "parts")]
    for one, other in zip(*logs, strict=True):
        assert json.loads(one).get("loss", 0.0) == pytest.approx(json.loads(other).get("loss", 0.0), rel=1e-4)


def test_the_last_checkpoints_stay(tmp_path):
    loop = replace(LOOP, keep=2)
    train(Regression(), recipe(11), loop, tmp_path, seed=5, device="cpu")
    names = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    assert names == ["checkpoint-00000009.safetensors", "checkpoint-00000011.safetensors", "checkpoint.safetensors"]
    (tmp_path / "checkpoint-00000009.safetensors").replace(tmp_path / "checkpoint.safetensors")
    parts, whole = run(tmp_path, 20), run(tmp_path / "whole", 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_the_best_weights_are_kept_by_their_score(tmp_path):
    """Scores fall and rise; a resumed run knows the best of before."""
    kept: list[int] = []

    class Scored(Regression):
        best_by = ("score", -1)

        def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
            self.at = step
            return {"score_test": float(abs(step - 4)), "score_train": float(-step)}

    for steps in (6, 10):
        task = Scored()
        loop = LoopRecipe(log_every=1, checkpoint_every=2, evaluate_every=2)
        keep = lambda module, task=task: kept.append(task.at)  # noqa: E731
        train(task, recipe(steps), loop, tmp_path, seed=5, device="cpu", keep_best=keep)
    assert kept == [2, 4]
    assert json.loads((tmp_path / "best" / "scores.json").read_text()) == {
        "step": 4, "score_test": 0.0, "score_train": -4.0,
    }  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_signals_of_a_cluster_finish_and_save_the_step(tmp_path, number, code):
    task = Interrupted(at=7, number=number)
    with pytest.raises(Stopped) as caught:
        train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert task.calls == 7 and caught.value.code == code
    assert signal.getsignal(number) is signal.SIG_DFL
    whole, parts = run(tmp_path / "whole", 20), run(tmp_path, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_ctrl_c_finishes_and_saves_the_step(tmp_path):
    """A real signal, in the middle of step 7; checkpoints are due at 3, 6 and 9."""
    task = Interrupted(at=7)
    with pytest.raises(Stopped):
        train(task, recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert task.calls == 7
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["trellis"])["step"] == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # ours is gone again
    whole, parts = run(tmp_path / "whole", 20), run(tmp_path, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_second_ctrl_c_stops_at_once_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        train(Interrupted(at=8, times=2), recipe(20), LOOP, tmp_path, seed=5, device="cpu")
    assert not isinstance(caught.value, Stopped)
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["trellis"])["step"] == 6
    whole, parts = run(tmp_path / "whole", 20), run(tmp_path, 20)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_checkpoint_of_before_is_gone_on_with(tmp_path):
    """Whose step and extra were two keys of the header."""
    run(tmp_path, 7)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["trellis"])
    save_file(load_file(path), path, metadata={"step": "7", "extra": json.dumps({"norms": told["extra"]["norms"]})})
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


def test_each_asset_of_each_step_draws_its_own():
    draws = {float(torch.rand((), generator=item_generator(1, step, rank))) for step in range(4) for rank in range(2)}
    assert len(draws) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0}, {"precision": "float8"}, {"schedule": "linear"}, {"memory": 1.0}, {"spike": -1.0},
        {"learning_rate": float("nan")}, {"ema_decay": 1.0}, {"max_tokens": -1},
    ],
)  # fmt: skip
def test_values_that_no_training_can_have(wrong):
    with pytest.raises(RecipeError, match=f"optimizer.{next(iter(wrong))} is"):
        replace(recipe(1), **wrong)


def test_unknown_trackers_are_named(tmp_path):
    with pytest.raises(RecipeError, match="no tracker 'paper'"):
        train(Regression(), recipe(1), replace(LOOP, trackers=("paper",)), tmp_path, seed=5, device="cpu")
    with pytest.raises(MissingError, match="wandb"):
        train(Regression(), recipe(1), replace(LOOP, trackers=("wandb",)), tmp_path, seed=5, device="cpu")


class SmallCard(Regression):
    """A card whose memory takes no more than so many rows at a time; it says so once their activations are there."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.held, self.alive_at_retry = room, [], []

    def batch(self, items: Sequence[Item]) -> Tensor:
        self.alive_at_retry.append(any(held() is not None for held in self.held))
        return super().batch(items)

    def loss(self, module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        activation = batch * 2
        if len(batch) > self.room:
            self.held.append(weakref.ref(activation))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().loss(module, batch)


def test_a_card_that_is_too_small_gets_smaller_micro_batches(tmp_path):
    """Halved until they fit, of the same draws; what was tried before is gone from memory by then."""
    whole = run(tmp_path / "whole", 6)
    task = SmallCard(6)
    train(task, recipe(6), LOOP, tmp_path / "parts", seed=5, device="cpu")
    for key, value in task.module.state_dict().items():
        torch.testing.assert_close(value, whole[key], atol=1e-6, rtol=1e-5)
    assert 2 <= len(task.held) < 12 and not any(task.alive_at_retry)


def test_what_fits_no_card_is_said(tmp_path):
    with pytest.raises(TrellisError, match="do not fit the card's memory") as caught:
        train(SmallCard(0), recipe(6), LOOP, tmp_path, seed=5, device="cpu")
    assert "max_tokens" in caught.value.hint


def test_settings_of_accelerate_change_no_step(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", 4)
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    other = run(tmp_path / "other", 4)
    assert all(torch.equal(whole[k], other[k]) for k in whole)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match="FSDP"):
        run(tmp_path / "third", 4)


def test_processes_that_see_other_folders_are_told(tmp_path):
    class Two:
        num_processes, device = 2, "cpu"

        def gather(self, step: Tensor) -> Tensor:
            return torch.cat([step, step * 0])

    check_together(Two(), 0, tmp_path)
    with pytest.raises(UsageError, match=r"of steps \[0, 10\]"):
        check_together(Two(), 10, tmp_path)


def test_a_score_that_is_no_number_is_never_the_best(tmp_path):
    assert not best.is_best(tmp_path, {"score_test": float("nan")}, ("score", 1))
    best.note(tmp_path, {"score_test": float("nan")}, 1)
    assert best.is_best(tmp_path, {"score_test": 0.0}, ("score", 1))


@pytest.mark.parametrize("wrong", [{"log_every": 0}, {"checkpoint_every": 0}, {"evaluate_every": -1}, {"keep": 0}])
def test_how_often_is_at_least_once(wrong):
    with pytest.raises(RecipeError, match=f"loop.{next(iter(wrong))} is"):
        replace(LOOP, **wrong)
