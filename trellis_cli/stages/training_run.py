"""What every training command does the same: the recipe kept with the run, training, the averaged weights saved."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import nn

from trellis_cli import console, invocation, recipes
from trellis_cli.errors import FileError, RecipeError, UsageError
from trellis_cli.io.aside import write_text
from trellis_cli.io.lock import held_alone
from trellis_cli.io.model_folders import save_network
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.networks.published import build_network
from trellis_cli.stages.initial_weights import borrow_weights
from trellis_cli.training import best, state
from trellis_cli.training.distributed import is_main_process, make_accelerator, wait_for_everyone
from trellis_cli.training.loop import LoopRecipe, Task, train
from trellis_cli.training.lora import LoraRecipe, add_adapters, without_adapters
from trellis_cli.training.optim import OptimizerRecipe
from trellis_cli.training.stopping import StopAfterStep, Stopped

FREE_KEYS = (  # may change when a run goes on; but for what a diverging run is mended with, none changes a step much
    "steps", "checkpoint_every", "evaluate_every", "log_every", "keep", "trackers", "micro_batch", "max_tokens",
    "memory", "learning_rate", "spike",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """A network by its class name and arguments, as a checkpoint's .json has them."""

    name: str
    args: dict[str, Any]

    def build(self) -> TorsoNetwork:
        """Raises RecipeError for arguments the network does not take."""
        try:
            return build_network(self.name, self.args)
        except (TypeError, ValueError, KeyError) as error:
            raise RecipeError(
                f"network {self.name}: {error}", hint="see docs/models.md and the class in trellis_cli/networks"
            ) from error


@runtime_checkable
class TrainableTask(Task, Protocol):
    """A task whose module holds networks to be saved, by their key in a model folder."""

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]: ...


@runtime_checkable
class RunRecipe(Protocol):
    @property
    def stage(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def optimizer(self) -> OptimizerRecipe: ...

    @property
    def loop(self) -> LoopRecipe: ...


R = TypeVar("R")  # a RunRecipe; not bound to it, as a protocol with data cannot be checked by issubclass


def run_training(
    cls: type[R],
    make_task: Callable[[R], TrainableTask],
    recipe_name: str,
    run: Path,
    *,
    overrides: tuple[str, ...] = (),
    device: str = "auto",
    max_minutes: float | None = None,
    init: str | None = None,
    started: Callable[[TrainableTask], None] | None = None,
) -> dict[str, Any]:
    """Train a recipe in the folder `run`, or go on with it; leaves RUN/ckpts with averaged weights.

    A finished run trains no further; its weights are written once more, from its checkpoint. RUN/best/ckpts has those
    of the best evaluation.

    Args:
        init: a run or a model whose networks a new run begins with, where they fit.
        started: keeps what else belongs to the run, once that has begun.

    Raises:
        RecipeError: the recipe is not what it should be.
        UsageError: the folder holds another recipe's run, or another process trains in it; adapters without weights
            to adapt.
        Stopped: a signal, after the step at hand; the checkpoint and RUN/ckpts are of that step.
    """
    loaded = recipes.load(cls, recipe_name, overrides)
    recipe = cast(RunRecipe, loaded)
    _check_recipe(recipe, run)
    main = is_main_process()
    with held_alone(run, "training in") if main else nullcontext():
        if "TORCHELASTIC_RUN_ID" in os.environ:  # its launcher may be killed by what this process would save at
            invocation.end_with_parent(signal.SIGTERM)
        make_accelerator(device)  # each process takes its own card before anything is put on one
        torch.manual_seed(recipe.seed)  # the networks' first weights
        task = make_task(loaded)  # before anything is kept: data that does not fit must not bind the folder to it
        adapted = _begin(task, run, init, getattr(loaded, "lora", LoraRecipe()))
        if main:
            write_text(run / "recipe.json", json.dumps(recipes.as_table(recipe), indent=2) + "\n")
            if started is not None:
                started(task)

        def save(module: nn.Module, folder: Path) -> None:
            if main:
                save_all(task, without_adapters(module) if adapted else module, folder)

        with StopAfterStep() as stop:  # also while weights are written
            try:
                done = train(
                    task, recipe.optimizer, recipe.loop, run, seed=recipe.seed, device=device,
                    max_minutes=max_minutes, keep_best=lambda module: save(module, run / best.FOLDER), stop=stop,
                )  # fmt: skip
            except Stopped:
                save(task.module, run)
                wait_for_everyone()
                raise
            save(task.module, run)
            wait_for_everyone()
    return {"run": str(run), "finished": done}


def _begin(task: TrainableTask, run: Path, init: str | None, lora: LoraRecipe) -> bool:
    """The weights that a new run begins with, and adapters on them: whether there are any.

    Raises:
        UsageError: adapters without weights to adapt.
        FileError, MissingError, RecipeError: as `borrow_weights` and `add_adapters`.
    """
    if not (run / state.NAME).exists():
        if init is not None:
            for key, (_, network) in task.networks(task.module).items():
                borrow_weights(network, init, key, whole=lora.rank > 0)
        elif lora.rank:
            raise UsageError("adapters need weights that they adapt", hint="--init MODEL, a run or a model")
    if lora.rank:
        add_adapters(task.module, lora)
    return lora.rank > 0


def save_all(task: TrainableTask, module: nn.Module, run: Path) -> None:
    for key, (recipe, network) in task.networks(module).items():
        save_network(run / "ckpts" / key, recipe.name, recipe.args, network)


def _check_recipe(recipe: RunRecipe, run: Path) -> None:
    """Raises UsageError where the folder holds another recipe's run, FileError where it cannot be told."""
    path = run / "recipe.json"
    if not path.exists():
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(f"{path} is damaged: {error}", hint="choose another --out") from error
    with suppress(RecipeError, TypeError, ValueError):  # a key that came since has its default
        kept = _plain(recipes.build(type(recipe), dict(kept), where=path.name))
    if different := _differences(kept, _plain(recipe)):
        raise UsageError(
            f"{run} was started with another recipe: {different}",
            hint="choose another --out, or the recipe it was made with",
        )
    if recipe.optimizer.schedule == "cosine" and kept.get("optimizer", {}).get("steps") != recipe.optimizer.steps:
        console.note(f"{run}: the learning rate falls with a cosine over all steps, of which there are now others")


def _plain(recipe: Any) -> Any:
    """The recipe's table as JSON gives it back."""
    return json.loads(json.dumps(recipes.as_table(recipe)))


def _differences(a: Any, b: Any, at: str = "") -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        found = (_differences(a.get(k), b.get(k), f"{at}.{k}".lstrip(".")) for k in {**a, **b} if k not in FREE_KEYS)
        return next((f for f in found if f), "")
    return "" if a == b else f"{at} was {a!r}, now {b!r}"
