"""Train the radiance field decoder on the latents of a frozen encoder, through rendered views (paper, appendix A.2)."""

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
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.recipes import check_values
from trellis_cli.renderers.radiance_field import render
from trellis_cli.stages.drawn_views import DrawnViews, drawn_views
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.stages.view_scores import score_views
from trellis_cli.training import losses
from trellis_cli.training.loop import LoopRecipe, torso_dtype
from trellis_cli.training.micro_batches import Item
from trellis_cli.training.optim import OptimizerRecipe


@dataclass(frozen=True, slots=True)
class RfDecoderRecipe:
    """`initial_density`, ours: each volume's raw density to begin with. At 0, the published start, a voxel lets nearly
    all light through, and many steps go by before there is a surface to be coloured.

    `lpips`: "alex" (shipped), or the path of VGG weights as the paper has it.
    """

    stage: str
    decoder: NetworkRecipe
    optimizer: OptimizerRecipe
    seed: int = 0
    num_views: int = 1  # pictures an asset and step
    max_voxels: int = 32768
    initial_density: float = 0.0
    lpips: str = "alex"
    loop: LoopRecipe = field(default_factory=LoopRecipe)

    def __post_init__(self) -> None:
        """Raises RecipeError for values that no training can have."""
        check_values(self, {"num_views": (self.num_views >= 1, "1 or more")})


@dataclass(frozen=True, slots=True, eq=False)
class RfBatch:
    """Latents, the drawn views of each asset, and where along each ray of them the samples begin, in steps."""

    latents: Packed
    views: list[DrawnViews]
    jitter: list[Float[Tensor, "v h w"]]


class RfDecoderTask:
    """Latents in, radiance fields out, pictures compared at random views on a black or white ground."""

    best_by: tuple[str, int] = ("psnr", 1)

    def __init__(self, recipe: RfDecoderRecipe, data: DataFolder, *, device: str = "cpu") -> None:
        self.recipe, self.data = recipe, data
        decoder = recipe.decoder.build()
        assert isinstance(decoder, RadianceFieldDecoder)
        decoder.start_at_density(recipe.initial_density)
        self.module: nn.Module = decoder.compute_in(torso_dtype(recipe.optimizer.precision, device))
        self.train_ids, self.test_ids = (
            fitting(data, "slat", data.ids("slat", "views", split=s), recipe.max_voxels) for s in ("train", "test")
        )
        if not self.train_ids:
            raise FileError(
                f"{data.folder} has no asset of the train split with /slat and /views",
                hint="render and encode the objects of its manifest",
            )
        check_grid(data, "slat", decoder.resolution)
        self.lottery = Lottery(self.train_ids)
        self.lpips = load_lpips(recipe.lpips)
        self.size = int(data.attr("views", "size"))

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        return {"slat_decoder_rf": (self.recipe.decoder, module)}

    def item(self, generator: torch.Generator) -> Item:
        id_ = self.lottery.draw(generator)
        return Item(id_, self.data.length("slat", id_), generator)

    def batch(self, items: Sequence[Item]) -> RfBatch:
        seen = [drawn_views(self.data, item, self.recipe.num_views) for item in items]
        # Each ray's samples begin elsewhere, so that no shell of samples is learnt for a surface.
        jitter = [
            torch.rand(len(s.views.cameras), self.size, self.size, generator=item.generator)
            for s, item in zip(seen, items, strict=True)
        ]
        return RfBatch(tokens(self.data, "slat", [item.what for item in items]), seen, jitter)

    def weight(self, items: Sequence[Item]) -> int:
        return len(items)

    def loss(self, module: nn.Module, batch: RfBatch) -> dict[str, Tensor]:
        device = next(module.parameters()).device
        got, want = [], []
        fields = module(batch.latents.to(device))
        for radiance, seen, jitter in zip(fields, batch.views, batch.jitter, strict=True):
            v, background = seen.views.to(device), seen.background.to(device)
            images, _ = render(radiance, v.cameras, size=self.size, background=background, jitter=jitter.to(device))
            got.append(images.permute(0, 3, 1, 2))
            want.append(v.on(background))
        terms = losses.reconstruction(torch.cat(got), torch.cat(want), ssim=ssim, lpips=self.lpips.to(device))
        return {"loss": terms["image"]} | terms

    def evaluate(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """PSNR and LPIPS at one fixed view of up to 24 assets of each split, a ray a pixel; a sheet of each."""
        device = next(module.parameters()).device

        def drawn(id_: str, view: Views) -> Tensor:
            radiance = module(tokens(self.data, "slat", [id_]).to(device))[0]
            return render(radiance, view.cameras, size=self.size)[0].permute(0, 3, 1, 2)

        splits = {"train": self.train_ids, "test": self.test_ids}
        return score_views(drawn, self.data, splits, folder, step, lpips=self.lpips.to(device), device=device)
