"""Processes and devices, through accelerate: one process, several on a machine, several machines."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from trellis_cli.errors import MissingError, RecipeError

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
    for harmless in ("`broadcast_buffers` is deprecated", "Grad strides do not match bucket view strides"):
        warnings.filterwarnings("ignore", message=harmless)
    return Accelerator(cpu=device == "cpu" or not torch.cuda.is_available(), kwargs_handlers=handlers)


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

        wandb.init(project="trellis", dir=str(run), name=run.name, resume="allow", id=run.name)
        log.append(lambda values, step: wandb.log(dict(values), step=step))

    def track(values: Mapping[str, float], step: int) -> None:
        for take in log:
            take(values, step)

    return track if log else None
