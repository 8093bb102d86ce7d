"""Train the structure VAE: active voxels to a small dense latent and back. Loss: Dice (+ BCE) + KL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.data.index import DataFolder, Lottery
from trellis_cli.errors import FileError
from trellis_cli.io.pictures import grid as grid_of
from trellis_cli.io.pictures import save_picture
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.stages.view import sheet_cameras, voxel_row
from trellis_cli.training import losses
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.micro_batches import Item
from trellis_cli.training.optim import OptimizerRecipe

NUM_SHOWN, SHOWN_SIZE = 6, 128


@dataclass(frozen=True, slots=True)
class StructureLoss:
    """Weights. The paper: Dice alone and KL; BCE and noise on the latents are ours (see recipes/mini)."""

    dice: float = 1.0
    bce: float = 0.0
    kl: float = 1e-3


@dataclass(frozen=True, slots=True)
class StructureVaeRecipe:
    stage: str
    encoder: NetworkRecipe
    decoder: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    mirror: bool = False  # mirror assets at x = 0 half of the time
    loss: StructureLoss = field(default_factory=StructureLoss)
    loop: LoopRecipe = field(default_factory=LoopRecipe)


class StructureVae(nn.Module):
    """Encoder and decoder as one module, with a sample of the posterior between."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self, grid: Float[Tensor, "b 1 r r r"], noise: Float[Tensor, "b c q q q"] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, logvar = self.encoder(grid)
        latent = mean if noise is None else losses.sample_posterior(mean, logvar, noise)
        return self.decoder(latent), mean, logvar


class StructureVaeTask:
    """Grids are built from /voxels on the fly; every asset of the train split is equally likely.

    The Dice loss is a ratio over all voxels that go through a device at a time, as published: it alone depends on how a
    batch is divided.
    """

    best_by: tuple[str, int] = ("iou", 1)

    def __init__(self, recipe: StructureVaeRecipe, data: DataFolder, *, device: str = "cpu") -> None:
        self.recipe, self.data = recipe, data
        data.ids("voxels")  # says so where there are none
        self.resolution = int(data.attr("voxels", "resolution"))
        encoder, decoder = recipe.encoder.build(), recipe.decoder.build()
        for network in (encoder, decoder):
            network.compute_in(torso_dtype(recipe.optimizer.precision, device))
        self.module: nn.Module = StructureVae(encoder, decoder)
        self.train_ids, self.test_ids = data.ids("voxels", split="train"), data.ids("voxels", split="test")
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /voxels",
                hint="voxelize the objects of its manifest",
            )
        self.lottery = Lottery(self.train_ids)
        with torch.no_grad():
            self.latent_shape = encoder(torch.zeros(1, 1, *[self.resolution] * 3))[0].shape[1:]

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        assert isinstance(module, StructureVae)
        return {
            "sparse_structure_encoder": (self.recipe.encoder, module.encoder),
            "sparse_structure_decoder": (self.recipe.decoder, module.decoder),
        }

    def grids(self, ids: list[str]) -> Float[Tensor, "b 1 r r r"]:
        grid = torch.zeros(len(ids), 1, *[self.resolution] * 3)
        for i, id_ in enumerate(ids):
            x, y, z = torch.from_numpy(self.data.asset("voxels", id_)["coords"]).long().T
            grid[i, 0, x, y, z] = 1
        return grid

    def item(self, generator: torch.Generator) -> Item:
        return Item(self.lottery.draw(generator), self.resolution**3, generator)

    def batch(self, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Grids, and the noise of their latents."""
        grid = self.grids([item.what for item in items])
        if self.recipe.mirror:
            flip = torch.stack([torch.rand((), generator=item.generator) < 0.5 for item in items])
            grid[flip] = grid[flip].flip(2)
        return grid, torch.stack([torch.randn(self.latent_shape, generator=item.generator) for item in items])

    def weight(self, items: Sequence[Item]) -> int:
        return len(items)

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        weights = self.recipe.loss
        device = next(module.parameters()).device
        grid, noise = batch[0].to(device), batch[1].to(device)
        logits, mean, logvar = module(grid, noise)
        terms = {"dice": losses.dice(logits, grid), "kl": losses.kl(mean, logvar)}
        total = weights.dice * terms["dice"] + weights.kl * terms["kl"]
        if weights.bce:
            terms["bce"] = F.binary_cross_entropy_with_logits(logits.float(), grid)
            total = total + weights.bce * terms["bce"]
        return {"loss": total} | terms

    @torch.no_grad()
    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Mean intersection over union of the decoded voxels, on both splits (at most 64 assets each); a sheet of a few
        held-out assets, the true voxels above the decoded ones."""
        ids = (self.test_ids or self.train_ids)[:NUM_SHOWN]
        save_picture(folder / f"{step:06d}.png", np.concatenate([self._pictures(ids), self._pictures(ids, module)]))
        return {f"iou_{name}": self._iou(module, ids[:: max(1, len(ids) // 64)][:64]) for name, ids in
                (("train", self.train_ids), ("test", self.test_ids)) if ids}  # fmt: skip

    def _pictures(self, ids: list[str], module: nn.Module | None = None) -> np.ndarray:
        """The voxels of assets in a row, or those that the network makes of them."""
        drawn = []
        for id_ in ids:
            grid = self.grids([id_])
            if module is not None:
                grid = module(grid.to(next(module.parameters()).device))[0].cpu()
            coords = torch.argwhere(grid[0, 0] > 0)
            drawn += voxel_row(coords, self.resolution, sheet_cameras(1), SHOWN_SIZE)
        return grid_of(drawn, columns=len(drawn))

    def _iou(self, module: nn.Module, ids: list[str]) -> float:
        device = next(module.parameters()).device
        total = 0.0
        for id_ in ids:
            grid = self.grids([id_]).to(device)
            got, want = module(grid)[0] > 0, grid > 0
            total += float((got & want).sum() / (got | want).sum())
        return total / len(ids)
