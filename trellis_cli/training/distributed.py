"""Processes and devices, through accelerate: one process, several on a machine, several machines."""

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from trellis_cli.errors import MissingError, RecipeError, UsageError

Track = Callable[[Mapping[str, float], int], None]
TRACKERS = ("tensorboard", "wandb")
LONGEST_EVALUATION = timedelta(hours=2)  # the others wait that long for the main process


def make_accelerator(device: str) -> Any:
    """accelerate's handle on devices and processes. Precision is the networks' own affair (networks/precision.py)."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    handlers = [
        DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True),
        InitProcessGroupKwargs(timeout=LONGEST_EVALUATION),
    ]
    _refuse_other_mathematics()
    if device.startswith("cuda:"):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UsageError(f"--device {device} names one card for several processes", hint="--device cuda")
        torch.cuda.set_device(torch.device(device))
    for harmless in ("`broadcast_buffers` is deprecated", "Grad strides do not match bucket view strides"):
        warnings.filterwarnings("ignore", message=harmless)
    return Accelerator(
        cpu=device == "cpu" or not torch.cuda.is_available(), kwargs_handlers=handlers, mixed_precision="no",
        gradient_accumulation_steps=1,
    )  # fmt: skip


def _refuse_other_mathematics() -> None:
    """What `accelerate config` may have set comes in the environment; precision and micro-batches are the recipe's.

    Raises:
        UsageError: a way of dividing the network that checkpoints here know nothing of.
    """
    for name in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() in ("true", "1", "yes"):
            raise UsageError(
                f"accelerate is set to {name}, which trellis does not train with",
                hint="accelerate launch --multi_gpu -m trellis_cli ..., or torchrun",
            )
    for name in ("GRADIENT_ACCUMULATION_STEPS", "MIXED_PRECISION", "DYNAMO_BACKEND"):
        os.environ.pop(f"ACCELERATE_{name}", None)


def is_main_process() -> bool:
    """Whether this process writes files; before there is an accelerator, what the launcher says."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_everyone() -> None:
    """Returns when all processes of the training have come here."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def agreed(accelerator: Any, reason: int) -> int:
    """The largest of all processes' reasons to stop (0: none), so that none leaves the others waiting.

    A reason of time is negative, and gives way to a signal's.
    """
    if accelerator.num_processes == 1:
        return reason
    reasons = accelerator.gather(torch.tensor([reason], device=accelerator.device)).tolist()
    return max(reasons) or min(reasons)


def check_together(accelerator: Any, step: int, run: Path) -> None:
    """Raises UsageError where processes have come to different steps: each then sees another RUN."""
    if accelerator.num_processes > 1:
        steps = accelerator.gather(torch.tensor([step], device=accelerator.device)).tolist()
        if len(set(steps)) > 1:
            raise UsageError(
                f"the processes' checkpoints in {run} are of steps {sorted(set(steps))}",
                hint="--out must lie on a disk that all nodes share",
            )


def tracker(accelerator: Any, run: Path, names: Sequence[str]) -> Track | None:
    """What takes {name: value} and the step for the named trackers; None where there is none.

    Raises:
        RecipeError: an unknown tracker.
        MissingError: wandb is asked for and not installed. Without tensorboard its files are not written.
    """
    if unknown := set(names) - set(TRACKERS):
        raise RecipeError(f"loop.trackers: no tracker {min(unknown)!r}", hint=f"known trackers: {', '.join(TRACKERS)}")
    if "wandb" in names and find_spec("wandb") is None:
        raise MissingError("loop.trackers names wandb, which is not installed", hint="pip install wandb")
    log: list[Track] = []
    if "tensorboard" in names and find_spec("tensorboard") is not None:
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(run / "tensorboard"))

        def write(values: Mapping[str, float], step: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        log.append(write)
    if "wandb" in names:
        import wandb  # pyright: ignore[reportMissingImports]

        own = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]  # two runs may have one name
        wandb.init(project="trellis", dir=str(run), name=run.name, resume="allow", id=own)
        log.append(lambda values, step: wandb.log(dict(values), step=step))

    def track(values: Mapping[str, float], step: int) -> None:
        for take in log:
            take(values, step)

    return track if log else None
