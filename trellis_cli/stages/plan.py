"""What a command would do, and the memory it takes, without doing it: `--dry-run`.

Weights are counted; what the networks keep while they run is estimated from what was measured (docs/models.md), and is
good to about a third.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from trellis_cli.io.model_folders import ModelFolder, read_network_json
from trellis_cli.stages.conditioner_sizes import conditioner_size
from trellis_cli.stages.pipeline import SLAT_FLOW, STRUCTURE_FLOW, Multi, SamplerSettings, network_keys, sampling_times
from trellis_cli.stages.resident import Size, decide_keep, free_bytes, size_of

GB = 1e9
PROGRAM = 500_000_000  # of the interpreter, torch and what it sets aside
ENCODING = 100_000_000  # beside an encoder's weights: a picture of 1024 pixels, a few MB of tokens
TYPICAL_VOXELS = 15_000  # of an object at 64^3; a surface grows with the square of the resolution


@dataclass(frozen=True, slots=True)
class Stage:
    """One network at work."""

    network: Size
    running: int  # bytes beside the weights
    steps: int | None = None  # of a sampler
    passes: int | None = None  # of the network in all of them: twice a step where guidance acts, and see `multi`


@dataclass(frozen=True, slots=True)
class Plan:
    """Which networks run, in order, for each of how many assets."""

    model: str
    device: str
    dtype: str
    assets: int
    voxels: int
    keep: bool
    stages: tuple[Stage, ...]
    free: int

    @property
    def peak(self) -> int:
        """Bytes at the busiest moment, about."""
        all_weights = sum(stage.network.bytes for stage in self.stages)
        return PROGRAM + max(
            stage.running + (all_weights if self.keep else stage.network.bytes) for stage in self.stages
        )

    @property
    def table(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "peak": self.peak}

    @property
    def text(self) -> str:
        lines = [f"{self.model} on {self.device} in {self.dtype}: {self.assets} assets of about {self.voxels} voxels"]
        for stage in self.stages:
            n = stage.network
            if not n.parameters:
                lines.append(f"  {n.key:30} {n.name} is not on this machine, and not counted")
                continue
            line = f"  {n.key:30} {n.parameters / 1e6:8.1f} M parameters, {n.bytes / GB:6.3f} GB"
            if stage.steps is not None:
                line += f", {stage.steps} steps, {stage.passes} passes"
            lines.append(line)
        held = "all networks stay in memory" if self.keep else "one network in memory at a time"
        lines.append(f"  {held}: about {self.peak / GB:.1f} GB at most; {self.free / GB:.1f} GB are free")
        return "\n".join(lines)


def sampling_plan(
    model: ModelFolder,
    flows: Mapping[str, str],
    settings: tuple[SamplerSettings, SamplerSettings],
    *,
    images: int = 1,
    multi: Multi | None = None,
    device: str,
    dtype: torch.dtype,
    assets: int,
    keep_loaded: bool | None = None,
    voxels: int | None = None,
) -> Plan:
    """The plan of `sample`.

    Args:
        flows: how the keys of the flows end, "" or "_image", by the kind of the prompts they answer to.
        images: how many show one object, at most; and how `multi` makes one asset of them.
        voxels: how many are given, in the place of the first flow's.
    """
    keys = network_keys(flows.values(), with_structure=voxels is None)
    samplers = {}
    for kind, end in flows.items():
        each = images if kind == "image" and multi == "multidiffusion" else 1
        for key, of in zip((STRUCTURE_FLOW + end, SLAT_FLOW + end), settings, strict=True):
            samplers[key] = of.steps, _passes(of, each, _objective(model, key))
    sizes = {kind: conditioner_size(model, kind) for kind in flows}
    known = [size for size in sizes.values() if size]
    keep = decide_keep(keep_loaded, model, keys, assets, device, dtype, known)
    encoders = [
        Stage(size or Size(f"{kind}_cond_model", str(model.pipeline[f"{kind}_cond_model"]), 0, 0), ENCODING)
        for kind, size in sizes.items()
    ]
    return plan(
        model, keys, device=device, dtype=dtype, assets=assets, keep=keep, voxels=voxels, samplers=samplers,
        first=encoders,
    )  # fmt: skip


def decoding_plan(
    model: ModelFolder,
    keys: Sequence[str],
    *,
    device: str,
    dtype: torch.dtype,
    voxels: Sequence[int],
    keep_loaded: bool | None = None,
) -> Plan:
    """The plan of `decode`, of assets of so many voxels."""
    keep = decide_keep(keep_loaded, model, keys, len(voxels), device, dtype)
    largest = max(voxels, default=0)
    return plan(model, keys, device=device, dtype=dtype, assets=len(voxels), keep=keep, voxels=largest)


def _passes(settings: SamplerSettings, each: int, objective: str) -> int:
    """How often a sampler runs its network: for `each` condition, and once more where guidance acts."""
    low, high = settings.interval
    times = sampling_times(settings, objective)[:-1]
    return settings.steps * each + (sum(low <= t <= high for t in times) if settings.guidance else 0)


def plan(
    model: ModelFolder,
    keys: Sequence[str],
    *,
    device: str,
    dtype: torch.dtype,
    assets: int,
    keep: bool,
    voxels: int | None = None,
    samplers: dict[str, tuple[int, int]] | None = None,
    first: Sequence[Stage] = (),
) -> Plan:
    """The plan of running networks one after the other.

    Args:
        keys: the networks, in order.
        voxels: of an asset, where they are known.
        samplers: of flows, by key: steps, and passes of the network.
        first: what runs before them.

    Raises:
        MissingError: a network's .json is not there; weights are not looked for.
    """
    resolution = next((r for key in keys if key.startswith("slat") for r in [_resolution(model, key)]), 64)
    voxels = voxels or round(TYPICAL_VOXELS * (resolution / 64) ** 2)
    stages = [*first]
    for key in keys:
        steps, passes = (samplers or {}).get(key, (None, None))
        running = _running_bytes(model, key, voxels, dtype)
        stages.append(Stage(size_of(model, key, dtype), running, steps, passes))
    name = str(dtype).removeprefix("torch.")
    return Plan(model.id, device, name, assets, voxels, keep, tuple(stages), free_bytes(device))


def _objective(model: ModelFolder, key: str) -> str:
    return str(read_network_json(model.stem(key))[1].get("objective", "flow"))


def _resolution(model: ModelFolder, key: str) -> int:
    return int(read_network_json(model.stem(key))[1]["resolution"])


def _running_bytes(model: ModelFolder, key: str, voxels: int, dtype: torch.dtype) -> int:
    """What a network keeps beside its weights while it runs on one asset."""
    args = read_network_json(model.stem(key))[1]
    if key == "sparse_structure_decoder":
        fine = 64**3 if len(args["channels"]) == 3 else 32**3
        return fine * args["channels"][-1] * 8 * 4
    width = int(args["model_channels"])
    if "cond_channels" in args:
        patch = int(args.get("patch_size", 2))
        tokens = (args["resolution"] // patch) ** 3 if key.startswith("sparse") else voxels / patch**1.7
        return int(tokens * width * 24 * dtype.itemsize + voxels * width * 8 * dtype.itemsize)
    trunk = voxels * width * 16 * dtype.itemsize
    if key == "slat_decoder_mesh":
        return trunk + 64 * voxels * (width // 8 * dtype.itemsize * 5 // 4 + 1120)
    return trunk + voxels * 32 * 14 * 4 * 4
