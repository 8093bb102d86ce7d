"""The training loop: items drawn, batches read, steps, logs, checkpoints, evaluation. It knows no single model.

Everything random of a step is drawn from generators seeded by (seed, step, the asset's number in the step): a run that
is stopped anywhere and started again does the same steps, bit for bit on one process, and several processes or
micro-batches do the same steps as one, within rounding.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trellis_cli.errors import TrellisError, UsageError
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.recipes import check_values
from trellis_cli.training import best, state
from trellis_cli.training.distributed import agreed, check_together, make_accelerator, tracker
from trellis_cli.training.ema import Ema
from trellis_cli.training.guard import Guard, LossScale
from trellis_cli.training.log import Log
from trellis_cli.training.memory import MemoryLimit
from trellis_cli.training.micro_batches import Item, item_generator, share, split
from trellis_cli.training.optim import AdaptiveClip, OptimizerRecipe, make_optimizer
from trellis_cli.training.prefetch import Prefetch
from trellis_cli.training.stopping import StopAfterStep, Stopped

TIME_IS_UP = -1  # among the reasons to stop, which are numbers of signals


@runtime_checkable
class Task(Protocol):
    """What is trained: a module, its batches and their loss.

    best_by: the score that tells the best checkpoint (see training/best.py), and +1 where more is better, else -1.
    """

    module: nn.Module
    best_by: tuple[str, int]

    def item(self, generator: torch.Generator) -> Item:
        """One asset, drawn with the generator. Nothing is read yet."""
        ...

    def batch(self, items: Sequence[Item]) -> Any:
        """What the loss of these assets needs; the rest of what is random is drawn with the items' generators."""
        ...

    def weight(self, items: Sequence[Item]) -> int:
        """How much these assets count in the loss of a step: their voxels, or their number."""
        ...

    def loss(self, module: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Scalar terms, means over the batch; `loss` is the one that is minimised."""
        ...

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Scores of the averaged weights; may leave pictures in `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class LoopRecipe:
    """How often, in steps, the loop reports, saves and evaluates; `keep`: checkpoints that stay, the newest among them.

    trackers: "tensorboard", where it is installed, into RUN/tensorboard; "wandb" (its own settings say whose).
    """

    log_every: int = 50
    checkpoint_every: int = 500
    evaluate_every: int = 1000
    keep: int = 1
    trackers: tuple[str, ...] = ("tensorboard",)

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        names = ("log_every", "checkpoint_every", "evaluate_every", "keep")
        check_values(self, {name: (getattr(self, name) >= 1, "1 or more") for name in names}, "loop.")


MicroBatch = tuple[list[Item], Any]


def train(
    task: Task,
    optimizer_recipe: OptimizerRecipe,
    loop: LoopRecipe,
    run: Path,
    *,
    seed: int,
    device: str = "auto",
    max_minutes: float | None = None,
    keep_best: Callable[[nn.Module], None] | None = None,
    stop: StopAfterStep | None = None,
) -> bool:
    """Train until the recipe's steps are done or the time is up; the same call again goes on.

    Afterwards task.module holds the averaged weights. An evaluation that was due when an earlier call was killed is
    made first.

    Args:
        keep_best: saves the averaged weights, of a checkpoint whose score is the best so far.
        stop: listens for signals already, and will when this returns.

    Returns:
        Whether all steps are done.

    Raises:
        TrellisError: ten steps in a row were not finite, or far off; the last checkpoint stays.
        UsageError: the batch cannot be divided among the processes.
        DiskError: the checkpoint cannot be written; the last one stays.
        Stopped: a signal, after the step at hand was finished and saved; task.module holds the averaged weights.
        KeyboardInterrupt: a second Ctrl-C; the last checkpoint stays.
    """
    trainer = _Trainer(task, optimizer_recipe, loop, run, seed, device, keep_best)
    deadline = time.monotonic() + 60 * max_minutes if max_minutes is not None else math.inf
    with nullcontext(stop) if stop else StopAfterStep() as stop, Prefetch(trainer.read, optimizer_recipe.steps) as data:

        def reason() -> int:
            late = TIME_IS_UP if time.monotonic() >= deadline else 0
            return agreed(trainer.accelerator, stop.asked or late)

        try:
            trainer.catch_up()
            why = reason()
            while trainer.step < optimizer_recipe.steps and not why:
                trainer.one_step(data)
                why = reason()
        finally:
            trainer.save_rest()
    task.module = trainer.average.module
    if why > 0:
        raise Stopped(why)
    done = trainer.step >= optimizer_recipe.steps
    if done:
        trainer.evaluate()
    return done


class _Trainer:
    """One call of `train`: what is trained, and how far it is."""

    def __init__(
        self,
        task: Task,
        recipe: OptimizerRecipe,
        loop: LoopRecipe,
        run: Path,
        seed: int,
        device: str,
        keep_best: Callable[[nn.Module], None] | None,
    ) -> None:
        self.task, self.recipe, self.loop, self.run, self.seed = task, recipe, loop, run, seed
        self.keep_best = keep_best
        self.accelerator = make_accelerator(device)
        self.processes = self.accelerator.num_processes
        if recipe.batch < self.processes:
            raise UsageError(
                f"a batch of {recipe.batch} cannot be divided among {self.processes} processes",
                hint="--set optimizer.batch to at least an asset a process",
            )
        self.average = Ema(task.module, recipe.ema_decay)
        optimizer = make_optimizer([p for p in task.module.parameters() if p.requires_grad], recipe)
        self.step, extra = state.load(run, trained=task.module, average=self.average.module, optimizer=optimizer)
        self.saved, self.whole = self.step, True  # `whole`: between two steps, where all there is can be saved
        check_together(self.accelerator, self.step, run)
        self.clip, self.guard = AdaptiveClip(), Guard(recipe.spike)
        self.scale = LossScale(active=_is_float16(task.module))
        self.clip.norms = extra.get("norms", [])
        self.guard.restore(extra.get("guard", {}))
        self.scale.log = extra.get("log_scale", self.scale.log)
        self.module, self.optimizer = self.accelerator.prepare(task.module, optimizer)
        self.average.module.to(self.accelerator.device)
        self.on_card = self.accelerator.device.type == "cuda"
        total = torch.cuda.get_device_properties(self.accelerator.device).total_memory if self.on_card else 0
        self.limit = MemoryLimit(recipe.max_tokens, recipe.memory, total)
        main = self.accelerator.is_main_process
        track = tracker(self.accelerator, run, loop.trackers) if main else None
        self.log = Log(run / "log.jsonl", self.step, recipe.steps, active=main, track=track)
        self.module.train()

    def read(self, step: int) -> tuple[list[Item], list[MicroBatch]]:
        """All assets of a step, and this process's share of them, read, in micro-batches."""
        items = [self.task.item(item_generator(self.seed, step, k)) for k in range(self.recipe.batch)]
        mine = share(items, self.accelerator.process_index, self.processes)
        parts = split(mine, self.limit.tokens, self.recipe.micro_batch)
        return items, [(part, self.task.batch(part)) for part in parts]

    def one_step(self, data: Prefetch[tuple[list[Item], list[MicroBatch]]]) -> None:
        """One step of the optimizer, with what is due after it."""
        self.whole = False
        clock = time.perf_counter()
        items, parts = data.get(self.step)
        self.log.spent("data", clock)
        terms = self._gradients_if_they_fit(items, parts)
        while terms is None:
            data.wait()  # it reads the same data
            items, parts = self._in_smaller_parts()
            terms = self._gradients_if_they_fit(items, parts)
        clock = time.perf_counter()
        norm, taken = self._update(terms)
        self.log.add(terms, norm, len(items), skipped=not taken)
        self.log.spent("optimizer", clock)
        self.step, self.whole = self.step + 1, True
        if self.step % self.loop.log_every == 0:
            self.log.flush(self.step)
        if self.step % self.loop.checkpoint_every == 0:
            self.save()
        if self.step % self.loop.evaluate_every == 0:
            data.wait()  # the evaluation reads the same data
            self.evaluate()

    def _gradients(self, items: list[Item], parts: list[MicroBatch]) -> dict[str, float]:
        """Adds up the gradients of the step; gives the terms over all its assets, of all processes."""
        total, sums = self.task.weight(items), dict[str, float]()
        for number, (part, batch) in enumerate(parts):
            weight = self.task.weight(part) / total
            last = number == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.module):
                clock = time.perf_counter()
                terms = self.task.loss(self.module, batch)
                clock = self.log.spent("forward", clock)
                # Processes average their gradients; their losses are shares of one sum.
                self.accelerator.backward(terms["loss"] * (weight * self.processes * self.scale.factor))
                self.log.spent("backward", clock)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + weight * float(term.detach())
            if self.on_card:
                self.limit.saw(sum(i.tokens for i in part), torch.cuda.max_memory_allocated())
                torch.cuda.reset_peak_memory_stats()
        if self.processes == 1:
            return sums
        values = torch.tensor([sums[k] for k in sorted(sums)], dtype=torch.float64).to(self.accelerator.device)
        return dict(zip(sorted(sums), self.accelerator.reduce(values, "sum").tolist(), strict=True))

    def _gradients_if_they_fit(self, items: list[Item], parts: list[MicroBatch]) -> dict[str, float] | None:
        """`_gradients`, or None after the card's memory was too small for a micro-batch. What that had taken goes with
        the exception, so nothing is tried again before this has returned.

        Raises:
            TrellisError: there is nothing left to divide, or other processes wait for this one.
        """
        try:
            return self._gradients(items, parts)
        except torch.cuda.OutOfMemoryError as error:
            largest = max(sum(i.tokens for i in part) for part, _ in parts)
            if self.processes > 1 or all(len(part) == 1 for part, _ in parts):
                raise TrellisError(
                    f"step {self.step}: micro-batches of up to {largest} voxels do not fit the card's memory",
                    hint=f"--set optimizer.max_tokens={max(1, largest // 2)}, or use_checkpoint of the network's args",
                ) from error
            self.limit.failed(largest)
        return None

    def _in_smaller_parts(self) -> tuple[list[Item], list[MicroBatch]]:
        """The step at hand once more, divided by the limit as it now is."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return self.read(self.step)

    def _update(self, terms: dict[str, float]) -> tuple[float, bool]:
        """Change the weights, unless the step is a bad one; gives the gradient's norm, and whether."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        norm = self.clip(parameters, self.scale.factor)
        taken = not self.scale.overflowed(norm, terms["loss"]) and self.guard.accepts(
            terms["loss"], norm, self.step, self.saved
        )
        if taken:
            self.clip.remember(norm)
            self.optimizer.step()
            self.average.update(self.accelerator.unwrap_model(self.module), self.step)
        self.optimizer.zero_grad(set_to_none=True)
        return norm, taken

    def save(self) -> None:
        if self.accelerator.is_main_process:
            extra = {"norms": self.clip.norms, "guard": self.guard.state(), "log_scale": self.scale.log}
            state.save(self.run, step=self.step, trained=self.accelerator.unwrap_model(self.module),
                       average=self.average.module, optimizer=self.optimizer.optimizer, extra=extra,
                       keep=self.loop.keep)  # fmt: skip
        self.saved = self.step

    def save_rest(self) -> None:
        """What the last checkpoint lacks, where the last step was finished; nobody leaves before it is written."""
        if self.step > self.saved and self.whole:
            self.save()
            self.accelerator.wait_for_everyone()

    def evaluate(self) -> None:
        """Scores, once a step; the best weights so far are kept apart."""
        if self.accelerator.is_main_process and self.step not in self.log.scored:
            scores = self.task.evaluate(self.average.module, self.run / "samples", self.step)
            self.log.scores(self.step, scores)
            if self.keep_best is not None and best.is_best(self.run, scores, self.task.best_by):
                self.keep_best(self.average.module)
                best.note(self.run, scores, self.step)
        self.accelerator.wait_for_everyone()

    def catch_up(self) -> None:
        """The evaluation that was due when an earlier call was killed."""
        if self.step and self.step % self.loop.evaluate_every == 0:
            self.evaluate()


def training_device(device: str) -> str:
    """`auto` as what it comes to."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def torso_dtype(precision: str, device: str = "auto") -> torch.dtype:
    """What a recipe's `precision` means here. auto: bfloat16 where the hardware multiplies it fast, else float32."""
    from trellis_ops._processor import has_fast_bfloat16

    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[precision]
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return torch.bfloat16 if on_gpu or has_fast_bfloat16() else torch.float32


def _is_float16(module: nn.Module) -> bool:
    return any(isinstance(m, TorsoNetwork) and m.dtype == torch.float16 for m in module.modules())
