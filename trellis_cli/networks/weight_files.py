"""Weights that others publish as torch files, put into networks of the same key names."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trellis_cli.errors import FileError, MissingError, first_line

COUNTER = "num_batches_tracked"  # of a batch norm; it changes nothing once trained, and old files lack it


def load_torch_weights(network: nn.Module, path: Path, *, what: str, where: str, under: str | None = None) -> None:
    """Fill a network from a torch file, all keys of it and no others; frozen, in eval mode.

    Args:
        what: what the weights are, for messages. where: an address that they are published at.
        under: the key that the state lies under; None where the file is the state itself.

    Raises:
        MissingError: no such file.
        FileError: it is no such file, or of another network.
    """
    if not path.is_file():
        raise MissingError(f"{path}: {what} is not there", hint=f"curl -L --create-dirs -o {path} {where}")
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
        state: Mapping[str, torch.Tensor] = held if under is None else held[under]
        counters = {key: value for key, value in network.state_dict().items() if key.endswith(COUNTER)}
        network.load_state_dict({**counters, **state})
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise FileError(f"{path}: not {what}: {first_line(error)}", hint="fetch it anew") from error
    network.requires_grad_(False).eval()
