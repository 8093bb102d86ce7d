"""The shipped training recipes: each is read strictly, its networks can be built, and a whole model is small enough."""

import pytest
import torch

from trellis_cli import recipes
from trellis_cli.networks.published import num_parameters
from trellis_cli.stages.train_flow import FlowRecipe
from trellis_cli.stages.train_mesh_decoder import MeshDecoderRecipe
from trellis_cli.stages.train_rf_decoder import RfDecoderRecipe
from trellis_cli.stages.train_slat_vae import SlatVaeRecipe
from trellis_cli.stages.train_structure_vae import StructureVaeRecipe

STAGES = {
    "structure-vae": StructureVaeRecipe, "slat-vae": SlatVaeRecipe, "mesh-decoder": MeshDecoderRecipe,
    "rf-decoder": RfDecoderRecipe, "structure-flow": FlowRecipe, "slat-flow": FlowRecipe,
    "image-structure-flow": FlowRecipe, "image-slat-flow": FlowRecipe,
}  # fmt: skip


@pytest.mark.parametrize("folder", ["mini", "mini-cpu"])
def test_a_model_of_these_recipes_can_be_built_and_shipped(folder: str) -> None:
    total = images = 0
    for name, cls in STAGES.items():
        recipe = recipes.load(cls, f"{folder}/{name}")
        assert recipe.stage == name.removeprefix("image-")
        for part in ("encoder", "decoder", "network"):
            if hasattr(recipe, part):
                with torch.device("meta"):
                    num = num_parameters(getattr(recipe, part).build())
                total, images = (total, images + num) if name.startswith("image-") else (total + num, images)
    assert 20e6 < total < 41.5e6  # a byte each as int8, and the scales: 42 MB at most
    assert 10e6 < images < 27.7e6  # and 28 MB for the flows from images


def test_every_recipe_of_the_package_is_one_of_these() -> None:
    ablations = {f"ablations/{name}" for name in ("structure-flow", "slat-flow", "slat-vae")}  # test_ablations.py
    models = {f"{folder}/{name}" for folder in ("mini", "mini-cpu") for name in STAGES}
    assert set(recipes.names()) == models | ablations
