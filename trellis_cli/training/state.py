"""A run's checkpoint: one safetensors file with everything needed to go on bit for bit, written whole."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from trellis_cli.errors import FileError, first_line
from trellis_cli.io.aside import aside

NAME = "checkpoint.safetensors"
METADATA = "trellis"


def save(
    run: Path,
    *,
    step: int,
    trained: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    extra: dict[str, Any],
    keep: int = 1,
) -> None:
    """Write RUN/checkpoint.safetensors, whole or not at all. Raises DiskError; the last checkpoint stays.

    With `keep` over 1, the newest ones stay beside it, as checkpoint-<step>.safetensors: any can take its place.
    """
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in trained.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    names = dict(zip((id(p) for g in optimizer.param_groups for p in g["params"]), range(10**9), strict=False))
    for parameter, state in optimizer.state.items():
        tensors |= {f"optimizer.{names[id(parameter)]}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with aside(run / NAME, also=(SafetensorError,)) as part:
        # One key, as several come in any order: the same run writes the same bytes.
        save_file(tensors, part, metadata={METADATA: json.dumps({"step": step, "extra": extra})})
    if keep > 1:
        _keep(run, step, keep)


def _keep(run: Path, step: int, keep: int) -> None:
    """The newest checkpoint under its own name too: a second name of the file, or a copy where there are none."""
    own = run / f"checkpoint-{step:08d}.safetensors"
    own.unlink(missing_ok=True)
    try:
        os.link(run / NAME, own)
    except OSError:
        with aside(own) as part:
            shutil.copyfile(run / NAME, part)
    for old in sorted(run.glob("checkpoint-*.safetensors"))[:-keep]:
        with suppress(OSError):
            old.unlink()


def load(
    run: Path, *, trained: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint back; (0, {}) when there is none.

    Raises:
        FileError: the file is damaged or belongs to another network.
    """
    path = run / NAME
    if not path.exists():
        return 0, {}
    try:
        with safe_open(path, "pt") as f:
            metadata = f.metadata()
            told = json.loads(metadata[METADATA]) if METADATA in metadata else _told_of_old(metadata)
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
        for prefix, module in (("model.", trained), ("average.", average)):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except Exception as error:  # safetensors and torch each raise their own for a damaged or foreign file
        raise FileError(
            f"{path} cannot be resumed from: {first_line(error)}",
            hint="move it away to start anew, or use the recipe it was made with",
        ) from error
    for number, parameter in enumerate(p for g in optimizer.param_groups for p in g["params"]):
        head = f"optimizer.{number}."
        optimizer.state[parameter] = {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}
    return int(told["step"]), dict(told["extra"])


def _told_of_old(metadata: dict[str, str]) -> dict[str, Any]:
    """What checkpoints said before everything stood under one key."""
    return {"step": int(metadata["step"]), "extra": json.loads(metadata["extra"])}
