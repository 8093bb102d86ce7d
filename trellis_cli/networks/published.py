"""The published names of the networks: what a checkpoint's {"name", "args"} builds, and its weights put in strictly.

`Elastic...` names are the same networks: there the word says how training spares memory.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trellis_cli.errors import FileError
from trellis_cli.networks.precision import TorsoNetwork

ELASTIC = "Elastic"


class Entry(NamedTuple):
    """Where a published network is built here, and the arguments that its name stands for unless they are given."""

    module: str
    cls: str
    defaults: Mapping[str, Any] = {}


NETWORKS = {
    "SparseStructureEncoder": Entry("structure_vae", "StructureEncoder"),
    "SparseStructureDecoder": Entry("structure_vae", "StructureDecoder"),
    "SparseStructureFlowModel": Entry("flow", "FlowNetwork", {"io": "dense"}),
    "SLatEncoder": Entry("slat_vae", "SlatEncoder"),
    "SLatGaussianDecoder": Entry("heads", "GaussianDecoder"),
    "SLatRadianceFieldDecoder": Entry("radiance_head", "RadianceFieldDecoder"),
    "SLatMeshDecoder": Entry("heads", "MeshDecoder"),
    "SLatFlowModel": Entry("flow", "FlowNetwork", {"io": "residual"}),
}


def build_network(name: str, args: Mapping[str, Any]) -> TorsoNetwork:
    """A new network of a published name, with its arguments as published (and ours, where its class has more).

    Under `torch.device("meta")` it takes no memory: enough to count parameters or to compare keys.

    Raises:
        FileError: a name this program has no network for, or arguments that the network does not take.
    """
    plain = name.removeprefix(ELASTIC)
    if plain not in NETWORKS:
        raise FileError(f"there is no network {name!r} here", hint=f"known networks: {', '.join(NETWORKS)}")
    entry = NETWORKS[plain]
    cls = getattr(import_module(f"trellis_cli.networks.{entry.module}"), entry.cls)
    try:
        return cls(**{**entry.defaults, **args})
    except (TypeError, ValueError) as error:
        raise FileError(
            f"{name} cannot be built from its arguments: {error}", hint="fetch the checkpoint anew"
        ) from error


def network_with(
    name: str,
    args: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TorsoNetwork:
    """The network of a checkpoint, its torso kept and run in `dtype`, whatever its weights were stored in.

    No weight is drawn first, and each is read from `state`, cast and put in its place before the next one: memory for
    the network itself, and for no second copy of it.

    Raises:
        FileError: as `build_network`; keys that are missing or unknown; shapes that differ.
    """
    with torch.device("meta"):
        network = build_network(name, args)
    known = network.compute_in(dtype).state_dict().keys()
    placed = {key: _cast(network, key, state[key], device) if key in known else state[key] for key in state}
    try:
        network.load_state_dict(placed, strict=True, assign=True)
    except RuntimeError as error:
        problem = " ".join(line.strip() for line in str(error).splitlines()[1:])
        raise FileError(f"these weights are not {name}'s: {problem}", hint="fetch the checkpoint anew") from error
    return network


def _cast(network: TorsoNetwork, key: str, value: Tensor, device: str) -> Tensor:
    if not value.is_floating_point():
        return value.to(device)
    return value.to(device).to(network.dtype if network.is_half(key) else torch.float32)


def num_parameters(network: nn.Module) -> int:
    """Trainable numbers; position buffers are not among them."""
    return sum(p.numel() for p in network.parameters())
