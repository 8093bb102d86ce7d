"""Low-rank adapters (LoRA, arXiv:2106.09685), through peft: few weights are trained, the others stay as they are."""

import copy
from dataclasses import dataclass

from torch import nn

from trellis_cli.errors import MissingError, RecipeError
from trellis_cli.recipes import check_values


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Adapters of `rank` on the layers whose names end with one of `targets`; rank 0 trains the whole network.

    alpha: an adapter counts alpha / rank times.
    """

    rank: int = 0
    alpha: int = 16
    targets: tuple[str, ...] = ("to_qkv", "to_q", "to_kv", "to_out")

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no adapter can have."""
        fine = {"rank": (self.rank >= 0, "0 for none, or more"), "alpha": (self.alpha > 0, "1 or more")}
        check_values(self, fine, "lora.")


def add_adapters(network: nn.Module, recipe: LoraRecipe) -> None:
    """Freeze the network and put adapters, which at first change nothing, on its layers, in place.

    Raises:
        MissingError: peft is not installed.
        RecipeError: no layer of the network has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingError(
            "LoRA needs peft, which is not installed", hint="pip install 'trellis-slat[train]'"
        ) from error
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    chosen = [name for name in names if name.rpartition(".")[2] in recipe.targets]
    if not chosen:
        known = sorted({name.rpartition(".")[2] for name in names})
        raise RecipeError(
            f"lora.targets: no layer is called {', '.join(recipe.targets)}", hint=f"among: {', '.join(known)}"
        )
    network.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=chosen), network)


def without_adapters(network: nn.Module) -> nn.Module:
    """A copy of the network with its adapters added into the layers they sit on: of the network's own names again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged = copy.deepcopy(network)
    for name, layer in list(merged.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent = merged.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], layer.get_base_layer())
    return merged
