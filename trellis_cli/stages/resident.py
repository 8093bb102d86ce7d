"""Which of a model's networks are in memory: one at a time, or each from its first use on."""

import gc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from trellis_cli.io.model_folders import ModelFolder, read_network_json
from trellis_cli.networks.precision import TorsoNetwork
from trellis_cli.networks.published import build_network, num_parameters

SHARE = 0.5  # of the free memory that the networks of a batch may take, before they have to take turns


class Networks:
    """A model's networks on a device, loaded when they are asked for.

    keep: whether a network stays when another is asked for; without, it goes before the other is read.
    """

    def __init__(
        self, model: ModelFolder, *, device: str = "cpu", dtype: torch.dtype = torch.float32, keep: bool = True
    ) -> None:
        self.model, self.device, self.dtype, self.keep = model, device, dtype, keep
        self._loaded: dict[str, TorsoNetwork] = {}

    def __call__(self, key: str) -> TorsoNetwork:
        """The network of a model key, in memory. Raises MissingError, FileError."""
        if key not in self._loaded:
            if not self.keep:
                self.drop()
            self._loaded[key] = self.model.load(key, device=self.device, dtype=self.dtype)
        return self._loaded[key]

    def drop(self) -> None:
        """Free the memory of all."""
        self._loaded.clear()
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class Size:
    """What a network takes in memory: its numbers, and their bytes with the torso in a dtype."""

    key: str
    name: str
    parameters: int
    bytes: int


def size_of(model: ModelFolder, key: str, dtype: torch.dtype) -> Size:
    """By building the network without memory; the weights are not read."""
    name, args = read_network_json(model.stem(key))
    with torch.device("meta"):
        network = build_network(name, args)
    total = sum(
        value.numel() * (dtype.itemsize if network.is_half(weight) else value.dtype.itemsize)
        for weight, value in network.state_dict().items()
    )
    return Size(key, name, num_parameters(network), total)


def decide_keep(
    asked: bool | None,
    model: ModelFolder,
    keys: Iterable[str],
    assets: int,
    device: str,
    dtype: torch.dtype,
    encoders: Iterable[Size] = (),
) -> bool:
    """Whether to keep networks in memory: as asked; else for several assets, where all take no more than half of what
    is free, the encoders of their prompts included. One asset needs each but once."""
    if asked is not None or assets < 2:
        return bool(asked)
    sizes = [*encoders, *(size_of(model, key, dtype) for key in keys)]
    return sum(size.bytes for size in sizes) <= SHARE * free_bytes(device)


def free_bytes(device: str) -> int:
    """Memory that is free on a device; on the CPU also by the limit that a container sets."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        return min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no such limit
        return free
