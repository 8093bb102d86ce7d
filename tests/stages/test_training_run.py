"""A training run and the recipe kept with it."""

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trellis_cli.errors import UsageError
from trellis_cli.stages import training_run
from trellis_cli.stages.training_run import run_training
from trellis_cli.training.loop import LoopRecipe
from trellis_cli.training.micro_batches import Item
from trellis_cli.training.optim import OptimizerRecipe
from trellis_cli.training.stopping import Stopped

RECIPE = """
stage = "line"
[optimizer]
learning_rate = 0.05
batch = 2
steps = 4
"""


@dataclass(frozen=True, slots=True)
class LineRecipe:
    stage: str
    optimizer: OptimizerRecipe
    seed: int = 0
    slope: float = 2.0
    loop: LoopRecipe = field(default_factory=LoopRecipe)


class Line:
    best_by: tuple[str, int] = ("none", 1)

    def __init__(self, *, interrupt_at: int = 0) -> None:
        self.module: nn.Module = nn.Linear(1, 1)
        self.calls, self.interrupt_at = 0, interrupt_at

    def networks(self, module: nn.Module) -> dict[str, Any]:
        return {}

    def item(self, generator: torch.Generator) -> Item:
        return Item(None, 1, generator)

    def batch(self, items: Sequence[Item]) -> Tensor:
        return torch.cat([torch.randn(1, 1, generator=item.generator) for item in items])

    def weight(self, items: Sequence[Item]) -> int:
        return len(items)

    def loss(self, module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        return {"loss": (module(batch) - 2 * batch).square().mean()}

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {}


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The modules whose networks were written to RUN/ckpts."""
    modules: list[nn.Module] = []
    monkeypatch.setattr(training_run, "save_all", lambda task, module, run: modules.append(module))
    return modules


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "line.toml"
    path.write_text(RECIPE)
    return str(path)


def test_ctrl_c_leaves_the_averaged_weights(recipe: str, tmp_path: Path, saved: list[nn.Module]) -> None:
    task = Line(interrupt_at=2)
    trained = task.module
    with pytest.raises(Stopped):
        run_training(LineRecipe, lambda r: task, recipe, tmp_path / "run", device="cpu")
    assert saved == [task.module] and task.module is not trained


def test_a_run_begun_before_a_key_was_there_goes_on(recipe: str, tmp_path: Path, saved: list[nn.Module]) -> None:
    run = tmp_path / "run"
    run_training(LineRecipe, lambda r: Line(), recipe, run, device="cpu")
    kept = json.loads((run / "recipe.json").read_text())
    del kept["slope"], kept["loop"]
    (run / "recipe.json").write_text(json.dumps(kept))
    with pytest.raises(UsageError, match=r"slope was 2\.0, now 3\.0"):
        run_training(LineRecipe, lambda r: Line(), recipe, run, overrides=("slope=3",), device="cpu")
    assert run_training(LineRecipe, lambda r: Line(), recipe, run, device="cpu")["finished"]
    assert len(saved) == 2


@pytest.mark.parametrize("kept", ["[]", "7", '{"stage": "line", "gone": 1}'])
def test_a_recipe_that_no_longer_fits_is_another(kept: str, recipe: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(kept)
    with pytest.raises(UsageError, match="was started with another recipe"):
        run_training(LineRecipe, lambda r: Line(), recipe, tmp_path, device="cpu")
