"""The shipped training recipes: read strictly, of the sizes they claim, and their networks run and learn."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny_world import trellis
from trellis_cli import recipes
from trellis_cli.geometry.packed import Packed, dense_to_packed
from trellis_cli.networks.condition import Condition
from trellis_cli.networks.embeddings import grid_coords
from trellis_cli.networks.flow import FlowNetwork
from trellis_cli.stages.training_plan import recipe_class, training_plan

MINI = (
    "structure-vae", "slat-vae", "mesh-decoder", "rf-decoder", "structure-flow", "slat-flow", "image-structure-flow",
    "image-slat-flow",
)  # fmt: skip
TABLE_6 = {  # millions of trainable parameters, as the paper gives them
    "structure-vae": {"encoder": 59.3, "decoder": 73.7},
    "slat-vae": {"encoder": 85.8, "decoder": 85.4},
    "rf-decoder": {"decoder": 85.4},
    "mesh-decoder": {"decoder": 90.9},
    "text-structure-flow-B": {"network": 157},
    "text-structure-flow-L": {"network": 543},
    "text-structure-flow-XL": {"network": 975},
    "image-structure-flow-L": {"network": 556},
    "text-slat-flow-B": {"network": 185},
    "text-slat-flow-L": {"network": 588},
    "text-slat-flow-XL": {"network": 1073},
    "image-slat-flow-L": {"network": 600},
}


@pytest.mark.parametrize("folder", ["mini", "mini-cpu"])
def test_a_model_of_these_recipes_can_be_built_and_shipped(folder: str) -> None:
    total = images = 0
    for name in MINI:
        plan = training_plan(f"{folder}/{name}")
        assert plan["stage"] == name.removeprefix("image-")
        num = sum(plan["parameters"].values())
        total, images = (total, images + num) if name.startswith("image-") else (total + num, images)
    assert 20e6 < total < 41.5e6  # a byte each as int8, and the scales: 42 MB at most
    assert 10e6 < images < 27.7e6  # and 28 MB for the flows from images


@pytest.mark.parametrize("name", TABLE_6)
def test_a_paper_recipe_is_of_the_papers_size(name: str) -> None:
    """By the command, in the form a cluster's script would ask it."""
    command = "train-flow" if "flow" in name else "train-vae"
    plan = json.loads(trellis(command, f"paper/{name}", "--data", "x", "--out", "y", "--dry-run", "--json"))
    millions = {part: num / 1e6 for part, num in plan["parameters"].items()}
    assert millions == pytest.approx(TABLE_6[name], rel=0.01)
    optimizer = plan["recipe"]["optimizer"]
    assert (optimizer["batch"], optimizer["learning_rate"], optimizer["steps"]) == (256, 1e-4, 400_000)


def test_every_recipe_of_the_package_is_one_of_these() -> None:
    ablations = {f"ablations/{name}" for name in ("structure-flow", "slat-flow", "slat-vae")}  # test_ablations.py
    models = {f"{folder}/{name}" for folder in ("mini", "mini-cpu") for name in MINI}
    assert set(recipes.names()) == models | ablations | {f"paper/{name}" for name in TABLE_6}


SMALL = [f"mini-cpu/{name}" for name in MINI]
BASE = ["slat-vae", "rf-decoder", "mesh-decoder", "text-structure-flow-B", "text-slat-flow-B", "structure-vae"]


@pytest.mark.parametrize("name", [*SMALL, *(f"paper/{name}" for name in BASE)])
def test_forward_and_backward(name: str) -> None:
    """Every trainable number of the networks gets a gradient at a few voxels."""
    table, _ = recipes.read(name)
    recipe = recipes.load(recipe_class(table["stage"]), name)
    torch.manual_seed(0)
    for part in ("encoder", "decoder", "network"):
        if (wanted := getattr(recipe, part, None)) is None:
            continue
        tiny = {"resolution": 4} if wanted.name == "SparseStructureFlowModel" else {}
        network = replace(wanted, args=wanted.args | tiny).build().compute_in("bfloat16").train()
        for parameter in network.parameters():  # layers that begin at zero would hide those before them
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
        total = sum(out.float().square().mean() for out in _outputs(network, wanted.args))
        assert isinstance(total, Tensor) and total.isfinite()
        total.backward()
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not without
        unmoved = [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
        assert not [n for n in unmoved if not n.endswith("bias")], unmoved


def _outputs(network: Any, args: dict[str, Any]) -> list[Tensor]:
    """What the network makes of a few voxels, as tensors."""
    if isinstance(network, FlowNetwork):
        width, pooled = args["cond_channels"], args.get("pooled_channels")
        condition = Condition.dense(torch.randn(1, 3, width), None if pooled is None else torch.randn(1, pooled))
        return [network(_flow_input(network), torch.tensor([0.5]), condition)]
    if "latent_channels" in args and "channels" in args:  # the structure VAE's
        channels, edge = (args["in_channels"], 16) if "in_channels" in args else (args["latent_channels"], 4)
        out = network(torch.randn(1, channels, edge, edge, edge))
        return list(out) if isinstance(out, tuple) else [out]
    coords = grid_coords(2) + args["resolution"] // 2 - 1
    x = Packed(torch.randn(8, args.get("in_channels", args["latent_channels"])), coords, torch.tensor([0, 8]))
    out = network(x)
    if isinstance(out, tuple):
        return list(out)
    return [value for value in vars_of(out[0]) if value.requires_grad]


def _flow_input(network: FlowNetwork) -> Packed:
    if network.io == "dense":
        return dense_to_packed(torch.randn(1, network.in_channels, *[network.resolution] * 3))
    coords = grid_coords(2) + network.resolution // 2 - 1
    return Packed(torch.randn(8, network.in_channels), coords, torch.tensor([0, 8]))


def vars_of(value: Any) -> list[Tensor]:
    """The tensors among a dataclass's fields."""
    return [v for name in value.__dataclass_fields__ if isinstance(v := getattr(value, name), Tensor)]
