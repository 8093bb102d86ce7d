"""Train the radiance field decoder on the latents of a frozen encoder, through rendered views (paper, appendix A.2)."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from trellis_cli.data.batches import fitting, tokens
from trellis_cli.data.index import DataFolder, draw
from trellis_cli.data.views import Views, decode_views
from trellis_cli.errors import FileError
from trellis_cli.geometry.packed import Packed
from trellis_cli.metrics.image import ssim
from trellis_cli.metrics.lpips import load_lpips
from trellis_cli.networks.radiance_head import RadianceFieldDecoder
from trellis_cli.renderers.radiance_field import render
from trellis_cli.stages.training_run import NetworkRecipe
from trellis_cli.stages.view_scores import score_views
from trellis_cli.training import losses
from trellis_cli.training.loop import LoopRecipe, torso_dtype
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


class RfDecoderTask:
    """Latents in, radiance fields out, pictures compared at random views on a black or white ground."""

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
        self.lpips = load_lpips(recipe.lpips)
        self.size = int(data.attr("views", "size"))

    def networks(self, module: nn.Module) -> dict[str, tuple[NetworkRecipe, nn.Module]]:
        return {"slat_decoder_rf": (self.recipe.decoder, module)}

    def batch(self, size: int, generator: torch.Generator) -> tuple[Packed, list[Views]]:
        """Latents of `size` assets, and random views of each."""
        ids = draw(self.train_ids, size, generator)
        views = []
        for id_ in ids:
            asset = self.data.asset("views", id_)
            picks = torch.randperm(int(asset["lengths"]), generator=generator)[: self.recipe.num_views]
            views.append(decode_views(asset, picks.tolist()))
        return tokens(self.data, "slat", ids), views

    def loss(
        self, module: nn.Module, batch: tuple[Packed, list[Views]], generator: torch.Generator
    ) -> dict[str, Tensor]:
        latents, views = batch
        device = next(module.parameters()).device
        got, want = [], []
        for radiance, v in zip(module(latents.to(device)), views, strict=True):
            v = v.to(device)
            background = torch.full((3,), float(torch.rand((), generator=generator) < 0.5), device=device)
            # Each ray's samples begin elsewhere, so that no shell of samples is learnt for a surface.
            jitter = torch.rand(len(v.cameras), self.size, self.size, generator=generator).to(device)
            images, _ = render(radiance, v.cameras, size=self.size, background=background, jitter=jitter)
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
