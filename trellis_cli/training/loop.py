"""The training loop: batches in, steps, logs, checkpoints, evaluation. It knows no single model.

Everything random in a step is drawn from a generator seeded by (seed, step, process), so a run that is stopped anywhere
and started again does the same steps bit for bit.
"""

import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trellis_cli import console
from trellis_cli.errors import TrellisError
from trellis_cli.io.aside import write_text
from trellis_cli.training import state
from trellis_cli.training.ema import Ema
from trellis_cli.training.optim import AdaptiveClip, OptimizerRecipe, make_optimizer
from trellis_cli.training.stopping import StopAfterStep, Stopped


@runtime_checkable
class Task(Protocol):
    """What is trained: a module, its batches and their loss."""

    module: nn.Module

    def batch(self, size: int, generator: torch.Generator) -> Any:
        """`size` assets, drawn with the generator."""
        ...

    def loss(self, module: nn.Module, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalar terms; `loss` is the one that is minimised."""
        ...

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Scores of the averaged weights; may leave pictures in `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class LoopRecipe:
    """How often, in steps, the loop reports, saves and evaluates."""

    log_every: int = 50
    checkpoint_every: int = 500
    evaluate_every: int = 1000


def step_generator(seed: int, step: int, process: int = 0) -> torch.Generator:
    """The generator of one step of one process."""
    digest = hashlib.sha256(f"{seed} {step} {process}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def train(
    task: Task,
    optimizer_recipe: OptimizerRecipe,
    loop: LoopRecipe,
    run: Path,
    *,
    seed: int,
    device: str = "auto",
    max_minutes: float | None = None,
) -> bool:
    """Train until the recipe's steps are done or the time is up; the same call again goes on.

    Afterwards task.module holds the averaged weights. An evaluation that was due when an earlier call was killed is
    made first.

    Returns:
        Whether all steps are done.

    Raises:
        TrellisError: the loss is no longer finite; the last checkpoint stays.
        DiskError: the checkpoint cannot be written; the last one stays.
        Stopped: Ctrl-C, after the step at hand was finished and saved; task.module holds the averaged weights.
        KeyboardInterrupt: a second Ctrl-C; the last checkpoint stays.
    """
    accelerator = make_accelerator(device)
    average = Ema(task.module, optimizer_recipe.ema_decay)
    optimizer = make_optimizer([p for p in task.module.parameters() if p.requires_grad], optimizer_recipe)
    start, extra = state.load(run, trained=task.module, average=average.module, optimizer=optimizer)
    clip = AdaptiveClip()
    clip.norms = extra.get("norms", [])
    module, optimizer = accelerator.prepare(task.module, optimizer)
    average.module.to(accelerator.device)
    log = _Log(run / "log.jsonl", start, optimizer_recipe.steps)
    deadline = time.monotonic() + 60 * max_minutes if max_minutes is not None else math.inf
    size = max(1, optimizer_recipe.batch // accelerator.num_processes)

    def save(step: int) -> None:
        if accelerator.is_main_process:
            state.save(run, step=step, trained=accelerator.unwrap_model(module), average=average.module,
                       optimizer=optimizer.optimizer, extra={"norms": clip.norms})  # fmt: skip

    def evaluate(step: int) -> None:
        if accelerator.is_main_process and step not in log.scored:
            log.scores(step, task.evaluate(average.module, run / "samples", step))

    module.train()
    saved = step = start
    whole = True  # between two steps; within one, only the last saved state is
    with StopAfterStep(listen=accelerator.num_processes == 1) as stop:
        try:
            if start and start % loop.evaluate_every == 0:
                evaluate(start)
            while step < optimizer_recipe.steps and time.monotonic() < deadline and not stop.asked:
                whole = False
                generator = step_generator(seed, step, accelerator.process_index)
                for group in optimizer.param_groups:
                    group["lr"] = optimizer_recipe.rate(step)
                terms = task.loss(module, task.batch(size, generator), generator)
                accelerator.backward(terms["loss"])
                norm = clip(list(module.parameters()))
                _check_finite(float(terms["loss"].detach()), norm, step, saved)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                average.update(accelerator.unwrap_model(module), step)
                step, whole = step + 1, True
                log.add(terms, norm, size * accelerator.num_processes)
                if step % loop.log_every == 0:
                    log.flush(step)
                if step % loop.checkpoint_every == 0:
                    save(step)
                    saved = step
                if step % loop.evaluate_every == 0:
                    evaluate(step)
        finally:
            if step > saved and whole:
                save(step)
    task.module = average.module
    if stop.asked:
        raise Stopped
    if step >= optimizer_recipe.steps:
        evaluate(step)
    return step >= optimizer_recipe.steps


def make_accelerator(device: str) -> Any:
    """accelerate's handle on devices and processes. Precision is the networks' own affair (networks/precision.py)."""
    from accelerate import Accelerator

    return Accelerator(cpu=device == "cpu" or not torch.cuda.is_available())


def torso_dtype(precision: str, device: str = "auto") -> torch.dtype:
    """What a recipe's `precision` means here. auto: bfloat16 where the hardware multiplies it fast, else float32."""
    from trellis_ops._processor import has_fast_bfloat16

    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[precision]
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return torch.bfloat16 if on_gpu or has_fast_bfloat16() else torch.float32


def _check_finite(loss: float, norm: float, step: int, saved: int) -> None:
    if not math.isfinite(norm) or not math.isfinite(loss):
        raise TrellisError(
            f"step {step}: the loss is {loss}, the gradient norm {norm}",
            hint=f"the checkpoint of step {saved} stays; lower optimizer.learning_rate with --set and go on",
        )


def _row(line: str) -> dict[str, Any] | None:
    """A row of the log, or None for half a line, which a killed process leaves."""
    try:
        return json.loads(line)
    except ValueError:
        return None


class _Log:
    """RUN/log.jsonl, one row a report, and the same on the console."""

    def __init__(self, path: Path, start: int, steps: int) -> None:
        self.path, self.start, self.steps = path, start, steps
        self.scored: set[int] = set()
        if path.exists():  # rows after the checkpoint are done again
            rows = [r for r in map(_row, path.read_text(encoding="utf-8").splitlines()) if r and r["step"] <= start]
            write_text(path, "".join(json.dumps(r) + "\n" for r in rows))
            self.scored = {r["step"] for r in rows if "scores" in r}
        self._clear()

    def _clear(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = self.assets = 0
        self.since = time.monotonic()

    def add(self, terms: dict[str, Tensor], norm: float, assets: int) -> None:
        for name, value in {**terms, "norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + (float(value.detach()) if isinstance(value, Tensor) else value)
        self.count += 1
        self.assets += assets

    def flush(self, step: int) -> None:
        seconds = time.monotonic() - self.since
        means = {k: v / self.count for k, v in self.sums.items()}
        left = (self.steps - step) * seconds / self.count / 60
        self._write(
            {
                "step": step,
                **{k: round(v, 6) for k, v in means.items()},
                "seconds_a_step": round(seconds / self.count, 4),
            }
        )
        shown = "  ".join(f"{k} {v:.4g}" for k, v in means.items())
        console.note(f"step {step}/{self.steps}  {shown}  {self.assets / seconds:.1f} assets/s  {left:.0f} min left")
        self._clear()

    def scores(self, step: int, scores: dict[str, float]) -> None:
        self.scored.add(step)
        if scores:
            self._write({"step": step, "scores": scores})
            console.note(f"step {step}  " + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))
        self.since = time.monotonic() if not self.count else self.since

    def _write(self, row: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
