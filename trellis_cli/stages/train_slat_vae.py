"""Train the SLAT encoder with the Gaussian decoder, end to end, through rendered views (paper, equations 7 and 8)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trellis_cli.data.batches import check_grid, fitting, tokens
from trellis_cli.data.index import DataFolder, Lottery
from trellis_cli.data.views import Views
from trellis_cli.errors import FileError
from trellis_cli.geometry.packed import Packed
from trellis_cli.metrics.image import ssim
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.networks.slat_vae import SlatEncoder
from trellis_cli.recipes import check_values
from trellis_cli.renderers.gaussians import render
from trellis_cli.representations.gaussians import Gaussians
from trellis_cli.stages.drawn_views import DrawnViews, drawn_views
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.stages.view_scores import score_views
from trellis_cli.training import losses
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.micro_batches import Item
from trellis_cli.training.optim import OptimizerRecipe


@dataclass(frozen=True, slots=True)
class SlatLoss:
    """Weights of the published training: SSIM and LPIPS 0.2 each inside `reconstruction`."""

    kl: float = 1e-6
    volume: float = 1e4
    transparency: float = 1e-3
    lpips: str = "alex"  # "alex" (shipped), or the path of VGG weights as the paper has it


@dataclass(frozen=True, slots=True)
class SlatVaeRecipe:
    """`initial_logvar`, ours: the posterior's log variance to begin with. At 0, the published start, latents are noise
    until the encoder has learnt to still it, which a short training cannot afford."""

    stage: str
    encoder: NetworkRecipe
    decoder: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    num_views: int = 1  # pictures an asset and step
    max_voxels: int = 32768
    initial_logvar: float = 0.0
    loss: SlatLoss = field(default_factory=SlatLoss)
    loop: LoopRecipe = field(default_factory=LoopRecipe)

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        check_values(self, {"num_views": (self.num_views >= 1, "1 or more")})


class SlatVae(nn.Module):
    """Encoder and Gaussian decoder as one module, with a sample of the posterior between."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self, x: Packed, noise: Float[Tensor, "n c"] | None = None
    ) -> tuple[list[Gaussians], Float[Tensor, "n c"], Float[Tensor, "n c"]]:
        mean, logvar = self.encoder(x)
        latent = mean if noise is None else losses.sample_posterior(mean, logvar, noise)
        return self.decoder(x.with_feats(latent)), mean, logvar


@dataclass(frozen=True, slots=True, eq=False)
class SlatVaeBatch:
    """Features, noise for their latents, and the drawn views of each asset."""

    features: Packed
    noise: Float[Tensor, "n c"]
    views: list[DrawnViews]


class SlatVaeTask:
    """Features in, Gaussians out, pictures compared at random views on a black or white ground."""

    best_by: tuple[str, int] = ("psnr", 1)

    def __init__(self, recipe: SlatVaeRecipe, data: DataFolder, *, device: str = "cpu") -> None:
        self.recipe, self.data = recipe, data
        encoder, decoder = recipe.encoder.build(), recipe.decoder.build()
        for network in (encoder, decoder):
            network.compute_in(torso_dtype(recipe.optimizer.precision, device))
        assert isinstance(encoder, SlatEncoder)
        self.latent_channels = encoder.latent_channels
        with torch.no_grad():
            encoder.out_layer.bias[encoder.latent_channels :] = recipe.initial_logvar
        self.module: nn.Module = SlatVae(encoder, decoder)
        self.train_ids, self.test_ids = (
            fitting(data, "features", data.ids("features", "views", split=s), recipe.max_voxels)
            for s in ("train", "test")
        )
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /features and /views",
                hint="render and featurize the objects of its manifest",
            )
        check_grid(data, "features", encoder.resolution)
        self.lottery = Lottery(self.train_ids)
        self.lpips = load_lpips(recipe.loss.lpips)
        self.size = int(data.attr("views", "size"))

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        assert isinstance(module, SlatVae)
        return {
            "slat_encoder": (self.recipe.encoder, module.encoder),
            "slat_decoder_gs": (self.recipe.decoder, module.decoder),
        }

    def item(self, generator: torch.Generator) -> Item:
        id_ = self.lottery.draw(generator)
        return Item(id_, self.data.length("features", id_), generator)

    def batch(self, items: Sequence[Item]) -> SlatVaeBatch:
        ids = [item.what for item in items]
        features = tokens(self.data, "features", ids)
        shapes = [(length, self.latent_channels) for length in features.lengths.tolist()]
        noise = [torch.randn(shape, generator=item.generator) for shape, item in zip(shapes, items, strict=True)]
        seen = [drawn_views(self.data, item, self.recipe.num_views) for item in items]
        return SlatVaeBatch(features, torch.cat(noise), seen)

    def weight(self, items: Sequence[Item]) -> int:
        """Every term is a mean over assets."""
        return len(items)

    def loss(self, module: nn.Module, batch: SlatVaeBatch) -> dict[str, Tensor]:
        device = next(module.parameters()).device
        features = batch.features.to(device)
        gaussians, mean, logvar = module(features, batch.noise.to(device))
        got, want = [], []
        for g, seen in zip(gaussians, batch.views, strict=True):
            views, background = seen.views.to(device), seen.background.to(device)
            got.append(render(g, views.cameras, size=self.size, background=background)[0].permute(0, 3, 1, 2))
            want.append(views.on(background))
        weights = self.recipe.loss
        terms = losses.reconstruction(torch.cat(got), torch.cat(want), ssim=ssim, lpips=self.lpips.to(device))
        terms["kl"] = losses.kl_of_assets(mean, logvar, features.lengths)
        terms["volume"] = torch.stack([losses.volume(g.scales) for g in gaussians]).mean()
        terms["transparency"] = torch.stack([losses.transparency(g.opacities) for g in gaussians]).mean()
        regular = (
            weights.kl * terms["kl"] + weights.volume * terms["volume"] + weights.transparency * terms["transparency"]
        )
        return {"loss": terms["image"] + regular} | terms

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """PSNR and LPIPS at one fixed view of up to 24 assets of each split; a sheet of truth above result."""
        device = next(module.parameters()).device

        def drawn(id_: str, view: Views) -> Tensor:
            gaussians = module(tokens(self.data, "features", [id_]).to(device))[0][0]
            return render(gaussians, view.cameras, size=self.size)[0].permute(0, 3, 1, 2)

        splits = {"train": self.train_ids, "test": self.test_ids}
        return score_views(drawn, self.data, splits, folder, step, lpips=self.lpips.to(device), device=device)
