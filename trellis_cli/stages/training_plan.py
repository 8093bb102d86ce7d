"""What a training recipe would train: its networks' sizes and the memory they take, nothing allocated."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch

from trellis_cli import recipes
from trellis_cli.networks.published import num_parameters
from trellis_cli.stages.train_vae import stage_of

RECIPES = {
    "structure-vae": ("train_structure_vae", "StructureVaeRecipe"),
    "slat-vae": ("train_slat_vae", "SlatVaeRecipe"),
    "mesh-decoder": ("train_mesh_decoder", "MeshDecoderRecipe"),
    "rf-decoder": ("train_rf_decoder", "RfDecoderRecipe"),
    "structure-flow": ("train_flow", "FlowRecipe"),
    "slat-flow": ("train_flow", "FlowRecipe"),
}
COPIES = 5  # float32: weights, gradients, two moments of AdamW, averaged weights


def recipe_class(stage: str) -> type[Any]:
    module, name = RECIPES[stage]
    return getattr(import_module(f"trellis_cli.stages.{module}"), name)


def training_plan(recipe: str, overrides: Sequence[str] = (), known: Sequence[str] = tuple(RECIPES)) -> dict[str, Any]:
    """The recipe, read strictly; parameters of each network, counted without memory; bytes that training keeps.

    Activations come on top, and are what `optimizer.memory` and `max_tokens` are for.

    Raises:
        RecipeError: the recipe is not what it should be.
    """
    loaded = recipes.load(recipe_class(stage_of(recipe, overrides, known)), recipe, overrides)
    parts = {}
    for part in ("encoder", "decoder", "network"):
        if (wanted := getattr(loaded, part, None)) is not None:
            with torch.device("meta"):
                parts[part] = num_parameters(wanted.build())
    kept = COPIES * sum(parts.values()) * torch.float32.itemsize
    return {"stage": loaded.stage, "parameters": parts, "bytes_kept": kept, "recipe": recipes.as_table(loaded)}


def plan_text(plan: dict[str, Any]) -> str:
    """The plan in a few lines."""
    optimizer = plan["recipe"]["optimizer"]
    sizes = ", ".join(f"{part} {num / 1e6:.1f} million" for part, num in plan["parameters"].items())
    return (
        f"{plan['stage']}: {sizes} parameters, {plan['bytes_kept'] / 2**30:.1f} GiB for weights and optimizer\n"
        f"{optimizer['steps']:,} steps of {optimizer['batch']} assets, learning rate {optimizer['learning_rate']:g}, "
        f"{optimizer['precision']}"
    )
