"""`train-vae`: structure VAE, SLAT encoder with Gaussian decoder, or a decoder on a frozen encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trellis_cli import recipes
from trellis_cli.data.index import DataFolder
from trellis_cli.errors import RecipeError

STAGES = ("structure-vae", "slat-vae", "mesh-decoder", "rf-decoder")


def train_vae(
    recipe: str,
    data: Path,
    run: Path,
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    max_minutes: float | None = None,
    init: str | None = None,
) -> dict[str, Any]:
    """Train what the recipe's `stage` names on a data folder; the same call again goes on."""
    from trellis_cli.stages.training_run import TrainableTask, run_training

    stage = stage_of(recipe, overrides, STAGES)
    folder = DataFolder(data)

    def trained(cls: type[Any], task: Callable[..., TrainableTask]) -> dict[str, Any]:
        return run_training(
            cls, lambda r: task(r, folder, device=device), recipe, run,
            overrides=tuple(overrides), device=device, max_minutes=max_minutes, init=init,
        )  # fmt: skip

    if stage == "structure-vae":
        from trellis_cli.stages.train_structure_vae import StructureVaeRecipe, StructureVaeTask

        return trained(StructureVaeRecipe, StructureVaeTask)
    if stage == "slat-vae":
        from trellis_cli.stages.train_slat_vae import SlatVaeRecipe, SlatVaeTask

        return trained(SlatVaeRecipe, SlatVaeTask)
    if stage == "rf-decoder":
        from trellis_cli.stages.train_rf_decoder import RfDecoderRecipe, RfDecoderTask

        return trained(RfDecoderRecipe, RfDecoderTask)
    from trellis_cli.stages.train_mesh_decoder import MeshDecoderRecipe, MeshDecoderTask

    return trained(MeshDecoderRecipe, MeshDecoderTask)


def stage_of(recipe: str, overrides: Sequence[str], known: Sequence[str]) -> str:
    """The recipe's stage. Raises RecipeError when this command does not train it."""
    table, where = recipes.read(recipe, overrides)
    if table.get("stage") not in known:
        raise RecipeError(
            f"{where}: stage is {table.get('stage')!r}, this command trains {', '.join(known)}",
            hint="`train-vae` trains VAEs and decoders, `train-flow` flows",
        )
    return str(table["stage"])
